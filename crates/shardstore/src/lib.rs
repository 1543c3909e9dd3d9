//! The shards of a data node: what one disk holds, and the service over all disks.
//!
//! Reading order: [`store`] (the trait and its promises), [`error`], [`memory`]
//! (the reference model, which is also the mock), [`node`] (the service of a data
//! node over its disks), [`mod@format`] (what makes a folder a disk), [`settings`],
//! [`rocks`] (the plain form: one RocksDB a disk), `keys`, `record`, `chunk_value` and
//! `usage` (its bytes), [`space`], [`metrics`].

pub mod error;
pub mod format;
pub mod memory;
pub mod metrics;
pub mod node;
pub mod rocks;
pub mod settings;
pub mod space;
pub mod store;

mod chunk_value;
mod gate;
mod keys;
mod record;
mod usage;
mod verify;

pub use error::Error;
pub use memory::MemoryStore;
pub use node::{DataNode, Limits};
pub use rocks::{OpenError, RocksStore};
pub use settings::{Memory, Settings};
pub use store::ShardStore;
