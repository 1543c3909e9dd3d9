//! The check of placement and redundancy: where it is, and what came out.

use serde::{Deserialize, Serialize};

/// What became of the last check that this process was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckState {
    /// None was asked for since the process began.
    None,
    /// It is under way.
    Running,
    /// It came to its end: `report` is there.
    Done,
    /// It could not go on: `reason` says why.
    Failed,
    /// Somebody cancelled it.
    Cancelled,
}

/// The last check of this process.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CheckStatus {
    /// What became of it.
    pub state: CheckState,
    /// Tells checks of this process apart; 0 before the first one.
    pub number: u64,
    /// Whether every byte is read.
    pub verify: bool,
    /// How far it is.
    pub progress: Option<CheckProgress>,
    /// Why it failed.
    pub reason: Option<String>,
    /// What is not as promised, one sentence each. Empty and `done`: all is.
    pub faults: Vec<String>,
    /// All that was found, once it is done.
    pub report: Option<serde_json::Value>,
}

/// How far a check is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckProgress {
    /// What it is at: `verifying`, `index`, `disks`, `rechecking`.
    pub phase: String,
    /// Blobs with a verdict.
    pub blobs: u64,
    /// Shards that inventories have listed.
    pub shards: u64,
    /// Bytes that were read and verified.
    pub verified_bytes: u64,
    /// Bytes that are to be verified in all.
    pub verify_bytes: u64,
    /// Placement groups that are done.
    pub groups: u64,
    /// All placement groups.
    pub groups_total: u64,
}

impl CheckStatus {
    /// No check yet.
    pub fn none() -> Self {
        Self {
            state: CheckState::None,
            number: 0,
            verify: false,
            progress: None,
            reason: None,
            faults: Vec::new(),
            report: None,
        }
    }
}
