//! Lifecycle: once a day every bucket's rules are put to every version and every upload in
//! progress, in one walk over the index.
//!
//! How far the walk has come is saved in the root group with every page, so that it goes on
//! where it was when another node becomes leader. A page that is walked twice does no harm:
//! each removal names the very version that was looked at, and the index partition refuses it
//! if the key has another one by now, or if a lock forbids it.

mod cursor;
mod walk;

use std::{collections::BTreeMap, time::Duration};

use ::lifecycle::{Action, Calendar, Lifecycle, State, Subject};
use async_trait::async_trait;
use cursor::{Cursor, Stage};
use futures::{StreamExt, stream};
use metastore::api::{
    RootAnswer, RootCommand, RootQuery, RootView,
    index::{Origin, Reason, VersionsAfter},
    root::ConfigKind,
};
use objects::{Objects, request::Delete};
use types::{Condition, Match, UnixMillis, Version, VersionId};
use walk::{Seen, Walk};

use crate::{Error, Settings, Step, Worker, metrics};

/// The worker's name, also of its cursor.
const NAME: &str = "lifecycle";

/// Lines of one page of the index.
const PAGE: u32 = 1000;

/// Removals under way at a time.
const REMOVALS_MAX: usize = 32;

/// The worker that ends what the rules of its bucket end.
pub struct LifecycleWorker {
    objects: Objects,
    calendar: Calendar,
    /// `None` until it has been read.
    cursor: Option<Cursor>,
    looked_at: u64,
    expired: u64,
    removed: u64,
    aborted: u64,
    locked: u64,
}

/// A removal that is due.
struct Due {
    key: String,
    id: VersionId,
    null: bool,
    action: Action,
}

/// How a removal went.
enum Removal {
    Done(Action),
    Locked,
    /// Not there any more, or another version is: the next walk looks again.
    Moved,
}

impl LifecycleWorker {
    /// A worker over this object layer.
    pub fn new(objects: Objects, settings: &Settings) -> Self {
        Self {
            objects,
            calendar: Calendar::with_day_ms(settings.lifecycle_day_ms),
            cursor: None,
            looked_at: 0,
            expired: 0,
            removed: 0,
            aborted: 0,
            locked: 0,
        }
    }

    fn now(&self) -> UnixMillis {
        UnixMillis(self.objects.clock().now_ms())
    }

    fn today(&self) -> u64 {
        self.now().0 / self.calendar.day_ms()
    }

    async fn load(&self) -> Result<Cursor, Error> {
        let query = RootQuery::Cursor { worker: NAME.to_owned() };
        match self.objects.metadata().root_query(query).await? {
            RootView::Cursor(saved) => {
                Ok(saved.and_then(|it| Cursor::decode(&it)).unwrap_or_default())
            }
            other => Err(Error::Unexpected(format!("{other:?}"))),
        }
    }

    async fn save(&self, cursor: &Cursor) -> Result<(), Error> {
        let cursor = cursor.encode().into();
        let command = RootCommand::SaveCursor { worker: NAME.to_owned(), cursor };
        match self.objects.metadata().root(command).await? {
            RootAnswer::Done => Ok(()),
            other => Err(Error::Unexpected(format!("{other:?}"))),
        }
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

    /// A page of versions. `None` at the end.
    async fn versions(
        &mut self,
        bucket: &str,
        rules: &Lifecycle,
        walk: Walk,
    ) -> Result<Option<Walk>, Error> {
        let page = self.objects.list_versions(bucket, "", None, walk.after.clone(), PAGE).await?;
        let mut walk = walk;
        let mut due = Vec::new();
        let now = self.now();
        let count = page.entries.len();
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
                state,
            };
            if let Some(action) = rules.due(&subject, self.calendar, now) {
                due.push(Due { key: seen.key.to_owned(), id: seen.id, null: seen.null, action });
            }
            walk.pass(seen);
        }
        self.looked_at += count as u64;
        self.remove(bucket, due).await?;
        walk.after = page.next;
        Ok(walk.after.is_some().then_some(walk))
    }

    /// Whether the delete marker, the last line of its page, is all that its key has.
    async fn is_alone(&self, bucket: &str, key: &str, id: VersionId) -> Result<bool, Error> {
        let after = Some(VersionsAfter::Version(key.to_owned(), id));
        let next = self.objects.list_versions(bucket, key, None, after, 1).await?;
        Ok(next.entries.iter().filter_map(Seen::of).all(|seen| seen.key != key))
    }

    async fn remove(&mut self, bucket: &str, due: Vec<Due>) -> Result<(), Error> {
        let removals: Vec<_> = due
            .into_iter()
            .map(|due| remove(self.objects.clone(), bucket.to_owned(), due))
            .collect();
        let mut removals = stream::iter(removals).buffer_unordered(REMOVALS_MAX);
        let (mut expired, mut removed, mut locked) = (0, 0, 0);
        let mut failed = None;
        while let Some(result) = removals.next().await {
            match result {
                Ok(Removal::Done(Action::Expire)) => expired += 1,
                Ok(Removal::Done(Action::Remove)) => removed += 1,
                Ok(Removal::Locked) => locked += 1,
                Ok(Removal::Moved) => {}
                // The others go on; the page is walked again.
                Err(error) => failed = Some(error),
            }
        }
        drop(removals);
        self.expired += expired;
        self.removed += removed;
        self.locked += locked;
        metrics::done(NAME, "object_expired", expired);
        metrics::done(NAME, "version_removed", removed);
        failed.map_or(Ok(()), |error| Err(error.into()))
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
                Ok(()) => {
                    self.aborted += 1;
                    metrics::done(NAME, "upload_aborted", 1);
                }
                // Completed or aborted in the meantime.
                Err(objects::Error::NoSuchUpload) => {}
                Err(error) => return Err(error.into()),
            }
        }
        self.looked_at += page.uploads.len() as u64;
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

async fn remove(objects: Objects, bucket: String, due: Due) -> Result<Removal, objects::Error> {
    let exactly = Condition::Match(Match { version: Some(due.id), ..Match::default() });
    let (version, condition) = match due.action {
        Action::Expire => (None, exactly),
        // Another null version may have taken the place of the one that was looked at.
        Action::Remove if due.null => (Some(Version::Null), exactly),
        // An id is never used twice.
        Action::Remove => (Some(Version::Id(due.id)), Condition::None),
    };
    let origin = Origin { reason: Reason::LifecycleExpiration, ..Origin::default() };
    let delete =
        Delete { bucket, key: due.key, version, condition, bypass_governance: false, origin };
    match objects.delete(delete).await {
        Ok(_) => Ok(Removal::Done(due.action)),
        Err(objects::Error::Locked) => Ok(Removal::Locked),
        Err(
            objects::Error::PreconditionFailed
            | objects::Error::NoSuchKey
            | objects::Error::NoSuchVersion
            | objects::Error::DeleteMarker { .. },
        ) => Ok(Removal::Moved),
        Err(error) => Err(error),
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
            None => self.load().await?,
        };
        let today = self.today();
        if cursor.done && cursor.day == today {
            self.cursor = Some(cursor);
            return Ok(Step::Idle);
        }
        let cursor = if cursor.done { Cursor::begin(today) } else { cursor };
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
                None => Cursor { done: true, ..cursor },
            },
        };
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
        let Self { expired, removed, aborted, locked, .. } = self;
        let detail = format!(
            "{place}: {expired} expired, {removed} versions removed, {aborted} uploads aborted, \
             {locked} kept by a lock"
        );
        (self.looked_at, detail)
    }
}
