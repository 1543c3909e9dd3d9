//! Where this process's admin port gets its figures: the cached cluster map, the Raft state of
//! the metadata nodes that answer, and the inventories of the disks.

use std::{collections::BTreeSet, sync::Arc};

use admin::{
    AdminSource, Refused,
    model::{
        AddDisk, AddedDisk, CheckStatus, ClusterHealth, DiskChange, JoinSettings, MetaStatus,
        NodeChange, RaftStatus, ShardCounts, WorkerCommand, WorkerStatus,
    },
};
use async_trait::async_trait;
use cluster::{DiskClient, Metadata, MetadataClient, MetadataError};
use metastore::api::{RootAnswer, RootCommand, RootQuery, RootView, root::MetaChange};
use placement::Domain;
use repair::{
    check::Cluster,
    control,
    membership::{self, MembershipError, Refusal},
};
use tokio::sync::Mutex;
use types::{ClusterMap, DiskId, DiskState, FeatureLevel, NodeId, Role, StorageClass, UnixMillis};

use crate::{
    check_runner::CheckRunner,
    meta_admin,
    roles::{clock, disk_adding::DiskAdding, workers_part},
    shard_count,
};

/// What this process can say about background jobs that it runs besides the leader's.
pub(crate) trait WorkerList: Send + Sync + 'static {
    /// The jobs in the order of their names.
    fn list(&self) -> Vec<WorkerStatus>;
}

/// Figures from the clients of the cluster, and what an operator can ask of this process.
pub(crate) struct Source {
    metadata: Arc<MetadataClient>,
    shards: Arc<DiskClient>,
    /// One count at a time: it walks every disk.
    counting: Mutex<()>,
    checks: CheckRunner,
    domain: Domain,
    workers: Option<Arc<dyn WorkerList>>,
    disks: Option<Arc<DiskAdding>>,
}

impl Source {
    /// The figures of a process that holds these. `domain`: what no two members of a placement group
    /// share.
    pub(crate) fn new(
        metadata: Arc<MetadataClient>,
        shards: Arc<DiskClient>,
        domain: Domain,
    ) -> Self {
        let cluster =
            Cluster { metadata: metadata.clone(), shards: shards.clone(), clock: clock() };
        let checks = CheckRunner::new(cluster, domain);
        Self {
            metadata,
            shards,
            counting: Mutex::default(),
            checks,
            domain,
            workers: None,
            disks: None,
        }
    }

    /// The same of a process that runs jobs besides the leader's.
    pub(crate) fn with_workers(self, workers: Arc<dyn WorkerList>) -> Self {
        Self { workers: Some(workers), ..self }
    }

    /// The same of a process that serves disks.
    pub(crate) fn with_disks(self, disks: Arc<DiskAdding>) -> Self {
        Self { disks: Some(disks), ..self }
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
        let domain = Some(self.domain.to_string());
        Ok(ClusterHealth { domain, ..ClusterHealth::of(&map, &silent, raft) })
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

    /// Whichever node leads the root group runs all of the cluster's jobs.
    async fn workers(&self) -> Result<Vec<WorkerStatus>, String> {
        let mut workers = self.leaders_workers().await?;
        workers.extend(self.workers.iter().flat_map(|own| own.list()));
        Ok(workers)
    }

    async fn command_worker(&self, name: &str, command: WorkerCommand) -> Result<(), Refused> {
        if let WorkerCommand::Throttle(percent) = command
            && percent > control::THROTTLE_PERCENT_MAX
        {
            return Err(Refused::Invalid(format!(
                "choose a throttle from 0 (full speed) to {} per cent",
                control::THROTTLE_PERCENT_MAX
            )));
        }
        let known = self.workers().await.map_err(Refused::Unavailable)?;
        if !known.iter().any(|worker| worker.name == name) {
            let names: BTreeSet<_> = known.iter().map(|worker| worker.name.as_str()).collect();
            let names = names.into_iter().collect::<Vec<_>>().join(", ");
            return Err(Refused::NotFound(format!(
                "there is no worker {name:?}; there are: {names}"
            )));
        }
        let now = UnixMillis(clock().now_ms());
        let metadata = &*self.metadata;
        let said = match command {
            WorkerCommand::Throttle(percent) => {
                control::throttle(metadata, name, percent, now).await
            }
            WorkerCommand::Cancel => control::hold(metadata, name, true, now).await,
            WorkerCommand::Start => control::hold(metadata, name, false, now).await,
        };
        said.map_err(|error| Refused::Unavailable(error.to_string()))
    }

    async fn start_scrub(&self) -> Result<(), Refused> {
        let now = UnixMillis(clock().now_ms());
        let asked = repair::scrub::request(&*self.metadata, now).await;
        asked.map_err(|error| Refused::Unavailable(error.to_string()))
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

    async fn map(&self) -> Result<Arc<ClusterMap>, String> {
        let map = self.metadata.map();
        match map.partitions.is_empty() {
            true => Err("the cluster map is not known yet".into()),
            false => Ok(map),
        }
    }

    async fn join_settings(&self) -> Result<JoinSettings, Refused> {
        let map = self.map().await.map_err(Refused::Unavailable)?;
        let nodes = map.nodes.values().filter(|node| node.role == Role::Meta);
        let meta: Vec<String> =
            nodes.map(|node| format!("{}@{}", node.id.0, node.address)).collect();
        if meta.iter().all(|node| !node.contains(':')) {
            return Err(Refused::Conflict(
                "this is a cluster in one process (`shardlake dev`): no node can join it; `shardlake \
                 admin disk add` gives it one more disk"
                    .to_owned(),
            ));
        }
        Ok(JoinSettings {
            meta,
            policy: map.policy.to_string(),
            partitions: map.partitions.len(),
            domain: self.domain.to_string(),
        })
    }

    async fn check_status(&self) -> Result<CheckStatus, Refused> {
        Ok(self.checks.status())
    }

    async fn start_check(&self, verify: bool) -> Result<CheckStatus, Refused> {
        self.map().await.map_err(Refused::Unavailable)?;
        self.checks.start(verify)
    }

    async fn cancel_check(&self) -> Result<CheckStatus, Refused> {
        self.checks.cancel()
    }

    async fn add_disk(&self, request: AddDisk) -> Result<AddedDisk, Refused> {
        match &self.disks {
            Some(disks) => disks.add(request).await,
            None => Err(Refused::Conflict(
                "this process serves no disks: name the admin endpoint of a data node with \
                 --endpoint"
                    .to_owned(),
            )),
        }
    }

    async fn meta(&self) -> Result<MetaStatus, String> {
        meta_admin::status(&self.metadata).await
    }

    async fn add_meta(&self, node: u64, address: Option<String>) -> Result<(), Refused> {
        meta_admin::add(&self.metadata, NodeId(node), address.as_deref()).await
    }

    async fn remove_meta(&self, node: u64, force: bool) -> Result<(), Refused> {
        meta_admin::change(&self.metadata, MetaChange::Remove(NodeId(node)), force).await
    }

    async fn change_disk(&self, disk: u32, change: DiskChange) -> Result<(), Refused> {
        let (metadata, disk) = (&*self.metadata, DiskId(disk));
        let done = match change {
            DiskChange::Drain => membership::drain_disk(metadata, self.domain, disk).await,
            DiskChange::Undrain => membership::undrain_disk(metadata, disk).await,
            DiskChange::Remove => membership::remove_disk(metadata, disk).await,
            DiskChange::Replace { with } => {
                membership::replace_disk(metadata, self.domain, disk, DiskId(with)).await
            }
        };
        done.map_err(membership_refused)
    }

    async fn change_node(&self, node: u64, change: NodeChange) -> Result<(), Refused> {
        let (metadata, node) = (&*self.metadata, NodeId(node));
        let done = match change {
            NodeChange::Drain => membership::drain_node(metadata, self.domain, node).await,
            NodeChange::Remove => membership::remove_node(metadata, node).await,
        };
        done.map_err(membership_refused)
    }

    async fn finalise_level(&self, level: u32) -> Result<(), Refused> {
        let command = RootCommand::FinaliseLevel { level: FeatureLevel(level) };
        self.change_root(command).await
    }
}

impl Source {
    async fn leaders_workers(&self) -> Result<Vec<WorkerStatus>, String> {
        let unknown = |error: &dyn std::fmt::Display| format!("the leader's workers: {error}");
        match self.metadata.root_query(RootQuery::Workers).await {
            Ok(RootView::Workers(None)) => Ok(Vec::new()),
            Ok(RootView::Workers(Some(list))) => {
                workers_part::decode(&list).map_err(|error| unknown(&error))
            }
            Ok(_) => Err(unknown(&"an answer that does not belong to the question")),
            Err(error) => Err(unknown(&error)),
        }
    }

    async fn change_root(&self, command: RootCommand) -> Result<(), Refused> {
        let answer = self.metadata.root(command).await.map_err(not_done)?;
        // The next request of the same operator sees it.
        self.metadata.refresh_map().await.map_err(not_done)?;
        match answer {
            RootAnswer::Refused(reason) => Err(Refused::Conflict(reason)),
            _ => Ok(()),
        }
    }
}

fn membership_refused(error: MembershipError) -> Refused {
    match error {
        MembershipError::Refused(Refusal::NoSuchDisk(_) | Refusal::NoSuchNode(_)) => {
            Refused::NotFound(error.to_string())
        }
        MembershipError::Refused(_) => Refused::Conflict(error.to_string()),
        MembershipError::Metadata(_) | MembershipError::Unexpected(_) => {
            Refused::Unavailable(error.to_string())
        }
    }
}

fn not_done(error: MetadataError) -> Refused {
    Refused::Unavailable(error.to_string())
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
