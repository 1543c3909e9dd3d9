//! After the operator has changed the profile of a storage class (policy, disks, compression), this worker
//! writes the versions that exist anew, one after the other, as the new profile wants them:
//! [`Objects::reencode`]. They can be read all the time; what they were before becomes garbage.
//!
//! It walks all versions of all buckets, and does so only if it must: it remembers for each class as what
//! its versions are stored (`state`). When a class is to be stored otherwise, a walk begins; after that
//! another one, so late that every write has ended which began under the old profile. A walk that could not
//! convert something, or that saw an upload under way with parts from before, is followed by one more.
//!
//! Where a class has no placement groups yet for what it should be, the worker waits until the metadata
//! leader has made them.

mod state;

use std::{collections::BTreeMap, time::Duration};

use async_trait::async_trait;
use futures::{StreamExt, stream};
use metastore::api::index::{ListedVersion, VersionEntry, VersionsAfter};
use objects::{Error as ObjectsError, Objects, Transition};
use state::{Ahead, At, State, Target, Walk};
use types::{ClusterMap, StorageClass, UnixMillis, Version, VersionId};

use crate::{
    Error, Settings, Step, Worker, metrics,
    progress::{Counts, Place, Progress, add},
    saved,
};

/// The worker's name, also of what it saves.
const NAME: &str = "reencode";

/// Lines of one page of the index.
const PAGE: u32 = 1000;

/// Versions that are converted at a time: as for transitions, a few keep the disks busy.
const VERSIONS_MAX: usize = 4;

/// A step ends after so many versions, or bytes, so that it can be throttled and stopped; one version,
/// however large, is not cut.
const STEP_VERSIONS_MAX: usize = 64;
const STEP_BYTES_MAX: u64 = 256 << 20;

/// Steps in a row that fail for lack of disks or partitions, after which the walk goes on without those
/// versions.
const TRIES_MAX: u32 = 3;

/// After a walk with failures, the next one begins so much later: one hour.
const AFTER_FAILURE_MS: u64 = 3600 * 1000;

/// The worker that converts what exists when a profile changes. What it looks at are versions; it counts
/// those `converted`, with `converted_bytes`, and those that have `failed`.
pub struct Reencoder {
    objects: Objects,
    settings: Settings,
    /// `None` until it has been read.
    state: Option<State>,
    /// Since the process began.
    looked_at: u64,
    totals: Counts,
    waiting: Vec<StorageClass>,
    last_failure: Option<String>,
    tries: u32,
}

/// A version to be converted.
struct Due {
    key: String,
    id: VersionId,
    null: bool,
    class: StorageClass,
}

impl Reencoder {
    /// A worker over this object layer.
    pub fn new(objects: Objects, settings: &Settings) -> Self {
        Self {
            objects,
            settings: settings.clone(),
            state: None,
            looked_at: 0,
            totals: Counts::new(),
            waiting: Vec::new(),
            last_failure: None,
            tries: 0,
        }
    }

    fn now(&self) -> UnixMillis {
        UnixMillis(self.objects.clock().now_ms())
    }

    fn count(&mut self, state: &mut State, what: &'static str, number: u64) {
        if number > 0 {
            state.rounds.count(what, number);
            add(&mut self.totals, what, number);
            metrics::done(NAME, what, number);
        }
    }

    fn fail(&mut self, state: &mut State, bucket: &str, error: &ObjectsError) {
        tracing::debug!(bucket, %error, "a version is converted later");
        self.count(state, "failed", 1);
        self.last_failure = Some(format!("{bucket}: {error}"));
        if let Some(walk) = &mut state.walk {
            walk.needs(Ahead::Failed);
        }
    }

    async fn save(&self, state: &State) -> Result<(), Error> {
        saved::write(&**self.objects.metadata(), NAME, state.encode()).await
    }

    /// Begins a walk if some class needs one now.
    fn begin(&mut self, state: &mut State, map: &ClusterMap) -> bool {
        let now = self.now();
        let (targets, waiting) = targets(map);
        self.waiting = waiting;
        let due = state.due(&targets, now);
        if due.is_empty() {
            return false;
        }
        tracing::info!(classes = ?due.keys(), "profiles have changed: versions are converted");
        state.rounds.begin(now);
        state.walk = Some(Walk::new(due, now));
        true
    }

    /// A page of uploads in progress: what they will make may be of parts from before.
    async fn uploads(
        &mut self,
        bucket: &str,
        walk: &mut Walk,
        after: state::AfterUpload,
    ) -> Result<Option<At>, Error> {
        let page = self.objects.uploads(bucket, "", None, after, PAGE).await?;
        if page.uploads.iter().any(|upload| walk.converts(upload.attributes.class)) {
            walk.needs(Ahead::Upload);
        }
        Ok(Some(match page.next {
            Some(next) => At::Uploads(Some(next)),
            None => At::Versions(None),
        }))
    }

    /// A page of versions, or as much of it as a step does. `None` at the end.
    async fn versions(
        &mut self,
        bucket: &str,
        state: &mut State,
        after: Option<VersionsAfter>,
    ) -> Result<Option<At>, Error> {
        let page = self.objects.list_versions(bucket, "", None, after, PAGE).await?;
        let converts = |class| state.walk.as_ref().is_some_and(|walk: &Walk| walk.converts(class));
        let (mut due, mut bytes, mut looked_at) = (Vec::new(), 0u64, 0u64);
        let mut next = page.next.clone();
        for (place, entry) in page.entries.iter().enumerate() {
            let VersionEntry::Version { id, null, what: ListedVersion::Object(object), .. } = entry
            else {
                continue;
            };
            looked_at += 1;
            if !converts(object.class) {
                continue;
            }
            let (key, class) = (object.key.clone(), object.class);
            due.push(Due { key: key.clone(), id: *id, null: *null, class });
            bytes = bytes.saturating_add(object.size);
            if due.len() >= STEP_VERSIONS_MAX || bytes >= STEP_BYTES_MAX {
                if place + 1 < page.entries.len() {
                    next = Some(VersionsAfter::Version(key, *id));
                }
                break;
            }
        }
        self.convert(bucket, state, due).await?;
        state.rounds.look(looked_at);
        self.looked_at += looked_at;
        Ok(next.map(|next| At::Versions(Some(next))))
    }

    async fn convert(
        &mut self,
        bucket: &str,
        state: &mut State,
        due: Vec<Due>,
    ) -> Result<(), Error> {
        let all: Vec<_> = due
            .into_iter()
            .map(|due| convert(self.objects.clone(), bucket.to_owned(), due))
            .collect();
        let mut all = stream::iter(all).buffer_unordered(VERSIONS_MAX);
        let mut stopped = Vec::new();
        while let Some(result) = all.next().await {
            match result {
                Ok(Some(Transition::Done { bytes })) => {
                    self.tries = 0;
                    self.count(state, "converted", u64::from(bytes > 0));
                    self.count(state, "converted_bytes", bytes);
                }
                Ok(Some(Transition::Moved)) => {
                    if let Some(walk) = &mut state.walk {
                        walk.needs(Ahead::Failed);
                    }
                }
                Ok(None) => {}
                Err(error @ ObjectsError::Unavailable(_)) => stopped.push(error),
                Err(error) => self.fail(state, bucket, &error),
            }
        }
        let Some(last) = stopped.last() else { return Ok(()) };
        self.tries += 1;
        if self.tries < TRIES_MAX {
            return Err(last.clone().into());
        }
        self.tries = 0;
        stopped.iter().for_each(|error| self.fail(state, bucket, error));
        Ok(())
    }

    /// One page; what the state is after it.
    async fn step(&mut self, mut state: State) -> Result<State, Error> {
        let Some(walk) = &mut state.walk else { return Ok(state) };
        let (bucket, at) = match walk.at.take() {
            Some(at) => at,
            None => {
                let after = Some(walk.last.as_str()).filter(|name| !name.is_empty());
                let (buckets, _) = self.objects.buckets("", after, 1).await?;
                match buckets.into_iter().next() {
                    Some(bucket) => (bucket.name, At::Uploads(None)),
                    None => {
                        let now = self.now();
                        state.end(now, self.settings.reencode_settle_ms, AFTER_FAILURE_MS);
                        return Ok(state);
                    }
                }
            }
        };
        let next = match at {
            At::Uploads(after) => self.uploads(&bucket, walk, after).await,
            At::Versions(after) => self.versions(&bucket, &mut state, after).await,
        };
        let next = match next {
            Err(Error::Objects(ObjectsError::NoSuchBucket(_))) => None,
            next => next?,
        };
        if let Some(walk) = &mut state.walk {
            match next {
                Some(at) => walk.at = Some((bucket, at)),
                None => walk.last = bucket,
            }
        }
        Ok(state)
    }
}

/// As what new blobs of each class are stored now, and the classes that have no groups for it.
fn targets(map: &ClusterMap) -> (BTreeMap<StorageClass, Target>, Vec<StorageClass>) {
    let (mut targets, mut waiting) = (BTreeMap::new(), Vec::new());
    for (class, profile) in map.classes.iter() {
        match map.groups_for(profile).first() {
            Some(group) => {
                let target = Target {
                    policy: profile.policy,
                    disks: group.class,
                    compression: profile.compression,
                };
                targets.insert(class, target);
            }
            None => waiting.push(class),
        }
    }
    (targets, waiting)
}

/// Converts the very version that was listed; `None` if it is gone.
async fn convert(
    objects: Objects,
    bucket: String,
    due: Due,
) -> Result<Option<Transition>, ObjectsError> {
    let Due { key, id, null, class } = due;
    let name = if null { Version::Null } else { Version::Id(id) };
    let head = match objects.head(&bucket, &key, Some(name)).await {
        Ok(head) if head.version == id && head.attributes.class == class => head,
        // Another version, or another class: it was written under the profile of now.
        Ok(_)
        | Err(
            ObjectsError::NoSuchKey
            | ObjectsError::NoSuchVersion
            | ObjectsError::DeleteMarker { .. }
            | ObjectsError::NoSuchBucket(_),
        ) => return Ok(None),
        Err(error) => return Err(error),
    };
    objects.reencode(&bucket, &key, &head).await.map(Some)
}

#[async_trait]
impl Worker for Reencoder {
    fn name(&self) -> &'static str {
        NAME
    }

    /// A page of one bucket.
    async fn work(&mut self) -> Result<Step, Error> {
        let mut state = match self.state.clone() {
            Some(state) => state,
            None => {
                let saved = saved::read(&**self.objects.metadata(), NAME).await?;
                saved.and_then(|bytes| State::decode(&bytes)).unwrap_or_default()
            }
        };
        let map = self.objects.metadata().map();
        let before = state.clone();
        // What is to be something else again by now need not be converted first.
        state.drop_outdated(&targets(&map).0);
        if state.walk.is_none() && !self.begin(&mut state, &map) {
            if state != before {
                self.save(&state).await?;
            }
            self.state = Some(state);
            return Ok(Step::Idle);
        }
        let state = self.step(state).await?;
        self.save(&state).await?;
        self.state = Some(state);
        Ok(Step::More)
    }

    async fn wait_for_work(&mut self) {
        tokio::time::sleep(Duration::from_millis(self.settings.reencode_interval_ms)).await;
    }

    fn status(&self) -> (u64, String) {
        let walk = self.state.as_ref().and_then(|state| state.walk.as_ref());
        let place = match walk.and_then(|walk| walk.at.as_ref()) {
            Some((bucket, _)) => format!("walking the versions of {bucket}"),
            None if walk.is_some() => "looking for buckets".to_owned(),
            None if !self.waiting.is_empty() => {
                let classes: Vec<&str> = self.waiting.iter().map(|class| class.as_str()).collect();
                format!("waiting for placement groups for {}", classes.join(", "))
            }
            None => "nothing to convert".to_owned(),
        };
        let total = |name: &str| self.totals.get(name).copied().unwrap_or(0);
        let detail = format!(
            "{place}: {} versions with {} bytes converted, {} failed",
            total("converted"),
            total("converted_bytes"),
            total("failed")
        );
        (self.looked_at, detail)
    }

    fn progress(&self) -> Progress {
        let Some(state) = &self.state else { return Progress::default() };
        let at = state.walk.as_ref().and_then(|walk| walk.at.as_ref());
        let place = at.map(|(bucket, at)| Place::new(bucket.as_str(), at.key()));
        let last_failure = self.last_failure.clone();
        Progress { last_failure, ..state.rounds.progress(place, self.now()) }
    }
}
