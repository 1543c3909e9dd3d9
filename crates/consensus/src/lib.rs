//! Replicated groups: many Raft groups a process over openraft, one RocksDB a node
//! shared by all of them, so that one WAL fsync serves many.
//!
//! Reading order: [`kv`] (rows), [`group`] (what users see).

pub mod group;
pub mod kv;

pub use group::{ApplyContext, ConsensusGroup, Error, Halt, StateMachine, Status};
pub use kv::{KvError, KvRead, KvWrite, MemoryKv, Row};
