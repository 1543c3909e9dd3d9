//! How long calls wait, by class of method.

use std::time::Duration;

/// The longest wait for an answer, connecting included. The callee stops at that time too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Raft AppendEntries: an fsync on the follower, also under load.
    pub append: Duration,
    /// Raft RequestVote: less than the shortest election timeout helps.
    pub vote: Duration,
    /// A whole snapshot, streamed and installed.
    pub snapshot: Duration,
    /// Hello, status, heartbeat: answered from memory.
    pub brief: Duration,
    /// A proposal: two fsyncs and queueing.
    pub propose: Duration,
    /// A linearizable query.
    pub query: Duration,
    /// Chunks to a disk, with fsync when sealed.
    pub put: Duration,
    /// One chunk from a disk.
    pub read: Duration,
    /// Confirmations and deletions.
    pub change: Duration,
    /// A page of an inventory.
    pub inventory: Duration,
    /// Reading up to 256 MiB of a disk against their digests.
    pub verify: Duration,
    /// Figures of a disk: the probe of a suspected disk.
    pub stat: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            append: Duration::from_secs(3),
            vote: Duration::from_secs(1),
            snapshot: Duration::from_secs(600),
            brief: Duration::from_secs(2),
            propose: Duration::from_secs(5),
            query: Duration::from_secs(5),
            put: Duration::from_secs(30),
            read: Duration::from_secs(10),
            change: Duration::from_secs(10),
            inventory: Duration::from_secs(30),
            verify: Duration::from_secs(300),
            stat: Duration::from_secs(2),
        }
    }
}
