//! Where the figures come from: the process that serves the port implements it.

use async_trait::async_trait;

use crate::{ClusterHealth, WorkerStatus};

/// What the process knows. Calls are answered within a few seconds; the router gives up on
/// one after [`TIMEOUT`] and says so.
#[async_trait]
pub trait AdminSource: Send + Sync + 'static {
    /// Whether this process serves requests; if not, why, in one sentence.
    async fn ready(&self) -> Result<(), String>;

    /// The cluster; if its state cannot be learnt, why.
    async fn cluster(&self) -> Result<ClusterHealth, String>;

    /// Background jobs of this process.
    async fn workers(&self) -> Vec<WorkerStatus>;
}

/// How long one request waits for the source.
pub const TIMEOUT: std::time::Duration = std::time::Duration::from_secs(5);

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
