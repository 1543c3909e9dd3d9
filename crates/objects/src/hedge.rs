//! When a slow chunk read gets company: after the 95th percentile of its size class, and
//! only while hedges stay under a tenth of all chunk reads. Without the second bound a
//! cluster that is slow because it is busy would make itself busier.

use std::{
    sync::atomic::{AtomicI64, AtomicU64, Ordering},
    time::Duration,
};

use parking_lot::Mutex;

/// Never hedge sooner, however fast the disks are.
const DELAY_MS_MIN: u64 = 20;
/// Never wait longer, however slow they are.
const DELAY_MS_MAX: u64 = 1000;
/// Latencies that the percentile is taken of.
const WINDOW: usize = 256;
/// The percentile is computed anew after so many reads.
const REFRESH: usize = 32;
/// Chunks up to this size are one class, larger ones the other.
const SMALL_BYTES_MAX: usize = 64 << 10;

/// A hedged chunk costs ten reads' worth of tokens.
const HEDGE_COST: i64 = 10;
/// Tokens that can be saved up: bounds a burst of hedges after a calm time.
const TOKENS_MAX: i64 = 64 * HEDGE_COST;

/// Watches chunk reads and decides about hedges.
pub(crate) struct ReadPacer {
    small: Class,
    large: Class,
    tokens: AtomicI64,
}

#[derive(Default)]
struct Class {
    window: Mutex<Window>,
    p95_ms: AtomicU64,
}

#[derive(Default)]
struct Window {
    latencies_ms: Vec<u64>,
    next: usize,
}

impl ReadPacer {
    pub(crate) fn new() -> Self {
        Self {
            small: Class::default(),
            large: Class::default(),
            tokens: AtomicI64::new(TOKENS_MAX / 4),
        }
    }

    fn class(&self, chunk_bytes: usize) -> &Class {
        if chunk_bytes <= SMALL_BYTES_MAX { &self.small } else { &self.large }
    }

    /// A chunk was read; it earns a tenth of a hedge.
    pub(crate) fn record(&self, chunk_bytes: usize, took: Duration) {
        self.class(chunk_bytes).record(u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
        let earn = |tokens: i64| (tokens < TOKENS_MAX).then_some(tokens + 1);
        let _ = self.tokens.fetch_update(Ordering::Relaxed, Ordering::Relaxed, earn);
    }

    /// How long to wait for a chunk before hedging it.
    pub(crate) fn delay(&self, chunk_bytes: usize) -> Duration {
        let p95_ms = self.class(chunk_bytes).p95_ms.load(Ordering::Relaxed);
        Duration::from_millis(p95_ms.clamp(DELAY_MS_MIN, DELAY_MS_MAX))
    }

    /// Whether so many chunks may be hedged now; if so they are paid for.
    pub(crate) fn allow(&self, chunks: usize) -> bool {
        let cost = i64::try_from(chunks).unwrap_or(i64::MAX).saturating_mul(HEDGE_COST);
        let pay = |tokens: i64| (tokens >= cost).then(|| tokens - cost);
        self.tokens.fetch_update(Ordering::Relaxed, Ordering::Relaxed, pay).is_ok()
    }
}

impl Class {
    fn record(&self, latency_ms: u64) {
        let mut window = self.window.lock();
        let next = window.next;
        if window.latencies_ms.len() < WINDOW {
            window.latencies_ms.push(latency_ms);
        } else {
            window.latencies_ms[next % WINDOW] = latency_ms;
        }
        window.next = next.wrapping_add(1);
        if next.is_multiple_of(REFRESH) {
            let mut sorted = window.latencies_ms.clone();
            sorted.sort_unstable();
            let p95 = sorted[(sorted.len() - 1) * 95 / 100];
            self.p95_ms.store(p95, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_delay_follows_the_percentile_of_its_class_within_bounds() {
        let pacer = ReadPacer::new();
        assert_eq!(pacer.delay(1), Duration::from_millis(DELAY_MS_MIN));
        for latency in 0..(10 * WINDOW) as u64 {
            pacer.record(1 << 20, Duration::from_millis(latency % 100));
            pacer.record(1, Duration::from_secs(100));
        }
        let large = pacer.delay(1 << 20).as_millis();
        assert!((85..=99).contains(&large), "{large}");
        assert_eq!(pacer.delay(1), Duration::from_millis(DELAY_MS_MAX));
    }

    #[test]
    fn at_most_a_tenth_of_the_reads_is_hedged() {
        let pacer = ReadPacer::new();
        while pacer.allow(1) {}
        let hedges: usize = (0..1000)
            .map(|_| {
                pacer.record(1, Duration::ZERO);
                usize::from(pacer.allow(1))
            })
            .sum();
        assert_eq!(hedges, 100);
    }
}
