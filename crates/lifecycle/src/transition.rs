//! To which storage class a version is due to be moved at a time.
//!
//! The answer is where a worker that came by every midnight would have left the version: one that
//! was away for weeks goes straight there. Each transition of each rule that is about the version
//! counts from its own midnight on, and moves it if AWS knows a way from the class that it is in by
//! then. Of several on one midnight the furthest down the waterfall wins, but
//! INTELLIGENT_TIERING goes before all others that are not archives.
//!
//! AWS: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/lifecycle-transition-general-considerations.html>
//! (which ways there are) and
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/lifecycle-conflicts.html> (what wins).

use std::cmp::Reverse;

use types::{StorageClass, UnixMillis};

use crate::{Calendar, Lifecycle, Rule, State, Subject, When};

/// A transition that is due: since when, and whereto. They sort by time, and the furthest down the
/// waterfall first.
type Due = (UnixMillis, Reverse<StorageClass>);

impl Lifecycle {
    /// The class to which the version is due to be moved at `now`; `None` if it is to stay where
    /// it is. Whether it is due to end is not asked here.
    pub fn transition(
        &self,
        subject: &Subject<'_>,
        calendar: Calendar,
        now: UnixMillis,
    ) -> Option<StorageClass> {
        let from = subject.class?;
        let mut due: Vec<Due> = self
            .applying(subject)
            .flat_map(|rule| rule.moves(subject, calendar).map(move |due| (rule, due)))
            .filter(|(rule, (at, Reverse(to)))| {
                *at <= now && self.is_large_enough(rule, subject, *to)
            })
            .map(|(_, due)| due)
            .collect();
        due.sort_unstable();
        let outdone = |at, to| {
            let tiering = (at, Reverse(StorageClass::IntelligentTiering));
            matches!(to, StorageClass::OnezoneIa | StorageClass::GlacierIr)
                && due.binary_search(&tiering).is_ok()
        };
        let step = |class, &(at, Reverse(to)): &Due| {
            if is_way(class, to) && !outdone(at, to) { to } else { class }
        };
        let to = due.iter().fold(from, step);
        (to != from).then_some(to)
    }

    /// A rule that names sizes means what it says; one that names none leaves small objects alone.
    fn is_large_enough(&self, rule: &Rule, subject: &Subject<'_>, to: StorageClass) -> bool {
        rule.filter.larger_than.is_some()
            || rule.filter.smaller_than.is_some()
            || subject.size >= self.minimum.bytes(to)
    }
}

impl Rule {
    /// The transitions of the rule that are about a version in this state.
    fn moves(&self, subject: &Subject<'_>, calendar: Calendar) -> impl Iterator<Item = Due> {
        let (current, noncurrent) = match subject.state {
            State::Current => (self.transitions.as_slice(), None),
            State::CurrentMarker { .. } => ([].as_slice(), None),
            State::Noncurrent { since, newer } => ([].as_slice(), Some((since, newer))),
        };
        let made = subject.made;
        let current = current.iter().map(move |transition| {
            let at = match transition.when {
                When::Days(days) => calendar.after(made, days),
                // What is made after the date is looked at on its first midnight.
                When::Date(date) => date.max(calendar.after(made, 0)),
            };
            (at, Reverse(transition.to))
        });
        let noncurrent = noncurrent.into_iter().flat_map(move |(since, newer)| {
            self.noncurrent_transitions
                .iter()
                .filter(move |transition| newer >= transition.keep)
                .map(move |transition| {
                    (calendar.after(since, transition.days), Reverse(transition.to))
                })
        });
        current.chain(noncurrent)
    }
}

/// Whether rules can move objects from one class to another: only to a later one, never to
/// REDUCED_REDUNDANCY, and not from ONEZONE_IA to GLACIER_IR.
fn is_way(from: StorageClass, to: StorageClass) -> bool {
    from < to
        && to != StorageClass::ReducedRedundancy
        && (from, to) != (StorageClass::OnezoneIa, StorageClass::GlacierIr)
}

#[cfg(test)]
mod tests;
