//! The metadata client against nodes that follow a script. Time is paused: waiting costs
//! nothing, and what a request took is exact.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use cluster::{MapCache, MetaNodes, Metadata, MetadataClient, MetadataError, MetadataSettings};
use metastore::{
    HeartbeatReport,
    api::{
        self, IndexAnswer, IndexCommand, IndexQuery, IndexView, RootAnswer, RootCommand, RootView,
    },
};
use parking_lot::Mutex;
use proto::{
    RpcError, RpcErrorKind,
    meta::{Hello, MetaService},
};
use tokio::time::Instant;
use types::{
    BucketId, ClusterId, ClusterMap, Condition, Epoch, FeatureLevel, GroupId, InstanceId, Location,
    Node, NodeId, Partition, Role, WriteId,
};

/// What a node does with an attempt.
#[derive(Clone, Debug)]
enum Step {
    Answer,
    Fail(RpcErrorKind),
    Hang,
}

use Step::{Answer, Fail, Hang};

#[derive(Clone, Debug, PartialEq)]
struct Attempt {
    node: NodeId,
    group: GroupId,
    epoch: Epoch,
    bytes: Bytes,
}

/// A node that does the next step of its script, then `always`.
struct Scripted {
    id: NodeId,
    steps: Mutex<VecDeque<Step>>,
    always: Mutex<Step>,
    log: Arc<Mutex<Vec<Attempt>>>,
    /// What a query for the root group is answered.
    map: Mutex<ClusterMap>,
}

impl Scripted {
    async fn step(&self) -> Result<(), RpcError> {
        let step = self.steps.lock().pop_front().unwrap_or_else(|| self.always.lock().clone());
        match step {
            Answer => Ok(()),
            Fail(kind) => Err(RpcError::new(kind, "as the script says")),
            Hang => std::future::pending().await,
        }
    }
}

#[async_trait]
impl MetaService for Scripted {
    async fn hello(&self, asker: NodeId) -> Result<Hello, RpcError> {
        self.step().await?;
        let cluster = (self.id.0 > 1).then(|| self.map.lock().cluster);
        assert_eq!(asker, NodeId(77));
        Ok(Hello {
            cluster,
            node: self.id,
            known_instance: None,
            version: 1,
            level: None,
            nodes: BTreeMap::new(),
        })
    }

    async fn propose(
        &self,
        group: GroupId,
        epoch: Epoch,
        command: Bytes,
    ) -> Result<Bytes, RpcError> {
        self.log.lock().push(Attempt { node: self.id, group, epoch, bytes: command });
        self.step().await?;
        if group == GroupId::ROOT {
            return Ok(api::encode(&RootAnswer::Done));
        }
        Ok(api::encode(&IndexAnswer::Done))
    }

    async fn query(&self, group: GroupId, epoch: Epoch, query: Bytes) -> Result<Bytes, RpcError> {
        if group == GroupId::ROOT {
            return Ok(api::encode(&RootView::Map(Some(Box::new(self.map.lock().clone())))));
        }
        self.log.lock().push(Attempt { node: self.id, group, epoch, bytes: query });
        self.step().await?;
        Ok(api::encode(&IndexView::Object(None)))
    }

    async fn heartbeat(&self, _report: Bytes) -> Result<Epoch, RpcError> {
        self.step().await?;
        Ok(self.map.lock().epoch)
    }

    async fn status(&self) -> Result<Bytes, RpcError> {
        self.step().await?;
        Ok(api::encode(&Vec::<consensus::Status>::new()))
    }
}

/// One partition, of group 5 in epoch `epoch`.
fn map(epoch: u64) -> ClusterMap {
    let mut map = (*MapCache::unknown().get()).clone();
    map.cluster = ClusterId::from_bytes([1; 16]);
    map.epoch = Epoch(epoch);
    let (group, epoch) = (GroupId(5), Epoch(epoch));
    map.partitions = vec![Partition { group, epoch, start: Vec::new(), end: None }];
    map
}

struct Fixture {
    nodes: BTreeMap<NodeId, Arc<Scripted>>,
    log: Arc<Mutex<Vec<Attempt>>>,
    client: Arc<MetadataClient>,
}

fn fixture(count: u64) -> Fixture {
    let log = Arc::new(Mutex::new(Vec::new()));
    let node = |id| {
        let scripted = Scripted {
            id: NodeId(id),
            steps: Mutex::default(),
            always: Mutex::new(Answer),
            log: log.clone(),
            map: Mutex::new(map(1)),
        };
        (NodeId(id), Arc::new(scripted))
    };
    let nodes: BTreeMap<NodeId, Arc<Scripted>> = (1..=count).map(node).collect();
    let services: BTreeMap<_, _> =
        nodes.iter().map(|(id, node)| (*id, node.clone() as Arc<dyn MetaService>)).collect();
    let cache = Arc::new(MapCache::new(map(1)));
    let client = Arc::new(MetadataClient::new(services, cache, MetadataSettings::default()));
    Fixture { nodes, log, client }
}

impl Fixture {
    fn node(&self, id: u64) -> &Scripted {
        &self.nodes[&NodeId(id)]
    }

    fn always(&self, id: u64, step: Step) {
        *self.node(id).always.lock() = step;
    }

    fn all(&self, step: Step) {
        self.nodes.values().for_each(|node| *node.always.lock() = step.clone());
    }

    fn asked(&self) -> Vec<u64> {
        self.log.lock().iter().map(|attempt| attempt.node.0).collect()
    }

    async fn delete(&self) -> Result<IndexAnswer, MetadataError> {
        self.client.index(BucketId(1), "key", delete_command()).await
    }

    async fn head(&self) -> Result<IndexView, MetadataError> {
        let query = IndexQuery::Head { bucket: BucketId(1), key: "key".into(), version: None };
        self.client.index_query(BucketId(1), "key", query).await
    }
}

fn delete_command() -> IndexCommand {
    IndexCommand::DeleteObject {
        bucket: BucketId(1),
        key: "key".into(),
        version: None,
        condition: Condition::None,
        bypass_governance: false,
        write: WriteId::from_bytes([8; 16]),
        origin: Default::default(),
    }
}

fn not_leader(leader: Option<u64>) -> Step {
    Fail(RpcErrorKind::NotLeader { leader: leader.map(NodeId) })
}

#[tokio::test(start_paused = true)]
async fn finds_the_leader_by_hints_and_remembers_it() {
    let f = fixture(3);
    f.all(not_leader(Some(2)));
    f.always(2, Answer);
    let began = Instant::now();
    assert_eq!(f.delete().await.expect("answered"), IndexAnswer::Done);
    assert_eq!(began.elapsed(), Duration::ZERO, "hints are followed at once");
    assert!(f.asked().len() <= 2 && f.asked().last() == Some(&2), "{:?}", f.asked());

    f.log.lock().clear();
    for _ in 0..5 {
        f.delete().await.expect("answered");
        f.head().await.expect("answered");
    }
    assert_eq!(f.asked(), [2; 10], "the leader is known now");

    // The leader moves.
    f.log.lock().clear();
    f.all(not_leader(Some(3)));
    f.always(3, Answer);
    f.delete().await.expect("answered");
    f.delete().await.expect("answered");
    assert_eq!(f.asked(), [2, 3, 3]);
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_dies_is_replaced_within_the_deadline() {
    let f = fixture(3);
    f.all(not_leader(None));
    f.always(1, Answer);
    f.delete().await.expect("node 1 leads");
    f.always(1, Fail(RpcErrorKind::Unreachable));
    let request = tokio::spawn({
        let client = f.client.clone();
        async move { client.index(BucketId(1), "key", delete_command()).await }
    });
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(!request.is_finished(), "the election takes its time");
    f.always(3, Answer);
    assert_eq!(request.await.expect("no panic").expect("answered"), IndexAnswer::Done);
}

#[tokio::test(start_paused = true)]
async fn replicas_that_point_at_each_other_do_not_spin_for_ever() {
    let f = fixture(2);
    f.always(1, not_leader(Some(2)));
    f.always(2, not_leader(Some(1)));
    let began = Instant::now();
    let error = f.delete().await.expect_err("nobody leads");
    assert!(matches!(error, MetadataError::Unavailable(_)), "{error:?}");
    let took = began.elapsed();
    assert!(took <= Duration::from_secs(10) && took > Duration::from_secs(9), "{took:?}");
    let attempts = f.asked().len();
    assert!((20..=120).contains(&attempts), "{attempts} attempts in 10 s");
}

#[tokio::test(start_paused = true)]
async fn unavailable_only_if_surely_not_applied() {
    for kind in [
        RpcErrorKind::Unreachable,
        RpcErrorKind::NotLeader { leader: None },
        RpcErrorKind::NotLeader { leader: Some(NodeId(99)) },
        RpcErrorKind::Busy,
        RpcErrorKind::NotFound,
        RpcErrorKind::StaleEpoch,
    ] {
        let f = fixture(3);
        f.all(Fail(kind.clone()));
        let error = f.delete().await.expect_err("nobody answers");
        assert!(matches!(error, MetadataError::Unavailable(_)), "{kind:?}: {error:?}");
        assert!(f.asked().len() >= 10, "{kind:?} was retried: {:?}", f.asked());
    }
}

#[tokio::test(start_paused = true)]
async fn one_attempt_of_unknown_outcome_makes_the_whole_unknown() {
    for step in [
        Fail(RpcErrorKind::Deadline),
        Fail(RpcErrorKind::Failed),
        Fail(RpcErrorKind::Corrupt),
        Fail(RpcErrorKind::NoSpace),
        Hang,
    ] {
        let f = fixture(3);
        f.all(Fail(RpcErrorKind::Unreachable));
        f.nodes.values().for_each(|node| node.steps.lock().push_back(step.clone()));
        let error = f.delete().await.expect_err("nobody answers");
        assert!(matches!(error, MetadataError::Unknown(_)), "{step:?}: {error:?}");

        // A query changes nothing, so there is nothing unknown about it.
        f.nodes.values().for_each(|node| node.steps.lock().push_back(step.clone()));
        let error = f.head().await.expect_err("nobody answers");
        assert!(matches!(error, MetadataError::Unavailable(_)), "{step:?}: {error:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn all_attempts_carry_the_same_bytes() {
    let f = fixture(3);
    for node in f.nodes.values() {
        node.steps.lock().extend([
            Fail(RpcErrorKind::Deadline),
            not_leader(None),
            Fail(RpcErrorKind::Failed),
        ]);
    }
    assert_eq!(f.delete().await.expect("in the end"), IndexAnswer::Done);
    let log = f.log.lock();
    assert!(log.len() >= 4, "{log:?}");
    let sent = api::encode(&delete_command());
    assert!(log.iter().all(|attempt| attempt.bytes == sent));
}

#[tokio::test(start_paused = true)]
async fn a_hanging_node_costs_one_attempt() {
    let f = fixture(3);
    f.all(not_leader(Some(1)));
    f.always(1, Hang);
    // Wherever the request begins, some follower still points at the node that hangs.
    f.node(2).steps.lock().push_back(not_leader(Some(1)));
    let request = tokio::spawn({
        let client = f.client.clone();
        async move { client.index(BucketId(1), "key", delete_command()).await }
    });
    tokio::time::sleep(Duration::from_millis(2900)).await;
    assert!(f.asked().contains(&1), "{:?}", f.asked());
    f.always(2, Answer);
    f.always(3, not_leader(Some(2)));
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(request.is_finished(), "3 s an attempt, then the next node: {:?}", f.asked());
    request.await.expect("no panic").expect("answered");
}

#[tokio::test(start_paused = true)]
async fn stale_epoch_fetches_the_map_and_routes_again() {
    let f = fixture(3);
    // The partition has moved to group 6 in epoch 2; whoever asks group 5 is stale.
    let mut newer = map(2);
    newer.partitions[0].group = GroupId(6);
    for node in f.nodes.values() {
        *node.map.lock() = newer.clone();
    }
    f.all(Answer);
    f.nodes.values().for_each(|node| {
        node.steps.lock().push_back(Fail(RpcErrorKind::StaleEpoch));
    });
    // Only the first attempt is stale in truth; let the others answer.
    let began = Instant::now();
    f.delete().await.expect("answered");
    assert!(began.elapsed() < Duration::from_millis(200), "{:?}", began.elapsed());
    let log = f.log.lock();
    let routes: Vec<_> = log.iter().map(|attempt| (attempt.group, attempt.epoch)).collect();
    assert_eq!(routes[0], (GroupId(5), Epoch(1)));
    assert!(routes.len() > 1 && routes[1..].iter().all(|r| *r == (GroupId(6), Epoch(2))));
    assert_eq!(f.client.map().epoch, Epoch(2));
    assert!(log.iter().all(|attempt| attempt.bytes == log[0].bytes), "one write id");
}

#[tokio::test(start_paused = true)]
async fn without_a_map_the_first_request_fetches_it() {
    let f = fixture(1);
    let node = f.nodes[&NodeId(1)].clone() as Arc<dyn MetaService>;
    let services = BTreeMap::from([(NodeId(1), node)]);
    let cache = Arc::new(MapCache::unknown());
    let client = MetadataClient::new(services, cache, MetadataSettings::default());
    client.index(BucketId(1), "key", delete_command()).await.expect("answered");
    assert_eq!(client.map().epoch, Epoch(1));
    let error = client.partition(GroupId(9), delete_command()).await.expect_err("no such group");
    assert!(matches!(error, MetadataError::Unavailable(_)), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn refusals_and_malformed_requests_are_final() {
    let f = fixture(3);
    f.all(Fail(RpcErrorKind::Refused));
    f.always(2, Answer);
    f.delete().await.expect("one node knows us");
    f.always(2, Fail(RpcErrorKind::Refused));
    let began = Instant::now();
    let error = f.delete().await.expect_err("all refuse");
    assert!(matches!(error, MetadataError::Internal(_)), "{error:?}");
    assert_eq!(began.elapsed(), Duration::ZERO);

    // Followers point at a leader that refuses.
    f.all(not_leader(Some(2)));
    f.always(2, Fail(RpcErrorKind::Refused));
    let error = f.delete().await.expect_err("the leader refuses");
    assert!(matches!(error, MetadataError::Internal(_)), "{error:?}");
    assert_eq!(began.elapsed(), Duration::ZERO);

    f.log.lock().clear();
    f.all(Fail(RpcErrorKind::Invalid));
    let error = f.delete().await.expect_err("malformed");
    assert!(matches!(error, MetadataError::Internal(_)), "{error:?}");
    assert_eq!(f.asked().len(), 1);

    // But what may have been applied before stays unknown.
    f.nodes.values().for_each(|node| node.steps.lock().push_back(Fail(RpcErrorKind::Deadline)));
    let error = f.delete().await.expect_err("malformed for the second node");
    assert!(matches!(error, MetadataError::Unknown(_)), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn no_nodes_is_unavailable() {
    let f = fixture(0);
    let error = f.client.root(RootCommand::CancelDeleteBucket { id: BucketId(1) }).await;
    assert!(matches!(error, Err(MetadataError::Unavailable(_))), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn hello_prefers_a_node_that_knows_its_cluster() {
    let f = fixture(3);
    let hello = f.client.hello(NodeId(77)).await.expect("answered");
    assert_eq!(hello.cluster, Some(ClusterId::from_bytes([1; 16])));
    f.always(2, Hang);
    f.always(3, Fail(RpcErrorKind::Unreachable));
    let hello = f.client.hello(NodeId(77)).await.expect("answered");
    assert_eq!((hello.node, hello.cluster), (NodeId(1), None));
    f.all(Hang);
    let error = f.client.hello(NodeId(77)).await.expect_err("nobody");
    assert!(matches!(error, MetadataError::Unavailable(_)), "{error:?}");

    let status = f.client.status_all().await;
    assert_eq!(status.len(), 3);
    assert!(status.values().all(|answer| answer.is_err()));
    f.always(3, Answer);
    assert!(f.client.status_all().await[&NodeId(3)].is_ok());
}

#[tokio::test(start_paused = true)]
async fn the_map_stays_fresh() {
    let f = fixture(1);
    let client = f.client.clone();
    let keeping = tokio::spawn(async move { client.keep_map_fresh().await });
    tokio::time::sleep(Duration::from_millis(100)).await;
    *f.node(1).map.lock() = map(2);
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(f.client.map().epoch, Epoch(2), "by the clock");

    *f.node(1).map.lock() = map(3);
    let report = HeartbeatReport { node: NodeId(9), disks: Vec::new() };
    assert_eq!(f.client.heartbeat(&report).await.expect("taken"), Epoch(3));
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(f.client.map().epoch, Epoch(3), "at once, because somebody saw a newer epoch");
    keeping.abort();
}

fn registered(id: u64) -> (NodeId, Node) {
    let node = Node {
        id: NodeId(id),
        instance: InstanceId::from_bytes([7; 16]),
        role: Role::Meta,
        address: id.to_string(),
        location: Location::default(),
        level: FeatureLevel::OURS,
    };
    (node.id, node)
}

/// Every configured node was replaced while the process ran: it must find the others by the map,
/// and the configured ones again if it missed too much.
#[tokio::test(start_paused = true)]
async fn the_nodes_of_the_map_replace_those_of_the_configuration() {
    let f = fixture(6);
    let configured = (1..=3).map(|id| (NodeId(id), id.to_string())).collect();
    let services = f.nodes.clone();
    let nodes = MetaNodes::connecting(&configured, move |address| {
        services[&NodeId(address.parse().expect("the address is the id"))].clone()
    });
    let cache = Arc::new(MapCache::new(map(1)));
    let client = MetadataClient::new(nodes, cache.clone(), MetadataSettings::default());
    let delete = || client.index(BucketId(1), "key", delete_command());

    f.all(not_leader(None));
    f.always(2, Answer);
    delete().await.expect("a configured node leads");
    assert!(f.asked().iter().all(|id| *id <= 3), "{:?}", f.asked());

    // Node 4 is registered; node 1, which is not yet, leads, and 4 says so.
    let mut newer = map(2);
    newer.partitions = map(1).partitions;
    newer.nodes = BTreeMap::from([registered(4)]);
    assert!(cache.offer(newer.clone()));
    f.all(Fail(RpcErrorKind::Unreachable));
    f.always(4, not_leader(Some(1)));
    f.always(1, Answer);
    delete().await.expect("the one that is named leads");
    assert_eq!(f.asked().last(), Some(&1));

    newer.epoch = Epoch(3);
    newer.nodes = BTreeMap::from([registered(4), registered(5), registered(6)]);
    assert!(cache.offer(newer));
    f.all(Fail(RpcErrorKind::Unreachable));
    f.always(5, Answer);
    f.log.lock().clear();
    delete().await.expect("a new node leads");
    f.log.lock().clear();
    delete().await.expect("and again");
    assert_eq!(f.asked(), [5], "the leader is remembered");
    assert_eq!(client.status_all().await.keys().map(|id| id.0).collect::<Vec<_>>(), [4, 5, 6]);

    // None of them is there any more.
    f.all(Fail(RpcErrorKind::Unreachable));
    f.always(3, Answer);
    delete().await.expect("the configured ones are asked in the end");
}
