//! The `shardlake` binary: one program, every role.
//!
//! Reading order: [`config`] and [`credentials`] (what a user says), [`identity`]
//! (what a folder belongs to), [`roles`] (what each role starts), [`cli`] (the
//! commands that ask a running cluster).

mod added_disks;
mod admin_port;
mod admin_source;
mod check_runner;
mod cli;
mod config;
mod credentials;
mod error;
mod identity;
mod meta_admin;
mod ready;
mod roles;
mod secret;
mod shard_count;
mod shutdown;

use std::{path::PathBuf, process::ExitCode};

use clap::{Args, Parser, Subcommand};

use crate::{config::Config, error::UserError};

/// RocksDB's blob reads take fresh memory for every value: an allocator that keeps
/// it made 1 MiB reads cost 0.15 instead of 1.15 CPU seconds a GiB.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// S3-compatible object storage, erasure-coded and strongly consistent, in one binary.
#[derive(Parser)]
#[command(version, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Everything in one process over one folder, with no configuration.
    Dev(Box<roles::dev::DevArgs>),
    /// A metadata node.
    Meta(RoleArgs),
    /// A data node.
    Data(RoleArgs),
    /// An S3 gateway.
    Gateway(RoleArgs),
    /// Asks a running cluster.
    Admin(cli::AdminArgs),
    /// How likely the running cluster loses data: nines by formula and simulator, with assumptions.
    Durability(cli::durability::DurabilityArgs),
    /// Exit status 0 if the process behind the endpoint is ready (for health checks).
    Health(cli::HealthArgs),
}

/// How a cluster role is told what to do.
#[derive(Args)]
struct RoleArgs {
    /// Configuration file (TOML, see docs/configuration.md).
    #[arg(long)]
    config: PathBuf,
    /// Overrides one key: `--set section.key=value`. May be repeated.
    #[arg(long = "set", value_name = "SECTION.KEY=VALUE")]
    sets: Vec<String>,
    /// Writes one line of JSON here once the node serves.
    #[arg(long)]
    ready_file: Option<PathBuf>,
}

fn main() -> ExitCode {
    // Whoever makes a TLS connection uses it. Fails only if the process has chosen one already.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let cli = Cli::parse();
    match run(cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => report(&error),
    }
}

/// One line on stderr; 2 for what the user must change, 1 for everything else.
#[allow(clippy::print_stderr, reason = "the command line's own voice")]
fn report(error: &anyhow::Error) -> ExitCode {
    eprintln!("shardlake: {error:#}");
    if error.downcast_ref::<UserError>().is_some() { ExitCode::from(2) } else { ExitCode::FAILURE }
}

fn run(command: Command) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        match command {
            Command::Dev(args) => roles::dev::run(*args).await,
            Command::Meta(args) => roles::meta::run(load(&args)?, args.ready_file).await,
            Command::Data(args) => roles::data::run(load(&args)?, args.ready_file).await,
            Command::Gateway(args) => roles::gateway::run(load(&args)?, args.ready_file).await,
            Command::Admin(args) => cli::admin(args).await,
            Command::Durability(args) => cli::durability::run(args).await,
            Command::Health(args) => cli::health(args).await,
        }
    })
}

fn load(args: &RoleArgs) -> anyhow::Result<Config> {
    let config = Config::load(&args.config, &args.sets)?;
    let logging = telemetry::Settings { json: config.log.json, filter: config.log.filter.clone() };
    telemetry::init(logging).map_err(|error| UserError::new(format!("log.filter: {error}")))?;
    Ok(config)
}
