//! Commands that ask a running process over its admin port.

mod client;
mod table;

use std::time::Duration;

use clap::{Args, Subcommand};

use crate::{error::UserError, roles::dev::DATA_DEFAULT};

/// How long an answer may take.
const TIMEOUT: Duration = Duration::from_secs(10);

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

#[derive(Subcommand)]
enum Topic {
    /// The cluster at a glance: health of placement groups, partitions, capacity.
    Status,
    /// Metadata and data nodes.
    Nodes,
    /// Disks with class, fill and state.
    Disks,
    /// Storage classes: policy, disks (and those that stand in for them), compression.
    Classes,
    /// The number of shards on every disk, counted now: as much work as there are shards.
    Shards,
    /// Background workers with progress.
    Workers,
    /// Inventories of buckets.
    #[command(subcommand)]
    Inventory(InventoryCommand),
}

#[derive(Subcommand)]
enum InventoryCommand {
    /// Asks for a report now, also of a disabled configuration. It is made soon after.
    Run {
        /// The bucket.
        bucket: String,
        /// The id of its inventory configuration.
        id: String,
    },
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
    let token = client::token(args.data.as_deref())?;
    let path = match &args.topic {
        Topic::Status => "status",
        Topic::Nodes => "nodes",
        Topic::Disks => "disks",
        Topic::Classes => "classes",
        Topic::Shards => "shards",
        Topic::Workers => "workers",
        Topic::Inventory(InventoryCommand::Run { bucket, id }) => {
            // They become parts of a path.
            let allowed = |text: &str| {
                let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
                text.bytes().all(plain) && !text.bytes().all(|byte| byte == b'.')
            };
            if !allowed(bucket) || !allowed(id) {
                let text = "BUCKET and ID have letters, digits, '-', '_' and '.' only";
                return Err(UserError::new(text).into());
            }
            let path = format!("/admin/v1/inventory/{bucket}/{id}/run");
            let value = client::post(&args.endpoint, &path, &token, TIMEOUT).await?;
            show(&value, args.json);
            return Ok(());
        }
    };
    let timeout = match args.topic {
        Topic::Shards => admin::source::COUNT_TIMEOUT + TIMEOUT,
        _ => TIMEOUT,
    };
    let path = format!("/admin/v1/{path}");
    let value = client::get(&args.endpoint, &path, Some(&token), timeout).await?;
    show(&value, args.json);
    Ok(())
}

fn show(value: &serde_json::Value, json: bool) {
    if json {
        table::print_json(value);
    } else {
        table::print(value);
    }
}

/// Runs `shardlake health`. Every failure is status 1: health checks know no other.
pub(crate) async fn health(args: HealthArgs) -> anyhow::Result<()> {
    match client::get(&args.endpoint, "/health/ready", None, TIMEOUT).await {
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
