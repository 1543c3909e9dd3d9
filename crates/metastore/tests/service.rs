//! The service of a metadata node over groups in memory.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::sync::Arc;

use bytes::Bytes;
use consensus::{ConsensusGroup, Error, Status};
use metastore::{
    Controller, ControllerSettings, DiskReport, HeartbeatReport, LocalGroup, MetaNode,
    api::{
        self, IndexAnswer, IndexCommand, IndexQuery, IndexView, RootAnswer, RootCommand, RootQuery,
        RootView,
        index::{BucketChange, Data, ObjectUpdate, Origin, Renamed},
        root::{BUCKET_CONFIG_BYTES_MAX, ConfigKind, WORKERS_BYTES_MAX},
    },
    bootstrap,
    controller::{ControllerError, Step},
    heartbeat::REPORT_TTL_MS,
    local::Fault,
    presplit,
    service::NodeStatus,
};
use placement::Domain;
use platform::ManualClock;
use proto::{RpcErrorKind, meta::MetaService};
use types::{
    BucketId, BucketLock, BucketSettings, ClusterId, ClusterMap, Condition, DefaultRetention,
    DiskId, DiskUuid, Epoch, ErasurePolicy, FeatureLevel, GroupId, InstanceId, Location, NodeId,
    Partition, Period, RetentionMode, Role, UnixMillis, VersionId, Versioning,
};

const NODE: NodeId = NodeId(1);
const ROOT: GroupId = GroupId::ROOT;

struct Cluster {
    node: Arc<MetaNode>,
    root: Arc<LocalGroup>,
    partitions: Vec<Arc<LocalGroup>>,
    clock: Arc<ManualClock>,
}

impl Cluster {
    /// One node, not bootstrapped, two partitions.
    fn new() -> Self {
        let clock = Arc::new(ManualClock::new(1_000_000));
        let root = Arc::new(LocalGroup::root(NODE, clock.clone()));
        let partitions: Vec<_> = [1, 2]
            .map(|group| Arc::new(LocalGroup::index(GroupId(group), NODE, clock.clone())))
            .into();
        let node = MetaNode::new(NODE, Default::default(), clock.clone());
        node.host(root.clone());
        for partition in &partitions {
            node.host(partition.clone());
        }
        Self { node: Arc::new(node), root, partitions, clock }
    }

    async fn bootstrapped() -> Self {
        let cluster = Self::new();
        bootstrap(cluster.root.clone(), id(), policy(), presplit(2)).await.unwrap();
        cluster
    }

    async fn root(&self, command: RootCommand) -> RootAnswer {
        let answer = self.node.propose(ROOT, Epoch(0), api::encode(&command)).await.unwrap();
        api::decode(&answer).unwrap()
    }

    async fn register(&self, instance: u8, disks: u8) -> NodeId {
        let node = match self
            .root(RootCommand::RegisterNode {
                id: None,
                instance: InstanceId::from_bytes([instance; 16]),
                role: Role::Data,
                address: "data:1".into(),
                location: Location::default(),
                level: FeatureLevel::OURS,
            })
            .await
        {
            RootAnswer::Node(node) => node,
            other => panic!("{other:?}"),
        };
        for disk in 0..disks {
            let uuid = DiskUuid::from_bytes([instance * 16 + disk; 16]);
            let answer = self.root(RootCommand::RegisterDisk {
                uuid,
                node,
                capacity_bytes: 1000,
                class: Default::default(),
            });
            assert!(matches!(answer.await, RootAnswer::Disk(_)));
        }
        node
    }

    async fn map(&self) -> ClusterMap {
        let query = api::encode(&RootQuery::Map);
        match api::decode(&self.node.query(ROOT, Epoch(0), query).await.unwrap()).unwrap() {
            RootView::Map(Some(map)) => *map,
            other => panic!("{other:?}"),
        }
    }

    async fn refusal(&self, group: u32, epoch: u64, command: &IndexCommand) -> RpcErrorKind {
        let command = api::encode(command);
        self.node.propose(GroupId(group), Epoch(epoch), command).await.unwrap_err().kind
    }

    async fn heartbeat(&self, node: NodeId, disks: &[(u32, bool)]) -> Result<Epoch, RpcErrorKind> {
        let disks = disks
            .iter()
            .map(|(id, readable)| DiskReport {
                id: DiskId(*id),
                used_bytes: u64::from(*id) * 10,
                capacity_bytes: 1000,
                writable: true,
                readable: *readable,
            })
            .collect();
        let report = HeartbeatReport { node, disks }.encode();
        self.node.heartbeat(report).await.map_err(|error| error.kind)
    }
}

fn id() -> ClusterId {
    ClusterId::from_bytes([9; 16])
}

fn policy() -> ErasurePolicy {
    ErasurePolicy::new(2, 1).unwrap()
}

fn delete(bucket: u64, key: &str) -> IndexCommand {
    IndexCommand::DeleteObject {
        bucket: BucketId(bucket),
        key: key.into(),
        version: None,
        condition: Condition::None,
        bypass_governance: false,
        write: common::write_id(1),
        origin: Default::default(),
    }
}

fn open(bucket: BucketId) -> Bytes {
    api::encode(&IndexCommand::OpenBucket { bucket, settings: BucketSettings::default() })
}

#[tokio::test]
async fn a_command_is_applied_and_a_query_sees_it() {
    let cluster = Cluster::bootstrapped().await;
    let (group, epoch, bucket) = (GroupId(1), Epoch(1), BucketId(3));
    let open = open(bucket);
    let answer = cluster.node.propose(group, epoch, open).await.unwrap();
    assert_eq!(api::decode::<IndexAnswer>(&answer).unwrap(), IndexAnswer::Done);
    let head = |bucket| api::encode(&IndexQuery::Head { bucket, key: "k".into(), version: None });
    let view = cluster.node.query(group, epoch, head(bucket)).await.unwrap();
    assert_eq!(api::decode::<IndexView>(&view).unwrap(), IndexView::Object(None));
    let view = cluster.node.query(group, epoch, head(BucketId(4))).await.unwrap();
    assert_eq!(api::decode::<IndexView>(&view).unwrap(), IndexView::BucketNotOpen);
}

#[tokio::test]
async fn the_leader_shows_its_workers_and_nobody_else_does() {
    let cluster = Cluster::bootstrapped().await;
    let query = api::encode(&RootQuery::Workers);
    let ask = || async {
        let view = cluster.node.query(ROOT, Epoch(0), query.clone()).await;
        view.map(|view| api::decode::<RootView>(&view).unwrap()).map_err(|error| error.kind)
    };
    assert_eq!(ask().await, Ok(RootView::Workers(None)));
    cluster.node.show_workers(|| Bytes::from_static(b"list"));
    assert_eq!(ask().await, Ok(RootView::Workers(Some(Bytes::from_static(b"list")))));
    cluster.node.show_workers(|| Bytes::from(vec![0; WORKERS_BYTES_MAX + 1]));
    assert_eq!(ask().await, Err(RpcErrorKind::Failed));
    cluster.root.set_leader(None);
    assert!(matches!(ask().await, Err(RpcErrorKind::NotLeader { .. })));
}

#[tokio::test]
async fn nothing_that_a_client_sends_halts_a_group() {
    let cluster = Cluster::bootstrapped().await;
    let mut unknown = api::encode(&IndexCommand::Tick).to_vec();
    unknown[0] = 2;
    for bytes in [&b""[..], b"\x01", b"\x01\xff", b"\x02\x00", b"\xff\xff\xff", &unknown] {
        for group in [0, 1] {
            let bytes = Bytes::copy_from_slice(bytes);
            let proposed = cluster.node.propose(GroupId(group), Epoch(1), bytes.clone()).await;
            assert_eq!(proposed.unwrap_err().kind, RpcErrorKind::Invalid, "{bytes:?}");
            let asked = cluster.node.query(GroupId(group), Epoch(1), bytes.clone()).await;
            assert_eq!(asked.unwrap_err().kind, RpcErrorKind::Invalid, "{bytes:?}");
            let report = cluster.node.heartbeat(bytes).await;
            assert_eq!(report.unwrap_err().kind, RpcErrorKind::Invalid);
        }
    }
    let too_long = [delete(1, &"k".repeat(1025)), delete(1, "")];
    let parts = |parts| IndexCommand::CompleteUpload {
        bucket: BucketId(1),
        key: "k".into(),
        upload: common::upload_id(1),
        condition: Condition::None,
        parts,
        etag: types::ETag { md5: [0; 16], parts: 1 },
        checksum: None,
        size: None,
        write: common::write_id(2),
        origin: Default::default(),
        renamed: None,
    };
    let too_many = [
        parts((1..=10_001).map(|number| (number, [0; 16])).collect()),
        parts(vec![(2, [0; 16]), (1, [0; 16])]),
        parts(vec![(0, [0; 16])]),
        parts(Vec::new()),
    ];
    let tags = |count| IndexCommand::UpdateObject {
        bucket: BucketId(1),
        key: "k".into(),
        version: None,
        update: ObjectUpdate::Tags((0..count).map(|n| (format!("{n}"), String::new())).collect()),
        write: common::write_id(3),
        origin: Default::default(),
    };
    let lock = |period| BucketLock {
        default: Some(DefaultRetention { mode: RetentionMode::Governance, period }),
    };
    let locked = |period| IndexCommand::ConfigureBucket {
        bucket: BucketId(1),
        change: BucketChange::Lock(lock(period)),
        write: common::write_id(4),
    };
    let unversioned = BucketSettings {
        versioning: Versioning::Off,
        lock: Some(BucketLock::default()),
        events: false,
    };
    let renaming = |from: &str, request_id: usize| IndexCommand::PutObject {
        bucket: BucketId(1),
        key: "k".into(),
        condition: Condition::None,
        size: 0,
        etag: types::ETag { md5: [0; 16], parts: 0 },
        attributes: Default::default(),
        checksum: None,
        data: Data::Inline(Bytes::new()),
        renamed: Some(Renamed { from: from.to_owned(), version: VersionId::MAX }),
        origin: Origin { request_id: "r".repeat(request_id), ..Origin::default() },
        write: common::write_id(5),
        deadline: UnixMillis(u64::MAX),
    };
    let restore = |readable_ms, day_ms| IndexCommand::UpdateObject {
        bucket: BucketId(1),
        key: "k".into(),
        version: None,
        update: ObjectUpdate::Restore { ready_after_ms: 0, readable_ms, day_ms },
        origin: Default::default(),
        write: common::write_id(6),
    };
    let replace = |old: u64, missing: &[u8], number| IndexCommand::ReplaceBlob {
        bucket: BucketId(1),
        key: "k".into(),
        version: VersionId::MAX,
        part: Some((common::upload_id(1), number)),
        old: common::blob_ref(old, 1).id,
        new: common::compressed(2, 5000),
        missing: missing.to_vec(),
        write: common::write_id(7),
        deadline: UnixMillis(u64::MAX),
    };
    // A blob that says of itself that it holds less than the object has.
    let mut short = renaming("from", 0);
    if let IndexCommand::PutObject { size, data, renamed, .. } = &mut short {
        let (blob, missing) = (common::compressed(3, 5000), Vec::new());
        (*size, *data, *renamed) = (blob.size, Data::Blob { blob, missing }, None);
    }
    let meaningless = [
        renaming("k", 0),
        renaming("", 0),
        renaming(&"k".repeat(1025), 0),
        renaming("from", 256),
        restore(0, 1),
        restore(1, 0),
        replace(2, &[], 1),
        replace(1, &[], 0),
        replace(1, &[], 10_001),
        replace(1, &[1, 2], 1),
        replace(1, &[6], 1),
        short,
        tags(11),
        locked(Period::Days(0)),
        locked(Period::Days(36_501)),
        locked(Period::Years(101)),
        IndexCommand::OpenBucket { bucket: BucketId(1), settings: unversioned },
    ];
    for command in too_long.iter().chain(&too_many).chain(&meaningless) {
        assert_eq!(cluster.refusal(1, 1, command).await, RpcErrorKind::Invalid);
    }
    for name in ["ab", &"b".repeat(64)] {
        let (name, id, initial) = ((*name).into(), BucketId(1), BucketSettings::default());
        let create = RootCommand::CreateBucket { name, id, initial };
        let refused = cluster.node.propose(ROOT, Epoch(0), api::encode(&create)).await;
        assert_eq!(refused.unwrap_err().kind, RpcErrorKind::Invalid);
    }
    let config = |name: usize, bytes: usize| RootCommand::SetBucketConfig {
        id: BucketId(1),
        kind: ConfigKind::Cors,
        name: "n".repeat(name),
        value: Some(Bytes::from(vec![1; bytes])),
    };
    let (worker, cursor) = ("w".to_owned(), Bytes::from(vec![1; 8193]));
    for command in [
        config(65, 1),
        config(0, BUCKET_CONFIG_BYTES_MAX + 1),
        RootCommand::SaveCursor { worker, cursor },
        RootCommand::SaveCursor { worker: String::new(), cursor: Bytes::new() },
    ] {
        let refused = cluster.node.propose(ROOT, Epoch(0), api::encode(&command)).await;
        assert_eq!(refused.unwrap_err().kind, RpcErrorKind::Invalid);
    }
    // The largest document that is allowed fits into what a group takes as one command.
    assert!(api::encode(&config(64, BUCKET_CONFIG_BYTES_MAX)).len() < 1 << 20);
    assert_eq!(cluster.partitions[0].status().applied_index, 0);
    for group in [&cluster.root, &cluster.partitions[0]] {
        assert_eq!(group.status().stopped, None);
    }
    // The longest key there is.
    let longest = api::encode(&delete(1, &"k".repeat(1024)));
    assert!(cluster.node.propose(GroupId(1), Epoch(1), longest).await.is_ok());
    for command in [
        tags(10),
        locked(Period::Days(36_500)),
        locked(Period::Years(1)),
        renaming("from", 255),
        restore(1, 1),
        replace(1, &[5], 10_000),
    ] {
        let command = api::encode(&command);
        assert!(cluster.node.propose(GroupId(1), Epoch(1), command).await.is_ok());
    }
}

/// No entry of one group can remove a key of another group: the caller is told, instead of being
/// told that there is no such key.
#[tokio::test]
async fn a_renaming_stays_in_its_partition() {
    let cluster = Cluster::new();
    let mut partitions = presplit(2);
    let border = Partition::position(BucketId(3), "m");
    (partitions[0].end, partitions[1].start) = (Some(border.clone()), border);
    bootstrap(cluster.root.clone(), id(), policy(), partitions).await.unwrap();
    for group in [1, 2] {
        let open = open(BucketId(3));
        cluster.node.propose(GroupId(group), Epoch(1), open).await.unwrap();
    }
    let renaming = |from: &str| IndexCommand::PutObject {
        bucket: BucketId(3),
        key: "a".into(),
        condition: Condition::None,
        size: 0,
        etag: types::ETag { md5: [0; 16], parts: 0 },
        attributes: Default::default(),
        checksum: None,
        data: Data::Inline(Bytes::new()),
        renamed: Some(Renamed { from: from.to_owned(), version: VersionId::MAX }),
        origin: Origin::default(),
        write: common::write_id(1),
        deadline: UnixMillis(u64::MAX),
    };
    assert_eq!(cluster.refusal(1, 1, &renaming("z")).await, RpcErrorKind::Invalid);
    let asked = api::encode(&renaming("b"));
    let answer = cluster.node.propose(GroupId(1), Epoch(1), asked).await.unwrap();
    assert_eq!(api::decode::<IndexAnswer>(&answer).unwrap(), IndexAnswer::NoSuchKey);
}

#[tokio::test]
async fn requests_for_another_directory_are_stale() {
    let cluster = Cluster::new();
    // No directory yet.
    assert_eq!(cluster.refusal(1, 1, &delete(1, "k")).await, RpcErrorKind::StaleEpoch);
    bootstrap(cluster.root.clone(), id(), policy(), presplit(2)).await.unwrap();
    for (group, epoch, bucket) in [(1, 0, 1), (1, 2, 1), (1, 1, u64::MAX), (2, 1, 1)] {
        let kind = cluster.refusal(group, epoch, &delete(bucket, "k")).await;
        assert_eq!(kind, RpcErrorKind::StaleEpoch, "{group} {epoch} {bucket}");
        let query = IndexQuery::List {
            bucket: BucketId(bucket),
            prefix: String::new(),
            delimiter: None,
            after: None,
            limit: 1,
        };
        let refused = cluster.node.query(GroupId(group), Epoch(epoch), api::encode(&query)).await;
        assert_eq!(refused.unwrap_err().kind, RpcErrorKind::StaleEpoch);
    }
    let other = cluster.refusal(3, 1, &delete(1, "k")).await;
    assert_eq!(other, RpcErrorKind::NotLeader { leader: None });
    // Commands of workers name the partition by its group.
    let tick = api::encode(&IndexCommand::Tick);
    assert!(cluster.node.propose(GroupId(2), Epoch(1), tick).await.is_ok());
    assert_eq!(cluster.partitions[0].status().applied_index, 0);
}

#[tokio::test]
async fn errors_of_groups_say_what_to_do_next() {
    let cluster = Cluster::bootstrapped().await;
    let group = GroupId(1);
    let leader = Some(NodeId(2));
    for (error, kind) in [
        (Error::NotLeader { group, leader }, RpcErrorKind::NotLeader { leader }),
        (Error::Busy { group }, RpcErrorKind::Busy),
        (Error::UnknownOutcome { group }, RpcErrorKind::Deadline),
        (Error::NoQuorum { group }, RpcErrorKind::Unreachable),
        (Error::Stopped { group, reason: "disk".into() }, RpcErrorKind::Failed),
    ] {
        cluster.partitions[0].inject([Fault::Before(error)]);
        assert_eq!(cluster.refusal(1, 1, &IndexCommand::Tick).await, kind);
    }
    assert_eq!(cluster.partitions[0].status().applied_index, 0);
    cluster.partitions[0].inject([Fault::After(Error::UnknownOutcome { group })]);
    let unknown = cluster.refusal(1, 1, &IndexCommand::Tick).await;
    assert_eq!(unknown, RpcErrorKind::Deadline);
    assert_eq!(cluster.partitions[0].status().applied_index, 1);
    cluster.partitions[0].set_leader(leader);
    let query = api::encode(&IndexQuery::Repairs { after: None, limit: 1 });
    let refused = cluster.node.query(group, Epoch(1), query).await.unwrap_err();
    assert_eq!(refused.kind, RpcErrorKind::NotLeader { leader });
}

#[tokio::test]
async fn hello_and_status() {
    let cluster = Cluster::new();
    let hello = cluster.node.hello(NodeId(1001)).await.unwrap();
    assert_eq!((hello.cluster, hello.node, hello.known_instance), (None, NODE, None));
    bootstrap(cluster.root.clone(), id(), policy(), presplit(2)).await.unwrap();
    let node = cluster.register(1, 0).await;
    let hello = cluster.node.hello(node).await.unwrap();
    assert_eq!(hello.cluster, Some(id()));
    assert_eq!(hello.known_instance, Some(InstanceId::from_bytes([1; 16])));
    assert_eq!(cluster.node.hello(NodeId(5)).await.unwrap().known_instance, None);
    let status: NodeStatus = api::decode(&cluster.node.status().await.unwrap()).unwrap();
    let groups: Vec<GroupId> = status.iter().map(|status: &Status| status.group).collect();
    assert_eq!(groups, [ROOT, GroupId(1), GroupId(2)]);
}

#[tokio::test]
async fn silent_nodes_are_down_after_a_while() {
    let cluster = Cluster::bootstrapped().await;
    let (a, b) = (cluster.register(1, 2).await, cluster.register(2, 1).await);
    let down = async || cluster.map().await.down.into_iter().map(|d| d.0).collect::<Vec<_>>();
    // Nobody has reported, but this leader is new.
    assert_eq!(down().await, [0; 0]);
    cluster.clock.advance(REPORT_TTL_MS);
    assert_eq!(down().await, [0; 0]);
    let epoch = cluster.heartbeat(a, &[(1, true), (2, false)]).await.unwrap();
    assert_eq!(epoch, cluster.map().await.epoch);
    // A disk that cannot be read is down at once, a silent node after the grace.
    assert_eq!(down().await, [2]);
    cluster.clock.advance(1);
    assert_eq!(down().await, [2, 3]);
    assert_eq!(cluster.map().await.used_bytes, [(DiskId(1), 10), (DiskId(2), 20)].into());
    cluster.heartbeat(b, &[(3, true)]).await.unwrap();
    assert_eq!(down().await, [2]);
    cluster.clock.advance(REPORT_TTL_MS);
    assert_eq!(down().await, [1, 2]);
    cluster.clock.advance(1);
    assert_eq!(down().await, [1, 2, 3]);
    // A new leader starts anew.
    cluster.root.set_leader(Some(NODE));
    assert_eq!(down().await, [0; 0]);
    cluster.heartbeat(b, &[(3, true)]).await.unwrap();
    cluster.clock.advance(REPORT_TTL_MS + 1);
    assert_eq!(down().await, [1, 2, 3]);
    // A node that comes back without a disk does not serve it, whatever it was.
    cluster.heartbeat(b, &[(3, true)]).await.unwrap();
    cluster.heartbeat(a, &[(2, false)]).await.unwrap();
    assert_eq!(down().await, [1, 2]);
    cluster.heartbeat(a, &[(1, true), (2, false)]).await.unwrap();
    assert_eq!(down().await, [2]);
    // Another one leads: nobody here takes reports or answers.
    cluster.root.set_leader(Some(NodeId(2)));
    let refused = cluster.heartbeat(b, &[]).await.unwrap_err();
    assert_eq!(refused, RpcErrorKind::NotLeader { leader: Some(NodeId(2)) });
    cluster.root.set_leader(Some(NODE));
    let unknown = cluster.heartbeat(NodeId(77), &[]).await.unwrap_err();
    assert_eq!(unknown, RpcErrorKind::Refused);
}

#[tokio::test(start_paused = true)]
async fn bootstrap_goes_on_until_it_is_done() {
    let group = ROOT;
    let clock = Arc::new(ManualClock::new(5));
    let root = Arc::new(LocalGroup::root(NODE, clock));
    root.inject([
        Fault::Before(Error::NotLeader { group, leader: None }),
        Fault::Before(Error::NoQuorum { group }),
        Fault::Before(Error::Busy { group }),
        Fault::After(Error::UnknownOutcome { group }),
    ]);
    bootstrap(root.clone(), id(), policy(), presplit(4)).await.unwrap();
    let applied = root.status().applied_index;
    bootstrap(root.clone(), id(), policy(), presplit(4)).await.unwrap();
    assert_eq!(root.status().applied_index, applied);
    let other = ClusterId::from_bytes([1; 16]);
    for attempt in [
        bootstrap(root.clone(), other, policy(), presplit(4)).await,
        bootstrap(root.clone(), id(), ErasurePolicy::new(4, 2).unwrap(), presplit(4)).await,
        bootstrap(root.clone(), id(), policy(), presplit(2)).await,
    ] {
        assert!(attempt.unwrap_err().to_string().contains("4 partitions, not"));
    }
    root.shutdown().await;
    assert!(bootstrap(root, id(), policy(), presplit(4)).await.is_err());
}

#[tokio::test]
async fn the_controller_makes_the_first_groups_once() {
    let cluster = Cluster::new();
    let settings = ControllerSettings::new(3, Domain::Node);
    let controller = Controller::new(cluster.node.clone(), settings);
    assert_eq!(controller.step().await.unwrap(), Step::NotBootstrapped);
    bootstrap(cluster.root.clone(), id(), policy(), presplit(2)).await.unwrap();
    cluster.register(1, 2).await;
    assert_eq!(controller.step().await.unwrap(), Step::WaitingForDisks(2));
    cluster.register(2, 1).await;
    // Three disks, but only two nodes: a group of three must not share one.
    assert!(matches!(controller.step().await, Err(ControllerError::Placement(_))));
    cluster.register(3, 1).await;
    cluster.root.set_leader(None);
    assert_eq!(controller.step().await.unwrap(), Step::NotLeading);
    cluster.root.set_leader(Some(NODE));
    let Step::Created(created) = controller.step().await.unwrap() else { panic!() };
    let map = cluster.map().await;
    assert_eq!(map.groups.len(), created);
    for group in map.groups.values() {
        let nodes: std::collections::BTreeSet<_> =
            group.disks.iter().map(|disk| map.node_of(*disk).unwrap().id).collect();
        assert_eq!(nodes.len(), 3);
    }
    assert_eq!(controller.step().await.unwrap(), Step::Settled);
    assert_eq!(cluster.map().await.groups, map.groups);
}

#[tokio::test]
async fn a_group_in_memory_behaves_as_a_replica() {
    let clock = Arc::new(ManualClock::new(100));
    let group = LocalGroup::index(GroupId(1), NODE, clock.clone());
    let open = open(BucketId(1));
    group.propose(open.clone()).await.unwrap();
    assert_eq!(group.status().applied_index, 1);
    group.set_leader(None);
    assert!(matches!(group.propose(open.clone()).await, Err(Error::NotLeader { .. })));
    assert!(matches!(group.read_barrier().await, Err(Error::NotLeader { .. })));
    group.set_leader(Some(NODE));
    // A command that the machine does not know stops the group, as in Raft.
    let halted = group.propose(Bytes::from_static(b"\xff")).await;
    assert!(matches!(halted, Err(Error::Stopped { .. })));
    assert!(matches!(group.propose(open).await, Err(Error::Stopped { .. })));
    assert!(group.status().stopped.is_some());
    let groups = metastore::local::groups(
        NODE,
        id(),
        policy(),
        presplit(3),
        &(clock as Arc<dyn platform::Clock>),
    );
    assert_eq!(groups.unwrap().len(), 4);
}

/// A rolling upgrade by the root group's eyes: N+1 joins a cluster of N, the level is raised only
/// when nobody knows less, and from then on N is sent away with what to do.
#[tokio::test]
async fn two_versions_live_together_until_the_newer_is_finalised() {
    let cluster = Cluster::bootstrapped().await;
    let (old, new) = (FeatureLevel::OURS, FeatureLevel(FeatureLevel::OURS.0 + 1));
    let register = |id: u64, level| RootCommand::RegisterNode {
        id: Some(NodeId(id)),
        instance: InstanceId::from_bytes([u8::try_from(id).unwrap(); 16]),
        role: Role::Meta,
        address: format!("meta-{id}:7000"),
        location: Location::default(),
        level,
    };
    let refused = |answer: RootAnswer| match answer {
        RootAnswer::Refused(reason) => reason,
        other => panic!("{other:?}"),
    };
    let level = || async { cluster.node.hello(NodeId(9)).await.unwrap().level };
    assert_eq!(cluster.root(register(1, old)).await, RootAnswer::Node(NodeId(1)));
    assert_eq!(cluster.root(register(2, old)).await, RootAnswer::Node(NodeId(2)));
    // One is upgraded, another one joins with the new software.
    assert_eq!(cluster.root(register(1, new)).await, RootAnswer::Node(NodeId(1)));
    assert_eq!(cluster.root(register(3, new)).await, RootAnswer::Node(NodeId(3)));
    assert_eq!(level().await, Some(old));
    let early = refused(cluster.root(RootCommand::FinaliseLevel { level: new }).await);
    assert!(early.contains("node n2 at meta-2:7000") && early.contains("upgrade it"), "{early}");
    // Until then the old software can come back.
    assert_eq!(cluster.root(register(1, old)).await, RootAnswer::Node(NodeId(1)));

    for id in 1..=3 {
        assert_eq!(cluster.root(register(id, new)).await, RootAnswer::Node(NodeId(id)));
    }
    let finalise = RootCommand::FinaliseLevel { level: new };
    assert_eq!(cluster.root(finalise.clone()).await, RootAnswer::Done);
    assert_eq!(cluster.root(finalise).await, RootAnswer::Done);
    assert_eq!(level().await, Some(new));
    for id in [2, 4] {
        let late = refused(cluster.root(register(id, old)).await);
        assert!(late.contains("is at feature level 2, this software knows level 1"), "{late}");
    }
    // Two steps at once are none.
    let far = FeatureLevel(new.0 + 2);
    assert!(refused(cluster.root(register(5, far)).await).contains("knows level 4"));
}
