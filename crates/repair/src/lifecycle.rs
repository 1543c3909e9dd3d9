//! Lifecycle: once a day every bucket's rules are put to every version and every upload in
//! progress, in one walk over the index. What is due is ended, or moved to another storage class.
//!
//! How far the walk has come is saved in the root group with every page, so that it goes on
//! where it was when another node becomes leader. A page that is walked twice does no harm:
//! each removal names the very version that was looked at, and the index partition refuses it
//! if the key has another one by now, or if a lock forbids it.

mod cursor;
mod due;
mod removal;
mod transition;
mod walk;

use std::{collections::BTreeMap, time::Duration};

use ::lifecycle::{Action, Calendar, Lifecycle, State, Subject};
use async_trait::async_trait;
use cursor::{Cursor, Stage};
use due::Due;
use futures::{StreamExt, stream};
use metastore::api::{index::VersionsAfter, root::ConfigKind};
use objects::{Objects, Transition};
use removal::{End, Removal, Removed, remove};
use transition::{Move, transition};
use types::{UnixMillis, VersionId, Versioning};
use walk::{Seen, Walk};

use crate::{
    Error, Settings, Step, Worker, metrics,
    progress::{Counts, Place, Progress, Rounds, add},
    saved,
};

/// The worker's name, also of its cursor.
const NAME: &str = "lifecycle";

/// Lines of one page of the index.
const PAGE: u32 = 1000;

/// Removals under way at a time.
const REMOVALS_MAX: usize = 32;

/// Transitions under way at a time. Each reads and writes whole objects with the bandwidth of as
/// many disks as its code has chunks: a few of them keep disks busy while others are committed,
/// and more would only stand in the way of requests.
const TRANSITIONS_MAX: usize = 4;

/// Times in a row that the cluster says that it cannot take the bytes now, after which the walk goes
/// on without them: what is to be removed elsewhere may be what makes room.
const TRIES_MAX: u32 = 3;

/// What it counts in a round; the names that [`Progress`] shows, and those of the metrics.
struct Counted(&'static str, Option<&'static str>);
const EXPIRED: Counted = Counted("expired", Some("object_expired"));
const REMOVED: Counted = Counted("removed", Some("version_removed"));
const TRANSITIONED: Counted = Counted("transitioned", Some("version_transitioned"));
/// The object layer has the metric.
const TRANSITIONED_BYTES: Counted = Counted("transitioned_bytes", None);
const ABORTED: Counted = Counted("aborted", Some("upload_aborted"));
const LOCKED: Counted = Counted("locked", Some("version_kept_by_lock"));
const FAILED: Counted = Counted("failed", Some("lifecycle_failed"));

/// The worker that ends and moves what the rules of its bucket end and move. What it looks at are
/// versions and uploads. It counts those that it has `expired`, `removed`, `transitioned` (with
/// `transitioned_bytes`: bytes of content that were written anew), `aborted`, and those that are
/// `locked` against removal or have `failed` for today.
pub struct LifecycleWorker {
    objects: Objects,
    calendar: Calendar,
    /// `None` until it has been read.
    cursor: Option<Cursor>,
    rounds: Rounds,
    /// Since the process began.
    looked_at: u64,
    totals: Counts,
    last_failure: Option<String>,
    /// Steps in a row that could not move anything for lack of disks or partitions.
    tries: u32,
}

/// Whether an error says nothing about the one thing that was tried: the step is to be repeated, or
/// the bucket is gone.
fn is_general(error: &objects::Error) -> bool {
    matches!(error, objects::Error::Unavailable(_) | objects::Error::NoSuchBucket(_))
}

impl LifecycleWorker {
    /// A worker over this object layer.
    pub fn new(objects: Objects, settings: &Settings) -> Self {
        Self {
            objects,
            calendar: Calendar::with_day_ms(settings.lifecycle_day_ms),
            cursor: None,
            rounds: Rounds::default(),
            looked_at: 0,
            totals: Counts::new(),
            last_failure: None,
            tries: 0,
        }
    }

    fn count(&mut self, Counted(name, metric): Counted, number: u64) {
        if number == 0 {
            return;
        }
        self.rounds.count(name, number);
        add(&mut self.totals, name, number);
        if let Some(metric) = metric {
            metrics::done(NAME, metric, number);
        }
    }

    fn look(&mut self, things: usize) {
        self.rounds.look(things as u64);
        self.looked_at += things as u64;
    }

    /// What failed is tried again by the next day's walk; the others need not wait for it.
    fn fail(&mut self, bucket: &str, error: &objects::Error) {
        tracing::debug!(bucket, %error, "lifecycle leaves something for tomorrow");
        self.count(FAILED, 1);
        self.last_failure = Some(format!("{bucket}: {error}"));
    }

    fn now(&self) -> UnixMillis {
        UnixMillis(self.objects.clock().now_ms())
    }

    fn today(&self) -> u64 {
        self.now().0 / self.calendar.day_ms()
    }

    async fn load(&self) -> Result<Cursor, Error> {
        let saved = saved::read(&**self.objects.metadata(), NAME).await?;
        Ok(saved.and_then(|it| Cursor::decode(&it)).unwrap_or_default())
    }

    async fn save(&self, cursor: &Cursor) -> Result<(), Error> {
        saved::write(&**self.objects.metadata(), NAME, cursor.encode()).await
    }

    /// The first bucket after `bucket` that has rules.
    async fn next_bucket(&self, bucket: &str) -> Result<Option<String>, Error> {
        let mut after = Some(bucket.to_owned()).filter(|name| !name.is_empty());
        loop {
            let (buckets, more) = self.objects.buckets("", after.as_deref(), PAGE).await?;
            for bucket in &buckets {
                if self.rules_of(&bucket.name).await?.is_some() {
                    return Ok(Some(bucket.name.clone()));
                }
            }
            match buckets.last() {
                Some(last) if more => after = Some(last.name.clone()),
                _ => return Ok(None),
            }
        }
    }

    /// The rules of a bucket; `None` also if the bucket is gone.
    async fn rules_of(&self, bucket: &str) -> Result<Option<Lifecycle>, Error> {
        let stored = match self.objects.bucket_config(bucket, ConfigKind::Lifecycle).await {
            Ok(stored) => stored,
            Err(objects::Error::NoSuchBucket(_)) => None,
            Err(error) => return Err(error.into()),
        };
        let Some(stored) = stored else { return Ok(None) };
        match Lifecycle::decode(&stored) {
            Ok(rules) => Ok(Some(rules)),
            // A newer version wrote them: doing nothing is the only safe thing.
            Err(error) => {
                tracing::error!(bucket, %error, "lifecycle rules are left out");
                Ok(None)
            }
        }
    }

    /// A page of versions, or as much of it as a step does. `None` at the end.
    async fn versions(
        &mut self,
        bucket: &str,
        rules: &Lifecycle,
        walk: Walk,
    ) -> Result<Option<Walk>, Error> {
        let page = self.objects.list_versions(bucket, "", None, walk.after.clone(), PAGE).await?;
        let hides = self.hides(bucket, rules).await?;
        let mut walk = walk;
        walk.after = page.next.clone();
        let mut due = Due::default();
        let mut looked_at = 0;
        let now = self.now();
        let entries: Vec<Seen<'_>> = page.entries.iter().filter_map(Seen::of).collect();
        for (place, seen) in entries.iter().enumerate() {
            let older_here = entries.get(place + 1).map(|next| next.key == seen.key);
            let state = match walk.state_of(seen) {
                State::CurrentMarker { .. } => {
                    let alone = match older_here {
                        Some(older) => !older,
                        None if page.next.is_none() => true,
                        None => self.is_alone(bucket, seen.key, seen.id).await?,
                    };
                    State::CurrentMarker { alone }
                }
                state => state,
            };
            let none = BTreeMap::new();
            let subject = Subject {
                key: seen.key,
                size: seen.size,
                tags: seen.tags.unwrap_or(&none),
                made: seen.id.at,
                class: seen.class,
                state,
            };
            match rules.due(&subject, self.calendar, now) {
                // AWS: transition takes precedence over creation of delete markers.
                Some(Action::Expire) if hides => {
                    let to = rules.transition(&subject, self.calendar, now);
                    due.add(seen, Some(End::Expire), to);
                }
                Some(Action::Expire) => due.add(seen, Some(End::Expire), None),
                Some(Action::Remove) => due.add(seen, Some(End::Remove), None),
                Some(Action::Transition(to)) => due.add(seen, None, Some(to)),
                None => {}
            }
            walk.pass(seen);
            looked_at += 1;
            if due.is_enough() {
                if place + 1 < entries.len() {
                    walk.after = Some(VersionsAfter::Version(seen.key.to_owned(), seen.id));
                }
                break;
            }
        }
        self.remove(bucket, due.removals).await?;
        self.transition(bucket, due.moves).await?;
        self.remove(bucket, due.hidings).await?;
        self.look(looked_at);
        Ok(walk.after.is_some().then_some(walk))
    }

    /// Whether rules both move and expire, and what expires is only hidden.
    async fn hides(&self, bucket: &str, rules: &Lifecycle) -> Result<bool, Error> {
        if rules.rules.iter().all(|rule| rule.expiration.is_none())
            || rules.rules.iter().all(|rule| rule.transitions.is_empty())
        {
            return Ok(false);
        }
        let settings = self.objects.bucket_settings(bucket).await?;
        Ok(settings.versioning != Versioning::Off)
    }

    /// Whether the delete marker, the last line of its page, is all that its key has.
    async fn is_alone(&self, bucket: &str, key: &str, id: VersionId) -> Result<bool, Error> {
        let after = Some(VersionsAfter::Version(key.to_owned(), id));
        let next = self.objects.list_versions(bucket, key, None, after, 1).await?;
        Ok(next.entries.iter().filter_map(Seen::of).all(|seen| seen.key != key))
    }

    async fn remove(&mut self, bucket: &str, due: Vec<Removal>) -> Result<(), Error> {
        let removals: Vec<_> = due
            .into_iter()
            .map(|due| remove(self.objects.clone(), bucket.to_owned(), due))
            .collect();
        let mut removals = stream::iter(removals).buffer_unordered(REMOVALS_MAX);
        let mut stopped = None;
        while let Some(result) = removals.next().await {
            match result {
                Ok(Removed::Done(End::Expire)) => self.count(EXPIRED, 1),
                Ok(Removed::Done(End::Remove)) => self.count(REMOVED, 1),
                Ok(Removed::Locked) => self.count(LOCKED, 1),
                Ok(Removed::Moved) => {}
                // The others go on; the page is walked again.
                Err(error) if is_general(&error) => stopped = Some(error),
                Err(error) => self.fail(bucket, &error),
            }
        }
        stopped.map_or(Ok(()), |error| Err(error.into()))
    }

    async fn transition(&mut self, bucket: &str, due: Vec<Move>) -> Result<(), Error> {
        let moves: Vec<_> = due
            .into_iter()
            .map(|due| transition(self.objects.clone(), bucket.to_owned(), due))
            .collect();
        let mut moves = stream::iter(moves).buffer_unordered(TRANSITIONS_MAX);
        let mut stopped = Vec::new();
        while let Some(result) = moves.next().await {
            match result {
                Ok(Transition::Done { bytes }) => {
                    self.tries = 0;
                    self.count(TRANSITIONED, 1);
                    self.count(TRANSITIONED_BYTES, bytes);
                }
                Ok(Transition::Moved) => {}
                Err(error) if is_general(&error) => stopped.push(error),
                Err(error) => self.fail(bucket, &error),
            }
        }
        let Some(last) = stopped.last() else { return Ok(()) };
        self.tries = (self.tries + 1).min(TRIES_MAX);
        if self.tries < TRIES_MAX || matches!(last, objects::Error::NoSuchBucket(_)) {
            return Err(last.clone().into());
        }
        stopped.iter().for_each(|error| self.fail(bucket, error));
        Ok(())
    }

    /// A page of uploads in progress; where the next begins, `None` at the end.
    async fn uploads(
        &mut self,
        bucket: &str,
        rules: &Lifecycle,
        after: cursor::AfterUpload,
    ) -> Result<cursor::AfterUpload, Error> {
        let page = self.objects.uploads(bucket, "", None, after, PAGE).await?;
        let now = self.now();
        for upload in &page.uploads {
            if !rules.aborts(&upload.key, upload.initiated, self.calendar, now) {
                continue;
            }
            match self.objects.abort_upload(bucket, &upload.key, upload.id).await {
                Ok(()) => self.count(ABORTED, 1),
                // Completed or aborted in the meantime.
                Err(objects::Error::NoSuchUpload) => {}
                Err(error) if is_general(&error) => return Err(error.into()),
                Err(error) => self.fail(bucket, &error),
            }
        }
        self.look(page.uploads.len());
        Ok(page.next)
    }

    /// One page of the bucket that the cursor is in; the stage after it, `None` at its end. The
    /// rules are read with every page: who takes one back must not lose the rest of a large
    /// bucket to it.
    async fn page(&mut self, bucket: &str, stage: Stage) -> Result<Option<Stage>, Error> {
        let Some(rules) = self.rules_of(bucket).await? else { return Ok(None) };
        Ok(match stage {
            Stage::Versions(walk) => match self.versions(bucket, &rules, walk).await? {
                Some(walk) => Some(Stage::Versions(walk)),
                None => Some(Stage::Uploads(None)),
            },
            Stage::Uploads(after) => {
                self.uploads(bucket, &rules, after).await?.map(|after| Stage::Uploads(Some(after)))
            }
        })
    }
}

#[async_trait]
impl Worker for LifecycleWorker {
    fn name(&self) -> &'static str {
        NAME
    }

    /// A page of one bucket.
    async fn work(&mut self) -> Result<Step, Error> {
        let cursor = match self.cursor.clone() {
            Some(cursor) => cursor,
            None => {
                let cursor = self.load().await?;
                self.rounds = cursor.rounds.clone();
                cursor
            }
        };
        let today = self.today();
        if cursor.done && cursor.day == today {
            self.cursor = Some(cursor);
            return Ok(Step::Idle);
        }
        let cursor = if cursor.done {
            self.rounds.begin(self.now());
            Cursor::begin(today)
        } else {
            cursor
        };
        let next = match cursor.at.clone() {
            Some((bucket, stage)) => match self.page(&bucket, stage).await {
                Ok(Some(stage)) => Cursor { at: Some((bucket, stage)), ..cursor },
                Ok(None) | Err(Error::Objects(objects::Error::NoSuchBucket(_))) => {
                    Cursor { last: bucket, at: None, ..cursor }
                }
                Err(error) => return Err(error),
            },
            None => match self.next_bucket(&cursor.last).await? {
                Some(bucket) => {
                    Cursor { at: Some((bucket, Stage::Versions(Walk::default()))), ..cursor }
                }
                None => {
                    self.rounds.end(self.now());
                    Cursor { done: true, ..cursor }
                }
            },
        };
        let next = Cursor { rounds: self.rounds.clone(), ..next };
        self.save(&next).await?;
        self.cursor = Some(next);
        Ok(Step::More)
    }

    async fn wait_for_work(&mut self) {
        let day = self.calendar.day_ms();
        let rest = day - self.now().0 % day;
        tokio::time::sleep(Duration::from_millis(rest)).await;
    }

    fn status(&self) -> (u64, String) {
        let place = match &self.cursor {
            Some(Cursor { at: Some((bucket, Stage::Versions(_))), .. }) => {
                format!("walking the versions of {bucket}")
            }
            Some(Cursor { at: Some((bucket, Stage::Uploads(_))), .. }) => {
                format!("walking the uploads of {bucket}")
            }
            Some(Cursor { done: false, .. }) | None => "looking for rules".to_owned(),
            Some(_) => "until tomorrow".to_owned(),
        };
        let total = |Counted(name, _): Counted| self.totals.get(name).copied().unwrap_or(0);
        let detail = format!(
            "{place}: {} expired, {} versions removed, {} moved to another class, {} uploads \
             aborted, {} kept by a lock, {} failed",
            total(EXPIRED),
            total(REMOVED),
            total(TRANSITIONED),
            total(ABORTED),
            total(LOCKED),
            total(FAILED),
        );
        (self.looked_at, detail)
    }

    fn progress(&self) -> Progress {
        let at = self.cursor.as_ref().and_then(|cursor| cursor.at.as_ref());
        let place = at.map(|(bucket, stage)| Place::new(bucket.as_str(), stage.key()));
        let last_failure = self.last_failure.clone();
        Progress { last_failure, ..self.rounds.progress(place, self.now()) }
    }
}
