//! Shards as their users see them: addressed by disk, wherever the disk is.

use async_trait::async_trait;
use proto::shards::{Chunk, DiskStat, PutChunks, ShardEntry, Verified};
use types::{DiskId, ShardId};

/// Why a disk did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ShardError {
    /// Not reached, no answer in time, or busy: the disk may be back soon.
    #[error("disk {disk} does not answer: {reason}")]
    Unavailable {
        /// The disk.
        disk: DiskId,
        /// What happened.
        reason: String,
    },
    /// The disk is full.
    #[error("disk {0} is full")]
    NoSpace(DiskId),
    /// The shard is not there.
    #[error("disk {disk} has no shard {shard:?}")]
    NotFound {
        /// The disk.
        disk: DiskId,
        /// The shard.
        shard: ShardId,
    },
    /// The chunk fails its digest, on disk or on the way.
    #[error("disk {disk}: a chunk of {shard:?} is corrupt")]
    Corrupt {
        /// The disk.
        disk: DiskId,
        /// The shard.
        shard: ShardId,
    },
    /// The disk is failing or the request was refused; somebody must look.
    #[error("disk {disk}: {reason}")]
    Failed {
        /// The disk.
        disk: DiskId,
        /// What happened.
        reason: String,
    },
}

/// The disks of the cluster. Every call has a deadline of its own.
#[async_trait]
pub trait Shards: Send + Sync + 'static {
    /// See [`proto::shards::ShardService::put`].
    async fn put(&self, disk: DiskId, put: PutChunks) -> Result<(), ShardError>;

    /// See [`proto::shards::ShardService::confirm`].
    async fn confirm(&self, disk: DiskId, shards: Vec<ShardId>) -> Result<(), ShardError>;

    /// One chunk. Its digest has been checked on this side too.
    async fn read(&self, disk: DiskId, shard: ShardId, stripe: u32) -> Result<Chunk, ShardError>;

    /// See [`proto::shards::ShardService::delete`].
    async fn delete(&self, disk: DiskId, shards: Vec<ShardId>) -> Result<(), ShardError>;

    /// See [`proto::shards::ShardService::inventory`].
    async fn inventory(
        &self,
        disk: DiskId,
        after: Option<ShardId>,
        limit: u32,
    ) -> Result<Vec<ShardEntry>, ShardError>;

    /// See [`proto::shards::ShardService::verify`].
    async fn verify(
        &self,
        disk: DiskId,
        after: Option<ShardId>,
        bytes_max: u64,
    ) -> Result<Verified, ShardError>;

    /// Figures of a disk.
    async fn stat(&self, disk: DiskId) -> Result<DiskStat, ShardError>;

    /// Whether the disk is worth trying now: not reported down by the cluster map, and it
    /// answered its latest calls. A guess for choosing among disks, never a verdict.
    fn likely_up(&self, disk: DiskId) -> bool;
}
