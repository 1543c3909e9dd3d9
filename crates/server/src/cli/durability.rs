//! `shardlake durability`: how likely the running cluster loses data, by its own map. The process that is
//! asked gives the map; everything is computed here.

#![allow(clippy::print_stdout, reason = "the command line's own voice")]

use std::{
    io::{IsTerminal, stderr},
    time::Duration,
};

use admin::model::{ClusterHealth, Status, WorkerStatus};
use clap::Args;
use durability::{Assumptions, report, sampled};
use indicatif::{ProgressBar, ProgressStyle};
use placement::Domain;
use serde_json::{Value, json};
use types::ClusterMap;

use super::{Whom, ask::Ask, table};
use crate::error::UserError;

/// Failures a disk and year that figures are for unless told otherwise: what is seen in good years, and
/// in bad ones.
const AFRS: [f64; 2] = [1.5, 4.0];

/// The worker whose rate is that of repairs, and what it must have written to be believed.
const HEALER: &str = "heal";
const MEASURED_BYTES_MIN: u64 = 1 << 30;

/// `shardlake durability`
#[derive(Args)]
pub(crate) struct DurabilityArgs {
    #[command(flatten)]
    whom: Whom,
    /// Disks that fail a year, in per cent. May be repeated; 1.5 and 4 by default.
    #[arg(long = "afr", value_name = "PER CENT")]
    afrs: Vec<f64>,
    /// What one disk gives to repair, in MB/s; measured by the cluster's own repairs, if there were
    /// enough, else 30.
    #[arg(long)]
    repair_mb_per_s: Option<f64>,
    /// Bytes on each disk: what it reports (`used`), or as if all disks were `full`.
    #[arg(long, default_value = "full", value_parser = ["used", "full"])]
    bytes: String,
    /// Cycles of the simulator for each line; 0: the formula only.
    #[arg(long, default_value_t = 10_000)]
    cycles: u32,
}

/// Runs `shardlake durability`.
pub(crate) async fn run(args: DurabilityArgs) -> anyhow::Result<()> {
    let afrs = match args.afrs.is_empty() {
        true => AFRS.to_vec(),
        false => args.afrs.clone(),
    };
    if let Some(wrong) = afrs.iter().find(|afr| !(0.01..=100.0).contains(*afr)) {
        return Err(
            UserError::new(format!("--afr: {wrong} is not from 0.01 to 100 per cent")).into()
        );
    }
    let speed = args.repair_mb_per_s;
    if let Some(wrong) = speed.filter(|speed| !(0.001..=1e6).contains(speed)) {
        return Err(UserError::new(format!(
            "--repair-mb-per-s: {wrong} is not from 0.001 to 1,000,000"
        ))
        .into());
    }
    let ask = Ask::new(args.whom)?;
    let map: ClusterMap = ask.read("map").await?;
    let status: Status = ask.read("status").await?;
    let domain = domain(status.cluster.as_ref())?;
    let speed = Speed::of(speed, &status.workers, &map);
    let mut lines = Vec::new();
    for afr in afrs {
        let assumptions = Assumptions {
            failures_per_disk_year: afr / 100.0,
            repair_mb_per_s: speed.mb_per_s,
            domain,
            ..Assumptions::default()
        };
        lines.push(figures(&map, assumptions, args.bytes == "full", args.cycles).await?);
    }
    if ask.json {
        table::print_json(&Value::Array(lines.iter().map(|line| line.json(&speed)).collect()));
        return Ok(());
    }
    if map.groups.is_empty() {
        println!("There are no placement groups yet, so there is nothing to compute.");
        return Ok(());
    }
    for line in &lines {
        println!("{}", line.report);
        if let Some(samples) = &line.samples {
            println!("The same by the simulator, with the real placer on these disks:\n");
            println!("{}", sampled::table(samples));
        }
    }
    println!("Repair speed: {}. Bytes on the disks: {}.", speed.origin, args.bytes);
    Ok(())
}

/// What the cluster's groups are placed by.
fn domain(cluster: Option<&ClusterHealth>) -> Result<Domain, UserError> {
    match cluster.and_then(|cluster| cluster.domain.as_deref()) {
        Some("disk") => Ok(Domain::Disk),
        Some("node") => Ok(Domain::Node),
        Some("rack") => Ok(Domain::Rack),
        other => Err(UserError::new(format!(
            "the process does not say by which failure domain groups are placed ({other:?}): ask \
             another one, or when the cluster answers"
        ))),
    }
}

/// How fast a disk repairs, and how that is known.
struct Speed {
    mb_per_s: f64,
    origin: String,
}

impl Speed {
    /// What was said, else what the cluster's repairs were seen to do, else the default.
    fn of(said: Option<f64>, workers: &[WorkerStatus], map: &ClusterMap) -> Self {
        if let Some(mb_per_s) = said {
            return Self { mb_per_s, origin: format!("{mb_per_s} MB/s of each disk, as said") };
        }
        if let Some(measured) = measured(workers, map) {
            let origin = format!(
                "{measured:.1} MB/s of each of {} disks, by what the worker {HEALER} has written in its \
                 round so far",
                map.disks.len()
            );
            return Self { mb_per_s: measured, origin };
        }
        let mb_per_s = Assumptions::default().repair_mb_per_s;
        let origin = format!(
            "{mb_per_s} MB/s of each disk, the usual limit: no repair large enough to measure is under way"
        );
        Self { mb_per_s, origin }
    }
}

/// What each disk gives to the repair under way, reads and writes together, in MB/s: for each shard
/// that is written, `k` are read. `None` below [`MEASURED_BYTES_MIN`].
fn measured(workers: &[WorkerStatus], map: &ClusterMap) -> Option<f64> {
    let (disks, k) = (map.disks.len(), map.policy.k());
    let heal = workers.iter().find(|worker| worker.name == HEALER)?;
    heal.round.as_ref()?;
    let progress = heal.progress.as_ref().filter(|progress| progress.unit == "bytes")?;
    let enough = progress.done >= MEASURED_BYTES_MIN && disks > 0;
    #[allow(clippy::cast_precision_loss, reason = "small counts")]
    let share = |rate: f64| rate * (k + 1) as f64 / 1e6 / disks as f64;
    heal.rate.filter(|_| enough).map(share).filter(|rate| *rate >= 0.001)
}

/// The figures for one rate of failures.
struct Figures {
    report: durability::Report,
    samples: Option<Vec<sampled::Sample>>,
}

impl Figures {
    fn json(&self, speed: &Speed) -> Value {
        let given = &self.report.assumptions;
        let rows = self.report.rows.iter().enumerate().map(|(number, row)| {
            let sample = self.samples.as_ref().and_then(|samples| samples.get(number));
            let simulated = sample.and_then(|sample| sample.simulated.clone().ok());
            json!({
                "policy": row.policy.to_string(),
                "class": row.class.to_string(),
                "groups": row.groups,
                "groups_short": row.not_whole,
                "disks": row.disks,
                "scatter_least": row.scatter_least,
                "scatter_mean": row.scatter_mean,
                "repair_hours": row.repair.hours(),
                "group_annual_loss": row.group_annual_loss,
                "cluster_annual_loss": row.cluster_annual_loss,
                "nines_group": durability::nines(row.group_annual_loss),
                "nines_cluster": durability::nines(row.cluster_annual_loss),
                "simulated_group_losses_per_year": simulated.map(|estimate| estimate.mean),
                "simulated_half_width": simulated.map(|estimate| estimate.half_width),
            })
        });
        json!({
            "failures_per_disk_year": given.failures_per_disk_year,
            "repair_mb_per_s": given.repair_mb_per_s,
            "repair_speed": speed.origin,
            "detection_hours": given.detection_hours,
            "replacement_hours": given.replacement_hours,
            "scrub_interval_hours": given.scrub_interval_hours,
            "domain": given.domain.to_string(),
            "rows": rows.collect::<Vec<_>>(),
        })
    }
}

/// The simulator may take minutes on a large cluster: on a thread of its own, with a sign of life.
async fn figures(
    map: &ClusterMap,
    assumptions: Assumptions,
    full: bool,
    cycles: u32,
) -> anyhow::Result<Figures> {
    let mut map = map.clone();
    if full {
        // Without what they report, disks count with all that they can hold.
        map.used_bytes.clear();
    }
    let bar = match stderr().is_terminal() {
        true => ProgressBar::new_spinner()
            .with_style(ProgressStyle::with_template("{spinner} {msg} ({elapsed})")?),
        false => ProgressBar::hidden(),
    };
    bar.set_message(format!("simulating at {} %", assumptions.failures_per_disk_year * 100.0));
    bar.enable_steady_tick(Duration::from_millis(200));
    let computed = tokio::task::spawn_blocking(move || {
        let report = report(&map, &assumptions);
        let samples = (cycles > 0)
            .then(|| sampled::sample(&map, &report, cycles as usize, durability::tables::SEED));
        Figures { report, samples }
    })
    .await?;
    bar.finish_and_clear();
    Ok(computed)
}

#[cfg(test)]
mod tests {
    use admin::model::{Progress, Round, WorkerState};
    use cluster::MemoryCluster;
    use cluster::Metadata;
    use types::ErasurePolicy;

    use super::*;

    /// A worker that has written so much at 120 MB/s.
    fn worker(name: &str, done: u64, unit: &str) -> WorkerStatus {
        WorkerStatus {
            name: name.to_owned(),
            state: WorkerState::Busy,
            progress: Some(Progress { done, total: None, unit: unit.to_owned() }),
            rate: Some(120e6),
            detail: String::new(),
            round: Some(Round::default()),
            last_round: None,
            place: None,
            eta_ms: None,
            last_failure: None,
            throttle_percent: None,
            node: Some(1),
        }
    }

    #[test]
    fn the_repair_speed_is_what_was_said_or_measured_or_usual() {
        let cluster = MemoryCluster::new(ErasurePolicy::new(4, 2).expect("valid"), 8);
        let map = cluster.map();
        let of = |said, workers: &[WorkerStatus]| Speed::of(said, workers, &map);
        let usual = Assumptions::default().repair_mb_per_s;
        assert_eq!(of(None, &[]).mb_per_s, usual);
        let much = MEASURED_BYTES_MIN;
        // Five times what is written is moved, by eight disks.
        let heal = worker(HEALER, much, "bytes");
        assert!((of(None, std::slice::from_ref(&heal)).mb_per_s - 75.0).abs() < 1e-9);
        assert_eq!(of(Some(12.0), std::slice::from_ref(&heal)).mb_per_s, 12.0);
        let between_rounds = WorkerStatus { round: None, ..heal };
        for not_it in [
            between_rounds,
            worker(HEALER, much - 1, "bytes"),
            worker(HEALER, much, "steps"),
            worker("scrub", much, "bytes"),
        ] {
            let speed = of(None, &[not_it]);
            assert_eq!(speed.mb_per_s, usual);
            assert!(speed.origin.contains("usual limit"), "{}", speed.origin);
        }
    }
}
