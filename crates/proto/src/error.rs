//! What a call between nodes can answer other than success.

use serde::{Deserialize, Serialize};
use types::NodeId;

/// Why a call failed, by what the caller does next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RpcErrorKind {
    /// The peer was not reached, so the request was not carried out. Try another or later.
    Unreachable,
    /// No answer before the deadline: the request may or may not have been carried out.
    Deadline,
    /// This replica does not lead the group; ask the leader if it is known.
    NotLeader {
        /// The leader as far as this replica knows.
        leader: Option<NodeId>,
    },
    /// The request carried an old epoch; fetch the cluster map and route again.
    StaleEpoch,
    /// Another cluster, an unknown node, or a wrong cluster secret. Final.
    Refused,
    /// What was asked for is not there.
    NotFound,
    /// The request contradicts what is stored. Final.
    Conflict,
    /// The bytes fail their digest.
    Corrupt,
    /// The disk is full.
    NoSpace,
    /// A bound was reached (queue, memory, rate). Try later.
    Busy,
    /// The disk or the node cannot serve; somebody must look.
    Failed,
    /// The request is malformed. Final.
    Invalid,
}

/// A failed call: the kind decides, the message explains.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[error("{message}")]
pub struct RpcError {
    /// What the caller does next.
    pub kind: RpcErrorKind,
    /// One clear sentence for the log.
    pub message: String,
}

impl RpcError {
    /// An error of this kind.
    pub fn new(kind: RpcErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }
}
