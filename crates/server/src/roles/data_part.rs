//! The data part of a process: its disks, their registration and signs of life.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::Context;
use cluster::{Metadata, MetadataClient, MetadataError};
use metastore::{
    DiskReport, HeartbeatReport,
    api::{RootAnswer, RootCommand},
};
use proto::shards::ShardService;
use shardstore::{DataNode, Limits, OpenError, RocksStore, Settings, format::Format};
use tokio_util::sync::CancellationToken;
use types::{ClusterId, DiskClass, DiskId, DiskUuid, InstanceId, Location, NodeId, Role};
use uuid::Uuid;

use super::clock;
use crate::error::UserError;

/// How often a data node reports; the root leader calls it down after three misses.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// The disks of a process behind one service.
pub(crate) struct DataPart {
    pub(crate) node: NodeId,
    pub(crate) service: Arc<DataNode>,
    /// The folders of the disks that are served.
    pub(crate) folders: BTreeMap<PathBuf, DiskId>,
}

/// A disk as it came up.
enum Opened {
    Serving(Arc<RocksStore>),
    /// It is ours and cannot be opened: the node serves its others.
    Failed(DiskId, String),
}

impl DataPart {
    /// Opens the disks and registers them and their node. Waits for metadata.
    pub(crate) async fn open(
        folders: &[(PathBuf, DiskClass)],
        cluster: ClusterId,
        node: &Registration,
        metadata: &MetadataClient,
    ) -> anyhow::Result<Self> {
        let mut opened = Vec::new();
        for (folder, class) in folders {
            let folder_of = folder.clone();
            let folder = folder.clone();
            let disk = tokio::task::spawn_blocking(move || open_disk(&folder, cluster)).await??;
            opened.push((folder_of, disk, *class));
        }
        let id = node.register(metadata).await?;
        let service = Arc::new(DataNode::new(Limits::default(), clock()));
        let mut folders = BTreeMap::new();
        for (folder, disk, class) in opened {
            match disk {
                Opened::Serving(store) => match register_disk(&store, id, class, metadata).await? {
                    Ok(disk) => {
                        service.add(disk, store);
                        folders.insert(folder, disk);
                    }
                    // Its other disks are needed.
                    Err(reason) => {
                        let folder = folder.display();
                        tracing::error!(%folder, reason, "a disk is left out");
                    }
                },
                Opened::Failed(disk, reason) => {
                    tracing::error!(%disk, reason, "a disk is out of service");
                    service.add_failed(disk, reason);
                }
            }
        }
        if service.disks().is_empty() {
            let reason = "none of the node's disks is one of the cluster: see the log";
            return Err(UserError::new(reason).into());
        }
        Ok(Self { node: id, service, folders })
    }

    /// Reports to the root leader until `stop`.
    pub(crate) fn report(&self, metadata: Arc<MetadataClient>, stop: CancellationToken) {
        let (node, service) = (self.node, self.service.clone());
        tokio::spawn(async move {
            let mut failing = false;
            let mut ticks = tokio::time::interval(HEARTBEAT);
            ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            while stop.run_until_cancelled(ticks.tick()).await.is_some() {
                let report = report(node, &service).await;
                let sent = metadata.heartbeat(&report).await;
                if let Err(error) = &sent
                    && !failing
                {
                    tracing::warn!(%error, "heartbeat was not taken");
                }
                failing = sent.is_err();
            }
        });
    }
}

async fn report(node: NodeId, service: &DataNode) -> HeartbeatReport {
    let mut disks = Vec::new();
    for disk in service.disks() {
        let stat = service.stat(disk).await;
        disks.push(match stat {
            Ok(stat) => DiskReport {
                id: disk,
                used_bytes: stat.used_bytes,
                capacity_bytes: stat.capacity_bytes,
                writable: stat.writable,
                readable: stat.readable,
            },
            Err(_) => DiskReport {
                id: disk,
                used_bytes: 0,
                capacity_bytes: 0,
                writable: false,
                readable: false,
            },
        });
    }
    HeartbeatReport { node, disks }
}

fn open_disk(folder: &Path, cluster: ClusterId) -> anyhow::Result<Opened> {
    let settings = Settings::new(cluster, DiskUuid(Uuid::new_v4()));
    match RocksStore::open(folder, settings, clock()) {
        Ok(store) => Ok(Opened::Serving(Arc::new(store))),
        Err(OpenError::Format(error)) => {
            Err(UserError::new(format!("{:#}", anyhow::Error::from(error))).into())
        }
        Err(error) => {
            let reason = format!("{:#}", anyhow::Error::from(error));
            match Format::read(folder) {
                Ok(Some(Format { disk_id: Some(disk), .. })) => Ok(Opened::Failed(disk, reason)),
                _ => Err(UserError::new(format!("disk {}: {reason}", folder.display())).into()),
            }
        }
    }
}

/// A disk that is added while the node runs: it opens, or it is refused.
pub(super) fn open_new_disk(
    folder: &Path,
    cluster: ClusterId,
) -> Result<Arc<RocksStore>, UserError> {
    match open_disk(folder, cluster) {
        Ok(Opened::Serving(store)) => Ok(store),
        Ok(Opened::Failed(disk, reason)) => Err(UserError::new(format!("disk {disk}: {reason}"))),
        Err(error) => Err(UserError::new(format!("{error:#}"))),
    }
}

/// How a node introduces itself to the root group.
pub(crate) struct Registration {
    pub(crate) id: Option<NodeId>,
    pub(crate) instance: InstanceId,
    pub(crate) role: Role,
    pub(crate) address: String,
    pub(crate) location: Location,
}

impl Registration {
    /// Registers until it succeeds or is refused. Metadata may be starting too.
    pub(crate) async fn register(&self, metadata: &MetadataClient) -> anyhow::Result<NodeId> {
        let command = RootCommand::RegisterNode {
            id: self.id,
            instance: self.instance,
            role: self.role,
            address: self.address.clone(),
            location: self.location.clone(),
            level: super::level(),
        };
        match patiently(metadata, command).await? {
            RootAnswer::Node(id) => Ok(id),
            other => anyhow::bail!("registering the node: unexpected answer {other:?}"),
        }
    }
}

/// Registers a disk, however long metadata takes; the reason if it is refused.
async fn register_disk(
    store: &RocksStore,
    node: NodeId,
    class: DiskClass,
    metadata: &MetadataClient,
) -> anyhow::Result<Result<DiskId, String>> {
    loop {
        match register_disk_now(store, node, class, metadata).await {
            Err(error) if error.is::<MetadataError>() => {
                tracing::info!(%error, "waiting for metadata");
            }
            answer => return answer,
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// The same, once.
pub(super) async fn register_disk_now(
    store: &RocksStore,
    node: NodeId,
    class: DiskClass,
    metadata: &MetadataClient,
) -> anyhow::Result<Result<DiskId, String>> {
    let stat = shardstore::ShardStore::stat(store).await.context("asking a disk for its size")?;
    let command = RootCommand::RegisterDisk {
        uuid: store.disk_uuid(),
        node,
        capacity_bytes: stat.capacity_bytes,
        class,
    };
    let disk = match metadata.root(command).await? {
        RootAnswer::Disk(disk) => disk,
        RootAnswer::Refused(reason) => return Ok(Err(reason)),
        other => anyhow::bail!("registering a disk: unexpected answer {other:?}"),
    };
    store.set_disk_id(disk).map_err(|error| UserError::new(error.to_string()))?;
    Ok(Ok(disk))
}

/// Proposes to the root group until there is an answer. A refusal ends the process:
/// the operator must decide.
async fn patiently(metadata: &MetadataClient, command: RootCommand) -> anyhow::Result<RootAnswer> {
    loop {
        match metadata.root(command.clone()).await {
            Ok(RootAnswer::Refused(reason)) => return Err(UserError::new(reason).into()),
            Ok(answer) => return Ok(answer),
            Err(error) => tracing::info!(%error, "waiting for metadata"),
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
