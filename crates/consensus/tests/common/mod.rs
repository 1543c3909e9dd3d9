//! Hosts in one process: a state machine of text commands, and a network of direct calls
//! whose links can be cut.

#![allow(dead_code, missing_docs, unreachable_pub, reason = "each test binary uses a part")]

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use consensus::{
    ApplyContext, ConsensusGroup, Halt, Host, HostSettings, KvWrite, OpenError, PeerDirectory,
    RaftGroup, RaftTimings, StateMachine,
};
use futures::stream::BoxStream;
use parking_lot::Mutex;
use platform::Clock;
use proto::{
    RpcError, RpcErrorKind,
    raft::{RaftAddress, RaftService},
};
use types::{ClusterId, GroupId, InstanceId, NodeId};

pub const GROUP: GroupId = GroupId(1);

/// `put KEY VALUE` answers the old value, `now` the command's time, `halt` halts.
pub struct TextMachine;

impl StateMachine for TextMachine {
    fn apply(
        &self,
        rows: &mut dyn KvWrite,
        context: ApplyContext,
        command: &[u8],
    ) -> Result<Bytes, Halt> {
        let text = String::from_utf8_lossy(command).into_owned();
        let words: Vec<&str> = text.splitn(3, ' ').collect();
        match words.as_slice() {
            ["put", key, value] => {
                let old = rows.get(key.as_bytes())?.unwrap_or_default();
                rows.put(key.as_bytes(), value.as_bytes());
                Ok(old)
            }
            ["now"] => Ok(context.now.0.to_string().into()),
            ["pad", ..] => Ok(Bytes::new()),
            _ => Err(Halt(format!("unknown command {text}"))),
        }
    }
}

/// A clock that can also go back.
pub struct AnyClock(pub AtomicU64);

impl Clock for AnyClock {
    fn now_ms(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

/// Direct calls between hosts.
#[derive(Default)]
pub struct Fabric {
    hosts: Mutex<HashMap<NodeId, Arc<Host>>>,
    cut: Mutex<HashSet<NodeId>>,
    deaf: Mutex<HashSet<NodeId>>,
}

impl Fabric {
    pub fn attach(&self, node: NodeId, host: &Arc<Host>) {
        self.hosts.lock().insert(node, Arc::clone(host));
    }

    pub fn detach(&self, node: NodeId) {
        self.hosts.lock().remove(&node);
    }

    /// Cuts a node off from all others.
    pub fn cut(&self, node: NodeId) {
        self.cut.lock().insert(node);
    }

    pub fn heal(&self, node: NodeId) {
        self.cut.lock().remove(&node);
    }

    /// A node is heard, and hears nothing: neither calls nor answers.
    pub fn deafen(&self, node: NodeId) {
        self.deaf.lock().insert(node);
    }

    /// Whether nothing of a call comes there; or, if `back`, of its answer.
    async fn heard<T>(&self, address: &RaftAddress, back: bool, answer: T) -> T {
        let ear = if back { address.from } else { address.to };
        if self.deaf.lock().contains(&ear) {
            std::future::pending::<()>().await;
        }
        answer
    }

    fn reach(&self, address: &RaftAddress) -> Result<Arc<Host>, RpcError> {
        let cut = self.cut.lock();
        let host = self.hosts.lock().get(&address.to).cloned();
        match host {
            Some(host) if !cut.contains(&address.from) && !cut.contains(&address.to) => Ok(host),
            _ => Err(RpcError::new(RpcErrorKind::Unreachable, "no route")),
        }
    }
}

struct Link(Arc<Fabric>);

#[async_trait]
impl RaftService for Link {
    async fn append(&self, address: RaftAddress, payload: Bytes) -> Result<Bytes, RpcError> {
        let host = self.0.heard(&address, false, self.0.reach(&address)).await?;
        let answer = host.append(address, payload).await;
        self.0.heard(&address, true, answer).await
    }

    async fn vote(&self, address: RaftAddress, payload: Bytes) -> Result<Bytes, RpcError> {
        let host = self.0.heard(&address, false, self.0.reach(&address)).await?;
        let answer = host.vote(address, payload).await;
        self.0.heard(&address, true, answer).await
    }

    async fn snapshot(
        &self,
        address: RaftAddress,
        payload: Bytes,
        chunks: BoxStream<'static, Result<Bytes, RpcError>>,
    ) -> Result<Bytes, RpcError> {
        self.0.reach(&address)?.snapshot(address, payload, chunks).await
    }
}

struct Links(Arc<Fabric>);

impl PeerDirectory for Links {
    fn connect(&self, _: NodeId, _: &str) -> Arc<dyn RaftService> {
        Arc::new(Link(Arc::clone(&self.0)))
    }
}

pub fn cluster_id() -> ClusterId {
    ClusterId::from_bytes([7; 16])
}

pub fn instance(node: NodeId) -> InstanceId {
    InstanceId::from_bytes([u8::try_from(node.0).unwrap(); 16])
}

/// One node: its folder, and the host while it runs.
pub struct TestNode {
    pub id: NodeId,
    pub dir: tempfile::TempDir,
    pub timings: RaftTimings,
    pub clock: Arc<AnyClock>,
    pub fabric: Arc<Fabric>,
    pub fatal: Arc<Mutex<Vec<String>>>,
    running: Option<(Arc<Host>, Arc<RaftGroup>)>,
}

impl TestNode {
    pub fn new(id: u64, timings: RaftTimings, fabric: &Arc<Fabric>) -> Self {
        Self {
            id: NodeId(id),
            dir: tempfile::tempdir().unwrap(),
            timings,
            clock: Arc::new(AnyClock(AtomicU64::new(1_000))),
            fabric: Arc::clone(fabric),
            fatal: Arc::default(),
            running: None,
        }
    }

    pub fn settings(&self) -> HostSettings {
        let fatal = Arc::clone(&self.fatal);
        HostSettings {
            dir: self.dir.path().join("raft"),
            cluster: cluster_id(),
            node: self.id,
            instance: instance(self.id),
            clock: Arc::clone(&self.clock) as Arc<dyn Clock>,
            timings: self.timings,
            on_fatal: Arc::new(move |reason| fatal.lock().push(reason.to_owned())),
        }
    }

    /// Opens the folder; waits until what ran on it before has let go.
    pub async fn open(&self) -> Arc<Host> {
        loop {
            match Host::open(self.settings(), Arc::new(Links(Arc::clone(&self.fabric)))) {
                Ok(host) => return host,
                Err(OpenError::Store { reason, .. }) if reason.contains("lock") => {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                Err(error) => panic!("{error}"),
            }
        }
    }

    pub async fn start(&mut self) {
        let host = within("the folder to open", self.open()).await;
        let group = host.start_group(GROUP, Arc::new(TextMachine)).await.unwrap();
        self.fabric.attach(self.id, &host);
        self.running = Some((host, group));
    }

    pub async fn stop(&mut self) {
        if let Some((host, _)) = self.running.take() {
            self.fabric.detach(self.id);
            host.shutdown().await;
        }
    }

    /// Lets go of everything without a shutdown, as a process does that is told to stop
    /// while it starts.
    pub fn abandon(&mut self) {
        self.fabric.detach(self.id);
        self.running = None;
    }

    pub fn host(&self) -> &Arc<Host> {
        &self.running.as_ref().expect("running").0
    }

    pub fn group(&self) -> &Arc<RaftGroup> {
        &self.running.as_ref().expect("running").1
    }

    pub fn runs(&self) -> bool {
        self.running.is_some()
    }

    pub fn leads(&self) -> bool {
        self.runs() && self.group().status().leader == Some(self.id)
    }

    pub fn rows(&self) -> BTreeMap<String, String> {
        let mut rows = BTreeMap::new();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        self.group()
            .view(&mut |kv| {
                for row in kv.scan(b"", None) {
                    let (key, value) = row?;
                    rows.insert(text(&key), text(&value));
                }
                Ok(())
            })
            .unwrap();
        rows
    }

    pub async fn put(&self, key: &str, value: &str) -> Result<Bytes, consensus::Error> {
        self.group().propose(format!("put {key} {value}").into()).await
    }
}

/// Several nodes; the first `voters` of them form the group.
pub struct Cluster {
    pub nodes: Vec<TestNode>,
}

impl Cluster {
    pub async fn start(count: u64, voters: u64, timings: RaftTimings) -> Self {
        let fabric = Arc::new(Fabric::default());
        let mut nodes = Vec::new();
        for id in 1..=count {
            let mut node = TestNode::new(id, timings, &fabric);
            node.start().await;
            nodes.push(node);
        }
        let members = (1..=voters).map(|id| (NodeId(id), format!("node-{id}"))).collect();
        nodes[0].host().initialize(GROUP, members).await.unwrap();
        let cluster = Self { nodes };
        cluster.leader().await;
        cluster
    }

    /// The index of a node that leads and can serve.
    pub async fn leader(&self) -> usize {
        within("a leader", async {
            loop {
                for (index, node) in self.nodes.iter().enumerate() {
                    if node.leads() && node.group().read_barrier().await.is_ok() {
                        return index;
                    }
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await
    }

    /// Retries on whoever leads until it is acknowledged.
    pub async fn put(&self, key: &str, value: &str) {
        loop {
            let leader = self.leader().await;
            if self.nodes[leader].put(key, value).await.is_ok() {
                return;
            }
        }
    }

    pub async fn stop(&mut self) {
        for node in &mut self.nodes {
            node.stop().await;
        }
    }
}

pub fn ids<const N: usize>(ids: [u64; N]) -> BTreeSet<NodeId> {
    ids.map(NodeId).into()
}

/// Fails the test if `future` takes far longer than it may on a busy machine.
pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(40), future)
        .await
        .unwrap_or_else(|_| panic!("waited too long for {what}"))
}

/// Waits until `condition` holds.
pub async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    within(what, async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

/// Adds a learner and waits until it has the log.
pub async fn add_learner(cluster: &Cluster, id: u64) {
    let leader = cluster.leader().await;
    let group = cluster.nodes[leader].group().clone();
    within("a learner", group.add_learner(NodeId(id), format!("node-{id}"))).await.unwrap();
    eventually("the learner to catch up", || {
        let status = group.status();
        status.learners.get(&NodeId(id)).is_some_and(|matched| *matched >= status.last_log_index)
    })
    .await;
}
