//! Names, units and labels of every metric of this crate.

use std::time::Duration;

use metrics::{counter, gauge, histogram};
use types::GroupId;

/// Commands answered by a group, by `group` and `outcome` (`ok`, `not_leader`, `busy`,
/// `unknown`, `failed`).
const PROPOSALS: &str = "shardlake_raft_proposals_total";
/// Commands in one log entry, by `group`.
const BATCH_COMMANDS: &str = "shardlake_raft_batch_commands";
/// Reads served by one barrier, by `group`.
const BARRIER_READS: &str = "shardlake_raft_barrier_reads";
/// fsyncs of the node's write-ahead log.
const FSYNCS: &str = "shardlake_raft_fsyncs_total";
/// Seconds of one fsync.
const FSYNC_SECONDS: &str = "shardlake_raft_fsync_seconds";
/// Requests of all groups made durable by one fsync.
const COMMIT_REQUESTS: &str = "shardlake_raft_group_commit_requests";
/// Bytes made durable by one fsync.
const COMMIT_BYTES: &str = "shardlake_raft_group_commit_bytes";
/// Last log index applied, by `group`.
const APPLIED: &str = "shardlake_raft_applied_index";
/// 1 on the leader, else 0, by `group`.
const IS_LEADER: &str = "shardlake_raft_is_leader";
/// Current term, by `group`.
const TERM: &str = "shardlake_raft_term";
/// Snapshots sent (`direction="sent"`) or installed (`"installed"`), by `group`.
const SNAPSHOTS: &str = "shardlake_raft_snapshots_total";
/// Seconds for which requests waited while leadership was handed over, by `group` and `outcome`
/// (`ok`, `failed`).
const HANDOVER_SECONDS: &str = "shardlake_raft_handover_seconds";

pub(crate) fn proposals(group: GroupId, outcome: &'static str, commands: usize) {
    counter!(PROPOSALS, "group" => group.to_string(), "outcome" => outcome)
        .increment(commands as u64);
}

pub(crate) fn batch(group: GroupId, commands: usize) {
    histogram!(BATCH_COMMANDS, "group" => group.to_string()).record(commands as f64);
}

pub(crate) fn barrier(group: GroupId, reads: usize) {
    histogram!(BARRIER_READS, "group" => group.to_string()).record(reads as f64);
}

pub(crate) fn fsync(time: Duration) {
    counter!(FSYNCS).increment(1);
    histogram!(FSYNC_SECONDS).record(time.as_secs_f64());
}

pub(crate) fn group_commit(requests: usize, bytes: usize) {
    histogram!(COMMIT_REQUESTS).record(requests as f64);
    histogram!(COMMIT_BYTES).record(bytes as f64);
}

pub(crate) fn progress(group: GroupId, applied: u64, term: u64, leads: bool) {
    let group = group.to_string();
    gauge!(APPLIED, "group" => group.clone()).set(applied as f64);
    gauge!(TERM, "group" => group.clone()).set(term as f64);
    gauge!(IS_LEADER, "group" => group).set(if leads { 1.0 } else { 0.0 });
}

pub(crate) fn snapshot(group: GroupId, direction: &'static str) {
    counter!(SNAPSHOTS, "group" => group.to_string(), "direction" => direction).increment(1);
}

pub(crate) fn handover(group: GroupId, done: bool, time: Duration) {
    let outcome = if done { "ok" } else { "failed" };
    histogram!(HANDOVER_SECONDS, "group" => group.to_string(), "outcome" => outcome)
        .record(time.as_secs_f64());
}
