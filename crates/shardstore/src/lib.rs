//! The shards of a data node: what one disk holds, and the service over all disks.
//!
//! Reading order: [`store`] (the trait and its promises), [`error`], [`memory`]
//! (the reference model, which is also the mock), [`node`] (the service of a data
//! node over its disks), [`metrics`].

pub mod error;
mod gate;
pub mod memory;
pub mod metrics;
pub mod node;
pub mod store;
mod verify;

pub use error::Error;
pub use memory::MemoryStore;
pub use node::{DataNode, Limits};
pub use store::ShardStore;
