//! The mending of a shard: one rank of one blob is made readable and durable on the disk where it
//! belongs. All who repair do it here.
//!
//! ```text
//! can the member's shard be read? -> yes: nothing to write
//!   no: copies on disks that had the rank before, chunk by chunk, else k others
//!       -> chunks -> put, seal -> read back every chunk -> done
//! ```
//!
//! Done is said only of a shard of which every chunk has just been read and verified. Whether the
//! blob is still referenced is asked **after** the shard is written: garbage collection deletes
//! shards before it forgets a blob, so a shard that it could not see yet belongs to a blob that is
//! referenced no more ([`Mender::settle`]).

pub(crate) mod carry;

use std::{collections::BTreeMap, sync::Arc};

use cluster::ShardError;
use metastore::api::index::Reference;
use objects::Objects;
use proto::shards::{Chunk, PutChunks};
use tokio::sync::{Mutex, Semaphore};
use types::{BlobId, BlobRef, DiskId, PlacementGroup, ShardId, WriteIntent};

use crate::{Error, metrics, pace::Pace, word};

/// The name under which all who mend count their bytes.
const NAME: &str = "mend";

/// Blobs that are mended at a time at most: each has a turn of its own, and some share one.
const TURNS: usize = 64;

/// Bytes of a shard up to which the chunks that replace a corrupt one are kept in memory from when
/// they are seen to exist until they are written. Of a longer one they are computed twice.
const HELD_BYTES_MAX: u64 = 4 << 20;

/// Chunks that are being computed from hold so many bytes together; who comes then waits.
const BUFFER_BYTES_MAX: usize = 128 << 20;
/// They are counted in this unit.
const BUFFER_UNIT: usize = 1 << 10;

/// Mends shards, one rank of a blob at a time. Clones share their turns.
#[derive(Clone)]
pub(crate) struct Mender {
    objects: Objects,
    /// See [`crate::Settings::sole_repairer`].
    is_sole: bool,
    /// Two ranks of a blob must not be mended at the same time: each could lean on the shard that
    /// the other one replaces.
    turns: Arc<[Mutex<()>; TURNS]>,
    buffers: Arc<Semaphore>,
}

/// What is to be mended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lack<'a> {
    pub(crate) blob: &'a BlobRef,
    pub(crate) rank: u8,
    /// What the blob was written for.
    pub(crate) intent: &'a WriteIntent,
    /// Disks besides the holders that may have the shard.
    pub(crate) strays: &'a [DiskId],
}

/// A shard that is where it belongs, and good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mended {
    pub(crate) shard: ShardId,
    /// The member.
    pub(crate) disk: DiskId,
    /// Whether it was written just now. Else it could be read after all: a late write arrived, or
    /// somebody else mended it.
    pub(crate) is_new: bool,
}

/// What reading a whole shard says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Probe {
    Good,
    Absent,
    Corrupt,
}

/// One shard being mended.
struct Work<'a> {
    lack: Lack<'a>,
    group: PlacementGroup,
    disk: DiskId,
    shard: ShardId,
    /// Disks to copy from; one that fails is left out from then on.
    copies: Vec<DiskId>,
    pace: &'a Pace,
}

impl Mender {
    pub(crate) fn new(objects: Objects, is_sole: bool) -> Self {
        let turns = Arc::new(std::array::from_fn(|_| Mutex::new(())));
        let buffers = Arc::new(Semaphore::new(BUFFER_BYTES_MAX / BUFFER_UNIT));
        Self { objects, is_sole, turns, buffers }
    }

    fn turn(&self, blob: BlobId) -> &Mutex<()> {
        // The last byte of an id is a random one.
        &self.turns[usize::from(blob.as_bytes()[15]) % TURNS]
    }

    /// Whether a disk is worth a call now.
    pub(crate) fn answers(&self, disk: DiskId) -> bool {
        answers(&self.objects, disk)
    }

    /// Makes one rank of a blob readable and durable on its member. On OK every chunk of it there
    /// has just been read and verified. It is still to be settled.
    pub(crate) async fn mend(&self, lack: Lack<'_>, pace: &Pace) -> Result<Mended, Error> {
        let _turn = self.turn(lack.blob.id).lock().await;
        let group = self.objects.group_of(lack.blob)?;
        let Some(disk) = group.disks.get(usize::from(lack.rank)).copied() else {
            return Err(Error::Unexpected(format!("rank {} of blob {}", lack.rank, lack.blob.id)));
        };
        if !self.answers(disk) {
            // Each call to a disk that hangs would cost its deadline, a shard at a time.
            let reason = "waiting until it answers again".to_owned();
            return Err(ShardError::Unavailable { disk, reason }.into());
        }
        let former = group.holders(lack.rank).skip(1);
        let copies = former.chain(lack.strays.iter().copied());
        let copies = copies.filter(|copy| *copy != disk && self.answers(*copy)).collect();
        let shard = ShardId { blob: lack.blob.id, rank: lack.rank };
        let is_new = self.replace(Work { lack, group, disk, shard, copies, pace }).await?;
        Ok(Mended { shard, disk, is_new })
    }

    /// Whether the shard had to be written.
    async fn replace(&self, mut work: Work<'_>) -> Result<bool, Error> {
        let (blob, disk, shard) = (work.lack.blob, work.disk, work.shard);
        let mut held = None;
        match self.probe(blob, disk, shard).await? {
            Probe::Good => return Ok(false),
            Probe::Absent => {}
            Probe::Corrupt => {
                // Its good chunks are the last resort of other stripes: it may go only once
                // every stripe was computed without it.
                if !self.is_sole {
                    self.check_others_whole(&work).await?;
                }
                held = self.gather(&mut work).await?;
                self.objects.shards().delete(disk, vec![shard]).await?;
            }
        }
        if platform::planted("drop-repair") {
            return Ok(true);
        }
        match self.write(&mut work, held.as_deref()).await {
            // A write that broke off left a beginning that does not go on with this one, or
            // that the disk cannot read. It was never sealed, so nobody can have read it.
            // Unless the shard turned up meanwhile: then it may be the last that some stripe
            // has.
            Err(Error::Shard(ShardError::Failed { .. } | ShardError::Corrupt { .. })) => {
                match self.probe(blob, disk, shard).await? {
                    Probe::Good => return Ok(false),
                    Probe::Absent => {}
                    Probe::Corrupt => return Err(ShardError::Corrupt { disk, shard }.into()),
                }
                self.objects.shards().delete(disk, vec![shard]).await?;
                self.write(&mut work, held.as_deref()).await?;
            }
            other => other?,
        }
        if platform::planted("repair-without-readback") {
            return Ok(true);
        }
        metrics::done(NAME, "readback_bytes", shard_bytes(blob));
        match self.probe(blob, disk, shard).await? {
            Probe::Good => Ok(true),
            Probe::Absent => Err(ShardError::NotFound { disk, shard }.into()),
            Probe::Corrupt => Err(ShardError::Corrupt { disk, shard }.into()),
        }
    }

    /// Whether `k` shards other than this one are intact from the first stripe to the last.
    async fn check_others_whole(&self, work: &Work<'_>) -> Result<(), Error> {
        let blob = work.lack.blob;
        let mut whole = 0;
        for (other, disk) in (0u8..).zip(&work.group.disks) {
            if other == work.lack.rank {
                continue;
            }
            let shard = ShardId { blob: blob.id, rank: other };
            // A disk that does not answer may hold a whole shard or not: it does not count.
            if matches!(self.probe(blob, *disk, shard).await, Ok(Probe::Good)) {
                whole += 1;
            }
        }
        let needed = blob.policy.k();
        if whole >= needed { Ok(()) } else { Err(Error::TooFewWhole { whole, needed }) }
    }

    /// What reading every chunk of a shard says. An error says nothing about the shard.
    pub(crate) async fn probe(
        &self,
        blob: &BlobRef,
        disk: DiskId,
        shard: ShardId,
    ) -> Result<Probe, Error> {
        for stripe in 0..blob.layout().stripes() {
            match self.objects.shards().read(disk, shard, stripe).await {
                Ok(chunk) if chunk.bytes.len() == blob.layout().chunk_bytes(stripe) => {}
                // A place that the disk cannot read is lost too.
                Ok(_) | Err(ShardError::Corrupt { .. } | ShardError::Failed { .. }) => {
                    return Ok(Probe::Corrupt);
                }
                // Sealed shards have all their stripes: absent later on is damage too.
                Err(ShardError::NotFound { .. }) if stripe == 0 => return Ok(Probe::Absent),
                Err(ShardError::NotFound { .. }) => return Ok(Probe::Corrupt),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Probe::Good)
    }

    /// Sees that all chunks can be had, and keeps them if they are few.
    async fn gather(&self, work: &mut Work<'_>) -> Result<Option<Vec<Chunk>>, Error> {
        let keeps = shard_bytes(work.lack.blob) <= HELD_BYTES_MAX;
        let mut held = Vec::new();
        for stripe in 0..work.lack.blob.layout().stripes() {
            let chunk = self.chunk(work, stripe).await?;
            if keeps {
                held.push(chunk);
            }
        }
        Ok(keeps.then_some(held))
    }

    async fn write(&self, work: &mut Work<'_>, held: Option<&[Chunk]>) -> Result<(), Error> {
        let stripes = work.lack.blob.layout().stripes();
        for stripe in 0..stripes {
            let chunk = match held.and_then(|held| held.get(stripe as usize)) {
                Some(chunk) => chunk.clone(),
                None => self.chunk(work, stripe).await?,
            };
            let put = PutChunks {
                shard: work.shard,
                intent: work.lack.intent.clone(),
                first_stripe: stripe,
                chunks: vec![chunk],
                seal: stripe + 1 == stripes,
            };
            self.put(work.disk, put, work.pace).await?;
        }
        Ok(())
    }

    /// Writes chunks when it is the disk's turn; their bytes.
    async fn put(&self, disk: DiskId, put: PutChunks, pace: &Pace) -> Result<u64, Error> {
        let bytes = put.chunks.iter().map(|chunk| chunk.bytes.len() as u64).sum();
        pace.enter(disk, bytes).await;
        self.objects.shards().put(disk, put).await?;
        pace.wrote(bytes);
        metrics::done(NAME, "written_bytes", bytes);
        Ok(bytes)
    }

    /// A chunk of the rank, not read from its member: a copy, or computed from `k` others.
    async fn chunk(&self, work: &mut Work<'_>, stripe: u32) -> Result<Chunk, Error> {
        let blob = work.lack.blob;
        let bytes = blob.layout().chunk_bytes(stripe);
        for copy in work.copies.clone() {
            match self.objects.shards().read(copy, work.shard, stripe).await {
                Ok(chunk) if chunk.bytes.len() == bytes => {
                    metrics::done(NAME, "read_bytes", bytes as u64);
                    return Ok(chunk);
                }
                // Other chunks there may be good.
                Ok(_) | Err(ShardError::Corrupt { .. }) => {}
                Err(_) => work.copies.retain(|other| *other != copy),
            }
        }
        // The chunks of one stripe are far fewer than all that fit.
        let units =
            (bytes * blob.policy.n()).div_ceil(BUFFER_UNIT).min(BUFFER_BYTES_MAX / BUFFER_UNIT);
        let units = u32::try_from(units).unwrap_or(u32::MAX);
        let _permit = self.buffers.acquire_many(units).await.expect("it is never closed");
        let mut chunks = self.objects.rebuild_chunks(blob, stripe, &[work.lack.rank]).await?;
        metrics::done(NAME, "read_bytes", (bytes * blob.policy.k()) as u64);
        chunks.pop().ok_or_else(|| Error::Unexpected(format!("no chunk of {:?}", work.shard)))
    }

    /// Asks the index about shards that were mended: those of referenced blobs are confirmed, and
    /// new ones of blobs that are surely not referenced any more are deleted again. What is lost on
    /// the way is found by the sweep of pending shards.
    pub(crate) async fn settle(&self, mended: &[(Mended, WriteIntent)]) -> Result<(), Error> {
        let asked: Vec<_> =
            mended.iter().map(|(one, intent)| (one.shard.blob, intent.clone())).collect();
        let answers = word::ask(&self.objects, &asked).await?;
        let mut confirm: BTreeMap<DiskId, Vec<ShardId>> = BTreeMap::new();
        let mut delete: BTreeMap<DiskId, Vec<ShardId>> = BTreeMap::new();
        for ((one, _), answer) in mended.iter().zip(answers) {
            match answer {
                Reference::Referenced(_) => confirm.entry(one.disk).or_default().push(one.shard),
                Reference::Unreferenced if one.is_new => {
                    delete.entry(one.disk).or_default().push(one.shard);
                }
                Reference::Unreferenced | Reference::Undecided => {}
            }
        }
        for (disk, shards) in confirm {
            if let Err(error) = self.objects.shards().confirm(disk, shards).await {
                tracing::debug!(%disk, %error, "a confirmation is left to the sweep");
            }
        }
        for (disk, shards) in delete {
            if let Err(error) = self.objects.shards().delete(disk, shards).await {
                tracing::debug!(%disk, %error, "a deletion is left to the sweep");
            }
        }
        Ok(())
    }
}

/// Bytes of one shard of the blob.
pub(crate) fn shard_bytes(blob: &BlobRef) -> u64 {
    blob.layout().stored_bytes() / blob.policy.n() as u64
}

/// Whether a disk is worth a call now: neither the cluster map nor the latest calls say that it
/// does not answer.
pub(crate) fn answers(objects: &Objects, disk: DiskId) -> bool {
    let map = objects.metadata().map();
    map.disks.contains_key(&disk) && !map.down.contains(&disk) && objects.shards().likely_up(disk)
}
