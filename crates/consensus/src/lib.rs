//! Replicated groups: many Raft groups a process over openraft, one RocksDB a node
//! shared by all of them, so that one WAL fsync serves many.
//!
//! Reading order: [`kv`] (rows), [`group`] (what users see), `host` (a node's groups),
//! `raft_group` with `proposals`, `reads` and `handover` (one replica), `log` and `machine` (what
//! openraft asks of us), `store` (RocksDB or a simulated disk, and group commit), `rows`, `snapshot`, `record`
//! and `keys` (what is on disk), `network` and `wire` (what peers say to each other).
//!
//! What keeps it safe, and where: votes and entries are fsynced before they are
//! acknowledged (`store::writer`); after a failed write or fsync nothing is served
//! (`store`); rows, applied position, membership and clock change together (`machine`);
//! a restarted leader commits an entry of its own before it serves reads (`reads`);
//! a node under a new data folder is refused (`instances`).

mod error;
mod format;
pub mod group;
mod handover;
mod host;
mod instances;
mod keys;
pub mod kv;
mod log;
mod machine;
mod metrics;
mod network;
mod patience;
mod proposals;
mod pulse;
mod raft_group;
mod raft_types;
mod reads;
mod record;
mod rows;
mod settings;
mod snapshot;
mod store;
mod wire;

#[cfg(test)]
mod suite;

pub use error::{OpenError, StartError};
pub use group::{ApplyContext, ConsensusGroup, Error, Halt, StateMachine, Status};
pub use host::Host;
pub use kv::{KvError, KvRead, KvWrite, MemoryKv, Row};
pub use raft_group::RaftGroup;
pub use settings::{HostSettings, OnFatal, PeerDirectory, RaftTimings};
pub use store::MemoryDisk;
