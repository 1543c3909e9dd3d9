//! The read batcher. Confirming leadership costs a round of calls to the followers; one
//! barrier in flight serves every read that arrived before it began, and those that come
//! meanwhile share the next.

use std::{sync::Arc, time::Duration};

use openraft::{
    ServerState,
    error::{CheckIsLeaderError, RaftError},
};
use platform::Clock;
use tokio::sync::{mpsc, oneshot};
use types::{GroupId, NodeId};

use crate::{
    Error,
    handover::Gate,
    metrics,
    proposals::{refusal, stopped},
    pulse::Pulse,
    raft_types::{Appended, Batch, Raft},
};

/// Reads that wait for one barrier; above it a read is answered `Busy`.
const WAITING_MAX: usize = 16 << 10;
/// Leadership that changes under a barrier makes it start over, this often.
const ATTEMPTS_MAX: usize = 3;

type Waiter = oneshot::Sender<Result<(), Error>>;

/// The queue to a group's read batcher.
pub(crate) struct Reads {
    group: GroupId,
    queue: mpsc::Sender<Waiter>,
}

impl Reads {
    /// Starts the batcher; it ends when the queue is dropped.
    pub(crate) fn start(
        group: GroupId,
        node: NodeId,
        raft: Raft,
        pulse: Pulse,
        clock: Arc<dyn Clock>,
        limit: Duration,
        gate: Gate,
    ) -> Self {
        let (queue, waiting) = mpsc::channel(WAITING_MAX);
        let barrier = Barrier { group, node, raft, pulse, clock, limit, gate };
        tokio::spawn(serve(barrier, waiting));
        Self { group, queue }
    }

    /// Joins the next barrier.
    pub(crate) fn join(&self) -> Result<oneshot::Receiver<Result<(), Error>>, Error> {
        let (waiter, answer) = oneshot::channel();
        self.queue.try_send(waiter).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Error::Busy { group: self.group },
            mpsc::error::TrySendError::Closed(_) => {
                Error::Stopped { group: self.group, reason: "the read batcher has ended".into() }
            }
        })?;
        Ok(answer)
    }
}

async fn serve(barrier: Barrier, mut waiting: mpsc::Receiver<Waiter>) {
    let mut waiters = Vec::new();
    while waiting.recv_many(&mut waiters, WAITING_MAX).await > 0 {
        let outcome = barrier.pass_in_time().await;
        metrics::barrier(barrier.group, waiters.len());
        for waiter in waiters.drain(..) {
            let _ = waiter.send(outcome.clone());
        }
    }
}

struct Barrier {
    group: GroupId,
    node: NodeId,
    raft: Raft,
    pulse: Pulse,
    clock: Arc<dyn Clock>,
    limit: Duration,
    gate: Gate,
}

impl Barrier {
    async fn pass_in_time(&self) -> Result<(), Error> {
        let group = self.group;
        tokio::time::timeout(self.limit, self.pass())
            .await
            .unwrap_or(Err(Error::NoQuorum { group }))
    }

    async fn pass(&self) -> Result<(), Error> {
        let _open = self.gate.read().await;
        for _ in 0..ATTEMPTS_MAX {
            let term = self.leading()?;
            if !self.pulse.owns(term) {
                self.commit_own_entry().await?;
            }
            self.raft.ensure_linearizable().await.map_err(|error| self.refused(error))?;
            if self.pulse.owns(self.leading()?) {
                return Ok(());
            }
        }
        Err(Error::NotLeader { group: self.group, leader: None })
    }

    /// The term in which this replica leads, as far as it knows.
    fn leading(&self) -> Result<u64, Error> {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow();
        if metrics.running_state.is_err() {
            let reason = self.pulse.why_stopped("the replica has stopped");
            return Err(Error::Stopped { group: self.group, reason });
        }
        match metrics.state == ServerState::Leader {
            true => Ok(metrics.current_term),
            false => {
                let leader = metrics.current_leader.map(NodeId).filter(|id| *id != self.node);
                Err(Error::NotLeader { group: self.group, leader })
            }
        }
    }

    /// Commits an entry without commands: after it, everything that was ever acknowledged
    /// is applied here.
    async fn commit_own_entry(&self) -> Result<(), Error> {
        let appended = Appended::default();
        let now_ms = self.clock.now_ms();
        let batch = Batch { now_ms, commands: Vec::new(), appended: appended.clone() };
        match self.raft.client_write(batch).await {
            Ok(written) => {
                self.pulse.own_entry(&written.log_id);
                Ok(())
            }
            Err(RaftError::APIError(error)) => match refusal(self.group, error, &appended) {
                // The entry changes nothing, so its fate does not matter to a read.
                Error::UnknownOutcome { group } => Err(Error::NotLeader { group, leader: None }),
                error => Err(error),
            },
            Err(RaftError::Fatal(fatal)) => Err(stopped(self.group, &self.pulse, &fatal)),
        }
    }

    fn refused(
        &self,
        error: RaftError<u64, CheckIsLeaderError<u64, openraft::BasicNode>>,
    ) -> Error {
        let group = self.group;
        match error {
            RaftError::APIError(CheckIsLeaderError::ForwardToLeader(forward)) => {
                Error::NotLeader { group, leader: forward.leader_id.map(NodeId) }
            }
            RaftError::APIError(CheckIsLeaderError::QuorumNotEnough(_)) => {
                Error::NoQuorum { group }
            }
            RaftError::Fatal(fatal) => stopped(group, &self.pulse, &fatal),
        }
    }
}
