//! The service of a data node: its disks by id, each behind its own bounds, so that
//! one slow or failed disk does not take the others with it.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use parking_lot::RwLock;
use platform::Clock;
use proto::{
    RpcError, RpcErrorKind,
    shards::{
        Chunk, DiskStat, INVENTORY_LIMIT_MAX, PutChunks, ShardEntry, ShardService,
        VERIFY_BYTES_MAX, Verified,
    },
};
use types::{BlobId, DiskId, ShardId, UnixMillis};

use crate::{Error, ShardStore, gate::Gate, metrics::NodeMetrics};

/// Shards that are listed at a time while they are verified.
const VERIFY_PAGE: u32 = 256;

/// How many calls a disk has at a time. At a bound calls wait; where too many wait
/// already they are answered `Busy` at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Reads (and inventories) that run at a time.
    pub reads: usize,
    /// Reads that wait at most.
    pub reads_waiting: usize,
    /// Writes that run at a time: how many can share one fsync.
    pub writes: usize,
    /// Writes that wait at most. Each holds its chunks in memory meanwhile.
    pub writes_waiting: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { reads: 32, reads_waiting: 512, writes: 64, writes_waiting: 192 }
    }
}

enum Service {
    Serving {
        store: Arc<dyn ShardStore>,
        reads: Gate,
        writes: Gate,
    },
    /// It could not be opened, or somebody took it out of service.
    Failed {
        reason: String,
    },
}

struct Disk {
    service: Service,
    metrics: NodeMetrics,
}

/// The disks of a node as one [`ShardService`].
pub struct DataNode {
    disks: RwLock<BTreeMap<DiskId, Arc<Disk>>>,
    limits: Limits,
    clock: Arc<dyn Clock>,
}

impl DataNode {
    /// A node without disks.
    pub fn new(limits: Limits, clock: Arc<dyn Clock>) -> Self {
        Self { disks: RwLock::default(), limits, clock }
    }

    /// Serves `store` as `disk` from now on, instead of what was there under this id.
    pub fn add(&self, disk: DiskId, store: Arc<dyn ShardStore>) {
        let service = Service::Serving {
            store,
            reads: Gate::new(self.limits.reads, self.limits.reads_waiting),
            writes: Gate::new(self.limits.writes, self.limits.writes_waiting),
        };
        self.set(disk, service);
    }

    /// Answers `Failed` with this reason for `disk` from now on: it could not be opened,
    /// or was taken out of service. Its stat says neither writable nor readable.
    pub fn add_failed(&self, disk: DiskId, reason: impl Into<String>) {
        self.set(disk, Service::Failed { reason: reason.into() });
    }

    fn set(&self, disk: DiskId, service: Service) {
        let metrics = NodeMetrics::new(disk.to_string());
        self.disks.write().insert(disk, Arc::new(Disk { service, metrics }));
    }

    /// No longer knows `disk`; its store stays open.
    pub fn remove(&self, disk: DiskId) {
        self.disks.write().remove(&disk);
    }

    /// The ids of all disks, also of the failed ones.
    pub fn disks(&self) -> Vec<DiskId> {
        self.disks.read().keys().copied().collect()
    }

    /// The store of a disk that is served.
    pub fn store(&self, disk: DiskId) -> Option<Arc<dyn ShardStore>> {
        match &self.disks.read().get(&disk)?.service {
            Service::Serving { store, .. } => Some(Arc::clone(store)),
            Service::Failed { .. } => None,
        }
    }

    /// Closes every store; the first error is returned after all were tried.
    pub async fn close(&self) -> Result<(), Error> {
        let stores: Vec<_> = self.disks().into_iter().filter_map(|disk| self.store(disk)).collect();
        let mut result = Ok(());
        for store in stores {
            result = result.and(store.close().await);
        }
        result
    }

    fn disk(&self, disk: DiskId) -> Result<Arc<Disk>, RpcError> {
        self.disks.read().get(&disk).cloned().ok_or_else(|| {
            RpcError::new(RpcErrorKind::NotFound, format!("this node has no disk {disk}"))
        })
    }
}

impl Disk {
    fn serving(&self) -> Result<(&dyn ShardStore, &Gate, &Gate), RpcError> {
        match &self.service {
            Service::Serving { store, reads, writes } => Ok((store.as_ref(), reads, writes)),
            Service::Failed { reason } => {
                Err(RpcError::new(RpcErrorKind::Failed, format!("the disk is failed: {reason}")))
            }
        }
    }

    /// Counts the call and turns its error into the wire's.
    fn answer<T>(&self, call: &'static str, result: Result<T, RpcError>) -> Result<T, RpcError> {
        let outcome = result.as_ref().map_or_else(|error| outcome(&error.kind), |_| "ok");
        self.metrics.call(call, outcome);
        result
    }

    async fn put(&self, put: PutChunks) -> Result<(), RpcError> {
        let (store, _, writes) = self.serving()?;
        let _permit = writes.enter().await?;
        let bytes: usize = put.chunks.iter().map(|chunk| chunk.bytes.len()).sum();
        store.put(put).await?;
        self.metrics.written_bytes.increment(bytes as u64);
        Ok(())
    }

    async fn confirm(&self, shards: Vec<ShardId>) -> Result<(), RpcError> {
        let (store, _, writes) = self.serving()?;
        let _permit = writes.enter().await?;
        Ok(store.confirm(shards).await?)
    }

    async fn read(&self, shard: ShardId, stripe: u32) -> Result<Chunk, RpcError> {
        let (store, reads, _) = self.serving()?;
        let _permit = reads.enter().await?;
        match store.read(shard, stripe).await {
            Ok(chunk) => {
                self.metrics.read_bytes.increment(chunk.bytes.len() as u64);
                Ok(chunk)
            }
            Err(error) => {
                if matches!(error, Error::Corrupt { .. }) {
                    self.metrics.corrupt_chunks.increment(1);
                    tracing::error!(%error, "corrupt chunk on disk");
                }
                Err(error.into())
            }
        }
    }

    async fn delete(&self, shards: Vec<ShardId>) -> Result<(), RpcError> {
        let (store, _, writes) = self.serving()?;
        let _permit = writes.enter().await?;
        Ok(store.delete(shards).await?)
    }

    async fn inventory(
        &self,
        after: Option<ShardId>,
        limit: u32,
    ) -> Result<Vec<ShardEntry>, RpcError> {
        let (store, reads, _) = self.serving()?;
        let _permit = reads.enter().await?;
        Ok(store.inventory(after, limit).await?)
    }

    /// One chunk at a time, so that readers of the disk come in between.
    async fn verify(
        &self,
        mut after: Option<ShardId>,
        bytes_max: u64,
    ) -> Result<Verified, RpcError> {
        let mut verified = Verified::default();
        let mut looked_at = 0;
        loop {
            let page = self.inventory(after, VERIFY_PAGE).await?;
            let at_end = page.len() < VERIFY_PAGE as usize;
            for entry in page {
                after = Some(entry.shard);
                looked_at += 1;
                if let Some(stripes) = entry.stripes {
                    verified.shards += 1;
                    verified.bytes += entry.bytes;
                    if !self.is_intact(entry.shard, stripes).await? {
                        verified.bad.push(entry);
                    }
                }
                if verified.bytes >= bytes_max || looked_at >= INVENTORY_LIMIT_MAX {
                    return Ok(Verified { next: after, ..verified });
                }
            }
            if at_end {
                return Ok(verified);
            }
        }
    }

    /// Whether every chunk of a shard is what was written, or the shard was deleted meanwhile. A
    /// chunk that the disk cannot read is lost like one that it reads wrong.
    async fn is_intact(&self, shard: ShardId, stripes: u32) -> Result<bool, RpcError> {
        for stripe in 0..stripes {
            match self.read(shard, stripe).await {
                Ok(_) => {}
                Err(error) if error.kind == RpcErrorKind::NotFound => {
                    return Ok(!self.has(shard).await?);
                }
                Err(error)
                    if matches!(error.kind, RpcErrorKind::Corrupt | RpcErrorKind::Failed) =>
                {
                    return Ok(false);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    async fn has(&self, shard: ShardId) -> Result<bool, RpcError> {
        let before = match shard.rank.checked_sub(1) {
            Some(rank) => Some(ShardId { rank, ..shard }),
            None => u128::from_be_bytes(*shard.blob.as_bytes()).checked_sub(1).map(|blob| {
                ShardId { blob: BlobId::from_bytes(blob.to_be_bytes()), rank: u8::MAX }
            }),
        };
        let next = self.inventory(before, 1).await?;
        Ok(next.first().is_some_and(|entry| entry.shard == shard))
    }

    /// A disk that cannot even say how it is, is a failed one: that is an answer too.
    async fn stat(&self, now: UnixMillis) -> DiskStat {
        let unable = DiskStat {
            capacity_bytes: 0,
            used_bytes: 0,
            writable: false,
            readable: false,
            at: now,
        };
        let stat = match &self.service {
            Service::Serving { store, .. } => store.stat().await.unwrap_or(unable),
            Service::Failed { .. } => unable,
        };
        self.metrics.used_bytes.set(stat.used_bytes as f64);
        self.metrics.capacity_bytes.set(stat.capacity_bytes as f64);
        self.metrics.writable.set(f64::from(u8::from(stat.writable)));
        stat
    }
}

fn outcome(kind: &RpcErrorKind) -> &'static str {
    match kind {
        RpcErrorKind::NotFound => "not_found",
        RpcErrorKind::Conflict => "conflict",
        RpcErrorKind::Corrupt => "corrupt",
        RpcErrorKind::NoSpace => "no_space",
        RpcErrorKind::Busy => "busy",
        RpcErrorKind::Failed => "failed",
        RpcErrorKind::Invalid => "invalid",
        _ => "other",
    }
}

#[async_trait]
impl ShardService for DataNode {
    async fn put(&self, disk: DiskId, put: PutChunks) -> Result<(), RpcError> {
        let disk = self.disk(disk)?;
        disk.answer("put", disk.put(put).await)
    }

    async fn confirm(&self, disk: DiskId, shards: Vec<ShardId>) -> Result<(), RpcError> {
        let disk = self.disk(disk)?;
        disk.answer("confirm", disk.confirm(shards).await)
    }

    async fn read(&self, disk: DiskId, shard: ShardId, stripe: u32) -> Result<Chunk, RpcError> {
        let disk = self.disk(disk)?;
        disk.answer("read", disk.read(shard, stripe).await)
    }

    async fn delete(&self, disk: DiskId, shards: Vec<ShardId>) -> Result<(), RpcError> {
        let disk = self.disk(disk)?;
        disk.answer("delete", disk.delete(shards).await)
    }

    async fn inventory(
        &self,
        disk: DiskId,
        after: Option<ShardId>,
        limit: u32,
    ) -> Result<Vec<ShardEntry>, RpcError> {
        let disk = self.disk(disk)?;
        disk.answer("inventory", disk.inventory(after, limit).await)
    }

    async fn verify(
        &self,
        disk: DiskId,
        after: Option<ShardId>,
        bytes_max: u64,
    ) -> Result<Verified, RpcError> {
        let disk = self.disk(disk)?;
        disk.answer("verify", disk.verify(after, bytes_max.min(VERIFY_BYTES_MAX)).await)
    }

    async fn stat(&self, disk: DiskId) -> Result<DiskStat, RpcError> {
        let disk = self.disk(disk)?;
        let stat = disk.stat(UnixMillis(self.clock.now_ms())).await;
        disk.answer("stat", Ok(stat))
    }
}
