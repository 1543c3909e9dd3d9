//! Where the figures come from: the process that serves the port implements it.

use std::sync::Arc;

use async_trait::async_trait;
use types::ClusterMap;

use crate::{
    ClusterHealth, ShardCounts, WorkerStatus,
    model::{
        AddDisk, AddedDisk, CheckStatus, DiskChange, JoinSettings, MetaStatus, NodeChange,
        WorkerCommand,
    },
};

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

    /// Background jobs of the leader and of this process; if the leader's are not known, why.
    async fn workers(&self) -> Result<Vec<WorkerStatus>, String>;

    /// Says something to a job, wherever it runs and will run; on OK that is durable.
    async fn command_worker(&self, name: &str, command: WorkerCommand) -> Result<(), Refused> {
        Err(Refused::Unavailable(format!("this process cannot say {command:?} to {name}")))
    }

    /// Asks for a scrub of everything now; on OK the request is durable.
    async fn start_scrub(&self) -> Result<(), Refused> {
        Err(Refused::Unavailable("this process cannot ask for a scrub".to_owned()))
    }

    /// Asks for a report of a bucket's inventory now; on OK the request is durable.
    async fn run_inventory(&self, bucket: &str, id: &str) -> Result<(), Refused> {
        Err(Refused::Unavailable(format!("this process cannot ask for inventory {id} of {bucket}")))
    }

    /// The cluster map as this process has it; if it has none yet, why.
    async fn map(&self) -> Result<Arc<ClusterMap>, String>;

    /// What a new node must know to join.
    async fn join_settings(&self) -> Result<JoinSettings, Refused> {
        Err(Refused::Unavailable("this process does not know how nodes join".to_owned()))
    }

    /// The last check of placement and redundancy that this process was asked for.
    async fn check_status(&self) -> Result<CheckStatus, Refused> {
        Ok(CheckStatus::none())
    }

    /// Begins a check; it runs in this process until it is done or cancelled.
    async fn start_check(&self, verify: bool) -> Result<CheckStatus, Refused> {
        Err(Refused::Unavailable(format!("this process makes no checks (verify: {verify})")))
    }

    /// Ends the check under way.
    async fn cancel_check(&self) -> Result<CheckStatus, Refused> {
        Err(Refused::Conflict("no check is under way".to_owned()))
    }

    /// Opens a folder of this node as a disk; on OK it serves, and will after a restart.
    async fn add_disk(&self, request: AddDisk) -> Result<AddedDisk, Refused> {
        Err(Refused::Conflict(format!(
            "this process serves no disks: name the admin endpoint of the data node that has the \
             folder {}",
            request.path.as_deref().unwrap_or_default()
        )))
    }

    /// Who votes in the metadata; if the metadata nodes do not answer, why.
    async fn meta(&self) -> Result<MetaStatus, String> {
        Err("this process does not know the metadata nodes".to_owned())
    }

    /// Decides that a metadata node gets a vote; on OK the leaders of the groups carry it out.
    async fn add_meta(&self, node: u64, address: Option<String>) -> Result<(), Refused> {
        let at = address.unwrap_or_default();
        Err(Refused::Unavailable(format!("this process cannot add metadata node {node} {at}")))
    }

    /// Decides that a metadata node goes; on OK the leaders of the groups carry it out.
    async fn remove_meta(&self, node: u64, force: bool) -> Result<(), Refused> {
        let how = if force { "by force" } else { "" };
        Err(Refused::Unavailable(format!("this process cannot remove metadata node {node} {how}")))
    }

    /// Decides about a disk; on OK that is durable, and workers carry it out. A promise that would be
    /// broken is a [`Refused::Conflict`].
    async fn change_disk(&self, disk: u32, change: DiskChange) -> Result<(), Refused> {
        Err(Refused::Unavailable(format!("this process cannot {change:?} disk {disk}")))
    }

    /// The same about a data node.
    async fn change_node(&self, node: u64, change: NodeChange) -> Result<(), Refused> {
        Err(Refused::Unavailable(format!("this process cannot {change:?} node {node}")))
    }

    /// Uses this feature level from now on.
    async fn finalise_level(&self, level: u32) -> Result<(), Refused> {
        Err(Refused::Unavailable(format!("this process cannot finalise level {level}")))
    }
}

/// Why something was not done, in one sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// What the request names does not exist.
    NotFound(String),
    /// It would break a promise, or the state is not one in which it can be done.
    Conflict(String),
    /// The request says something that cannot be meant.
    Invalid(String),
    /// It could not be done now.
    Unavailable(String),
}

/// How long one request waits for the source.
pub const TIMEOUT: std::time::Duration = std::time::Duration::from_secs(5);

/// How long a change may take: longer than a metadata command, which says itself how it ended.
pub const CHANGE_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(15);

/// How long it may take to open a disk: one that has been used reads its log first.
pub const SLOW_CHANGE_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(120);

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

/// The jobs, in time.
pub(crate) async fn workers(source: &dyn AdminSource) -> Result<Vec<WorkerStatus>, String> {
    tokio::time::timeout(TIMEOUT, source.workers()).await.unwrap_or_else(|_| {
        Err(format!("the workers could not be listed in {} s", TIMEOUT.as_secs()))
    })
}

/// The metadata nodes, in time.
pub(crate) async fn meta(source: &dyn AdminSource) -> Result<MetaStatus, String> {
    tokio::time::timeout(TIMEOUT, source.meta()).await.unwrap_or_else(|_| {
        Err(format!("the metadata nodes did not answer in {} s", TIMEOUT.as_secs()))
    })
}

/// A change, in time. One that is given up may still happen.
pub(crate) async fn change<T>(
    change: impl Future<Output = Result<T, Refused>>,
) -> Result<T, Refused> {
    within(CHANGE_TIMEOUT, change).await
}

/// A change that may take long, in time.
pub(crate) async fn change_slowly<T>(
    change: impl Future<Output = Result<T, Refused>>,
) -> Result<T, Refused> {
    within(SLOW_CHANGE_TIMEOUT, change).await
}

async fn within<T>(
    time: std::time::Duration,
    change: impl Future<Output = Result<T, Refused>>,
) -> Result<T, Refused> {
    tokio::time::timeout(time, change).await.unwrap_or_else(|_| {
        let seconds = time.as_secs();
        Err(Refused::Unavailable(format!(
            "the request was not acknowledged in {seconds} s: it may have been done or not"
        )))
    })
}
