//! Shard calls: gateways and repair to data nodes.

use async_trait::async_trait;
use bytes::Bytes;
use types::{ChunkDigest, DiskId, ShardId, UnixMillis, WriteIntent};

use crate::RpcError;

/// One chunk with the digest that proves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// The content.
    pub bytes: Bytes,
    /// [`ChunkDigest::of`] the shard, the stripe and the content.
    pub digest: ChunkDigest,
}

/// Some consecutive chunks of a shard that is being written.
#[derive(Clone, Debug)]
pub struct PutChunks {
    /// The shard.
    pub shard: ShardId,
    /// What the write is for; the same in every call for one shard.
    pub intent: WriteIntent,
    /// The stripe of the first chunk; calls for one shard follow each other without gap.
    pub first_stripe: u32,
    /// The chunks of stripes `first_stripe..`.
    pub chunks: Vec<Chunk>,
    /// Whether these are the last. On OK of a sealing call the whole shard is fsynced.
    pub seal: bool,
}

/// Whether the index is known to reference a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShardState {
    /// Written, but the commit was not confirmed (yet).
    Pending,
    /// Committed.
    Confirmed,
}

/// A shard as an inventory lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardEntry {
    /// The shard.
    pub shard: ShardId,
    /// Its state.
    pub state: ShardState,
    /// What it was written for.
    pub intent: WriteIntent,
    /// Number of chunks; `None` if it was never sealed.
    pub stripes: Option<u32>,
    /// Bytes of its chunks.
    pub bytes: u64,
}

/// Figures of a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskStat {
    /// Bytes that the disk's file system can hold for us.
    pub capacity_bytes: u64,
    /// Bytes in use on it.
    pub used_bytes: u64,
    /// Whether it takes writes (false: full, or failed and out of service).
    pub writable: bool,
    /// Whether it answers reads.
    pub readable: bool,
    /// When the figures were taken.
    pub at: UnixMillis,
}

/// The shards of the disks of one data node. A disk that the node does not have
/// answers `NotFound`; an unknown shard too.
#[async_trait]
pub trait ShardService: Send + Sync + 'static {
    /// Adds chunks to a pending shard; the first call begins it. Every digest is checked
    /// before anything is stored (`Corrupt`). A repeated call with the same content
    /// succeeds; other content, a gap or a call after the seal is a `Conflict`.
    /// OK of a call with `seal` means durable; OK of another means accepted.
    async fn put(&self, disk: DiskId, put: PutChunks) -> Result<(), RpcError>;

    /// Marks shards as committed. Unknown shards are ignored: they may have been deleted.
    async fn confirm(&self, disk: DiskId, shards: Vec<ShardId>) -> Result<(), RpcError>;

    /// One chunk of a sealed shard, verified against its digest just now (`Corrupt`).
    async fn read(&self, disk: DiskId, shard: ShardId, stripe: u32) -> Result<Chunk, RpcError>;

    /// Deletes shards, pending or confirmed. Durable on OK; unknown shards are ignored.
    async fn delete(&self, disk: DiskId, shards: Vec<ShardId>) -> Result<(), RpcError>;

    /// Up to `limit` (at most 10,000) shards after `after`, in order.
    async fn inventory(
        &self,
        disk: DiskId,
        after: Option<ShardId>,
        limit: u32,
    ) -> Result<Vec<ShardEntry>, RpcError>;

    /// Figures of a disk.
    async fn stat(&self, disk: DiskId) -> Result<DiskStat, RpcError>;
}
