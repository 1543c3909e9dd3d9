//! What a store can answer other than success. The kinds are few and each says
//! what the caller does next.

use proto::{RpcError, RpcErrorKind};
use types::ShardId;

/// Why a store did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The disk is full (or down to its reserve). Deleting makes room again.
    #[error("the disk is full: delete objects or add disks")]
    NoSpace,
    /// Bytes fail their digest or checksum: those that were sent or those that are stored.
    #[error("{what} of shard {}/{} is corrupt", shard.blob, shard.rank)]
    Corrupt {
        /// The shard.
        shard: ShardId,
        /// Which part of it.
        what: String,
    },
    /// The store's own structures are damaged; not a single shard's bytes.
    #[error("the shard store is damaged: {0}; the disk has to be rebuilt from the other shards")]
    Damaged(String),
    /// No such shard, or no such chunk of it, or it was never sealed.
    #[error("no chunk {stripe} of shard {}/{} here", shard.blob, shard.rank)]
    NotFound {
        /// The shard.
        shard: ShardId,
        /// The stripe that was asked for.
        stripe: u32,
    },
    /// The request contradicts what is stored. Final.
    #[error("shard {}/{}: {reason}", shard.blob, shard.rank)]
    Conflict {
        /// The shard.
        shard: ShardId,
        /// What contradicts.
        reason: &'static str,
    },
    /// The request breaks a documented bound. Final.
    #[error("{0}")]
    Invalid(String),
    /// The store was closed, or cannot be reached just now. Try later.
    #[error("the shard store is not available: {0}")]
    Unavailable(String),
    /// The disk failed. The store takes no more writes until it is opened again.
    #[error("the disk failed: {0}")]
    Failed(String),
}

impl Error {
    /// The kind by which a caller on another node decides.
    pub fn kind(&self) -> RpcErrorKind {
        match self {
            Self::NoSpace => RpcErrorKind::NoSpace,
            Self::Corrupt { .. } => RpcErrorKind::Corrupt,
            Self::NotFound { .. } => RpcErrorKind::NotFound,
            Self::Conflict { .. } => RpcErrorKind::Conflict,
            Self::Invalid(_) => RpcErrorKind::Invalid,
            Self::Unavailable(_) => RpcErrorKind::Busy,
            Self::Damaged(_) | Self::Failed(_) => RpcErrorKind::Failed,
        }
    }
}

impl From<Error> for RpcError {
    fn from(error: Error) -> Self {
        Self::new(error.kind(), error.to_string())
    }
}
