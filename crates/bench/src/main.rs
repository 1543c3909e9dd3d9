//! Drives S3 endpoints with PUT, GET and LIST and prints what they did: throughput,
//! latency, and CPU seconds a GiB of the server processes. Two servers are measured
//! in one run, phase by phase in turn, so that their ratio holds while the machine's
//! speed drifts.
//!
//! Reading order: [`plan`] (what is done), [`client`] and [`phase`] (doing it),
//! [`cpu`] and [`stats`] (measuring), [`report`] (saying it), [`target`] (servers);
//! [`listing`] measures large buckets instead.
//!
//! Traffic goes to loopback addresses only, unless the operator names an endpoint.

mod client;
mod cpu;
mod listing;
mod phase;
mod plan;
mod report;
mod stats;
mod target;

use std::path::PathBuf;

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};

use crate::{plan::Plan, target::Target};

/// Measures S3 endpoints.
#[derive(Parser)]
#[command(version)]
struct Cli {
    /// A running endpoint: `NAME=URL,ACCESS_KEY,SECRET_KEY[,PID+PID...]`. May be repeated.
    #[arg(long = "endpoint", value_name = "NAME=URL,ACCESS,SECRET[,PIDS]")]
    endpoints: Vec<String>,
    /// Starts this `shardlake` binary as `dev` over a fresh folder and measures it.
    #[arg(long)]
    shardlake: Option<PathBuf>,
    /// Starts this SeaweedFS `weed` binary (`weed mini`, telemetry off) and measures it.
    #[arg(long)]
    seaweedfs: Option<PathBuf>,
    /// Folder under which servers that are started here keep their data.
    #[arg(long, default_value = ".")]
    scratch: PathBuf,
    /// Object sizes.
    #[arg(long, value_delimiter = ',', default_value = "4KiB,64KiB,1MiB,64MiB")]
    sizes: Vec<String>,
    /// Requests under way at once.
    #[arg(long, value_delimiter = ',', default_value = "1,8,64")]
    concurrency: Vec<usize>,
    /// Each phase ends after this many seconds ...
    #[arg(long, default_value_t = 4.0)]
    seconds: f64,
    /// ... or after so many MiB, whatever comes first.
    #[arg(long, default_value_t = 1024)]
    phase_mib: u64,
    /// Measures listing instead: pages at growing sizes up to this many keys, then the whole
    /// bucket; and once more with versions.
    #[arg(long, value_name = "KEYS")]
    list_keys: Option<u64>,
    /// With --list-keys: PUTs under way at once while a bucket is filled.
    #[arg(long, default_value_t = 64)]
    list_connections: u64,
    /// With --list-keys: pages of every kind and size.
    #[arg(long, default_value_t = 300)]
    list_pages: usize,
    /// Writes the figures here too.
    #[arg(long)]
    json: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    let mut targets = Vec::new();
    for endpoint in &cli.endpoints {
        targets.push(Target::running(endpoint)?);
    }
    if let Some(binary) = &cli.shardlake {
        targets.push(Target::start_shardlake(binary, &cli.scratch).await?);
    }
    if let Some(binary) = &cli.seaweedfs {
        targets.push(Target::start_seaweedfs(binary, &cli.scratch).await?);
    }
    anyhow::ensure!(
        !targets.is_empty(),
        "name what to measure: --endpoint, --shardlake BINARY or --seaweedfs BINARY"
    );
    let figures = match cli.list_keys {
        Some(keys) => list(&cli, &targets, keys).await?,
        None => run_phases(&cli, &targets).await?,
    };
    for target in &mut targets {
        target.stop().await;
    }
    if let Some(path) = &cli.json {
        std::fs::write(path, serde_json::to_string_pretty(&figures)?)?;
    }
    Ok(())
}

async fn run_phases(cli: &Cli, targets: &[Target]) -> anyhow::Result<serde_json::Value> {
    let plan = Plan::new(&cli.sizes, &cli.concurrency, cli.seconds, cli.phase_mib << 20)?;
    let bar = ProgressBar::new((plan.phases().len() * targets.len()) as u64)
        .with_style(ProgressStyle::with_template("{bar:30} {pos}/{len} {msg} ({eta} left)")?);
    let mut results = Vec::new();
    for phase in plan.phases() {
        for target in targets {
            bar.set_message(format!("{}: {phase}", target.name));
            results.push(phase::run(target, phase).await?);
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    report::print(&results);
    Ok(serde_json::to_value(&results)?)
}

async fn list(cli: &Cli, targets: &[Target], keys: u64) -> anyhow::Result<serde_json::Value> {
    let settings =
        listing::Settings { keys, connections: cli.list_connections.max(1), pages: cli.list_pages };
    let mut listings = Vec::new();
    for target in targets {
        listings.push(listing::run(target, &settings).await?);
    }
    listing::print(&listings);
    Ok(serde_json::to_value(&listings)?)
}
