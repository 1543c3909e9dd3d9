//! [`DiskClient`]: the disks of the cluster by the cluster map, with deadlines,
//! verified reads and suspicion of disks that do not answer.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use parking_lot::Mutex;
use proto::{
    RpcError, RpcErrorKind,
    shards::{Chunk, DiskStat, PutChunks, ShardEntry, ShardService, Verified},
};
use types::{ChunkDigest, DiskId, ShardId};

use crate::{DataNodes, MapCache, ShardError, Shards, suspicion::Suspicion};

/// How long calls to disks may take, by class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskDeadlines {
    /// Chunks, with fsync when sealed.
    pub put: Duration,
    /// One chunk.
    pub read: Duration,
    /// Confirmations and deletions.
    pub change: Duration,
    /// A page of an inventory.
    pub inventory: Duration,
    /// Reading up to 256 MiB against their digests.
    pub verify: Duration,
    /// Figures, and the probe of a suspected disk.
    pub stat: Duration,
}

impl Default for DiskDeadlines {
    fn default() -> Self {
        Self {
            put: Duration::from_secs(30),
            read: Duration::from_secs(10),
            change: Duration::from_secs(10),
            inventory: Duration::from_secs(30),
            verify: Duration::from_secs(300),
            stat: Duration::from_secs(2),
        }
    }
}

/// [`Shards`] over the data nodes of the cluster map. Clones share everything.
#[derive(Clone)]
pub struct DiskClient(Arc<Inner>);

struct Inner {
    map: Arc<MapCache>,
    nodes: Arc<DataNodes>,
    deadlines: DiskDeadlines,
    suspicion: Mutex<Suspicion>,
}

impl DiskClient {
    /// A client that finds disks by `map` and reaches their nodes by `nodes`.
    pub fn new(map: Arc<MapCache>, nodes: Arc<DataNodes>, deadlines: DiskDeadlines) -> Self {
        Self(Arc::new(Inner { map, nodes, deadlines, suspicion: Mutex::default() }))
    }

    /// Forgets that a disk did not answer: somebody knows that it is back.
    pub fn trust(&self, disk: DiskId) {
        self.0.suspicion.lock().succeeded(disk);
    }

    /// Finds the disk, waits no longer than `deadline`, and remembers whether it answered.
    async fn call<T, F>(
        &self,
        disk: DiskId,
        shard: Option<ShardId>,
        deadline: Duration,
        call: impl FnOnce(Arc<dyn ShardService>) -> F,
    ) -> Result<T, ShardError>
    where
        F: Future<Output = Result<T, RpcError>>,
    {
        let service = self.0.service(disk)?;
        match self.0.within(deadline, call(service)).await {
            Ok(answer) => {
                self.0.suspicion.lock().succeeded(disk);
                Ok(answer)
            }
            Err(error) => {
                if is_suspicious(&error.kind) {
                    self.suspect(disk, &error);
                } else {
                    self.0.suspicion.lock().succeeded(disk);
                }
                Err(shard_error(disk, shard, error))
            }
        }
    }

    fn suspect(&self, disk: DiskId, error: &RpcError) {
        if !self.0.suspicion.lock().failed(disk) {
            return;
        }
        tracing::warn!(%disk, %error, "disk does not answer; leaving it alone for a while");
        metrics::counter!("shardlake_disk_suspicions_total").increment(1);
        tokio::spawn(probe(Arc::downgrade(&self.0), disk));
    }
}

impl Inner {
    fn service(&self, disk: DiskId) -> Result<Arc<dyn ShardService>, ShardError> {
        let map = self.map.get();
        let unavailable = |reason: &str| {
            self.map.want_newer();
            ShardError::Unavailable { disk, reason: reason.to_owned() }
        };
        let node =
            map.node_of(disk).ok_or_else(|| unavailable("the cluster map does not have it"))?;
        self.nodes.service(node).ok_or_else(|| unavailable("its node cannot be reached from here"))
    }

    async fn within<T>(
        &self,
        deadline: Duration,
        call: impl Future<Output = Result<T, RpcError>>,
    ) -> Result<T, RpcError> {
        tokio::time::timeout(deadline, call).await.unwrap_or_else(|_| {
            let message = format!("no answer within {deadline:?}");
            Err(RpcError::new(RpcErrorKind::Deadline, message))
        })
    }
}

/// Asks a suspected disk for its figures until it answers that it can read. Ends with the
/// suspicion, with the disk, or with the client. One for each suspected disk.
async fn probe(inner: std::sync::Weak<Inner>, disk: DiskId) {
    loop {
        let Some(at) = inner.upgrade().and_then(|inner| inner.suspicion.lock().probe_at(disk))
        else {
            return;
        };
        tokio::time::sleep_until(at).await;
        let Some(inner) = inner.upgrade() else { return };
        if !inner.map.get().disks.contains_key(&disk) {
            inner.suspicion.lock().succeeded(disk);
            return;
        }
        let stat = match inner.service(disk) {
            Ok(service) => inner.within(inner.deadlines.stat, service.stat(disk)).await.ok(),
            Err(_) => None,
        };
        let mut suspicion = inner.suspicion.lock();
        if stat.is_some_and(|stat| stat.readable) {
            if suspicion.is_suspect(disk) {
                tracing::info!(%disk, "disk answers again");
            }
            suspicion.succeeded(disk);
            return;
        }
        suspicion.probe_failed(disk);
    }
}

/// Whether an error says that the next call will most likely fail too.
fn is_suspicious(kind: &RpcErrorKind) -> bool {
    match kind {
        RpcErrorKind::Unreachable
        | RpcErrorKind::Deadline
        | RpcErrorKind::Refused
        | RpcErrorKind::Failed => true,
        RpcErrorKind::NotLeader { .. }
        | RpcErrorKind::StaleEpoch
        | RpcErrorKind::NotFound
        | RpcErrorKind::Conflict
        | RpcErrorKind::Corrupt
        | RpcErrorKind::NoSpace
        | RpcErrorKind::Busy
        | RpcErrorKind::Invalid => false,
    }
}

fn shard_error(disk: DiskId, shard: Option<ShardId>, error: RpcError) -> ShardError {
    let reason = error.message;
    match (error.kind, shard) {
        (RpcErrorKind::Unreachable | RpcErrorKind::Deadline | RpcErrorKind::Busy, _) => {
            ShardError::Unavailable { disk, reason }
        }
        (RpcErrorKind::NoSpace, _) => ShardError::NoSpace(disk),
        (RpcErrorKind::NotFound, Some(shard)) => ShardError::NotFound { disk, shard },
        (RpcErrorKind::Corrupt, Some(shard)) => ShardError::Corrupt { disk, shard },
        _ => ShardError::Failed { disk, reason },
    }
}

#[async_trait]
impl Shards for DiskClient {
    async fn put(&self, disk: DiskId, put: PutChunks) -> Result<(), ShardError> {
        // Whatever is "not found" by a put is not the shard: it is made here.
        let answer = self
            .call(disk, Some(put.shard), self.0.deadlines.put, |node| async move {
                node.put(disk, put).await
            })
            .await;
        match answer {
            Err(ShardError::NotFound { disk, .. }) => {
                Err(ShardError::Failed { disk, reason: "its node does not have it".into() })
            }
            answer => answer,
        }
    }

    async fn confirm(&self, disk: DiskId, shards: Vec<ShardId>) -> Result<(), ShardError> {
        self.call(disk, None, self.0.deadlines.change, |node| async move {
            node.confirm(disk, shards).await
        })
        .await
    }

    async fn read(&self, disk: DiskId, shard: ShardId, stripe: u32) -> Result<Chunk, ShardError> {
        let chunk = self
            .call(disk, Some(shard), self.0.deadlines.read, |node| async move {
                node.read(disk, shard, stripe).await
            })
            .await?;
        if ChunkDigest::of(shard, stripe, &chunk.bytes) == chunk.digest
            || platform::planted("unchecked-read")
        {
            return Ok(chunk);
        }
        tracing::warn!(%disk, ?shard, stripe, "a chunk came with wrong bytes");
        metrics::counter!("shardlake_disk_corrupt_reads_total").increment(1);
        Err(ShardError::Corrupt { disk, shard })
    }

    async fn delete(&self, disk: DiskId, shards: Vec<ShardId>) -> Result<(), ShardError> {
        self.call(disk, None, self.0.deadlines.change, |node| async move {
            node.delete(disk, shards).await
        })
        .await
    }

    async fn inventory(
        &self,
        disk: DiskId,
        after: Option<ShardId>,
        limit: u32,
    ) -> Result<Vec<ShardEntry>, ShardError> {
        self.call(disk, None, self.0.deadlines.inventory, |node| async move {
            node.inventory(disk, after, limit).await
        })
        .await
    }

    async fn verify(
        &self,
        disk: DiskId,
        after: Option<ShardId>,
        bytes_max: u64,
    ) -> Result<Verified, ShardError> {
        self.call(disk, None, self.0.deadlines.verify, |node| async move {
            node.verify(disk, after, bytes_max).await
        })
        .await
    }

    async fn stat(&self, disk: DiskId) -> Result<DiskStat, ShardError> {
        self.call(disk, None, self.0.deadlines.stat, |node| async move { node.stat(disk).await })
            .await
    }

    fn likely_up(&self, disk: DiskId) -> bool {
        let map = self.0.map.get();
        map.disks.contains_key(&disk)
            && !map.down.contains(&disk)
            && !self.0.suspicion.lock().is_suspect(disk)
    }
}
