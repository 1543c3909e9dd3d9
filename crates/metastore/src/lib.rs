//! Replicated metadata: what the root group and the index partitions hold, the
//! rows it lies in, and the service of a metadata node.
//!
//! Reading order: [`api`] (commands, queries and their answers), [`keys`] and [`rows`]
//! (how state lies in rows), [`root`] and [`index`] (the state machines and their query
//! evaluators), [`model`] (the same semantics once more, over plain maps), [`check`] (what is
//! refused at the door), [`service`] and [`heartbeat`] (a metadata node), [`partitions`] and
//! [`bootstrap`](bootstrap()) (the first directory), [`controller`] (what the root leader does
//! by itself), [`members`] (who votes in the groups), [`local`] (groups in memory).

pub mod api;
mod bootstrap;
pub mod check;
pub mod controller;
pub mod heartbeat;
pub mod index;
pub mod keys;
pub mod local;
pub mod members;

pub mod model;
pub mod partitions;
pub mod root;
pub mod rows;
pub mod service;

pub use bootstrap::{BootstrapError, bootstrap};
pub use controller::{Controller, ControllerSettings, ProfileOverride};
pub use heartbeat::{DiskReport, HeartbeatReport};
pub use index::IndexMachine;
pub use local::LocalGroup;
pub use partitions::presplit;
pub use root::RootMachine;
pub use service::MetaNode;
