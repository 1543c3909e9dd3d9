//! A data node with one disk.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use metastore::{
    DiskReport, HeartbeatReport,
    api::{RootAnswer, RootCommand},
};
use proto::{
    RpcError, Services,
    shards::{Chunk, DiskStat, PutChunks, ShardEntry, ShardService, Verified},
};
use shardstore::{DataNode, Limits, ShardStore};
use types::{DiskClass, DiskId, FeatureLevel, Location, Role, ShardId};

use super::{Ended, Network, bad_writes, patiently, serve};
use crate::{
    invariants::no_referenced_blob_collected,
    transport::address,
    world::{Part, World},
};

/// How often it reports.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// How often a node that has not joined looks whether it is to.
const LOOK: Duration = Duration::from_millis(200);

/// Runs the data node of a site.
pub async fn data(world: Arc<World>, number: usize) -> Ended {
    let site = &world.datas[number];
    while *site.part.lock() == Part::Spare {
        tokio::time::sleep(LOOK).await;
    }
    if *site.part.lock() == Part::Removed {
        return std::future::pending().await;
    }
    let network = Network::new(&world, BTreeMap::new());
    network.follow_map();
    let register = RootCommand::RegisterNode {
        id: None,
        instance: world.instance(&site.host),
        role: Role::Data,
        address: address(&site.host),
        location: Location::default(),
        level: FeatureLevel::OURS,
    };
    let node = match patiently(&network.metadata, register).await? {
        RootAnswer::Node(node) => node,
        other => return Err(format!("registering a node was answered {other:?}").into()),
    };
    let capacity_bytes = site.store.stat().await?.capacity_bytes;
    let class = DiskClass::Hot;
    let register = RootCommand::RegisterDisk { uuid: site.uuid, node, capacity_bytes, class };
    let disk = match patiently(&network.metadata, register).await? {
        RootAnswer::Disk(disk) => disk,
        other => return Err(format!("registering a disk was answered {other:?}").into()),
    };
    *site.disk.lock() = Some(disk);
    let service = Arc::new(DataNode::new(Limits::default(), site.clock.clone()));
    service.add(disk, Arc::new(site.store.clone()));

    let (metadata, reported) = (network.metadata.clone(), service.clone());
    tokio::spawn(async move {
        loop {
            let stat = reported.stat(disk).await;
            let report = DiskReport {
                id: disk,
                used_bytes: stat.as_ref().map_or(0, |stat| stat.used_bytes),
                capacity_bytes: stat.as_ref().map_or(0, |stat| stat.capacity_bytes),
                writable: stat.as_ref().is_ok_and(|stat| stat.writable),
                readable: stat.as_ref().is_ok_and(|stat| stat.readable),
            };
            let report = HeartbeatReport { node, disks: vec![report] };
            if let Err(error) = metadata.heartbeat(&report).await {
                tracing::debug!(%error, "heartbeat was not taken");
            }
            tokio::time::sleep(HEARTBEAT).await;
        }
    });
    let watched = Arc::new(Watched { world: world.clone(), number, service });
    let services = Services { shards: Some(watched), ..Services::default() };
    serve(network.identity.clone(), services).await
}

/// A data node whose deletions are watched, and whose disk may write what it was not given.
struct Watched {
    world: Arc<World>,
    number: usize,
    service: Arc<DataNode>,
}

#[async_trait]
impl ShardService for Watched {
    async fn put(&self, disk: DiskId, put: PutChunks) -> Result<(), RpcError> {
        let (shard, seals) = (put.shard, put.seal);
        let store = &self.world.datas[self.number].store;
        let is_new = seals && !store.is_durable(shard);
        self.service.put(disk, put).await?;
        if is_new {
            bad_writes::wrote(&self.world, self.number, shard);
        }
        Ok(())
    }

    async fn confirm(&self, disk: DiskId, shards: Vec<ShardId>) -> Result<(), RpcError> {
        self.service.confirm(disk, shards).await
    }

    async fn read(&self, disk: DiskId, shard: ShardId, stripe: u32) -> Result<Chunk, RpcError> {
        self.service.read(disk, shard, stripe).await
    }

    async fn delete(&self, disk: DiskId, shards: Vec<ShardId>) -> Result<(), RpcError> {
        no_referenced_blob_collected::check(&self.world, self.number, &shards);
        self.service.delete(disk, shards).await
    }

    async fn inventory(
        &self,
        disk: DiskId,
        after: Option<ShardId>,
        limit: u32,
    ) -> Result<Vec<ShardEntry>, RpcError> {
        self.service.inventory(disk, after, limit).await
    }

    async fn verify(
        &self,
        disk: DiskId,
        after: Option<ShardId>,
        bytes_max: u64,
    ) -> Result<Verified, RpcError> {
        self.service.verify(disk, after, bytes_max).await
    }

    async fn stat(&self, disk: DiskId) -> Result<DiskStat, RpcError> {
        self.service.stat(disk).await
    }
}
