//! How fast repair may be: so many bytes a second on each disk that it writes to, by the danger
//! that the data is in. Foreground requests share the disks.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::time::Instant;
use types::DiskId;

/// The bytes that each disk has taken lately. At most one entry a disk of the cluster.
#[derive(Default)]
pub(crate) struct Limiter {
    /// When all that a disk was given so far is due at its rate.
    paid_until: Mutex<HashMap<DiskId, Instant>>,
}

impl Limiter {
    /// When so many bytes may be written, if the disk takes this many a second.
    fn turn(&self, disk: DiskId, bytes: u64, bytes_per_s: u64, now: Instant) -> Instant {
        let mut paid_until = self.paid_until.lock();
        let turn = paid_until.get(&disk).copied().unwrap_or(now).max(now);
        let nanos = u128::from(bytes) * 1_000_000_000 / u128::from(bytes_per_s.max(1));
        let cost = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        paid_until.insert(disk, turn.checked_add(cost).unwrap_or(turn));
        turn
    }
}

/// Bytes a second that a disk takes, by the margin (readable ranks - k) of what is repaired:
/// `None` is as fast as it goes. At margin 0 the next failure loses data.
pub(crate) fn rate(bytes_per_s: u64, margin: isize) -> Option<u64> {
    match margin {
        ..=0 => None,
        1 => Some(bytes_per_s.saturating_mul(3)),
        _ => Some(bytes_per_s),
    }
}

/// What one repair is paced and counted by.
#[derive(Clone, Default)]
pub(crate) struct Pace {
    limiter: Arc<Limiter>,
    bytes_per_s: Option<u64>,
    written: Arc<AtomicU64>,
}

impl Pace {
    /// At this rate a disk, together with all others of the limiter. Counts what is written.
    pub(crate) fn new(
        limiter: &Arc<Limiter>,
        bytes_per_s: Option<u64>,
        written: &Arc<AtomicU64>,
    ) -> Self {
        Self { limiter: Arc::clone(limiter), bytes_per_s, written: Arc::clone(written) }
    }

    /// Waits until so many bytes may be written to the disk.
    pub(crate) async fn enter(&self, disk: DiskId, bytes: u64) {
        let Some(bytes_per_s) = self.bytes_per_s else { return };
        let now = Instant::now();
        let turn = self.limiter.turn(disk, bytes, bytes_per_s, now);
        if turn > now {
            tokio::time::sleep_until(turn).await;
        }
    }

    /// So many bytes are written.
    pub(crate) fn wrote(&self, bytes: u64) {
        self.written.fetch_add(bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_disk_takes_its_rate_and_others_do_not_wait_for_it() {
        let (limiter, written) = (Arc::default(), Arc::default());
        let pace = Pace::new(&limiter, Some(1000), &written);
        let began = Instant::now();
        for _ in 0..11 {
            pace.enter(DiskId(1), 100).await;
            pace.wrote(100);
        }
        assert_eq!(began.elapsed().as_millis(), 1000);
        pace.enter(DiskId(2), 100).await;
        Pace::new(&limiter, None, &written).enter(DiskId(1), 100_000).await;
        assert_eq!(began.elapsed().as_millis(), 1000);
        assert_eq!(written.load(Ordering::Relaxed), 1100);
    }

    #[test]
    fn danger_makes_haste() {
        assert_eq!([2, 1, 0, -1].map(|margin| rate(10, margin)), [Some(10), Some(30), None, None]);
    }
}
