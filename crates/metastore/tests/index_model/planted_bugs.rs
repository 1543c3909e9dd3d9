//! Bugs that the harness must notice.

use bytes::Bytes;
use consensus::{KvError, KvRead, KvWrite, MemoryKv, Row};
use metastore::{
    api::{IndexCommand, index::ObjectUpdate},
    keys::{index as keys, successor},
    model::IndexModel,
    rows::{Gate, PartRow, RowValue, VersionRow},
};
use proptest::{prelude::*, strategy::ValueTree};
use types::{
    BucketId, BucketLock, BucketSettings, Condition, Content, ETag, ObjectHead, UnixMillis,
    Version, VersionId, Versioning, WriteId,
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
    /// It takes the command otherwise, by what is there.
    CommandByState(fn(&mut IndexCommand, &IndexModel)),
    /// It forgets to put rows of a kind when it applies such a command.
    NoPutIn(u8, fn(&IndexCommand) -> bool),
    /// It forgets to delete rows of a kind when it applies such a command.
    NoDeleteIn(u8, fn(&IndexCommand) -> bool),
    /// It writes rows of a kind otherwise when it applies such a command; given what lay there.
    PutIn(u8, fn(&IndexCommand) -> bool, fn(Option<Bytes>, Bytes) -> Vec<u8>),
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
        restore: None,
    }
}

impl KvWrite for BuggyKv<'_> {
    fn put(&mut self, key: &[u8], value: &[u8]) {
        match self.1 {
            Some(Bug::NoPut(kind) | Bug::NoPutIn(kind, _)) if key[0] == kind => {}
            Some(Bug::PutIn(kind, _, change)) if key[0] == kind => {
                let before = self.0.get(key).unwrap();
                self.0.put(key, &change(before, Bytes::copy_from_slice(value)));
            }
            _ => self.0.put(key, value),
        }
    }

    fn delete(&mut self, key: &[u8]) {
        match self.1 {
            Some(Bug::NoDelete(kind) | Bug::NoDeleteIn(kind, _)) if key[0] == kind => {}
            _ => self.0.delete(key),
        }
    }
}

impl Bug {
    /// The bug as it shows with this command, if it does.
    pub(crate) fn with(self, command: &IndexCommand) -> Option<Self> {
        match self {
            Self::NoPutIn(_, such) | Self::NoDeleteIn(_, such) | Self::PutIn(_, such, _) => {
                such(command).then_some(self)
            }
            _ => Some(self),
        }
    }
}

fn is_replacement(command: &IndexCommand) -> bool {
    matches!(command, IndexCommand::ReplaceBlob { .. })
}

fn renames(command: &IndexCommand) -> bool {
    matches!(
        command,
        IndexCommand::PutObject { renamed: Some(_), .. }
            | IndexCommand::CompleteUpload { renamed: Some(_), .. }
    )
}

fn changes_class(command: &IndexCommand) -> bool {
    matches!(command, IndexCommand::UpdateObject { update: ObjectUpdate::Class { .. }, .. })
}

/// The bugs of replacing, renaming, storage classes, events and old proposals.
fn meant_of_classes_and_events() -> Vec<(&'static str, Bug)> {
    vec![
        ("a replaced blob is no garbage", Bug::NoPutIn(b'G', is_replacement)),
        ("a replaced blob is still repaired", Bug::NoDeleteIn(b'R', is_replacement)),
        ("missing ranks of a replacement are not repaired", Bug::NoPutIn(b'R', is_replacement)),
        (
            "a replacement does not look at what is there",
            Bug::CommandByState(|it, model| {
                if let IndexCommand::ReplaceBlob { bucket, key, version, part: None, old, .. } = it
                    && let Some(all) = model.versions.get(&(*bucket, key.clone()))
                    && let Some(found) = all.iter().find(|stored| stored.id == *version)
                    && let Some(Content::Blob(blob)) =
                        found.object.as_ref().map(|head| &head.content)
                {
                    *old = blob.id;
                }
            }),
        ),
        (
            "the current version's blob is replaced, whatever version is named",
            Bug::CommandByState(|it, model| {
                if let IndexCommand::ReplaceBlob { bucket, key, version, part: None, .. } = it
                    && let Some(current) = model.current(&(*bucket, key.clone()))
                {
                    *version = current.version;
                }
            }),
        ),
        (
            "a replaced part seems to be later than the version that has it",
            Bug::PutIn(b'P', is_replacement, |_, row| {
                let row = PartRow::decode(&row).unwrap();
                PartRow { modified: row.modified.plus(2_000_000), ..row }.encode()
            }),
        ),
        (
            "a deletion is no event",
            Bug::NoPutIn(b'E', |it| matches!(it, IndexCommand::DeleteObject { .. })),
        ),
        ("events where nobody asked for them", Bug::Settings(|it| it.events = true)),
        ("no events", Bug::Settings(|it| it.events = false)),
        ("delivered events come again", Bug::NoScan(b'E')),
        ("a renaming keeps its source", Bug::NoDeleteIn(b'C', renames)),
        (
            "a renaming does not look at its source",
            Bug::CommandByState(|it, model| {
                if let IndexCommand::PutObject { bucket, renamed: Some(renamed), .. } = it
                    && let Some(source) = model.current(&(*bucket, renamed.from.clone()))
                {
                    renamed.version = source.version;
                }
            }),
        ),
        ("restores neither become ready nor end", Bug::NoScan(b'Q')),
        (
            "the end of a restore is not waited for",
            Bug::Command(|it| {
                if let IndexCommand::UpdateObject {
                    update: ObjectUpdate::Restore { readable_ms, .. },
                    ..
                } = it
                {
                    *readable_ms = u64::MAX;
                }
            }),
        ),
        ("a restore that was moved also ends when it first should", Bug::NoDelete(b'Q')),
        (
            "another class keeps the restore",
            Bug::PutIn(b'C', changes_class, |before, row| {
                let restore = before.and_then(|row| ObjectHead::decode(&row).unwrap().restore);
                ObjectHead { restore, ..ObjectHead::decode(&row).unwrap() }.encode()
            }),
        ),
        (
            "another version gets the class",
            Bug::CommandByState(|it, model| {
                if let IndexCommand::UpdateObject {
                    bucket,
                    key,
                    update: ObjectUpdate::Class { version, .. },
                    ..
                } = it
                    && let Some(current) = model.current(&(*bucket, key.clone()))
                {
                    *version = current.version;
                }
            }),
        ),
        (
            "a late duplicate is applied",
            Bug::Command(|it| {
                if let IndexCommand::DeleteObject { write, .. } = it {
                    let mut bytes = *write.as_bytes();
                    bytes[6] = 0x40 | bytes[6] & 0x0f;
                    *write = WriteId::from_bytes(bytes);
                }
            }),
        ),
    ]
}

/// The harness must notice a machine that forgets a single kind of write, and one that does
/// not do what versions and locks are for.
#[test]
fn planted_bugs_are_caught() {
    let puts = b"BCEGNOPQRSTUV".iter().map(|kind| ("", Bug::NoPut(*kind)));
    let deletes = b"CEGOPQRSTUV".iter().map(|kind| ("", Bug::NoDelete(*kind)));
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
        pair.check_restores();
        pair.check_writes();
        pair.check_nothing_is_left();
    };
    let mut missed = Vec::new();
    for (what, bug) in puts.chain(deletes).chain(meant).chain(meant_of_classes_and_events()) {
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
