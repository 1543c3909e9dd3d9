//! The simulator and the formula agree where both apply: with bursts off.

use durability::sim::{
    Burst, Contention, Lifetime, Outcome, Scope, Settings, simulate, simulate_rare,
};
use types::ErasurePolicy;

const SEED: u64 = 3;

fn settings(k: u8, m: u8, nodes: u32, afr: f64, contention: Contention) -> Settings {
    let policy = ErasurePolicy::new(k, m).expect("valid");
    let mut settings = Settings::new(policy, 1, nodes, 1);
    settings.contention = contention;
    settings.assumptions.failures_per_disk_year = afr;
    // Groups that share disks are lost together: fewer of them say as much, sooner.
    settings.permutations = 4;
    settings
}

/// The simulated losses of a group per year are within `tolerance` of the formula's, those of blobs
/// to latent errors too if `latent`; the first are known to `half_width` with 95 % confidence.
fn check(settings: &Settings, outcome: &Outcome, half_width: f64, tolerance: f64, latent: bool) {
    let chain = settings.chain(&settings.plan(SEED).expect("enough nodes"));
    let given = &settings.assumptions;
    let blobs = chain.latent_losses_per_year(
        given.latent_errors_per_disk_year / settings.permutations as f64,
        given.scrub_interval_hours,
    );
    let losses = outcome.losses_per_group_year;
    let share = losses.mean / chain.losses_per_year();
    let latent_share = outcome.latent_losses_per_group_year.mean / blobs;
    let context = format!(
        "{} on {} nodes at {} a year: {share:.3} and {latent_share:.3} of the formula, {outcome:?}",
        settings.policy,
        settings.sites.len(),
        given.failures_per_disk_year,
    );
    assert!(losses.relative() < half_width, "too few cycles: {context}");
    assert!((share - 1.0).abs() <= tolerance, "{context}");
    assert!(!latent || (latent_share - 1.0).abs() <= tolerance, "{context}");
}

fn within(share: f64, tolerance: f64) {
    assert!((share - 1.0).abs() <= tolerance, "{share} is not within {tolerance} of 1");
}

/// Time as it is, at rates so high that losses are seen.
#[test]
fn raised_rates_agree_within_five_per_cent() {
    for (k, m, nodes, afr, years, lifetime) in [
        (1, 1, 12, 1.0, 15_000.0, Lifetime::Exponential),
        (1, 1, 12, 1.0, 15_000.0, Lifetime::Weibull { shape: 1.0 }),
        (4, 2, 12, 2.0, 15_000.0, Lifetime::Exponential),
    ] {
        let mut settings = settings(k, m, nodes, afr, Contention::None);
        settings.lifetime = lifetime;
        settings.bytes_per_disk = 8e12;
        let outcome = simulate(&settings, years, SEED).expect("enough nodes");
        check(&settings, &outcome, 0.06, 0.05, true);
    }
}

/// Real rates, by importance sampling.
#[test]
fn real_rates_agree_within_five_per_cent() {
    for (k, m, nodes, cycles) in
        [(1, 1, 12, 20_000), (4, 2, 6, 20_000), (4, 2, 12, 20_000), (6, 3, 12, 30_000)]
    {
        let settings = settings(k, m, nodes, 0.04, Contention::None);
        let outcome = simulate_rare(&settings, cycles, SEED).expect("enough nodes");
        check(&settings, &outcome, 0.06, 0.05, true);
    }
}

/// Repairs that share bandwidth by urgency: what the chain makes of it is an approximation.
#[test]
fn shared_bandwidth_agrees_within_a_fifth() {
    for (k, m, nodes, cycles) in [(4, 2, 6, 6_000), (4, 2, 12, 6_000), (6, 3, 12, 6_000)] {
        let mut settings = settings(k, m, nodes, 0.04, Contention::Shared);
        settings.permutations = 16;
        let outcome = simulate_rare(&settings, cycles, SEED).expect("enough nodes");
        check(&settings, &outcome, 0.12, 0.2, false);
    }
}

/// Bursts that take each node with a known probability, while disks hardly fail by themselves: a
/// group is lost as often as more than `m` of its `n` nodes are taken.
#[test]
fn bursts_lose_what_the_binomial_tail_says() {
    let mut settings = settings(4, 2, 12, 1e-6, Contention::Shared);
    settings.bytes_per_disk = 1e9;
    settings.bursts = vec![Burst {
        per_year: 1.0,
        scope: Scope::Cluster,
        outage_hours: 1.0,
        lost_node_share: 0.02,
        window_s: 120.0,
    }];
    let tail = |p: f64| -> f64 {
        [(3, 20.0), (4, 15.0), (5, 6.0), (6, 1.0)]
            .map(|(lost, ways): (i32, f64)| ways * p.powi(lost) * (1.0 - p).powi(6 - lost))
            .iter()
            .sum()
    };
    let rare = simulate_rare(&settings, 100_000, SEED).expect("enough nodes");
    within(rare.losses_per_group_year.mean / tail(0.02), 0.05);
    settings.bursts[0].lost_node_share = 0.1;
    let direct = simulate(&settings, 60_000.0, SEED).expect("enough nodes");
    within(direct.losses_per_group_year.mean / tail(0.1), 0.05);
}

/// A rack that is lost takes all groups with it, unless its members there are few enough.
#[test]
fn racks_are_lost_whole() {
    let lost = |racks| {
        let policy = ErasurePolicy::new(4, 2).expect("valid");
        let mut settings = Settings::new(policy, racks, 12, 1);
        settings.assumptions.failures_per_disk_year = 1e-6;
        settings.bursts = vec![Burst {
            // So seldom that two racks are not away together.
            per_year: 0.02,
            scope: Scope::Rack,
            outage_hours: 1.0,
            lost_node_share: 1.0,
            window_s: 120.0,
        }];
        simulate(&settings, 10_000.0, SEED).expect("enough nodes").losses_seen
    };
    assert!(lost(2) > 100, "three of six members in each of two racks");
    assert_eq!(lost(3), 0, "two of six in each of three racks");
}

#[test]
fn the_same_seed_gives_the_same_figures() {
    let mut settings = settings(4, 2, 12, 2.0, Contention::Shared);
    settings.lifetime = Lifetime::Weibull { shape: 0.7 };
    settings.outages_per_node_year = 4.0;
    let run = |seed| simulate(&settings, 200.0, seed).expect("enough nodes");
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
    settings.lifetime = Lifetime::Exponential;
    let run = |seed| simulate_rare(&settings, 500, seed).expect("enough nodes");
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}

/// What is worse is worse: each of these has its own part in the losses.
#[test]
fn what_is_switched_on_costs_durability() {
    let losses = |change: &dyn Fn(&mut Settings)| {
        let mut settings = settings(4, 2, 12, 1.0, Contention::Shared);
        change(&mut settings);
        simulate(&settings, 2000.0, SEED).expect("enough nodes").losses_per_group_year.mean
    };
    let base = losses(&|_| {});
    assert!(base > 0.0);
    assert!(losses(&|it| it.assumptions.repair_mb_per_s = 15.0) > base * 1.5);
    assert!(losses(&|it| it.assumptions.detection_hours = 40.0) > base * 1.2);
    let outages = |it: &mut Settings| {
        it.outages_per_node_year = 100.0;
        it.outage_mean_hours = 24.0;
    };
    assert!(losses(&outages) > base * 1.2, "repairs wait");
}
