//! A replica of one group: [`ConsensusGroup`] over openraft.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use openraft::{
    BasicNode, ServerState,
    error::{ChangeMembershipError, ClientWriteError, RaftError},
};
use platform::Clock;
use types::{GroupId, NodeId};

use crate::{
    ConsensusGroup, Error, KvError, KvRead, Status, proposals::Proposals, pulse::Pulse,
    raft_types::Raft, reads::Reads, rows::Rows,
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
    ) -> Self {
        let id = rows.group;
        pulse.watch(&raft);
        let proposals = Proposals::start(id, raft.clone(), Arc::clone(&clock), pulse.clone());
        let reads = Reads::start(id, node, raft.clone(), pulse.clone(), clock, limit);
        let receiving = tokio::sync::Mutex::new(());
        Self { id, node, raft, rows, pulse, receiving, proposals, reads, limit }
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

    /// Waits until `node` has the log up to `index`.
    async fn wait_for(&self, node: NodeId, index: u64) -> Result<(), Error> {
        let mut metrics = self.raft.metrics();
        let caught_up = metrics
            .wait_for(|metrics| {
                let Some(progress) = &metrics.replication else { return true };
                let matched = progress.get(&node.0).copied().flatten();
                metrics.running_state.is_err() || matched.is_some_and(|id| id.index >= index)
            })
            .await
            .map(|metrics| metrics.replication.is_some() && metrics.running_state.is_ok());
        match caught_up {
            Ok(true) => Ok(()),
            Ok(false) => {
                self.check_leads()?;
                Err(Error::UnknownOutcome { group: self.id })
            }
            Err(_) => Err(self.stopped_with("the raft core ended")),
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
        let added = self.raft.add_learner(node.0, BasicNode::new(address), true).await;
        let added = added.map_err(|error| self.change_refused(error))?;
        if node == self.node {
            return Ok(());
        }
        self.wait_for(node, added.log_id.index).await
    }

    async fn change_membership(&self, voters: BTreeSet<NodeId>) -> Result<(), Error> {
        self.check_leads()?;
        let voters: BTreeSet<u64> = voters.into_iter().map(|node| node.0).collect();
        // Who is no longer a voter leaves the group.
        let changed = self.raft.change_membership(voters, false).await;
        changed.map(|_| ()).map_err(|error| self.change_refused(error))
    }

    fn status(&self) -> Status {
        let metrics = self.raft.metrics().borrow().clone();
        Status {
            group: self.id,
            node: self.node,
            term: metrics.current_term,
            leader: metrics.current_leader.map(NodeId),
            last_log_index: metrics.last_log_index.unwrap_or(0),
            applied_index: metrics.last_applied.map_or(0, |id| id.index),
            snapshot_index: metrics.snapshot.map_or(0, |id| id.index),
            voters: metrics.membership_config.voter_ids().map(NodeId).collect(),
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
