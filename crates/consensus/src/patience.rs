//! When to be silent to a peer that never answers.
//!
//! A leader that is heard but hears nobody commits nothing, and its heartbeats keep the others from
//! electing one that would: writes stop for as long as that lasts. openraft's leader does not step
//! down by itself. So whoever gets no answer from a peer for a while sends it nothing for longer
//! than an election takes, then tries again, in turn. Towards a peer that is only slow or gone
//! nothing is lost by it; if *all* of a leader's peers do not hear from it, they elect another.
//!
//! Only calls that nobody answers count. A peer that is down refuses them, and must be told who
//! leads as soon as it is back.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::settings::RaftTimings;

/// Calls that are tried before the next silence, by their deadlines.
const TRIES: u32 = 4;

/// What is known of one peer.
pub(crate) struct Patience {
    /// From when on calls have had no answer.
    unanswered: Mutex<Option<Instant>>,
    /// How long that may be.
    lasts: Duration,
    silence: Duration,
    tries: Duration,
}

impl Patience {
    pub(crate) fn new(timings: &RaftTimings) -> Self {
        Self {
            unanswered: Mutex::new(None),
            lasts: 2 * timings.election_max,
            // A lease must end, and then the longest wait for an election.
            silence: 2 * timings.election_max,
            tries: TRIES * timings.heartbeat,
        }
    }

    /// The peer has answered, or is surely not there.
    pub(crate) fn answered(&self) {
        *self.unanswered.lock() = None;
    }

    /// A call that began then has had no answer.
    pub(crate) fn unanswered(&self, began: Instant) {
        self.unanswered.lock().get_or_insert(began);
    }

    /// Whether nothing should be sent now.
    pub(crate) fn is_silent(&self, now: Instant) -> bool {
        let Some(since) = *self.unanswered.lock() else { return false };
        let Some(beyond) = (now - since).checked_sub(self.lasts) else { return false };
        let within = beyond.as_nanos() % (self.silence + self.tries).as_nanos();
        within < self.silence.as_nanos()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_and_tries_take_turns_until_there_is_an_answer() {
        let timings = RaftTimings::default();
        let patience = Patience::new(&timings);
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        assert!(!patience.is_silent(at(100_000)));
        patience.unanswered(start);
        // A later one does not begin anew.
        patience.unanswered(at(300));
        let silent = [0, 3999, 4000, 7999, 8000, 9199, 9200, 13_199, 13_200]
            .map(|ms| patience.is_silent(at(ms)));
        assert_eq!(silent, [false, false, true, true, false, false, true, true, false]);
        patience.answered();
        assert!(!patience.is_silent(at(5000)));
        patience.unanswered(at(5000));
        assert!(!patience.is_silent(at(5300)));
    }
}
