//! Events on their way to webhooks: in order per key, at least once, whatever the receivers do
//! and however often the worker begins again; and rows that nobody waits for go.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use metastore::api::{
    IndexCommand, IndexQuery, IndexView, RootQuery, RootView,
    index::{BucketChange, Event, ObjectUpdate, Origin, Reason},
    root::ConfigKind,
};
use notification::{Bucket, Configuration, Destination, Filter, Notification};
use objects::{Objects, request::Delete};
use rand::{Rng, SeedableRng, rngs::StdRng};
use repair::{
    EventDeliverer, Worker,
    events::{Settings, Target},
};
use types::{BucketSettings, StorageClass};

use crate::{
    receiver::{Answer, Arrival, Receiver},
    support::{
        BUCKET, TestCluster, content, delete, delete_request, delete_version, enable_versioning,
        put, put_request,
    },
};

const RETENTION_MS: u64 = 60_000;

/// Short rests: a test waits for nothing but what it asks for.
fn settings(targets: &[(&str, String)]) -> Settings {
    let target = |(name, url): &(&str, String)| Target::new(name, url, Some("t0ken"));
    Settings {
        targets: targets.iter().map(|it| target(it).expect("valid")).collect(),
        retention_ms: RETENTION_MS,
        interval_ms: 1,
        request_ms_max: 250,
        rest_ms_min: 1,
        rest_ms_max: 4,
    }
}

fn configuration(target: &str, prefix: &str) -> Configuration {
    let families = ["ObjectCreated", "ObjectRemoved", "ObjectTagging", "ObjectRestore"];
    let events = families.map(|family| format!("s3:{family}:*")).to_vec();
    Configuration {
        id: format!("{target}{prefix}"),
        destination: Destination::Queue,
        arn: format!("arn:aws:sqs:us-east-1:000000000000:{target}"),
        events: [events, vec!["s3:LifecycleTransition".to_owned()]].concat(),
        filter: Filter { prefix: Some(prefix.to_owned()), suffix: None },
    }
}

/// As the protocol layer does it: the gate first.
async fn tell(objects: &Objects, bucket: &str, target: &str, event_bridge: bool) {
    objects.configure_bucket(bucket, BucketChange::Events(true)).await.expect("the bucket");
    let notification = Notification {
        bucket: Bucket { name: bucket.to_owned(), ..Bucket::default() },
        configurations: vec![configuration(target, "")],
        event_bridge,
    };
    let value = Some(notification.encode().into());
    objects.set_bucket_config(bucket, ConfigKind::Notification, value).await.expect("the bucket");
}

/// All rows of all partitions.
async fn outbox(cluster: &TestCluster, objects: &Objects) -> Vec<Event> {
    let mut all = Vec::new();
    for group in cluster.groups() {
        let mut after = None;
        loop {
            let query = IndexQuery::Events { after, limit: 1000 };
            match objects.metadata().partition_query(group, query).await.expect("up") {
                IndexView::Events(page) if page.is_empty() => break,
                IndexView::Events(page) => {
                    after = page.last().map(|event| event.number);
                    all.extend(page);
                }
                other => panic!("{other:?}"),
            }
        }
    }
    all
}

/// One turn of the worker's life.
async fn turn(worker: &mut EventDeliverer) {
    worker.work().await.expect("it never fails as a whole");
    worker.wait_for_work().await;
}

/// The worker's life until so many rows are left.
async fn run_until_left(
    worker: &mut EventDeliverer,
    (cluster, objects): (&TestCluster, &Objects),
    rows: usize,
) {
    let done = async {
        while outbox(cluster, objects).await.len() != rows {
            turn(worker).await;
        }
    };
    let end = tokio::time::timeout(Duration::from_secs(120), done).await;
    let left = outbox(cluster, objects).await.len();
    assert!(end.is_ok(), "{left} rows are left instead of {rows}: {}", worker.status().1);
}

async fn tag(objects: &Objects, key: &str, value: Option<&str>) {
    let tags = value.map(|value| ("k".to_owned(), value.to_owned())).into_iter().collect();
    let reason = match value {
        Some(_) => Reason::PutObjectTagging,
        None => Reason::DeleteObjectTagging,
    };
    let origin = Origin { reason, ..Origin::default() };
    objects.update(BUCKET, key, None, ObjectUpdate::Tags(tags), origin).await.expect("it is there");
}

/// No event of a key arrives before all earlier ones of the key were taken, not even to be
/// refused.
fn assert_in_order(arrivals: &[Arrival]) {
    let mut by_key: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for arrival in arrivals {
        by_key.entry(arrival.key()).or_default().insert(arrival.sequencer());
    }
    let mut taken: BTreeSet<(&str, &str)> = BTreeSet::new();
    for arrival in arrivals {
        for earlier in by_key[arrival.key()].range(..arrival.sequencer()) {
            assert!(taken.contains(&(arrival.key(), earlier)), "{arrival:?} overtook {earlier}");
        }
        if matches!(arrival.answer, Answer::Take | Answer::TakeAndClose) {
            taken.insert((arrival.key(), arrival.sequencer()));
        }
    }
}

/// A receiver that does what its seed says; the kinds of faults that it meets are all there.
fn moody(seed: u64) -> impl FnMut() -> Answer + Send {
    let mut random = StdRng::seed_from_u64(seed);
    move || match random.random_range(0..40) {
        0..28 => Answer::Take,
        28..33 => Answer::Refuse,
        33..35 => Answer::Redirect,
        35..37 => Answer::Close,
        37..39 => Answer::TakeAndClose,
        _ => Answer::Hang,
    }
}

#[tokio::test]
async fn every_event_arrives_in_the_order_of_its_key_whatever_the_receiver_does() {
    for seed in 0..6 {
        let (cluster, objects) = TestCluster::six().await;
        let receiver = Receiver::start(moody(seed)).await;
        let settings = settings(&[("hook", receiver.url())]);
        tell(&objects, BUCKET, "hook", false).await;
        let mut random = StdRng::seed_from_u64(1000 + seed);
        let mut expected: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        let mut worker = EventDeliverer::new(objects.clone(), &settings);
        for _ in 0..80 {
            let key = format!("k{}", random.random_range(0..5));
            let kinds = expected.entry(key.clone()).or_default();
            let there =
                !kinds.is_empty() && kinds.last() != Some(&"Object Deleted/Permanently Deleted");
            match random.random_range(0..4) {
                0 if there => {
                    delete(&objects, &key).await.expect("up");
                    kinds.push("Object Deleted/Permanently Deleted");
                }
                1 if there => {
                    tag(&objects, &key, Some("v")).await;
                    kinds.push("Object Tags Added");
                }
                _ => {
                    put(&objects, &key, &content(1, 10)).await.expect("up");
                    kinds.push("Object Created");
                }
            }
            match random.random_range(0..8) {
                // As after a crash: whatever was under way is cut off.
                0 => worker = EventDeliverer::new(objects.clone(), &settings),
                1..4 => turn(&mut worker).await,
                _ => {}
            }
        }
        run_until_left(&mut worker, (&cluster, &objects), 0).await;
        let arrivals = receiver.arrivals();
        assert_in_order(&arrivals);
        let mut taken: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (key, kind) in receiver.taken() {
            taken.entry(key).or_default().push(kind);
        }
        let expected: BTreeMap<String, Vec<String>> = expected
            .into_iter()
            .map(|(key, kinds)| (key, kinds.into_iter().map(str::to_owned).collect()))
            .collect();
        assert_eq!(taken, expected, "seed {seed}");
        for arrival in arrivals {
            assert_eq!(
                (arrival.method.as_str(), arrival.content_type.as_str()),
                ("POST", "application/json")
            );
            assert_eq!(arrival.authorization.as_deref(), Some("Bearer t0ken"));
            assert_eq!(arrival.event["id"], arrival.id.as_str());
            assert_eq!(arrival.event["detail"]["bucket"]["name"], BUCKET);
        }
    }
}

/// An address where nobody listens.
async fn nobody() -> String {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
    format!("http://{}/", listener.local_addr().expect("bound"))
}

/// What the root group knows of a target's cursor in the partition that has the rows.
async fn saved_cursor(objects: &Objects, target: &str) -> Option<u64> {
    let bucket = objects.bucket(BUCKET).await.expect("there").id;
    let group = objects.metadata().map().partition(bucket, "").expect("no gaps").group;
    let worker = format!("events/{}/{target}", group.0);
    match objects.metadata().root_query(RootQuery::Cursor { worker }).await.expect("up") {
        RootView::Cursor(saved) => {
            saved.map(|it| u64::from_be_bytes(it[1..].try_into().expect("eight bytes")))
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_dead_target_holds_up_nobody_and_gets_all_when_it_is_back() {
    let (cluster, objects) = TestCluster::six().await;
    let live = Receiver::start(|| Answer::Take).await;
    tell(&objects, BUCKET, "hook", true).await;
    // More than a page.
    for number in 0..450 {
        put(&objects, &format!("k{number:03}"), &content(1, 1)).await.expect("up");
    }
    let last = outbox(&cluster, &objects).await.last().expect("rows").number;
    let dead = settings(&[("hook", live.url()), ("eventbridge", nobody().await)]);
    let mut worker = EventDeliverer::new(objects.clone(), &dead);
    let live_is_done = async {
        while saved_cursor(&objects, "hook").await != Some(last) {
            turn(&mut worker).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(120), live_is_done).await.expect("it is not held up");
    assert_eq!(live.arrivals().len(), 450);
    assert_eq!(outbox(&cluster, &objects).await.len(), 450, "the other one still needs them");
    assert!(worker.status().1.contains("target eventbridge"), "{}", worker.status().1);

    let back = Receiver::start(|| Answer::Take).await;
    let settings = settings(&[("hook", live.url()), ("eventbridge", back.url())]);
    let mut worker = EventDeliverer::new(objects.clone(), &settings);
    run_until_left(&mut worker, (&cluster, &objects), 0).await;
    assert_eq!(back.taken().len(), 450);
    assert_eq!(live.arrivals().len(), 450, "its cursor was saved: nothing came twice");
}

#[tokio::test]
async fn what_cannot_be_delivered_is_given_up_when_it_is_old() {
    let (cluster, objects) = TestCluster::six().await;
    tell(&objects, BUCKET, "hook", false).await;
    let settings = settings(&[("hook", nobody().await)]);
    let mut worker = EventDeliverer::new(objects.clone(), &settings);
    for number in 0..250 {
        put(&objects, &format!("old{number}"), &content(1, 1)).await.expect("up");
    }
    cluster.clock.advance(RETENTION_MS / 2);
    put(&objects, "young", &content(1, 1)).await.expect("up");
    for _ in 0..50 {
        turn(&mut worker).await;
    }
    assert_eq!(outbox(&cluster, &objects).await.len(), 251, "none is old enough");
    cluster.clock.advance(RETENTION_MS / 2);
    run_until_left(&mut worker, (&cluster, &objects), 1).await;
    for _ in 0..50 {
        turn(&mut worker).await;
    }
    let left = outbox(&cluster, &objects).await;
    assert_eq!((left.len(), left[0].key.as_str()), (1, "young"));
    assert!(worker.status().1.starts_with("0 delivered, 250 given up"), "{}", worker.status().1);
}

/// The target answers at last: what is old but was never tried is still delivered.
#[tokio::test]
async fn what_is_old_is_tried_once_more_after_a_long_rest_of_the_worker() {
    let (cluster, objects) = TestCluster::six().await;
    tell(&objects, BUCKET, "hook", false).await;
    put(&objects, "old", &content(1, 1)).await.expect("up");
    cluster.clock.advance(2 * RETENTION_MS);
    let receiver = Receiver::start(|| Answer::Take).await;
    let settings = settings(&[("hook", receiver.url())]);
    let mut worker = EventDeliverer::new(objects.clone(), &settings);
    run_until_left(&mut worker, (&cluster, &objects), 0).await;
    assert_eq!(receiver.taken().len(), 1);
}

#[tokio::test]
async fn events_wait_for_a_target_that_nobody_has_configured_yet() {
    let (cluster, objects) = TestCluster::six().await;
    tell(&objects, BUCKET, "later", false).await;
    put(&objects, "k", &content(1, 1)).await.expect("up");
    let mut worker = EventDeliverer::new(objects.clone(), &settings(&[]));
    for _ in 0..50 {
        turn(&mut worker).await;
    }
    assert_eq!(outbox(&cluster, &objects).await.len(), 1);
    let status = worker.status().1;
    assert!(status.contains("add [events.targets.later]"), "{status}");

    let receiver = Receiver::start(|| Answer::Take).await;
    let configured = settings(&[("later", receiver.url())]);
    let mut worker = EventDeliverer::new(objects.clone(), &configured);
    run_until_left(&mut worker, (&cluster, &objects), 0).await;
    assert_eq!(receiver.taken().len(), 1);
}

#[tokio::test]
async fn rows_that_nobody_asked_for_go() {
    let (cluster, objects) = TestCluster::six().await;
    let receiver = Receiver::start(|| Answer::Take).await;
    let settings = settings(&[("hook", receiver.url())]);
    let mut worker = EventDeliverer::new(objects.clone(), &settings);
    // The gate is open to events, and there is no document (yet).
    objects.configure_bucket(BUCKET, BucketChange::Events(true)).await.expect("there");
    put(&objects, "k", &content(1, 1)).await.expect("up");
    run_until_left(&mut worker, (&cluster, &objects), 0).await;
    // The configuration is about other keys.
    tell(&objects, BUCKET, "hook", false).await;
    let other = Notification {
        configurations: vec![configuration("hook", "other/")],
        ..Notification::default()
    };
    let value = Some(other.encode().into());
    objects.set_bucket_config(BUCKET, ConfigKind::Notification, value).await.expect("there");
    put(&objects, "k", &content(1, 1)).await.expect("up");
    run_until_left(&mut worker, (&cluster, &objects), 0).await;
    assert_eq!(receiver.arrivals().len(), 0);
}

#[tokio::test]
async fn a_bucket_that_is_gone_has_nobody_to_tell() {
    let (cluster, objects) = TestCluster::six().await;
    objects.create_bucket("short-lived", BucketSettings::default()).await.expect("free");
    tell(&objects, "short-lived", "hook", false).await;
    tell(&objects, BUCKET, "hook", false).await;
    let bucket = || "short-lived".to_owned();
    let mut request = put_request("k", content(1, 1));
    request.bucket = bucket();
    objects.put(request).await.expect("up");
    objects.delete(Delete { bucket: bucket(), ..delete_request("k") }).await.expect("up");
    objects.delete_bucket("short-lived").await.expect("it is empty");
    put(&objects, "kept", &content(1, 1)).await.expect("up");
    let receiver = Receiver::start(|| Answer::Take).await;
    let settings = settings(&[("hook", receiver.url())]);
    let mut worker = EventDeliverer::new(objects.clone(), &settings);
    run_until_left(&mut worker, (&cluster, &objects), 0).await;
    assert_eq!(receiver.taken(), [("kept".to_owned(), "Object Created".to_owned())]);
}

/// One key through everything that can happen to it.
#[tokio::test]
async fn every_kind_of_event() {
    let (cluster, objects) = TestCluster::six().await;
    enable_versioning(&objects).await;
    tell(&objects, BUCKET, "hook", false).await;
    let first = put(&objects, "k", &content(1, 5000)).await.expect("up");
    tag(&objects, "k", Some("v")).await;
    tag(&objects, "k", None).await;
    let origin = |reason| Origin { reason, ..Origin::default() };
    let class = ObjectUpdate::Class { to: StorageClass::Glacier, version: first.version };
    let moved = objects.update(BUCKET, "k", None, class, origin(Reason::LifecycleTransition));
    moved.await.expect("it is there");
    let restore = ObjectUpdate::Restore { ready_after_ms: 10, readable_ms: 1000, day_ms: 1000 };
    let asked = objects.update(BUCKET, "k", None, restore, origin(Reason::RestoreObject));
    asked.await.expect("it is archived");
    for _ in ["ready", "over"] {
        cluster.clock.advance(5000);
        for group in cluster.groups() {
            objects.metadata().partition(group, IndexCommand::Tick).await.expect("up");
        }
    }
    let marker = delete(&objects, "k").await.expect("up");
    assert!(marker.version.is_some());
    delete_version(&objects, "k", first.name()).await.expect("up");

    let receiver = Receiver::start(|| Answer::Take).await;
    let settings = settings(&[("hook", receiver.url())]);
    let mut worker = EventDeliverer::new(objects.clone(), &settings);
    run_until_left(&mut worker, (&cluster, &objects), 0).await;
    let kinds: Vec<String> = receiver.taken().into_iter().map(|(_, kind)| kind).collect();
    assert_eq!(
        kinds,
        [
            "Object Created",
            "Object Tags Added",
            "Object Tags Deleted",
            "Object Storage Class Changed",
            "Object Restore Initiated",
            "Object Restore Completed",
            "Object Restore Expired",
            "Object Deleted/Delete Marker Created",
            "Object Deleted/Permanently Deleted",
        ]
    );
}
