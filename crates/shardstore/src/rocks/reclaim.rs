//! Gives the bytes of deleted chunks back to the file system, in the background: what
//! the usage rows know to be garbage is compacted, range by range, with a rest after each
//! that is as long as the work was.

use std::{
    ops::Range,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex};

use super::Inner;
use crate::{Error, keys, usage, usage::Usage};

/// Live bytes that one step may have to write again.
const STEP_LIVE_BYTES_MAX: u64 = 256 << 20;
/// The longest rest after a step.
const REST_MAX: Duration = Duration::from_secs(60);

#[derive(Debug, Default)]
struct Wanted {
    some: bool,
    /// The disk is full: take everything, without rests.
    urgent: bool,
    closing: bool,
}

/// Wakes the reclaimer.
#[derive(Debug, Default)]
pub(crate) struct Reclaimer {
    wanted: Mutex<Wanted>,
    changed: Condvar,
    /// One pass at a time.
    passing: Mutex<()>,
}

impl Reclaimer {
    pub(crate) fn wake(&self, urgent: bool) {
        let mut wanted = self.wanted.lock();
        wanted.some = true;
        wanted.urgent |= urgent;
        self.changed.notify_all();
    }

    pub(crate) fn close(&self) {
        self.wanted.lock().closing = true;
        self.changed.notify_all();
    }

    fn is_closing(&self) -> bool {
        self.wanted.lock().closing
    }

    /// Rests, unless it is urgent or the end.
    fn rest(&self, rest: Duration) {
        let deadline = Instant::now() + rest.min(REST_MAX);
        let mut wanted = self.wanted.lock();
        while !wanted.urgent && !wanted.closing {
            if self.changed.wait_until(&mut wanted, deadline).timed_out() {
                return;
            }
        }
    }
}

/// Runs until the store is closed or dropped.
pub(crate) fn run(inner: &Arc<Inner>) {
    loop {
        let urgent = {
            let mut wanted = inner.reclaimer.wanted.lock();
            while !wanted.some && !wanted.closing {
                inner.reclaimer.changed.wait(&mut wanted);
            }
            if wanted.closing {
                return;
            }
            wanted.some = false;
            std::mem::take(&mut wanted.urgent)
        };
        let ratio_min = if urgent { 0.0 } else { inner.settings.reclaim_ratio_min };
        match pass(inner, ratio_min, !urgent) {
            Ok(0) => {}
            Ok(bytes) => tracing::debug!(bytes, "reclaimed deleted chunks"),
            Err(error) => tracing::warn!(%error, "reclaiming deleted chunks failed"),
        }
    }
}

/// Reclaims every bucket whose garbage is at least `ratio_min` of it; the bytes.
pub(crate) fn pass(inner: &Inner, ratio_min: f64, rest: bool) -> Result<u64, Error> {
    let _passing = inner.reclaimer.passing.lock();
    if inner.is_full() {
        return Err(Error::NoSpace);
    }
    let steps = steps(inner.books.lock().garbage(ratio_min));
    if steps.is_empty() {
        return Ok(0);
    }
    inner.with_database(|database| {
        database.flush()?;
        Ok(database.collect_garbage(true)?)
    })?;
    let mut reclaimed = 0;
    let mut result = Ok(());
    for step in steps {
        if inner.reclaimer.is_closing() {
            break;
        }
        let started = Instant::now();
        result = inner.with_database(|database| {
            let [from, to] = [step.sequences.start, step.sequences.end];
            Ok(database.compact(&keys::chunk(from, 0), &keys::chunk(to, 0))?)
        });
        if inner.is_full() {
            // The compaction may have been given up.
            result = Err(Error::NoSpace);
        }
        if result.is_err() {
            break;
        }
        let mut books = inner.books.lock();
        for (bucket, bytes) in &step.garbage {
            books.reclaimed(*bucket, *bytes);
            reclaimed += bytes;
        }
        drop(books);
        if rest {
            inner.reclaimer.rest(started.elapsed());
        }
    }
    inner.metrics.reclaimed_bytes.increment(reclaimed);
    inner.with_database(|database| Ok(database.collect_garbage(false)?)).and(result)?;
    Ok(reclaimed)
}

/// One compaction.
#[derive(Debug, PartialEq, Eq)]
struct Step {
    sequences: Range<u64>,
    /// Garbage bytes by bucket.
    garbage: Vec<(u64, u64)>,
    live_bytes: u64,
}

/// Joins neighbouring buckets, as long as not too much has to be written again.
fn steps(buckets: Vec<(u64, Usage)>) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for (bucket, usage) in buckets {
        let sequences = usage::first_sequence(bucket)..usage::first_sequence(bucket + 1);
        let live_bytes = usage.written_bytes.saturating_sub(usage.deleted_bytes);
        match steps.last_mut() {
            Some(step)
                if step.sequences.end == sequences.start
                    && step.live_bytes + live_bytes <= STEP_LIVE_BYTES_MAX =>
            {
                step.sequences.end = sequences.end;
                step.live_bytes += live_bytes;
                step.garbage.push((bucket, usage.deleted_bytes));
            }
            _ => steps.push(Step {
                sequences,
                garbage: vec![(bucket, usage.deleted_bytes)],
                live_bytes,
            }),
        }
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_joined_up_to_the_bound() {
        let usage = |live: u64| Usage { written_bytes: live + 5, deleted_bytes: 5 };
        let steps = steps(vec![
            (0, usage(0)),
            (1, usage(STEP_LIVE_BYTES_MAX)),
            (2, usage(1)),
            (9, usage(0)),
        ]);
        let ranges: Vec<_> = steps.iter().map(|step| step.sequences.clone()).collect();
        assert_eq!(ranges, [0..512, 512..768, 2304..2560]);
        assert_eq!(steps[0].garbage, [(0, 5), (1, 5)]);
    }
}
