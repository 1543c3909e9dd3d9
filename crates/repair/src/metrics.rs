//! Every figure that the workers count: names, units and labels, in one place.

use types::UnixMillis;

use crate::{Progress, WorkerState, WorkerStatus};

/// Things that a worker has done. Counter, labels `worker` and `what` (`blob_collected`,
/// `orphan_deleted`, `orphan_confirmed`, `shard_rebuilt`, `shard_found`, `shard_written`,
/// `shard_bytes`, `read_bytes` and `readback_bytes` and `written_bytes` of `mend`, `copy_deleted`, `stray_deleted`, `bad`, `missing`, `misplaced`, `repaired`, `verified_bytes`, `move_ended`, `object_expired`,
/// `version_removed`, `version_transitioned`, `version_kept_by_lock`, `upload_aborted`,
/// `lifecycle_failed`, `partition_ticked`, `event_delivered`, `event_dropped`, `inventory_delivered`).
const DONE: &str = "shardlake_worker_done_total";
/// Steps that failed. Counter, label `worker`.
const ERRORS: &str = "shardlake_worker_errors_total";
/// Things looked at in the round under way. Gauge, label `worker`; 0 between rounds.
const ROUND_LOOKED_AT: &str = "shardlake_worker_round_looked_at";
/// When the last whole round began and ended. Gauges, seconds since the Unix epoch, label `worker`.
const LAST_ROUND_BEGAN: &str = "shardlake_worker_last_round_began_timestamp_seconds";
const LAST_ROUND_ENDED: &str = "shardlake_worker_last_round_ended_timestamp_seconds";
/// What a worker is doing: 1 for one of `state` = `working`, `idle`, `backing_off`, `cancelled`, 0 for
/// the others. Gauge, labels `worker` and `state`. All 0 where it no longer runs.
const STATE: &str = "shardlake_worker_state";
/// Rest after each step, in per cent of its time. Gauge, label `worker`.
const THROTTLE: &str = "shardlake_worker_throttle_percent";
/// Things done a second of working time. Gauge, label `worker`.
const RATE: &str = "shardlake_worker_rate";
/// Seconds until the round under way ends; -1 if that cannot be told. Gauge, label `worker`.
const ETA: &str = "shardlake_worker_eta_seconds";

pub(crate) fn done(worker: &'static str, what: &'static str, count: u64) {
    metrics::counter!(DONE, "worker" => worker, "what" => what).increment(count);
}

pub(crate) fn failed(worker: &'static str) {
    metrics::counter!(ERRORS, "worker" => worker).increment(1);
}

#[allow(clippy::cast_precision_loss, reason = "figures for people to read")]
pub(crate) fn progress(worker: &'static str, progress: &Progress) {
    if progress.round.is_none() && progress.last_round.is_none() {
        return;
    }
    let looked_at = progress.round.as_ref().map_or(0, |round| round.looked_at);
    metrics::gauge!(ROUND_LOOKED_AT, "worker" => worker).set(looked_at as f64);
    if let Some(last) = &progress.last_round {
        let seconds = |time: UnixMillis| time.0 as f64 / 1000.0;
        metrics::gauge!(LAST_ROUND_BEGAN, "worker" => worker).set(seconds(last.began));
        let ended = last.ended.unwrap_or(last.began);
        metrics::gauge!(LAST_ROUND_ENDED, "worker" => worker).set(seconds(ended));
    }
}

#[allow(clippy::cast_precision_loss, reason = "figures for people to read")]
pub(crate) fn state(status: &WorkerStatus) {
    let worker = status.name;
    for state in WorkerState::ALL {
        let is = f64::from(u8::from(state == status.state));
        metrics::gauge!(STATE, "worker" => worker, "state" => state.as_str()).set(is);
    }
    metrics::gauge!(THROTTLE, "worker" => worker).set(f64::from(status.throttle_percent));
    metrics::gauge!(RATE, "worker" => worker).set(status.rate_per_s);
    let eta = status.progress.eta_ms.map_or(-1.0, |ms| ms as f64 / 1000.0);
    metrics::gauge!(ETA, "worker" => worker).set(eta);
}

/// A worker that no longer runs here.
pub(crate) fn gone(worker: &'static str) {
    for state in WorkerState::ALL {
        metrics::gauge!(STATE, "worker" => worker, "state" => state.as_str()).set(0.0);
    }
    metrics::gauge!(RATE, "worker" => worker).set(0.0);
    metrics::gauge!(ETA, "worker" => worker).set(-1.0);
    metrics::gauge!(ROUND_LOOKED_AT, "worker" => worker).set(0.0);
}
