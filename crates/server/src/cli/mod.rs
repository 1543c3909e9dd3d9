//! Commands that ask a running process over its admin port.

mod client;
mod table;

use clap::{Args, Subcommand};

use crate::{error::UserError, roles::dev::DATA_DEFAULT};

/// `shardlake admin ...`
#[derive(Args)]
pub(crate) struct AdminArgs {
    #[command(subcommand)]
    topic: Topic,
    /// The admin endpoint of any node.
    #[arg(long, global = true, default_value = "http://127.0.0.1:9001")]
    endpoint: String,
    /// Prints the server's JSON instead of a table.
    #[arg(long, global = true)]
    json: bool,
    /// Folder of `shardlake dev`, whose kept credentials open the admin API. Without
    /// it SHARDLAKE_ROOT_ACCESS_KEY and SHARDLAKE_ROOT_SECRET_KEY do.
    #[arg(long, global = true)]
    data: Option<std::path::PathBuf>,
}

#[derive(Clone, Copy, Subcommand)]
enum Topic {
    /// The cluster at a glance: health of placement groups, partitions, capacity.
    Status,
    /// Metadata and data nodes.
    Nodes,
    /// Disks with fill and state.
    Disks,
    /// Background workers with progress.
    Workers,
}

/// `shardlake health`
#[derive(Args)]
pub(crate) struct HealthArgs {
    /// The admin endpoint of the process.
    #[arg(long, default_value = "http://127.0.0.1:9001")]
    endpoint: String,
}

/// Runs `shardlake admin`.
pub(crate) async fn admin(args: AdminArgs) -> anyhow::Result<()> {
    let path = match args.topic {
        Topic::Status => "status",
        Topic::Nodes => "nodes",
        Topic::Disks => "disks",
        Topic::Workers => "workers",
    };
    let token = client::token(args.data.as_deref())?;
    let value = client::get(&args.endpoint, &format!("/admin/v1/{path}"), Some(&token)).await?;
    if args.json {
        table::print_json(&value);
    } else {
        table::print(&value);
    }
    Ok(())
}

/// Runs `shardlake health`. Every failure is status 1: health checks know no other.
pub(crate) async fn health(args: HealthArgs) -> anyhow::Result<()> {
    match client::get(&args.endpoint, "/health/ready", None).await {
        Ok(_) => Ok(()),
        Err(error) => anyhow::bail!("{error:#}"),
    }
}

/// Where `--data` points when neither it nor the environment says.
fn default_data() -> std::path::PathBuf {
    std::path::PathBuf::from(DATA_DEFAULT)
}

/// The two ways to prove to be root, in one sentence.
fn no_credentials() -> UserError {
    UserError::new(
        "the admin API needs the root credentials: set SHARDLAKE_ROOT_ACCESS_KEY and \
         SHARDLAKE_ROOT_SECRET_KEY, or name the folder of `shardlake dev` with --data",
    )
}
