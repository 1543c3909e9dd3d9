//! The one thread that writes to a disk. It drains the queue into one batch a commit, so
//! that calls which arrive during an fsync share the next one.
//!
//! ```text
//! callers -> bounded queue -> [ put put delete put ] -> one WriteBatch -> answers
//! ```
//!
//! Whether the batch is synced before the answers go out depends on what is in it:
//! * a put with `seal` and a delete promise durability, so they need it;
//! * a put without `seal` only promises that the next call may follow. The log keeps the
//!   order, so the fsync of the seal covers it;
//! * a confirm may be lost: the shard is then an old pending one, about which the orphan
//!   sweep asks the index, and confirms again.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Instant,
};

use proto::shards::PutChunks;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use types::ShardId;

use super::{Inner, database::Fault, group::Group};
use crate::Error;

/// The most calls that share a commit.
const GROUP_CALLS_MAX: usize = 512;
/// No call is added to a commit that has this many chunk bytes.
const GROUP_BYTES_MAX: usize = 16 << 20;

/// What is asked of the writer.
pub(crate) enum Work {
    Put(PutChunks),
    Confirm(Vec<ShardId>),
    Delete(Vec<ShardId>),
    Sync,
    Close,
}

/// A call in the queue.
pub(crate) struct Call {
    pub(crate) work: Work,
    pub(crate) answer: oneshot::Sender<Result<(), Error>>,
    /// Its share of the queue's bytes, given back when it is answered.
    pub(crate) _permit: Option<OwnedSemaphorePermit>,
}

impl Call {
    fn bytes(&self) -> usize {
        match &self.work {
            Work::Put(put) => put.chunks.iter().map(|chunk| chunk.bytes.len()).sum(),
            _ => 0,
        }
    }

    fn needs_sync(&self) -> bool {
        match &self.work {
            Work::Put(put) => put.seal,
            Work::Confirm(_) => false,
            Work::Delete(_) | Work::Sync | Work::Close => true,
        }
    }
}

/// Runs until the store is closed or dropped; lets go of the disk then.
pub(crate) fn run(inner: &Arc<Inner>, mut queue: mpsc::Receiver<Call>) {
    let mut closing = Vec::new();
    while closing.is_empty() {
        let Some(first) = queue.blocking_recv() else { break };
        let mut bytes = first.bytes();
        let mut group = vec![first];
        while group.len() < GROUP_CALLS_MAX && bytes < GROUP_BYTES_MAX {
            let Ok(call) = queue.try_recv() else { break };
            bytes += call.bytes();
            group.push(call);
        }
        inner.leave_full();
        let answers = commit(inner, &group);
        for (call, answer) in group.into_iter().zip(answers) {
            if matches!(call.work, Work::Close) {
                // Answered when the disk is let go.
                closing.push((call, answer));
            } else {
                // A caller that went away does not want its answer.
                let _ = call.answer.send(answer);
            }
        }
    }
    inner.let_go();
    for (call, answer) in closing {
        let _ = call.answer.send(answer);
    }
    queue.close();
    while let Some(call) = queue.blocking_recv() {
        let answer = match call.work {
            Work::Close => Ok(()),
            _ => Err(Error::Unavailable("it is closed".to_owned())),
        };
        let _ = call.answer.send(answer);
    }
}

/// Carries out a group; one answer a call.
pub(crate) fn commit(inner: &Inner, calls: &[Call]) -> Vec<Result<(), Error>> {
    let guard = inner.database.read();
    let Some(database) = guard.as_ref() else {
        return vec![Err(Error::Unavailable("it is closed".to_owned())); calls.len()];
    };
    if inner.is_full() {
        return vec![Err(Error::NoSpace); calls.len()];
    }
    if let Some(reason) = inner.failure() {
        return calls
            .iter()
            .map(|call| match call.work {
                // There is nothing left to finish.
                Work::Close => Ok(()),
                _ => Err(Error::Failed(reason.clone())),
            })
            .collect();
    }
    let room = match inner.room_bytes(database) {
        Ok(room) => room,
        Err(error) => {
            tracing::warn!(%error, "cannot tell how much room the disk has");
            0
        }
    };

    let next_sequence = inner.books.lock().next_sequence;
    let mut group = Group::new(database, next_sequence, room);
    let answers: Vec<Result<(), Error>> = calls
        .iter()
        .map(|call| match &call.work {
            Work::Put(put) => group.put(put),
            Work::Confirm(shards) => group.confirm(shards),
            Work::Delete(shards) => group.delete(shards),
            Work::Sync | Work::Close => Ok(()),
        })
        .collect();
    let sync = calls.iter().zip(&answers).any(|(call, answer)| answer.is_ok() && call.needs_sync());
    let full = answers.contains(&Err(Error::NoSpace));

    let (mut batch, next_sequence, changes) = group.finish();
    let garbage = {
        let mut books = inner.books.lock();
        // Before the write: if it fails, whether it happened is not known, and the
        // sequences in it must not be used again.
        books.apply(next_sequence, &changes, &mut batch);
        books.garbage_bytes()
    };
    let started = Instant::now();
    let written = database.write(batch, sync && !platform::planted("skip-shard-fsync"));
    inner.metrics.commit(calls.len(), sync.then(|| started.elapsed()), garbage);

    if written == Err(Fault::NoSpace) {
        tracing::warn!(dir = %inner.dir.display(), "the disk is full beyond its reserve");
        inner.full.store(true, Ordering::SeqCst);
    } else if full {
        inner.reclaimer.wake(true);
    } else if garbage >= inner.settings.reclaim_bytes_min {
        inner.reclaimer.wake(false);
    }
    match written {
        Ok(()) => {
            // A read that failed while a call was looked at is a failure of the disk too.
            let failed = answers.iter().find_map(|answer| match answer {
                Err(Error::Failed(reason)) => Some(reason),
                _ => None,
            });
            if let Some(reason) = failed {
                inner.fail(reason);
            }
            answers
        }
        Err(fault) => {
            if let Fault::Corrupt(reason) | Fault::Io(reason) = &fault {
                inner.fail(reason);
            }
            let error = Error::from(fault);
            // Also to the calls that were refused: they may have been refused for what an
            // earlier call of this group was about to store.
            vec![Err(error); calls.len()]
        }
    }
}
