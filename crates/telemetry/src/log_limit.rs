//! At most one message a period, for events that could come thousands of times a second (a
//! disk that is gone, a peer that does not answer).
//!
//! ```
//! static UNREACHABLE: telemetry::LogLimit = telemetry::LogLimit::every_ms(10_000);
//!
//! if let Some(suppressed) = UNREACHABLE.allow() {
//!     tracing::warn!(suppressed, "cannot reach node");
//! }
//! ```

use std::{
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

/// One kind of message; usually a `static`.
#[derive(Debug)]
pub struct LogLimit {
    period_ms: u64,
    /// When the next message may be logged, in milliseconds since [`START`].
    next_ms: AtomicU64,
    suppressed: AtomicU64,
}

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

impl LogLimit {
    /// At most one message in `period_ms` milliseconds.
    pub const fn every_ms(period_ms: u64) -> Self {
        Self { period_ms, next_ms: AtomicU64::new(0), suppressed: AtomicU64::new(0) }
    }

    /// Whether to log now; if so, how many messages were suppressed since the last one.
    pub fn allow(&self) -> Option<u64> {
        self.allow_at(u64::try_from(START.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    fn allow_at(&self, now_ms: u64) -> Option<u64> {
        let next = self.next_ms.load(Ordering::Relaxed);
        let after = now_ms.saturating_add(self.period_ms);
        // Of several threads that come in time, the exchange lets one through.
        let first = now_ms >= next
            && self
                .next_ms
                .compare_exchange(next, after, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok();
        if first {
            Some(self.suppressed.swap(0, Ordering::Relaxed))
        } else {
            self.suppressed.fetch_add(1, Ordering::Relaxed);
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_message_a_period_with_the_number_of_those_in_between() {
        let limit = LogLimit::every_ms(100);
        let allowed: Vec<Option<u64>> =
            [0, 1, 99, 100, 150, 500].map(|now| limit.allow_at(now)).to_vec();
        assert_eq!(allowed, [Some(0), None, None, Some(2), None, Some(1)]);
        assert!(LogLimit::every_ms(60_000).allow().is_some());
    }
}
