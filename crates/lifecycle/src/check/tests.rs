//! Rules that are refused, and some that are not.

use crate::{Filter, NoncurrentExpiration};

use super::*;

fn rule() -> Rule {
    Rule { id: "r".to_owned(), expiration: Some(When::Days(1)), ..Rule::default() }
}

fn refused(rule: Rule) -> String {
    Lifecycle { rules: vec![rule], ..Lifecycle::default() }
        .check()
        .expect_err("refused")
        .to_string()
}

#[test]
fn refusals() {
    assert_eq!(Lifecycle { rules: vec![rule()], ..Lifecycle::default() }.check(), Ok(()));
    assert!(Lifecycle::default().check().is_err(), "no rule");
    assert!(
        Lifecycle { rules: vec![rule(), rule()], ..Lifecycle::default() }.check().is_err(),
        "the same id"
    );
    let tagged = Filter { tags: [("a".to_owned(), "b".to_owned())].into(), ..Filter::default() };
    for (bad, word) in [
        (Rule { expiration: None, ..rule() }, "action"),
        (Rule { expiration: Some(When::Days(0)), ..rule() }, "'Days'"),
        (Rule { expiration: Some(When::Date(UnixMillis(1))), ..rule() }, "midnight"),
        (Rule { expired_markers: true, ..rule() }, "Days or Date"),
        (Rule { abort_uploads_days: Some(0), ..rule() }, "DaysAfterInitiation"),
        (Rule { abort_uploads_days: Some(1), filter: tagged.clone(), ..rule() }, "AbortIncomplete"),
        (
            Rule { expiration: None, expired_markers: true, filter: tagged, ..rule() },
            "ExpiredObjectDeleteMarker",
        ),
        (
            Rule { noncurrent: Some(NoncurrentExpiration { days: 0, keep: 0 }), ..rule() },
            "NoncurrentDays",
        ),
        (
            Rule { noncurrent: Some(NoncurrentExpiration { days: 1, keep: 101 }), ..rule() },
            "NewerNoncurrent",
        ),
        (Rule { id: "x".repeat(256), ..rule() }, "255"),
        (
            Rule {
                filter: Filter { larger_than: Some(5), smaller_than: Some(6), ..Filter::default() },
                ..rule()
            },
            "ObjectSizeLessThan",
        ),
    ] {
        let message = refused(bad);
        assert!(message.contains(word), "{message}");
    }
}

fn steps(steps: &[(When, StorageClass)]) -> Vec<Transition> {
    steps.iter().map(|(when, to)| Transition { when: *when, to: *to }).collect()
}

#[test]
fn transitions_follow_the_classes() {
    use StorageClass::{
        DeepArchive, Glacier, GlacierIr, IntelligentTiering, OnezoneIa, ReducedRedundancy,
        Standard, StandardIa,
    };
    use When::{Date, Days};
    let date = |days: u64| Date(UnixMillis(days * DAY_MS));
    for (list, expiration, refusal) in [
        (&[(Days(0), Glacier)][..], None, None),
        (&[(Days(0), IntelligentTiering), (Days(1), GlacierIr)], Some(Days(2)), None),
        (&[(Days(30), StandardIa), (Days(31), DeepArchive)], Some(Days(32)), None),
        (&[(date(1), StandardIa), (date(2), DeepArchive)], Some(date(3)), None),
        (&[(Days(29), StandardIa)], None, Some("greater than or equal to 30")),
        (&[(Days(29), OnezoneIa)], None, Some("'ONEZONE_IA'")),
        (&[(Days(1), Standard)], None, Some("cannot lead to")),
        (&[(Days(1), ReducedRedundancy)], None, Some("cannot lead to")),
        (&[(Days(1), Glacier), (Days(2), Glacier)], None, Some("must be different")),
        (&[(Days(2), Glacier), (Days(1), DeepArchive)], None, Some("must be later")),
        (&[(Days(2), Glacier), (Days(2), DeepArchive)], None, Some("must be later")),
        (&[(Days(2), Glacier)], Some(Days(2)), Some("later than the last")),
        (&[(Days(2), Glacier)], Some(date(9)), Some("mixed")),
        (&[(Days(2), Glacier), (date(9), DeepArchive)], None, Some("mixed")),
        (&[(Date(UnixMillis(5)), Glacier)], None, Some("midnight")),
    ] {
        let rule = Rule { transitions: steps(list), expiration, ..rule() };
        let found = Lifecycle { rules: vec![rule], ..Lifecycle::default() }.check();
        let found = found.err().map(|error| error.to_string());
        match (&found, refusal) {
            (None, None) => {}
            (Some(found), Some(word)) => assert!(found.contains(word), "{found}: {word}"),
            _ => panic!("{list:?} {expiration:?}: {found:?}, expected {refusal:?}"),
        }
    }
}

#[test]
fn noncurrent_transitions_likewise() {
    let step = |days, keep, to| NoncurrentTransition { days, keep, to };
    let with = |list: Vec<NoncurrentTransition>, end: Option<u32>| {
        let noncurrent = end.map(|days| NoncurrentExpiration { days, keep: 0 });
        let rule = Rule { noncurrent_transitions: list, noncurrent, ..rule() };
        Lifecycle { rules: vec![rule], ..Lifecycle::default() }.check()
    };
    use StorageClass::{DeepArchive, Glacier, Standard, StandardIa};
    assert_eq!(with(vec![step(0, 100, Glacier), step(1, 0, DeepArchive)], Some(2)), Ok(()));
    for (list, end) in [
        (vec![step(29, 0, StandardIa)], None),
        (vec![step(1, 101, Glacier)], None),
        (vec![step(1, 0, Standard)], None),
        (vec![step(1, 0, Glacier), step(2, 0, Glacier)], None),
        (vec![step(2, 0, Glacier), step(1, 0, DeepArchive)], None),
        (vec![step(2, 0, Glacier)], Some(2)),
    ] {
        assert!(with(list.clone(), end).is_err(), "{list:?} {end:?}");
    }
}
