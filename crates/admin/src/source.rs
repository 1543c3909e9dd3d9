//! Where the figures come from: the process that serves the port implements it.

use async_trait::async_trait;

use crate::{ClusterHealth, ShardCounts, WorkerStatus};

/// What the process knows. Calls are answered within a few seconds; the router gives up on
/// one after [`TIMEOUT`] (a count of shards after [`COUNT_TIMEOUT`]) and says so.
#[async_trait]
pub trait AdminSource: Send + Sync + 'static {
    /// Whether this process serves requests; if not, why, in one sentence.
    async fn ready(&self) -> Result<(), String>;

    /// The cluster; if its state cannot be learnt, why.
    async fn cluster(&self) -> Result<ClusterHealth, String>;

    /// Counts the shards of all disks; if the disks are not known, why.
    async fn shards(&self) -> Result<ShardCounts, String>;

    /// Background jobs of this process.
    async fn workers(&self) -> Vec<WorkerStatus>;

    /// Asks for a report of a bucket's inventory now; on OK the request is durable.
    async fn run_inventory(&self, bucket: &str, id: &str) -> Result<(), Refused> {
        Err(Refused::Unavailable(format!("this process cannot ask for inventory {id} of {bucket}")))
    }
}

/// Why something was not done, in one sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// What the request names does not exist.
    NotFound(String),
    /// It could not be done now.
    Unavailable(String),
}

/// How long one request waits for the source.
pub const TIMEOUT: std::time::Duration = std::time::Duration::from_secs(5);

/// How long a count of all shards may take.
pub const COUNT_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(120);

/// The cluster, or why it is not known, in time.
pub(crate) async fn cluster(source: &dyn AdminSource) -> Result<ClusterHealth, String> {
    tokio::time::timeout(TIMEOUT, source.cluster()).await.unwrap_or_else(|_| {
        Err(format!("the cluster's state could not be learnt in {} s", TIMEOUT.as_secs()))
    })
}

/// Whether the process is ready, in time.
pub(crate) async fn ready(source: &dyn AdminSource) -> Result<(), String> {
    tokio::time::timeout(TIMEOUT, source.ready()).await.unwrap_or_else(|_| {
        Err(format!("this process did not say that it is ready in {} s", TIMEOUT.as_secs()))
    })
}

/// The number of shards, in time.
pub(crate) async fn shards(source: &dyn AdminSource) -> Result<ShardCounts, String> {
    tokio::time::timeout(COUNT_TIMEOUT, source.shards()).await.unwrap_or_else(|_| {
        Err(format!("the shards could not be counted in {} s", COUNT_TIMEOUT.as_secs()))
    })
}

/// Asks for a report of an inventory, in time.
pub(crate) async fn run_inventory(
    source: &dyn AdminSource,
    bucket: &str,
    id: &str,
) -> Result<(), Refused> {
    tokio::time::timeout(TIMEOUT, source.run_inventory(bucket, id)).await.unwrap_or_else(|_| {
        let seconds = TIMEOUT.as_secs();
        Err(Refused::Unavailable(format!("the request was not acknowledged in {seconds} s")))
    })
}
