//! Memory of stripes: budgets that bound it and a pool that reuses it.
//!
//! A request takes what its whole pipeline needs in **one** lease before it buffers
//! anything, and holds it to its end; so nobody waits for memory while holding some, and
//! the budget cannot deadlock. Reads and writes have a budget each, because a copy reads
//! while it writes.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{Error, metrics};

/// Permits are counted in blocks, so that any budget fits the semaphore's 32 bits.
const BLOCK_BYTES: u64 = 4096;

/// Bytes that requests of one side may hold together.
pub(crate) struct Budget {
    side: &'static str,
    blocks: Arc<Semaphore>,
    blocks_max: u32,
    in_use: AtomicU64,
    high_water: AtomicU64,
}

/// A granted piece of a [`Budget`]; returned when dropped.
pub(crate) struct Lease {
    budget: Arc<Budget>,
    permit: OwnedSemaphorePermit,
}

impl Budget {
    pub(crate) fn new(side: &'static str, bytes_max: u64) -> Arc<Self> {
        let blocks_max = u32::try_from(bytes_max / BLOCK_BYTES).unwrap_or(u32::MAX).max(1);
        Arc::new(Self {
            side,
            blocks: Arc::new(Semaphore::new(blocks_max as usize)),
            blocks_max,
            in_use: AtomicU64::new(0),
            high_water: AtomicU64::new(0),
        })
    }

    /// A request larger than the whole budget gets all of it: it runs alone.
    fn blocks_of(&self, bytes: u64) -> u32 {
        u32::try_from(bytes.div_ceil(BLOCK_BYTES)).unwrap_or(u32::MAX).clamp(1, self.blocks_max)
    }

    /// Waits for its turn (first come, first served), at most for `wait`; `Unavailable` then.
    pub(crate) async fn lease(
        self: &Arc<Self>,
        bytes: u64,
        wait: Duration,
    ) -> Result<Lease, Error> {
        let permits = Arc::clone(&self.blocks).acquire_many_owned(self.blocks_of(bytes));
        match tokio::time::timeout(wait, permits).await {
            Ok(Ok(permit)) => Ok(self.granted(permit)),
            Ok(Err(_)) => Err(Error::Internal("the buffer budget was closed".into())),
            Err(_) => Err(Error::Unavailable(format!(
                "no {} buffers became free within {} s: too many requests at once, try again",
                self.side,
                wait.as_secs()
            ))),
        }
    }

    /// Takes the bytes only if they are free now.
    pub(crate) fn try_lease(self: &Arc<Self>, bytes: u64) -> Option<Lease> {
        let permits = Arc::clone(&self.blocks).try_acquire_many_owned(self.blocks_of(bytes));
        permits.ok().map(|permit| self.granted(permit))
    }

    fn granted(self: &Arc<Self>, permit: OwnedSemaphorePermit) -> Lease {
        let bytes = permit.num_permits() as u64 * BLOCK_BYTES;
        let in_use = self.in_use.fetch_add(bytes, Ordering::Relaxed) + bytes;
        self.high_water.fetch_max(in_use, Ordering::Relaxed);
        metrics::buffer_bytes(self.side, in_use);
        Lease { budget: Arc::clone(self), permit }
    }

    /// The most bytes that were ever granted at once.
    pub(crate) fn high_water_bytes(&self) -> u64 {
        self.high_water.load(Ordering::Relaxed)
    }

    /// Bytes granted now.
    pub(crate) fn in_use_bytes(&self) -> u64 {
        self.in_use.load(Ordering::Relaxed)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let bytes = self.permit.num_permits() as u64 * BLOCK_BYTES;
        let before = self.budget.in_use.fetch_sub(bytes, Ordering::Relaxed);
        metrics::buffer_bytes(self.budget.side, before.saturating_sub(bytes));
    }
}

/// Stripe buffers that were used before: the first touch of fresh memory costs more than
/// encoding it.
pub(crate) struct Pool {
    free: Mutex<VecDeque<Vec<u8>>>,
    /// Buffers kept; at the bound the one that was idle longest goes back to the allocator.
    kept_max: usize,
}

/// Buffers smaller than this are left to the allocator, which is good at them.
const POOLED_BYTES_MIN: usize = 1 << 20;

impl Pool {
    pub(crate) fn new(kept_max: usize) -> Arc<Self> {
        Arc::new(Self { free: Mutex::new(VecDeque::new()), kept_max })
    }

    /// A buffer of `len` bytes with any content.
    pub(crate) fn take(self: &Arc<Self>, len: usize) -> Buffer {
        let reused = (len >= POOLED_BYTES_MIN)
            .then(|| {
                let mut free = self.free.lock();
                let fitting = free.iter().rposition(|bytes| bytes.len() == len);
                fitting.and_then(|index| free.remove(index))
            })
            .flatten();
        Buffer { bytes: reused.unwrap_or_else(|| vec![0; len]), pool: Arc::clone(self) }
    }
}

/// Bytes that go back to their pool when the last user drops them.
pub(crate) struct Buffer {
    bytes: Vec<u8>,
    pool: Arc<Pool>,
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl AsMut<[u8]> for Buffer {
    fn as_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if self.bytes.len() < POOLED_BYTES_MIN {
            return;
        }
        let mut free = self.pool.free.lock();
        free.push_back(std::mem::take(&mut self.bytes));
        if free.len() > self.pool.kept_max {
            free.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_request_waits_at_the_bound_and_goes_on_when_there_is_room() {
        let budget = Budget::new("write", 10 * BLOCK_BYTES);
        let first = budget.lease(6 * BLOCK_BYTES, Duration::from_secs(1)).await.expect("free");
        assert!(budget.try_lease(5 * BLOCK_BYTES).is_none());
        let refused = budget.lease(5 * BLOCK_BYTES, Duration::from_secs(1)).await;
        assert!(matches!(refused, Err(Error::Unavailable(_))));

        let waiting = tokio::spawn({
            let budget = Arc::clone(&budget);
            async move { budget.lease(5 * BLOCK_BYTES, Duration::from_secs(60)).await }
        });
        drop(first);
        let second = waiting.await.expect("no panic").expect("room now");
        assert_eq!(budget.in_use_bytes(), 5 * BLOCK_BYTES);
        drop(second);
        assert_eq!(budget.in_use_bytes(), 0);
        assert_eq!(budget.high_water_bytes(), 6 * BLOCK_BYTES);
    }

    #[tokio::test]
    async fn a_request_larger_than_the_budget_runs_alone() {
        let budget = Budget::new("write", 2 * BLOCK_BYTES);
        let all = budget.lease(1 << 40, Duration::from_secs(1)).await.expect("clamped");
        assert!(budget.try_lease(1).is_none());
        drop(all);
        assert!(budget.try_lease(1).is_some());
    }

    #[test]
    fn buffers_come_back_up_to_the_bound() {
        let pool = Pool::new(1);
        let (first, second) = (pool.take(POOLED_BYTES_MIN), pool.take(POOLED_BYTES_MIN));
        drop(first);
        drop(bytes::Bytes::from_owner(second));
        assert_eq!(pool.free.lock().len(), 1);
        assert_eq!(pool.take(POOLED_BYTES_MIN + 1).as_ref().len(), POOLED_BYTES_MIN + 1);
        pool.free.lock().clear();
        let third = pool.take(POOLED_BYTES_MIN);
        let same = third.as_ref().as_ptr();
        drop(third);
        assert_eq!(pool.take(POOLED_BYTES_MIN).as_ref().as_ptr(), same);
    }
}
