//! What is due for a version at a time. Where several rules say something, removing a version
//! for good goes before hiding it. Object lock is not seen here: the index partition refuses
//! to remove what is locked.

use std::collections::BTreeMap;

use types::UnixMillis;

use crate::{Calendar, Lifecycle, Rule, When};

/// A version as rules see it.
#[derive(Clone, Debug)]
pub struct Subject<'a> {
    /// Its key.
    pub key: &'a str,
    /// Bytes; 0 for a delete marker.
    pub size: u64,
    /// Its tags.
    pub tags: &'a BTreeMap<String, String>,
    /// When it was made.
    pub made: UnixMillis,
    /// Its place among the versions of the key.
    pub state: State,
}

/// A version's place among the versions of its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// The current version, an object.
    Current,
    /// The current version, a delete marker.
    CurrentMarker {
        /// Whether the key has no other version.
        alone: bool,
    },
    /// Not current; an object or a delete marker.
    Noncurrent {
        /// When the version after it was made.
        since: UnixMillis,
        /// How many noncurrent versions of the key are newer.
        newer: u32,
    },
}

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// End the current version as a DELETE without a version does.
    Expire,
    /// Remove this version for good.
    Remove,
}

impl Lifecycle {
    /// What is due for the version at `now`.
    pub fn due(
        &self,
        subject: &Subject<'_>,
        calendar: Calendar,
        now: UnixMillis,
    ) -> Option<Action> {
        let is_due = |rule: &&Rule| rule.ends(subject, calendar).is_some_and(|end| end <= now);
        let action = match subject.state {
            State::Current => Action::Expire,
            State::CurrentMarker { .. } | State::Noncurrent { .. } => Action::Remove,
        };
        self.applying(subject).find(is_due).map(|_| action)
    }

    /// When the version will be expired or removed, and by which rule: the earliest.
    pub fn expiry(&self, subject: &Subject<'_>, calendar: Calendar) -> Option<(UnixMillis, &str)> {
        self.applying(subject)
            .filter_map(|rule| Some((rule.ends(subject, calendar)?, rule.id.as_str())))
            .min_by_key(|(end, _)| *end)
    }

    /// Whether an upload of `key` that began at `initiated` is to be aborted at `now`.
    pub fn aborts(
        &self,
        key: &str,
        initiated: UnixMillis,
        calendar: Calendar,
        now: UnixMillis,
    ) -> bool {
        self.rules.iter().any(|rule| {
            rule.enabled
                && key.starts_with(&rule.filter.prefix)
                && rule
                    .abort_uploads_days
                    .is_some_and(|days| calendar.after(initiated, days) <= now)
        })
    }

    fn applying<'a>(&'a self, subject: &Subject<'_>) -> impl Iterator<Item = &'a Rule> {
        self.rules.iter().filter(|rule| rule.enabled && rule.matches(subject))
    }
}

impl Rule {
    /// A delete marker has neither tags nor bytes: a rule that asks for them is not about it.
    fn matches(&self, subject: &Subject<'_>) -> bool {
        let filter = &self.filter;
        subject.key.starts_with(&filter.prefix)
            && filter.tags.iter().all(|(key, value)| subject.tags.get(key) == Some(value))
            && filter.larger_than.is_none_or(|bytes| subject.size > bytes)
            && filter.smaller_than.is_none_or(|bytes| subject.size < bytes)
    }

    /// When this rule ends the version.
    fn ends(&self, subject: &Subject<'_>, calendar: Calendar) -> Option<UnixMillis> {
        let end = |when: When| match when {
            When::Days(days) => calendar.after(subject.made, days),
            When::Date(date) => date,
        };
        match subject.state {
            State::Current => self.expiration.map(end),
            State::CurrentMarker { alone: false } => None,
            // AWS cleans up markers of old age under a rule with days, too.
            State::CurrentMarker { alone: true } if self.expired_markers => Some(subject.made),
            State::CurrentMarker { alone: true } => {
                self.expiration.filter(|when| matches!(when, When::Days(_))).map(end)
            }
            State::Noncurrent { since, newer } => self
                .noncurrent
                .filter(|rule| newer >= rule.keep)
                .map(|rule| calendar.after(since, rule.days)),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::{Filter, NoncurrentExpiration};

    use super::*;

    const DAY: u64 = 100;

    fn rules(rules: impl IntoIterator<Item = Rule>) -> Lifecycle {
        Lifecycle { rules: rules.into_iter().map(|rule| Rule { enabled: true, ..rule }).collect() }
    }

    fn subject(state: State) -> Subject<'static> {
        static NONE: BTreeMap<String, String> = BTreeMap::new();
        Subject { key: "logs/a", size: 10, tags: &NONE, made: UnixMillis(50), state }
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
}
