//! Typed clients of the cluster: what the object layer and the workers hold.
//!
//! [`Metadata`] routes typed commands and queries to the leader of the right group by
//! the cached cluster map; [`Shards`] addresses disks. Deadlines, retries and
//! suspicion of disks that do not answer live here, once.
//!
//! Reading order: [`metadata`] and [`shards`] (what callers see), [`map`], [`client`]
//! (metadata over metadata nodes), [`disks`] (disks over data nodes), [`memory`] (all of it without a network, for tests).

pub mod client;
pub mod data_nodes;
pub mod disks;
pub mod map;
pub mod memory;
pub mod meta_keeper;
pub mod meta_nodes;
pub mod metadata;
mod route;
pub mod shards;
mod suspicion;

pub use client::{MetadataClient, MetadataSettings};
pub use data_nodes::DataNodes;
pub use disks::{DiskClient, DiskDeadlines};
pub use map::MapCache;
pub use memory::{DiskFault, MemoryCluster, MemorySettings};
pub use meta_keeper::MetaKeeper;
pub use meta_nodes::MetaNodes;
pub use metadata::{Metadata, MetadataError};
pub use shards::{ShardError, Shards};
