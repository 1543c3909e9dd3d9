//! Every figure that the workers count: names, units and labels, in one place.

/// Things that a worker has done. Counter, labels `worker` and `what` (`blob_collected`,
/// `orphan_deleted`, `orphan_confirmed`, `shard_rebuilt`, `shard_found`, `object_expired`,
/// `version_removed`, `upload_aborted`).
const DONE: &str = "shardlake_worker_done_total";
/// Steps that failed. Counter, label `worker`.
const ERRORS: &str = "shardlake_worker_errors_total";

pub(crate) fn done(worker: &'static str, what: &'static str, count: u64) {
    metrics::counter!(DONE, "worker" => worker, "what" => what).increment(count);
}

pub(crate) fn failed(worker: &'static str) {
    metrics::counter!(ERRORS, "worker" => worker).increment(1);
}
