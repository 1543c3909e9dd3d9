//! A real cluster in the simulator: its own disks, as many groups as it has, made by the real placer.

use placement::PlacementError;
use types::{ClusterMap, DiskClass, DiskId, ErasurePolicy};

use crate::{
    Assumptions, Report, nines,
    report::{bytes_on, members_of, sites},
    sim::{Estimate, Settings, simulate_rare},
    table::{Table, small},
};

/// What the simulator says of the groups of one policy and disk class.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// How they are encoded.
    pub policy: ErasurePolicy,
    /// What their disks are for.
    pub class: DiskClass,
    /// By the formula: the probability that one group is lost within a year.
    pub formula: f64,
    /// By the simulator: losses of a group a year. An error: the placer cannot form groups of the
    /// disks that take part now.
    pub simulated: Result<Estimate, PlacementError>,
}

/// Simulates each row of a report, `cycles` cycles each: losses at real rates, without bursts and
/// outages, repairs sharing bandwidth.
pub fn sample(map: &ClusterMap, report: &Report, cycles: usize, seed: u64) -> Vec<Sample> {
    let sample = |row: &crate::report::Row| {
        let settings = settings(map, &report.assumptions, row.policy, row.class);
        let outcome = simulate_rare(&settings, cycles, seed);
        Sample {
            policy: row.policy,
            class: row.class,
            formula: row.group_annual_loss,
            simulated: outcome.map(|outcome| outcome.losses_per_group_year),
        }
    };
    report.rows.iter().map(sample).collect()
}

/// The disks of the groups of a kind as they are, and the mean bytes of a disk.
pub fn settings(
    map: &ClusterMap,
    assumptions: &Assumptions,
    policy: ErasurePolicy,
    class: DiskClass,
) -> Settings {
    let members = members_of(map, policy, class);
    let groups = map.groups.values().filter(|group| (group.policy, group.class) == (policy, class));
    let seats = groups.count() * policy.n();
    let bytes = |disk: &DiskId| bytes_on(map, assumptions, *disk);
    Settings {
        sites: sites(map, members.iter()),
        permutations: (seats / members.len().max(1)).max(1),
        bytes_per_disk: members.iter().map(bytes).sum::<f64>() / members.len().max(1) as f64,
        assumptions: assumptions.clone(),
        ..Settings::new(policy, 1, 1, 1)
    }
}

/// The table of samples.
pub fn table(samples: &[Sample]) -> Table {
    let mut table = Table::new([
        "policy",
        "class",
        "nines: formula",
        "nines: simulator",
        "losses a group and year, simulator",
    ]);
    for sample in samples {
        let formula = floor(nines(sample.formula));
        let (simulated, losses) = match &sample.simulated {
            Ok(estimate) if estimate.mean > 0.0 => {
                let losses =
                    format!("{} ± {:.0} %", small(estimate.mean), estimate.relative() * 100.0);
                (floor(nines(estimate.mean)), losses)
            }
            Ok(_) => ("-".to_owned(), "none seen: more --cycles".to_owned()),
            Err(error) => ("-".to_owned(), error.to_string()),
        };
        table.row([
            sample.policy.to_string(),
            sample.class.to_string(),
            formula,
            simulated,
            losses,
        ]);
    }
    table
}

/// Rounded down: none is promised that is not there.
fn floor(nines: f64) -> String {
    format!("{:.1}", (nines.max(0.0) * 10.0).floor() / 10.0)
}
