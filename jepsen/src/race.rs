//! The race: clients read, write, compare-and-set and delete a few keys through every gateway, and each
//! key must be a linearizable register.

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use clap::Args;
use tokio::sync::oneshot;

use crate::{
    checker::register as checker,
    nemesis::shell::{self as nemesis, Pace},
    report::Report,
    site::{Access, Site},
    workload::register::{self, Settings},
};

/// `jepsen race`
#[derive(Args)]
pub(crate) struct RaceArgs {
    /// A gateway's URL. May be repeated; each operation goes to any of them.
    #[arg(long = "endpoint", required = true)]
    endpoints: Vec<String>,
    /// Access key.
    #[arg(long, env = "SHARDLAKE_ROOT_ACCESS_KEY")]
    access_key: String,
    /// Secret key.
    #[arg(long, env = "SHARDLAKE_ROOT_SECRET_KEY", hide_env_values = true)]
    secret_key: String,
    /// Concurrent clients.
    #[arg(long, default_value_t = 16)]
    clients: usize,
    /// Keys at a time. After --round-operations they are left alone and fresh ones are
    /// used, so that each key's history stays small enough to be checked exactly.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u64).range(1..))]
    keys: u64,
    /// Operations on a set of keys.
    #[arg(long, default_value_t = 800, value_parser = clap::value_parser!(u64).range(1..))]
    round_operations: u64,
    /// Sets of keys, at most.
    #[arg(long)]
    rounds: Option<u64>,
    /// Fewer key histories than this fail the run.
    #[arg(long, default_value_t = 1)]
    histories_min: usize,
    /// Seconds in all, at most.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Seconds after which an operation without an answer is unknown.
    #[arg(long, default_value_t = 5.0)]
    operation_s: f64,
    /// Bytes of values, in turn: above 4 KiB the bytes go to the disks.
    #[arg(long, value_delimiter = ',', default_value = "64,8192")]
    value_bytes: Vec<usize>,
    /// Plants a bug: conditions are checked by a HEAD first, then the write has none. The
    /// run passes if that is found out.
    #[arg(long)]
    planted_race: bool,
    /// A fault: a shell command that causes it and one that heals it, as `CAUSE => HEAL`.
    /// May be repeated; faults take turns.
    #[arg(long = "fault", value_name = "CAUSE => HEAL")]
    faults: Vec<String>,
    /// Seconds that a fault lasts.
    #[arg(long, default_value_t = 8)]
    fault_s: u64,
    /// Seconds before the first fault and between two; by default what a fault lasts.
    #[arg(long)]
    calm_s: Option<u64>,
    /// The seed of the clients' choices; printed, to be given again.
    #[arg(long)]
    seed: Option<u64>,
    /// Where `history.edn` and `results.edn` go.
    #[arg(long, default_value = "jepsen-out")]
    out: PathBuf,
}

/// Runs the race; true if nothing was wrong, or if what was planted was found.
pub(crate) async fn run(cli: RaceArgs) -> anyhow::Result<bool> {
    let seed = cli.seed.unwrap_or_else(rand::random);
    let settings = Settings {
        clients: cli.clients,
        keys: cli.keys,
        round_operations: cli.round_operations,
        rounds: cli.rounds.unwrap_or(u64::MAX),
        value_bytes: cli.value_bytes.iter().map(|bytes| *bytes.max(&8)).collect(),
        planted_race: cli.planted_race,
    };
    let began = Instant::now();
    let (stop, stopped) = oneshot::channel();
    let pace = Pace {
        calm: Duration::from_secs(cli.calm_s.unwrap_or(cli.fault_s).max(1)),
        lasts: Duration::from_secs(cli.fault_s.max(1)),
    };
    let nemesis = tokio::spawn(nemesis::run(nemesis::parse(&cli.faults)?, pace, began, stopped));
    let access = Access {
        endpoints: cli.endpoints.clone(),
        access_key: cli.access_key.clone(),
        secret_key: cli.secret_key.clone(),
    };
    let length = Duration::from_secs(cli.seconds);
    let operation_max = Duration::try_from_secs_f64(cli.operation_s)?;
    let site = Arc::new(Site::new(&access, operation_max, seed, began, length, Duration::ZERO));
    let history = register::run(site.clone(), settings).await;
    // The nemesis may have ended by a command that failed: that is said below.
    let _ = stop.send(());
    let faults = nemesis.await??;
    let history = history?;
    std::fs::create_dir_all(&cli.out)?;
    std::fs::write(cli.out.join("history.edn"), history.edn())?;
    let verdict = checker::check(&history);
    std::fs::write(cli.out.join("results.edn"), verdict.edn(seed))?;
    let report = Report {
        history: &history,
        verdict: &verdict,
        faults: &faults,
        clients: cli.clients,
        gateways: cli.endpoints.len(),
        seed,
    };
    say(&report);
    let histories = history.keys().len();
    anyhow::ensure!(
        histories >= cli.histories_min,
        "{histories} histories are fewer than {}: raise --seconds",
        cli.histories_min
    );
    let wrong = site.all_wrong();
    anyhow::ensure!(wrong.is_empty(), "wrong answers: {wrong:#?}");
    Ok(if cli.planted_race { !verdict.violations.is_empty() } else { verdict.valid() })
}

#[allow(clippy::print_stdout, reason = "the program's output")]
fn say(report: &Report<'_>) {
    println!("{report}");
}
