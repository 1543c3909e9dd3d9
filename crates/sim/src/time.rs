//! The time of a simulation, and the clocks that its nodes have instead: each may be ahead, behind,
//! fast or slow, and may jump.

use std::sync::{
    Arc,
    atomic::{AtomicI64, AtomicU64, Ordering},
};

use platform::Clock;

/// Where every simulation begins, in milliseconds since the Unix epoch.
pub const START_MS: u64 = 1_800_000_000_000;

/// Microseconds since the beginning, as of the current tick.
#[derive(Clone, Debug, Default)]
pub struct Time(Arc<AtomicU64>);

impl Time {
    /// Since the beginning, in microseconds.
    pub fn us(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Since the beginning, in milliseconds.
    pub fn ms(&self) -> u64 {
        self.us() / 1000
    }

    /// A tick begins.
    pub fn set_us(&self, us: u64) {
        self.0.store(us, Ordering::Relaxed);
        crate::entropy::set_time_us(us);
    }
}

/// A node's clock.
#[derive(Debug)]
pub struct NodeClock {
    time: Time,
    offset_ms: AtomicI64,
    /// How much faster than time it runs, in millionths.
    drift_ppm: AtomicI64,
}

impl NodeClock {
    /// A right clock.
    pub fn new(time: Time) -> Self {
        Self { time, offset_ms: AtomicI64::new(0), drift_ppm: AtomicI64::new(0) }
    }

    /// Sets it to be so far ahead (or behind), and to run so much faster (or slower).
    pub fn set(&self, offset_ms: i64, drift_ppm: i64) {
        self.offset_ms.store(offset_ms, Ordering::Relaxed);
        self.drift_ppm.store(drift_ppm, Ordering::Relaxed);
    }
}

impl Clock for NodeClock {
    fn now_ms(&self) -> u64 {
        let passed = i64::try_from(self.time.us()).unwrap_or(i64::MAX);
        let drifted = passed + passed / 1_000_000 * self.drift_ppm.load(Ordering::Relaxed);
        let off = self.offset_ms.load(Ordering::Relaxed) + drifted / 1000;
        START_MS.saturating_add_signed(off)
    }
}
