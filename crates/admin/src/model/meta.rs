//! The metadata nodes: who votes, and how far a change of it has come.

use serde::{Deserialize, Serialize};

/// All metadata nodes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetaStatus {
    /// What is under way, in words; `null` if nothing is.
    pub change: Option<String>,
    /// How many of the voters may fail before the cluster stops.
    pub failures_survived: usize,
    /// In the order of their ids.
    pub nodes: Vec<MetaNodeStatus>,
}

/// A metadata node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetaNodeStatus {
    /// Its id.
    pub node: u64,
    /// Where its internal service listens.
    pub address: String,
    /// What it is.
    pub state: MetaNodeState,
    /// Whether it answers.
    pub up: bool,
    /// Groups in which it votes, of all that there are.
    pub votes: String,
    /// Groups that it leads.
    pub leads: usize,
    /// Entries that it still lacks in the groups that it follows without a vote.
    pub entries_behind: u64,
}

/// What a metadata node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MetaNodeState {
    /// Votes in every group.
    Voter,
    /// Is being given a vote.
    Joining,
    /// Is being removed.
    Leaving,
    /// Has registered and waits to be added.
    Waiting,
}
