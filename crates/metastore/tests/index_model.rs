//! The index state machine against its model: 20,000 random sequences of commands and
//! queries (4 tests of 5,000, so that they run in parallel), with the invariants that
//! storage depends on checked on the raw rows.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use common::{Dice, Source};
use consensus::{ApplyContext, KvError, KvRead, KvWrite, MemoryKv, Row, StateMachine};
use metastore::{
    IndexMachine,
    api::{
        self, IndexAnswer, IndexCommand, IndexView,
        index::{Data, Garbage, GarbageId, IndexQuery},
    },
    index::{WriteKind, evaluate},
    keys::{index as keys, successor},
    model::IndexModel,
    rows::{AppliedWrite, PartRow, RowValue},
};
use proptest::{prelude::*, strategy::ValueTree};
use types::{BlobId, BucketId, Condition, Content, ObjectHead, UnixMillis};

/// A planted bug: the machine forgets to put, or to delete, rows of a kind.
#[derive(Clone, Copy, Debug)]
enum Bug {
    NoPut(u8),
    NoDelete(u8),
}

struct BuggyKv<'a>(&'a mut MemoryKv, Option<Bug>);

impl KvRead for BuggyKv<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, KvError> {
        self.0.get(key)
    }

    fn scan<'a>(
        &'a self,
        from: &[u8],
        to: Option<&[u8]>,
    ) -> Box<dyn Iterator<Item = Result<Row, KvError>> + 'a> {
        self.0.scan(from, to)
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

/// The machine and the model, side by side.
#[derive(Default)]
struct Pair {
    rows: MemoryKv,
    model: IndexModel,
    index: u64,
    /// The leader's clock, which may go back.
    time: UnixMillis,
    source: Source,
    /// Blobs of accepted writes.
    accepted: BTreeSet<BlobId>,
    collected: BTreeSet<BlobId>,
    /// The answer to the last step.
    answer: Option<IndexAnswer>,
    bug: Option<Bug>,
}

impl Pair {
    fn new() -> Self {
        let mut pair = Pair { time: UnixMillis(1_000_000), ..Self::default() };
        for bucket in [1, 4] {
            let bucket = common::bucket(bucket);
            assert_eq!(pair.apply(&IndexCommand::OpenBucket { bucket }), IndexAnswer::Done);
        }
        pair
    }

    fn machine(&mut self, command: &IndexCommand) -> IndexAnswer {
        self.index += 1;
        let context = ApplyContext { index: self.index, now: self.time };
        let mut rows = BuggyKv(&mut self.rows, self.bug);
        let answer = IndexMachine.apply(&mut rows, context, &api::encode(command)).unwrap();
        api::decode(&answer).unwrap()
    }

    fn apply(&mut self, command: &IndexCommand) -> IndexAnswer {
        if let IndexCommand::Collected { rows } = command {
            let gone = rows.iter().filter_map(|row| match self.model.garbage.get(row) {
                Some(Garbage::Blob(blob)) => Some(blob.id),
                _ => None,
            });
            self.collected.extend(gone.collect::<Vec<_>>());
        }
        let answer = self.machine(command);
        assert_eq!(answer, self.model.apply(self.time, command), "{command:?}");
        match (command, &answer) {
            (IndexCommand::PutObject { data, .. }, IndexAnswer::Object(_)) => self.accept(data),
            (IndexCommand::PutPart { part, .. }, IndexAnswer::Done) => self.accept(&part.data),
            _ => {}
        }
        answer
    }

    fn accept(&mut self, data: &Data) {
        if let Data::Blob { blob, .. } = data {
            self.accepted.insert(blob.id);
        }
    }

    fn ask(&self, query: &IndexQuery) {
        assert_eq!(evaluate(&self.rows, query).unwrap(), self.model.query(query), "{query:?}");
    }

    fn step(&mut self, dice: Dice) {
        // Seconds, minutes, the end of what is remembered; sometimes back.
        let passed = [0, 0, 1, 5, 1000, 61_000, 500_000, 901_000];
        self.time = match dice[9] {
            255 => UnixMillis(self.time.0.saturating_sub(70_000)),
            dice => self.time.plus(passed[usize::from(dice) % passed.len()]),
        };
        let garbage: Vec<GarbageId> = self.model.garbage.keys().copied().collect();
        let command = self.source.command(dice, self.time, &garbage);
        self.answer = Some(self.apply(&command));
    }

    /// Rows of a kind.
    fn scan(&self, prefix: &[u8]) -> Vec<(Vec<u8>, Bytes)> {
        self.rows
            .scan(prefix, successor(prefix).as_deref())
            .map(|row| row.map(|(key, value)| (key.to_vec(), value)).unwrap())
            .collect()
    }

    /// Every accepted blob is in exactly one place; every part row has exactly one owner.
    fn check_storage(&self) {
        let mut places: BTreeMap<BlobId, Vec<String>> = BTreeMap::new();
        let mut owners: Vec<Vec<u8>> = Vec::new();
        for (key, value) in self.scan(b"C") {
            let head = ObjectHead::decode(&value).unwrap();
            match head.content {
                Content::Inline(bytes) => assert_eq!(bytes.len() as u64, head.size),
                Content::Blob(blob) => {
                    assert_eq!(blob.size, head.size);
                    places.entry(blob.id).or_default().push(format!("head {key:02x?}"));
                }
                Content::Parts { upload, count } => {
                    let bucket = BucketId(u64::from_be_bytes(key[1..9].try_into().unwrap()));
                    let prefix = keys::parts_of(bucket, keys::key_of_head(&key).unwrap(), upload);
                    let parts = self.scan(&prefix);
                    assert_eq!(parts.len(), usize::from(count));
                    let sizes = parts.iter().map(|(_, part)| PartRow::decode(part).unwrap().size);
                    assert_eq!(sizes.sum::<u64>(), head.size);
                    owners.push(prefix);
                }
            }
        }
        for (key, _) in self.scan(b"U") {
            let bucket = BucketId(u64::from_be_bytes(key[1..9].try_into().unwrap()));
            let (name, upload) = keys::of_upload(&key).unwrap();
            owners.push(keys::parts_of(bucket, &name, upload));
        }
        for (key, value) in self.scan(b"G") {
            match Garbage::decode(&value).unwrap() {
                Garbage::Blob(blob) => {
                    places.entry(blob.id).or_default().push(format!("garbage {key:02x?}"));
                    assert!(self.rows.get(&keys::repair(blob.id)).unwrap().is_none());
                }
                Garbage::Upload { bucket, key, upload } => {
                    owners.push(keys::parts_of(bucket, &key, upload));
                }
            }
        }
        for (key, value) in self.scan(b"P") {
            let owned = owners.iter().filter(|prefix| key.starts_with(prefix)).count();
            assert_eq!(owned, 1, "owners of {key:02x?}");
            if let Some(blob) = PartRow::decode(&value).unwrap().blob() {
                places.entry(blob.id).or_default().push(format!("part {key:02x?}"));
            }
        }
        for blob in &self.accepted {
            let found = places.get(blob).map_or(0, Vec::len);
            let gone = usize::from(self.collected.contains(blob));
            assert_eq!(found + gone, 1, "{blob}: {:?} or collected {gone}", places.get(blob));
        }
        assert!(places.keys().all(|blob| self.accepted.contains(blob)));
    }

    /// The rows of applied writes and those of their age name each other.
    fn check_writes(&self) {
        let by_id: BTreeSet<_> = self
            .scan(b"S")
            .into_iter()
            .map(|(key, value)| {
                let write = types::WriteId::from_bytes(key[1..17].try_into().unwrap());
                keys::applied_at(AppliedWrite::decode(&value).unwrap().at, write, key[17])
            })
            .collect();
        let by_age: BTreeSet<_> = self.scan(b"T").into_iter().map(|(key, _)| key).collect();
        assert_eq!(by_id, by_age);
    }

    fn collect_all_garbage(&mut self) {
        while !self.model.garbage.is_empty() {
            let (row, garbage) = self.model.garbage.first_key_value().unwrap();
            let (row, is_blob) = (*row, matches!(garbage, Garbage::Blob(_)));
            self.apply(&match is_blob {
                true => IndexCommand::Collected { rows: vec![row] },
                false => IndexCommand::ExpandGarbage { row },
            });
        }
    }

    /// Deletes everything and collects it: nothing may be left.
    fn check_nothing_is_left(&mut self) {
        let open: Vec<_> = self.model.gates.iter().filter(|(_, open)| **open).collect();
        let buckets: Vec<BucketId> = open.into_iter().map(|(bucket, _)| *bucket).collect();
        for (number, (bucket, key)) in self.model.objects.clone().into_keys().enumerate() {
            let write = common::write_id(1_000_000 + number as u64);
            let condition = Condition::None;
            let delete = IndexCommand::DeleteObject { bucket, key, condition, write };
            assert_eq!(self.apply(&delete), IndexAnswer::Deleted { existed: true });
        }
        for (number, ((bucket, key), upload)) in self.model.uploads.clone().into_keys().enumerate()
        {
            let write = common::write_id(2_000_000 + number as u64);
            let abort = IndexCommand::AbortUpload { bucket, key, upload, write };
            assert_eq!(self.apply(&abort), IndexAnswer::Done);
        }
        self.check_storage();
        for bucket in buckets {
            assert_eq!(self.apply(&IndexCommand::SealBucket { bucket }), IndexAnswer::Done);
        }
        self.collect_all_garbage();
        self.check_storage();
        for kind in [b"C", b"U", b"P", b"G", b"R"] {
            assert_eq!(self.scan(kind), [], "rows of kind {}", kind[0] as char);
        }
        assert_eq!(self.collected, self.accepted);
        // After the memory of writes has passed, their rows go too, whatever there were.
        self.time = self.model.now.plus(1_000_000);
        self.apply(&IndexCommand::Tick);
        assert_eq!(self.scan(b"S").len() + self.scan(b"T").len(), 0);
    }
}

fn dice() -> impl Strategy<Value = Vec<Dice>> {
    prop::collection::vec(any::<Dice>(), 1..96)
}

fn cases() -> ProptestConfig {
    ProptestConfig { cases: 5000, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(cases())]

    /// Commands and queries in turn.
    #[test]
    fn answers_and_views_are_the_models(steps in prop::collection::vec(any::<(Dice, Dice)>(), 1..80)) {
        let mut pair = Pair::new();
        for (command, query) in steps {
            pair.step(command);
            let query = pair.source.query(query, pair.time);
            pair.ask(&query);
        }
        for query in pair.source.settled_queries() {
            pair.ask(&query);
        }
    }

    /// No blob is ever lost or kept twice, and everything can be deleted without a trace.
    #[test]
    fn every_blob_is_in_one_place(steps in dice()) {
        let mut pair = Pair::new();
        for (number, step) in steps.into_iter().enumerate() {
            pair.step(step);
            if number % 8 == 0 {
                pair.check_storage();
            }
        }
        pair.check_storage();
        pair.check_writes();
        pair.check_nothing_is_left();
    }

    /// A command that comes again at once gets the same answer and changes nothing.
    #[test]
    fn a_repeated_command_changes_nothing(steps in dice()) {
        let mut pair = Pair::new();
        for step in steps {
            pair.step(step);
            let command = pair.source.history.last().unwrap().clone();
            let before = pair.rows.clone();
            let again = pair.machine(&command);
            prop_assert_eq!(&before, &pair.rows, "{:?}", command);
            let first = pair.answer.clone();
            prop_assert_eq!(Some(again), first, "{:?}", command);
        }
    }

    /// Pages of any size, one after the other, show what one large page shows.
    #[test]
    fn pages_join_to_the_whole(
        puts in prop::collection::vec((any::<u8>(), "[a/é]{1,5}"), 0..30),
        prefix in "[a/é]{0,2}", delimiter in prop::option::of("[a/é]{1,2}"), limit in 1u32..5,
    ) {
        let mut pair = Pair::new();
        let bucket = BucketId(7);
        for (number, (kind, key)) in puts.into_iter().enumerate() {
            let mut dice = [2, 1, 0, 0, 0, 7, 0, 2, 1, 0];
            if kind % 2 == 0 {
                dice[0] = 11;
                dice[3] = kind / 2;
            }
            let mut command = pair.source.command(dice, pair.time, &[]);
            match &mut command {
                IndexCommand::PutObject { key: at, .. } => *at = key,
                IndexCommand::CreateUpload { upload, .. } => upload.key = key,
                other => panic!("{number}: {other:?}"),
            }
            pair.apply(&command);
        }
        let list = |after, limit| {
            let (prefix, delimiter) = (prefix.clone(), delimiter.clone());
            IndexQuery::List { bucket, prefix, delimiter, after, limit }
        };
        let IndexView::Page { entries: whole, next: None } =
            evaluate(&pair.rows, &list(None, 1000)).unwrap() else { panic!("one page") };
        let (mut joined, mut after) = (Vec::new(), None);
        loop {
            let query = list(after, limit);
            pair.ask(&query);
            let IndexView::Page { entries, next } = evaluate(&pair.rows, &query).unwrap()
                else { panic!("a page") };
            prop_assert!(entries.len() <= limit as usize);
            joined.extend(entries);
            match next {
                Some(next) => after = Some(next),
                None => break,
            }
        }
        prop_assert_eq!(joined, whole);

        let list = |after, limit| {
            let (prefix, delimiter) = (prefix.clone(), delimiter.clone());
            IndexQuery::Uploads { bucket, prefix, delimiter, after, limit }
        };
        let IndexView::Uploads { uploads: all_uploads, prefixes: all_prefixes, next: None } =
            evaluate(&pair.rows, &list(None, 1000)).unwrap() else { panic!("one page") };
        let (mut joined_uploads, mut joined_prefixes, mut after) = (Vec::new(), Vec::new(), None);
        loop {
            let query = list(after, limit);
            pair.ask(&query);
            let IndexView::Uploads { uploads, prefixes, next } =
                evaluate(&pair.rows, &query).unwrap() else { panic!("uploads") };
            joined_uploads.extend(uploads);
            joined_prefixes.extend(prefixes);
            match next {
                Some(next) => after = Some(next),
                None => break,
            }
        }
        prop_assert_eq!(joined_uploads, all_uploads);
        prop_assert_eq!(joined_prefixes, all_prefixes);
    }

    /// Bytes that are no command halt the group; they neither panic nor change a row.
    #[test]
    fn any_bytes_halt_or_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let mut pair = Pair::new();
        let before = pair.rows.clone();
        let context = ApplyContext { index: 9, now: pair.time };
        let known = api::decode::<IndexCommand>(&bytes).is_ok();
        let applied = IndexMachine.apply(&mut pair.rows, context, &bytes);
        prop_assert_eq!(applied.is_ok(), known);
        prop_assert!(known || before == pair.rows);
    }
}

/// The harness must notice a machine that forgets a single kind of write.
#[test]
fn planted_bugs_are_caught() {
    let puts = b"BCGNPRSTU".iter().map(|kind| Bug::NoPut(*kind));
    let deletes = b"CGPRSTU".iter().map(|kind| Bug::NoDelete(*kind));
    let run = |steps: &[Dice], bug| {
        let mut pair = Pair::new();
        pair.bug = bug;
        for step in steps {
            pair.step(*step);
            pair.source.settled_queries().iter().rev().take(2).for_each(|query| pair.ask(query));
        }
        pair.ask(&IndexQuery::Repairs { after: None, limit: 1000 });
        pair.check_storage();
        pair.check_writes();
        pair.check_nothing_is_left();
    };
    for bug in puts.chain(deletes) {
        let mut runner = proptest::test_runner::TestRunner::deterministic();
        let caught = (0..400).any(|_| {
            let steps = dice().new_tree(&mut runner).unwrap().current();
            run(&steps, None);
            std::panic::catch_unwind(|| run(&steps, Some(bug))).is_err()
        });
        assert!(caught, "{bug:?} was not noticed");
    }
}

/// The dice reach every answer, and repeated writes meet every kind of first answer: without
/// that the tests above would hold little.
#[test]
fn the_dice_reach_every_answer() {
    let mut seen = BTreeMap::<String, usize>::new();
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    for _ in 0..1000 {
        let mut pair = Pair::new();
        for step in dice().new_tree(&mut runner).unwrap().current() {
            pair.step(step);
            let text = format!("{:?}", pair.answer.as_ref().unwrap());
            let name = text.split(|c: char| !c.is_alphanumeric()).next().unwrap().to_owned();
            let parts = text.contains("content: Parts");
            *seen.entry(if parts { "ObjectOfParts".to_owned() } else { name }).or_default() += 1;
        }
    }
    for name in [
        "Done",
        "Object",
        "ObjectOfParts",
        "Deleted",
        "BucketSealed",
        "NotEmpty",
        "NoSuchKey",
        "ConditionFailed",
        "DeadlinePassed",
        "NoSuchUpload",
        "InvalidPart",
        "PartTooSmall",
        "SizeMismatch",
    ] {
        assert!(seen.get(name).copied().unwrap_or(0) >= 10, "{name} in {seen:?}");
    }
}

/// The kinds of writes are part of row keys: their numbers may not change.
#[test]
fn numbers_of_write_kinds() {
    let kinds = [
        WriteKind::PutObject,
        WriteKind::DeleteObject,
        WriteKind::CreateUpload,
        WriteKind::PutPart,
        WriteKind::CompleteUpload,
        WriteKind::AbortUpload,
    ];
    assert_eq!(kinds.map(|kind| kind as u8), [1, 2, 3, 4, 5, 6]);
}
