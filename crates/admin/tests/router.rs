//! The port as its clients see it: every path, every status, the token, the JSON shapes, the
//! transitions of health, over a source whose answers the test decides.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};

use admin::{
    AdminSource, ClusterHealth, Refused, ShardCounts, Status, WorkerStatus,
    model::{
        AddDisk, AddedDisk, CheckState, CheckStatus, DiskChange, DiskShards, JoinSettings,
        NodeChange, Place, Progress, RaftStatus, Round, WorkerCommand, WorkerState,
    },
};
use async_trait::async_trait;
use axum::{
    Router,
    body::Body,
    http::{HeaderMap, Request, StatusCode, header},
};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;
use types::{
    ClusterId, ClusterMap, Disk, DiskClass, DiskId, DiskState, DiskUuid, Epoch, ErasurePolicy,
    FeatureLevel, GroupId, InstanceId, Location, Node, NodeId, Partition, PgId, PlacementGroup,
    Role, StorageClass, StorageClasses,
};

const TOKEN: &str = "token-of-the-test";

/// A source that says what the test put in.
struct Fake(Mutex<State>);

struct State {
    ready: Result<(), String>,
    cluster: Result<ClusterHealth, String>,
    hangs: bool,
    map: ClusterMap,
    /// What was asked for, and what is answered.
    changes: Vec<String>,
    answer: Result<(), Refused>,
}

impl Fake {
    fn change(&self, what: String) -> Result<(), Refused> {
        let mut state = self.0.lock().expect("not poisoned");
        state.changes.push(what);
        state.answer.clone()
    }
}

#[async_trait]
impl AdminSource for Fake {
    async fn ready(&self) -> Result<(), String> {
        self.0.lock().expect("not poisoned").ready.clone()
    }

    async fn cluster(&self) -> Result<ClusterHealth, String> {
        let (hangs, answer) = {
            let state = self.0.lock().expect("not poisoned");
            (state.hangs, state.cluster.clone())
        };
        if hangs {
            std::future::pending::<()>().await;
        }
        answer
    }

    async fn shards(&self) -> Result<ShardCounts, String> {
        let counted = DiskShards { disk: 1, pending: Some(2), confirmed: Some(40), error: None };
        let silent = DiskShards {
            disk: 2,
            pending: None,
            confirmed: None,
            error: Some("it does not answer".to_owned()),
        };
        let more = DiskShards { disk: 3, pending: Some(0), confirmed: Some(1), error: None };
        self.0.lock().expect("not poisoned").cluster.clone()?;
        Ok(ShardCounts::of(vec![counted, silent, more]))
    }

    async fn map(&self) -> Result<Arc<ClusterMap>, String> {
        let state = self.0.lock().expect("not poisoned");
        state.cluster.clone().map(|_| Arc::new(state.map.clone()))
    }

    async fn command_worker(&self, name: &str, command: WorkerCommand) -> Result<(), Refused> {
        self.change(format!("{name} {command:?}"))
    }

    async fn finalise_level(&self, level: u32) -> Result<(), Refused> {
        self.change(format!("level {level}"))
    }

    async fn add_meta(&self, node: u64, address: Option<String>) -> Result<(), Refused> {
        self.change(format!("add metadata node {node} {address:?}"))
    }

    async fn remove_meta(&self, node: u64, force: bool) -> Result<(), Refused> {
        self.change(format!("remove metadata node {node} {force}"))
    }

    async fn start_check(&self, verify: bool) -> Result<CheckStatus, Refused> {
        self.change(format!("check {verify}"))?;
        Ok(CheckStatus { state: CheckState::Running, number: 1, verify, ..CheckStatus::none() })
    }

    async fn cancel_check(&self) -> Result<CheckStatus, Refused> {
        self.change("no check".to_owned())?;
        Ok(CheckStatus { state: CheckState::Cancelled, number: 1, ..CheckStatus::none() })
    }

    async fn add_disk(&self, request: AddDisk) -> Result<AddedDisk, Refused> {
        let AddDisk { node, path, class } = request;
        self.change(format!("add {node:?} {path:?} {class:?}"))?;
        let path = path.unwrap_or_default();
        Ok(AddedDisk { disk: 7, node: 3, path, class: "hot".to_owned() })
    }

    async fn start_scrub(&self) -> Result<(), Refused> {
        self.change("scrub".to_owned())
    }

    async fn change_disk(&self, disk: u32, change: DiskChange) -> Result<(), Refused> {
        self.change(format!("disk {disk} {change:?}"))
    }

    async fn change_node(&self, node: u64, change: NodeChange) -> Result<(), Refused> {
        self.change(format!("node {node} {change:?}"))
    }

    async fn join_settings(&self) -> Result<JoinSettings, Refused> {
        Ok(JoinSettings {
            meta: vec!["1@10.0.0.1:7000".to_owned()],
            policy: "rs-2-1".to_owned(),
            partitions: 1,
            domain: "node".to_owned(),
        })
    }

    async fn workers(&self) -> Result<Vec<WorkerStatus>, String> {
        let idle = WorkerStatus {
            name: "repair".to_owned(),
            state: WorkerState::Idle,
            progress: None,
            rate: None,
            detail: "nothing to repair".to_owned(),
            round: None,
            last_round: None,
            place: None,
            eta_ms: None,
            last_failure: None,
            throttle_percent: Some(100),
            node: Some(1),
        };
        let progress = Progress { done: 5, total: Some(10), unit: "bytes".to_owned() };
        Ok(vec![
            idle.clone(),
            WorkerStatus {
                name: "scrub d1".to_owned(),
                state: WorkerState::Busy,
                progress: Some(progress),
                rate: Some(2.5),
                round: Some(Round { began_ms: 100, looked_at: 5, ..Round::default() }),
                last_round: Some(Round {
                    began_ms: 10,
                    ended_ms: Some(20),
                    looked_at: 10,
                    counts: BTreeMap::from([("repaired".to_owned(), 1)]),
                }),
                place: Some(Place { within: "d1".to_owned(), at: "a/b".to_owned() }),
                eta_ms: Some(7),
                last_failure: Some("no room".to_owned()),
                node: None,
                ..idle
            },
        ])
    }
}

/// Two metadata nodes, three data nodes with a disk each, one group of 2+1 and one partition.
fn map() -> ClusterMap {
    let policy = ErasurePolicy::new(2, 1).expect("valid");
    let node = |id| Node {
        id: NodeId(id),
        instance: InstanceId::from_bytes([id as u8; 16]),
        role: if id <= 2 { Role::Meta } else { Role::Data },
        address: format!("10.0.0.{id}:7000"),
        location: Location { zone: String::new(), rack: format!("r{id}") },
        level: FeatureLevel::OURS,
    };
    let disk = |id: u32| Disk {
        id: DiskId(id),
        uuid: DiskUuid::from_bytes([id as u8; 16]),
        node: NodeId(u64::from(id) + 2),
        capacity_bytes: 1000,
        state: DiskState::In,
        class: DiskClass::Hot,
    };
    ClusterMap {
        cluster: ClusterId::from_bytes([0xAB; 16]),
        epoch: Epoch(7),
        level: FeatureLevel::OURS,
        policy,
        classes: StorageClasses::new(policy),
        nodes: (1..=5).map(|id| (NodeId(id), node(id))).collect(),
        disks: (1..=3).map(|id| (DiskId(id), disk(id))).collect(),
        groups: BTreeMap::from([(
            PgId(1),
            PlacementGroup {
                id: PgId(1),
                epoch: Epoch(1),
                policy,
                class: DiskClass::Hot,
                disks: vec![DiskId(1), DiskId(2), DiskId(3)],
                former: Vec::new(),
            },
        )]),
        partitions: vec![Partition {
            group: GroupId(1),
            epoch: Epoch(3),
            start: vec![0x0A, 0xFF],
            end: None,
        }],
        down: BTreeSet::new(),
        used_bytes: BTreeMap::from([(DiskId(1), 250)]),
    }
}

fn replica(node: u64, group: u32, leader: Option<u64>) -> RaftStatus {
    RaftStatus {
        node,
        group,
        term: 4,
        leader,
        last_log_index: 20,
        applied_index: 19,
        snapshot_index: 10,
        voters: vec![1, 2],
        stopped: None,
    }
}

fn healthy() -> ClusterHealth {
    let raft = vec![replica(1, 0, Some(1)), replica(1, 1, Some(2))];
    ClusterHealth::of(&map(), &BTreeSet::new(), raft)
}

struct Port {
    source: Arc<Fake>,
    router: Router,
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    text: String,
}

impl Answer {
    fn json(&self) -> Value {
        assert_eq!(self.headers[header::CONTENT_TYPE], "application/json");
        assert_eq!(self.headers[header::CACHE_CONTROL], "no-store");
        serde_json::from_str(&self.text).expect("JSON")
    }
}

impl Port {
    fn new() -> Self {
        let state = State {
            ready: Ok(()),
            cluster: Ok(healthy()),
            hangs: false,
            map: map(),
            changes: Vec::new(),
            answer: Ok(()),
        };
        let source = Arc::new(Fake(Mutex::new(state)));
        let metrics = telemetry::metrics::install();
        let router = admin::router(Arc::clone(&source) as Arc<dyn AdminSource>, metrics, TOKEN);
        Self { source, router }
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.source.0.lock().expect("not poisoned"));
    }

    async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.expect("infallible");
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.expect("in memory").to_bytes();
        let text = String::from_utf8(bytes.to_vec()).expect("UTF-8");
        Answer { status: parts.status, headers: parts.headers, text }
    }

    async fn get(&self, path: &str) -> Answer {
        self.send(Request::get(path).body(Body::empty()).expect("valid")).await
    }

    async fn admin(&self, path: &str, authorization: &str) -> Answer {
        let request = Request::get(path).header(header::AUTHORIZATION, authorization);
        self.send(request.body(Body::empty()).expect("valid")).await
    }
}

impl Port {
    async fn post(&self, path: &str, body: &str) -> Answer {
        let request = Request::post(path).header(header::AUTHORIZATION, bearer());
        self.send(request.body(Body::from(body.to_owned())).expect("valid")).await
    }

    /// What was asked for since the last call.
    fn changes(&self) -> Vec<String> {
        std::mem::take(&mut self.source.0.lock().expect("not poisoned").changes)
    }
}

fn bearer() -> String {
    format!("Bearer {TOKEN}")
}

#[tokio::test]
async fn health_follows_the_source_under_both_names() {
    let port = Port::new();
    for prefix in ["/health", "/minio/health"] {
        for what in ["live", "ready", "cluster"] {
            let answer = port.get(&format!("{prefix}/{what}")).await;
            assert_eq!((answer.status, answer.json()), (StatusCode::OK, json!({"status": "ok"})));
        }
    }
    assert_eq!(port.get("/health/cluster").await.headers["x-shardlake-write-quorum"], "3");

    port.change(|state| state.ready = Err("draining".to_owned()));
    let unready = port.get("/health/ready").await;
    assert_eq!(unready.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(unready.json(), json!({"status": "unavailable", "reason": "draining"}));
    assert_eq!(port.get("/health/live").await.status, StatusCode::OK);

    port.change(|state| state.ready = Ok(()));
    assert_eq!(port.get("/health/ready").await.status, StatusCode::OK);
}

fn set_policy(map: &mut ClusterMap, class: StorageClass, policy: &str) {
    let profile = map.classes.profile(class);
    let policy = policy.parse().expect("valid");
    map.classes.set(class, types::StorageProfile { policy, ..profile });
}

#[test]
fn a_class_shows_the_disks_that_stand_in_for_its_own() {
    let mut map = map();
    set_policy(&mut map, StorageClass::DeepArchive, "rs-8-4");
    let group = map.groups[&PgId(1)].clone();
    let cold = PlacementGroup { id: PgId(2), class: DiskClass::Cold, ..group };
    map.groups.insert(PgId(2), cold);
    let health = ClusterHealth::of(&map, &BTreeSet::new(), vec![]);
    let row = |class: StorageClass| {
        let row = health.classes.iter().find(|row| row.class == class.as_str()).expect("all");
        (row.disks.as_str(), row.used_disks.as_deref(), row.groups, row.writable)
    };
    assert_eq!(row(StorageClass::Standard), ("hot", Some("hot"), 1, 1));
    assert_eq!(row(StorageClass::StandardIa), ("warm", Some("hot"), 1, 1));
    assert_eq!(row(StorageClass::Glacier), ("cold", Some("cold"), 1, 1));
    assert_eq!(row(StorageClass::DeepArchive), ("cold", None, 0, 0));
}

/// The map and the Raft states of each bad state, and what the port says of it.
#[tokio::test]
async fn cluster_health_says_what_is_missing() {
    let port = Port::new();
    let led = || vec![replica(1, 0, Some(1)), replica(1, 1, Some(2))];
    let with = |change: fn(&mut ClusterMap), raft: Vec<RaftStatus>| {
        let mut map = map();
        change(&mut map);
        ClusterHealth::of(&map, &BTreeSet::new(), raft)
    };
    let mut stopped = replica(1, 0, Some(1));
    stopped.stopped = Some("fsync failed".to_owned());
    let one_down = |map: &mut ClusterMap| {
        map.down.insert(DiskId(1));
    };
    let two_down = |map: &mut ClusterMap| {
        map.down.insert(DiskId(1));
        map.disks.get_mut(&DiskId(2)).expect("there").state = DiskState::Out;
    };
    let wants_what_is_not_there = |map: &mut ClusterMap| {
        set_policy(map, StorageClass::Glacier, "rs-8-4");
    };
    let without_standard = |map: &mut ClusterMap| {
        set_policy(map, StorageClass::Standard, "rs-3-1");
    };
    let cases = [
        (with(|_| {}, led()), None),
        (with(|_| {}, vec![]), Some("the root group has no leader")),
        (with(|_| {}, vec![stopped]), Some("the root group has no leader")),
        (
            with(|_| {}, vec![replica(1, 0, Some(1)), replica(2, 1, None)]),
            Some("1 of 1 index partitions have no leader"),
        ),
        (with(|map| map.partitions.clear(), led()), Some("there are no index partitions yet")),
        (with(wants_what_is_not_there, led()), None),
        (with(without_standard, led()), Some("none of 0 placement groups has 4 disks up")),
        (with(|map| map.groups.clear(), led()), Some("none of 0 placement groups has 3 disks up")),
        (with(one_down, led()), Some("none of 1 placement groups has 3 disks up")),
        (with(two_down, led()), Some("1 of 1 placement groups have too few disks up to be read")),
    ];
    for (cluster, reason) in cases {
        let quorum = cluster.write_quorum.to_string();
        port.change(|state| state.cluster = Ok(cluster));
        let answer = port.get("/health/cluster").await;
        match reason {
            None => assert_eq!(answer.status, StatusCode::OK),
            Some(reason) => {
                assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{reason}");
                let said = answer.json()["reason"].as_str().expect("text").to_owned();
                assert!(said.starts_with(reason), "{said}");
            }
        }
        assert_eq!(answer.headers["x-shardlake-write-quorum"], *quorum);
    }
    port.change(|state| state.cluster = Err("no metadata node answers".to_owned()));
    let answer = port.get("/health/cluster").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.json()["reason"], "no metadata node answers");
}

#[test]
fn groups_are_counted_by_what_they_can_do_and_nodes_by_their_disks() {
    let mut map = map();
    map.policy = ErasurePolicy::new(4, 2).expect("valid");
    let group = |id: u32, disks: std::ops::Range<u32>| PlacementGroup {
        id: PgId(id),
        epoch: Epoch(1),
        policy: map.policy,
        class: DiskClass::Hot,
        disks: disks.map(DiskId).collect(),
        former: Vec::new(),
    };
    // Ten groups of six among disks 1 to 15; disks 1, 2 and 3 are down.
    let groups = (1..=10).map(|id| (PgId(id), group(id, id..id + 6))).collect();
    let template = map.disks[&DiskId(1)].clone();
    map.disks =
        (1..=15).map(|id| (DiskId(id), Disk { id: DiskId(id), ..template.clone() })).collect();
    map.groups = groups;
    map.down = (1..=3).map(DiskId).collect();
    let health = ClusterHealth::of(&map, &BTreeSet::new(), vec![]);
    // Group 1 lost three, group 2 two, group 3 one, the others none.
    let groups = serde_json::to_value(health.groups).expect("serialises");
    let expected =
        json!({"total": 10, "healthy": 7, "writable": 8, "readable": 9, "unreadable": 1});
    assert_eq!(groups, expected);
    assert!(health.nodes.iter().all(|node| node.up), "no node lost all its disks");

    map.down = (1..=15).map(DiskId).collect();
    let silent = BTreeSet::from([NodeId(2)]);
    let health = ClusterHealth::of(&map, &silent, vec![]);
    let down: Vec<u64> = health.nodes.iter().filter(|node| !node.up).map(|node| node.id).collect();
    assert_eq!(down, [2, 3], "2 is silent, 3 has all the disks");
}

#[tokio::test]
async fn admin_paths_need_the_token() {
    let port = Port::new();
    for path in [
        "status", "nodes", "disks", "classes", "shards", "workers", "map", "upgrade", "check",
        "join", "unknown",
    ] {
        let path = format!("/admin/v1/{path}");
        for wrong in ["", "Bearer ", "Bearer token-of-the-tesT", "Bearer token", "Basic x", TOKEN] {
            let answer = port.admin(&path, wrong).await;
            assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{path} {wrong}");
            assert_eq!(
                answer.headers[header::WWW_AUTHENTICATE],
                "Bearer realm=\"shardlake admin\""
            );
            assert_eq!(answer.json()["error"]["code"], "Unauthorized");
        }
        assert_eq!(port.get(&path).await.status, StatusCode::UNAUTHORIZED);
        let expected = if path.ends_with("unknown") { 404 } else { 200 };
        assert_eq!(port.admin(&path, &bearer()).await.status, expected, "{path}");
        let lower = format!("bearer {TOKEN}");
        assert_eq!(port.admin(&path, &lower).await.status, expected, "{path}");
    }
    let source = Arc::clone(&port.source) as Arc<dyn AdminSource>;
    let open = admin::router(source, telemetry::metrics::install(), "");
    let request = Request::get("/admin/v1/status").header(header::AUTHORIZATION, "Bearer ");
    let answer = open.oneshot(request.body(Body::empty()).expect("valid")).await;
    assert_eq!(answer.expect("infallible").status(), StatusCode::UNAUTHORIZED);
}

/// Scripts read these shapes: fields may be added here, none may change or go.
#[tokio::test]
async fn the_json_shapes_are_golden() {
    let port = Port::new();
    let nodes: Vec<Value> = (1..=5)
        .map(|id| {
            json!({
                "id": id, "role": if id <= 2 { "meta" } else { "data" },
                "address": format!("10.0.0.{id}:7000"), "zone": "", "rack": format!("r{id}"),
                "up": true, "level": 1, "disks": usize::from(id > 2),
            })
        })
        .collect();
    let disks: Vec<Value> = (1..=3)
        .map(|id| {
            json!({
                "id": id, "node": id + 2, "class": "hot", "state": "in", "groups": 1, "up": true,
                "used_bytes": if id == 1 { 250 } else { 0 }, "capacity_bytes": 1000,
            })
        })
        .collect();
    // The cluster has hot disks only, and rs-2-1 has no coding chunk to spare.
    let class = |name: &str, disks: &str, compression: &str| {
        json!({
            "class": name, "policy": "rs-2-1", "disks": disks, "used_disks": "hot",
            "compression": compression, "groups": 1, "writable": 1,
        })
    };
    let classes = json!([
        class("STANDARD", "hot", "none"),
        class("REDUCED_REDUNDANCY", "hot", "none"),
        class("STANDARD_IA", "warm", "zstd"),
        class("INTELLIGENT_TIERING", "hot", "zstd"),
        class("ONEZONE_IA", "warm", "zstd"),
        class("GLACIER_IR", "cold", "zstd"),
        class("GLACIER", "cold", "zstd"),
        class("DEEP_ARCHIVE", "cold", "zstd"),
    ]);
    let shards = json!({
        "total": 43, "pending": 2, "confirmed": 41, "complete": false,
        "disks": [
            {"disk": 1, "pending": 2, "confirmed": 40, "error": null},
            {"disk": 2, "pending": null, "confirmed": null, "error": "it does not answer"},
            {"disk": 3, "pending": 0, "confirmed": 1, "error": null},
        ],
    });
    let workers = json!([
        {
            "name": "repair", "state": "idle", "progress": null, "rate": null,
            "detail": "nothing to repair", "round": null, "last_round": null, "place": null,
            "eta_ms": null, "last_failure": null, "throttle_percent": 100, "node": 1,
        },
        {
            "name": "scrub d1", "state": "busy",
            "progress": {"done": 5, "total": 10, "unit": "bytes"}, "rate": 2.5,
            "detail": "nothing to repair",
            "round": {"began_ms": 100, "ended_ms": null, "looked_at": 5, "counts": {}},
            "last_round":
                {"began_ms": 10, "ended_ms": 20, "looked_at": 10, "counts": {"repaired": 1}},
            "place": {"within": "d1", "at": "a/b"}, "eta_ms": 7, "last_failure": "no room",
            "throttle_percent": 100, "node": null,
        },
    ]);
    let raft = |group, leader| {
        json!({
            "node": 1, "group": group, "term": 4, "leader": leader, "last_log_index": 20,
            "applied_index": 19, "snapshot_index": 10, "voters": [1, 2], "stopped": null,
        })
    };
    let cluster = json!({
        "cluster": "ab".repeat(16), "epoch": 7, "policy": "rs-2-1", "domain": null,
        "write_quorum": 3, "root_leader": 1,
        "groups": {"total": 1, "healthy": 1, "writable": 1, "readable": 1, "unreadable": 0},
        "classes": classes, "nodes": nodes, "disks": disks,
        "partitions": [{"group": 1, "epoch": 3, "start": "0aff", "end": null, "leader": 2}],
        "raft": [raft(0, 1), raft(1, 2)],
    });
    assert_eq!(port.admin("/admin/v1/nodes", &bearer()).await.json(), cluster["nodes"]);
    assert_eq!(port.admin("/admin/v1/disks", &bearer()).await.json(), cluster["disks"]);
    assert_eq!(port.admin("/admin/v1/classes", &bearer()).await.json(), cluster["classes"]);
    assert_eq!(port.admin("/admin/v1/shards", &bearer()).await.json(), shards);
    assert_eq!(port.admin("/admin/v1/workers", &bearer()).await.json(), workers);
    let status = port.admin("/admin/v1/status", &bearer()).await;
    let expected = json!({
        "version": env!("CARGO_PKG_VERSION"), "ready": true, "ready_reason": null,
        "healthy": true, "health_reason": null, "cluster": cluster, "workers": workers,
        "check": serde_json::to_value(CheckStatus::none()).expect("serialises"),
    });
    assert_eq!(status.json(), expected);
    let read: Status = serde_json::from_str(&status.text).expect("clients read it back");
    assert_eq!(serde_json::to_value(read).expect("serialises"), expected);
}

/// Every path that changes something, with a body that it takes, and what the source is asked for.
const CHANGES: [(&str, &str, &str); 16] = [
    ("workers/scrub/throttle", r#"{"percent":250}"#, "scrub Throttle(250)"),
    ("workers/scrub/cancel", "", "scrub Cancel"),
    ("workers/scrub/start", "", "scrub Start"),
    ("upgrade/finalise", r#"{"level":1}"#, "level 1"),
    ("scrub/start", "", "scrub"),
    ("meta/4/add", r#"{"address":"m:1"}"#, "add metadata node 4 Some(\"m:1\")"),
    ("meta/4/remove", r#"{"force":true}"#, "remove metadata node 4 true"),
    ("check", r#"{"verify":true}"#, "check true"),
    ("check/cancel", "", "no check"),
    ("disks/4/drain", "", "disk 4 Drain"),
    ("disks/4/undrain", "", "disk 4 Undrain"),
    ("disks/4/remove", "", "disk 4 Remove"),
    ("disks/4/replace", r#"{"with":9}"#, "disk 4 Replace { with: 9 }"),
    ("nodes/1004/drain", "", "node 1004 Drain"),
    ("nodes/1004/remove", "", "node 1004 Remove"),
    ("disks", r#"{"path":"/srv/d"}"#, "add None Some(\"/srv/d\") None"),
];

#[tokio::test]
async fn changes_are_posts_with_the_token_and_refusals_say_why() {
    let port = Port::new();
    // So that there is a level to finalise.
    port.change(|state| state.map.level = FeatureLevel(0));
    for (path, body, asked) in CHANGES {
        let path = format!("/admin/v1/{path}");
        let without = Request::post(&path).body(Body::from(body)).expect("valid");
        assert_eq!(port.send(without).await.status, StatusCode::UNAUTHORIZED, "{path}");
        let get = port.admin(&path, &bearer()).await.status;
        let shows = ["/admin/v1/check", "/admin/v1/disks"].contains(&path.as_str());
        let expected = if shows { StatusCode::OK } else { StatusCode::METHOD_NOT_ALLOWED };
        assert_eq!(get, expected, "{path}");
        assert_eq!(port.changes(), Vec::<String>::new(), "{path}: nothing was asked for");

        let done = port.post(&path, body).await;
        assert!(done.status.is_success(), "{path}: {} {}", done.status, done.text);
        assert_eq!(port.changes(), [asked]);

        for (refused, status, code) in [
            (Refused::NotFound("no".to_owned()), StatusCode::NOT_FOUND, "NotFound"),
            (Refused::Conflict("no".to_owned()), StatusCode::CONFLICT, "Refused"),
            (Refused::Invalid("no".to_owned()), StatusCode::BAD_REQUEST, "Invalid"),
            (Refused::Unavailable("no".to_owned()), StatusCode::SERVICE_UNAVAILABLE, "Unavailable"),
        ] {
            port.change(|state| state.answer = Err(refused));
            let answer = port.post(&path, body).await;
            assert_eq!(answer.status, status, "{path}");
            assert_eq!(answer.json()["error"], json!({"code": code, "message": "no"}));
        }
        port.change(|state| state.answer = Ok(()));
        port.changes();

        let long = port.post(&path, &" ".repeat(65_537)).await;
        assert_eq!(long.status, StatusCode::PAYLOAD_TOO_LARGE, "{path}");
        if !body.is_empty() {
            // An empty body says nothing, which some paths take for their defaults.
            for wrong in ["{", "[]", r#"{"unknown":1}"#, r#"{"percent":-1}"#, r#"{"level":""}"#] {
                let answer = port.post(&path, wrong).await;
                assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{path} {wrong}");
                assert!(answer.json()["error"]["message"].is_string());
            }
        }
        assert_eq!(port.changes(), Vec::<String>::new(), "{path}: nothing was asked for");
    }
}

#[tokio::test]
async fn a_level_is_finalised_when_every_node_knows_it() {
    let port = Port::new();
    let finalise = "/admin/v1/upgrade/finalise";
    let status = port.admin("/admin/v1/upgrade", &bearer()).await.json();
    assert_eq!((&status["level"], &status["known"]), (&json!(1), &json!(1)));
    assert_eq!(status["next"], Value::Null);
    assert_eq!(status["nodes"][0], json!({"node": 1, "address": "10.0.0.1:7000", "level": 1}));
    let nothing = status["reason"].as_str().expect("why").to_owned();
    assert!(nothing.contains("nothing to finalise"), "{nothing}");
    let answer = port.post(finalise, r#"{"level":2}"#).await;
    assert_eq!(answer.status, StatusCode::CONFLICT);
    assert_eq!(answer.json()["error"]["message"], nothing);

    port.change(|state| state.map.level = FeatureLevel(0));
    port.change(|state| {
        state.map.nodes.get_mut(&NodeId(4)).expect("there").level = FeatureLevel(0);
    });
    let answer = port.post(finalise, r#"{"level":1}"#).await;
    assert_eq!(answer.status, StatusCode::CONFLICT);
    let old = answer.json()["error"]["message"].as_str().expect("why").to_owned();
    assert!(old.starts_with("the software of node n4 at 10.0.0.4:7000 knows level 0"), "{old}");
    assert_eq!(port.changes(), Vec::<String>::new());

    port.change(|state| state.map.nodes = map().nodes);
    assert_eq!(port.admin("/admin/v1/upgrade", &bearer()).await.json()["next"], 1);
    let answer = port.post(finalise, r#"{"level":2}"#).await;
    assert_eq!(answer.status, StatusCode::CONFLICT, "another than the asker saw");
    assert_eq!(port.post(finalise, r#"{"level":1}"#).await.json(), json!({"level": 1}));
    assert_eq!(port.changes(), ["level 1"]);
}

#[tokio::test]
async fn there_are_no_other_changes() {
    let port = Port::new();
    for path in ["disks/4/wipe", "disks/x/drain", "disks/-1/drain", "nodes/4/undrain", "disks/4"] {
        let answer = port.post(&format!("/admin/v1/{path}"), "").await;
        assert!(answer.status.is_client_error(), "{path}: {}", answer.status);
    }
    assert_eq!(port.changes(), Vec::<String>::new());
}

#[tokio::test]
async fn checks_and_joining_have_golden_shapes() {
    let port = Port::new();
    let none = json!({
        "state": "none", "number": 0, "verify": false, "progress": null, "reason": null,
        "faults": [], "report": null,
    });
    assert_eq!(port.admin("/admin/v1/check", &bearer()).await.json(), none);
    let begun = port.post("/admin/v1/check", "").await;
    assert_eq!(begun.status, StatusCode::ACCEPTED);
    assert_eq!(begun.json()["state"], "running");
    assert_eq!(port.changes(), ["check false"], "an empty body is a check without reading");
    let expected = json!({
        "meta": ["1@10.0.0.1:7000"], "policy": "rs-2-1", "partitions": 1, "domain": "node",
    });
    assert_eq!(port.admin("/admin/v1/join", &bearer()).await.json(), expected);
}

/// Tools compute with it, also those of another build: it must come back as it was.
#[tokio::test]
async fn the_map_comes_whole() {
    let port = Port::new();
    let answer = port.admin("/admin/v1/map", &bearer()).await;
    let read: ClusterMap = serde_json::from_str(&answer.text).expect("a map");
    assert_eq!(read, map());
}

#[tokio::test]
async fn an_unknown_cluster_is_said_not_guessed() {
    let port = Port::new();
    port.change(|state| state.cluster = Err("no metadata node answers".to_owned()));
    let status = port.admin("/admin/v1/status", &bearer()).await;
    assert_eq!(status.status, StatusCode::OK);
    let status = status.json();
    assert_eq!((&status["cluster"], &status["healthy"]), (&Value::Null, &json!(false)));
    assert_eq!(status["health_reason"], "no metadata node answers");
    for path in ["nodes", "disks", "classes", "shards", "map", "upgrade"] {
        let path = format!("/admin/v1/{path}");
        let answer = port.admin(&path, &bearer()).await;
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
        let error = json!({"code": "Unavailable", "message": "no metadata node answers"});
        assert_eq!(answer.json()["error"], error);
    }
}

#[tokio::test(start_paused = true)]
async fn a_source_that_hangs_is_given_up() {
    let port = Port::new();
    port.change(|state| state.hangs = true);
    let answer = port.get("/health/cluster").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.json()["reason"], "the cluster's state could not be learnt in 5 s");
}

/// One test for all that is in the process's one registry.
#[tokio::test]
async fn metrics_are_those_of_the_process_and_of_the_cluster_now() {
    let port = Port::new();
    metrics::counter!("admin_test_total").increment(2);
    let answer = port.get("/metrics").await;
    assert_eq!(answer.headers[header::CONTENT_TYPE], "text/plain; version=0.0.4; charset=utf-8");
    for line in [
        "admin_test_total 2",
        "shardlake_cluster_healthy 1",
        "shardlake_cluster_known 1",
        "shardlake_placement_groups{state=\"writable\"} 1",
        "shardlake_storage_class_groups{class=\"GLACIER\",state=\"writable\"} 1",
        "shardlake_node_up{node=\"1\",role=\"meta\"} 1",
        "shardlake_disk_used_bytes{disk=\"1\",node=\"3\"} 250",
        "shardlake_raft_is_leader{group=\"0\",node=\"1\"} 1",
        "shardlake_raft_is_leader{group=\"1\",node=\"1\"} 0",
        "shardlake_raft_applied_index{group=\"1\",node=\"1\"} 19",
    ] {
        assert!(answer.text.lines().any(|there| there == line), "{line} in\n{}", answer.text);
    }
    port.change(|state| state.cluster = Err("no metadata node answers".to_owned()));
    let text = port.get("/metrics").await.text;
    for line in ["shardlake_cluster_healthy 0", "shardlake_cluster_known 0"] {
        assert!(text.lines().any(|there| there == line), "{line} in\n{text}");
    }
}

#[tokio::test]
async fn unknown_paths_and_methods_are_refused_in_json() {
    let port = Port::new();
    for path in ["/nothing", "/health", "/health/else", "/admin", "/minio", "/metrics/x"] {
        let answer = port.get(path).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
        assert_eq!(answer.json()["error"]["code"], "NotFound");
    }
    for path in ["/health/live", "/metrics", "/"] {
        let request = Request::post(path).body(Body::empty()).expect("valid");
        let answer = port.send(request).await;
        assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "{path}");
        assert_eq!(answer.json()["error"]["code"], "MethodNotAllowed");
    }
}

#[tokio::test]
async fn what_is_too_long_is_refused() {
    let port = Port::new();
    let long = port.get(&format!("/health/live?{}", "x".repeat(5000))).await;
    assert_eq!(long.status, StatusCode::URI_TOO_LONG);
    let request = Request::get("/health/live").header("x-long", "x".repeat(17_000));
    let long = port.send(request.body(Body::empty()).expect("valid")).await;
    assert_eq!(long.status, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    let request = Request::get("/health/live").body(Body::from(vec![0; 65_537])).expect("valid");
    assert_eq!(port.send(request).await.status, StatusCode::PAYLOAD_TOO_LARGE);
    let request = Request::get("/health/live").body(Body::from(vec![0; 65_536])).expect("valid");
    assert_eq!(port.send(request).await.status, StatusCode::OK);
}

#[tokio::test]
async fn the_page_is_complete_and_runs_nothing_from_elsewhere() {
    let port = Port::new();
    let page = port.get("/").await;
    for (path, kind) in
        [("/", "text/html"), ("/status.js", "text/javascript"), ("/status.css", "text/css")]
    {
        let answer = port.get(path).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}");
        let given = answer.headers[header::CONTENT_TYPE].to_str().expect("text");
        assert!(given.starts_with(kind), "{path}: {given}");
        let policy = answer.headers[header::CONTENT_SECURITY_POLICY].to_str().expect("text");
        assert!(policy.starts_with("default-src 'none'; script-src 'self';"), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(answer.headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
        for elsewhere in ["http://", "https://", "//cdn", "innerHTML", "eval(", "style=", "onclick"]
        {
            assert!(!answer.text.contains(elsewhere), "{path} has {elsewhere}");
        }
    }
    // What the script looks up is there.
    let script = port.get("/status.js").await.text;
    let ids = script.split("byId(\"").skip(1).filter_map(|rest| rest.split('"').next());
    for id in ids.chain([
        "facts",
        "groups",
        "classes",
        "nodes",
        "disks",
        "partitions",
        "workers",
        "check",
    ]) {
        assert!(page.text.contains(&format!("id=\"{id}\"")), "{id}");
    }
}
