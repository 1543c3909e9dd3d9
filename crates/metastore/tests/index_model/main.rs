//! The index state machine against its model: 30,000 random sequences of commands and
//! queries (6 tests of 5,000, so that they run in parallel), with the invariants that
//! storage depends on checked on the raw rows. `pair` runs both side by side, `planted_bugs`
//! and `reach` show that the rest holds something.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../common/mod.rs"]
mod common;
mod pair;
mod planted_bugs;
mod reach;

use common::{Dice, Known};
use consensus::{ApplyContext, StateMachine};
use metastore::{
    IndexMachine,
    api::{
        self, IndexCommand, IndexQuery, IndexView,
        index::{VersionEntry, VersionsAfter},
    },
    index::{WriteKind, evaluate},
};
use pair::Pair;
use proptest::prelude::*;
use types::{BucketId, BucketSettings, Versioning};

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
    fn answers_and_views_are_the_models(
        steps in prop::collection::vec(any::<(Dice, Dice)>(), 1..80), first in any::<u8>(),
    ) {
        let mut pair = Pair::new(first);
        for (command, query) in steps {
            pair.step(command);
            let query = pair.source.query(query, pair.time, &pair.known());
            pair.ask(&query);
        }
        pair.ask_all();
        for query in pair.source.settled_queries() {
            pair.ask(&query);
        }
    }

    /// No blob is ever lost or kept twice, and everything can be deleted without a trace.
    #[test]
    fn every_blob_is_in_one_place(steps in dice(), first in any::<u8>()) {
        let mut pair = Pair::new(first);
        for (number, step) in steps.into_iter().enumerate() {
            pair.step(step);
            if number % 8 == 0 {
                pair.check_storage();
                pair.check_versions();
                pair.check_restores();
            }
        }
        pair.check_storage();
        pair.check_versions();
        pair.check_restores();
        pair.check_writes();
        pair.check_nothing_is_left();
    }

    /// A command that comes again at once gets the same answer and changes nothing.
    #[test]
    fn a_repeated_command_changes_nothing(steps in dice(), first in any::<u8>()) {
        let mut pair = Pair::new(first);
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
        versioned in 0u8..6,
    ) {
        let mut pair = Pair::new(versioned);
        let bucket = BucketId(7);
        for (number, (kind, key)) in puts.into_iter().enumerate() {
            let mut dice = [2, 1, 0, 0, 0, 7, 0, 2, 1, 0];
            if kind % 2 == 0 {
                dice[0] = 11;
                dice[3] = kind / 2;
            }
            let mut command = pair.source.command(dice, pair.time, &Known::default());
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

    /// The same for versions: of few keys many, some of them deleted, in between settings change.
    #[test]
    fn pages_of_versions_join_to_the_whole(
        writes in prop::collection::vec((any::<u8>(), "[a/é]{1,2}"), 0..40),
        prefix in "[a/é]{0,1}", delimiter in prop::option::of("[a/é]{1,2}"), limit in 1u32..5,
    ) {
        let enabled = BucketSettings { versioning: Versioning::Enabled, lock: None, events: false };
        let mut pair = Pair::with([enabled; 2]);
        let bucket = BucketId(7);
        for (kind, key) in writes {
            let mut dice = [2, 1, 255, 255, 1, 7, 0, 2, 1, 0];
            match kind % 16 {
                0..=8 => {}
                9..=12 => dice[0] = 8,
                13 | 14 => (dice[0], dice[3]) = (36, kind / 16),
                _ => (dice[0], dice[5]) = (32, 1 + kind / 128 * 2),
            }
            let known = pair.known();
            let mut command = pair.source.command(dice, pair.time, &known);
            match &mut command {
                IndexCommand::PutObject { key: at, .. }
                | IndexCommand::DeleteObject { key: at, version: None, .. } => *at = key,
                _ => {}
            }
            pair.apply(&command);
        }
        let list = |after, limit| {
            let (prefix, delimiter) = (prefix.clone(), delimiter.clone());
            IndexQuery::Versions { bucket, prefix, delimiter, after, limit }
        };
        let IndexView::Versions { entries: whole, next: None } = pair.ask(&list(None, 1000))
            else { panic!("one page") };
        let (mut joined, mut after) = (Vec::new(), None);
        loop {
            let IndexView::Versions { entries, next } = pair.ask(&list(after, limit))
                else { panic!("a page") };
            prop_assert!(entries.len() <= limit as usize);
            joined.extend(entries);
            match next {
                Some(next) => after = Some(next),
                None => break,
            }
        }
        prop_assert_eq!(&joined, &whole);
        // A client that goes on after a null version knows it by that name only.
        for entry in &whole {
            if let VersionEntry::Version { id, null: true, what, .. } = entry {
                let key = what.key().to_owned();
                let by_id = pair.ask(&list(Some(VersionsAfter::Version(key.clone(), *id)), 1000));
                prop_assert_eq!(pair.ask(&list(Some(VersionsAfter::Null(key)), 1000)), by_id);
            }
        }
    }

    /// Bytes that are no command halt the group; they neither panic nor change a row.
    #[test]
    fn any_bytes_halt_or_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let mut pair = Pair::new(0);
        let before = pair.rows.clone();
        let context = ApplyContext { index: 9, now: pair.time };
        let known = api::decode::<IndexCommand>(&bytes).is_ok();
        let applied = IndexMachine.apply(&mut pair.rows, context, &bytes);
        prop_assert_eq!(applied.is_ok(), known);
        prop_assert!(known || before == pair.rows);
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
        WriteKind::UpdateObject,
        WriteKind::ConfigureBucket,
        WriteKind::ReplaceBlob,
    ];
    assert_eq!(kinds.map(|kind| kind as u8), [1, 2, 3, 4, 5, 6, 7, 8, 9]);
}
