//! The history-checking fault harness. Clients use a cluster through every gateway while faults come and
//! go; everything they saw is a history, and a checker says whether a right cluster could have answered so.
//!
//! Two runs: [`race`] has one workload, registers, on any cluster, under shell commands as faults;
//! [`mix`] has all workloads at once under all nemeses, on a cluster that can be harmed in every way.
//!
//! Reading order: [`history`] (what was seen), [`site`] (the cluster as clients have it), [`workload`] (the
//! clients), [`checker`] (the verdicts), [`nemesis`] (the faults), [`mix`], [`race`] and [`report`].
//!
//! Traffic goes to the endpoints that the operator names: loopback addresses, or namespaces and container
//! networks made for the test. Runs are bounded by `--seconds` and `--rounds`.

mod checker;
mod content;
mod edn;
mod history;
mod mix;
mod nemesis;
mod race;
mod report;
mod site;
mod workload;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Checks what a cluster answers under faults.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    run: Run,
}

#[derive(Subcommand)]
enum Run {
    /// Registers: clients race conditional writes on a few keys.
    Race(race::RaceArgs),
    /// All workloads at once, under all nemeses in turn.
    Mix(mix::MixArgs),
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let passed = match Cli::parse().run {
        Run::Race(args) => race::run(args).await?,
        Run::Mix(args) => mix::run(args).await?,
    };
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
