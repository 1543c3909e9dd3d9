//! Latencies of a phase.

use std::time::Duration;

/// All latencies of a phase, sorted once. A phase is bounded, so keeping each is cheap
/// and exact.
pub(crate) struct Latencies(Vec<Duration>);

impl Latencies {
    /// Takes them in any order.
    pub(crate) fn new(mut latencies: Vec<Duration>) -> Self {
        latencies.sort_unstable();
        Self(latencies)
    }

    /// Number of requests.
    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    /// The latency that `percent` of the requests did not exceed (nearest rank), in
    /// milliseconds; 0 without requests.
    pub(crate) fn percentile_ms(&self, percent: usize) -> f64 {
        let rank = (self.0.len() * percent).div_ceil(100).max(1);
        self.0.get(rank - 1).map_or(0.0, |latency| latency.as_secs_f64() * 1e3)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_rank() {
        let latencies = Latencies::new((1..=100).rev().map(Duration::from_millis).collect());
        assert!((latencies.percentile_ms(50) - 50.0).abs() < 1e-9);
        assert!((latencies.percentile_ms(99) - 99.0).abs() < 1e-9);
        let one = Latencies::new(vec![Duration::from_millis(7)]);
        assert!((one.percentile_ms(50) - 7.0).abs() < 1e-9);
        assert!(Latencies::new(Vec::new()).percentile_ms(50).abs() < 1e-9);
    }
}
