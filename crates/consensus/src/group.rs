//! What the rest of the system sees of a replicated group.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use types::{GroupId, NodeId, UnixMillis};

use crate::{
    KvError,
    kv::{KvRead, KvWrite},
};

/// Why a call on a group did not succeed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// This replica does not lead; nothing was done.
    #[error("this replica does not lead group {group}")]
    NotLeader {
        /// The group.
        group: GroupId,
        /// Who leads, as far as this replica knows.
        leader: Option<NodeId>,
    },
    /// The bound on waiting proposals or reads is reached; nothing was done.
    #[error("group {group} has too many requests waiting")]
    Busy {
        /// The group.
        group: GroupId,
    },
    /// Leadership was lost, or the group stopped, while a proposal was under way: it may
    /// still be applied. Retry with the same write id.
    #[error("the outcome of a proposal to group {group} is not known")]
    UnknownOutcome {
        /// The group.
        group: GroupId,
    },
    /// No quorum answered; nothing was read.
    #[error("group {group} has no quorum")]
    NoQuorum {
        /// The group.
        group: GroupId,
    },
    /// The replica has stopped and this process must restart: an fsync failed, the log is
    /// corrupt, or a command is unknown to this version.
    #[error("group {group} has stopped: {reason}")]
    Stopped {
        /// The group.
        group: GroupId,
        /// What happened.
        reason: String,
    },
    /// The call itself is wrong, and nothing was done: a command above 1 MiB, or a voter
    /// that is not a member. Final.
    #[error("group {group} refuses the call: {reason}")]
    Invalid {
        /// The group.
        group: GroupId,
        /// What is wrong.
        reason: String,
    },
    /// Reading rows failed.
    #[error(transparent)]
    Kv(#[from] KvError),
}

/// What a state machine is told with each command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ApplyContext {
    /// Log index of the entry that carries the command. Several commands share one.
    pub index: u64,
    /// The time that the leader proposed, clamped so that it never goes back.
    pub now: UnixMillis,
}

/// A command that this version does not know, or rows that it cannot read. The group
/// halts rather than skip it: replicas must never differ.
#[derive(Debug, Clone, thiserror::Error)]
#[error("state machine cannot apply a command: {0}")]
pub struct Halt(pub String);

impl From<KvError> for Halt {
    fn from(error: KvError) -> Self {
        Halt(error.to_string())
    }
}

/// A deterministic state machine: the same commands on the same rows give the same rows
/// and answers on every replica, in every build. No clock, no randomness, no floats, no
/// iteration over unordered maps.
pub trait StateMachine: Send + Sync + 'static {
    /// Applies one command. A refusal (condition failed, bucket sealed) is an answer.
    fn apply(
        &self,
        rows: &mut dyn KvWrite,
        context: ApplyContext,
        command: &[u8],
    ) -> Result<Bytes, Halt>;
}

/// Raft state of one group on one node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The group.
    pub group: GroupId,
    /// This node.
    pub node: NodeId,
    /// Current term.
    pub term: u64,
    /// Who leads, as far as this replica knows.
    pub leader: Option<NodeId>,
    /// Last index in the log.
    pub last_log_index: u64,
    /// Last index applied.
    pub applied_index: u64,
    /// Last index covered by a snapshot.
    pub snapshot_index: u64,
    /// Voters of the current membership; of both, while it is changing.
    pub voters: BTreeSet<NodeId>,
    /// Replicas without a vote. On the leader with the last index that is known to be in their
    /// log, elsewhere with 0.
    pub learners: BTreeMap<NodeId, u64>,
    /// A change of the voters is half done: it takes a majority of the old and of the new ones.
    pub changing: bool,
    /// Set once the replica has stopped.
    pub stopped: Option<String>,
}

/// One replica of a Raft group, as its users see it.
#[async_trait]
pub trait ConsensusGroup: Send + Sync + 'static {
    /// The group.
    fn id(&self) -> GroupId;

    /// Commits and applies a command; the answer is the state machine's. At most 1 MiB.
    async fn propose(&self, command: Bytes) -> Result<Bytes, Error>;

    /// Returns once this replica has applied everything that was committed when the call
    /// began, and leads. A read after it is linearizable.
    async fn read_barrier(&self) -> Result<(), Error>;

    /// Runs `visit` on a consistent view of the applied rows. Blocking: reads disk.
    fn view(&self, visit: &mut dyn FnMut(&dyn KvRead) -> Result<(), KvError>) -> Result<(), Error>;

    /// Adds a replica that follows without a vote; returns once that is committed. How far it
    /// has caught up is in [`Status::learners`].
    async fn add_learner(&self, node: NodeId, address: String) -> Result<(), Error>;

    /// Sets the voters, each a learner or voter now; everybody else leaves the group. Only one
    /// change at a time; one that a former leader left half done is completed by the next.
    /// A learner should have caught up, or the group may have to wait for it.
    async fn change_membership(&self, voters: BTreeSet<NodeId>) -> Result<(), Error>;

    /// Lets another voter lead, within a fraction of an election timeout. New requests wait
    /// meanwhile and are then sent to the new leader. Does nothing on a replica that does not
    /// lead or is the only voter. `NoQuorum`: no other voter is known to have taken over.
    async fn hand_over(&self) -> Result<(), Error>;

    /// Raft state.
    fn status(&self) -> Status;

    /// Stops the replica; durable state stays.
    async fn shutdown(&self);
}
