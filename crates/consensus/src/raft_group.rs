//! A replica of one group: [`ConsensusGroup`] over openraft.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use openraft::{
    BasicNode, ChangeMembers, ServerState,
    error::{ChangeMembershipError, ClientWriteError, RaftError},
};
use platform::Clock;
use types::{GroupId, NodeId};

use crate::{
    ConsensusGroup, Error, KvError, KvRead, Status,
    handover::{Gate, Reach},
    proposals::Proposals,
    pulse::Pulse,
    raft_types::Raft,
    reads::Reads,
    rows::Rows,
};

/// A running replica. Made by [`Host::start_group`](crate::Host::start_group).
pub struct RaftGroup {
    id: GroupId,
    node: NodeId,
    pub(crate) raft: Raft,
    pub(crate) rows: Arc<Rows>,
    pub(crate) pulse: Pulse,
    /// One snapshot is received at a time.
    pub(crate) receiving: tokio::sync::Mutex<()>,
    pub(crate) reach: Reach,
    pub(crate) gate: Gate,
    /// One hand-over at a time.
    pub(crate) giving_way: tokio::sync::Mutex<()>,
    leaving: AtomicBool,
    proposals: Proposals,
    reads: Reads,
    limit: Duration,
}

impl RaftGroup {
    pub(crate) fn new(
        node: NodeId,
        raft: Raft,
        rows: Arc<Rows>,
        pulse: Pulse,
        clock: Arc<dyn Clock>,
        limit: Duration,
        reach: Reach,
    ) -> Self {
        let id = rows.group;
        pulse.watch(&raft);
        let gate = Gate::default();
        let proposals = Proposals::start(
            id,
            raft.clone(),
            Arc::clone(&clock),
            pulse.clone(),
            Arc::clone(&gate),
        );
        let reads =
            Reads::start(id, node, raft.clone(), pulse.clone(), clock, limit, Arc::clone(&gate));
        let (receiving, giving_way) = (tokio::sync::Mutex::new(()), tokio::sync::Mutex::new(()));
        let leaving = AtomicBool::new(false);
        Self {
            id,
            node,
            raft,
            rows,
            pulse,
            receiving,
            reach,
            gate,
            giving_way,
            leaving,
            proposals,
            reads,
            limit,
        }
    }

    pub(crate) fn node(&self) -> NodeId {
        self.node
    }

    /// From now on this replica does not stand for election: its node is about to stop.
    pub(crate) fn leave(&self) {
        self.leaving.store(true, Ordering::SeqCst);
        self.raft.runtime_config().elect(false);
    }

    pub(crate) fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::SeqCst)
    }

    /// Forms the group from `voters`, unless it has entries already.
    pub(crate) async fn initialize(&self, voters: BTreeMap<u64, BasicNode>) -> Result<(), Error> {
        use openraft::error::InitializeError;
        // Asked first because openraft logs a refusal as an error, at every restart.
        match self.raft.is_initialized().await {
            Ok(true) => return Ok(()),
            Ok(false) => {}
            Err(fatal) => return Err(self.stopped_with(&fatal.to_string())),
        }
        match self.raft.initialize(voters).await {
            Ok(()) | Err(RaftError::APIError(InitializeError::NotAllowed(_))) => Ok(()),
            Err(RaftError::APIError(error)) => {
                Err(Error::Invalid { group: self.id, reason: error.to_string() })
            }
            Err(RaftError::Fatal(fatal)) => Err(self.stopped_with(&fatal.to_string())),
        }
    }

    fn stopped_with(&self, reason: &str) -> Error {
        Error::Stopped { group: self.id, reason: self.pulse.why_stopped(reason) }
    }

    fn check_running(&self) -> Result<(), Error> {
        match self.pulse.stopped() {
            Some(reason) => Err(Error::Stopped { group: self.id, reason }),
            None => Ok(()),
        }
    }

    /// Refuses early if this replica knows that it does not lead.
    fn check_leads(&self) -> Result<(), Error> {
        self.check_running()?;
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow();
        match metrics.state == ServerState::Leader {
            true => Ok(()),
            false => {
                let leader = metrics.current_leader.map(NodeId).filter(|id| *id != self.node);
                Err(Error::NotLeader { group: self.id, leader })
            }
        }
    }

    /// What a refused change of members means. It was proposed while this replica led, so
    /// a loss of leadership leaves the outcome open.
    fn change_refused(&self, error: RaftError<u64, ClientWriteError<u64, BasicNode>>) -> Error {
        let group = self.id;
        match error {
            RaftError::APIError(ClientWriteError::ForwardToLeader(_)) => {
                Error::UnknownOutcome { group }
            }
            RaftError::APIError(ClientWriteError::ChangeMembershipError(
                ChangeMembershipError::InProgress(_),
            )) => Error::Busy { group },
            RaftError::APIError(error) => Error::Invalid { group, reason: error.to_string() },
            RaftError::Fatal(fatal) => self.stopped_with(&fatal.to_string()),
        }
    }
}

impl Drop for RaftGroup {
    /// A group that nobody holds any more ends; that is no failure of this node.
    fn drop(&mut self) {
        self.pulse.close();
    }
}

#[async_trait]
impl ConsensusGroup for RaftGroup {
    fn id(&self) -> GroupId {
        self.id
    }

    async fn propose(&self, command: Bytes) -> Result<Bytes, Error> {
        self.check_running()?;
        let answer = self.proposals.submit(command)?;
        let unknown = Error::UnknownOutcome { group: self.id };
        match tokio::time::timeout(self.limit, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) | Err(_) => Err(unknown),
        }
    }

    async fn read_barrier(&self) -> Result<(), Error> {
        self.check_running()?;
        let answer = self.reads.join()?;
        // The barrier has the same limit; a read may wait for the one before it, too.
        match tokio::time::timeout(self.limit * 2, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(self.stopped_with("the read batcher has ended")),
            Err(_) => Err(Error::NoQuorum { group: self.id }),
        }
    }

    fn view(&self, visit: &mut dyn FnMut(&dyn KvRead) -> Result<(), KvError>) -> Result<(), Error> {
        self.check_running()?;
        Ok(self.rows.view(visit)?)
    }

    async fn add_learner(&self, node: NodeId, address: String) -> Result<(), Error> {
        self.check_leads()?;
        let added = self.raft.add_learner(node.0, BasicNode::new(address), false).await;
        added.map(|_| ()).map_err(|error| self.change_refused(error))
    }

    async fn change_membership(&self, voters: BTreeSet<NodeId>) -> Result<(), Error> {
        self.check_leads()?;
        let voters: BTreeSet<u64> = voters.into_iter().map(|node| node.0).collect();
        // Who is no longer a voter leaves the group, and so do learners that did not become one.
        let changed = self.raft.change_membership(voters.clone(), false).await;
        changed.map_err(|error| self.change_refused(error))?;
        let others: BTreeSet<u64> = {
            let metrics = self.raft.metrics();
            let metrics = metrics.borrow();
            let nodes = metrics.membership_config.nodes();
            nodes.map(|(node, _)| *node).filter(|node| !voters.contains(node)).collect()
        };
        if others.is_empty() {
            return Ok(());
        }
        let changed = self.raft.change_membership(ChangeMembers::RemoveNodes(others), false).await;
        changed.map(|_| ()).map_err(|error| self.change_refused(error))
    }

    async fn hand_over(&self) -> Result<(), Error> {
        self.check_running()?;
        self.give_way().await
    }

    fn status(&self) -> Status {
        let metrics = self.raft.metrics().borrow().clone();
        let membership = metrics.membership_config.membership();
        let voters: BTreeSet<NodeId> = membership.voter_ids().map(NodeId).collect();
        let replication = metrics.replication.as_ref();
        let matched = |node: &u64| {
            let matched = replication.and_then(|progress| progress.get(node).copied().flatten());
            matched.map_or(0, |id| id.index)
        };
        let nodes = membership.nodes().map(|(node, _)| node);
        let learners = nodes.filter(|node| !voters.contains(&NodeId(**node)));
        let learners = learners.map(|node| (NodeId(*node), matched(node))).collect();
        // openraft goes on naming a leader that has left the group.
        let leads = metrics.state == ServerState::Leader;
        let leader = metrics.current_leader.filter(|leader| *leader != self.node.0 || leads);
        Status {
            group: self.id,
            node: self.node,
            term: metrics.current_term,
            leader: leader.map(NodeId),
            last_log_index: metrics.last_log_index.unwrap_or(0),
            applied_index: metrics.last_applied.map_or(0, |id| id.index),
            snapshot_index: metrics.snapshot.map_or(0, |id| id.index),
            learners,
            changing: membership.get_joint_config().len() > 1,
            voters,
            stopped: self.pulse.stopped(),
        }
    }

    async fn shutdown(&self) {
        self.pulse.close();
        if let Err(error) = self.raft.shutdown().await {
            tracing::warn!(group = %self.id, %error, "the raft core did not end cleanly");
        }
        self.rows.close().await;
    }
}
