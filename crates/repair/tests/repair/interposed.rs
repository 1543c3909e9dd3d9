//! Disks during whose reading something else happens.

use std::{collections::VecDeque, pin::Pin, sync::Arc};

use async_trait::async_trait;
use cluster::{MemoryCluster, ShardError, Shards};
use proto::shards::{Chunk, DiskStat, PutChunks, ShardEntry, Verified};
use types::{DiskId, ShardId};

/// What happens before one call.
pub(crate) type Step = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Each inventory is preceded by the next step.
pub(crate) struct Interposed {
    cluster: Arc<MemoryCluster>,
    steps: tokio::sync::Mutex<VecDeque<Step>>,
}

impl Interposed {
    pub(crate) fn new(cluster: Arc<MemoryCluster>, steps: Vec<Step>) -> Self {
        Self { cluster, steps: tokio::sync::Mutex::new(steps.into()) }
    }

    /// Whether all steps were taken.
    pub(crate) fn is_done(&self) -> bool {
        self.steps.try_lock().is_ok_and(|steps| steps.is_empty())
    }
}

#[async_trait]
impl Shards for Interposed {
    async fn put(&self, disk: DiskId, put: PutChunks) -> Result<(), ShardError> {
        self.cluster.put(disk, put).await
    }

    async fn confirm(&self, disk: DiskId, shards: Vec<ShardId>) -> Result<(), ShardError> {
        self.cluster.confirm(disk, shards).await
    }

    async fn read(&self, disk: DiskId, shard: ShardId, stripe: u32) -> Result<Chunk, ShardError> {
        self.cluster.read(disk, shard, stripe).await
    }

    async fn delete(&self, disk: DiskId, shards: Vec<ShardId>) -> Result<(), ShardError> {
        self.cluster.delete(disk, shards).await
    }

    async fn inventory(
        &self,
        disk: DiskId,
        after: Option<ShardId>,
        limit: u32,
    ) -> Result<Vec<ShardEntry>, ShardError> {
        let mut steps = self.steps.lock().await;
        if let Some(step) = steps.pop_front() {
            step.await;
        }
        drop(steps);
        self.cluster.inventory(disk, after, limit).await
    }

    async fn verify(
        &self,
        disk: DiskId,
        after: Option<ShardId>,
        bytes_max: u64,
    ) -> Result<Verified, ShardError> {
        self.cluster.verify(disk, after, bytes_max).await
    }

    async fn stat(&self, disk: DiskId) -> Result<DiskStat, ShardError> {
        self.cluster.stat(disk).await
    }

    fn likely_up(&self, disk: DiskId) -> bool {
        self.cluster.likely_up(disk)
    }
}
