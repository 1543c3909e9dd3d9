//! Healing: bytes get to the disks where they belong. Which disks those are is decided elsewhere;
//! here each member of a placement group is given what it lacks, from the disks that its rank has
//! moved away from or from the other ranks, and then those disks are let go.
//!
//! ```text
//! groups on the move, found wanting, or with a disk that came back
//!   -> the most endangered first -> pass: page by page over what the holders have
//!   -> members whole, former disks empty (or gone) -> EndMove
//! ```
//!
//! Several groups are under way at a time, so that many disks take part; what each disk is given a
//! second is limited by the danger. How far each pass is, is kept in the root group.

mod cursor;
mod moves;
mod order;
pub(crate) mod pass;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use cursor::Cursor;
use pass::{Facts, Tally};
use tokio::{
    task::{self, JoinSet},
    time::Instant,
};
use types::{ClusterMap, DiskId, Epoch, PgId, PlacementGroup, UnixMillis};

use crate::{
    Care, Error, Step, Worker, metrics,
    pace::{self, Pace},
    progress::{Amount, Place, Progress, Rounds},
    saved, scan,
};

/// The worker's name, also of its cursor.
const NAME: &str = "heal";

/// Groups of at most this margin do not wait for others to end.
const ENDANGERED: isize = 1;

/// How long a step waits for a page of a group, before others are looked at.
const STEP: Duration = Duration::from_millis(500);

/// Progress is saved at most so often, the ends of passes apart.
const SAVE: Duration = Duration::from_secs(1);

/// A group that could not be healed rests so long, unless something changes about its disks; twice
/// as long with each further try.
const REST_MIN_MS: u64 = 5000;
/// The longest such rest.
const REST_MAX_MS: u64 = 300_000;

/// What comes of one page of a group.
type Paged = (PlacementGroup, Result<(Facts, Tally), Error>);

/// A group that could not be healed.
struct Rest {
    /// What it looked like then.
    look: Look,
    until: UnixMillis,
    tries: u32,
}

/// What may change so that trying again is worth it: the group, and which of its holders answer.
type Look = (Epoch, Vec<(DiskId, bool)>);

/// The worker that gives each disk of a group the shards that belong there. What it looks at are
/// blobs; it counts shards `written` and `found` good at their member, ranks that were `missing`,
/// shards that were `misplaced` or `deleted` elsewhere, moves `ended`, and what is `stuck`.
pub struct Healer {
    care: Care,
    /// Pages under way, in tasks of their own: a worker that rests or is held does not rest in the
    /// middle of a page, where others may wait for the blobs that it mends.
    lanes: JoinSet<Paged>,
    busy: BTreeMap<PgId, task::Id>,
    /// Passes that have begun.
    passes: BTreeMap<PgId, Facts>,
    /// At most one a group.
    rests: BTreeMap<PgId, Rest>,
    /// The disks that answered at the last look; `None` before the first one.
    answered: Option<BTreeSet<DiskId>>,
    /// In how many groups each disk is, by this epoch of the map.
    ranks: (Epoch, BTreeMap<DiskId, u64>),
    /// Bytes written in the round under way; those of pages that are done; and a guess at what is
    /// left besides these.
    written: Arc<AtomicU64>,
    counted: u64,
    left: u64,
    /// Groups that wait or are under way, and the least margin among them.
    waiting: (usize, Option<isize>),
    healed: u64,
    rounds: Rounds,
    last_failure: Option<String>,
    is_loaded: bool,
    saved: Option<Instant>,
}

impl Healer {
    /// A healer that shares what others find and mend.
    pub fn new(care: &Care) -> Self {
        Self {
            care: care.clone(),
            lanes: JoinSet::new(),
            busy: BTreeMap::new(),
            passes: BTreeMap::new(),
            rests: BTreeMap::new(),
            answered: None,
            ranks: (Epoch(0), BTreeMap::new()),
            written: Arc::default(),
            counted: 0,
            left: 0,
            waiting: (0, None),
            healed: 0,
            rounds: Rounds::default(),
            last_failure: None,
            is_loaded: false,
            saved: None,
        }
    }

    async fn load(&mut self) -> Result<(), Error> {
        if self.is_loaded {
            return Ok(());
        }
        let saved = saved::read(&**self.care.objects.metadata(), NAME).await?;
        let cursor = saved.and_then(|bytes| Cursor::decode(&bytes)).unwrap_or_default();
        cursor.due.into_iter().for_each(|group| self.care.heal(group));
        self.passes = cursor.passes.into_iter().collect();
        self.rounds = cursor.rounds;
        self.written.store(cursor.written, Ordering::Relaxed);
        self.counted = cursor.written;
        self.is_loaded = true;
        Ok(())
    }

    async fn save(&mut self) -> Result<(), Error> {
        let map = self.care.objects.metadata().map();
        let mut passes: Vec<(PgId, Facts)> =
            self.passes.iter().map(|(group, facts)| (*group, facts.clone())).collect();
        passes.sort_by_key(|(group, _)| map.groups.get(group).map(|group| self.margin(group)));
        let cursor = Cursor {
            passes,
            due: self.care.due().into_iter().collect(),
            rounds: self.rounds.clone(),
            written: self.counted,
        };
        saved::write(&**self.care.objects.metadata(), NAME, cursor.encode()).await?;
        self.saved = Some(Instant::now());
        Ok(())
    }

    fn margin(&self, group: &PlacementGroup) -> isize {
        order::margin(group, |disk| self.care.mender.answers(disk))
    }

    fn look(&self, group: &PlacementGroup) -> Look {
        let answers = |disk| (disk, self.care.mender.answers(disk));
        (group.epoch, scan::holders(group).into_iter().map(answers).collect())
    }

    /// A disk that is back may lack what was written meanwhile, and hold what belongs elsewhere.
    fn notice_disks(&mut self, map: &ClusterMap) {
        let answers = |disk: &DiskId| self.care.mender.answers(*disk);
        let now: BTreeSet<DiskId> = map.disks.keys().copied().filter(answers).collect();
        let Some(before) = self.answered.replace(now.clone()) else { return };
        let back: BTreeSet<DiskId> = now.difference(&before).copied().collect();
        if back.is_empty() {
            return;
        }
        for group in map.groups.values() {
            if back.iter().any(|disk| group.names(*disk)) {
                self.care.heal(group.id);
            }
        }
    }

    /// The groups that wait, the most endangered first.
    fn candidates(&mut self, map: &ClusterMap) -> Vec<(isize, PlacementGroup)> {
        let due = self.care.due();
        let wanted = |group: &&PlacementGroup| !group.former.is_empty() || due.contains(&group.id);
        let now = self.care.now();
        let mut candidates = Vec::new();
        let mut left = 0u64;
        if self.ranks.0 != map.epoch {
            self.ranks = (map.epoch, order::ranks(map));
        }
        let is_wanted = |group: &PgId| map.groups.get(group).is_some_and(|group| wanted(&group));
        self.rests.retain(|group, _| is_wanted(group));
        self.passes.retain(|group, _| is_wanted(group));
        let (mut count, mut least) = (0, None);
        for group in map.groups.values().filter(wanted) {
            let done = self.passes.get(&group.id).map_or(0, |facts| facts.bytes);
            left =
                left.saturating_add(order::bytes(map, group, &self.ranks.1).saturating_sub(done));
            let margin = self.margin(group);
            count += 1;
            least = Some(least.map_or(margin, |least: isize| least.min(margin)));
            let rests = self
                .rests
                .get(&group.id)
                .is_some_and(|rest| now < rest.until && rest.look == self.look(group));
            if !self.busy.contains_key(&group.id) && !rests {
                candidates.push((margin, group.clone()));
            }
        }
        self.left = left;
        self.waiting = (count, least);
        candidates.sort_by_key(|(margin, group)| (*margin, group.id));
        candidates
    }

    fn fill(&mut self, map: &ClusterMap) {
        let usual = self.care.settings.heal_groups.max(1);
        for (margin, group) in self.candidates(map) {
            let most = if margin <= ENDANGERED { 2 * usual } else { usual };
            if self.lanes.len() >= most {
                return;
            }
            self.rounds.go_on(self.care.now());
            let known = self.passes.get(&group.id).filter(|facts| facts.epoch == group.epoch);
            let facts = known.cloned().unwrap_or_else(|| Facts::new(&group));
            let rate = pace::rate(self.care.settings.heal_bytes_per_s, margin);
            let pace = Pace::new(&self.care.limiter, rate, &self.written);
            let (care, id) = (self.care.clone(), group.id);
            let page = self.lanes.spawn(async move {
                let paged = pass::page(&care, &group, facts, &pace).await;
                (group, paged)
            });
            self.busy.insert(id, page.id());
        }
    }

    fn count(&mut self, tally: &Tally) {
        self.rounds.look(tally.blobs);
        for (what, number) in [
            ("missing", tally.missing),
            ("misplaced", tally.misplaced),
            ("written", tally.written),
            ("found", tally.found),
            ("deleted", tally.deleted),
            ("stuck", tally.stuck),
        ] {
            if number > 0 {
                self.rounds.count(what, number);
            }
        }
        for (what, number) in [
            ("shard_written", tally.written),
            ("shard_found", tally.found),
            ("shard_bytes", tally.bytes),
            ("copy_deleted", tally.deleted),
        ] {
            if number > 0 {
                metrics::done(NAME, what, number);
            }
        }
        self.healed += tally.written + tally.found;
        self.counted += tally.bytes;
        self.left = self.left.saturating_sub(tally.bytes);
        if let Some(failure) = &tally.last_failure {
            self.last_failure = Some(failure.clone());
        }
    }

    async fn take(&mut self, (group, result): Paged) -> Result<(), Error> {
        self.busy.remove(&group.id);
        let (facts, tally) = result?;
        self.count(&tally);
        let is_complete = facts.is_complete;
        self.passes.insert(group.id, facts.clone());
        if is_complete {
            self.finish(&group, &facts).await?;
            self.passes.remove(&group.id);
        }
        let did_something = tally.written + tally.deleted > 0;
        let is_time = self.saved.is_none_or(|saved| saved.elapsed() >= SAVE);
        if did_something && (is_complete || is_time) {
            self.save().await?;
        }
        Ok(())
    }

    /// At the end of a pass.
    async fn finish(&mut self, group: &PlacementGroup, facts: &Facts) -> Result<(), Error> {
        let ended = moves::end(&self.care, group, facts).await?;
        if ended > 0 {
            self.rounds.count("ended", ended);
            metrics::done(NAME, "move_ended", ended);
        }
        if facts.stuck == 0 {
            self.care.is_healed(group.id);
        }
        if facts.stuck == 0 && group.former.is_empty() {
            self.rests.remove(&group.id);
            return Ok(());
        }
        // The map known here may still show the moves that have just ended: that is no reason to
        // look again before it changes.
        let look = self.look(group);
        let tries = match self.rests.get(&group.id) {
            Some(rest) if rest.look == look => rest.tries + 1,
            _ => 0,
        };
        let rest_ms = REST_MIN_MS.saturating_mul(1 << tries.min(16)).min(REST_MAX_MS);
        let until = self.care.now().plus(rest_ms);
        self.rests.insert(group.id, Rest { look, until, tries });
        Ok(())
    }

    async fn end_round(&mut self) -> Result<(), Error> {
        if self.waiting.0 == 0 && self.rounds.under_way().is_some() {
            self.rounds.end(self.care.now());
            self.written.store(0, Ordering::Relaxed);
            self.counted = 0;
            self.save().await?;
        }
        Ok(())
    }
}

#[async_trait]
impl Worker for Healer {
    fn name(&self) -> &'static str {
        NAME
    }

    fn rest_percent(&self, _usual: u32) -> u32 {
        0
    }

    /// A page of one of the groups under way.
    async fn work(&mut self) -> Result<Step, Error> {
        self.load().await?;
        let map = self.care.objects.metadata().map();
        self.notice_disks(&map);
        self.fill(&map);
        if self.lanes.is_empty() {
            self.end_round().await?;
            return Ok(Step::Idle);
        }
        match tokio::time::timeout(STEP, self.lanes.join_next()).await {
            Ok(Some(Ok(paged))) => self.take(paged).await?,
            Ok(Some(Err(error))) => {
                self.busy.retain(|_, page| *page != error.id());
                return Err(Error::Unexpected(format!("a page ended early: {error}")));
            }
            Ok(None) | Err(_) => {}
        }
        Ok(Step::More)
    }

    async fn wait_for_work(&mut self) {
        let interval = Duration::from_millis(self.care.settings.heal_interval_ms);
        tokio::select! {
            () = tokio::time::sleep(interval) => {}
            () = self.care.until_due() => {}
        }
    }

    fn status(&self) -> (u64, String) {
        let mut detail = match self.waiting {
            (0, _) | (_, None) => "all shards are where they belong".to_owned(),
            (groups, Some(margin)) => {
                format!("{groups} groups to heal, the least margin is {margin}")
            }
        };
        detail.push_str(&format!("; {} shards healed", self.healed));
        if let Some(failure) = self.last_failure.as_ref().filter(|_| !self.rests.is_empty()) {
            detail.push_str(&format!(", {} groups wait: {failure}", self.rests.len()));
        }
        (self.healed, detail)
    }

    fn progress(&self) -> Progress {
        let place = self.busy.keys().next().map(|group| Place::new(format!("group {group}"), ""));
        let done = self.written.load(Ordering::Relaxed);
        let bytes = Amount { done, total: self.counted.saturating_add(self.left).max(done) };
        let progress = self.rounds.progress_of(bytes, place, self.care.now());
        Progress { last_failure: self.last_failure.clone(), ..progress }
    }
}
