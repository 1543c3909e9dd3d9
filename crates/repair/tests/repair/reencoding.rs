//! A storage class gets another profile, and what exists is written anew: current and noncurrent
//! versions, multipart objects, while all of it is read.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use bytes::Bytes;
use cluster::Metadata;
use metastore::api::{IndexQuery, IndexView};
use objects::Objects;
use repair::{GarbageCollector, Reencoder, Settings, Step, Worker};
use types::{
    BlobRef, Compression, DiskClass, ErasurePolicy, StorageClass, StorageProfile, Version,
};

use crate::{
    drain,
    support::{
        TestCluster, complete_request, content, create_upload, delete, enable_versioning,
        get_version, put, put_in, put_multipart, put_parts,
    },
};

const MIB: usize = 1 << 20;
const STANDARD: StorageClass = StorageClass::Standard;

fn settings() -> Settings {
    Settings { garbage_grace_ms: 0, reencode_settle_ms: 10_000, ..Settings::default() }
}

fn profile(policy: ErasurePolicy) -> StorageProfile {
    StorageProfile { policy, disks: DiskClass::Hot, compression: Compression::None }
}

/// Every blob that the index references.
async fn blobs(cluster: &TestCluster) -> Vec<BlobRef> {
    let mut all = Vec::new();
    for group in cluster.groups() {
        let query = IndexQuery::Referenced { after: None, limit: 1000 };
        match cluster.partition_query(group, query).await {
            Ok(IndexView::Referenced { blobs, next: None }) => {
                all.extend(blobs.into_iter().map(|it| it.blob));
            }
            other => panic!("{other:?}"),
        }
    }
    all
}

/// How many blobs have this policy, and how many another.
async fn policies(cluster: &TestCluster, policy: ErasurePolicy) -> (usize, usize) {
    let all = blobs(cluster).await;
    let fitting = all.iter().filter(|blob| blob.policy == policy).count();
    (fitting, all.len() - fitting)
}

/// Versions of several kinds, and what they hold.
async fn fill(objects: &Objects) -> Vec<(String, Version, Bytes)> {
    enable_versioning(objects).await;
    let mut all = Vec::new();
    for seed in 0..5 {
        let bytes = content(seed, 100_000 + seed as usize);
        let head = put(objects, &format!("key-{}", seed % 3), &bytes).await.expect("up");
        all.push((format!("key-{}", seed % 3), head.name(), bytes));
    }
    delete(objects, "key-1").await.expect("a marker hides it");
    let large = content(9, 9 * MIB + 7);
    let head = put(objects, "large", &large).await.expect("up");
    all.push(("large".into(), head.name(), large));
    let parts = [content(10, 5 * MIB), content(11, 5 * MIB + 3), content(12, 10)];
    let head = put_multipart(objects, "parts", &parts).await;
    all.push(("parts".into(), head.name(), Bytes::from(parts.concat())));
    let tiny = content(13, 100);
    let head = put(objects, "tiny", &tiny).await.expect("up");
    all.push(("tiny".into(), head.name(), tiny));
    all
}

async fn check(objects: &Objects, versions: &[(String, Version, Bytes)]) {
    for (key, version, bytes) in versions {
        let read = get_version(objects, key, *version).await;
        assert!(read.as_ref() == Ok(bytes), "{key} {version:?}: {:?}", read.err());
    }
}

/// The whole way from `from` to `to`; returns the worker after it.
async fn convert(from: &str, disks: u32, to: &str) {
    let (cluster, objects) = TestCluster::with_objects(from, disks, Default::default()).await;
    let versions = Arc::new(fill(&objects).await);
    objects.settle().await;
    let mut worker = Reencoder::new(objects.clone(), &settings());
    drain(&mut worker).await;
    cluster.clock.advance(10_000);
    drain(&mut worker).await;
    assert_eq!(worker.progress().last_round.expect("a walk").counts.get("converted"), None);

    let policy: ErasurePolicy = to.parse().expect("valid");
    assert_eq!(policies(&cluster, policy).await, (0, 8));
    cluster.set_profile(STANDARD, profile(policy));
    assert_eq!(worker.work().await.expect("a step"), Step::Idle);
    assert!(worker.status().1.contains("waiting for placement groups for STANDARD"));
    cluster.add_group(policy, DiskClass::Hot);

    let stop = Arc::new(AtomicBool::new(false));
    let reads = Arc::new(AtomicU64::new(0));
    let reader = tokio::spawn({
        let (objects, versions) = (objects.clone(), versions.clone());
        let (stop, reads) = (stop.clone(), reads.clone());
        async move {
            while !stop.load(Ordering::SeqCst) {
                check(&objects, &versions).await;
                reads.fetch_add(1, Ordering::SeqCst);
            }
        }
    });
    drain(&mut worker).await;
    // Whoever reads just now is not disturbed either.
    let seen = reads.load(Ordering::SeqCst);
    while reads.load(Ordering::SeqCst) < seen + 2 {
        tokio::task::yield_now().await;
    }
    stop.store(true, Ordering::SeqCst);
    reader.await.expect("every read was right");
    assert!(seen > 0, "something was read meanwhile");

    assert_eq!(policies(&cluster, policy).await, (8, 0));
    let counts = worker.progress().last_round.expect("a walk has ended").counts;
    assert_eq!(counts["converted"], 7, "the multipart object is one version");
    assert!(!counts.contains_key("failed"));
    objects.settle().await;
    cluster.clock.advance(1);
    drain(&mut GarbageCollector::new(objects.clone(), settings())).await;
    assert_eq!(cluster.shard_count().await, 8 * policy.n(), "only the new shards are left");
    check(&objects, &versions).await;

    // Later everything is looked through once more; then never again, also by the next leader.
    cluster.clock.advance(9_998);
    assert_eq!(worker.work().await.expect("a step"), Step::Idle);
    cluster.clock.advance(10);
    drain(&mut worker).await;
    let last = worker.progress().last_round.expect("a second walk");
    assert_eq!((last.looked_at, last.counts.get("converted")), (8, None));
    cluster.clock.advance(100_000);
    let mut next = Reencoder::new(objects, &settings());
    assert_eq!(next.work().await.expect("a step"), Step::Idle);
    assert_eq!(next.status().0, 0);
}

#[tokio::test]
async fn four_and_two_become_three_and_three() {
    convert("rs-4-2", 6, "rs-3-3").await;
}

#[tokio::test]
async fn four_and_two_become_eight_and_four() {
    convert("rs-4-2", 12, "rs-8-4").await;
}

#[tokio::test]
async fn other_classes_are_left_alone_and_compression_counts() {
    let (cluster, objects) = TestCluster::six().await;
    let class = StorageClass::StandardIa;
    put_in(&objects, "other", class, &content(1, 100_000)).await.expect("up");
    put(&objects, "standard", &content(2, 100_000)).await.expect("up");
    let mut worker = Reencoder::new(objects.clone(), &settings());
    for _ in 0..2 {
        drain(&mut worker).await;
        cluster.clock.advance(10_000);
    }
    let before = blobs(&cluster).await;
    let policy = before[0].policy;
    let zstd = StorageProfile { compression: Compression::Zstd, ..profile(policy) };
    cluster.set_profile(STANDARD, zstd);
    drain(&mut worker).await;
    let after = blobs(&cluster).await;
    let changed: Vec<_> = after.iter().filter(|blob| !before.contains(blob)).collect();
    assert_eq!(changed.len(), 1, "{before:?} {after:?}");
    assert_ne!(changed[0].content_bytes(), changed[0].size, "it is compressed");
}

/// The parts were written before the change, the version comes after the walk has passed.
#[tokio::test]
async fn an_upload_under_way_is_converted_once_it_is_complete() {
    let (cluster, objects) = TestCluster::six().await;
    let upload = create_upload(&objects, "late").await.expect("the bucket is there");
    let parts = [content(1, 5 * MIB), content(2, 9000)];
    let listed = put_parts(&objects, "late", upload, &parts).await;
    let policy: ErasurePolicy = "rs-3-3".parse().expect("valid");
    cluster.set_profile(STANDARD, profile(policy));
    cluster.add_group(policy, DiskClass::Hot);
    let mut worker = Reencoder::new(objects.clone(), &settings());
    for _ in 0..3 {
        drain(&mut worker).await;
        cluster.clock.advance(4000 * 1000);
    }
    assert_eq!(policies(&cluster, policy).await, (0, 2), "no version has them");
    let head = objects.complete_upload(complete_request("late", upload, listed)).await;
    let head = head.expect("complete");
    drain(&mut worker).await;
    assert_eq!(policies(&cluster, policy).await, (2, 0));
    check(&objects, &[("late".into(), head.name(), Bytes::from(parts.concat()))]).await;
}

/// Disks are away while versions are converted: it goes on later, and nothing is given up.
#[tokio::test]
async fn what_cannot_be_converted_now_is_converted_later() {
    let (cluster, objects) = TestCluster::six().await;
    let bytes = content(1, 100_000);
    let head = put(&objects, "key", &bytes).await.expect("up");
    objects.settle().await;
    let policy: ErasurePolicy = "rs-3-3".parse().expect("valid");
    cluster.set_profile(STANDARD, profile(policy));
    cluster.add_group(policy, DiskClass::Hot);
    for disk in [0, 1] {
        cluster.take_down(cluster.disk(disk).0);
    }
    let mut worker = Reencoder::new(objects.clone(), &settings());
    let mut failures = 0;
    for _ in 0..20 {
        match worker.work().await {
            Ok(Step::Idle) => break,
            Ok(Step::More) => {}
            Err(error) => {
                assert!(error.to_string().contains("can keep"), "{error}");
                failures += 1;
            }
        }
    }
    assert_eq!(failures, 2, "then the walk goes on without it");
    assert!(worker.status().1.contains("1 failed"), "{}", worker.status().1);
    assert_eq!(policies(&cluster, policy).await, (0, 1));
    for disk in [0, 1] {
        cluster.bring_up(cluster.disk(disk).0);
    }
    assert_eq!(worker.work().await.expect("a step"), Step::Idle, "an hour later");
    cluster.clock.advance(3600 * 1000);
    drain(&mut worker).await;
    assert_eq!(policies(&cluster, policy).await, (1, 0));
    check(&objects, &[("key".into(), head.name(), bytes)]).await;
}
