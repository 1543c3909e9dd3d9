//! Lifecycle rules move real versions: every blob is encoded anew, what it was before becomes
//! garbage and is collected, and the bytes that readers get are right all the time.

use std::collections::BTreeMap;

use ::lifecycle::{
    Filter, Lifecycle, NoncurrentExpiration, NoncurrentTransition, Rule, Transition, When,
};
use bytes::Bytes;
use metastore::api::{
    index::{BucketChange, ObjectUpdate, VersionEntry},
    root::ConfigKind,
};
use objects::{Error, Objects};
use repair::{
    GarbageCollector, LifecycleWorker, Progress, RestoreTicker, Settings, Step, Worker,
    progress::Round,
};
use types::{
    BucketLock, Compression, DiskClass, Encoding, ObjectHead, StorageClass, StorageProfile,
    UnixMillis, Version,
};

use crate::{
    drain,
    support::{
        BUCKET, TestCluster, blob_of, content, enable_versioning, get, get_version, mixed_content,
        put, put_in, put_multipart,
    },
};

const DAY_MS: u64 = 1000;
const MIB: usize = 1 << 20;

fn settings() -> Settings {
    Settings { lifecycle_day_ms: DAY_MS, garbage_grace_ms: 0, ..Settings::default() }
}

fn worker(objects: &Objects) -> LifecycleWorker {
    LifecycleWorker::new(objects.clone(), &settings())
}

/// 4+2 over six disks; GLACIER is 2+2 and compressed, on groups of its own.
async fn with_an_archive() -> (std::sync::Arc<TestCluster>, Objects) {
    let (cluster, objects) = TestCluster::six().await;
    let policy = "rs-2-2".parse().expect("a valid policy");
    cluster.add_group(policy, DiskClass::Cold);
    let profile = StorageProfile { policy, disks: DiskClass::Cold, compression: Compression::Zstd };
    cluster.set_profile(StorageClass::Glacier, profile);
    (cluster, objects)
}

async fn set(objects: &Objects, rules: impl IntoIterator<Item = Rule>) {
    let named =
        |(number, rule): (usize, Rule)| Rule { id: number.to_string(), enabled: true, ..rule };
    let rules = rules.into_iter().enumerate().map(named).collect();
    let rules = Lifecycle { rules, ..Lifecycle::default() };
    objects
        .set_bucket_config(BUCKET, ConfigKind::Lifecycle, Some(rules.encode().into()))
        .await
        .expect("the bucket is there");
}

fn moving(transitions: impl IntoIterator<Item = (u32, StorageClass)>) -> Rule {
    let transition = |(days, to)| Transition { when: When::Days(days), to };
    Rule { transitions: transitions.into_iter().map(transition).collect(), ..Rule::default() }
}

async fn head(objects: &Objects, key: &str) -> ObjectHead {
    objects.head(BUCKET, key, None).await.expect("there")
}

async fn class(objects: &Objects, key: &str) -> StorageClass {
    head(objects, key).await.attributes.class
}

async fn collect(cluster: &TestCluster, objects: &Objects) -> usize {
    cluster.clock.advance(1);
    objects.settle().await;
    drain(&mut GarbageCollector::new(objects.clone(), settings())).await;
    assert_eq!(cluster.garbage(), []);
    cluster.shard_count().await
}

fn counts(round: &Option<Round>) -> BTreeMap<&str, u64> {
    let round = round.as_ref().expect("a round");
    round.counts.iter().map(|(name, count)| (name.as_ref(), *count)).collect()
}

fn last_counts(progress: &Progress) -> BTreeMap<&str, u64> {
    counts(&progress.last_round)
}

#[tokio::test]
async fn an_object_goes_down_in_turn_and_its_old_blobs_are_collected() {
    let (cluster, objects) = with_an_archive().await;
    set(&objects, [moving([(1, StorageClass::StandardIa), (3, StorageClass::Glacier)])]).await;
    cluster.clock.advance(DAY_MS / 2);
    let bytes = mixed_content(1, 3 * MIB + 7);
    let first = put(&objects, "key", &bytes).await.expect("up");
    let old = blob_of(&first);
    assert_eq!(old.encoding, Encoding::Plain);
    let mut worker = worker(&objects);
    let mut classes = Vec::new();
    for _ in 0..6 {
        drain(&mut worker).await;
        let head = head(&objects, "key").await;
        classes.push(head.attributes.class);
        let read = get(&objects, "key").await;
        assert_eq!(read.as_ref(), Ok(&bytes), "{}", head.attributes.class);
        assert_eq!(
            (head.version, head.etag, head.modified),
            (first.version, first.etag, first.modified)
        );
        let shards = collect(&cluster, &objects).await;
        let blob = blob_of(&head);
        assert_eq!(shards, blob.policy.n(), "only its present shards are left");
        match head.attributes.class {
            StorageClass::Standard => assert_eq!(blob, old),
            StorageClass::StandardIa => {
                let content_bytes = bytes.len() as u64;
                assert_eq!(blob.encoding, Encoding::Zstd { content_bytes });
                assert_eq!(blob.policy.to_string(), "rs-4-2");
                assert!(blob.size < content_bytes, "it is compressed");
            }
            _ => assert_eq!(blob.policy.to_string(), "rs-2-2"),
        }
        assert_eq!(get(&objects, "key").await.as_ref(), Ok(&bytes), "after the collection");
        cluster.clock.advance(DAY_MS);
    }
    let [standard, warm, cold] =
        [StorageClass::Standard, StorageClass::StandardIa, StorageClass::Glacier];
    assert_eq!(classes, [standard, standard, warm, warm, cold, cold]);
    assert!(worker.status().1.contains("2 moved"), "{}", worker.status().1);
}

#[tokio::test]
async fn a_late_worker_goes_straight_there_and_says_what_it_has_done() {
    let (cluster, objects) = with_an_archive().await;
    set(&objects, [moving([(1, StorageClass::StandardIa), (3, StorageClass::Glacier)])]).await;
    let big = mixed_content(1, MIB);
    for key in ["a", "b", "c"] {
        put(&objects, key, &big).await.expect("up");
    }
    let small = content(2, 5000);
    put(&objects, "small", &small).await.expect("up");
    put_in(&objects, "there", StorageClass::DeepArchive, &big).await.expect("up");
    cluster.clock.advance(10 * DAY_MS);
    let mut worker = worker(&objects);
    assert_eq!(worker.progress(), Progress::default());
    drain(&mut worker).await;
    for key in ["a", "b", "c"] {
        assert_eq!(class(&objects, key).await, StorageClass::Glacier);
        assert_eq!(get(&objects, key).await.as_ref(), Ok(&big));
    }
    assert_eq!(class(&objects, "small").await, StorageClass::Standard);
    assert_eq!(class(&objects, "there").await, StorageClass::DeepArchive);
    let progress = worker.progress();
    let expected = BTreeMap::from([("transitioned", 3), ("transitioned_bytes", 3 * MIB as u64)]);
    assert_eq!(last_counts(&progress), expected);
    assert_eq!((progress.round.is_none(), progress.place.is_none()), (true, true));
    let last = progress.last_round.expect("one has ended");
    assert_eq!((last.looked_at, last.ended), (5, Some(UnixMillis(last.began.0))));
    // Another node shows the same.
    let mut other = self::worker(&objects);
    drain(&mut other).await;
    assert_eq!(last_counts(&other.progress()), expected);
}

#[tokio::test]
async fn multipart_objects_are_moved_part_by_part() {
    let (cluster, objects) = with_an_archive().await;
    set(&objects, [moving([(1, StorageClass::Glacier)])]).await;
    let parts = [mixed_content(1, 5 * MIB), mixed_content(2, 5 * MIB + 1), content(3, 100)];
    let whole: Bytes = parts.concat().into();
    let etag = put_multipart(&objects, "key", &parts).await.etag;
    assert_eq!(collect(&cluster, &objects).await, 12);
    cluster.clock.advance(3 * DAY_MS);
    drain(&mut worker(&objects)).await;
    let head = head(&objects, "key").await;
    assert_eq!((head.attributes.class, head.etag), (StorageClass::Glacier, etag));
    assert_eq!(get(&objects, "key").await.as_ref(), Ok(&whole));
    assert_eq!(collect(&cluster, &objects).await, 8, "two blobs of 2+2, and a part in its row");
    assert_eq!(get(&objects, "key").await.as_ref(), Ok(&whole));
}

#[tokio::test]
async fn noncurrent_versions_are_moved_and_locked_ones_too_but_never_removed() {
    let (cluster, objects) = with_an_archive().await;
    enable_versioning(&objects).await;
    let lock = BucketChange::Lock(BucketLock::default());
    objects.configure_bucket(BUCKET, lock).await.expect("versioning is enabled");
    set(
        &objects,
        [Rule {
            noncurrent_transitions: vec![NoncurrentTransition {
                days: 1,
                keep: 1,
                to: StorageClass::Glacier,
            }],
            noncurrent: Some(NoncurrentExpiration { days: 4, keep: 1 }),
            ..Rule::default()
        }],
    )
    .await;
    let bytes: Vec<Bytes> = (0..4).map(|seed| mixed_content(seed, MIB)).collect();
    let mut names = Vec::new();
    for bytes in &bytes {
        names.push(put(&objects, "key", bytes).await.expect("up").name());
        cluster.clock.advance(1);
    }
    let hold = ObjectUpdate::LegalHold(true);
    objects.update(BUCKET, "key", Some(names[0]), hold, Default::default()).await.expect("held");
    cluster.clock.advance(2 * DAY_MS);
    drain(&mut worker(&objects)).await;
    let class_of = async |name: Version| {
        let head = objects.head(BUCKET, "key", Some(name)).await;
        head.map(|head| head.attributes.class)
    };
    for (number, class) in [
        (0, StorageClass::Glacier),
        (1, StorageClass::Glacier),
        (2, StorageClass::Standard),
        (3, StorageClass::Standard),
    ] {
        assert_eq!(class_of(names[number]).await, Ok(class), "version {number}");
        let read = get_version(&objects, "key", names[number]).await;
        assert_eq!(read.as_ref(), Ok(&bytes[number]), "version {number}");
    }
    cluster.clock.advance(4 * DAY_MS);
    let mut worker = worker(&objects);
    drain(&mut worker).await;
    assert_eq!(class_of(names[0]).await, Ok(StorageClass::Glacier), "held");
    assert_eq!(class_of(names[1]).await, Err(Error::NoSuchVersion));
    assert_eq!(last_counts(&worker.progress()), BTreeMap::from([("locked", 1), ("removed", 1)]));
    let read = get_version(&objects, "key", names[0]).await;
    assert_eq!(read.as_ref(), Ok(&bytes[0]));
}

/// Where expiring only hides, the version is moved first; a rule of sizes takes small ones along.
#[tokio::test]
async fn what_is_hidden_by_a_marker_was_moved_before() {
    let (cluster, objects) = with_an_archive().await;
    enable_versioning(&objects).await;
    let filter = Filter { larger_than: Some(1), ..Filter::default() };
    let expiration = Some(When::Days(1));
    set(&objects, [Rule { expiration, filter, ..moving([(1, StorageClass::Glacier)]) }]).await;
    let bytes = content(1, 10);
    let name = put(&objects, "key", &bytes).await.expect("up").name();
    cluster.clock.advance(3 * DAY_MS);
    drain(&mut worker(&objects)).await;
    let current = objects.head(BUCKET, "key", None).await;
    assert!(matches!(current, Err(Error::DeleteMarker { .. })), "{current:?}");
    let hidden = objects.head(BUCKET, "key", Some(name)).await.expect("under the marker");
    assert_eq!(hidden.attributes.class, StorageClass::Glacier);
}

/// Each step by a worker of its own, some of them dropped in the middle of a page.
#[tokio::test]
async fn a_walk_goes_on_in_the_middle_of_a_page() {
    let (cluster, objects) = with_an_archive().await;
    set(&objects, [moving([(1, StorageClass::Glacier)])]).await;
    let bytes = mixed_content(1, 200_000);
    for number in 0..150 {
        put(&objects, &format!("{number:04}"), &bytes).await.expect("up");
    }
    cluster.clock.advance(3 * DAY_MS);
    let moved = async || {
        let page = objects.list_versions(BUCKET, "", None, None, 1000).await.expect("a page");
        let is = |entry: &&VersionEntry| match entry {
            VersionEntry::Version {
                what: metastore::api::index::ListedVersion::Object(object),
                ..
            } => object.class == StorageClass::Glacier,
            _ => false,
        };
        page.entries.iter().filter(is).count()
    };
    assert_eq!(worker(&objects).work().await.expect("the bucket is found"), Step::More);
    let mut dropped = worker(&objects);
    {
        let mut step = std::pin::pin!(dropped.work());
        while moved().await < 10 {
            assert!(futures::poll!(step.as_mut()).is_pending(), "dropped too late");
            tokio::task::yield_now().await;
        }
    }
    drop(dropped);
    objects.settle().await;
    let mut steps = 0;
    let mut last = worker(&objects);
    while last.work().await.expect("a step") == Step::More {
        let progress = last.progress();
        assert!(progress.place.is_none_or(|place| place.within == BUCKET), "the bucket");
        last = worker(&objects);
        steps += 1;
        assert!(steps < 20, "it begins again and again");
    }
    assert_eq!(moved().await, 150);
    for number in [0, 63, 64, 149] {
        let read = get(&objects, &format!("{number:04}")).await;
        assert_eq!(read.as_ref(), Ok(&bytes), "{number}");
    }
    let shards = collect(&cluster, &objects).await;
    assert!(shards >= 150 * 4, "nothing of what is there was collected");
    let counted = last_counts(&last.progress())["transitioned"];
    assert!((100..=150).contains(&counted), "those of the dropped step were not saved: {counted}");
}

/// One object that cannot be read does not keep the others, nor the walk, from going on.
#[tokio::test]
async fn what_fails_is_left_for_tomorrow() {
    let (cluster, objects) = with_an_archive().await;
    set(&objects, [moving([(1, StorageClass::Glacier)])]).await;
    let bytes = mixed_content(1, 300_000);
    let lost = blob_of(&put(&objects, "lost", &bytes).await.expect("up"));
    put(&objects, "well", &bytes).await.expect("up");
    objects.settle().await;
    for (disk, entry) in cluster.shards().await {
        if entry.shard.blob == lost.id && entry.shard.rank < 3 {
            let store = &cluster.disks[&disk].store;
            shardstore::ShardStore::delete(store, vec![entry.shard]).await.expect("memory");
        }
    }
    cluster.clock.advance(3 * DAY_MS);
    let mut worker = worker(&objects);
    drain(&mut worker).await;
    assert_eq!(class(&objects, "well").await, StorageClass::Glacier);
    assert_eq!(class(&objects, "lost").await, StorageClass::Standard);
    let progress = worker.progress();
    assert_eq!(last_counts(&progress)["failed"], 1);
    assert!(progress.last_failure.is_some());
}

/// With no disk to write to the worker backs off, then goes on without the transitions; when
/// there are disks again the next day's walk moves everything.
#[tokio::test]
async fn without_room_it_backs_off_and_removes_what_it_can() {
    let (cluster, objects) = with_an_archive().await;
    let prefix = |prefix: &str| Filter { prefix: prefix.into(), ..Filter::default() };
    set(
        &objects,
        [
            Rule { filter: prefix("move"), ..moving([(1, StorageClass::Glacier)]) },
            Rule { filter: prefix("old"), expiration: Some(When::Days(1)), ..Rule::default() },
        ],
    )
    .await;
    let bytes = mixed_content(1, 300_000);
    put(&objects, "move", &bytes).await.expect("up");
    put(&objects, "old", &bytes).await.expect("up");
    cluster.clock.advance(3 * DAY_MS);
    let all: Vec<_> = cluster.disks.keys().copied().collect();
    let suspect = |suspected| {
        for disk in &all {
            cluster.disks[disk].suspected.store(suspected, std::sync::atomic::Ordering::SeqCst);
        }
    };
    suspect(true);
    let mut worker = worker(&objects);
    assert_eq!(worker.work().await.expect("the bucket is found"), Step::More);
    let mut failures = 0;
    while let Err(error) = worker.work().await {
        let unavailable = matches!(error, repair::Error::Objects(Error::Unavailable(_)));
        assert!(unavailable, "{error}");
        failures += 1;
        assert!(failures < 10, "it never goes on");
    }
    assert!(failures > 0, "it does not back off");
    drain(&mut worker).await;
    assert_eq!(objects.head(BUCKET, "old", None).await, Err(Error::NoSuchKey));
    assert_eq!(class(&objects, "move").await, StorageClass::Standard);
    assert_eq!(last_counts(&worker.progress()), BTreeMap::from([("expired", 1), ("failed", 1)]));
    suspect(false);
    cluster.clock.advance(DAY_MS);
    drain(&mut worker).await;
    assert_eq!(class(&objects, "move").await, StorageClass::Glacier);
}

/// A partition that nobody writes to: its restores begin and end all the same.
#[tokio::test]
async fn restores_begin_and_end_by_themselves() {
    let (cluster, objects) = with_an_archive().await;
    objects.configure_bucket(BUCKET, BucketChange::Events(true)).await.expect("a change");
    let bytes = mixed_content(1, 300_000);
    put_in(&objects, "key", StorageClass::Glacier, &bytes).await.expect("up");
    let restore =
        ObjectUpdate::Restore { ready_after_ms: 500, readable_ms: 2 * DAY_MS, day_ms: DAY_MS };
    let asked = objects.update(BUCKET, "key", None, restore, Default::default()).await;
    let restore = asked.expect("archived").restore.expect("asked for");
    let events = async || {
        let mut kinds = Vec::new();
        for group in cluster.groups() {
            let query = metastore::api::IndexQuery::Events { after: None, limit: 1000 };
            let view = objects.metadata().partition_query(group, query).await;
            let Ok(metastore::api::IndexView::Events(events)) = view else { panic!("{view:?}") };
            kinds.extend(events.into_iter().map(|event| event.kind));
        }
        kinds
    };
    let before = events().await.len();
    let mut ticker = RestoreTicker::new(objects.clone(), &settings());
    drain(&mut ticker).await;
    assert_eq!((ticker.status().0, events().await.len()), (0, before), "nothing is due");

    cluster.clock.advance(600);
    drain(&mut ticker).await;
    let kinds = events().await;
    let completed = metastore::api::index::EventKind::RestoreCompleted(restore.expires);
    assert_eq!((kinds.len(), kinds.last()), (before + 1, Some(&completed)));
    assert!(
        head(&objects, "key")
            .await
            .is_readable(UnixMillis(platform::Clock::now_ms(&*cluster.clock)))
    );

    cluster.clock.advance(4 * DAY_MS);
    drain(&mut ticker).await;
    let kinds = events().await;
    let expired = metastore::api::index::EventKind::RestoreExpired;
    assert_eq!((kinds.len(), kinds.last()), (before + 2, Some(&expired)));
    assert_eq!(head(&objects, "key").await.restore, None);
    assert_eq!(ticker.status().0, 2);
    let progress = ticker.progress();
    assert_eq!(last_counts(&progress), BTreeMap::from([("ticks", 1)]));
    assert_eq!(progress.last_round.expect("ended").looked_at, cluster.groups().len() as u64);
}
