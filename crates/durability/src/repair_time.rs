//! How long the repair of a lost disk takes, limited by the bandwidth of those that help.

use std::collections::BTreeMap;

use types::{DiskId, ErasurePolicy};

use crate::Assumptions;

/// How long the repair of one lost disk takes while no other is lost.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RepairTime {
    /// Until it can begin, in hours: detection, or the arrival of a new disk.
    pub wait_hours: f64,
    /// Reading and writing, in hours.
    pub transfer_hours: f64,
    /// To write the disk's bytes to one disk, in hours.
    pub one_disk_hours: f64,
    /// Whether it goes to substitutes, so that many disks write, or to one new disk.
    pub spare: bool,
}

impl RepairTime {
    /// The repair of a disk with `bytes` bytes that `scatter` other disks share evenly.
    ///
    /// Restoring a byte reads `k` and writes one. With a free failure domain (`spare`) the writes
    /// go to substitutes among the same disks, so that `scatter` disks move `k + 1` times the
    /// bytes. Without one they all go to the new disk, which is not faster than the others.
    /// Infinite if there are no helpers or they give nothing.
    pub fn of(
        policy: ErasurePolicy,
        bytes: f64,
        scatter: f64,
        spare: bool,
        assumptions: &Assumptions,
    ) -> Self {
        let k = policy.k() as f64;
        let busiest = if spare { (k + 1.0) / scatter } else { (k / scatter).max(1.0) };
        Self::limited_by(bytes, busiest, spare, assumptions)
    }

    /// The repair of `disk` whose groups are `groups`, with `bytes_per_member` bytes of each on it,
    /// where the disks that share groups with it are not evenly loaded: the busiest one decides.
    /// Each group is read evenly from its other members; substitutes are spread evenly over
    /// `targets` disks.
    pub fn in_groups<G: AsRef<[DiskId]>>(
        policy: ErasurePolicy,
        disk: DiskId,
        groups: &[G],
        targets: usize,
        bytes_per_member: f64,
        spare: bool,
        assumptions: &Assumptions,
    ) -> Self {
        let mut shared: BTreeMap<DiskId, usize> = BTreeMap::new();
        let others = groups.iter().flat_map(AsRef::as_ref).filter(|member| **member != disk);
        for member in others {
            *shared.entry(*member).or_default() += 1;
        }
        let most_shared = shared.values().copied().max().unwrap_or(0) as f64;
        let read_of_each = policy.k() as f64 / (policy.n() - 1) as f64;
        let count = groups.len() as f64;
        let most_read = most_shared * read_of_each / count.max(1.0);
        let busiest = if spare { most_read + 1.0 / targets as f64 } else { most_read.max(1.0) };
        Self::limited_by(bytes_per_member * count, busiest, spare, assumptions)
    }

    /// A repair of `bytes` bytes, of which the busiest disk moves the share `busiest`.
    fn limited_by(bytes: f64, busiest: f64, spare: bool, assumptions: &Assumptions) -> Self {
        let detection = assumptions.detection_hours;
        let wait_hours =
            if spare { detection } else { assumptions.replacement_hours.max(detection) };
        let one_disk_hours = bytes / (assumptions.repair_mb_per_s * 3.6e9);
        Self { wait_hours, transfer_hours: one_disk_hours * busiest, one_disk_hours, spare }
    }

    /// All of it, in hours.
    pub fn hours(self) -> f64 {
        self.wait_hours + self.transfer_hours
    }

    /// How long a group with i lost members stays so, in hours, for i = 1 ..= m, where `disks`
    /// disks are each in `groups_per_disk` groups and repairs share the disks, those of the groups
    /// with the most lost members first.
    ///
    /// With i disks lost, only the groups that contain all of them are that urgent: of the other
    /// groups of the first, the share `(n-1)/(d-1) * (n-2)/(d-2) ...` of `d` disks. They have the
    /// bandwidth of `d - i` disks to themselves, but i members of each are restored at once. What
    /// is left to do of the member that was lost first is an i-th of it on average; the two cancel.
    /// The group itself is not faster than its members can be read (i times `k` chunks from
    /// `n - i`) or a substitute be written. Waiting is not shared: i members wait side by side.
    pub fn by_lost(self, policy: ErasurePolicy, disks: f64, groups_per_disk: f64) -> Vec<f64> {
        let groups = groups_per_disk.max(1.0);
        let mut hours = vec![self.hours()];
        let mut common = 1.0;
        for lost in 2..=policy.m() {
            let i = lost as f64;
            common *= (policy.n() - lost + 1) as f64 / (disks - i + 1.0);
            let slowest = (1.0 / i).max(policy.k() as f64 / (policy.n() - lost) as f64);
            let transfer = if self.spare {
                let helpers = (disks - 1.0) / (disks - i);
                let own = (self.one_disk_hours * slowest).max(self.transfer_hours * helpers);
                let others = self.transfer_hours * helpers * (groups - 1.0) * common;
                (own + others) / groups
            } else {
                self.one_disk_hours * slowest
            };
            hours.push(self.wait_hours / i + transfer);
        }
        hours
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_a_wide_and_a_narrow_cluster() {
        let policy = ErasurePolicy::new(6, 3).expect("valid");
        let assumptions = Assumptions::default();
        let hours = |scatter, spare| {
            RepairTime::of(policy, 16e12, scatter, spare, &assumptions).transfer_hours
        };
        // 16 TB, seven bytes moved for each, 30 MB/s of 100 disks: 37,333 s.
        assert!((hours(100.0, true) - 37_333.3 / 3600.0).abs() < 1e-3);
        assert!((hours(25.0, true) / hours(100.0, true) - 4.0).abs() < 1e-12);
        // One new disk takes 16 TB at 30 MB/s, however many read for it.
        assert!((hours(100.0, false) - 16e12 / 30e6 / 3600.0).abs() < 1e-9);
        let waiting = RepairTime::of(policy, 16e12, 8.0, false, &assumptions);
        assert_eq!(waiting.wait_hours, assumptions.replacement_hours);
        assert_eq!(hours(0.0, true), f64::INFINITY);
    }

    #[test]
    fn the_busiest_disk_decides() {
        let policy = ErasurePolicy::new(1, 1).expect("valid");
        let all = [[1, 2], [1, 2], [1, 3], [3, 4]].map(|group| group.map(DiskId));
        let assumptions = Assumptions { repair_mb_per_s: 1.0, ..Assumptions::default() };
        let hours = |disk, spare| {
            let disk = DiskId(disk);
            let groups: Vec<_> = all.iter().filter(|group| group.contains(&disk)).collect();
            RepairTime::in_groups(policy, disk, &groups, 3, 3.6e9, spare, &assumptions)
                .transfer_hours
        };
        // Disk 2 reads two groups and writes a third of three.
        assert!((hours(1, true) - 3.0).abs() < 1e-12);
        assert!((hours(4, true) - (1.0 + 1.0 / 3.0)).abs() < 1e-12);
        assert!((hours(1, false) - 3.0).abs() < 1e-12, "three are written to the new disk");
    }

    #[test]
    fn urgent_groups_are_few_in_a_large_cluster() {
        let policy = ErasurePolicy::new(4, 2).expect("valid");
        let time = RepairTime {
            wait_hours: 1.0,
            transfer_hours: 160.0,
            one_disk_hours: 320.0,
            spare: true,
        };
        let small = time.by_lost(policy, 6.0, 16.0);
        assert_eq!(small[0], 161.0);
        let expected = 0.5 + (320.0 + 160.0 * 1.25 * 15.0) / 16.0;
        assert!((small[1] - expected).abs() < 1e-9, "all groups are as urgent");
        let large = time.by_lost(policy, 1e6, 16.0);
        assert!((large[1] - 20.5).abs() < 0.01, "this group alone: {large:?}");
        let onto_one = RepairTime { spare: false, ..time }.by_lost(policy, 6.0, 16.0);
        assert_eq!(onto_one[1], 320.5, "both are read from the same four");
    }
}
