//! Shard calls: gateways and repair to data nodes.

use async_trait::async_trait;
use bytes::Bytes;
use types::{ChunkDigest, DiskId, Layout, ShardId, UnixMillis, WriteIntent};

use crate::{RpcError, RpcErrorKind};

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

impl PutChunks {
    /// The most content that the chunks of one call may have together, in bytes.
    pub const BYTES_MAX: usize = 8 << 20;

    /// Bytes of all chunks together.
    pub fn content_bytes(&self) -> usize {
        self.chunks.iter().map(|chunk| chunk.bytes.len()).sum()
    }

    /// `Invalid` if a chunk is longer than [`Layout::CHUNK_MAX`] or all together have more
    /// than [`Self::BYTES_MAX`]. Both ends of a connection check it.
    pub fn check_bounds(&self) -> Result<(), RpcError> {
        let invalid = |message| Err(RpcError::new(RpcErrorKind::Invalid, message));
        let longest = self.chunks.iter().map(|chunk| chunk.bytes.len()).max().unwrap_or(0);
        if longest > Layout::CHUNK_MAX {
            return invalid(format!(
                "a chunk of {longest} bytes is longer than {}",
                Layout::CHUNK_MAX
            ));
        }
        let sum = self.content_bytes();
        if sum > Self::BYTES_MAX {
            return invalid(format!("{sum} bytes in one put; at most {} fit", Self::BYTES_MAX));
        }
        Ok(())
    }
}

/// The most shards that one page of an inventory may have.
pub const INVENTORY_LIMIT_MAX: u32 = 10_000;

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

/// What a disk found when it read its own chunks.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Verified {
    /// Sealed shards that were read whole.
    pub shards: u64,
    /// Bytes of their chunks.
    pub bytes: u64,
    /// Those with a chunk that is not what was written, or is not there.
    pub bad: Vec<ShardEntry>,
    /// The last shard that was looked at; `None` at the end of the disk.
    pub next: Option<ShardId>,
}

/// The most bytes that one call of [`ShardService::verify`] reads, unless the first shard has
/// more.
pub const VERIFY_BYTES_MAX: u64 = 256 << 20;

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

    /// Reads the chunks of the sealed shards after `after`, in order, against their digests, until
    /// `bytes_max` (at most [`VERIFY_BYTES_MAX`]) or [`INVENTORY_LIMIT_MAX`] shards are read.
    /// Looks at one shard at least. A chunk that cannot be read is bad, not an error.
    async fn verify(
        &self,
        disk: DiskId,
        after: Option<ShardId>,
        bytes_max: u64,
    ) -> Result<Verified, RpcError>;

    /// Figures of a disk.
    async fn stat(&self, disk: DiskId) -> Result<DiskStat, RpcError>;
}
