//! Writing one blob to the disks of one placement group.
//!
//! ```text
//!                          +-> rank 0 task -> disk: stripe 0, 1, 2 ... seal
//! stripes of n chunks ---> +-> rank 1 task -> disk: stripe 0, 1, 2 ... seal
//!                          +-> ...
//! ```
//!
//! One task a rank sends its chunks in order, so the ranks pipeline independently. A rank
//! that fails is dropped: the blob goes on without it while the write quorum can still be
//! reached. Whatever happens to the request, a [`BlobWriter`] ends in one of three ways:
//! committed, left to the sweep (outcome unknown), or deleted again, also when it is dropped.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use cluster::{ShardError, Shards};
use erasure::EncodedStripe;
use futures::future::join_all;
use platform::planted;
use proto::shards::{Chunk, PutChunks};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch},
    task::JoinHandle,
    time::Instant,
};
use types::{BlobId, DiskId, PgId, PlacementGroup, ShardId, WriteIntent};

use crate::{Error, Objects, buffer::Lease, choose::not_answering, lanes::Lanes};

/// Stripes of one blob in memory at once: one being filled, two ahead of the disks.
pub(crate) const STRIPES_MAX: usize = 3;
/// Jobs a rank's queue holds: the stripes in memory, and those kept for another group.
const QUEUE_MAX: usize = 8;
/// A rank that keeps the others waiting for a buffer so long is given up, if the write
/// quorum is ahead of it. A disk that hangs must not hang every upload it takes part in.
const LAGGARD: Duration = Duration::from_secs(3);
/// After the write quorum is durable: the least and the most that stragglers are waited
/// for. In between they get as much time as the quorum took, so that a loaded cluster does
/// not turn ordinary jitter into repairs.
const GRACE_MIN: Duration = Duration::from_millis(50);
const GRACE_MAX: Duration = Duration::from_secs(1);
/// After the commit a straggler may take so much longer; then it is left to repair, which
/// knows about it. Its chunks are still counted in the request's lease.
const STRAGGLER: Duration = Duration::from_secs(5);

/// The right to hold one more stripe of a blob in memory.
pub(crate) type Slot = Arc<OwnedSemaphorePermit>;

#[derive(Clone, Debug)]
enum RankState {
    Writing,
    Durable,
    Failed(ShardError),
}

struct Job {
    stripe: u32,
    chunk: Chunk,
    seal: bool,
    /// Held until the chunk is sent.
    _slot: Option<Slot>,
}

struct Rank {
    disk: DiskId,
    shard: ShardId,
    jobs: Option<mpsc::Sender<Job>>,
    task: Option<JoinHandle<()>>,
    sent: u32,
    done: Arc<AtomicU32>,
}

/// Too many ranks of this group failed.
#[derive(Debug)]
pub(crate) struct GroupFailed {
    errors: Vec<ShardError>,
    quorum: usize,
    n: usize,
}

impl From<GroupFailed> for Error {
    fn from(failed: GroupFailed) -> Self {
        let mut reasons = Vec::new();
        let mut silent: Vec<DiskId> = failed
            .errors
            .iter()
            .filter_map(|error| match error {
                ShardError::Unavailable { disk, .. } => Some(*disk),
                _ => None,
            })
            .collect();
        silent.sort_unstable();
        if !silent.is_empty() {
            reasons.push(not_answering(&silent));
        }
        let told = |error: &&ShardError| !matches!(error, ShardError::Unavailable { .. });
        reasons.extend(failed.errors.iter().filter(told).map(ToString::to_string));
        Error::Unavailable(format!(
            "no placement group can keep {} of {} shards: {}",
            failed.quorum,
            failed.n,
            reasons.join("; ")
        ))
    }
}

/// A blob on its way to its disks.
pub(crate) struct BlobWriter {
    objects: Objects,
    blob: BlobId,
    group: PlacementGroup,
    ranks: Vec<Rank>,
    states: watch::Receiver<Vec<RankState>>,
    updates: Arc<watch::Sender<Vec<RankState>>>,
    slots: Arc<Semaphore>,
    sealed_at: Option<Instant>,
    /// Whether dropping the writer deletes what it wrote.
    armed: bool,
}

impl BlobWriter {
    /// Nothing is sent yet. `slots` is shared by the writers of one request; `lease` is
    /// held until the last task of the last writer has let go of its chunks.
    pub(crate) fn begin(
        objects: &Objects,
        group: PlacementGroup,
        intent: &WriteIntent,
        slots: &Arc<Semaphore>,
        lease: &Arc<Lease>,
    ) -> Self {
        let blob = objects.new_blob_id(group.id);
        let (updates, states) = watch::channel(vec![RankState::Writing; group.disks.len()]);
        let updates = Arc::new(updates);
        let start = |(rank, disk): (u8, &DiskId)| {
            let (jobs, queue) = mpsc::channel(QUEUE_MAX);
            let done = Arc::new(AtomicU32::new(0));
            let shard = ShardId { blob, rank };
            let task = RankTask {
                shards: Arc::clone(objects.shards()),
                lanes: Arc::clone(&objects.inner.lanes),
                disk: *disk,
                shard,
                intent: intent.clone(),
                updates: Arc::clone(&updates),
                done: Arc::clone(&done),
                _lease: Arc::clone(lease),
            };
            let task = tokio::spawn(task.run(queue));
            Rank { disk: *disk, shard, jobs: Some(jobs), task: Some(task), sent: 0, done }
        };
        let ranks = (0u8..).zip(&group.disks).map(start).collect();
        Self {
            objects: objects.clone(),
            blob,
            group,
            ranks,
            states,
            updates,
            slots: Arc::clone(slots),
            sealed_at: None,
            armed: true,
        }
    }

    pub(crate) fn blob(&self) -> BlobId {
        self.blob
    }

    pub(crate) fn group(&self) -> PgId {
        self.group.id
    }

    /// Waits until one more stripe of this request may be in memory.
    pub(crate) async fn slot(&mut self) -> Slot {
        loop {
            let permit = Arc::clone(&self.slots).acquire_owned();
            match tokio::time::timeout(LAGGARD, permit).await {
                Ok(permit) => return Arc::new(permit.expect("the semaphore is never closed")),
                Err(_) => self.give_up_laggards(),
            }
        }
    }

    /// Drops ranks that are behind while the quorum has sent everything it was given.
    fn give_up_laggards(&mut self) {
        let states = self.states.borrow().clone();
        let writing = |index: &usize| matches!(states[*index], RankState::Writing);
        let behind = |index: &usize| {
            let rank = &self.ranks[*index];
            rank.done.load(Ordering::Relaxed) < rank.sent
        };
        let (late, ahead): (Vec<usize>, Vec<usize>) =
            (0..self.ranks.len()).filter(writing).partition(behind);
        let ahead = ahead.len();
        if ahead < self.group.policy.write_quorum() {
            return;
        }
        for index in late {
            let rank = &mut self.ranks[index];
            rank.jobs = None;
            if let Some(task) = &rank.task {
                task.abort();
            }
            let reason = format!("it fell {} s behind the others", LAGGARD.as_secs());
            let error = ShardError::Unavailable { disk: rank.disk, reason };
            self.updates.send_modify(|states| {
                if matches!(states[index], RankState::Writing) {
                    states[index] = RankState::Failed(error);
                }
            });
        }
    }

    /// Queues a stripe to all ranks that have not failed; never waits.
    pub(crate) fn send(
        &mut self,
        number: u32,
        stripe: &EncodedStripe,
        seal: bool,
        slot: Option<&Slot>,
    ) {
        let chunks = stripe.chunks.iter().zip(&stripe.digests);
        for (rank, (bytes, digest)) in self.ranks.iter_mut().zip(chunks) {
            let chunk = Chunk { bytes: bytes.clone(), digest: *digest };
            let job = Job { stripe: number, chunk, seal, _slot: slot.cloned() };
            if let Some(jobs) = &rank.jobs
                && jobs.try_send(job).is_ok()
            {
                rank.sent += 1;
            } else {
                // Its task ended because the disk failed; the state says so.
                rank.jobs = None;
            }
        }
        if seal {
            self.sealed_at = Some(Instant::now());
        }
    }

    fn failures(&self) -> Vec<ShardError> {
        let left = self.left();
        let failed = |(rank, state): (usize, &RankState)| match state {
            RankState::Failed(error) => Some(error.clone()),
            _ if left[rank] => {
                let reason = "it left the placement group while the blob was written".to_owned();
                Some(ShardError::Failed { disk: self.group.disks[rank], reason })
            }
            _ => None,
        };
        self.states.borrow().iter().enumerate().filter_map(failed).collect()
    }

    /// Of each rank, whether nobody looks for it on the disk that it is written to any more: the
    /// rank has moved, and the move has ended, as far as this copy of the map knows.
    fn left(&self) -> Vec<bool> {
        let map = self.objects.metadata().map();
        let now = map.groups.get(&self.group.id);
        let left = |(rank, disk): (u8, &DiskId)| {
            now.is_some_and(|now| !now.holders(rank).any(|holder| holder == *disk))
        };
        (0u8..).zip(&self.group.disks).map(left).collect()
    }

    /// The ranks that have another member by now. Their shards may have come to a disk that was
    /// just found to hold nothing of the group.
    pub(crate) fn moved(&self) -> Vec<u8> {
        let map = self.objects.metadata().map();
        let Some(now) = map.groups.get(&self.group.id) else { return Vec::new() };
        let members = self.group.disks.iter().zip(&now.disks);
        (0u8..).zip(members).filter(|(_, (then, now))| then != now).map(|(rank, _)| rank).collect()
    }

    fn quorum(&self) -> usize {
        let policy = self.group.policy;
        if planted("ack-at-k") { policy.k() } else { policy.write_quorum() }
    }

    /// Whether the write quorum can still be reached.
    pub(crate) fn check(&self) -> Result<(), GroupFailed> {
        let errors = self.failures();
        let (quorum, n) = (self.quorum(), self.group.policy.n());
        if errors.len() > n - quorum { Err(GroupFailed { errors, quorum, n }) } else { Ok(()) }
    }

    /// After the seal was sent: waits for the write quorum, and a little for the rest.
    /// The ranks that are not durable now.
    pub(crate) async fn sealed(&mut self) -> Result<Vec<u8>, GroupFailed> {
        let (quorum, n) = (self.quorum(), self.group.policy.n());
        let began = self.sealed_at.unwrap_or_else(Instant::now);
        let left = self.left();
        let decided = |states: &Vec<RankState>| {
            let (durable, failed) = count(states, &left);
            durable >= quorum || failed > n - quorum
        };
        wait(&mut self.states, decided).await;
        self.check()?;
        let grace = began.elapsed().clamp(GRACE_MIN, GRACE_MAX);
        let settled = |states: &Vec<RankState>| {
            let (durable, failed) = count(states, &left);
            durable + failed == n
        };
        // Running out of grace is the other good end.
        let _ = tokio::time::timeout(grace, wait(&mut self.states, settled)).await;
        let left = self.left();
        let missing: Vec<u8> = {
            let states = self.states.borrow();
            let ranks = (0u8..).zip(states.iter().zip(left));
            ranks
                .filter(|(_, (state, left))| !matches!(state, RankState::Durable) || *left)
                .map(|(rank, _)| rank)
                .collect()
        };
        // Ranks may have moved away in the meantime.
        if missing.len() > n - quorum {
            return Err(GroupFailed { errors: self.failures(), quorum, n });
        }
        Ok(missing)
    }

    /// From here on dropping the writer deletes nothing: the commit may have happened.
    pub(crate) fn proposing(&mut self) {
        self.armed = false;
    }

    /// The index references the blob: confirms its shards, the late ones when they are done.
    pub(crate) fn committed(mut self) {
        self.armed = false;
        let states = self.states.borrow().clone();
        let durable = |index: &usize| matches!(states[*index], RankState::Durable);
        let ranks = std::mem::take(&mut self.ranks);
        let (done, late): (Vec<_>, Vec<_>) =
            ranks.into_iter().enumerate().partition(|(index, _)| durable(index));
        self.objects.inner.confirmer.confirm(done.iter().map(|(_, rank)| (rank.disk, rank.shard)));
        let late: Vec<_> = late
            .into_iter()
            .filter(|(index, _)| matches!(states[*index], RankState::Writing))
            .collect();
        if late.is_empty() {
            return;
        }
        let (states, confirmer) = (self.states.clone(), Arc::clone(&self.objects.inner.confirmer));
        self.objects.inner.background.spawn("straggler", async move {
            let until = Instant::now() + STRAGGLER;
            for (index, mut rank) in late {
                rank.jobs = None;
                if let Some(mut task) = rank.task.take()
                    && tokio::time::timeout_at(until, &mut task).await.is_err()
                {
                    task.abort();
                }
                if matches!(states.borrow()[index], RankState::Durable) {
                    confirmer.confirm([(rank.disk, rank.shard)]);
                }
            }
        });
    }

    /// Deletes in the background whatever was written. Only when the index surely does not
    /// and will not reference the blob.
    pub(crate) fn abandon(mut self) {
        self.armed = true;
    }

    fn delete_written(&mut self) {
        let ranks = std::mem::take(&mut self.ranks);
        if ranks.iter().all(|rank| rank.sent == 0) {
            return;
        }
        let shards = Arc::clone(self.objects.shards());
        self.objects.inner.background.spawn("abandon", async move {
            join_all(ranks.into_iter().map(|rank| delete_rank(&*shards, rank))).await;
        });
    }
}

/// Lets the call under way end first, so that the deletion comes after it.
async fn delete_rank(shards: &dyn Shards, mut rank: Rank) {
    rank.jobs = None;
    if let Some(task) = rank.task.take() {
        let _ = task.await;
    }
    if let Err(error) = shards.delete(rank.disk, vec![rank.shard]).await {
        tracing::debug!(disk = %rank.disk, %error, "an abandoned shard is left to the sweep");
    }
}

impl Drop for BlobWriter {
    fn drop(&mut self) {
        if self.armed {
            self.delete_written();
        }
    }
}

/// How many ranks are durable where they are looked for, and how many will not be.
fn count(states: &[RankState], left: &[bool]) -> (usize, usize) {
    let of = |wanted: fn(&RankState, bool) -> bool| {
        states.iter().zip(left).filter(|(state, left)| wanted(state, **left)).count()
    };
    let durable = of(|state, left| matches!(state, RankState::Durable) && !left);
    let failed = of(|state, left| matches!(state, RankState::Failed(_)) || left);
    (durable, failed)
}

/// The sender lives in the writer, so the wait cannot fail before the condition holds.
async fn wait(
    states: &mut watch::Receiver<Vec<RankState>>,
    condition: impl FnMut(&Vec<RankState>) -> bool,
) {
    let _ = states.wait_for(condition).await;
}

struct RankTask {
    shards: Arc<dyn Shards>,
    lanes: Arc<Lanes>,
    disk: DiskId,
    shard: ShardId,
    intent: WriteIntent,
    updates: Arc<watch::Sender<Vec<RankState>>>,
    done: Arc<AtomicU32>,
    _lease: Arc<Lease>,
}

impl RankTask {
    async fn run(self, mut queue: mpsc::Receiver<Job>) {
        while let Some(job) = queue.recv().await {
            let put = PutChunks {
                shard: self.shard,
                intent: self.intent.clone(),
                first_stripe: job.stripe,
                chunks: vec![job.chunk],
                seal: job.seal,
            };
            let turn = self.lanes.enter(self.disk).await;
            let result = self.shards.put(self.disk, put).await;
            drop(turn);
            let state = match result {
                Ok(()) if job.seal => RankState::Durable,
                Ok(()) => {
                    self.done.fetch_add(1, Ordering::Relaxed);
                    continue;
                }
                Err(error) => {
                    tracing::debug!(disk = %self.disk, %error, "a shard write failed");
                    RankState::Failed(error)
                }
            };
            self.done.fetch_add(1, Ordering::Relaxed);
            let rank = usize::from(self.shard.rank);
            self.updates.send_modify(|states| states[rank] = state);
            return;
        }
    }
}
