//! How many writes this gateway has under way at each disk. A disk answers "busy" when too
//! many wait, and a write must not lose a rank just because many came at once: they wait
//! here, where their memory is counted already.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use types::DiskId;

/// Puts under way at a disk. Two gateways at it stay under what a disk lets wait.
const PUTS_MAX: usize = 96;

/// One queue a disk, first come, first served. At most one entry a disk of the cluster.
#[derive(Default)]
pub(crate) struct Lanes {
    disks: Mutex<HashMap<DiskId, Arc<Semaphore>>>,
}

impl Lanes {
    /// Waits for its turn at the disk. Bounded by the puts before it, each of which has a
    /// deadline.
    pub(crate) async fn enter(&self, disk: DiskId) -> OwnedSemaphorePermit {
        let lane = {
            let mut disks = self.disks.lock();
            Arc::clone(disks.entry(disk).or_insert_with(|| Arc::new(Semaphore::new(PUTS_MAX))))
        };
        lane.acquire_owned().await.expect("lanes are never closed")
    }
}
