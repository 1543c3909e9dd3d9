//! What has been converted, what is being, and how far: as the root group keeps it.

use std::collections::BTreeMap;

use metastore::api::index::VersionsAfter;
use serde::{Deserialize, Serialize};
use types::{Compression, DiskClass, ErasurePolicy, StorageClass, UnixMillis, UploadId};

use crate::{progress::Rounds, saved};

/// The version of the stored form.
const VERSION: u8 = 1;

/// As what blobs of a class are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Target {
    pub(super) policy: ErasurePolicy,
    /// The class of the disks that they go to: the profile's, or the hotter one that stands in.
    pub(super) disks: DiskClass,
    pub(super) compression: Compression,
}

/// Where a page of uploads begins.
pub(super) type AfterUpload = Option<(String, Option<UploadId>)>;

/// Where in a bucket the walk is. Uploads come first: one that ends in between has made a version that
/// is walked over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum At {
    Uploads(AfterUpload),
    Versions(Option<VersionsAfter>),
}

impl At {
    /// The key after which it goes on; empty at the beginning.
    pub(super) fn key(&self) -> &str {
        match self {
            Self::Uploads(after) => after.as_ref().map_or("", |(key, _)| key),
            Self::Versions(after) => after.as_ref().map_or("", |after| match after {
                VersionsAfter::Key(key)
                | VersionsAfter::Version(key, _)
                | VersionsAfter::Null(key)
                | VersionsAfter::Prefix(key) => key,
            }),
        }
    }
}

/// Why another walk must follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum Ahead {
    /// Something could not be converted, or changed just then.
    Failed,
    /// An upload was under way that may have parts from before.
    Upload,
}

/// A walk over all versions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Walk {
    /// What is converted, and to what.
    targets: BTreeMap<StorageClass, Target>,
    began: UnixMillis,
    /// The last bucket that was walked to its end.
    pub(super) last: String,
    /// The bucket being walked, and where.
    pub(super) at: Option<(String, At)>,
    ahead: Option<Ahead>,
}

impl Walk {
    pub(super) fn new(targets: BTreeMap<StorageClass, Target>, began: UnixMillis) -> Self {
        Self { targets, began, last: String::new(), at: None, ahead: None }
    }

    pub(super) fn converts(&self, class: StorageClass) -> bool {
        self.targets.contains_key(&class)
    }

    pub(super) fn needs(&mut self, why: Ahead) {
        self.ahead = self.ahead.max(Some(why));
    }
}

/// A class that is to be stored otherwise than it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Change {
    target: Target,
    /// When that was seen.
    since: UnixMillis,
    /// When the next walk for it may begin.
    next: UnixMillis,
}

/// All that is remembered.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct State {
    /// As what every version of a class is stored.
    done: BTreeMap<StorageClass, Target>,
    changes: BTreeMap<StorageClass, Change>,
    pub(super) walk: Option<Walk>,
    pub(super) rounds: Rounds,
}

impl State {
    pub(super) fn encode(&self) -> Vec<u8> {
        saved::encode(VERSION, self)
    }

    /// `None` for what another version wrote: everything is walked over once more, which does no harm.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        saved::decode(VERSION, bytes)
    }

    /// The classes for which a walk is to begin now.
    pub(super) fn due(
        &mut self,
        targets: &BTreeMap<StorageClass, Target>,
        now: UnixMillis,
    ) -> BTreeMap<StorageClass, Target> {
        for (class, target) in targets {
            if self.done.get(class) == Some(target) {
                self.changes.remove(class);
            } else if self.changes.get(class).map(|change| change.target) != Some(*target) {
                // From the first conversion on, some of the class are stored otherwise.
                self.done.remove(class);
                self.changes.insert(*class, Change { target: *target, since: now, next: now });
            }
        }
        if self.changes.values().all(|change| now < change.next) {
            return BTreeMap::new();
        }
        // Once somebody walks, all go along.
        let all = self
            .changes
            .iter()
            .filter(|(class, change)| targets.get(class) == Some(&change.target));
        all.map(|(class, change)| (*class, change.target)).collect()
    }

    /// Takes out of the walk what is to become something else by now; ends it if nothing is left.
    pub(super) fn drop_outdated(&mut self, targets: &BTreeMap<StorageClass, Target>) {
        if let Some(walk) = &mut self.walk {
            walk.targets.retain(|class, target| targets.get(class) == Some(target));
            if walk.targets.is_empty() {
                self.walk = None;
            }
        }
    }

    /// The walk has come to its end. A class is done if everything went well and the walk began
    /// `settle_ms` after the change; else one more follows.
    pub(super) fn end(&mut self, now: UnixMillis, settle_ms: u64, after_failure_ms: u64) {
        let Some(walk) = self.walk.take() else { return };
        self.rounds.end(now);
        for (class, target) in walk.targets {
            let Some(change) = self.changes.get_mut(&class) else { continue };
            let settled = change.since.plus(settle_ms);
            match walk.ahead {
                Some(Ahead::Failed) => change.next = now.plus(after_failure_ms),
                // Whoever uploads may take days.
                Some(Ahead::Upload) => change.next = now.plus(settle_ms.max(after_failure_ms)),
                None if walk.began < settled => change.next = settled,
                None => {
                    self.changes.remove(&class);
                    self.done.insert(class, target);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STANDARD: StorageClass = StorageClass::Standard;
    const GLACIER: StorageClass = StorageClass::Glacier;

    fn target(k: u8) -> Target {
        let policy = ErasurePolicy::new(k, 2).expect("valid");
        Target { policy, disks: DiskClass::Hot, compression: Compression::None }
    }

    fn due(
        state: &mut State,
        targets: &BTreeMap<StorageClass, Target>,
        at: u64,
    ) -> Vec<StorageClass> {
        let due = state.due(targets, UnixMillis(at));
        let classes = due.keys().copied().collect();
        if !due.is_empty() {
            state.walk = Some(Walk::new(due, UnixMillis(at)));
        }
        classes
    }

    #[test]
    fn a_class_is_done_after_a_walk_that_began_late_enough() {
        let mut state = State::default();
        let mut targets = BTreeMap::from([(STANDARD, target(4)), (GLACIER, target(8))]);
        assert_eq!(due(&mut state, &targets, 100), [STANDARD, GLACIER]);
        state.end(UnixMillis(150), 1000, 50);
        assert_eq!(due(&mut state, &targets, 1000), []);
        assert_eq!(due(&mut state, &targets, 1100), [STANDARD, GLACIER]);
        // Something is under way: the next walk comes later.
        state.walk.as_mut().expect("begun").needs(Ahead::Failed);
        state.end(UnixMillis(1200), 1000, 50);
        assert_eq!(due(&mut state, &targets, 1249), []);
        assert_eq!(due(&mut state, &targets, 1250), [STANDARD, GLACIER]);
        state.end(UnixMillis(1300), 1000, 50);
        assert_eq!(due(&mut state, &targets, u64::MAX >> 1), []);

        // One changes: the other is left alone.
        targets.insert(GLACIER, target(6));
        assert_eq!(due(&mut state, &targets, 5000), [GLACIER]);
        // It changes back while some were converted: they must be converted back.
        targets.insert(GLACIER, target(8));
        state.drop_outdated(&targets);
        assert_eq!(state.walk, None);
        assert_eq!(due(&mut state, &targets, 5001), [GLACIER]);
        assert_eq!(State::decode(&state.encode()), Some(state.clone()));
        assert_eq!(State::decode(&[9, 0]), None);
    }

    #[test]
    fn an_upload_under_way_weighs_more_than_a_failure() {
        let mut state = State::default();
        let targets = BTreeMap::from([(STANDARD, target(4))]);
        assert_eq!(due(&mut state, &targets, 5000), [STANDARD]);
        let walk = state.walk.as_mut().expect("begun");
        walk.needs(Ahead::Upload);
        walk.needs(Ahead::Failed);
        state.end(UnixMillis(6000), 3000, 50);
        assert_eq!(due(&mut state, &targets, 8999), []);
        assert_eq!(due(&mut state, &targets, 9000), [STANDARD]);
    }
}
