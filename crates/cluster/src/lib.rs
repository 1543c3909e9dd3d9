//! Typed clients of the cluster: what the object layer and the workers hold.
//!
//! [`Metadata`] routes typed commands and queries to the leader of the right group by
//! the cached cluster map; [`Shards`] addresses disks. Deadlines, retries and
//! suspicion of disks that do not answer live here, once.

pub mod metadata;
pub mod shards;

pub use metadata::{Metadata, MetadataError};
pub use shards::{ShardError, Shards};
