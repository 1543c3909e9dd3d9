//! The wire between nodes: gRPC services generated from `/proto`, behind plain
//! Rust traits. No other crate sees a prost or tonic type.
//!
//! Each service is one trait ([`raft::RaftService`], [`meta::MetaService`],
//! [`shards::ShardService`]) in domain types. The node that owns the data
//! implements it; [`remote`] implements it over a connection; [`mod@serve`] puts an
//! implementation behind a listener. In one process the caller holds the
//! implementation itself and the call skips the network, nothing else.

mod channel;
mod codec;
pub mod error;
mod headers;
pub mod identity;
pub mod meta;
mod pb;
pub mod raft;
pub mod remote;
mod request_id;
pub mod serve;
pub mod shards;
mod status;
mod timeouts;
pub mod transport;
mod wire;

pub use channel::ChannelSettings;
pub use error::{RpcError, RpcErrorKind};
pub use headers::{PROTOCOL_MAJOR, PROTOCOL_MINOR};
pub use identity::{ClusterSecret, Identity, InvalidSecret};
pub use remote::Peers;
pub use serve::{ServeSettings, Services, serve};
pub use timeouts::Timeouts;
pub use transport::{Dialer, Listener};
pub use wire::{MESSAGE_BYTES_MAX, SNAPSHOT_CHUNK_BYTES_MAX};
