//! [`MemoryCluster`]: a whole cluster in memory for the tests of higher crates.
//!
//! The clients, the services and the state machines are the real ones; Raft, the
//! network and RocksDB are not there. Wall-clock time stands still until a test moves
//! the [`ManualClock`]. Faults are injected by disk and by group.
//!
//! ```text
//! MemoryCluster --Metadata--> MetadataClient -> MetaNode -> LocalGroup (root), LocalGroup (partition 1), ...
//!               --Shards----> DiskClient -> Faults -> DataNode -> MemoryStore (disk 1), ...
//! ```

mod faults;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use consensus::ConsensusGroup;
pub use faults::DiskFault;
use faults::FaultyNode;
use metastore::{
    LocalGroup, MetaNode,
    api::{
        self, IndexAnswer, IndexCommand, IndexQuery, IndexView, RootAnswer, RootCommand, RootQuery,
        RootView,
    },
    presplit, root,
};
use parking_lot::{Mutex, RwLock};
use placement::{DiskSite, Domain};
use platform::{Clock, ManualClock};
use proto::{
    meta::MetaService,
    shards::{Chunk, DiskStat, PutChunks, ShardEntry, Verified},
};
use shardstore::{DataNode, Limits, MemoryStore};
use types::{
    BucketId, ClusterId, ClusterMap, DiskClass, DiskId, DiskUuid, ErasurePolicy, FeatureLevel,
    GroupId, InstanceId, Location, NodeId, Role, ShardId,
};

use crate::{
    DataNodes, DiskClient, DiskDeadlines, MapCache, Metadata, MetadataClient, MetadataError,
    MetadataSettings, ShardError, Shards,
};

/// How a [`MemoryCluster`] is made.
#[derive(Clone, Copy, Debug)]
pub struct MemorySettings {
    /// The policy of new blobs.
    pub policy: ErasurePolicy,
    /// Number of data nodes with one disk each; at least `policy.n()`.
    pub disks: usize,
    /// In how many placement groups each disk is at most.
    pub permutations: usize,
    /// Number of index partitions.
    pub partitions: u16,
    /// Bytes that a disk holds.
    pub disk_bytes: u64,
    /// Where the clock starts, in milliseconds since the Unix epoch.
    pub start_ms: u64,
    /// Deadlines of calls to disks.
    pub deadlines: DiskDeadlines,
    /// Deadline and retries of metadata requests.
    pub metadata: MetadataSettings,
}

impl MemorySettings {
    /// Two partitions, disks of 1 GiB, and short deadlines, so that tests of faults are quick.
    pub fn new(policy: ErasurePolicy, disks: usize) -> Self {
        let short = Duration::from_millis(500);
        Self {
            policy,
            disks,
            permutations: placement::PERMUTATIONS,
            partitions: 2,
            disk_bytes: 1 << 30,
            start_ms: 1_800_000_000_000,
            deadlines: DiskDeadlines {
                put: short,
                read: short,
                change: short,
                inventory: short,
                verify: Duration::from_secs(10),
                stat: short,
            },
            metadata: MetadataSettings {
                deadline: short,
                attempt: short,
                pause_min: Duration::from_millis(5),
                ..MetadataSettings::default()
            },
        }
    }
}

/// A cluster in memory. Disks are numbered from 1, in [`Self::disks`] order.
pub struct MemoryCluster {
    clock: Arc<ManualClock>,
    root: Arc<LocalGroup>,
    partitions: BTreeMap<GroupId, Arc<LocalGroup>>,
    disks: RwLock<BTreeMap<DiskId, Arc<MemoryDisk>>>,
    nodes: Arc<DataNodes>,
    disk_bytes: u64,
    reported_down: Mutex<Vec<DiskId>>,
    map: Arc<MapCache>,
    metadata: MetadataClient,
    shards: DiskClient,
}

struct MemoryDisk {
    store: MemoryStore,
    faults: Arc<FaultyNode>,
}

/// The only metadata node.
const META: NodeId = NodeId(1);

impl MemoryCluster {
    /// A cluster of this policy with `disks` data nodes of one disk each.
    pub fn new(policy: ErasurePolicy, disks: usize) -> Self {
        Self::with(MemorySettings::new(policy, disks))
    }

    /// A cluster made to measure.
    pub fn with(settings: MemorySettings) -> Self {
        let clock = Arc::new(ManualClock::new(settings.start_ms));
        let dyn_clock: Arc<dyn Clock> = clock.clone();
        let directory = presplit(settings.partitions);
        let root = Arc::new(LocalGroup::root(META, dyn_clock.clone()));
        let meta = Arc::new(MetaNode::new(META, BTreeMap::new(), dyn_clock.clone()));
        meta.host(root.clone());
        let mut partitions = BTreeMap::new();
        for partition in &directory {
            let group = Arc::new(LocalGroup::index(partition.group, META, dyn_clock.clone()));
            meta.host(group.clone());
            partitions.insert(partition.group, group);
        }
        let meta: Arc<dyn MetaService> = meta;
        let map = Arc::new(MapCache::unknown());
        let nodes = Arc::new(DataNodes::local());
        let cluster = Self {
            root,
            clock,
            partitions,
            disks: RwLock::default(),
            nodes: nodes.clone(),
            disk_bytes: settings.disk_bytes,
            reported_down: Mutex::default(),
            metadata: MetadataClient::new(
                BTreeMap::from([(META, meta)]),
                map.clone(),
                settings.metadata,
            ),
            shards: DiskClient::new(map.clone(), nodes, settings.deadlines),
            map,
        };
        let bootstrap = RootCommand::Bootstrap {
            cluster: ClusterId::from_bytes([1; 16]),
            policy: settings.policy,
            partitions: directory,
            level: FeatureLevel::OURS,
        };
        assert_eq!(cluster.change_root(&bootstrap), RootAnswer::Done);
        cluster.register_node(META.0, Some(META), Role::Meta);
        for _ in 0..settings.disks {
            cluster.add_data_node();
        }
        cluster.create_groups(settings.policy, settings.permutations);
        cluster
    }

    /// A new data node with one disk, which no group has yet.
    pub fn add_data_node(&self) -> DiskId {
        let number = self.disks.read().len() as u64 + 1;
        let node = self.register_node(1000 + number, None, Role::Data);
        let register = RootCommand::RegisterDisk {
            uuid: DiskUuid::from_bytes((2000 + u128::from(number)).to_be_bytes()),
            node,
            capacity_bytes: self.disk_bytes,
            class: DiskClass::Hot,
        };
        let RootAnswer::Disk(disk) = self.change_root(&register) else {
            panic!("a new disk of a known node is registered");
        };
        let store = MemoryStore::new(self.disk_bytes, self.clock.clone());
        let service = DataNode::new(Limits::default(), self.clock.clone());
        service.add(disk, Arc::new(store.clone()));
        let faults = Arc::new(FaultyNode::new(Arc::new(service)));
        self.nodes.add_local(node, faults.clone());
        self.disks.write().insert(disk, Arc::new(MemoryDisk { store, faults }));
        disk
    }

    fn register_node(&self, instance: u64, id: Option<NodeId>, role: Role) -> NodeId {
        let register = RootCommand::RegisterNode {
            id,
            instance: InstanceId::from_bytes(u128::from(instance).to_be_bytes()),
            role,
            address: format!("memory-{instance}:1"),
            location: Location::default(),
            level: FeatureLevel::OURS,
        };
        match self.change_root(&register) {
            RootAnswer::Node(node) => node,
            other => panic!("registering a new node was answered {other:?}"),
        }
    }

    fn create_groups(&self, policy: ErasurePolicy, permutations: usize) {
        let map = self.map.get();
        let site = |disk: &types::Disk| DiskSite {
            id: disk.id,
            node: disk.node,
            rack: String::new(),
            zone: String::new(),
        };
        let sites: Vec<DiskSite> = map.disks.values().map(site).collect();
        let groups = placement::plan(&sites, policy, permutations, Domain::Node, 1)
            .expect("a memory cluster has at least policy.n() disks");
        assert_eq!(
            self.change_root(&RootCommand::CreateGroups {
                policy,
                class: DiskClass::Hot,
                groups,
                existing: 0
            }),
            RootAnswer::Done
        );
    }

    fn change_root(&self, command: &RootCommand) -> RootAnswer {
        let answer = self.root.apply(&api::encode(command));
        self.refresh_map();
        api::decode(&answer.expect("nobody has injected a fault yet"))
            .expect("the state machine answers what this build can read")
    }

    /// As the refresh loop does in a real process. While the root group does not answer,
    /// the map stays as it is.
    fn refresh_map(&self) {
        let mut map = None;
        let visited = self.root.view(&mut |rows| {
            if let RootView::Map(current) = root::evaluate(rows, &RootQuery::Map)? {
                map = current;
            }
            Ok(())
        });
        let (Ok(()), Some(mut map)) = (visited, map) else { return };
        map.down.extend(self.reported_down.lock().iter());
        for (id, disk) in &*self.disks.read() {
            map.used_bytes.insert(*id, disk.faults.used_bytes());
        }
        self.map.offer(*map);
    }
}

/// What tests look at and break.
impl MemoryCluster {
    /// The clock of everything here.
    pub fn clock(&self) -> Arc<ManualClock> {
        self.clock.clone()
    }

    /// All disks.
    pub fn disks(&self) -> Vec<DiskId> {
        self.disks.read().keys().copied().collect()
    }

    /// What a disk does instead of its work; `None` ends it, and the disk is trusted again.
    pub fn set_fault(&self, disk: DiskId, fault: Option<DiskFault>) {
        self.disk(disk).faults.set(fault);
        if fault.is_none() {
            self.shards.trust(disk);
        }
    }

    /// Ends a disk's fault without telling anybody: it stays suspected until it is probed.
    pub fn heal_quietly(&self, disk: DiskId) {
        self.disk(disk).faults.set(None);
    }

    /// Takes a disk's node off the network.
    pub fn take_down(&self, disk: DiskId) {
        self.set_fault(disk, Some(DiskFault::Unreachable));
    }

    /// Brings a disk back with what it held.
    pub fn bring_up(&self, disk: DiskId) {
        self.set_fault(disk, None);
    }

    /// Makes the next `count` puts to a disk fail with this fault; then it works again.
    pub fn fail_puts(&self, disk: DiskId, fault: DiskFault, count: usize) {
        self.disk(disk).faults.fail_puts(fault, count);
    }

    /// What the cluster map says of a disk, as if heartbeats had stopped or come back.
    pub fn report_down(&self, disk: DiskId, down: bool) {
        self.reported_down.lock().retain(|other| *other != disk);
        if down {
            self.reported_down.lock().push(disk);
        }
        self.refresh_map();
    }

    /// Flips a bit of a stored chunk. False if there is no such chunk, or it is empty.
    pub fn corrupt(&self, disk: DiskId, shard: ShardId, stripe: u32) -> bool {
        self.disk(disk).store.flip_bit(shard, stripe, 77)
    }

    /// The shards that a disk holds, faults or not.
    pub async fn stored(&self, disk: DiskId) -> Vec<ShardEntry> {
        let disk = self.disk(disk);
        let store = &disk.store;
        let mut all = Vec::new();
        loop {
            let after = all.last().map(|entry: &ShardEntry| entry.shard);
            let page = shardstore::ShardStore::inventory(store, after, 1000).await;
            let page = page.expect("faults are injected in front of the store, not into it");
            if page.is_empty() {
                return all;
            }
            all.extend(page);
        }
    }

    /// Number and bytes of the shards of all disks.
    pub async fn stored_in_all(&self) -> (usize, u64) {
        let mut sum = (0, 0);
        for disk in self.disks() {
            for entry in self.stored(disk).await {
                sum = (sum.0 + 1, sum.1 + entry.bytes);
            }
        }
        sum
    }

    /// The store of a disk, for faults of its own.
    pub fn store(&self, disk: DiskId) -> MemoryStore {
        self.disk(disk).store.clone()
    }

    /// A group, to inject faults or look at rows. Panics if there is none.
    pub fn group_of(&self, group: GroupId) -> Arc<LocalGroup> {
        if group == GroupId::ROOT {
            return self.root.clone();
        }
        self.partitions.get(&group).expect("the test names a group that exists").clone()
    }

    /// All metadata groups lose their leader, or get it back.
    pub fn set_metadata_available(&self, available: bool) {
        for group in self.partitions.values().chain([&self.root]) {
            group.set_leader(available.then_some(META));
        }
    }

    fn disk(&self, disk: DiskId) -> Arc<MemoryDisk> {
        self.disks.read().get(&disk).expect("the test names a disk that exists").clone()
    }
}

#[async_trait]
impl Metadata for MemoryCluster {
    fn map(&self) -> Arc<ClusterMap> {
        self.refresh_map();
        self.map.get()
    }

    async fn root(&self, command: RootCommand) -> Result<RootAnswer, MetadataError> {
        let answer = self.metadata.root(command).await;
        self.refresh_map();
        answer
    }

    async fn root_query(&self, query: RootQuery) -> Result<RootView, MetadataError> {
        match self.metadata.root_query(query).await? {
            // Its soft state is what tests report, not heartbeats that nobody sends.
            RootView::Map(Some(_)) => Ok(RootView::Map(Some(Box::new((*self.map()).clone())))),
            view => Ok(view),
        }
    }

    async fn index(
        &self,
        bucket: BucketId,
        key: &str,
        command: IndexCommand,
    ) -> Result<IndexAnswer, MetadataError> {
        self.metadata.index(bucket, key, command).await
    }

    async fn index_query(
        &self,
        bucket: BucketId,
        key: &str,
        query: IndexQuery,
    ) -> Result<IndexView, MetadataError> {
        self.metadata.index_query(bucket, key, query).await
    }

    async fn partition(
        &self,
        group: GroupId,
        command: IndexCommand,
    ) -> Result<IndexAnswer, MetadataError> {
        self.metadata.partition(group, command).await
    }

    async fn partition_query(
        &self,
        group: GroupId,
        query: IndexQuery,
    ) -> Result<IndexView, MetadataError> {
        self.metadata.partition_query(group, query).await
    }
}

#[async_trait]
impl Shards for MemoryCluster {
    async fn put(&self, disk: DiskId, put: PutChunks) -> Result<(), ShardError> {
        self.shards.put(disk, put).await
    }

    async fn confirm(&self, disk: DiskId, shards: Vec<ShardId>) -> Result<(), ShardError> {
        self.shards.confirm(disk, shards).await
    }

    async fn read(&self, disk: DiskId, shard: ShardId, stripe: u32) -> Result<Chunk, ShardError> {
        self.shards.read(disk, shard, stripe).await
    }

    async fn delete(&self, disk: DiskId, shards: Vec<ShardId>) -> Result<(), ShardError> {
        self.shards.delete(disk, shards).await
    }

    async fn inventory(
        &self,
        disk: DiskId,
        after: Option<ShardId>,
        limit: u32,
    ) -> Result<Vec<ShardEntry>, ShardError> {
        self.shards.inventory(disk, after, limit).await
    }

    async fn verify(
        &self,
        disk: DiskId,
        after: Option<ShardId>,
        bytes_max: u64,
    ) -> Result<Verified, ShardError> {
        self.shards.verify(disk, after, bytes_max).await
    }

    async fn stat(&self, disk: DiskId) -> Result<DiskStat, ShardError> {
        self.shards.stat(disk).await
    }

    fn likely_up(&self, disk: DiskId) -> bool {
        self.shards.likely_up(disk)
    }
}
