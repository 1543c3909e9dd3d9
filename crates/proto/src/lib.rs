//! The wire between nodes: gRPC services generated from `/proto`, behind plain
//! Rust traits. No other crate sees a prost or tonic type.
//!
//! Each service is one trait ([`raft::RaftService`], [`meta::MetaService`],
//! [`shards::ShardService`]) in domain types. The node that owns the data
//! implements it; [`remote`] implements it over a connection; [`serve`] puts an
//! implementation behind a listener. In one process the caller holds the
//! implementation itself and the call skips the network, nothing else.

pub mod error;
pub mod meta;
pub mod raft;
pub mod shards;

pub use error::{RpcError, RpcErrorKind};
