//! Group commit: one thread per node writes what all groups must have on disk before
//! they go on. It takes everything that waits, writes it as one batch, syncs the
//! write-ahead log once, and only then calls back.
//!
//! On a [`MemoryDisk`](super::MemoryDisk) there is no thread: a simulation has only one, and each
//! call commits by itself.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread::JoinHandle,
};

use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};

use super::{Store, engine::Op};
use crate::{error::StoreError, metrics};

/// Requests that wait for the thread. At the bound the groups that ask wait, too.
const WAITING_MAX: usize = 1024;
/// Requests and bytes of one batch. What is above waits for the next.
const BATCH_REQUESTS_MAX: usize = 1024;
const BATCH_BYTES_MAX: usize = 16 << 20;

struct Request {
    ops: Vec<Op>,
    done: oneshot::Sender<Result<(), StoreError>>,
}

/// The queue to the writer thread.
pub(crate) struct Writer {
    queue: Mutex<Option<mpsc::Sender<Request>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    syncs: Arc<AtomicU64>,
    /// Set where there is no thread.
    inline: Option<Arc<Store>>,
}

impl Writer {
    /// Starts the thread.
    pub(crate) fn start(store: Arc<Store>) -> std::io::Result<Self> {
        let syncs = Arc::new(AtomicU64::new(0));
        if store.memory().is_some() {
            let (queue, thread) = (Mutex::new(None), Mutex::new(None));
            return Ok(Self { queue, thread, syncs, inline: Some(store) });
        }
        let (queue, requests) = mpsc::channel(WAITING_MAX);
        let count = Arc::clone(&syncs);
        let thread = std::thread::Builder::new()
            .name("raft-writer".into())
            .spawn(move || run(&store, requests, &count))?;
        let (queue, thread) = (Mutex::new(Some(queue)), Mutex::new(Some(thread)));
        Ok(Self { queue, thread, syncs, inline: None })
    }

    /// Makes `ops` durable, all or none, in the order of the calls. Without ops it makes
    /// durable whatever was written before, by anybody.
    pub(crate) async fn submit(&self, ops: Vec<Op>) -> Result<(), StoreError> {
        if let Some(store) = &self.inline {
            return commit_inline(store, ops, &self.syncs).await;
        }
        let stopped = || StoreError("the raft store of this node is closed".into());
        let queue = self.queue.lock().clone().ok_or_else(stopped)?;
        let (done, result) = oneshot::channel();
        queue.send(Request { ops, done }).await.map_err(|_| stopped())?;
        drop(queue);
        result.await.map_err(|_| stopped())?
    }

    /// How often the log was synced since the start.
    pub(crate) fn syncs(&self) -> u64 {
        self.syncs.load(Ordering::Relaxed)
    }

    /// Ends the thread after what waits now. Blocking.
    pub(crate) fn stop(&self) {
        self.queue.lock().take();
        let thread = self.thread.lock().take();
        if let Some(thread) = thread
            && thread.join().is_err()
        {
            tracing::error!("the raft writer thread panicked");
        }
    }
}

impl Drop for Writer {
    /// A node that gives up while it starts stops nothing by itself. A thread that closes
    /// the store while the process exits can make the exit an abort.
    fn drop(&mut self) {
        self.stop();
    }
}

fn run(store: &Store, mut requests: mpsc::Receiver<Request>, syncs: &AtomicU64) {
    let (mut ops, mut waiting) = (Vec::new(), Vec::new());
    while let Some(first) = requests.blocking_recv() {
        let mut bytes = 0;
        let mut take = |request: Request| {
            bytes += request.ops.iter().map(Op::bytes).sum::<usize>();
            ops.extend(request.ops);
            waiting.push(request.done);
            waiting.len() < BATCH_REQUESTS_MAX && bytes < BATCH_BYTES_MAX
        };
        let mut room = take(first);
        while room {
            let Ok(next) = requests.try_recv() else { break };
            room = take(next);
        }
        let result = commit(store, std::mem::take(&mut ops), syncs);
        metrics::group_commit(waiting.len(), bytes);
        for done in waiting.drain(..) {
            // Who no longer waits does not need the answer.
            let _ = done.send(result.clone());
        }
    }
    if let Err(error) = store.close() {
        tracing::debug!(%error, "the log ends without a witness");
    }
}

fn commit(store: &Store, ops: Vec<Op>, syncs: &AtomicU64) -> Result<(), StoreError> {
    let committed = store.check().and_then(|()| store.engine().commit(ops));
    note(store, committed, syncs)
}

async fn commit_inline(store: &Store, ops: Vec<Op>, syncs: &AtomicU64) -> Result<(), StoreError> {
    let disk = store.memory().expect("a store without a thread is in memory");
    store.check()?;
    let committed = disk.commit_slowly(ops).await;
    note(store, committed, syncs)
}

/// After a failure nothing is committed any more.
fn note(
    store: &Store,
    committed: Result<std::time::Duration, StoreError>,
    syncs: &AtomicU64,
) -> Result<(), StoreError> {
    match committed {
        Ok(time) => {
            syncs.fetch_add(1, Ordering::Relaxed);
            metrics::fsync(time);
            Ok(())
        }
        Err(error) => {
            store.fail(format!("writing the raft log failed: {error}"));
            Err(error)
        }
    }
}
