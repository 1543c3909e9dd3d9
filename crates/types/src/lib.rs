//! The words that every layer shares: identifiers, units and the descriptions
//! of blobs, objects and the cluster. Nothing here does I/O or knows a wire.
//!
//! Reading order: [`id`] (what things are called), [`policy`] (how a blob is
//! cut), [`blob`] (the bytes of one version or part), [`digest`] (how chunks
//! are checked), [`object`] (what a key names), [`map`] (who is in the cluster).

pub mod blob;
pub mod digest;
pub mod id;
pub mod map;
pub mod object;
pub mod policy;

pub use blob::{BlobRef, Layout, ShardId, WriteIntent};
pub use digest::ChunkDigest;
pub use id::{
    BlobId, BucketId, ClusterId, DiskId, DiskUuid, Epoch, GroupId, InstanceId, NodeId, PgId,
    UnixMillis, UploadId, WriteId,
};
pub use map::{ClusterMap, Disk, DiskState, Location, Node, Partition, PlacementGroup, Role};
pub use object::{
    Attributes, Checksum, ChecksumAlgorithm, ChecksumKind, Condition, Content, ETag,
    INLINE_BYTES_MAX, ObjectHead,
};
pub use policy::{CodecId, ErasurePolicy};
