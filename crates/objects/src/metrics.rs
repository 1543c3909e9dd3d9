//! Every figure that the object layer counts: names, units and labels, in one place.

use std::time::{Duration, Instant};

use types::INLINE_BYTES_MAX;

/// Bytes of bodies that were committed. Counter, bytes.
const PUT_BYTES: &str = "shardlake_objects_put_bytes_total";
/// Bytes handed to readers. Counter, bytes.
const GET_BYTES: &str = "shardlake_objects_get_bytes_total";
/// From the call to the commit of an object or part. Histogram, seconds, label `class`.
const PUT_SECONDS: &str = "shardlake_objects_put_seconds";
/// From the call to the first verified byte. Histogram, seconds, label `class`.
const GET_SECONDS: &str = "shardlake_objects_get_first_byte_seconds";
/// Chunk reads added because another one was slow. Counter.
const HEDGES: &str = "shardlake_objects_hedged_chunk_reads_total";
/// Hedges that the budget refused. Counter.
const HEDGES_REFUSED: &str = "shardlake_objects_hedges_refused_total";
/// Stripes whose data was computed from coding chunks. Counter.
const RECONSTRUCTIONS: &str = "shardlake_objects_reconstructed_stripes_total";
/// Blobs written again in another placement group. Counter.
const RETRIES: &str = "shardlake_objects_put_group_retries_total";
/// Writes acknowledged with a rank missing, to be repaired. Counter.
const DEGRADED: &str = "shardlake_objects_degraded_writes_total";
/// Stripe bytes that requests hold. Gauge, bytes, label `side` (`read`, `write`).
const BUFFER_BYTES: &str = "shardlake_objects_buffer_bytes";
/// Repair hints dropped because the queue was full. Counter.
const HINTS_DROPPED: &str = "shardlake_objects_repair_hints_dropped_total";
/// Background jobs not started because too many were running, label `job`. Counter.
const JOBS_DROPPED: &str = "shardlake_objects_background_jobs_dropped_total";

/// Content that was written anew for another storage class or profile. Counter, bytes.
const TRANSITION_BYTES: &str = "shardlake_objects_transition_bytes_total";

/// The size class of a request, as the label `class` has it.
fn class(bytes: u64) -> &'static str {
    match bytes {
        0..=4096 => "inline",
        4097..=1_048_576 => "small",
        1_048_577..=67_108_864 => "medium",
        _ => "large",
    }
}

const _: () = assert!(INLINE_BYTES_MAX == 4096, "the first class holds the inline objects");

pub(crate) fn put_done(bytes: u64, since: Instant) {
    metrics::counter!(PUT_BYTES).increment(bytes);
    metrics::histogram!(PUT_SECONDS, "class" => class(bytes)).record(since.elapsed());
}

pub(crate) fn get_opened(bytes: u64, took: Duration) {
    metrics::histogram!(GET_SECONDS, "class" => class(bytes)).record(took);
}

pub(crate) fn get_bytes(bytes: usize) {
    metrics::counter!(GET_BYTES).increment(bytes as u64);
}

pub(crate) fn transitioned(bytes: u64) {
    metrics::counter!(TRANSITION_BYTES).increment(bytes);
}

pub(crate) fn hedged(chunks: usize) {
    metrics::counter!(HEDGES).increment(chunks as u64);
}

pub(crate) fn hedge_refused() {
    metrics::counter!(HEDGES_REFUSED).increment(1);
}

pub(crate) fn reconstructed() {
    metrics::counter!(RECONSTRUCTIONS).increment(1);
}

pub(crate) fn retried_in_another_group() {
    metrics::counter!(RETRIES).increment(1);
}

pub(crate) fn degraded_write() {
    metrics::counter!(DEGRADED).increment(1);
}

pub(crate) fn buffer_bytes(side: &'static str, bytes: u64) {
    #[allow(clippy::cast_precision_loss, reason = "a gauge is a float; bytes stay far under 2^52")]
    metrics::gauge!(BUFFER_BYTES, "side" => side).set(bytes as f64);
}

pub(crate) fn hint_dropped() {
    metrics::counter!(HINTS_DROPPED).increment(1);
}

pub(crate) fn job_dropped(job: &'static str) {
    metrics::counter!(JOBS_DROPPED, "job" => job).increment(1);
}
