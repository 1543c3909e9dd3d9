//! What is due for current versions, noncurrent ones, delete markers and uploads.

use crate::{Filter, NoncurrentExpiration};

use super::*;

const DAY: u64 = 100;

fn rules(rules: impl IntoIterator<Item = Rule>) -> Lifecycle {
    let rules = rules.into_iter().map(|rule| Rule { enabled: true, ..rule }).collect();
    Lifecycle { rules, ..Lifecycle::default() }
}

fn subject(state: State) -> Subject<'static> {
    static NONE: BTreeMap<String, String> = BTreeMap::new();
    Subject { key: "logs/a", size: 10, tags: &NONE, made: UnixMillis(50), class: None, state }
}

fn due(rules: &Lifecycle, subject: &Subject<'_>, now: u64) -> Option<Action> {
    rules.due(subject, Calendar::with_day_ms(DAY), UnixMillis(now))
}

#[test]
fn current_objects_expire_by_days_and_by_date() {
    let by_days = rules([Rule { expiration: Some(When::Days(2)), ..Rule::default() }]);
    let by_date = Rule { expiration: Some(When::Date(UnixMillis(700))), ..Rule::default() };
    let by_date = rules([by_date]);
    let current = subject(State::Current);
    assert_eq!(due(&by_days, &current, 299), None);
    assert_eq!(due(&by_days, &current, 300), Some(Action::Expire));
    assert_eq!(due(&by_date, &current, 699), None);
    assert_eq!(due(&by_date, &current, 700), Some(Action::Expire));
    let mut off = by_days.clone();
    off.rules[0].enabled = false;
    assert_eq!(due(&off, &current, 10_000), None);
    let both = rules([by_days.rules[0].clone(), by_date.rules[0].clone()]);
    let expiry = both.expiry(&current, Calendar::with_day_ms(DAY));
    assert_eq!(expiry, Some((UnixMillis(300), "")));
}

#[test]
fn filters_are_a_conjunction() {
    let tags = BTreeMap::from([("k".to_owned(), "v".to_owned()), ("x".into(), "y".into())]);
    let tagged = Subject { tags: &tags, ..subject(State::Current) };
    let with = |filter: Filter| {
        let rule = Rule { filter, expiration: Some(When::Days(1)), ..Rule::default() };
        due(&rules([rule]), &tagged, 10_000).is_some()
    };
    let none = Filter::default;
    let tag = |value: &str| [("k".to_owned(), value.to_owned())].into();
    assert!(with(none()));
    assert!(with(Filter { prefix: "logs/".into(), ..none() }));
    assert!(!with(Filter { prefix: "log/".into(), ..none() }));
    assert!(with(Filter { tags: tag("v"), ..none() }));
    assert!(!with(Filter { tags: tag("w"), ..none() }));
    assert!(with(Filter { larger_than: Some(9), smaller_than: Some(11), ..none() }));
    assert!(!with(Filter { larger_than: Some(10), ..none() }));
    assert!(!with(Filter { smaller_than: Some(10), ..none() }));
    assert!(!with(Filter { prefix: "logs/".into(), tags: tag("w"), ..none() }));
}

#[test]
fn noncurrent_versions_and_markers() {
    let noncurrent = Some(NoncurrentExpiration { days: 1, keep: 2 });
    let by_age = rules([Rule { noncurrent, ..Rule::default() }]);
    let version = |newer| subject(State::Noncurrent { since: UnixMillis(150), newer });
    assert_eq!(due(&by_age, &version(2), 299), None);
    assert_eq!(due(&by_age, &version(2), 300), Some(Action::Remove));
    assert_eq!(due(&by_age, &version(1), 10_000), None, "one of the two that are kept");
    assert_eq!(due(&by_age, &subject(State::Current), 10_000), None);

    let markers = rules([Rule { expired_markers: true, ..Rule::default() }]);
    let marker = |alone| subject(State::CurrentMarker { alone });
    assert_eq!(due(&markers, &marker(true), 50), Some(Action::Remove));
    assert_eq!(due(&markers, &marker(false), 10_000), None);
    let aged = rules([Rule { expiration: Some(When::Days(1)), ..Rule::default() }]);
    assert_eq!(due(&aged, &marker(true), 199), None);
    assert_eq!(due(&aged, &marker(true), 200), Some(Action::Remove));
}

#[test]
fn uploads_are_aborted() {
    let filter = Filter { prefix: "logs/".to_owned(), ..Filter::default() };
    let abort = rules([Rule { abort_uploads_days: Some(2), filter, ..Rule::default() }]);
    let aborts = |key: &str, now| {
        abort.aborts(key, UnixMillis(50), Calendar::with_day_ms(DAY), UnixMillis(now))
    };
    assert!(!aborts("logs/a", 299) && aborts("logs/a", 300) && !aborts("other", 300));
}
