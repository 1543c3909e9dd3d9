//! Rules about transitions one by one, and all together against a worker that comes every day.

use std::collections::BTreeMap;

use proptest::prelude::*;
use types::StorageClass::{
    self, DeepArchive, Glacier, GlacierIr, IntelligentTiering, OnezoneIa, ReducedRedundancy,
    Standard, StandardIa,
};

use super::*;
use crate::{
    Action, Filter, NoncurrentExpiration, NoncurrentTransition, Transition, TransitionMinimum,
};

const DAY: u64 = 100;
const MIB: u64 = 1 << 20;
const KIB_128: u64 = 128 << 10;

/// Made on day 0 after midnight: `Days(n)` is over at the midnight that begins day `n + 1`.
const MADE: UnixMillis = UnixMillis(50);

fn subject(class: StorageClass, size: u64, state: State) -> Subject<'static> {
    static NONE: BTreeMap<String, String> = BTreeMap::new();
    Subject { key: "logs/a", size, tags: &NONE, made: MADE, class: Some(class), state }
}

fn current(class: StorageClass) -> Subject<'static> {
    subject(class, MIB, State::Current)
}

fn rules(rules: impl IntoIterator<Item = Rule>) -> Lifecycle {
    let rules = rules.into_iter().map(|rule| Rule { enabled: true, ..rule }).collect();
    Lifecycle { rules, ..Lifecycle::default() }
}

fn moving(transitions: impl IntoIterator<Item = (u32, StorageClass)>) -> Rule {
    let transition = |(days, to)| Transition { when: When::Days(days), to };
    Rule { transitions: transitions.into_iter().map(transition).collect(), ..Rule::default() }
}

/// The class that the version is in after the walk at the midnight that begins `day`.
fn class_after(rules: &Lifecycle, subject: &Subject<'_>, day: u64) -> StorageClass {
    let to = rules.transition(subject, Calendar::with_day_ms(DAY), UnixMillis(day * DAY));
    to.or(subject.class).expect("an object")
}

#[test]
fn an_object_goes_down_in_turn_and_a_late_worker_straight_to_the_last() {
    let rules = rules([moving([(2, StandardIa), (5, Glacier), (9, DeepArchive)])]);
    for (day, class) in [(2, Standard), (3, StandardIa), (5, StandardIa), (6, Glacier)] {
        assert_eq!(class_after(&rules, &current(Standard), day), class, "day {day}");
    }
    assert_eq!(class_after(&rules, &current(Standard), 10), DeepArchive, "late");
    assert_eq!(class_after(&rules, &current(Glacier), 9), Glacier);
    assert_eq!(class_after(&rules, &current(Glacier), 10), DeepArchive);
    assert_eq!(class_after(&rules, &current(DeepArchive), 100), DeepArchive);
}

#[test]
fn the_minute_before_midnight_is_too_early() {
    let rules = rules([moving([(0, Glacier)])]);
    let at = |now| rules.due(&current(Standard), Calendar::with_day_ms(DAY), UnixMillis(now));
    assert_eq!(at(DAY - 1), None);
    assert_eq!(at(DAY), Some(Action::Transition(Glacier)), "0 days: the next midnight");
}

/// The ways that AWS lists under "Supported lifecycle transitions". REDUCED_REDUNDANCY, which the
/// list does not name as an origin, is a thinner STANDARD.
const WAYS: [(StorageClass, &[StorageClass]); 8] = [
    (Standard, &[StandardIa, IntelligentTiering, OnezoneIa, GlacierIr, Glacier, DeepArchive]),
    (
        ReducedRedundancy,
        &[StandardIa, IntelligentTiering, OnezoneIa, GlacierIr, Glacier, DeepArchive],
    ),
    (StandardIa, &[IntelligentTiering, OnezoneIa, GlacierIr, Glacier, DeepArchive]),
    (IntelligentTiering, &[OnezoneIa, GlacierIr, Glacier, DeepArchive]),
    (OnezoneIa, &[Glacier, DeepArchive]),
    (GlacierIr, &[Glacier, DeepArchive]),
    (Glacier, &[DeepArchive]),
    (DeepArchive, &[]),
];

#[test]
fn only_the_ways_of_the_waterfall() {
    for (from, ways) in WAYS {
        for to in StorageClass::ALL {
            let rules = rules([moving([(0, to)])]);
            let expected = if ways.contains(&to) { to } else { from };
            assert_eq!(class_after(&rules, &current(from), 1), expected, "{from} to {to}");
        }
    }
}

#[test]
fn of_rules_on_one_day_the_furthest_down_counts_but_tiering_before_warm_classes() {
    for (same_day, class) in [
        (vec![StandardIa, Glacier], Glacier),
        (vec![OnezoneIa, GlacierIr], GlacierIr),
        (vec![StandardIa, IntelligentTiering, GlacierIr], IntelligentTiering),
        (vec![IntelligentTiering, OnezoneIa], IntelligentTiering),
        (vec![IntelligentTiering, DeepArchive], DeepArchive),
    ] {
        let rules = rules(same_day.iter().map(|to| moving([(1, *to)])));
        assert_eq!(class_after(&rules, &current(Standard), 2), class, "{same_day:?}");
        assert_eq!(class_after(&rules, &current(class), 9), class, "{same_day:?}: it stays");
    }
    let in_turn = rules([moving([(1, IntelligentTiering)]), moving([(2, GlacierIr)])]);
    assert_eq!(class_after(&in_turn, &current(Standard), 9), GlacierIr);
    // From where it is on day 2 there is no way to where the other rule wants it on day 3.
    let no_way = rules([moving([(1, OnezoneIa)]), moving([(2, GlacierIr)])]);
    assert_eq!(class_after(&no_way, &current(Standard), 9), OnezoneIa);
}

#[test]
fn dates_count_for_whatever_is_there() {
    let date = |day: u64, to| Transition { when: When::Date(UnixMillis(day * DAY)), to };
    let transitions = vec![date(3, StandardIa), date(5, Glacier)];
    let rules = rules([Rule { transitions, ..Rule::default() }]);
    for (day, class) in [(2, Standard), (3, StandardIa), (4, StandardIa), (5, Glacier)] {
        assert_eq!(class_after(&rules, &current(Standard), day), class, "day {day}");
    }
    let young = Subject { made: UnixMillis(8 * DAY + 1), ..current(Standard) };
    assert_eq!(class_after(&rules, &young, 8), Standard);
    assert_eq!(class_after(&rules, &young, 9), Glacier);
}

#[test]
fn small_objects_stay_unless_a_rule_names_a_size() {
    let small = |class, size| subject(class, size, State::Current);
    let to = |class| rules([moving([(0, class)])]);
    for class in [StandardIa, IntelligentTiering, OnezoneIa, GlacierIr, Glacier, DeepArchive] {
        let by_default = to(class);
        assert_eq!(class_after(&by_default, &small(Standard, KIB_128 - 1), 1), Standard, "{class}");
        assert_eq!(class_after(&by_default, &small(Standard, KIB_128), 1), class);

        let varies = Lifecycle { minimum: TransitionMinimum::VariesByClass, ..to(class) };
        let expected = if class.is_archive() { class } else { Standard };
        assert_eq!(class_after(&varies, &small(Standard, 1), 1), expected, "{class}");

        for filter in [
            Filter { larger_than: Some(10), ..Filter::default() },
            Filter { smaller_than: Some(MIB), ..Filter::default() },
        ] {
            let named = rules([Rule { filter, ..moving([(0, class)]) }]);
            assert_eq!(class_after(&named, &small(Standard, 11), 1), class);
        }
    }
    // Another rule's sizes say nothing about this one.
    let filter = Filter { larger_than: Some(10), ..Filter::default() };
    let two = rules([moving([(0, Glacier)]), Rule { filter, ..moving([(0, StandardIa)]) }]);
    assert_eq!(class_after(&two, &small(Standard, 11), 1), StandardIa);
}

#[test]
fn noncurrent_versions_are_moved_by_their_own_rules() {
    let transition = |days, keep, to| NoncurrentTransition { days, keep, to };
    let rules = rules([Rule {
        noncurrent_transitions: vec![transition(1, 0, StandardIa), transition(3, 2, Glacier)],
        ..moving([(0, DeepArchive)])
    }]);
    // Noncurrent since day 4, long after it was made.
    let version =
        |newer| subject(Standard, MIB, State::Noncurrent { since: UnixMillis(4 * DAY + 1), newer });
    for (newer, day, class) in [
        (0, 5, Standard),
        (0, 6, StandardIa),
        (1, 100, StandardIa),
        (2, 7, StandardIa),
        (2, 8, Glacier),
    ] {
        assert_eq!(class_after(&rules, &version(newer), day), class, "{newer} newer, day {day}");
    }
    assert_eq!(class_after(&rules, &current(Standard), 1), DeepArchive);
}

#[test]
fn delete_markers_are_never_moved() {
    let rules = rules([Rule {
        noncurrent_transitions: vec![NoncurrentTransition { days: 0, keep: 0, to: Glacier }],
        filter: Filter { smaller_than: Some(MIB), ..Filter::default() },
        ..moving([(0, Glacier)])
    }]);
    for state in [
        State::CurrentMarker { alone: true },
        State::CurrentMarker { alone: false },
        State::Noncurrent { since: MADE, newer: 0 },
    ] {
        let marker = Subject { class: None, ..subject(Standard, 0, state) };
        assert_eq!(rules.due(&marker, Calendar::with_day_ms(DAY), UnixMillis(100 * DAY)), None);
    }
}

#[test]
fn ending_goes_before_moving_and_disabled_rules_do_nothing() {
    let both = rules([
        moving([(1, Glacier)]),
        Rule { expiration: Some(When::Days(3)), ..Rule::default() },
        Rule {
            noncurrent: Some(NoncurrentExpiration { days: 1, keep: 0 }),
            noncurrent_transitions: vec![NoncurrentTransition { days: 0, keep: 0, to: Glacier }],
            ..Rule::default()
        },
    ]);
    let at = |rules: &Lifecycle, subject: &Subject<'_>, day: u64| {
        rules.due(subject, Calendar::with_day_ms(DAY), UnixMillis(day * DAY))
    };
    let noncurrent = subject(Standard, MIB, State::Noncurrent { since: MADE, newer: 0 });
    assert_eq!(at(&both, &current(Standard), 2), Some(Action::Transition(Glacier)));
    assert_eq!(at(&both, &current(Standard), 4), Some(Action::Expire));
    assert_eq!(class_after(&both, &current(Standard), 4), Glacier, "for who hides it only");
    assert_eq!(at(&both, &noncurrent, 1), Some(Action::Transition(Glacier)));
    assert_eq!(at(&both, &noncurrent, 2), Some(Action::Remove));
    let mut off = both;
    off.rules.iter_mut().for_each(|rule| rule.enabled = false);
    assert_eq!(at(&off, &current(Standard), 100), None);
}

/// A worker that comes every midnight and knows only what begins on that very day.
struct Naive<'a> {
    rules: &'a Lifecycle,
    class: StorageClass,
    removed: bool,
}

impl Naive<'_> {
    /// The midnight on which `days` after `from` are over, by counting.
    fn day_of(from: UnixMillis, days: u32) -> u64 {
        let mut day = 0;
        while UnixMillis(day * DAY) < from.plus(u64::from(days) * DAY) {
            day += 1;
        }
        day
    }

    fn walk(&mut self, subject: &Subject<'_>, today: u64) {
        let day = |when: When| match when {
            When::Days(days) => Self::day_of(subject.made, days),
            When::Date(date) => date.0 / DAY,
        };
        let mut wanted = Vec::new();
        for rule in &self.rules.rules {
            let filter = &rule.filter;
            if filter.larger_than.is_some_and(|bytes| subject.size <= bytes) {
                continue;
            }
            let archives_take_all = self.rules.minimum == TransitionMinimum::VariesByClass;
            let takes = |to: StorageClass| {
                filter.larger_than.is_some()
                    || subject.size >= KIB_128
                    || archives_take_all && (to == Glacier || to == DeepArchive)
            };
            match subject.state {
                State::Noncurrent { since, newer } => {
                    let over = rule.noncurrent.filter(|it| newer >= it.keep);
                    let over = over.map(|it| Self::day_of(since, it.days));
                    self.removed |= over.is_some_and(|day| day <= today);
                    for it in rule.noncurrent_transitions.iter().filter(|it| newer >= it.keep) {
                        if Self::day_of(since, it.days) == today && takes(it.to) {
                            wanted.push(it.to);
                        }
                    }
                }
                _ => {
                    self.removed |= rule.expiration.is_some_and(|when| day(when) <= today);
                    let first = Self::day_of(subject.made, 0);
                    for it in &rule.transitions {
                        if day(it.when).max(first) == today && takes(it.to) {
                            wanted.push(it.to);
                        }
                    }
                }
            }
        }
        if wanted.contains(&IntelligentTiering) {
            wanted.retain(|to| ![OnezoneIa, GlacierIr].contains(to));
        }
        let ways = WAYS.into_iter().find(|(from, _)| *from == self.class).expect("every class").1;
        let order = [DeepArchive, Glacier, GlacierIr, OnezoneIa, IntelligentTiering, StandardIa];
        let best = order.into_iter().find(|to| wanted.contains(to) && ways.contains(to));
        self.class = best.unwrap_or(self.class);
    }
}

const DAYS: u64 = 14;

fn any_class() -> impl Strategy<Value = StorageClass> {
    proptest::sample::select(StorageClass::ALL.to_vec())
}

fn any_when() -> impl Strategy<Value = When> {
    prop_oneof![
        (0u32..8).prop_map(When::Days),
        (0u64..8).prop_map(|day| When::Date(UnixMillis(day * DAY))),
    ]
}

fn any_rule() -> impl Strategy<Value = Rule> {
    let to = || proptest::sample::select(StorageClass::ALL[2..].to_vec());
    let transition = (any_when(), to()).prop_map(|(when, to)| Transition { when, to });
    let noncurrent = (0u32..8, 0u32..3, to()).prop_map(|(days, keep, to)| NoncurrentTransition {
        days,
        keep,
        to,
    });
    (
        proptest::collection::vec(transition, 0..4),
        proptest::collection::vec(noncurrent, 0..4),
        proptest::option::weighted(0.2, any_when()),
        proptest::option::weighted(0.2, (1u32..12, 0u32..3)),
        proptest::option::weighted(0.2, Just(10u64)),
    )
        .prop_map(
            |(transitions, noncurrent_transitions, expiration, noncurrent, larger_than)| Rule {
                enabled: true,
                filter: Filter { larger_than, ..Filter::default() },
                transitions,
                noncurrent_transitions,
                expiration,
                noncurrent: noncurrent.map(|(days, keep)| NoncurrentExpiration { days, keep }),
                ..Rule::default()
            },
        )
}

proptest! {
    /// However often the real worker stays away, on the days on which it comes the version is
    /// where the one that comes every day has brought it.
    #[test]
    fn whoever_comes_late_gets_as_far_as_who_comes_daily(
        rules in proptest::collection::vec(any_rule(), 1..4),
        varies in any::<bool>(),
        class in any_class(),
        size in proptest::sample::select(vec![5, KIB_128 - 1, KIB_128, MIB]),
        made in 0u64..3 * DAY,
        noncurrent in proptest::option::of((0u64..3 * DAY, 0u32..4)),
        comes in proptest::collection::vec(any::<bool>(), DAYS as usize),
    ) {
        let minimum =
            if varies { TransitionMinimum::VariesByClass } else { TransitionMinimum::AllClasses };
        let rules = Lifecycle { rules, minimum };
        let made = UnixMillis(made);
        let state = noncurrent.map_or(State::Current, |(after, newer)| State::Noncurrent {
            since: made.plus(after),
            newer,
        });
        let mut real = Subject { made, ..subject(class, size, state) };
        let mut naive = Naive { rules: &rules, class, removed: false };
        // Nobody looks at what is not there yet.
        for today in made.0.div_ceil(DAY)..DAYS {
            naive.walk(&real, today);
            if !comes[today as usize] {
                continue;
            }
            match rules.due(&real, Calendar::with_day_ms(DAY), UnixMillis(today * DAY)) {
                Some(Action::Transition(to)) => real.class = Some(to),
                Some(Action::Expire | Action::Remove) => {
                    prop_assert!(naive.removed, "day {}", today);
                    return Ok(());
                }
                None => {}
            }
            prop_assert!(!naive.removed, "day {}", today);
            prop_assert_eq!(real.class, Some(naive.class), "day {}", today);
        }
    }
}
