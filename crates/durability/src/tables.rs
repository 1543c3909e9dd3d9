//! The tables of the formula, as docs/durability.md has them. A test regenerates them.

use placement::PlacementError;
use types::ErasurePolicy;

use crate::{
    Assumptions, RepairTime,
    acknowledge::loss_before_full,
    formula::{Chain, Concurrency, cluster_annual_loss, longest_repair_hours},
    sim::Settings,
    table::{Table, hours, nines, small},
    vanish::any_loss,
};

/// Failures per disk and year that the tables are for.
pub const AFRS: [f64; 3] = [0.015, 0.04, 0.08];

/// The seed of every plan and simulation of the page.
pub const SEED: u64 = 1;

/// Policy `rs-k-m`.
pub(crate) fn policy(k: u8, m: u8) -> ErasurePolicy {
    ErasurePolicy::new(k, m).expect("the tables' policies are valid")
}

/// The clusters that the tables are for: one disk of 16 TB a node.
pub(crate) fn layouts() -> [Settings; 5] {
    [(4, 2, 6), (4, 2, 12), (6, 3, 12), (8, 4, 15), (6, 3, 60)]
        .map(|(k, m, nodes)| Settings::new(policy(k, m), 1, nodes, 1))
}

/// `rs-6-3 on 12 nodes`.
pub(crate) fn name(settings: &Settings) -> String {
    format!("{} on {} nodes", settings.policy, settings.sites.len())
}

/// Nines of one group by its policy and repair time, and the longest repair time for eleven nines.
pub fn by_repair_time() -> Table {
    let times = [1.0, 6.0, 24.0, 156.0];
    let mut headings = vec!["policy".to_owned(), "overhead".to_owned()];
    headings.extend(times.map(|time| format!("T = {}", hours(time))));
    headings.extend(AFRS.map(|afr| format!("11 nines at {} %", afr * 100.0)));
    let mut table = Table::new(headings);
    for (k, m) in [(1, 2), (4, 2), (6, 3), (8, 3), (8, 4), (10, 4), (9, 6), (17, 3)] {
        let policy = policy(k, m);
        let overhead = policy.n() as f64 / policy.k() as f64;
        let mut row = vec![policy.to_string(), format!("{overhead:.2}")];
        row.extend(times.map(|time| {
            nines(Chain::new(policy, 0.04, time, Concurrency::Parallel).annual_loss())
        }));
        let longest = |afr| longest_repair_hours(policy, afr, 11.0);
        row.extend(AFRS.map(|afr| longest(afr).map_or("-".to_owned(), hours)));
        table.row(row);
    }
    table
}

/// What scatter width does to the repair of a full disk and to the nines of a group.
pub fn by_scatter() -> Table {
    let mut table = Table::new(["policy", "scatter", "repair", "nines: alone", "nines: shared"]);
    let assumptions = Assumptions::default();
    for (k, m) in [(6, 3), (8, 4)] {
        for scatter in [12.0, 24.0, 50.0, 100.0, 200.0] {
            let policy = policy(k, m);
            let repair = RepairTime::of(policy, 16e12, scatter, true, &assumptions);
            let rate = assumptions.failures_per_disk_year;
            let alone = Chain::new(policy, rate, repair.hours(), Concurrency::Parallel);
            let groups_per_disk = placement::PERMUTATIONS as f64;
            let shared = Chain::shared(policy, rate, repair, scatter + 1.0, groups_per_disk);
            table.row([
                policy.to_string(),
                scatter.to_string(),
                hours(repair.hours()),
                nines(alone.annual_loss()),
                nines(shared.annual_loss()),
            ]);
        }
    }
    table
}

/// The figures of a few clusters, with the real placer's groups. Fails if there are no groups.
pub fn by_cluster() -> Result<Table, PlacementError> {
    let mut table = Table::new([
        "cluster",
        "AFR",
        "groups",
        "repair",
        "nines: blob",
        "1000 blobs",
        "all groups",
        "latent: blobs a year",
    ]);
    for mut settings in layouts() {
        for afr in AFRS {
            settings.assumptions.failures_per_disk_year = afr;
            let groups = settings.plan(SEED)?;
            let chain = settings.chain(&groups);
            let given = &settings.assumptions;
            let latent = chain.latent_losses_per_year(
                given.latent_errors_per_disk_year / settings.permutations as f64,
                given.scrub_interval_hours,
            );
            let loss = chain.annual_loss();
            table.row([
                name(&settings),
                format!("{} %", afr * 100.0),
                groups.len().to_string(),
                hours(settings.mean_repair_time(&groups).hours()),
                nines(loss),
                nines(crate::formula::object_annual_loss(loss, 1000.0)),
                nines(cluster_annual_loss(loss, groups.len() as f64)),
                small(latent * groups.len() as f64),
            ]);
        }
    }
    Ok(table)
}

/// The probability that some group is lost when 10 of 1000 nodes vanish, by the number of groups.
pub fn by_vanishing() -> Table {
    let mut table =
        Table::new(["policy", "1,000 groups", "10,000 groups", "10,000,000 random stripes"]);
    for (k, m) in [(4, 2), (6, 3), (8, 4), (9, 6)] {
        let policy = policy(k, m);
        let mut row = vec![policy.to_string()];
        row.extend([1e3, 1e4, 1e7].map(|groups| percent(any_loss(policy, 1000, 10, groups))));
        table.row(row);
    }
    table
}

/// The probability that an object is lost before its missing shards are there.
pub fn by_acknowledged() -> Table {
    let mut table = Table::new(["policy", "all n", "n - 1: what we do", "n - 2", "k"]);
    for (k, m) in [(4, 2), (6, 3), (8, 4)] {
        let policy = policy(k, m);
        let mut row = vec![policy.to_string()];
        let shards = [policy.n(), policy.n() - 1, policy.n() - 2, policy.k()];
        row.extend(shards.map(|shards| small(loss_before_full(policy, shards, 0.04, 0.25))));
        table.row(row);
    }
    table
}

/// 0.62 %, 4.1e-6 %.
pub(crate) fn percent(share: f64) -> String {
    let value = share * 100.0;
    if value == 0.0 || value >= 0.01 { format!("{value:.2} %") } else { format!("{value:.1e} %") }
}
