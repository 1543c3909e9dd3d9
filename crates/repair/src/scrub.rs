//! The scrub: proof that what was stored is still there.
//!
//! Once a day the inventories of every group's disks are compared, and what is missing or misplaced
//! is put right; shards on disks that their group does not name too. In every period each disk reads all its chunks against their digests, at its own
//! pace so that the whole disk takes the period; a bad shard is replaced at once. Somebody may ask
//! for a round that does both as fast as it goes ([`request`](request())).
//!
//! Nothing that is found is dropped. A step is done only when all that it found bad is replaced or
//! written down; where too much cannot be replaced the disk waits.

mod cursor;
mod request;
mod verify;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use cursor::{Cursor, DiskCursor, NAME, Position};
use futures::future::join_all;
pub use request::request;
use tokio::time::Instant;
use types::{ClusterMap, DiskId, DiskState, PgId, ShardId, UnixMillis};
use verify::{Bad, Stepped, Treated};

use crate::{
    Care, Error, Step, Worker,
    heal::pass::{self, Facts, Tally},
    metrics,
    pace::{self, Pace},
    progress::{Amount, Place, Progress, Rounds},
    saved, strays,
};

/// Bytes that a disk reads in one step.
const STEP_BYTES: u64 = 16 << 20;

/// Disks that read at a time.
const DISKS_AT_ONCE: usize = 16;

/// Bad shards of a disk that wait to be replaced; at the bound the disk reads no further. So many
/// are written down.
const STUCK_MAX: usize = 128;

/// Shards of a disk that are looked at for strays in one step.
const STRAYS_PAGE: u32 = 1000;

/// What could not be done is tried again after so long.
const RETRY_MS: u64 = 10_000;

/// Progress is saved at most so often, the ends of rounds apart.
const SAVE: Duration = Duration::from_secs(10);

/// The longest rest after a page of inventories, which is as long as the page took.
const REST_MAX: Duration = Duration::from_secs(1);

/// How often a request is looked for while there is other work.
const LOOK: Duration = Duration::from_secs(2);

/// A disk in the round under way.
#[derive(Default)]
struct DiskScrub {
    after: Option<ShardId>,
    is_done: bool,
    bytes: u64,
    /// Bad shards that wait, some of which only their ids are known after a restart.
    stuck: Vec<Bad>,
    unknown: Vec<ShardId>,
    /// Not before: it did not answer, or has too many bad shards that cannot be replaced.
    retry_at: UnixMillis,
}

impl DiskScrub {
    fn loaded(saved: DiskCursor, round: UnixMillis) -> Self {
        let DiskCursor { round: of, after, is_done, bytes, stuck } = saved;
        let kept = Self { unknown: stuck, ..Self::default() };
        if of == round { Self { after, is_done, bytes, ..kept } } else { kept }
    }

    fn cursor(&self, round: UnixMillis) -> DiskCursor {
        let known = self.stuck.iter().map(|bad| bad.entry.shard);
        DiskCursor {
            round,
            after: self.after,
            is_done: self.is_done,
            bytes: self.bytes,
            stuck: self.unknown.iter().copied().chain(known).collect(),
        }
    }

    /// A new round; what is stuck stays.
    fn begin(&mut self) {
        let (stuck, unknown) = (std::mem::take(&mut self.stuck), std::mem::take(&mut self.unknown));
        *self = Self { stuck, unknown, ..Self::default() };
    }

    fn waiting(&self) -> usize {
        self.stuck.len() + self.unknown.len()
    }
}

/// The worker that reads and compares. A round is every byte of every disk once, and all
/// comparisons of inventories that fall into it. What it looks at are shards that were read; it
/// counts their `bytes`, those that are `bad`, shards that are `missing` or `misplaced`, those that
/// were `repaired`, what is `stuck`, and `skipped_disks`.
pub struct Scrubber {
    care: Care,
    /// `None` until it was read.
    cursor: Option<Cursor>,
    disks: BTreeMap<DiskId, DiskScrub>,
    /// Those that have come further since they were saved.
    unsaved: BTreeSet<DiskId>,
    saved: Option<Instant>,
    /// When a request was looked for; `None` before the next step.
    looked: Option<Instant>,
    verified: u64,
    last_failure: Option<String>,
}

impl Scrubber {
    /// A scrubber that mends beside others.
    pub fn new(care: &Care) -> Self {
        Self {
            care: care.clone(),
            cursor: None,
            disks: BTreeMap::new(),
            unsaved: BTreeSet::new(),
            saved: None,
            looked: None,
            verified: 0,
            last_failure: None,
        }
    }

    async fn load(&mut self) -> Result<(), Error> {
        if self.cursor.is_some() {
            return Ok(());
        }
        let metadata = self.care.objects.metadata().clone();
        let saved = saved::read(&*metadata, cursor::NAME).await?;
        let cursor = saved.and_then(|bytes| Cursor::decode(&bytes)).unwrap_or_default();
        let round = began(&cursor.rounds).unwrap_or_default();
        let mut disks = BTreeMap::new();
        for disk in metadata.map().disks.keys() {
            let saved = saved::read(&*metadata, &cursor::name_of(*disk)).await?;
            let saved = saved.and_then(|bytes| DiskCursor::decode(&bytes)).unwrap_or_default();
            disks.insert(*disk, DiskScrub::loaded(saved, round));
        }
        (self.cursor, self.disks) = (Some(cursor), disks);
        Ok(())
    }

    fn cursor(&mut self) -> &mut Cursor {
        self.cursor.get_or_insert_default()
    }

    fn rounds(&mut self) -> &mut Rounds {
        &mut self.cursor().rounds
    }

    /// The disks and the round in one go, so that what is counted is what was read.
    async fn save(&mut self) -> Result<(), Error> {
        let metadata = self.care.objects.metadata().clone();
        let round = began(self.rounds()).unwrap_or_default();
        for disk in std::mem::take(&mut self.unsaved) {
            let Some(scrub) = self.disks.get(&disk) else { continue };
            let cursor = scrub.cursor(round).encode();
            saved::write(&*metadata, &cursor::name_of(disk), cursor).await?;
        }
        let cursor = self.cursor().encode();
        saved::write(&*metadata, cursor::NAME, cursor).await?;
        self.saved = Some(Instant::now());
        Ok(())
    }

    /// Begins what is due: a round that somebody asked for, one that the period asks for, a
    /// comparison of inventories.
    async fn begin(&mut self, now: UnixMillis) -> Result<(), Error> {
        if self.looked.is_none_or(|looked| looked.elapsed() >= LOOK) {
            let asked = request::last(&**self.care.objects.metadata()).await?;
            self.looked = Some(Instant::now());
            if asked > self.cursor().request {
                *self.cursor() = Cursor {
                    request: asked,
                    is_fast: true,
                    rounds: self.rounds().clone(),
                    ..Cursor::default()
                };
                return self.begin_round(now).await;
            }
        }
        let settings = &self.care.settings;
        let (period, interval) = (settings.scrub_period_ms, settings.scrub_inventory_ms);
        let cursor = self.cursor();
        if cursor.rounds.under_way().is_none() {
            let last = cursor.rounds.last().map(|round| round.began);
            if last.is_none_or(|last| now.since(last) >= period) {
                cursor.is_fast = false;
                return self.begin_round(now).await;
            }
        }
        // One after the other: where it takes longer than the interval, the next begins when it has
        // ended. Begun anew it would never come to the last groups, nor the round to its end.
        if cursor.at.is_none()
            && cursor.compared.is_none_or(|compared| now.since(compared) >= interval)
        {
            cursor.compared = Some(now);
            cursor.at = Some(Position::BEGINNING);
        }
        Ok(())
    }

    /// A round begins with a comparison of inventories.
    async fn begin_round(&mut self, now: UnixMillis) -> Result<(), Error> {
        let cursor = self.cursor();
        cursor.rounds.begin(now);
        cursor.compared = Some(now);
        cursor.at = Some(Position::BEGINNING);
        self.disks.values_mut().for_each(DiskScrub::begin);
        self.unsaved = self.disks.keys().copied().collect();
        self.save().await
    }

    /// A page of the comparison.
    async fn compare(&mut self, map: &ClusterMap) -> Result<(), Error> {
        let started = Instant::now();
        let next = match self.cursor().at.clone() {
            None => return Ok(()),
            Some(Position::Group(group, facts)) => self.compare_group(map, group, facts).await?,
            Some(Position::Disk(disk, after)) => self.find_strays(map, disk, after).await?,
        };
        self.cursor().at = next;
        if !self.cursor().is_fast {
            tokio::time::sleep(started.elapsed().min(REST_MAX)).await;
        }
        Ok(())
    }

    /// A page of a group. Groups on the move are left to the healer.
    async fn compare_group(
        &mut self,
        map: &ClusterMap,
        at: PgId,
        facts: Option<Facts>,
    ) -> Result<Option<Position>, Error> {
        let mut groups = map.groups.range(at..).map(|(_, group)| group);
        let Some(group) = groups.find(|group| group.former.is_empty()) else {
            return Ok(Some(Position::Disk(DiskId(0), None)));
        };
        let goes_on =
            |facts: &Facts| group.id == at && facts.epoch == group.epoch && !facts.is_complete;
        let facts = facts.filter(goes_on).unwrap_or_else(|| Facts::new(group));
        let pace = self.pace();
        let (facts, tally) = pass::page(&self.care, group, facts, &pace).await?;
        self.count_compared(&tally);
        if tally.stuck > 0 {
            self.care.heal(group.id);
        }
        Ok(Some(match facts.is_complete {
            true => Position::Group(PgId(group.id.0.saturating_add(1)), None),
            false => Position::Group(group.id, Some(facts)),
        }))
    }

    /// A page of what a disk has of groups that do not name it.
    async fn find_strays(
        &mut self,
        map: &ClusterMap,
        at: DiskId,
        after: Option<ShardId>,
    ) -> Result<Option<Position>, Error> {
        let mut disks = map.disks.range(at..).map(|(disk, _)| *disk);
        let Some(disk) = disks.find(|disk| self.care.mender.answers(*disk)) else {
            return Ok(None);
        };
        let next = Some(Position::Disk(DiskId(disk.0.saturating_add(1)), None));
        let after = after.filter(|_| disk == at);
        let page = match self.care.objects.shards().inventory(disk, after, STRAYS_PAGE).await {
            Ok(page) => page,
            Err(error) => {
                self.last_failure = Some(error.to_string());
                return Ok(next);
            }
        };
        match strays::settle(&self.care, disk, &page).await {
            Ok(settled) => {
                self.count("misplaced", settled.misplaced);
                self.count("repaired", settled.written);
                self.count("stuck", settled.stuck);
                self.last_failure = settled.last_failure.or(self.last_failure.take());
            }
            // The next comparison comes to it.
            Err(Error::Shard(error)) => {
                self.last_failure = Some(error.to_string());
                return Ok(next);
            }
            Err(error) => return Err(error),
        }
        let is_cut = page.len() >= STRAYS_PAGE as usize;
        let last = page.last().filter(|_| is_cut).map(|entry| entry.shard);
        Ok(last.map(|last| Position::Disk(disk, Some(last))).or(next))
    }

    /// As fast as it goes if somebody waits for it; else as a rank in danger.
    fn pace(&mut self) -> Pace {
        let rate = pace::rate(self.care.settings.heal_bytes_per_s, 1);
        let rate = rate.filter(|_| !self.cursor().is_fast);
        Pace::new(&self.care.limiter, rate, &Arc::default())
    }

    fn count(&mut self, what: &'static str, number: u64) {
        if number > 0 {
            self.rounds().count(what, number);
            if matches!(what, "bad" | "missing" | "misplaced" | "repaired") {
                metrics::done(NAME, what, number);
            }
        }
    }

    fn count_compared(&mut self, tally: &Tally) {
        self.count("missing", tally.missing);
        self.count("misplaced", tally.misplaced);
        self.count("repaired", tally.written);
        self.count("stuck", tally.stuck);
        self.last_failure = tally.last_failure.clone().or(self.last_failure.take());
    }

    /// The disks that are to read on now. In a round that nobody waits for each has a time for
    /// every byte.
    fn due(&mut self, map: &ClusterMap, now: UnixMillis) -> Vec<DiskId> {
        let period = self.care.settings.scrub_period_ms;
        let is_fast = self.cursor().is_fast;
        let Some(began) = began(self.rounds()) else { return Vec::new() };
        self.disks.retain(|disk, _| map.disks.contains_key(disk));
        let mut due = Vec::new();
        for disk in map.disks.values() {
            let scrub = self.disks.entry(disk.id).or_default();
            if scrub.is_done || now < scrub.retry_at {
                continue;
            }
            let used = map.used_bytes.get(&disk.id).copied().unwrap_or(0).max(1);
            let share = u128::from(period) * u128::from(scrub.bytes) / u128::from(used);
            let at = began.plus(u64::try_from(share).unwrap_or(u64::MAX).min(period));
            let is_over = now.since(began) >= period;
            if self.care.mender.answers(disk.id) {
                if is_fast || at <= now {
                    due.push(disk.id);
                }
            } else if is_fast || is_over || disk.state == DiskState::Out {
                scrub.is_done = true;
                self.unsaved.insert(disk.id);
                if let Some(cursor) = &mut self.cursor {
                    cursor.rounds.count("skipped_disks", 1);
                }
            }
        }
        due.truncate(DISKS_AT_ONCE);
        due
    }

    /// Lets some disks read on. Whether any did.
    async fn verify(&mut self, map: &ClusterMap, now: UnixMillis) -> Result<bool, Error> {
        let due = self.due(map, now);
        let (care, pace) = (self.care.clone(), self.pace());
        let steps = due.iter().map(|disk| {
            let after = self.disks.get(disk).and_then(|scrub| scrub.after);
            verify::step(&care, *disk, after, STEP_BYTES, &pace)
        });
        let steps: Vec<Result<Stepped, Error>> = join_all(steps).await;
        let mut failed = None;
        for (disk, step) in due.iter().zip(steps) {
            match step {
                Ok(step) => self.take(*disk, step, now),
                Err(Error::Shard(error)) => {
                    tracing::debug!(%disk, %error, "a disk cannot be scrubbed now");
                    self.retry(*disk, now);
                    self.last_failure = Some(error.to_string());
                }
                // Of the index, so nothing is known: the step comes again.
                Err(error) => failed = Some(error),
            }
        }
        failed.map_or(Ok(!due.is_empty()), Err)
    }

    fn retry(&mut self, disk: DiskId, now: UnixMillis) {
        if let Some(scrub) = self.disks.get_mut(&disk) {
            scrub.retry_at = now.plus(RETRY_MS);
        }
    }

    fn take(&mut self, disk: DiskId, step: Stepped, now: UnixMillis) {
        let Stepped { verified, treated } = step;
        let Some(scrub) = self.disks.get_mut(&disk) else { return };
        if scrub.waiting() + treated.stuck.len() > STUCK_MAX {
            // The disk waits: it reads the same once more, and finds what is still bad again.
            scrub.retry_at = now.plus(RETRY_MS);
            let counted = treated.repaired.min(treated.bad);
            self.count_treated(&Treated { bad: counted, ..treated });
            return;
        }
        scrub.after = verified.next;
        scrub.is_done = verified.next.is_none();
        scrub.bytes += verified.bytes;
        scrub.stuck.extend(treated.stuck.iter().cloned());
        self.unsaved.insert(disk);
        self.verified += verified.shards;
        self.rounds().look(verified.shards);
        self.count("bytes", verified.bytes);
        self.count_treated(&treated);
        metrics::done(NAME, "verified_bytes", verified.bytes);
    }

    fn count_treated(&mut self, treated: &Treated) {
        self.count("bad", treated.bad);
        self.count("repaired", treated.repaired);
        self.count("stuck", treated.stuck.len() as u64);
        self.last_failure = treated.last_failure.clone().or(self.last_failure.take());
    }

    /// Tries again to replace what could not be replaced. Whether anything was.
    async fn try_again(&mut self, now: UnixMillis) -> Result<bool, Error> {
        let (care, pace) = (self.care.clone(), self.pace());
        let waits = |(disk, scrub): (&DiskId, &DiskScrub)| {
            (scrub.waiting() > 0 && now >= scrub.retry_at).then_some(*disk)
        };
        let disks: Vec<DiskId> = self.disks.iter().filter_map(waits).collect();
        let mut did_any = false;
        for disk in disks.into_iter().filter(|disk| care.mender.answers(*disk)) {
            let Some(scrub) = self.disks.get_mut(&disk) else { continue };
            scrub.retry_at = now.plus(RETRY_MS);
            while let Some(shard) = scrub.unknown.last().copied() {
                let entry = match verify::look_up(&care, disk, shard).await {
                    Ok(entry) => entry,
                    Err(Error::Shard(_)) => break,
                    Err(error) => return Err(error),
                };
                // It was counted when it was found.
                scrub.stuck.extend(entry.map(|entry| Bad { entry, is_counted: true }));
                scrub.unknown.pop();
            }
            let waiting = scrub.stuck.clone();
            let count = waiting.len();
            let treated = verify::treat(&care, disk, waiting, &pace).await?;
            did_any |= treated.stuck.len() < count;
            scrub.stuck.clone_from(&treated.stuck);
            self.unsaved.insert(disk);
            self.count("bad", treated.bad);
            self.count("repaired", treated.repaired);
            self.last_failure = treated.last_failure.or(self.last_failure.take());
        }
        Ok(did_any)
    }

    /// Whether all of the round is done. One that nobody waits for takes its period, so that what
    /// the daily comparisons find is counted in it.
    fn is_over(&mut self, map: &ClusterMap, now: UnixMillis) -> bool {
        let period = self.care.settings.scrub_period_ms;
        let cursor = self.cursor();
        let is_time =
            cursor.is_fast || began(&cursor.rounds).is_some_and(|began| now.since(began) >= period);
        cursor.rounds.under_way().is_some()
            && is_time
            && cursor.at.is_none()
            && map.disks.keys().all(|disk| self.disks.get(disk).is_some_and(|it| it.is_done))
    }

    fn amount(&self) -> Amount {
        let map = self.care.objects.metadata().map();
        let mut amount = Amount::default();
        for (disk, scrub) in &self.disks {
            let used = map.used_bytes.get(disk).copied().unwrap_or(0);
            amount.done += scrub.bytes;
            amount.total += if scrub.is_done { scrub.bytes } else { used.max(scrub.bytes) };
        }
        amount
    }
}

/// When the round under way began.
fn began(rounds: &Rounds) -> Option<UnixMillis> {
    rounds.under_way().map(|round| round.began)
}

#[async_trait]
impl Worker for Scrubber {
    fn name(&self) -> &'static str {
        NAME
    }

    fn rest_percent(&self, _usual: u32) -> u32 {
        0
    }

    /// A page of the comparison, and a step of each disk that is due.
    async fn work(&mut self) -> Result<Step, Error> {
        self.load().await?;
        let (map, now) = (self.care.objects.metadata().map(), self.care.now());
        self.begin(now).await?;
        let compares = self.cursor().at.is_some();
        self.compare(&map).await?;
        let mended = self.try_again(now).await?;
        let verified = self.verify(&map, now).await?;
        if self.is_over(&map, now) {
            // The last that was counted is saved with the end of the round.
            let round = began(self.rounds());
            self.rounds().end(now);
            tracing::info!(?round, "a scrub has come to its end");
            self.save().await?;
        } else if self.saved.is_none_or(|saved| saved.elapsed() >= SAVE)
            && (compares || !self.unsaved.is_empty())
        {
            self.save().await?;
        }
        if compares || mended || verified {
            return Ok(Step::More);
        }
        self.looked = None;
        Ok(Step::Idle)
    }

    /// Until a disk may read on, or a request may have come.
    async fn wait_for_work(&mut self) {
        const SHORT: Duration = Duration::from_millis(100);
        let is_under_way = self.cursor.as_ref().is_some_and(|it| it.rounds.under_way().is_some());
        let reads = self.disks.values().any(|scrub| !scrub.is_done);
        tokio::time::sleep(if is_under_way && reads { SHORT } else { LOOK }).await;
    }

    fn status(&self) -> (u64, String) {
        let waiting: usize = self.disks.values().map(DiskScrub::waiting).sum();
        let reading = self.disks.values().filter(|scrub| !scrub.is_done).count();
        let is_under_way = self.cursor.as_ref().is_some_and(|it| it.rounds.under_way().is_some());
        let mut detail = match is_under_way {
            true => format!("{reading} disks are not read to their end"),
            false => "between rounds".to_owned(),
        };
        detail.push_str(&format!("; {} shards verified", self.verified));
        if waiting > 0 {
            let failure = self.last_failure.as_deref().unwrap_or("");
            detail.push_str(&format!(", {waiting} bad ones wait: {failure}"));
        }
        (self.verified, detail)
    }

    fn progress(&self) -> Progress {
        let Some(cursor) = &self.cursor else { return Progress::default() };
        let place = cursor.at.as_ref().map(|at| match at {
            Position::Group(group, _) => Place::new(format!("group {group}"), ""),
            Position::Disk(disk, _) => Place::new(format!("disk {disk}"), ""),
        });
        let progress = cursor.rounds.progress_of(self.amount(), place, self.care.now());
        Progress { last_failure: self.last_failure.clone(), ..progress }
    }
}
