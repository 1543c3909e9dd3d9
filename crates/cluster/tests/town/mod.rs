//! Metadata nodes in one process, with real groups on disk: calls go from one to the other
//! directly, and a node can be cut off or stopped.

#![allow(missing_docs, unreachable_pub, reason = "a test's own parts")]

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use cluster::{
    MapCache, MetaKeeper, MetaNodes, Metadata, MetadataClient, MetadataSettings, meta_keeper,
};
use consensus::{
    ConsensusGroup, Host, HostSettings, OpenError, PeerDirectory, RaftTimings, StateMachine,
};
use futures::stream::BoxStream;
use metastore::{
    IndexMachine, MetaNode, RootMachine,
    api::{RootAnswer, RootCommand, root::MetaMembers},
    bootstrap, members, presplit,
};
use parking_lot::Mutex;
use platform::SystemClock;
use proto::{
    RpcError, RpcErrorKind,
    meta::{Hello, MetaService},
    raft::{RaftAddress, RaftService},
};
use tokio::task::JoinHandle;
use types::{
    ClusterId, Epoch, ErasurePolicy, FeatureLevel, GroupId, InstanceId, Location, NodeId, Role,
};

/// Index partitions, besides the root group.
pub const PARTITIONS: u16 = 2;

pub fn cluster_id() -> ClusterId {
    ClusterId::from_bytes([7; 16])
}

pub fn policy() -> ErasurePolicy {
    ErasurePolicy::new(4, 2).expect("valid")
}

pub fn ids(ids: &[u64]) -> BTreeSet<NodeId> {
    ids.iter().copied().map(NodeId).collect()
}

type Running = (Arc<Host>, Arc<MetaNode>);

/// Who runs, and who is cut off.
#[derive(Default)]
pub struct Fabric {
    nodes: Mutex<HashMap<NodeId, Running>>,
    cut: Mutex<HashSet<NodeId>>,
}

impl Fabric {
    pub fn cut(&self, node: u64) {
        self.cut.lock().insert(NodeId(node));
    }

    fn reach(&self, from: Option<NodeId>, to: NodeId) -> Result<Running, RpcError> {
        let cut = self.cut.lock();
        let unreachable = || RpcError::new(RpcErrorKind::Unreachable, format!("no way to {to}"));
        if cut.contains(&to) || from.is_some_and(|from| cut.contains(&from)) {
            return Err(unreachable());
        }
        self.nodes.lock().get(&to).cloned().ok_or_else(unreachable)
    }
}

struct Links(Arc<Fabric>);

impl PeerDirectory for Links {
    fn connect(&self, _: NodeId, _: &str) -> Arc<dyn RaftService> {
        Arc::new(Links(self.0.clone()))
    }
}

#[async_trait]
impl RaftService for Links {
    async fn append(&self, address: RaftAddress, payload: Bytes) -> Result<Bytes, RpcError> {
        self.0.reach(Some(address.from), address.to)?.0.append(address, payload).await
    }

    async fn vote(&self, address: RaftAddress, payload: Bytes) -> Result<Bytes, RpcError> {
        self.0.reach(Some(address.from), address.to)?.0.vote(address, payload).await
    }

    async fn snapshot(
        &self,
        address: RaftAddress,
        payload: Bytes,
        chunks: BoxStream<'static, Result<Bytes, RpcError>>,
    ) -> Result<Bytes, RpcError> {
        self.0.reach(Some(address.from), address.to)?.0.snapshot(address, payload, chunks).await
    }
}

struct MetaLink(Arc<Fabric>, NodeId);

impl MetaLink {
    fn node(&self) -> Result<Arc<MetaNode>, RpcError> {
        Ok(self.0.reach(None, self.1)?.1)
    }
}

#[async_trait]
impl MetaService for MetaLink {
    async fn hello(&self, asker: NodeId) -> Result<Hello, RpcError> {
        self.node()?.hello(asker).await
    }

    async fn propose(
        &self,
        group: GroupId,
        epoch: Epoch,
        command: Bytes,
    ) -> Result<Bytes, RpcError> {
        self.node()?.propose(group, epoch, command).await
    }

    async fn query(&self, group: GroupId, epoch: Epoch, query: Bytes) -> Result<Bytes, RpcError> {
        self.node()?.query(group, epoch, query).await
    }

    async fn heartbeat(&self, report: Bytes) -> Result<Epoch, RpcError> {
        self.node()?.heartbeat(report).await
    }

    async fn status(&self) -> Result<Bytes, RpcError> {
        self.node()?.status().await
    }
}

/// A client of the nodes that are configured as these, and of those that the map has.
pub fn client(fabric: &Arc<Fabric>, configured: &[u64]) -> Arc<MetadataClient> {
    let configured = configured.iter().map(|id| (NodeId(*id), id.to_string())).collect();
    let fabric = fabric.clone();
    let nodes = MetaNodes::connecting(&configured, move |address| {
        let node = NodeId(address.parse().expect("the address is the id"));
        Arc::new(MetaLink(fabric.clone(), node))
    });
    let settings =
        MetadataSettings { map_interval: Duration::from_millis(50), ..MetadataSettings::default() };
    Arc::new(MetadataClient::new(nodes, Arc::new(MapCache::unknown()), settings))
}

/// A node that runs.
pub struct Node {
    id: NodeId,
    instance: InstanceId,
    host: Arc<Host>,
    pub metadata: Arc<MetadataClient>,
    tasks: Vec<JoinHandle<()>>,
}

impl Node {
    pub fn led(&self) -> Vec<GroupId> {
        let leads = |group: &Arc<consensus::RaftGroup>| group.status().leader == Some(self.id);
        self.host.groups().iter().filter(|group| leads(group)).map(|group| group.id()).collect()
    }

    pub fn group(&self, group: u32) -> Arc<consensus::RaftGroup> {
        self.host.group(GroupId(group)).expect("started")
    }

    async fn register(&self) -> RootAnswer {
        let command = RootCommand::RegisterNode {
            id: Some(self.id),
            instance: self.instance,
            role: Role::Meta,
            address: self.id.0.to_string(),
            location: Location::default(),
            level: FeatureLevel::OURS,
        };
        self.metadata.root(command).await.expect("the root group answers")
    }
}

/// All of them, and their folders, which outlive them.
pub struct Town {
    pub fabric: Arc<Fabric>,
    pub nodes: BTreeMap<u64, Node>,
    dirs: BTreeMap<u64, tempfile::TempDir>,
}

impl Town {
    /// Nodes 1 to `count`, bootstrapped.
    pub async fn found(count: u64) -> Self {
        let mut town =
            Self { fabric: Arc::default(), nodes: BTreeMap::new(), dirs: BTreeMap::new() };
        for id in 1..=count {
            town.start(id).await;
        }
        let voters: BTreeMap<_, _> = (1..=count).map(|id| (NodeId(id), id.to_string())).collect();
        for group in 0..=u32::from(PARTITIONS) {
            town.nodes[&1].host.initialize(GroupId(group), voters.clone()).await.expect("formed");
        }
        let roots: Vec<_> = town.nodes.values().map(|node| node.group(0)).collect();
        let all = roots
            .into_iter()
            .map(|root| bootstrap(root, cluster_id(), policy(), presplit(PARTITIONS)));
        let done = within("the bootstrap", futures::future::join_all(all)).await;
        done.into_iter().for_each(|done| done.expect("bootstrapped"));
        for node in town.nodes.values() {
            assert_eq!(node.register().await, RootAnswer::Node(node.id));
        }
        town
    }

    /// Starts a node over its folder, or over a new one. It knows nodes 1 to 3 and itself.
    pub async fn start(&mut self, id: u64) {
        let dir = self.dirs.entry(id).or_insert_with(|| tempfile::tempdir().expect("a folder"));
        let instance = InstanceId::from_bytes([u8::try_from(id).expect("small"); 16]);
        let settings = HostSettings {
            dir: dir.path().join("raft"),
            cluster: cluster_id(),
            node: NodeId(id),
            instance,
            clock: Arc::new(SystemClock),
            timings: RaftTimings::for_tests(),
            on_fatal: Arc::new(|reason| panic!("{reason}")),
        };
        let links = || Arc::new(Links(self.fabric.clone()));
        let host = within("the folder", async {
            loop {
                match Host::open(settings.clone(), links()) {
                    Ok(host) => return host,
                    // What ran on it before has not let go yet.
                    Err(OpenError::Store { .. }) => {
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                    Err(error) => panic!("{error}"),
                }
            }
        })
        .await;
        let mut groups: BTreeMap<GroupId, Arc<dyn ConsensusGroup>> = BTreeMap::new();
        for group in (0..=u32::from(PARTITIONS)).map(GroupId) {
            let machine: Arc<dyn StateMachine> =
                if group == GroupId::ROOT { Arc::new(RootMachine) } else { Arc::new(IndexMachine) };
            groups.insert(group, host.start_group(group, machine).await.expect("started"));
        }
        let meta = Arc::new(MetaNode::new(NodeId(id), groups, Arc::new(SystemClock)));
        self.fabric.nodes.lock().insert(NodeId(id), (host.clone(), meta.clone()));
        let metadata = client(&self.fabric, &[1, 2, 3, id]);
        let (map, keeper) = (metadata.clone(), MetaKeeper::new(meta, metadata.clone()));
        let tasks = vec![
            tokio::spawn(async move { map.keep_map_fresh().await }),
            tokio::spawn(keeper.run()),
        ];
        self.nodes.insert(id, Node { id: NodeId(id), instance, host, metadata, tasks });
    }

    /// Starts a new node and registers it, as one does that joins.
    pub async fn join(&mut self, id: u64) {
        self.start(id).await;
        assert_eq!(self.nodes[&id].register().await, RootAnswer::Node(NodeId(id)));
    }

    /// Registers a node of this id with a folder that nobody has seen.
    pub async fn register_wiped(&self, id: u64) -> RootAnswer {
        let command = RootCommand::RegisterNode {
            id: Some(NodeId(id)),
            instance: InstanceId::from_bytes([0xaa; 16]),
            role: Role::Meta,
            address: id.to_string(),
            location: Location::default(),
            level: FeatureLevel::OURS,
        };
        self.any().root(command).await.expect("the root group answers")
    }

    /// Stops a node, as a crash does: nothing is handed over.
    pub async fn stop(&mut self, id: u64) {
        let node = self.nodes.remove(&id).expect("it runs");
        self.fabric.nodes.lock().remove(&NodeId(id));
        node.tasks.iter().for_each(JoinHandle::abort);
        for task in node.tasks {
            let _ = task.await;
        }
        node.host.shutdown().await;
    }

    /// The client of a node that runs.
    pub fn any(&self) -> Arc<MetadataClient> {
        self.nodes.values().next().expect("one runs").metadata.clone()
    }

    pub async fn members(&self) -> Option<MetaMembers> {
        meta_keeper::meta_members(&*self.any()).await.ok().flatten()
    }

    /// Waits until nothing is under way and every group has these voters.
    pub async fn settled(&self, voters: &[u64]) {
        let voters = ids(voters);
        within("the voters", async {
            loop {
                let known = self.members().await;
                if known.is_some_and(|it| it.change.is_none() && it.voters == voters) {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
        let statuses = meta_keeper::answered(self.any().status_all().await);
        let leaders = members::leaders(&statuses);
        assert_eq!(leaders.len(), usize::from(PARTITIONS) + 1);
        for status in leaders.values() {
            assert_eq!(status.voters, voters, "{status:?}");
            assert!(status.learners.is_empty() && !status.changing, "{status:?}");
        }
    }

    pub async fn end(mut self) {
        for id in self.nodes.keys().copied().collect::<Vec<_>>() {
            self.stop(id).await;
        }
    }
}

/// Fails the test if `future` takes far longer than it may on a busy machine.
pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), future)
        .await
        .unwrap_or_else(|_| panic!("waited too long for {what}"))
}
