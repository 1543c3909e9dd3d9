//! How far a worker is, for machines: what it does in **rounds**, passes over all that it looks
//! after, and where the one under way is.

use std::{borrow::Cow, collections::BTreeMap};

use serde::{Deserialize, Serialize};
use types::UnixMillis;

/// Characters of a key that a list of workers shows.
const PLACE_CHARS_MAX: usize = 64;

/// How far a worker is. In JSON all times are milliseconds since the Unix epoch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Default)]
pub struct Progress {
    /// The round under way; `None` between rounds, and for a worker without rounds.
    pub round: Option<Round>,
    /// The last round that came to its end.
    pub last_round: Option<Round>,
    /// Where the round under way is.
    pub place: Option<Place>,
    /// Milliseconds until the round under way ends, if it has as much to look at as the last one
    /// and goes on as fast as so far. `None` if that cannot be told.
    pub eta_ms: Option<u64>,
    /// Bytes of the round under way, for workers that move or read them.
    pub bytes: Option<Amount>,
    /// Why the last of the things that failed by themselves did, since the process began: they are
    /// counted (`failed`, `stuck`), and the round goes on without them.
    pub last_failure: Option<String>,
}

/// Some of something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Default)]
pub struct Amount {
    /// What is done.
    pub done: u64,
    /// That and what is left, as far as is known: it may grow.
    pub total: u64,
}

/// One pass of a worker over all that it looks after.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct Round {
    /// When it began.
    pub began: UnixMillis,
    /// When it ended; `None` while it is under way.
    pub ended: Option<UnixMillis>,
    /// Things looked at: lines of the index, shards, rows; each worker says of what.
    pub looked_at: u64,
    /// What came of them, by name.
    pub counts: Counts,
}

/// How many of each name.
pub type Counts = BTreeMap<Cow<'static, str>, u64>;

/// Where a round is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Place {
    /// The bucket, disk or partition.
    pub within: String,
    /// The key there from which it goes on, cut to its first 64 characters; empty at the beginning.
    pub at: String,
}

impl Place {
    /// The place behind `at`, a key of any length.
    pub fn new(within: impl Into<String>, at: &str) -> Self {
        Self { within: within.into(), at: at.chars().take(PLACE_CHARS_MAX).collect() }
    }
}

/// The rounds of a worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct Rounds {
    /// The one under way.
    under_way: Option<Round>,
    /// The last one that ended.
    last: Option<Round>,
}

impl Rounds {
    /// Begins a round; one that is under way is forgotten.
    pub fn begin(&mut self, now: UnixMillis) {
        self.under_way = Some(Round { began: now, ..Round::default() });
    }

    /// Ends the round under way.
    pub fn end(&mut self, now: UnixMillis) {
        if let Some(round) = self.under_way.take() {
            self.last = Some(Round { ended: Some(now), ..round });
        }
    }

    /// Begins a round unless one is under way.
    pub fn go_on(&mut self, now: UnixMillis) {
        if self.under_way.is_none() {
            self.begin(now);
        }
    }

    /// So many more things were looked at.
    pub fn look(&mut self, things: u64) {
        if let Some(round) = &mut self.under_way {
            round.looked_at += things;
        }
    }

    /// So many more of these.
    pub fn count(&mut self, what: &'static str, number: u64) {
        if let Some(round) = &mut self.under_way {
            add(&mut round.counts, what, number);
        }
    }

    /// What a list of workers shows of them.
    pub fn progress(&self, place: Option<Place>, now: UnixMillis) -> Progress {
        let eta_ms = self.under_way.as_ref().zip(self.last.as_ref()).and_then(|(round, last)| {
            let left = last.looked_at.checked_sub(round.looked_at)?;
            now.since(round.began).saturating_mul(left).checked_div(round.looked_at)
        });
        Progress {
            round: self.under_way.clone(),
            last_round: self.last.clone(),
            place,
            eta_ms,
            bytes: None,
            last_failure: None,
        }
    }

    /// The same for a worker that knows its bytes: they tell when the round ends, at the rate so
    /// far.
    pub fn progress_of(&self, bytes: Amount, place: Option<Place>, now: UnixMillis) -> Progress {
        let progress = self.progress(place, now);
        let Some(round) = &self.under_way else { return progress };
        let left = u128::from(bytes.total.saturating_sub(bytes.done));
        let took = u128::from(now.since(round.began));
        let eta_ms = (took * left).checked_div(u128::from(bytes.done));
        let eta_ms = eta_ms.map(|eta_ms| u64::try_from(eta_ms).unwrap_or(u64::MAX));
        Progress { bytes: Some(bytes), eta_ms, ..progress }
    }

    /// The round under way.
    pub fn under_way(&self) -> Option<&Round> {
        self.under_way.as_ref()
    }

    /// The last one that ended.
    pub fn last(&self) -> Option<&Round> {
        self.last.as_ref()
    }
}

/// Adds to one of several counts.
pub(crate) fn add(counts: &mut Counts, what: &'static str, number: u64) {
    *counts.entry(Cow::Borrowed(what)).or_default() += number;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_is_estimated_by_the_one_before() {
        let mut rounds = Rounds::default();
        let at = UnixMillis;
        rounds.look(7);
        assert_eq!(rounds.progress(None, at(5)), Progress::default(), "nothing is under way");
        rounds.begin(at(100));
        rounds.look(40);
        rounds.count("expired", 3);
        rounds.go_on(at(110));
        rounds.look(60);
        assert_eq!(rounds.progress(None, at(150)).eta_ms, None, "nothing to compare with");
        rounds.end(at(200));
        rounds.begin(at(1000));
        assert_eq!(rounds.progress(None, at(1000)).eta_ms, None, "no speed yet");
        rounds.look(25);
        let progress = rounds.progress(Some(Place::new("lake", &"k".repeat(99))), at(1020));
        assert_eq!(progress.eta_ms, Some(60), "25 of 100 in 20 ms");
        assert_eq!(progress.place.map(|place| place.at.len()), Some(64));
        let last = progress.last_round.expect("one has ended");
        assert_eq!((last.began, last.ended, last.looked_at), (at(100), Some(at(200)), 100));
        assert_eq!(last.counts, Counts::from([(Cow::Borrowed("expired"), 3)]));
        rounds.look(100);
        assert_eq!(rounds.progress(None, at(1100)).eta_ms, None, "more than last time");
    }

    #[test]
    fn bytes_tell_when_a_round_ends() {
        let mut rounds = Rounds::default();
        let eta = |rounds: &Rounds, done, total| {
            rounds.progress_of(Amount { done, total }, None, UnixMillis(1100)).eta_ms
        };
        assert_eq!(eta(&rounds, 10, 40), None, "nothing is under way");
        rounds.begin(UnixMillis(1000));
        assert_eq!(eta(&rounds, 0, 40), None, "no speed yet");
        assert_eq!(eta(&rounds, 10, 40), Some(300), "10 of 40 in 100 ms");
        assert_eq!(eta(&rounds, 40, 30), Some(0));
        assert_eq!(eta(&rounds, 1, u64::MAX), Some(u64::MAX));
    }
}
