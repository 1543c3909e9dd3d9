//! What the figures rest on: what must be assumed or measured.

use placement::Domain;

/// What must be assumed or measured. Sizes are in decimal units: 1 MB is 10^6 bytes.
#[derive(Clone, Debug, PartialEq)]
pub struct Assumptions {
    /// Failures per disk and year of operation: 0.015 is 1.5 %. Only failures that lose the disk's
    /// bytes count. This is a rate (failures divided by disk-years), not a probability.
    pub failures_per_disk_year: f64,
    /// What one disk gives to repair, reads and writes together, in MB/s.
    pub repair_mb_per_s: f64,
    /// From the failure of a disk until its repair begins, in hours.
    pub detection_hours: f64,
    /// From the failure of a disk until a new one is in its place, in hours. Counts where no other
    /// failure domain is free, because then the repair waits for the new disk.
    pub replacement_hours: f64,
    /// Every byte is read and checked once in so many hours.
    pub scrub_interval_hours: f64,
    /// Unreadable or wrong places that come up per disk and year, each in one blob.
    pub latent_errors_per_disk_year: f64,
    /// What no two members of a group share.
    pub domain: Domain,
    /// Bytes on each disk; `None` takes what each disk reported, or its capacity if it did not.
    pub bytes_per_disk: Option<f64>,
}

impl Default for Assumptions {
    /// 4 % a year, 30 MB/s of each disk, 15 minutes until a disk is given up, two days until a new
    /// one is there, everything read once in 14 days, one latent error per disk and year.
    fn default() -> Self {
        Self {
            failures_per_disk_year: 0.04,
            repair_mb_per_s: 30.0,
            detection_hours: 0.25,
            replacement_hours: 48.0,
            scrub_interval_hours: 14.0 * 24.0,
            latent_errors_per_disk_year: 1.0,
            domain: Domain::Node,
            bytes_per_disk: None,
        }
    }
}
