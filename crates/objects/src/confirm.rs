//! Tells disks that their shards are committed, after the client has its answer. Shards
//! gather for a moment and go out in one call a disk. Losing a confirmation is harmless:
//! the sweep asks the index about shards that stay pending.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use cluster::Shards;
use futures::future::join_all;
use parking_lot::Mutex;
use tokio::sync::Notify;
use types::{DiskId, ShardId};

use crate::metrics;

/// Shards that wait at most; further ones are dropped and counted.
const WAITING_MAX: usize = 100_000;
/// Shards a call.
const BATCH_MAX: usize = 1000;
/// How long shards gather.
const GATHER: Duration = Duration::from_millis(20);

/// The queue of confirmations. Its task lives only while there is something to do.
pub(crate) struct Confirmer {
    shards: Arc<dyn Shards>,
    queue: Mutex<Queue>,
    idle: Notify,
}

#[derive(Default)]
struct Queue {
    waiting: BTreeMap<DiskId, Vec<ShardId>>,
    len: usize,
    running: bool,
}

impl Confirmer {
    pub(crate) fn new(shards: Arc<dyn Shards>) -> Arc<Self> {
        Arc::new(Self { shards, queue: Mutex::default(), idle: Notify::new() })
    }

    /// Queues confirmations; never waits.
    pub(crate) fn confirm(self: &Arc<Self>, shards: impl IntoIterator<Item = (DiskId, ShardId)>) {
        let mut queue = self.queue.lock();
        for (disk, shard) in shards {
            if queue.len >= WAITING_MAX {
                metrics::job_dropped("confirm");
                continue;
            }
            queue.waiting.entry(disk).or_default().push(shard);
            queue.len += 1;
        }
        if !queue.running && queue.len > 0 {
            let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
            queue.running = true;
            runtime.spawn(Arc::clone(self).run());
        }
    }

    async fn run(self: Arc<Self>) {
        loop {
            tokio::time::sleep(GATHER).await;
            let waiting = {
                let mut queue = self.queue.lock();
                if queue.len == 0 {
                    queue.running = false;
                    self.idle.notify_waiters();
                    return;
                }
                queue.len = 0;
                std::mem::take(&mut queue.waiting)
            };
            // A disk that does not answer delays the others by one call's deadline at most.
            join_all(waiting.into_iter().map(|(disk, shards)| self.send(disk, shards))).await;
        }
    }

    async fn send(&self, disk: DiskId, shards: Vec<ShardId>) {
        for batch in shards.chunks(BATCH_MAX) {
            if let Err(error) = self.shards.confirm(disk, batch.to_vec()).await {
                tracing::debug!(%disk, shards = batch.len(), %error, "confirmation lost");
                return;
            }
        }
    }

    /// Returns once nothing is queued.
    pub(crate) async fn idle(&self) {
        loop {
            let notified = self.idle.notified();
            if !self.queue.lock().running {
                return;
            }
            notified.await;
        }
    }
}
