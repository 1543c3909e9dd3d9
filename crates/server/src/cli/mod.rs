//! Commands that ask a running process over its admin port. One file a topic; [`ask`] is what they
//! share: where to ask, as whom, and how to show the answer.

mod ask;
mod check;
mod client;
mod disk;
pub(crate) mod durability;
mod inventory;
mod meta;
mod node;
mod progress;
mod scrub;
mod table;
mod upgrade;
mod workers;

use std::time::Duration;

use clap::{Args, Subcommand};

use self::ask::Ask;
use crate::{error::UserError, roles::dev::DATA_DEFAULT};

/// How long an answer may take.
const TIMEOUT: Duration = Duration::from_secs(20);

/// `shardlake admin ...`
#[derive(Args)]
pub(crate) struct AdminArgs {
    #[command(subcommand)]
    topic: Topic,
    #[command(flatten)]
    whom: Whom,
}

/// Who is asked, as whom, and in which form the answer is shown.
#[derive(Args)]
pub(crate) struct Whom {
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
    /// Nodes: list them, show how a new one joins, empty and remove one.
    #[command(subcommand)]
    Node(node::NodeCommand),
    /// Disks: list, add, empty, remove and replace them.
    #[command(subcommand)]
    Disk(disk::DiskCommand),
    /// Storage classes: policy, disks (and those that stand in for them), compression.
    Classes,
    /// The number of shards on every disk, counted now: as much work as there are shards.
    Shards,
    /// Proves placement and redundancy of every blob against the index. Changes nothing. Exit status 1
    /// if anything is not as promised.
    Check(check::CheckArgs),
    /// The scrub: proof that every byte is still there. Start a round now, or see how far it is.
    #[command(subcommand)]
    Scrub(scrub::ScrubCommand),
    /// Background workers: list them with progress, throttle, cancel or start one.
    Workers(workers::WorkersArgs),
    /// The feature level: which formats and protocols the cluster uses.
    #[command(subcommand)]
    Upgrade(upgrade::UpgradeCommand),
    /// Metadata nodes: who votes; add one, remove one.
    #[command(subcommand)]
    Meta(meta::MetaCommand),
    /// Inventories of buckets.
    #[command(subcommand)]
    Inventory(inventory::InventoryCommand),
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
    let ask = Ask::new(args.whom)?;
    match args.topic {
        Topic::Status => ask.print("status", TIMEOUT).await,
        Topic::Nodes => ask.print("nodes", TIMEOUT).await,
        Topic::Disks => ask.print("disks", TIMEOUT).await,
        Topic::Classes => ask.print("classes", TIMEOUT).await,
        Topic::Shards => ask.print("shards", admin::source::COUNT_TIMEOUT + TIMEOUT).await,
        Topic::Node(command) => node::run(&ask, command).await,
        Topic::Disk(command) => disk::run(&ask, command).await,
        Topic::Check(args) => check::run(&ask, args).await,
        Topic::Scrub(command) => scrub::run(&ask, command).await,
        Topic::Workers(args) => workers::run(&ask, args).await,
        Topic::Upgrade(command) => upgrade::run(&ask, command).await,
        Topic::Meta(command) => meta::run(&ask, command).await,
        Topic::Inventory(command) => inventory::run(&ask, command).await,
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
