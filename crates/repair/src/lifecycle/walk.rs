//! Where a walk over versions is: what it must remember of the version before, across pages.

use std::collections::BTreeMap;

use ::lifecycle::State;
use metastore::api::index::{ListedVersion, VersionEntry, VersionsAfter};
use serde::{Deserialize, Serialize};
use types::{StorageClass, UnixMillis, VersionId};

/// The position of a walk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
pub(super) struct Walk {
    /// Where the next page begins.
    pub(super) after: Option<VersionsAfter>,
    /// The version before.
    before: Option<Before>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Before {
    key: String,
    /// When it was made: the next older version of the key is noncurrent since then.
    made: UnixMillis,
    /// Noncurrent versions of the key so far.
    noncurrent: u32,
}

/// A version as a page shows it.
pub(super) struct Seen<'a> {
    pub(super) key: &'a str,
    pub(super) id: VersionId,
    pub(super) null: bool,
    pub(super) size: u64,
    /// `None` for a delete marker.
    pub(super) tags: Option<&'a BTreeMap<String, String>>,
    /// `None` for a delete marker.
    pub(super) class: Option<StorageClass>,
    latest: bool,
}

impl<'a> Seen<'a> {
    /// `None` for a common prefix, which a walk never asks for.
    pub(super) fn of(entry: &'a VersionEntry) -> Option<Self> {
        let VersionEntry::Version { id, null, latest, what } = entry else { return None };
        Some(match what {
            ListedVersion::Object(object) => Self {
                key: &object.key,
                id: *id,
                null: *null,
                size: object.size,
                tags: Some(&object.tags),
                class: Some(object.class),
                latest: *latest,
            },
            ListedVersion::Marker { key, .. } => Self {
                key,
                id: *id,
                null: *null,
                size: 0,
                tags: None,
                class: None,
                latest: *latest,
            },
        })
    }
}

impl Walk {
    /// The place of a version among those of its key. Whether a marker is alone is seen only
    /// by what follows: it says yes.
    pub(super) fn state_of(&self, seen: &Seen<'_>) -> State {
        match (seen.latest, seen.tags) {
            (true, Some(_)) => State::Current,
            (true, None) => State::CurrentMarker { alone: true },
            (false, _) => match self.before.as_ref().filter(|before| before.key == seen.key) {
                Some(Before { made, noncurrent, .. }) => {
                    State::Noncurrent { since: *made, newer: *noncurrent }
                }
                // The version after it was removed between two pages: it has been noncurrent
                // since no one knows when, so it looks young and is left for the next walk.
                None => State::Noncurrent { since: UnixMillis(u64::MAX), newer: 0 },
            },
        }
    }

    /// Goes on to the next version.
    pub(super) fn pass(&mut self, seen: &Seen<'_>) {
        let noncurrent = match &self.before {
            _ if seen.latest => 0,
            Some(before) if before.key == seen.key => before.noncurrent + 1,
            _ => 1,
        };
        self.before = Some(Before { key: seen.key.to_owned(), made: seen.id.at, noncurrent });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noncurrent_versions_are_counted_and_aged_by_the_one_after() {
        let tags = BTreeMap::new();
        let seen = |key: &'static str, at, latest| Seen {
            key,
            id: VersionId { at: UnixMillis(at), number: 0 },
            null: false,
            size: 1,
            tags: Some(&tags),
            class: Some(StorageClass::Standard),
            latest,
        };
        let mut walk = Walk::default();
        for (version, state) in [
            (seen("a", 30, true), State::Current),
            (seen("a", 20, false), State::Noncurrent { since: UnixMillis(30), newer: 0 }),
            (seen("a", 10, false), State::Noncurrent { since: UnixMillis(20), newer: 1 }),
            (seen("b", 40, true), State::Current),
            (seen("b", 5, false), State::Noncurrent { since: UnixMillis(40), newer: 0 }),
            (seen("c", 5, false), State::Noncurrent { since: UnixMillis(u64::MAX), newer: 0 }),
        ] {
            assert_eq!(walk.state_of(&version), state);
            walk.pass(&version);
        }
        let marker = Seen { tags: None, ..seen("d", 1, true) };
        assert_eq!(walk.state_of(&marker), State::CurrentMarker { alone: true });
    }
}
