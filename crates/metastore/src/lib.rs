//! Replicated metadata: what the root group and the index partitions hold, the
//! rows it lies in, and the service of a metadata node.
//!
//! Reading order: [`api`] (commands, queries and their answers), [`keys`] and [`rows`]
//! (how state lies in rows), [`root`] and [`index`] (the state machines and their query
//! evaluators), [`partitions`] (the first directory), [`local`] (groups in memory).

pub mod api;
pub mod index;
pub mod keys;
pub mod local;
pub mod partitions;
pub mod root;
pub mod rows;

pub use index::IndexMachine;
pub use local::LocalGroup;
pub use partitions::presplit;
pub use root::RootMachine;
