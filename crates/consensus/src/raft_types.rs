//! The types that openraft is instantiated with, inside this crate only.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::snapshot::SnapshotData;

openraft::declare_raft_types!(
    /// Our openraft configuration.
    pub(crate) TypeConfig:
        D = Batch,
        R = Replies,
        NodeId = u64,
        Node = openraft::BasicNode,
        SnapshotData = SnapshotData,
);

pub(crate) type LogId = openraft::LogId<u64>;
pub(crate) type Vote = openraft::Vote<u64>;
pub(crate) type Entry = openraft::Entry<TypeConfig>;
pub(crate) type Membership = openraft::Membership<u64, openraft::BasicNode>;
pub(crate) type StoredMembership = openraft::StoredMembership<u64, openraft::BasicNode>;
pub(crate) type SnapshotMeta = openraft::SnapshotMeta<u64, openraft::BasicNode>;
pub(crate) type StorageError = openraft::StorageError<u64>;
pub(crate) type Raft = openraft::Raft<TypeConfig>;

/// What one log entry carries: several commands and the time at which the leader
/// proposed them.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Batch {
    /// Leader's clock, milliseconds since the Unix epoch.
    pub(crate) now_ms: u64,
    /// In the order in which they are applied.
    pub(crate) commands: Vec<Bytes>,
    /// Known only to the process that proposed it; not stored, not sent.
    #[serde(skip)]
    pub(crate) appended: Appended,
}

/// Set once an entry has been handed to the local log. openraft answers ForwardToLeader
/// both to a proposal that it never took and to one whose entry it later removed; the
/// second may still be committed elsewhere, so the two must not be confused.
#[derive(Clone, Debug, Default)]
pub(crate) struct Appended(Arc<AtomicBool>);

impl Appended {
    pub(crate) fn set(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    pub(crate) fn is_set(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// The state machine's answers to the commands of one entry, in their order.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Replies(pub(crate) Vec<Bytes>);
