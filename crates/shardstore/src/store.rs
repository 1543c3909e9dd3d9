//! The seam between a data node and what keeps its shards: one store a disk.
//!
//! ```text
//! put (pending) -> put seal (durable) -> confirm (the index references it) -> delete
//! ```
//!
//! A later step may choose another way to put bytes on a disk, so the trait is
//! small; one conformance suite holds every form to the same answers.

use async_trait::async_trait;
use proto::shards::{Chunk, DiskStat, PutChunks, ShardEntry};
use types::ShardId;

use crate::Error;

/// The most entries that one [`ShardStore::inventory`] call answers.
pub const INVENTORY_MAX: u32 = 10_000;
/// The most chunk bytes that one [`ShardStore::put`] call may carry.
pub const PUT_BYTES_MAX: usize = 64 << 20;
/// The longest object key that a write intent may carry, in bytes. S3 allows 1024.
pub const KEY_BYTES_MAX: usize = 4096;
/// The most shards that one [`ShardStore::confirm`] or [`ShardStore::delete`] call may name.
pub const SHARDS_MAX: usize = 10_000;

/// The shards of one disk. The calls mean what [`proto::shards::ShardService`] says
/// of them, less the disk id.
///
/// A call that is dropped half-way may or may not have been carried out; it is never
/// carried out in part, except that `confirm` and `delete` of several shards may reach
/// some of them.
#[async_trait]
pub trait ShardStore: Send + Sync + 'static {
    /// Adds chunks to a shard; the first call begins it, and must start at stripe 0.
    ///
    /// Digests are checked before anything is stored ([`Error::Corrupt`]). Repeating a
    /// call with the same content succeeds, before and after the seal. Other content for
    /// a stripe that is there, another intent, a gap, a new chunk after the seal, or a
    /// seal at another length is [`Error::Conflict`] and changes nothing.
    ///
    /// OK of a call with `seal` means that the whole shard is durable; OK of another
    /// means that the next call may follow.
    async fn put(&self, put: PutChunks) -> Result<(), Error>;

    /// Marks shards as committed: what the index knows, whatever the disk holds of them.
    /// Unknown shards are ignored. A mark may be lost in a crash; asking the index
    /// about the pending shard brings it back.
    async fn confirm(&self, shards: Vec<ShardId>) -> Result<(), Error>;

    /// One chunk of a sealed shard, checked against its digest just now
    /// ([`Error::Corrupt`]). [`Error::NotFound`] if the shard is not there or not sealed,
    /// or has no such stripe.
    async fn read(&self, shard: ShardId, stripe: u32) -> Result<Chunk, Error>;

    /// Deletes shards in whatever state. Durable on OK; unknown shards are ignored.
    /// A put that arrives later begins the shard anew.
    async fn delete(&self, shards: Vec<ShardId>) -> Result<(), Error>;

    /// Up to `limit` shards after `after`, in order; never more than [`INVENTORY_MAX`].
    async fn inventory(&self, after: Option<ShardId>, limit: u32)
    -> Result<Vec<ShardEntry>, Error>;

    /// Figures of the disk. Answered as long as the store is open, also when it failed.
    async fn stat(&self) -> Result<DiskStat, Error>;

    /// Makes everything that was answered durable.
    async fn sync(&self) -> Result<(), Error>;

    /// Finishes what was accepted, makes it durable and lets go of the disk. Later calls
    /// answer [`Error::Unavailable`]; closing again succeeds.
    async fn close(&self) -> Result<(), Error>;
}
