//! Jobs that outlive the request that began them: deleting what an abandoned write left,
//! waiting for stragglers. Bounded; at the bound a job is dropped and counted, because for
//! every one of them the sweep of orphans is the safety net.

use std::{future::Future, sync::Arc};

use tokio::sync::Semaphore;

use crate::metrics;

/// Jobs that may run at once.
const JOBS_MAX: usize = 4096;

/// Starts background jobs within a bound.
#[derive(Clone)]
pub(crate) struct Background {
    permits: Arc<Semaphore>,
}

impl Background {
    pub(crate) fn new() -> Self {
        Self { permits: Arc::new(Semaphore::new(JOBS_MAX)) }
    }

    /// Runs the job if there is room and a runtime to run it on (there is none while the
    /// process shuts down).
    pub(crate) fn spawn(&self, name: &'static str, job: impl Future<Output = ()> + Send + 'static) {
        let runtime = tokio::runtime::Handle::try_current();
        match (runtime, Arc::clone(&self.permits).try_acquire_owned()) {
            (Ok(runtime), Ok(permit)) => {
                runtime.spawn(async move {
                    job.await;
                    drop(permit);
                });
            }
            _ => metrics::job_dropped(name),
        }
    }

    /// Returns when no job is running. For tests and for a clean end of the process.
    pub(crate) async fn idle(&self) {
        let all = u32::try_from(JOBS_MAX).expect("a small constant");
        let permits = self.permits.acquire_many(all).await;
        drop(permits);
    }
}
