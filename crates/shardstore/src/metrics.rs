//! Every metric of this crate: names, units, labels. All carry `disk`.
//!
//! The recorder has to be installed before a store is opened or a disk is added:
//! the handles are made once.

use std::time::Duration;

use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};

/// Shard store calls by `disk`, `call` (put, confirm, read, delete, inventory, stat) and
/// `outcome` (ok, or the kind of the error).
pub const CALLS: &str = "shardlake_disk_calls_total";
/// Chunk bytes that were accepted for writing.
pub const WRITTEN_BYTES: &str = "shardlake_disk_written_bytes_total";
/// Chunk bytes that were read and verified.
pub const READ_BYTES: &str = "shardlake_disk_read_bytes_total";
/// Synced commits.
pub const FSYNCS: &str = "shardlake_disk_fsyncs_total";
/// Seconds that a synced commit took, as a histogram.
pub const FSYNC_SECONDS: &str = "shardlake_disk_fsync_seconds";
/// Calls that shared one commit, as a histogram.
pub const GROUP_CALLS: &str = "shardlake_disk_group_calls";
/// Chunks and records found corrupt on the disk.
pub const CORRUPT_CHUNKS: &str = "shardlake_disk_corrupt_chunks_total";
/// Bytes of deleted chunks that reclaiming has given back.
pub const RECLAIMED_BYTES: &str = "shardlake_disk_reclaimed_bytes_total";
/// Bytes of deleted chunks that still occupy the disk.
pub const GARBAGE_BYTES: &str = "shardlake_disk_garbage_bytes";
/// Bytes in use.
pub const USED_BYTES: &str = "shardlake_disk_used_bytes";
/// Bytes that the disk can hold.
pub const CAPACITY_BYTES: &str = "shardlake_disk_capacity_bytes";
/// 1 while the disk takes writes, else 0.
pub const WRITABLE: &str = "shardlake_disk_writable";

/// What a data node counts about its calls to a disk.
pub(crate) struct NodeMetrics {
    disk: String,
    pub(crate) written_bytes: Counter,
    pub(crate) read_bytes: Counter,
    pub(crate) corrupt_chunks: Counter,
    pub(crate) used_bytes: Gauge,
    pub(crate) capacity_bytes: Gauge,
    pub(crate) writable: Gauge,
}

impl NodeMetrics {
    pub(crate) fn new(disk: String) -> Self {
        Self {
            written_bytes: counter!(WRITTEN_BYTES, "disk" => disk.clone()),
            read_bytes: counter!(READ_BYTES, "disk" => disk.clone()),
            corrupt_chunks: counter!(CORRUPT_CHUNKS, "disk" => disk.clone()),
            used_bytes: gauge!(USED_BYTES, "disk" => disk.clone()),
            capacity_bytes: gauge!(CAPACITY_BYTES, "disk" => disk.clone()),
            writable: gauge!(WRITABLE, "disk" => disk.clone()),
            disk,
        }
    }

    pub(crate) fn call(&self, call: &'static str, outcome: &'static str) {
        counter!(CALLS, "disk" => self.disk.clone(), "call" => call, "outcome" => outcome)
            .increment(1);
    }
}

/// What a RocksDB store counts about its commits.
pub(crate) struct StoreMetrics {
    fsyncs: Counter,
    fsync_seconds: Histogram,
    group_calls: Histogram,
    garbage_bytes: Gauge,
    pub(crate) reclaimed_bytes: Counter,
}

impl StoreMetrics {
    pub(crate) fn new(disk: &str) -> Self {
        let disk = disk.to_owned();
        Self {
            fsyncs: counter!(FSYNCS, "disk" => disk.clone()),
            fsync_seconds: histogram!(FSYNC_SECONDS, "disk" => disk.clone()),
            group_calls: histogram!(GROUP_CALLS, "disk" => disk.clone()),
            garbage_bytes: gauge!(GARBAGE_BYTES, "disk" => disk.clone()),
            reclaimed_bytes: counter!(RECLAIMED_BYTES, "disk" => disk),
        }
    }

    /// A commit of `calls`; how long it took if it was synced.
    pub(crate) fn commit(&self, calls: usize, synced: Option<Duration>, garbage_bytes: u64) {
        self.group_calls.record(calls as f64);
        self.garbage_bytes.set(garbage_bytes as f64);
        if let Some(took) = synced {
            self.fsyncs.increment(1);
            self.fsync_seconds.record(took.as_secs_f64());
        }
    }
}
