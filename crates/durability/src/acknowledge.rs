//! What it is worth to acknowledge a write with fewer than all shards.
//!
//! Until the missing shards are repaired, an object that was acknowledged with `a` of `n` shards
//! survives only `a - k` losses. The probability that more of the `a` disks than that fail before
//! the repair is a binomial tail; disks fail independently and shards that come back meanwhile are
//! not counted, which is pessimistic.

use types::ErasurePolicy;

use crate::HOURS_PER_YEAR;

/// The probability that an object acknowledged with `shards` of `n` shards is lost within
/// `hours_to_full`, the time until the others are there.
///
/// # Panics
/// If `shards` is not in `k ..= n`.
pub fn loss_before_full(
    policy: ErasurePolicy,
    shards: usize,
    failures_per_disk_year: f64,
    hours_to_full: f64,
) -> f64 {
    assert!((policy.k()..=policy.n()).contains(&shards), "an object needs k shards to be there");
    let fails =
        crate::formula::probability(failures_per_disk_year * hours_to_full / HOURS_PER_YEAR);
    let survives = (-failures_per_disk_year * hours_to_full / HOURS_PER_YEAR).exp();
    let losses = |lost: usize| {
        let kept = i32::try_from(shards - lost).unwrap_or(i32::MAX);
        let gone = i32::try_from(lost).unwrap_or(i32::MAX);
        choose(shards, lost) * fails.powi(gone) * survives.powi(kept)
    };
    (shards - policy.k() + 1..=shards).map(losses).sum()
}

/// How many ways to choose `k` of `n`.
pub(crate) fn choose(n: usize, k: usize) -> f64 {
    (0..k).map(|i| (n - i) as f64 / (i + 1) as f64).product()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_agrees_with_its_complement_and_its_leading_term() {
        let policy = ErasurePolicy::new(6, 3).expect("valid");
        // Rates so high that the complement has digits: a tenth of a year, 300 % a year.
        let hours = HOURS_PER_YEAR / 10.0;
        let fails = 1.0 - (-0.3f64).exp();
        let at_most_two: f64 = (0..=2)
            .map(|lost| {
                choose(8, lost) * fails.powi(lost as i32) * (1.0 - fails).powi(8 - lost as i32)
            })
            .sum();
        assert!((loss_before_full(policy, 8, 3.0, hours) - (1.0 - at_most_two)).abs() < 1e-12);
        let small = 0.04 * 0.25 / HOURS_PER_YEAR;
        let leading = 56.0 * small.powi(3);
        assert!((loss_before_full(policy, 8, 0.04, 0.25) / leading - 1.0).abs() < 1e-4);
        assert_eq!(choose(9, 4).round(), 126.0);
    }

    #[test]
    fn each_shard_less_costs_orders_of_magnitude() {
        let policy = ErasurePolicy::new(8, 4).expect("valid");
        let losses: Vec<f64> =
            (8..=12).map(|shards| loss_before_full(policy, shards, 0.04, 0.25)).collect();
        assert!(losses.windows(2).all(|pair| pair[1] < pair[0] * 1e-4), "{losses:?}");
    }
}
