//! `sim`: a whole cluster in one deterministic process, by seed.
//!
//! ```text
//! sim --seeds 200 --jobs 2      200 seeds, each in a process of its own
//! sim --seed 17 --trace         one seed, with every event on the standard error output
//! sim --planted ack-at-k        whether a planted bug is found (needs the feature `planted`)
//! ```
//!
//! The real code of metadata nodes, data nodes, gateways and workers runs over the real wire code, on
//! disks in memory that lose what was not synced, clocks that lie, and turmoil's network. Everything
//! that happens follows from the seed.
//!
//! Reading order: [`scenario`] (what a seed stands for), [`world`] (what lies outside of the nodes),
//! [`nodes`], [`workload`] and [`history`], [`chaos`] (the faults), [`invariants`] (what must hold),
//! [`run`], [`fleet`] (many seeds). Under them [`entropy`], [`time`] and [`transport`] are what the
//! nodes have instead of the machine.

pub mod chaos;
pub mod entropy;
pub mod fleet;
pub mod history;
pub mod invariants;
pub mod nodes;
pub mod run;
pub mod scenario;
pub mod time;
pub mod trace;
pub mod transport;
pub mod workload;
pub mod world;

use std::process::ExitCode;

use clap::Parser;

use crate::{fleet::Fleet, scenario::Scenario};

/// Simulates whole clusters, by seed.
#[derive(Debug, Parser)]
#[command(name = "sim", version)]
struct Arguments {
    /// Runs this seed in this process.
    #[arg(long, conflicts_with_all = ["seeds", "planted"])]
    seed: Option<u64>,
    /// Runs so many seeds, each in a process of its own.
    #[arg(long, default_value_t = 200)]
    seeds: u64,
    /// The first of them.
    #[arg(long, default_value_t = 1)]
    first: u64,
    /// Processes at a time.
    #[arg(long, default_value_t = 2)]
    jobs: usize,
    /// No faults: what happens in a calm cluster.
    #[arg(long)]
    calm: bool,
    /// Every event on the standard error output.
    #[arg(long)]
    trace: bool,
    /// Logs of the nodes on the standard error output, by this filter.
    #[arg(long, value_name = "FILTER")]
    log: Option<String>,
    /// Plants this bug, and expects that one of the seeds fails.
    #[arg(long, value_name = "BUG")]
    planted: Option<String>,
}

/// What an option is given, without anything that would ask for randomness.
fn argument(name: &str) -> Option<String> {
    let mut arguments = std::env::args();
    loop {
        let argument = arguments.next()?;
        match argument.strip_prefix(name) {
            Some("") => return arguments.next(),
            Some(rest) if rest.starts_with('=') => return Some(rest[1..].to_owned()),
            _ => {}
        }
    }
}

/// Logs the nodes' events by this filter. Each hash map that a thread makes shifts the hashes of all
/// that it makes later, so the maps of the logs are made by another thread, and before there is a
/// seed: a run is the same with and without them.
fn log(filter: String) {
    let start = move || {
        tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(std::io::stderr)
            .without_time()
            .init();
    };
    std::thread::spawn(start).join().expect("logs are begun once");
}

fn main() -> ExitCode {
    if let Some(filter) = argument("--log") {
        log(filter);
    }
    // Before anything else: the first hash map decides the hashes of this thread.
    if let Some(seed) = argument("--seed").and_then(|seed| seed.parse().ok()) {
        entropy::seed(seed);
    }
    let arguments = Arguments::parse();
    match arguments.seed {
        Some(seed) => one(seed, &arguments),
        None => match many(&arguments) {
            Ok(code) => code,
            Err(error) => {
                say(&format!("sim: {error:#}"));
                ExitCode::from(2)
            }
        },
    }
}

#[allow(clippy::print_stdout, reason = "a program's output")]
fn say(line: &str) {
    println!("{line}");
}

fn one(seed: u64, arguments: &Arguments) -> ExitCode {
    let report = run::run(Scenario::of(seed, arguments.calm), arguments.trace);
    say(&report.to_string());
    let code = match &report.violation {
        None => 0,
        Some(violation) => {
            say(&format!("seed {seed} breaks {violation}"));
            1
        }
    };
    // Without dropping the simulation's runtimes, whose order nobody looks at any more.
    std::process::exit(code)
}

fn many(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    if arguments.planted.is_some() && !cfg!(feature = "planted") {
        anyhow::bail!("this build has no planted bugs: build it with --features sim/planted");
    }
    let mut shared = Vec::new();
    if arguments.calm {
        shared.push("--calm".to_owned());
    }
    let began = std::time::Instant::now();
    let fleet = Fleet {
        first: arguments.first,
        seeds: arguments.seeds,
        jobs: arguments.jobs,
        planted: arguments.planted.clone(),
        until_failure: arguments.planted.is_some(),
        arguments: shared,
    };
    let failures = fleet.run()?;
    let took = began.elapsed().as_secs_f64();
    match (&arguments.planted, failures.first()) {
        (Some(bug), Some((seed, _))) => {
            say(&format!("{bug}: caught by seed {seed} in {took:.0} s"))
        }
        (Some(bug), None) => {
            say(&format!("{bug}: NOT caught by {} seeds in {took:.0} s", arguments.seeds));
            return Ok(ExitCode::FAILURE);
        }
        (None, None) => say(&format!("{} seeds in {took:.0} s: all ok", arguments.seeds)),
        (None, Some(_)) => {
            let seeds: Vec<u64> = failures.iter().map(|(seed, _)| *seed).collect();
            say(&format!(
                "{} of {} seeds failed in {took:.0} s: {seeds:?}",
                seeds.len(),
                arguments.seeds
            ));
            return Ok(ExitCode::FAILURE);
        }
    }
    Ok(ExitCode::SUCCESS)
}
