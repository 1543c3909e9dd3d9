//! What is due for a version at a time. Where several rules say something, ending a version goes
//! before moving it to another storage class (which is [`crate::transition`]). Object lock is not
//! seen here: the index partition refuses to remove what is locked.

use std::collections::BTreeMap;

use types::{StorageClass, UnixMillis};

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
    /// Its storage class; `None` for a delete marker, which is never moved.
    pub class: Option<StorageClass>,
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
    /// Move this version to a storage class, later than the one it is in.
    Transition(StorageClass),
}

impl Lifecycle {
    /// What is due for the version at `now`. Where ending it would only hide it by a delete marker,
    /// AWS moves it first: [`Lifecycle::transition`] tells where to.
    /// AWS: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/lifecycle-conflicts.html>.
    pub fn due(
        &self,
        subject: &Subject<'_>,
        calendar: Calendar,
        now: UnixMillis,
    ) -> Option<Action> {
        let is_due = |rule: &Rule| rule.ends(subject, calendar).is_some_and(|end| end <= now);
        if self.applying(subject).any(is_due) {
            return Some(match subject.state {
                State::Current => Action::Expire,
                State::CurrentMarker { .. } | State::Noncurrent { .. } => Action::Remove,
            });
        }
        self.transition(subject, calendar, now).map(Action::Transition)
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

    /// The rules that are about the version.
    pub(crate) fn applying<'a>(&'a self, subject: &Subject<'_>) -> impl Iterator<Item = &'a Rule> {
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
mod tests;
