//! Where this process's admin port gets its figures: the cached cluster map and the
//! Raft state of the metadata nodes that answer.

use std::{collections::BTreeSet, sync::Arc};

use admin::{
    AdminSource,
    model::{ClusterHealth, RaftStatus, WorkerStatus},
};
use async_trait::async_trait;
use cluster::{Metadata, MetadataClient};
use types::NodeId;

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

/// Figures from a metadata client.
pub(crate) struct Source {
    metadata: Arc<MetadataClient>,
    workers: Arc<dyn WorkerList>,
}

impl Source {
    /// The figures of a process that holds these.
    pub(crate) fn new(metadata: Arc<MetadataClient>, workers: Arc<dyn WorkerList>) -> Self {
        Self { metadata, workers }
    }
}

#[async_trait]
impl AdminSource for Source {
    /// Ready: the process has a cluster map with placement groups, so that it can route.
    async fn ready(&self) -> Result<(), String> {
        let map = self.metadata.map();
        if map.partitions.is_empty() {
            return Err("the cluster map is not known yet".into());
        }
        if map.groups.is_empty() {
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

    async fn workers(&self) -> Vec<WorkerStatus> {
        self.workers.list()
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
