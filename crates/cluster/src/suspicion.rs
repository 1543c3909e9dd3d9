//! Which disks do not answer just now: a guess from the latest calls.

use std::{collections::HashMap, time::Duration};

use tokio::time::Instant;
use types::DiskId;

/// After its first failed call a disk is left alone for this long.
pub(crate) const PAUSE_MIN: Duration = Duration::from_secs(1);
/// Every failed probe doubles the pause, up to this.
pub(crate) const PAUSE_MAX: Duration = Duration::from_secs(10);

/// The suspected disks. At most one entry a disk of the cluster map.
#[derive(Debug, Default)]
pub(crate) struct Suspicion {
    suspects: HashMap<DiskId, Suspect>,
}

#[derive(Debug)]
struct Suspect {
    pause: Duration,
    probe_at: Instant,
}

impl Suspicion {
    pub(crate) fn is_suspect(&self, disk: DiskId) -> bool {
        self.suspects.contains_key(&disk)
    }

    /// A call has failed. Answers whether the disk was above suspicion so far; then the
    /// caller starts its probe. Calls that fail together count once.
    pub(crate) fn failed(&mut self, disk: DiskId) -> bool {
        if self.is_suspect(disk) {
            return false;
        }
        let suspect = Suspect { pause: PAUSE_MIN, probe_at: Instant::now() + PAUSE_MIN };
        self.suspects.insert(disk, suspect);
        true
    }

    /// A probe has failed: the next one comes after twice the pause.
    pub(crate) fn probe_failed(&mut self, disk: DiskId) {
        if let Some(suspect) = self.suspects.get_mut(&disk) {
            suspect.pause = (suspect.pause * 2).min(PAUSE_MAX);
            suspect.probe_at = Instant::now() + suspect.pause;
        }
    }

    /// A call or a probe has succeeded.
    pub(crate) fn succeeded(&mut self, disk: DiskId) {
        self.suspects.remove(&disk);
    }

    /// When a suspected disk is to be probed.
    pub(crate) fn probe_at(&self, disk: DiskId) -> Option<Instant> {
        self.suspects.get(&disk).map(|suspect| suspect.probe_at)
    }
}
