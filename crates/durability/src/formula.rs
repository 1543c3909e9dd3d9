//! Loss of one placement group as a birth-death chain, and what follows for a cluster.
//!
//! The state is the number of lost members, 0 to m; the loss of one more is the end. From state i
//! another member is lost at the rate `(n - i) λ`, and one comes back at the rate of that state.
//! Failures are independent and at a constant rate: the formula knows no bursts.
//!
//! The mean time to the end is the sum of the mean times `h_i` to go from i to i + 1 for the first
//! time: `h_0 = 1 / f_0`, `h_i = 1 / f_i + r_i / f_i * h_(i-1)`. All terms are positive, so nothing
//! cancels, at eleven nines or at forty. For rates that fit the chain the result is exact.
//!
//! Repairs of the lost members of a group that run side by side may take any distribution of times
//! with this mean: as long as losses are rare, only the mean matters (as in Erlang's loss formula).
//! That is why repair times that are nearly constant may be put into a chain of exponential ones.

use types::ErasurePolicy;

use crate::{HOURS_PER_YEAR, RepairTime};

/// How several lost members of one group are repaired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Concurrency {
    /// Each by itself: i lost members come back at i times the rate.
    Parallel,
    /// One after the other.
    Serial,
}

/// The chain of one placement group.
#[derive(Clone, Debug, PartialEq)]
pub struct Chain {
    /// Rate of losing a member in state i = 0 ..= m, per hour.
    loss_per_hour: Vec<f64>,
    /// Rate of getting one back in state i + 1 = 1 ..= m, per hour.
    repair_per_hour: Vec<f64>,
    policy: ErasurePolicy,
}

impl Chain {
    /// A group whose members fail at `failures_per_disk_year` and where restoring one takes
    /// `repair_hours` on average, in every state.
    pub fn new(
        policy: ErasurePolicy,
        failures_per_disk_year: f64,
        repair_hours: f64,
        concurrency: Concurrency,
    ) -> Self {
        Self::by_margin(
            policy,
            failures_per_disk_year,
            &vec![repair_hours; policy.m()],
            concurrency,
        )
    }

    /// As [`Chain::new`] where the repair time depends on how many members are lost:
    /// `repair_hours[i]` with i + 1 of them.
    ///
    /// # Panics
    /// If there are not `m` repair times.
    pub fn by_margin(
        policy: ErasurePolicy,
        failures_per_disk_year: f64,
        repair_hours: &[f64],
        concurrency: Concurrency,
    ) -> Self {
        assert_eq!(repair_hours.len(), policy.m(), "a repair time for each number of lost members");
        let rate = failures_per_disk_year / HOURS_PER_YEAR;
        let loss_per_hour =
            (0..=policy.m()).map(|lost| (policy.n() - lost) as f64 * rate).collect();
        let at_once = |lost: usize| match concurrency {
            Concurrency::Parallel => lost as f64,
            Concurrency::Serial => 1.0,
        };
        let repair_per_hour = repair_hours
            .iter()
            .enumerate()
            .map(|(index, hours)| at_once(index + 1) / hours)
            .collect();
        Self { loss_per_hour, repair_per_hour, policy }
    }

    /// A group in a cluster of `disks` disks, each in `groups_per_disk` groups, whose repairs share
    /// the disks' bandwidth by urgency: see [`RepairTime::by_lost`].
    pub fn shared(
        policy: ErasurePolicy,
        failures_per_disk_year: f64,
        repair: RepairTime,
        disks: f64,
        groups_per_disk: f64,
    ) -> Self {
        let hours = repair.by_lost(policy, disks, groups_per_disk);
        Self::by_margin(policy, failures_per_disk_year, &hours, Concurrency::Serial)
    }

    /// Mean time until more than `m` members are lost, from a whole group, in hours.
    pub fn mean_hours_to_loss(&self) -> f64 {
        let mut step = 1.0 / self.loss_per_hour[0];
        let mut sum = step;
        for (loss, repair) in self.loss_per_hour[1..].iter().zip(&self.repair_per_hour) {
            step = 1.0 / loss + repair / loss * step;
            sum += step;
        }
        sum
    }

    /// Losses of the group per year: the rate of a group that starts whole again after each.
    pub fn losses_per_year(&self) -> f64 {
        HOURS_PER_YEAR / self.mean_hours_to_loss()
    }

    /// The probability that the group is lost within a year. The time to loss is taken as
    /// exponential, which it is but for the first hours after a whole start.
    pub fn annual_loss(&self) -> f64 {
        probability(self.losses_per_year())
    }

    /// The share of time spent in each state 0 ..= m, given that nothing was lost.
    pub fn occupancy(&self) -> Vec<f64> {
        let mut shares = vec![1.0];
        for (loss, repair) in self.loss_per_hour.iter().zip(&self.repair_per_hour) {
            shares.push(shares.last().expect("one is there") * loss / repair);
        }
        let sum: f64 = shares.iter().sum();
        shares.iter().map(|share| share / sum).collect()
    }

    /// Blobs of the group that a latent error costs, per year: m members are lost, all k others are
    /// needed, and one of them turns out to have an error that the last scrub had not found yet.
    /// `latent_errors_per_member_year` come up on one member's part of a disk; half a scrub
    /// interval of them is there on average. Two errors in the same stripe with fewer lost members
    /// are left out.
    pub fn latent_losses_per_year(
        &self,
        latent_errors_per_member_year: f64,
        scrub_interval_hours: f64,
    ) -> f64 {
        let m = self.policy.m();
        let occupancy = self.occupancy();
        let per_hour = latent_errors_per_member_year / HOURS_PER_YEAR * self.policy.k() as f64;
        let entries_per_year = occupancy[m - 1] * self.loss_per_hour[m - 1] * HOURS_PER_YEAR;
        let hours_per_year = occupancy[m] * HOURS_PER_YEAR;
        per_hour * (entries_per_year * scrub_interval_hours / 2.0 + hours_per_year)
    }
}

/// The probability of at least one event in a year, from the events per year: `1 - e^-x`, without
/// losing the digits of a small x.
pub fn probability(events_per_year: f64) -> f64 {
    -(-events_per_year).exp_m1()
}

/// At most the probability that any of `groups` groups is lost in a year: the sum. They share
/// disks, so they are not independent; the bound needs no independence. At most 1.
pub fn cluster_annual_loss(group_annual_loss: f64, groups: f64) -> f64 {
    (group_annual_loss * groups).min(1.0)
}

/// At most the probability that an object of so many blobs is lost in a year. All stripes of a blob
/// are in one group; the parts of a multipart upload are blobs of their own, each in a group.
pub fn object_annual_loss(group_annual_loss: f64, blobs: f64) -> f64 {
    (group_annual_loss * blobs).min(1.0)
}

/// The longest repair time, in hours, with which a group keeps so many nines a year; `None` if not
/// even a minute would do.
pub fn longest_repair_hours(
    policy: ErasurePolicy,
    failures_per_disk_year: f64,
    nines: f64,
) -> Option<f64> {
    let keeps = |hours: f64| {
        let chain = Chain::new(policy, failures_per_disk_year, hours, Concurrency::Parallel);
        crate::nines(chain.annual_loss()) >= nines
    };
    let (mut low, mut high) = (1.0 / 60.0, 10.0 * HOURS_PER_YEAR);
    if !keeps(low) {
        return None;
    }
    if keeps(high) {
        return Some(high);
    }
    // Halves the ratio of the two until it is under a millionth.
    while high / low > 1.000_001 {
        let middle = (low * high).sqrt();
        if keeps(middle) { low = middle } else { high = middle }
    }
    Some(low)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn policy(k: u8, m: u8) -> ErasurePolicy {
        ErasurePolicy::new(k, m).expect("valid")
    }

    fn close(a: f64, b: f64) -> bool {
        (a / b - 1.0).abs() < 1e-12
    }

    /// The textbook's mean time to data loss with one lost member allowed.
    #[test]
    fn one_coding_chunk_is_the_raid_formula() {
        for (k, afr, hours) in [(1, 0.04, 24.0), (4, 0.5, 1000.0), (9, 1e-6, 1e-3)] {
            let (n, fail, repair) = (f64::from(k) + 1.0, afr / HOURS_PER_YEAR, 1.0 / hours);
            let expected = ((2.0 * n - 1.0) * fail + repair) / (n * (n - 1.0) * fail * fail);
            let chain = Chain::new(policy(k, 1), afr, hours, Concurrency::Serial);
            assert!(close(chain.mean_hours_to_loss(), expected));
        }
    }

    /// Two coding chunks, written out by hand from the balance equations.
    #[test]
    fn two_coding_chunks_match_the_equations_solved_by_hand() {
        let (afr, hours) = (0.3, 200.0);
        let chain = Chain::new(policy(4, 2), afr, hours, Concurrency::Parallel);
        let (a, r) = (afr / HOURS_PER_YEAR, 1.0 / hours);
        let (f0, f1, f2, r1, r2) = (6.0 * a, 5.0 * a, 4.0 * a, r, 2.0 * r);
        let expected = (f1 * f2 + f0 * f2 + f0 * f1 + r1 * f2 + r1 * r2 + f0 * r2) / (f0 * f1 * f2);
        assert!(close(chain.mean_hours_to_loss(), expected));
    }

    /// Forty nines: the leading term `prod f / prod r` must come out to all digits.
    #[test]
    fn no_digits_are_lost_where_losses_are_rarest() {
        let (afr, hours) = (1e-6, 1e-3);
        let chain = Chain::new(policy(9, 6), afr, hours, Concurrency::Parallel);
        let fail = afr / HOURS_PER_YEAR;
        let mut leading = HOURS_PER_YEAR * 15.0 * fail;
        for lost in 1..=6 {
            leading *= f64::from(15 - lost) * fail * hours / f64::from(lost);
        }
        assert!(crate::nines(leading) > 60.0);
        assert!((chain.losses_per_year() / leading - 1.0).abs() < 1e-9);
        assert!(close(chain.annual_loss(), chain.losses_per_year()));
    }

    #[test]
    fn longest_repair_time_is_where_the_nines_cross() {
        let policy = policy(6, 3);
        let hours = longest_repair_hours(policy, 0.04, 11.0).expect("there is one");
        let at = |hours| {
            crate::nines(Chain::new(policy, 0.04, hours, Concurrency::Parallel).annual_loss())
        };
        assert!(at(hours) >= 11.0 && at(hours * 1.001) < 11.0, "{hours}");
        assert_eq!(longest_repair_hours(policy, 50.0, 30.0), None);
    }

    #[test]
    fn latent_errors_hit_where_all_others_are_needed() {
        // A mirror: a disk fails, and its only other copy has an error from the last half interval.
        let chain = Chain::new(policy(1, 1), 0.01, 1e-6, Concurrency::Parallel);
        let expected = 2.0 * 0.01 * (5.0 * 168.0 / HOURS_PER_YEAR);
        assert!((chain.latent_losses_per_year(5.0, 336.0) / expected - 1.0).abs() < 1e-6);
        assert_eq!(chain.latent_losses_per_year(0.0, 336.0), 0.0);
    }

    proptest! {
        /// More failures, longer repairs, serial repairs and fewer coding chunks are never better.
        #[test]
        fn what_is_worse_loses_more(
            k in 1u8..17, m in 1u8..7, afr in 0.001f64..0.5, hours in 0.1f64..500.0,
        ) {
            let loss = |m, afr, hours, concurrency| {
                Chain::new(policy(k, m), afr, hours, concurrency).annual_loss()
            };
            let base = loss(m, afr, hours, Concurrency::Parallel);
            prop_assert!(base > 0.0 && base <= 1.0);
            prop_assert!(loss(m, afr * 1.1, hours, Concurrency::Parallel) > base);
            prop_assert!(loss(m, afr, hours * 1.1, Concurrency::Parallel) > base);
            prop_assert!(loss(m, afr, hours, Concurrency::Serial) >= base);
            prop_assert!(loss(m + 1, afr, hours, Concurrency::Parallel) < base);
            let wider = Chain::new(policy(k + 1, m), afr, hours, Concurrency::Parallel);
            prop_assert!(wider.annual_loss() > base);
            let occupancy = wider.occupancy();
            prop_assert!((occupancy.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        }
    }
}
