//! How far the events of one partition have come on their way to one target.

use std::{collections::BTreeSet, time::Duration};

use tokio::time::Instant;

use super::{Settings, page::Sent};

/// A lane between two of its pages.
#[derive(Default)]
pub(super) struct Lane {
    /// Every event up to it is done with; `None` at the beginning.
    pub(super) cursor: Option<u64>,
    /// What the root group knows of the cursor.
    pub(super) saved: Option<u64>,
    /// Events after the cursor that are delivered: others of their page are not. Fewer than a
    /// page has.
    pub(super) ahead: BTreeSet<u64>,
    /// Pages in a row that could not be delivered to their end, and nothing of them was.
    pub(super) failures: u32,
    /// Why the last page was not.
    pub(super) failure: Option<String>,
    /// Whether it was the target that did not take all of the last page that it was sent.
    pub(super) refused: bool,
    /// When to try again after a failure.
    pub(super) due: Option<Instant>,
    /// Whether a page is under way.
    pub(super) running: bool,
}

impl Lane {
    /// Takes note of how a page went. True if the next one is to begin now.
    pub(super) fn take_note(&mut self, sent: Sent, settings: &Settings) -> bool {
        let progress = sent.cursor > self.cursor || sent.delivered > 0;
        self.running = false;
        (self.cursor, self.ahead) = (sent.cursor, sent.ahead);
        self.failures = match (&sent.failure, progress) {
            (None, _) => 0,
            (Some(_), true) => 1,
            (Some(_), false) => self.failures.saturating_add(1),
        };
        self.due = sent.failure.as_ref().map(|_| Instant::now() + rest(self.failures, settings));
        self.failure = sent.failure;
        self.refused = sent.refused.unwrap_or(self.refused);
        self.failure.is_none() && sent.more
    }
}

/// The rest after so many failures in a row.
fn rest(failures: u32, settings: &Settings) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    let rest_ms = settings.rest_ms_min.saturating_mul(1 << doublings);
    Duration::from_millis(rest_ms.min(settings.rest_ms_max))
}

/// The cursors that have to be saved, by the number of their lane: those ahead of `through`. Of the
/// others the rows themselves say how far they are, for up to there they are removed. The last
/// lane has no cursor in the root group: it sends nothing, and may begin again at the first row.
pub(super) fn to_save(lanes: &[Lane], through: Option<u64>) -> Vec<(usize, u64)> {
    let targets = &lanes[..lanes.len().saturating_sub(1)];
    let unsaved =
        |lane: &Lane| lane.cursor.filter(|_| lane.cursor > through && lane.cursor > lane.saved);
    let numbered = targets.iter().enumerate();
    numbered.filter_map(|(number, lane)| Some((number, unsaved(lane)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(cursor: Option<u64>, saved: Option<u64>) -> Lane {
        Lane { cursor, saved, ..Lane::default() }
    }

    #[test]
    fn only_cursors_that_rows_do_not_tell_are_saved() {
        let lanes = [
            at(Some(9), None),
            at(Some(9), Some(9)),
            at(Some(5), None),
            at(None, None),
            at(Some(9), Some(7)),
            at(Some(9), None),
        ];
        assert_eq!(to_save(&lanes, Some(5)), [(0, 9), (4, 9)]);
        assert_eq!(to_save(&lanes, None), [(0, 9), (2, 5), (4, 9)]);
        assert_eq!(to_save(&lanes, Some(9)), []);
    }

    #[tokio::test(start_paused = true)]
    async fn rests_double_until_something_arrives() {
        let settings = Settings::default();
        let mut lane = Lane::default();
        let failed = |cursor, delivered| Sent {
            cursor,
            delivered,
            failure: Some("no".into()),
            more: true,
            ..Sent::default()
        };
        for rest_ms in [1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000] {
            assert!(!lane.take_note(failed(None, 0), &settings));
            assert_eq!(lane.due, Some(Instant::now() + Duration::from_millis(rest_ms)));
        }
        assert!(!lane.take_note(failed(None, 1), &settings));
        assert_eq!(lane.due, Some(Instant::now() + Duration::from_secs(1)));
        assert!(lane.take_note(Sent { more: true, ..Sent::default() }, &settings));
        assert_eq!((lane.failures, lane.due), (0, None));
    }
}
