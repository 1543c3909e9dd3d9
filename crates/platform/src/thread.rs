//! Where work goes that would hold up an I/O thread: to a thread for such work, except in a
//! simulation, which has only one thread.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::task::{JoinError, spawn_blocking};

static STAY: AtomicBool = AtomicBool::new(false);

/// From now on [`off_thread`] runs everything on the thread that calls it, in this whole process:
/// for simulations, whose order of events must not depend on the machine's threads.
pub fn stay_on_thread() {
    STAY.store(true, Ordering::Relaxed);
}

/// Runs `work`, which reads a disk or computes for long, on a thread for that. It runs to its end
/// even if the future is dropped. Fails if the work panics.
pub async fn off_thread<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, JoinError> {
    match STAY.load(Ordering::Relaxed) {
        true => Ok(work()),
        false => spawn_blocking(work).await,
    }
}
