//! Background jobs: what each is doing, how far it is, and what it can be told.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Characters of a job's sentences at most.
pub const WORKER_TEXT_CHARS_MAX: usize = 500;

/// What a background job is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WorkerState {
    /// Nothing to do.
    Idle,
    /// At work.
    Busy,
    /// Held back by its throttle.
    Throttled,
    /// Its last attempt failed; it rests and will try again.
    Failing,
    /// An operator has cancelled it, and it does nothing until he starts it.
    Cancelled,
}

/// A background job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WorkerStatus {
    /// Its name, as `repair` or `scrub d3`.
    pub name: String,
    /// What it is doing.
    pub state: WorkerState,
    /// How far it is.
    pub progress: Option<Progress>,
    /// Units a second, lately.
    pub rate: Option<f64>,
    /// One sentence for people; the last error of a failing job.
    pub detail: String,
    /// The round under way, of a job that looks at everything again and again.
    pub round: Option<Round>,
    /// The last round that came to its end.
    pub last_round: Option<Round>,
    /// Where the round under way is.
    pub place: Option<Place>,
    /// Milliseconds until the round under way ends, if it goes on like the last one.
    pub eta_ms: Option<u64>,
    /// Why the last thing that a round could not do failed.
    pub last_failure: Option<String>,
    /// Rest after each step, in per cent of the step's time.
    #[serde(default)]
    pub throttle_percent: Option<u32>,
    /// The metadata node that runs it as the leader of the root group; `null`: the process that was
    /// asked runs it.
    #[serde(default)]
    pub node: Option<u64>,
}

/// What an operator says to a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorkerCommand {
    /// To rest so long after each step, in per cent of the step's time.
    Throttle(u32),
    /// To do nothing after the step under way.
    Cancel,
    /// To go on.
    Start,
}

impl WorkerStatus {
    /// The same with texts of bounded length, so that a list of jobs fits into a message.
    pub fn cut(mut self) -> Self {
        let texts = [Some(&mut self.detail), self.last_failure.as_mut()];
        for text in texts.into_iter().flatten() {
            if let Some((end, _)) = text.char_indices().nth(WORKER_TEXT_CHARS_MAX) {
                text.truncate(end);
                text.push('…');
            }
        }
        self
    }
}

/// One pass of a job over all that it looks after.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Round {
    /// When it began, in milliseconds since the Unix epoch.
    pub began_ms: u64,
    /// When it ended; `null` while it is under way.
    pub ended_ms: Option<u64>,
    /// Things looked at.
    pub looked_at: u64,
    /// What came of them, by name.
    pub counts: BTreeMap<String, u64>,
}

/// Where a round is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The bucket, disk or partition.
    pub within: String,
    /// The beginning of the key from which it goes on.
    pub at: String,
}

/// How far a job is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Units done in this round.
    pub done: u64,
    /// Units of this round, if known.
    pub total: Option<u64>,
    /// What is counted: `bytes`, `shards`, `blobs`.
    pub unit: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_cut_between_characters() {
        let status = WorkerStatus {
            name: "repair".to_owned(),
            state: WorkerState::Idle,
            progress: None,
            rate: None,
            detail: "ü".repeat(WORKER_TEXT_CHARS_MAX + 1),
            round: None,
            last_round: None,
            place: None,
            eta_ms: None,
            last_failure: Some("short".to_owned()),
            throttle_percent: None,
            node: None,
        };
        let cut = status.clone().cut();
        assert_eq!(cut.detail, "ü".repeat(WORKER_TEXT_CHARS_MAX) + "…");
        assert_eq!(cut.last_failure, status.last_failure);
    }
}
