//! Group commit: one thread per node writes what all groups must have on disk before
//! they go on. It takes everything that waits, writes it as one batch, syncs the
//! write-ahead log once, and only then calls back.
//!
//! The batch is written without `sync` and the log is synced after it, not in one call:
//! RocksDB then does not hold its write lock during the fsync, and applying goes on.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::Instant,
};

use parking_lot::Mutex;
use rocksdb::{WriteBatch, WriteOptions};
use tokio::sync::{mpsc, oneshot};

use super::Store;
use crate::{error::StoreError, metrics};

/// Requests that wait for the thread. At the bound the groups that ask wait, too.
const WAITING_MAX: usize = 1024;
/// Requests and bytes of one batch. What is above waits for the next.
const BATCH_REQUESTS_MAX: usize = 1024;
const BATCH_BYTES_MAX: usize = 16 << 20;

/// One change to the store.
pub(crate) enum Op {
    /// Sets a value.
    Put { family: &'static str, key: Vec<u8>, value: Vec<u8> },
    /// Removes `from <= key < to`.
    DeleteRange { family: &'static str, from: Vec<u8>, to: Vec<u8> },
}

impl Op {
    fn bytes(&self) -> usize {
        match self {
            Op::Put { key, value, .. } => key.len() + value.len(),
            Op::DeleteRange { from, to, .. } => from.len() + to.len(),
        }
    }
}

struct Request {
    ops: Vec<Op>,
    done: oneshot::Sender<Result<(), StoreError>>,
}

/// The queue to the writer thread.
pub(crate) struct Writer {
    queue: Mutex<Option<mpsc::Sender<Request>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    syncs: Arc<AtomicU64>,
}

impl Writer {
    /// Starts the thread.
    pub(crate) fn start(store: Arc<Store>) -> std::io::Result<Self> {
        let (queue, requests) = mpsc::channel(WAITING_MAX);
        let syncs = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&syncs);
        let thread = std::thread::Builder::new()
            .name("raft-writer".into())
            .spawn(move || run(&store, requests, &count))?;
        Ok(Self { queue: Mutex::new(Some(queue)), thread: Mutex::new(Some(thread)), syncs })
    }

    /// Makes `ops` durable, all or none, in the order of the calls. Without ops it makes
    /// durable whatever was written before, by anybody.
    pub(crate) async fn submit(&self, ops: Vec<Op>) -> Result<(), StoreError> {
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
    let mut batch = Vec::new();
    while let Some(first) = requests.blocking_recv() {
        let mut bytes = first.ops.iter().map(Op::bytes).sum::<usize>();
        batch.push(first);
        while batch.len() < BATCH_REQUESTS_MAX && bytes < BATCH_BYTES_MAX {
            let Ok(next) = requests.try_recv() else { break };
            bytes += next.ops.iter().map(Op::bytes).sum::<usize>();
            batch.push(next);
        }
        let result = commit(store, &batch, syncs);
        if let Err(error) = &result {
            store.fail(format!("writing the raft log failed: {error}"));
        }
        metrics::group_commit(batch.len(), bytes);
        for request in batch.drain(..) {
            // Who no longer waits does not need the answer.
            let _ = request.done.send(result.clone());
        }
    }
    if let Err(error) = store.bear_witness() {
        tracing::debug!(%error, "the log ends without a witness");
    }
}

fn commit(store: &Store, requests: &[Request], syncs: &AtomicU64) -> Result<(), StoreError> {
    store.check()?;
    let mut batch = WriteBatch::default();
    batch.put_log_data(store.mark().encode());
    for op in requests.iter().flat_map(|request| &request.ops) {
        match op {
            Op::Put { family, key, value } => batch.put_cf(&store.family(family), key, value),
            Op::DeleteRange { family, from, to } => {
                batch.delete_range_cf(&store.family(family), from, to);
            }
        }
    }
    store.db.write_opt(batch, &WriteOptions::default())?;
    let started = Instant::now();
    store.sync()?;
    syncs.fetch_add(1, Ordering::Relaxed);
    metrics::fsync(started.elapsed());
    Ok(())
}
