//! The tables of the simulator, as docs/durability.md has them. They take minutes.

use placement::PlacementError;

use crate::{
    sim::{
        Burst, Contention, Estimate, Lifetime, Outcome, Scope, Settings, simulate, simulate_rare,
    },
    table::{Table, nines, small},
    tables::{AFRS, SEED, layouts, name, percent, policy},
    vanish::{any_loss, trials_with_loss},
};

/// A power cut a year that one node in a hundred does not survive.
pub fn power_cut() -> Burst {
    Burst {
        per_year: 1.0,
        scope: Scope::Cluster,
        outage_hours: 2.0,
        lost_node_share: 0.01,
        window_s: 120.0,
    }
}

/// `1.2e-7 ± 4 %`.
fn estimate(value: Estimate) -> String {
    format!("{} ± {:.0} %", small(value.mean), value.relative() * 100.0)
}

/// The simulator beside the formula, each disk repaired as if alone: raised rates in plain time, real
/// rates by importance sampling. `cycles` bounds the work of a line.
pub fn agreement(cycles: usize) -> Result<Table, PlacementError> {
    let mut table = Table::new([
        "cluster",
        "AFR",
        "how",
        "years",
        "groups lost",
        "formula",
        "simulator",
        "ratio",
    ]);
    for (k, m, nodes, afr) in [
        (1, 1, 12, 1.0),
        (4, 2, 12, 2.0),
        (1, 1, 12, 0.04),
        (4, 2, 6, 0.04),
        (4, 2, 12, 0.04),
        (6, 3, 12, 0.04),
        (8, 4, 15, 0.04),
    ] {
        let mut settings = Settings::new(policy(k, m), 1, nodes, 1);
        settings.contention = Contention::None;
        settings.permutations = 4;
        settings.assumptions.failures_per_disk_year = afr;
        let raised = afr > 0.1;
        if raised {
            settings.bytes_per_disk = 8e12;
        }
        let outcome = if raised {
            simulate(&settings, cycles as f64, SEED)?
        } else {
            simulate_rare(&settings, cycles, SEED)?
        };
        let formula = settings.chain(&settings.plan(SEED)?).losses_per_year();
        let losses = outcome.losses_per_group_year;
        table.row([
            name(&settings),
            format!("{} %", afr * 100.0),
            (if raised { "plain" } else { "sampled" }).to_owned(),
            format!("{:.0}", outcome.years),
            outcome.losses_seen.to_string(),
            small(formula),
            estimate(losses),
            format!("{:.2}", losses.mean / formula),
        ]);
    }
    Ok(table)
}

/// Nines of a group with shared bandwidth, by formula and simulator, and what a yearly power cut
/// leaves of them.
pub fn bursts(cycles: usize) -> Result<Table, PlacementError> {
    let mut table = Table::new([
        "cluster",
        "AFR",
        "formula",
        "simulator",
        "ratio",
        "nines",
        "with power cuts",
        "nines",
        "any group, a year",
    ]);
    for mut settings in layouts().into_iter().take(4) {
        for afr in AFRS {
            settings.assumptions.failures_per_disk_year = afr;
            settings.bursts.clear();
            let formula = settings.chain(&settings.plan(SEED)?).losses_per_year();
            let calm = simulate_rare(&settings, cycles, SEED)?;
            settings.bursts = vec![power_cut()];
            let cut = simulate_rare(&settings, cycles, SEED)?;
            let mean = |outcome: &Outcome| outcome.losses_per_group_year.mean;
            table.row([
                name(&settings),
                format!("{} %", afr * 100.0),
                small(formula),
                estimate(calm.losses_per_group_year),
                format!("{:.2}", mean(&calm) / formula),
                nines(mean(&calm)),
                estimate(cut.losses_per_group_year),
                nines(mean(&cut)),
                estimate(cut.loss_events_per_year),
            ]);
        }
    }
    Ok(table)
}

/// Lifetimes that are not exponential, at raised rates.
pub fn lifetimes(years: f64) -> Result<Table, PlacementError> {
    let mut table =
        Table::new(["lifetimes", "AFR", "years", "groups lost", "losses a group and year"]);
    let shapes = [
        Lifetime::Exponential,
        Lifetime::Weibull { shape: 0.76 },
        Lifetime::Weibull { shape: 1.2 },
    ];
    for lifetime in shapes {
        let mut settings = Settings::new(policy(4, 2), 1, 12, 1);
        settings.permutations = 4;
        settings.assumptions.failures_per_disk_year = 1.0;
        settings.lifetime = lifetime;
        let outcome = simulate(&settings, years, SEED)?;
        table.row([
            match lifetime {
                Lifetime::Exponential => "exponential".to_owned(),
                Lifetime::Weibull { shape } => format!("Weibull, shape {shape}"),
            },
            "100 %".to_owned(),
            format!("{:.0}", outcome.years),
            outcome.losses_seen.to_string(),
            estimate(outcome.losses_per_group_year),
        ]);
    }
    Ok(table)
}

/// 10 of 1000 nodes vanish, `trials` times, on groups of the real placer.
pub fn vanishing(trials: usize) -> Result<Table, PlacementError> {
    let mut table = Table::new(["policy", "groups", "trials with loss", "measured", "formula"]);
    for (k, m) in [(4, 2), (6, 3)] {
        let policy = policy(k, m);
        let (with_loss, groups) =
            trials_with_loss(policy, 1000, 10, placement::PERMUTATIONS, trials, SEED)?;
        table.row([
            policy.to_string(),
            groups.to_string(),
            format!("{with_loss} of {trials}"),
            percent(with_loss as f64 / trials as f64),
            percent(any_loss(policy, 1000, 10, groups as f64)),
        ]);
    }
    Ok(table)
}
