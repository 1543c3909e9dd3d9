//! Shard repair: ranks that a blob was acknowledged without, and shards that readers found
//! missing or corrupt, are mended ([`mend`](crate::mend)).
//!
//! ```text
//! repair rows, hints -> mended -> does the index still reference the blob? -> confirm, Repaired
//! ```

use std::{
    collections::{BTreeSet, VecDeque},
    time::Duration,
};

use async_trait::async_trait;
use metastore::api::{
    IndexAnswer, IndexCommand, IndexQuery, IndexView,
    index::{Reference, RepairRow},
};
use objects::{Objects, RepairHint};
use tokio::sync::mpsc;
use types::{BlobId, BlobRef, GroupId, ShardId, UnixMillis, WriteIntent};

use crate::{
    Care, Error, Settings, Step, Worker,
    mend::{Lack, Mended},
    metrics,
    pace::Pace,
    progress::{Place, Progress, Rounds},
    word,
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
    care: Care,
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

impl ShardRepairer {
    /// A repairer over this object layer; takes its queue of hints if nobody has.
    pub fn new(objects: Objects, settings: Settings) -> Self {
        Self::sharing(&Care::new(objects, settings))
    }

    /// The same beside other workers that mend.
    pub fn sharing(care: &Care) -> Self {
        Self {
            hints: care.objects.repairs(),
            care: care.clone(),
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
        self.care.now()
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
    async fn follow(&self, hint: &RepairHint) -> Result<Option<Mended>, Error> {
        let RepairHint { blob, rank, intent } = hint;
        let asked = [(blob.id, intent.clone())];
        let answer = word::ask(&self.care.objects, &asked).await?;
        if !matches!(answer.as_slice(), [Reference::Referenced(_)]) {
            return Ok(None);
        }
        let mended = self.mend(blob, *rank, intent).await?;
        self.care.mender.settle(&[(mended, intent.clone())]).await?;
        Ok(Some(mended))
    }

    async fn mend(&self, blob: &BlobRef, rank: u8, intent: &WriteIntent) -> Result<Mended, Error> {
        let lack = Lack { blob, rank, intent, strays: &[] };
        self.care.mender.mend(lack, &Pace::default()).await
    }

    async fn repair_row(&mut self, partition: GroupId, row: RepairRow) -> Result<(), Error> {
        let RepairRow { blob, missing, intent } = row;
        let mut done = Vec::new();
        for rank in &missing {
            match self.mend(&blob, *rank, &intent).await {
                Ok(mended) => {
                    self.count(mended);
                    done.push((mended, intent.clone()));
                }
                // The row stays; the other rows need not wait for this one.
                Err(error) => {
                    self.note_stuck(&blob, &error);
                    return Ok(());
                }
            }
        }
        self.care.mender.settle(&done).await?;
        let repaired = IndexCommand::Repaired { blob: blob.id };
        match self.care.objects.metadata().partition(partition, repaired).await? {
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

    fn count(&mut self, mended: Mended) {
        let what = if mended.is_new {
            self.rebuilt += 1;
            self.rounds.count("rebuilt", 1);
            "shard_rebuilt"
        } else {
            self.found += 1;
            self.rounds.count("found", 1);
            "shard_found"
        };
        metrics::done(self.name(), what, 1);
    }

    /// Fetches the next page of repair rows. False at the end of the walk.
    async fn next_page(&mut self) -> Result<bool, Error> {
        let map = self.care.objects.metadata().map();
        let groups: BTreeSet<GroupId> = map.partitions.iter().map(|p| p.group).collect();
        let (group, after) = match self.at {
            Some(at) => at,
            None => match groups.first() {
                Some(group) => (*group, None),
                None => return Ok(false),
            },
        };
        let query = IndexQuery::Repairs { after, limit: ROWS_MAX };
        let rows = match self.care.objects.metadata().partition_query(group, query).await? {
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
        let interval =
            tokio::time::sleep(Duration::from_millis(self.care.settings.repair_interval_ms));
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
