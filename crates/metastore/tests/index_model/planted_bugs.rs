//! Bugs that the harness must notice.

use bytes::Bytes;
use consensus::{KvError, KvRead, KvWrite, MemoryKv, Row};
use metastore::{
    api::{IndexCommand, index::ObjectUpdate},
    keys::{index as keys, successor},
    rows::{Gate, RowValue, VersionRow},
};
use proptest::{prelude::*, strategy::ValueTree};
use types::{
    BucketId, BucketLock, BucketSettings, Condition, Content, ETag, ObjectHead, UnixMillis,
    Version, VersionId, Versioning,
};

use crate::{common::Dice, dice, pair::Pair};

/// A planted bug of the machine.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Bug {
    /// It forgets to put rows of a kind.
    NoPut(u8),
    /// It forgets to delete rows of a kind.
    NoDelete(u8),
    /// It does not find single rows of a kind.
    NoGet(u8),
    /// It does not see rows of a kind when it walks.
    NoScan(u8),
    /// It does not see delete markers when it walks.
    NoMarkers,
    /// It takes a delete marker for an object.
    MarkerIsObject,
    /// It takes the bucket's settings otherwise.
    Settings(fn(&mut BucketSettings)),
    /// It takes the command otherwise.
    Command(fn(&mut IndexCommand)),
    /// Its queries do not see rows of a kind when they walk.
    NoScanInQueries(u8),
}

pub(crate) struct BuggyKv<'a>(pub(crate) &'a mut MemoryKv, pub(crate) Option<Bug>);

impl KvRead for BuggyKv<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, KvError> {
        let value = self.0.get(key)?;
        Ok(match (self.1, value) {
            (Some(Bug::NoGet(kind)), _) if key[0] == kind => None,
            (Some(Bug::Settings(change)), Some(value)) if key[0] == b'B' => {
                Some(match Gate::decode(&value)? {
                    Gate::Open(mut settings) => {
                        change(&mut settings);
                        Gate::Open(settings).encode().into()
                    }
                    Gate::Sealed => value,
                })
            }
            (Some(Bug::MarkerIsObject), None) if key[0] == b'C' => {
                let bucket = BucketId(u64::from_be_bytes(key[1..9].try_into().unwrap()));
                let versions = keys::versions_of(bucket, keys::key_of_head(key)?);
                let mut walk = self.0.scan(&versions, successor(&versions).as_deref());
                walk.next().transpose()?.map(|_| empty_object().encode().into())
            }
            (_, value) => value,
        })
    }

    fn scan<'a>(
        &'a self,
        from: &[u8],
        to: Option<&[u8]>,
    ) -> Box<dyn Iterator<Item = Result<Row, KvError>> + 'a> {
        let rows = self.0.scan(from, to);
        match self.1 {
            Some(Bug::NoScan(kind)) if from[0] == kind => Box::new(std::iter::empty()),
            Some(Bug::NoMarkers) if from[0] == b'V' => Box::new(rows.filter(|row| {
                VersionRow::decode(&row.as_ref().unwrap().1).unwrap().object().is_some()
            })),
            _ => rows,
        }
    }
}

fn empty_object() -> ObjectHead {
    ObjectHead {
        version: VersionId::default(),
        null: false,
        size: 0,
        etag: ETag { md5: [0; 16], parts: 0 },
        modified: UnixMillis(0),
        attributes: Default::default(),
        checksum: None,
        content: Content::Inline(Bytes::new()),
    }
}

impl KvWrite for BuggyKv<'_> {
    fn put(&mut self, key: &[u8], value: &[u8]) {
        if !matches!(self.1, Some(Bug::NoPut(kind)) if key[0] == kind) {
            self.0.put(key, value);
        }
    }

    fn delete(&mut self, key: &[u8]) {
        if !matches!(self.1, Some(Bug::NoDelete(kind)) if key[0] == kind) {
            self.0.delete(key);
        }
    }
}

/// The harness must notice a machine that forgets a single kind of write, and one that does
/// not do what versions and locks are for.
#[test]
fn planted_bugs_are_caught() {
    let puts = b"BCGNOPRSTUV".iter().map(|kind| ("", Bug::NoPut(*kind)));
    let deletes = b"CGOPRSTUV".iter().map(|kind| ("", Bug::NoDelete(*kind)));
    let meant: [(&str, Bug); 15] = [
        (
            "overwriting buries the version before",
            Bug::Settings(|it| match it.versioning {
                Versioning::Enabled => it.versioning = Versioning::Suspended,
                Versioning::Off | Versioning::Suspended => {}
            }),
        ),
        (
            "a suspended bucket keeps every version",
            Bug::Settings(|it| match it.versioning {
                Versioning::Suspended => it.versioning = Versioning::Enabled,
                Versioning::Off | Versioning::Enabled => {}
            }),
        ),
        ("a suspended put keeps two null versions", Bug::NoGet(b'O')),
        ("what is promoted is not the latest: it skips a marker", Bug::NoMarkers),
        ("nothing is promoted, and a bucket with versions is empty", Bug::NoScan(b'V')),
        ("a condition takes a delete marker for an object", Bug::MarkerIsObject),
        (
            "the default retention is not applied",
            Bug::Settings(|it| it.lock = it.lock.map(|_| BucketLock { default: None })),
        ),
        (
            "a lock is taken that the bucket does not have",
            Bug::Settings(|it| {
                it.lock.get_or_insert_default();
            }),
        ),
        (
            "a locked version is deleted",
            Bug::Command(|it| {
                if let IndexCommand::DeleteObject { bypass_governance, .. } = it {
                    *bypass_governance = true;
                }
            }),
        ),
        (
            "a retention is cut short",
            Bug::Command(|it| {
                if let IndexCommand::UpdateObject {
                    update: ObjectUpdate::Retention { bypass_governance, .. },
                    ..
                } = it
                {
                    *bypass_governance = true;
                }
            }),
        ),
        (
            "a named delete makes a marker",
            Bug::Command(|it| {
                if let IndexCommand::DeleteObject { version, .. } = it {
                    *version = None;
                }
            }),
        ),
        (
            "a named delete does not look at its condition",
            Bug::Command(|it| {
                if let IndexCommand::DeleteObject { version: Some(_), condition, .. } = it {
                    *condition = Condition::None;
                }
            }),
        ),
        (
            "an update changes the current version instead of the named one",
            Bug::Command(|it| {
                if let IndexCommand::UpdateObject { version, .. } = it {
                    *version = None;
                }
            }),
        ),
        (
            "the null version does not answer to its name",
            Bug::Command(|it| {
                if let IndexCommand::DeleteObject { version: Some(version), .. } = it
                    && *version == Version::Null
                {
                    *version = Version::Id(VersionId::MAX);
                }
            }),
        ),
        ("a noncurrent version does not keep its blob", Bug::NoScanInQueries(b'V')),
    ];
    let run = |steps: &[Dice], first, bug| {
        let mut pair = Pair::new(first);
        pair.bug = bug;
        for step in steps {
            pair.step(*step);
            for query in pair.source.settled_queries().iter().rev().take(2) {
                pair.ask(query);
            }
        }
        pair.ask_all();
        pair.check_storage();
        pair.check_versions();
        pair.check_writes();
        pair.check_nothing_is_left();
    };
    let mut missed = Vec::new();
    for (what, bug) in puts.chain(deletes).chain(meant) {
        let mut runner = proptest::test_runner::TestRunner::deterministic();
        let caught = (0..400).any(|_| {
            let steps = dice().new_tree(&mut runner).unwrap().current();
            let first = any::<u8>().new_tree(&mut runner).unwrap().current();
            run(&steps, first, None);
            std::panic::catch_unwind(|| run(&steps, first, Some(bug))).is_err()
        });
        if !caught {
            missed.push((what, bug));
        }
    }
    assert!(missed.is_empty(), "not noticed: {missed:?}");
}
