//! Losses at real rates: importance sampling over regenerative cycles.
//!
//! The cluster is whole most of the time. Each return to that is a fresh start: the rest does not
//! depend on what was before (lifetimes are exponential; members go back to where they were
//! planned). So losses per year are the mean losses of a cycle, divided by its mean length, and
//! cycles are independent, which gives the confidence interval.
//!
//! While members are lost, disks are made to fail about once in a repair time, until as many have
//! failed as it takes, or a group is lost. `Engine` keeps the weight: the ratio of the true and
//! the drawn probability of the path. All sums are taken with the weight of their moment. The
//! whole time before a cycle's first event is put in as its expectation, not drawn.

use placement::PlacementError;

use super::{
    Lifetime, Outcome, Settings,
    engine::{Bias, Engine},
};

/// Estimates the losses of a cluster at rates at which none would be seen, from `cycles` cycles.
/// Fails if the placer cannot form groups.
///
/// # Panics
/// If lifetimes are not exponential: the weights would be wrong.
pub fn simulate_rare(
    settings: &Settings,
    cycles: usize,
    seed: u64,
) -> Result<Outcome, PlacementError> {
    assert_eq!(settings.lifetime, Lifetime::Exponential, "weights need exponential lifetimes");
    let mut engine = Engine::new(settings, seed)?;
    let typical_hours = settings.mean_repair_time(&settings.plan(seed)?).hours();
    let fatal = (settings.policy.m() + 1) as f64;
    engine.bias = Some(Bias {
        failures_per_hour: 1.0 / typical_hours,
        lost_node_share: (fatal / engine.state.node_count() as f64).min(0.5),
    });
    let groups = engine.state.groups() as f64;
    let mut tallies = Vec::with_capacity(cycles);
    for _ in 0..cycles {
        let [failures, _, bursts, outages] = engine.rates();
        let hours_whole = 1.0 / (failures + bursts + outages);
        engine.step(f64::INFINITY);
        // The first event may be a loss already, where m is small; only the time is replaced.
        engine.tally.hours = hours_whole;
        engine.tally.group_hours = hours_whole * groups;
        while !engine.is_whole() {
            engine.step(f64::INFINITY);
        }
        tallies.push(std::mem::take(&mut engine.tally));
        engine.renew();
    }
    Ok(Outcome::of(&tallies, engine.state.groups(), engine.events))
}
