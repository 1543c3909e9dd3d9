//! A bound on calls: so many run, so many wait, the rest is told to come back.

use std::sync::atomic::{AtomicUsize, Ordering};

use proto::{RpcError, RpcErrorKind};
use tokio::sync::{Semaphore, SemaphorePermit};

pub(crate) struct Gate {
    running: Semaphore,
    waiting: AtomicUsize,
    waiting_max: usize,
}

/// Counts one waiting call, also if the call is dropped while it waits.
struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Gate {
    pub(crate) fn new(running: usize, waiting_max: usize) -> Self {
        Self { running: Semaphore::new(running), waiting: AtomicUsize::new(0), waiting_max }
    }

    /// Waits for a turn, in the order of arrival; `Busy` if `waiting_max` calls wait already.
    pub(crate) async fn enter(&self) -> Result<SemaphorePermit<'_>, RpcError> {
        if let Ok(permit) = self.running.try_acquire() {
            return Ok(permit);
        }
        let before = self.waiting.fetch_add(1, Ordering::Relaxed);
        let _waiting = Waiting(&self.waiting);
        if before >= self.waiting_max {
            return Err(RpcError::new(
                RpcErrorKind::Busy,
                format!("{before} calls wait for this disk already"),
            ));
        }
        Ok(self.running.acquire().await.expect("the gate is never closed"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn runs_waits_and_refuses() {
        let gate = Gate::new(1, 1);
        let running = gate.enter().await.expect("free");
        let mut waiting = Box::pin(gate.enter());
        assert!(futures_pending(waiting.as_mut()), "the second call waits");
        let refused = gate.enter().await.expect_err("the third is refused");
        assert_eq!(refused.kind, RpcErrorKind::Busy);
        drop(running);
        let second = waiting.await.expect("its turn came");
        drop(second);

        // A call that is dropped while it waits gives its place back.
        let running = gate.enter().await.expect("free");
        let mut dropped = Box::pin(gate.enter());
        assert!(futures_pending(dropped.as_mut()));
        drop(dropped);
        let mut next = Box::pin(gate.enter());
        assert!(futures_pending(next.as_mut()), "the place is free again");
        drop(running);
        drop(next.await.expect("its turn came"));
    }

    fn futures_pending<F: Future>(future: std::pin::Pin<&mut F>) -> bool {
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        future.poll(&mut context).is_pending()
    }
}
