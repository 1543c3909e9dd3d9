//! Shard repair: ranks that a blob was acknowledged without, and shards that readers found
//! missing or corrupt, are computed from the others and written again.
//!
//! ```text
//! repair rows, hints -> can the rank be read after all?  -> yes: nothing to write
//!                       no: k others -> chunks -> put, seal -> read back every chunk
//!                    -> does the index still reference the blob? -> confirm, Repaired
//! ```
//!
//! The index is asked **after** the shard is written: garbage collection deletes shards
//! before it forgets a blob, so a shard that it could not see yet belongs to a blob that is
//! referenced no more, and stays pending for the sweep.

use std::{
    collections::{BTreeSet, VecDeque},
    time::Duration,
};

use async_trait::async_trait;
use cluster::ShardError;
use metastore::api::{IndexAnswer, IndexCommand, IndexQuery, IndexView, index::RepairRow};
use objects::{Objects, RepairHint};
use proto::shards::PutChunks;
use tokio::sync::mpsc;
use types::{BlobId, BlobRef, DiskId, GroupId, ShardId, UnixMillis, WriteIntent};

use crate::{
    Error, Settings, Step, Worker, metrics,
    orphans::ask_settled,
    progress::{Place, Progress, Rounds},
};

/// Repair rows of a page.
const ROWS_MAX: u32 = 100;
/// Hints that wait here at most, beyond the readers' own queue; further ones are dropped:
/// the next reader says it again.
const HINTS_MAX: usize = 4096;
/// Times that a hint is tried, a walk over the repair rows apart: nobody else may know of
/// the damage, and a disk may be away for a moment.
const HINT_TRIES_MAX: u8 = 3;

/// The worker that gives blobs their missing shards back. A round is a walk over the repair rows,
/// which are what it looks at; it counts shards `rebuilt` and `found`, and rows and hints `stuck`.
pub struct ShardRepairer {
    objects: Objects,
    settings: Settings,
    hints: Option<mpsc::Receiver<RepairHint>>,
    waiting: VecDeque<(RepairHint, u8)>,
    /// Hints that did not succeed; their turn comes with the next walk.
    again: VecDeque<(RepairHint, u8)>,
    /// The shards of both.
    waiting_ids: BTreeSet<ShardId>,
    rows: VecDeque<(GroupId, RepairRow)>,
    /// Where the walk over the partitions' repair rows is.
    at: Option<(GroupId, Option<BlobId>)>,
    walking: bool,
    rebuilt: u64,
    found: u64,
    /// Rows of this walk that could not be repaired.
    stuck: u64,
    last_stuck: Option<String>,
    rounds: Rounds,
}

/// What became of a rank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rank {
    /// It could be read after all: a late write arrived.
    Found,
    Rebuilt,
}

/// What reading a whole shard says.
enum Probe {
    Good,
    Absent,
    Corrupt,
}

impl ShardRepairer {
    /// A repairer over this object layer; takes its queue of hints if nobody has.
    pub fn new(objects: Objects, settings: Settings) -> Self {
        Self {
            hints: objects.repairs(),
            objects,
            settings,
            waiting: VecDeque::new(),
            again: VecDeque::new(),
            waiting_ids: BTreeSet::new(),
            rows: VecDeque::new(),
            at: None,
            walking: true,
            rebuilt: 0,
            found: 0,
            stuck: 0,
            last_stuck: None,
            rounds: Rounds::default(),
        }
    }

    fn now(&self) -> UnixMillis {
        UnixMillis(self.objects.clock().now_ms())
    }

    fn take_hints(&mut self) {
        while let Some(hint) = self.hints.as_mut().and_then(|hints| hints.try_recv().ok()) {
            self.take_hint(hint);
        }
    }

    fn take_hint(&mut self, hint: RepairHint) {
        let shard = ShardId { blob: hint.blob.id, rank: hint.rank };
        if self.waiting_ids.len() < HINTS_MAX && self.waiting_ids.insert(shard) {
            self.waiting.push_back((hint, 0));
        }
    }

    async fn repair_hint(&mut self, hint: RepairHint, tries: u8) -> Result<(), Error> {
        let shard = ShardId { blob: hint.blob.id, rank: hint.rank };
        match self.follow(&hint).await {
            Ok(repaired) => {
                self.waiting_ids.remove(&shard);
                if let Some(repaired) = repaired {
                    self.count(repaired);
                }
                Ok(())
            }
            // Says nothing about the shard.
            Err(error @ Error::Metadata(_)) => {
                self.again.push_back((hint, tries));
                Err(error)
            }
            Err(error) => {
                self.note_stuck(&hint.blob, &error);
                if tries + 1 < HINT_TRIES_MAX {
                    self.again.push_back((hint, tries + 1));
                } else {
                    self.waiting_ids.remove(&shard);
                }
                Ok(())
            }
        }
    }

    /// What became of the shard of a hint; `None` if its blob is referenced no more.
    async fn follow(&self, hint: &RepairHint) -> Result<Option<Rank>, Error> {
        let RepairHint { blob, rank, intent } = hint;
        if ask_settled(&self.objects, blob.id, intent).await? != Some(true) {
            return Ok(None);
        }
        let repaired = self.repair_rank(blob, *rank, intent).await?;
        if ask_settled(&self.objects, blob.id, intent).await? == Some(true) {
            let disk = self.disk(blob, *rank)?;
            let shard = ShardId { blob: blob.id, rank: *rank };
            self.objects.shards().confirm(disk, vec![shard]).await?;
        }
        Ok(Some(repaired))
    }

    async fn repair_row(&mut self, partition: GroupId, row: RepairRow) -> Result<(), Error> {
        let RepairRow { blob, missing, intent } = row;
        for rank in &missing {
            match self.repair_rank(&blob, *rank, &intent).await {
                Ok(repaired) => self.count(repaired),
                // The row stays; the other rows need not wait for this one.
                Err(error) => {
                    self.note_stuck(&blob, &error);
                    return Ok(());
                }
            }
        }
        if ask_settled(&self.objects, blob.id, &intent).await? == Some(true) {
            for rank in &missing {
                let shard = ShardId { blob: blob.id, rank: *rank };
                let disk = self.disk(&blob, *rank)?;
                // Lost confirmations are found by the sweep.
                let _ = self.objects.shards().confirm(disk, vec![shard]).await;
            }
        }
        let repaired = IndexCommand::Repaired { blob: blob.id };
        match self.objects.metadata().partition(partition, repaired).await? {
            IndexAnswer::Done => Ok(()),
            other => Err(Error::answer(&other)),
        }
    }

    fn note_stuck(&mut self, blob: &BlobRef, error: &Error) {
        tracing::debug!(blob = %blob.id, %error, "a shard cannot be repaired now");
        self.stuck += 1;
        self.rounds.count("stuck", 1);
        self.last_stuck = Some(error.to_string());
    }

    fn count(&mut self, repaired: Rank) {
        let what = match repaired {
            Rank::Found => {
                self.found += 1;
                self.rounds.count("found", 1);
                "shard_found"
            }
            Rank::Rebuilt => {
                self.rebuilt += 1;
                self.rounds.count("rebuilt", 1);
                "shard_rebuilt"
            }
        };
        metrics::done(self.name(), what, 1);
    }

    fn disk(&self, blob: &BlobRef, rank: u8) -> Result<DiskId, Error> {
        let disks = self.objects.disks_of(blob)?;
        let disk = disks.get(usize::from(rank)).copied();
        disk.ok_or_else(|| Error::Unexpected(format!("rank {rank} of blob {}", blob.id)))
    }

    /// Makes one rank of a blob readable and durable. On OK every chunk of it has just been
    /// read and verified.
    async fn repair_rank(
        &self,
        blob: &BlobRef,
        rank: u8,
        intent: &WriteIntent,
    ) -> Result<Rank, Error> {
        let disk = self.disk(blob, rank)?;
        if !self.objects.shards().likely_up(disk) {
            // Each call to a disk that hangs would cost its deadline, a row at a time.
            let reason = "waiting until it answers again".to_owned();
            return Err(ShardError::Unavailable { disk, reason }.into());
        }
        let shard = ShardId { blob: blob.id, rank };
        match self.probe(blob, disk, shard).await? {
            Probe::Good => return Ok(Rank::Found),
            Probe::Absent => {}
            Probe::Corrupt => {
                // Its good chunks are the last resort of other stripes: it may go only once
                // every stripe was computed without it.
                if !self.settings.sole_repairer {
                    self.check_others_whole(blob, rank).await?;
                }
                for stripe in 0..blob.layout().stripes() {
                    self.objects.rebuild_chunks(blob, stripe, &[rank]).await?;
                }
                self.objects.shards().delete(disk, vec![shard]).await?;
            }
        }
        match self.write(blob, disk, shard, intent).await {
            // A write that broke off left a beginning that does not go on with this one, or
            // that the disk cannot read. It was never sealed, so nobody can have read it.
            // Unless the shard turned up meanwhile: then it may be the last that some stripe
            // has.
            Err(Error::Shard(ShardError::Failed { .. } | ShardError::Corrupt { .. })) => {
                match self.probe(blob, disk, shard).await? {
                    Probe::Good => return Ok(Rank::Found),
                    Probe::Absent => {}
                    Probe::Corrupt => return Err(ShardError::Corrupt { disk, shard }.into()),
                }
                self.objects.shards().delete(disk, vec![shard]).await?;
                self.write(blob, disk, shard, intent).await?;
            }
            other => other?,
        }
        match self.probe(blob, disk, shard).await? {
            Probe::Good => Ok(Rank::Rebuilt),
            Probe::Absent => Err(ShardError::NotFound { disk, shard }.into()),
            Probe::Corrupt => Err(ShardError::Corrupt { disk, shard }.into()),
        }
    }

    /// Whether `k` shards other than `rank` are intact from the first stripe to the last.
    async fn check_others_whole(&self, blob: &BlobRef, rank: u8) -> Result<(), Error> {
        let mut whole = 0;
        for (other, disk) in (0u8..).zip(self.objects.disks_of(blob)?) {
            if other == rank {
                continue;
            }
            let shard = ShardId { blob: blob.id, rank: other };
            // A disk that does not answer may hold a whole shard or not: it does not count.
            if matches!(self.probe(blob, disk, shard).await, Ok(Probe::Good)) {
                whole += 1;
            }
        }
        let needed = blob.policy.k();
        if whole >= needed { Ok(()) } else { Err(Error::TooFewWhole { whole, needed }) }
    }

    async fn probe(&self, blob: &BlobRef, disk: DiskId, shard: ShardId) -> Result<Probe, Error> {
        for stripe in 0..blob.layout().stripes() {
            match self.objects.shards().read(disk, shard, stripe).await {
                Ok(chunk) if chunk.bytes.len() == blob.layout().chunk_bytes(stripe) => {}
                Ok(_) | Err(ShardError::Corrupt { .. }) => return Ok(Probe::Corrupt),
                // Sealed shards have all their stripes: absent later on is damage too.
                Err(ShardError::NotFound { .. }) if stripe == 0 => return Ok(Probe::Absent),
                Err(ShardError::NotFound { .. }) => return Ok(Probe::Corrupt),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Probe::Good)
    }

    async fn write(
        &self,
        blob: &BlobRef,
        disk: DiskId,
        shard: ShardId,
        intent: &WriteIntent,
    ) -> Result<(), Error> {
        let stripes = blob.layout().stripes();
        for stripe in 0..stripes {
            let chunks = self.objects.rebuild_chunks(blob, stripe, &[shard.rank]).await?;
            let put = PutChunks {
                shard,
                intent: intent.clone(),
                first_stripe: stripe,
                chunks,
                seal: stripe + 1 == stripes,
            };
            self.objects.shards().put(disk, put).await?;
        }
        Ok(())
    }

    /// Fetches the next page of repair rows. False at the end of the walk.
    async fn next_page(&mut self) -> Result<bool, Error> {
        let map = self.objects.metadata().map();
        let groups: BTreeSet<GroupId> = map.partitions.iter().map(|p| p.group).collect();
        let (group, after) = match self.at {
            Some(at) => at,
            None => match groups.first() {
                Some(group) => (*group, None),
                None => return Ok(false),
            },
        };
        let query = IndexQuery::Repairs { after, limit: ROWS_MAX };
        let rows = match self.objects.metadata().partition_query(group, query).await? {
            IndexView::Repairs(rows) => rows,
            other => return Err(Error::view(&other)),
        };
        self.rounds.look(rows.len() as u64);
        let last = rows.last().map(|row| row.blob.id);
        let full = rows.len() == ROWS_MAX as usize;
        self.rows.extend(rows.into_iter().map(|row| (group, row)));
        self.at = if full {
            Some((group, last))
        } else {
            groups.into_iter().find(|next| *next > group).map(|next| (next, None))
        };
        Ok(self.at.is_some())
    }
}

#[async_trait]
impl Worker for ShardRepairer {
    fn name(&self) -> &'static str {
        "repair"
    }

    /// One hint, one blob, or one page of rows. Hints go first: a reader was there.
    async fn work(&mut self) -> Result<Step, Error> {
        self.take_hints();
        if let Some((hint, tries)) = self.waiting.pop_front() {
            self.repair_hint(hint, tries).await?;
            return Ok(Step::More);
        }
        if let Some((partition, row)) = self.rows.pop_front() {
            self.repair_row(partition, row).await?;
            return Ok(Step::More);
        }
        if !std::mem::replace(&mut self.walking, true) {
            self.waiting.append(&mut self.again);
            self.rounds.end(self.now());
            return Ok(Step::Idle);
        }
        if self.at.is_none() {
            self.stuck = 0;
            self.rounds.begin(self.now());
        }
        self.walking = self.next_page().await?;
        Ok(Step::More)
    }

    async fn wait_for_work(&mut self) {
        let interval = tokio::time::sleep(Duration::from_millis(self.settings.repair_interval_ms));
        let hint = async {
            match &mut self.hints {
                Some(hints) => hints.recv().await,
                None => None,
            }
        };
        let hint = async {
            match hint.await {
                Some(hint) => hint,
                // Nobody can send any more: only the interval is left.
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = interval => {}
            hint = hint => self.take_hint(hint),
        }
    }

    fn status(&self) -> (u64, String) {
        let mut detail = format!("{} rebuilt, {} found", self.rebuilt, self.found);
        if self.stuck > 0 {
            let reason = self.last_stuck.as_deref().unwrap_or("");
            detail.push_str(&format!(", {} wait: {reason}", self.stuck));
        }
        (self.rebuilt + self.found, detail)
    }

    fn progress(&self) -> Progress {
        let place = self.at.map(|(partition, after)| {
            let after = after.map(|blob| blob.to_string()).unwrap_or_default();
            Place::new(format!("partition {}", partition.0), &after)
        });
        let last_failure = self.last_stuck.clone();
        Progress { last_failure, ..self.rounds.progress(place, self.now()) }
    }
}
