//! Where this process's admin port gets its figures: the cached cluster map, the Raft state of
//! the metadata nodes that answer, and the inventories of the disks.

use std::{collections::BTreeSet, sync::Arc};

use admin::{
    AdminSource, Refused,
    model::{ClusterHealth, RaftStatus, ShardCounts, WorkerStatus},
};
use async_trait::async_trait;
use cluster::{DiskClient, Metadata, MetadataClient};
use tokio::sync::Mutex;
use types::{DiskState, NodeId, StorageClass, UnixMillis};

use crate::{roles::clock, shard_count};

/// What this process can say about its background jobs.
pub(crate) trait WorkerList: Send + Sync + 'static {
    /// The jobs in the order of their names.
    fn list(&self) -> Vec<WorkerStatus>;
}

/// A process without background jobs.
pub(crate) struct NoWorkers;

impl WorkerList for NoWorkers {
    fn list(&self) -> Vec<WorkerStatus> {
        Vec::new()
    }
}

/// Figures from the clients of the cluster.
pub(crate) struct Source {
    metadata: Arc<MetadataClient>,
    shards: Arc<DiskClient>,
    /// One count at a time: it walks every disk.
    counting: Mutex<()>,
    workers: Arc<dyn WorkerList>,
}

impl Source {
    /// The figures of a process that holds these.
    pub(crate) fn new(
        metadata: Arc<MetadataClient>,
        shards: Arc<DiskClient>,
        workers: Arc<dyn WorkerList>,
    ) -> Self {
        Self { metadata, shards, counting: Mutex::default(), workers }
    }
}

#[async_trait]
impl AdminSource for Source {
    /// Ready: the process has a cluster map with placement groups for STANDARD objects, so that it
    /// can route. Other storage classes may want disks that the cluster does not have.
    async fn ready(&self) -> Result<(), String> {
        let map = self.metadata.map();
        if map.partitions.is_empty() {
            return Err("the cluster map is not known yet".into());
        }
        if map.groups_for(map.classes.profile(StorageClass::Standard)).is_empty() {
            return Err(format!(
                "there are no placement groups yet: {} disks have registered",
                map.disks.len()
            ));
        }
        Ok(())
    }

    async fn cluster(&self) -> Result<ClusterHealth, String> {
        let answers = self.metadata.status_all().await;
        let mut silent = BTreeSet::<NodeId>::new();
        let mut raft = Vec::new();
        for (node, answer) in answers {
            match answer {
                Ok(statuses) => raft.extend(statuses.into_iter().map(raft_status)),
                Err(_) => {
                    silent.insert(node);
                }
            }
        }
        let map = self.metadata.map();
        if map.partitions.is_empty() {
            return Err("the cluster map is not known yet".into());
        }
        Ok(ClusterHealth::of(&map, &silent, raft))
    }

    async fn shards(&self) -> Result<ShardCounts, String> {
        let map = self.metadata.map();
        if map.partitions.is_empty() {
            return Err("the cluster map is not known yet".into());
        }
        let Ok(_one) = self.counting.try_lock() else {
            return Err("this process is counting already".into());
        };
        let disks = map.disks.values().filter(|disk| disk.state != DiskState::Out);
        Ok(shard_count::count(&*self.shards, disks.map(|disk| disk.id).collect()).await)
    }

    async fn workers(&self) -> Vec<WorkerStatus> {
        self.workers.list()
    }

    async fn run_inventory(&self, bucket: &str, id: &str) -> Result<(), Refused> {
        let now = UnixMillis(clock().now_ms());
        repair::inventory::request(&*self.metadata, bucket, id, now).await.map_err(|error| {
            match error {
                repair::Error::Inventory { .. } => Refused::NotFound(error.to_string()),
                other => Refused::Unavailable(other.to_string()),
            }
        })
    }
}

fn raft_status(status: consensus::Status) -> RaftStatus {
    RaftStatus {
        node: status.node.0,
        group: status.group.0,
        term: status.term,
        leader: status.leader.map(|leader| leader.0),
        last_log_index: status.last_log_index,
        applied_index: status.applied_index,
        snapshot_index: status.snapshot_index,
        voters: status.voters.iter().map(|voter| voter.0).collect(),
        stopped: status.stopped,
    }
}
