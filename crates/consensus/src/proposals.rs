//! The proposal batcher. openraft appends, and waits for the fsync of, one entry at a
//! time; so many commands travel in one entry. Natural batching: an entry takes whatever
//! waits when a slot is free, so a lone command never waits for company.

use std::sync::Arc;

use bytes::Bytes;
use openraft::error::{ClientWriteError, Fatal};
use platform::Clock;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use types::{GroupId, NodeId};

use crate::{
    Error,
    handover::Gate,
    metrics,
    pulse::Pulse,
    raft_types::{Appended, Batch, Raft},
};

/// One command, and all commands of one entry, in bytes.
pub(crate) const COMMAND_BYTES_MAX: usize = 1 << 20;
const ENTRY_COMMANDS_MAX: usize = 1024;
/// Entries proposed and not applied. The second fills while the first is synced.
const IN_FLIGHT_MAX: usize = 2;
/// What waits and is in flight together; above it a proposal is answered `Busy`.
const WAITING_COMMANDS_MAX: usize = 8192;
const WAITING_KIB_MAX: usize = 64 << 10;

struct Proposal {
    command: Bytes,
    answer: oneshot::Sender<Result<Bytes, Error>>,
    _room: OwnedSemaphorePermit,
}

/// The queue to a group's batcher.
pub(crate) struct Proposals {
    group: GroupId,
    queue: mpsc::Sender<Proposal>,
    room: Arc<Semaphore>,
}

impl Proposals {
    /// Starts the batcher; it ends when the queue is dropped.
    pub(crate) fn start(
        group: GroupId,
        raft: Raft,
        clock: Arc<dyn Clock>,
        pulse: Pulse,
        gate: Gate,
    ) -> Self {
        let (queue, waiting) = mpsc::channel(WAITING_COMMANDS_MAX);
        let batcher = Batcher { group, raft, clock, pulse, gate, waiting, carried: None };
        tokio::spawn(batcher.run());
        Self { group, queue, room: Arc::new(Semaphore::new(WAITING_KIB_MAX)) }
    }

    /// Queues a command; the answer comes when it is applied.
    pub(crate) fn submit(
        &self,
        command: Bytes,
    ) -> Result<oneshot::Receiver<Result<Bytes, Error>>, Error> {
        let group = self.group;
        if command.len() > COMMAND_BYTES_MAX {
            let reason = format!("a command of {} bytes is above 1 MiB", command.len());
            return Err(Error::Invalid { group, reason });
        }
        let busy = || {
            metrics::proposals(group, "busy", 1);
            Error::Busy { group }
        };
        let kib = u32::try_from(command.len().div_ceil(1024).max(1)).expect("at most 1024");
        let room = Arc::clone(&self.room).try_acquire_many_owned(kib).map_err(|_| busy())?;
        let (answer, answered) = oneshot::channel();
        let proposal = Proposal { command, answer, _room: room };
        self.queue.try_send(proposal).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => busy(),
            mpsc::error::TrySendError::Closed(_) => {
                Error::Stopped { group, reason: "the batcher has ended".into() }
            }
        })?;
        Ok(answered)
    }
}

struct Batcher {
    group: GroupId,
    raft: Raft,
    clock: Arc<dyn Clock>,
    pulse: Pulse,
    gate: Gate,
    waiting: mpsc::Receiver<Proposal>,
    /// Did not fit into the last entry.
    carried: Option<Proposal>,
}

impl Batcher {
    async fn run(mut self) {
        let slots = Arc::new(Semaphore::new(IN_FLIGHT_MAX));
        loop {
            let slot = Arc::clone(&slots).acquire_owned().await.expect("never closed");
            let Some(proposals) = next(&mut self.waiting, &mut self.carried).await else { return };
            metrics::batch(self.group, proposals.len());
            let appended = Appended::default();
            let batch = Batch {
                now_ms: self.clock.now_ms(),
                commands: proposals.iter().map(|proposal| proposal.command.clone()).collect(),
                appended: appended.clone(),
            };
            // Handing over here, not in the task, keeps entries in the order of the queue.
            let open = Arc::clone(&self.gate).read_owned().await;
            let handed = self.raft.client_write_ff(batch).await;
            let (group, pulse) = (self.group, self.pulse.clone());
            tokio::spawn(async move {
                let outcome = match handed {
                    Ok(receiver) => match receiver.await {
                        Ok(Ok(written)) => {
                            pulse.own_entry(&written.log_id);
                            Ok(written.data.0)
                        }
                        Ok(Err(error)) => Err(refusal(group, error, &appended)),
                        Err(_) => Err(dropped(group, &pulse, &appended)),
                    },
                    Err(fatal) => Err(stopped(group, &pulse, &fatal)),
                };
                drop(open);
                answer(group, proposals, outcome);
                drop(slot);
            });
        }
    }
}

/// What goes into the next entry. Proposals whose callers have given up are dropped, for
/// nothing was done yet: while there is no quorum they wait for as long as that lasts, and
/// one that is proposed after the time for which write ids are remembered would be applied
/// a second time.
async fn next(
    waiting: &mut mpsc::Receiver<Proposal>,
    carried: &mut Option<Proposal>,
) -> Option<Vec<Proposal>> {
    let first = loop {
        let first = match carried.take() {
            Some(carried) => carried,
            None => waiting.recv().await?,
        };
        if !first.answer.is_closed() {
            break first;
        }
    };
    let mut bytes = first.command.len();
    let mut proposals = vec![first];
    while proposals.len() < ENTRY_COMMANDS_MAX {
        let Ok(next) = waiting.try_recv() else { break };
        if next.answer.is_closed() {
            continue;
        }
        if bytes + next.command.len() > COMMAND_BYTES_MAX {
            *carried = Some(next);
            break;
        }
        bytes += next.command.len();
        proposals.push(next);
    }
    Some(proposals)
}

fn answer(group: GroupId, proposals: Vec<Proposal>, outcome: Result<Vec<Bytes>, Error>) {
    let name = match &outcome {
        Ok(_) => "ok",
        Err(Error::NotLeader { .. }) => "not_leader",
        Err(Error::UnknownOutcome { .. }) => "unknown",
        Err(_) => "failed",
    };
    metrics::proposals(group, name, proposals.len());
    match outcome {
        Ok(replies) => {
            assert_eq!(replies.len(), proposals.len(), "one reply a command");
            for (proposal, reply) in proposals.into_iter().zip(replies) {
                let _ = proposal.answer.send(Ok(reply));
            }
        }
        Err(error) => {
            for proposal in proposals {
                let _ = proposal.answer.send(Err(error.clone()));
            }
        }
    }
}

/// openraft says "forward to the leader" before it takes an entry, and also when it
/// removes one that it had taken; the latter may still be committed by another leader.
pub(crate) fn refusal(
    group: GroupId,
    error: ClientWriteError<u64, openraft::BasicNode>,
    appended: &Appended,
) -> Error {
    match error {
        _ if appended.is_set() => Error::UnknownOutcome { group },
        ClientWriteError::ForwardToLeader(forward) => {
            Error::NotLeader { group, leader: forward.leader_id.map(NodeId) }
        }
        ClientWriteError::ChangeMembershipError(error) => {
            Error::Invalid { group, reason: error.to_string() }
        }
    }
}

/// The core ended without an answer.
pub(crate) fn dropped(group: GroupId, pulse: &Pulse, appended: &Appended) -> Error {
    match appended.is_set() {
        true => Error::UnknownOutcome { group },
        false => Error::Stopped { group, reason: pulse.why_stopped("the replica has stopped") },
    }
}

/// The core had ended before.
pub(crate) fn stopped(group: GroupId, pulse: &Pulse, fatal: &Fatal<u64>) -> Error {
    Error::Stopped { group, reason: pulse.why_stopped(&fatal.to_string()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proposal(command: &'static [u8]) -> (Proposal, oneshot::Receiver<Result<Bytes, Error>>) {
        let (answer, answered) = oneshot::channel();
        let room = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
        (Proposal { command: Bytes::from_static(command), answer, _room: room }, answered)
    }

    #[tokio::test]
    async fn what_nobody_waits_for_any_more_is_not_proposed() {
        let (queue, mut waiting) = mpsc::channel(8);
        let mut callers = Vec::new();
        for command in [&b"given up"[..], b"one", b"given up too", b"two"] {
            let (proposal, caller) = proposal(command);
            queue.send(proposal).await.unwrap();
            if !command.starts_with(b"given up") {
                callers.push(caller);
            }
        }
        let (abandoned, _) = proposal(b"carried and given up");
        let taken = next(&mut waiting, &mut Some(abandoned)).await.unwrap();
        let taken: Vec<_> = taken.iter().map(|proposal| &proposal.command[..]).collect();
        assert_eq!(taken, [&b"one"[..], b"two"]);
    }
}
