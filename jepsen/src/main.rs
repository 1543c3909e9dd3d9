//! The history-checking fault harness. Clients read, write, compare-and-set and delete
//! a few keys through every gateway while faults come and go; everything they saw is a
//! history, and the history must be linearizable key by key.
//!
//! Reading order: [`history`] (what was seen), [`register`] (the clients), [`checker`]
//! (the verdict), [`nemesis`] (the faults).
//!
//! Traffic goes to the endpoints that the operator names: loopback addresses, or
//! namespaces and container networks made for the test. The run is bounded by `--seconds`.

mod checker;
mod history;
mod nemesis;
mod register;

use std::{path::PathBuf, process::ExitCode, time::Duration};

use clap::Parser;

use crate::{checker::Verdict, register::Settings};

/// Checks that a cluster's objects are linearizable registers.
#[derive(Parser)]
#[command(version)]
struct Cli {
    /// A gateway's URL. May be repeated; clients use them in turn.
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
    /// Keys at a time. After --round-s they are left alone and fresh ones are used, so
    /// that each key's history stays small enough to be checked exactly.
    #[arg(long, default_value_t = 8)]
    keys: u64,
    /// Seconds that a set of keys is used.
    #[arg(long, default_value_t = 3)]
    round_s: u64,
    /// Seconds in all.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Bytes of each value: above 4 KiB the bytes go to the disks.
    #[arg(long, default_value_t = 8192)]
    value_bytes: usize,
    /// A fault: a shell command that causes it and one that heals it, as `CAUSE => HEAL`.
    /// May be repeated; faults take turns.
    #[arg(long = "fault", value_name = "CAUSE => HEAL")]
    faults: Vec<String>,
    /// Seconds that a fault lasts, and then the seconds until the next.
    #[arg(long, default_value_t = 8)]
    fault_s: u64,
    /// The seed of the clients' choices; printed, to be given again.
    #[arg(long)]
    seed: Option<u64>,
    /// Where `history.edn` and `results.edn` go.
    #[arg(long, default_value = "jepsen-out")]
    out: PathBuf,
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let cli = Cli::parse();
    let seed = cli.seed.unwrap_or_else(rand::random);
    let settings = Settings {
        endpoints: cli.endpoints.clone(),
        access_key: cli.access_key.clone(),
        secret_key: cli.secret_key.clone(),
        clients: cli.clients,
        keys: cli.keys,
        round: Duration::from_secs(cli.round_s.max(1)),
        length: Duration::from_secs(cli.seconds),
        value_bytes: cli.value_bytes.max(8),
        seed,
    };
    let faults = nemesis::parse(&cli.faults)?;
    let nemesis = tokio::spawn(nemesis::run(
        faults,
        Duration::from_secs(cli.fault_s.max(1)),
        settings.length,
    ));
    let history = register::run(settings).await?;
    nemesis.await??;
    std::fs::create_dir_all(&cli.out)?;
    std::fs::write(cli.out.join("history.edn"), history.edn())?;
    let verdict = checker::check(&history);
    std::fs::write(cli.out.join("results.edn"), verdict.edn(seed))?;
    say(&history, &verdict, seed);
    Ok(if verdict.valid() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[allow(clippy::print_stdout, reason = "the program's output")]
fn say(history: &history::History, verdict: &Verdict, seed: u64) {
    let (ok, fail, info) = history.outcomes();
    println!("seed {seed}: {ok} ok, {fail} failed, {info} unknown");
    println!("longest time without a successful read  {:.2} s", history.longest_gap_s(false));
    println!("longest time without a successful write {:.2} s", history.longest_gap_s(true));
    println!("{verdict}");
}
