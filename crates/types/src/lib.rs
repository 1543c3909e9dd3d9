//! The words that every layer shares: identifiers, units and the descriptions
//! of blobs, objects and the cluster. Nothing here does I/O or knows a wire.
//!
//! Reading order: [`id`] (what things are called), [`policy`] (how a blob is
//! cut), [`blob`] (the bytes of one version or part), [`digest`] (how chunks
//! are checked), [`object`] (what a key names), [`version`] and [`lock`] (what it named and
//! must go on naming), [`bucket`] (what decides its writes), [`storage`] (classes of
//! storage), [`map`] (who is in the cluster).

pub mod blob;
pub mod bucket;
pub mod digest;
pub mod id;
pub mod lock;
pub mod map;
pub mod object;
pub mod policy;
pub mod storage;
pub mod version;

pub use blob::{BlobRef, Encoding, Layout, ShardId, WriteIntent};
pub use bucket::{BucketLock, BucketSettings, Versioning};
pub use digest::ChunkDigest;
pub use id::{
    BlobId, BucketId, ClusterId, DiskId, DiskUuid, Epoch, GroupId, InstanceId, NodeId, PgId,
    UnixMillis, UploadId, WriteId,
};
pub use lock::{DefaultRetention, ObjectLock, Period, Retention, RetentionMode};
pub use map::{
    ClusterMap, Disk, DiskState, FeatureLevel, Former, Location, Node, Partition, PlacementGroup,
    Role,
};
pub use object::{
    Attributes, Checksum, ChecksumAlgorithm, ChecksumKind, Condition, Content, ETag,
    INLINE_BYTES_MAX, Match, ObjectHead,
};
pub use policy::{CodecId, ErasurePolicy};
pub use storage::{
    Compression, DiskClass, Restore, StorageClass, StorageClasses, StorageProfile, UnknownClass,
};
pub use version::{InvalidVersion, Version, VersionId};
