//! What the workers that look after shards share: who mends, how fast, and which groups somebody
//! has found to need it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use objects::Objects;
use parking_lot::Mutex;
use tokio::sync::Notify;
use types::{BlobId, PgId, UnixMillis};

use crate::{Settings, mend::Mender, pace::Limiter};

/// Blobs without a reference that are remembered. Further ones are left to the collector.
const DYING_MAX: usize = 1 << 16;

/// Shared by the workers of one process.
#[derive(Clone)]
pub struct Care {
    pub(crate) objects: Objects,
    pub(crate) settings: Settings,
    pub(crate) mender: Mender,
    pub(crate) limiter: Arc<Limiter>,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    /// Groups that are to be healed though none of their ranks has moved. At most all there are.
    due: Mutex<BTreeSet<PgId>>,
    is_due: Notify,
    /// When blobs were first seen to be referenced no more.
    dying: Mutex<BTreeMap<BlobId, UnixMillis>>,
}

impl Care {
    /// For the workers over this object layer.
    pub fn new(objects: Objects, settings: Settings) -> Self {
        let mender = Mender::new(objects.clone(), settings.sole_repairer);
        let (limiter, shared) = (Arc::default(), Arc::default());
        Self { objects, settings, mender, limiter, shared }
    }

    pub(crate) fn now(&self) -> UnixMillis {
        UnixMillis(self.objects.clock().now_ms())
    }

    /// The group needs healing.
    pub(crate) fn heal(&self, group: PgId) {
        self.shared.due.lock().insert(group);
        self.shared.is_due.notify_one();
    }

    pub(crate) fn is_healed(&self, group: PgId) {
        self.shared.due.lock().remove(&group);
    }

    pub(crate) fn due(&self) -> BTreeSet<PgId> {
        self.shared.due.lock().clone()
    }

    /// Returns when somebody says that a group needs healing.
    pub(crate) async fn until_due(&self) {
        self.shared.is_due.notified().await;
    }

    /// Whether the shards of a blob that the index does not reference may go: readers that opened
    /// it before need them for the grace of deleted bytes. It begins when the blob is first seen
    /// here, because nobody else says when it died; most are collected meanwhile.
    pub(crate) fn may_go(&self, blob: BlobId) -> bool {
        let now = self.now();
        let grace = self.settings.garbage_grace_ms;
        let mut dying = self.shared.dying.lock();
        if let Some(since) = dying.get(&blob) {
            return now.since(*since) >= grace;
        }
        if dying.len() >= DYING_MAX {
            // Whoever is still there after so long is looked at again from the beginning.
            dying.retain(|_, since| now.since(*since) < 2 * grace);
        }
        if dying.len() < DYING_MAX {
            dying.insert(blob, now);
        }
        false
    }
}
