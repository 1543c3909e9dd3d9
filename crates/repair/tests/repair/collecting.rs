//! Deleted and replaced bytes become free, after the grace, on every disk.

use std::sync::atomic::Ordering;

use bytes::Bytes;
use metastore::api::index::BucketChange;
use repair::{GarbageCollector, Settings, Worker};
use types::{Version, Versioning};

use crate::{
    drain,
    support::{
        BUCKET, TestCluster, complete_request, content, create_upload, delete, delete_version,
        enable_versioning, get, get_version, put, put_multipart, put_parts,
    },
};

const HOUR_MS: u64 = 3600 * 1000;

#[tokio::test]
async fn an_overwrite_frees_all_shards_of_the_old_object_after_the_grace() {
    let (cluster, objects) = TestCluster::six().await;
    let mut collector = GarbageCollector::new(objects.clone(), Settings::default());
    let bytes = content(2, 100_000);
    put(&objects, "key", &content(1, 100_000)).await.expect("up");
    put(&objects, "key", &bytes).await.expect("up");
    drain(&mut collector).await;
    assert_eq!(cluster.shard_count().await, 12, "readers may still be at it");
    cluster.clock.advance(HOUR_MS + 1);
    drain(&mut collector).await;
    assert_eq!(cluster.shard_count().await, 6);
    assert_eq!(collector.status().0, 1);
    assert_eq!(get(&objects, "key").await.expect("there"), bytes);
    delete(&objects, "key").await.expect("deleted");
    cluster.clock.advance(HOUR_MS + 1);
    drain(&mut collector).await;
    assert_eq!(cluster.shard_count().await, 0);
    cluster.clock.advance(HOUR_MS + 1);
    drain(&mut collector).await;
    assert_eq!(collector.status().0, 2, "the rows are gone too");
}

#[tokio::test]
async fn a_disk_that_is_down_keeps_the_row() {
    let (cluster, objects) = TestCluster::six().await;
    let mut collector = GarbageCollector::new(objects.clone(), Settings::default());
    put(&objects, "key", &content(1, 100_000)).await.expect("up");
    delete(&objects, "key").await.expect("deleted");
    cluster.clock.advance(HOUR_MS + 1);
    let down = cluster.disk(4).0;
    cluster.take_down(down);
    drain(&mut collector).await;
    assert_eq!(collector.status().0, 0);
    assert!(collector.status().1.contains("1 wait"), "{}", collector.status().1);
    assert_eq!(cluster.shard_count().await, 1, "the others are free already");
    cluster.bring_up(down);
    drain(&mut collector).await;
    assert_eq!(cluster.shard_count().await, 0);
    assert_eq!(collector.status().0, 1);
}

#[tokio::test]
async fn parts_are_freed_with_their_upload_or_their_object() {
    let (cluster, objects) = TestCluster::six().await;
    let mut collector = GarbageCollector::new(objects.clone(), Settings::default());
    let part = 5 << 20;

    let upload = async |sizes: [usize; 3]| {
        let upload = create_upload(&objects, "key").await.expect("the bucket is there");
        let parts = sizes.map(|size| content(size as u64, size));
        (upload, put_parts(&objects, "key", upload, &parts).await)
    };
    let (aborted, _) = upload([part, 10, 50_000]).await;
    objects.abort_upload(BUCKET, "key", aborted).await.expect("in progress");
    assert_eq!(cluster.shard_count().await, 12);
    cluster.clock.advance(HOUR_MS + 1);
    drain(&mut collector).await;
    assert_eq!(cluster.shard_count().await, 0, "an aborted upload");

    let (upload, mut parts) = upload([part, part, 50_000]).await;
    parts.remove(1);
    objects.complete_upload(complete_request("key", upload, parts)).await.expect("complete");
    assert_eq!(cluster.shard_count().await, 18);
    cluster.clock.advance(HOUR_MS + 1);
    drain(&mut collector).await;
    assert_eq!(cluster.shard_count().await, 12, "the part that was not listed");
    assert_eq!(get(&objects, "key").await.expect("there").len(), part + 50_000);

    put(&objects, "key", &content(1, 10)).await.expect("up");
    cluster.clock.advance(HOUR_MS + 1);
    drain(&mut collector).await;
    assert_eq!(cluster.shard_count().await, 0, "a replaced multipart object");
}

/// Nothing that a version refers to is garbage; what goes by its name frees exactly its own.
#[tokio::test]
async fn a_version_keeps_its_shards_until_it_is_removed_by_its_name() {
    let (cluster, objects) = TestCluster::six().await;
    let mut collector = GarbageCollector::new(objects.clone(), Settings::default());
    let mut collected = async || {
        cluster.clock.advance(HOUR_MS + 1);
        drain(&mut collector).await;
        cluster.shard_count().await
    };
    enable_versioning(&objects).await;
    let (inline, blob) = (content(1, 10), content(2, 100_000));
    let parts = [content(3, 5 << 20), content(4, 5 << 20), content(5, 50_000)];
    let whole: Bytes = parts.concat().into();
    let mut left = Vec::new();
    for _ in 0..2 {
        let head = put(&objects, "key", &inline).await.expect("up");
        left.push((head.name(), 0, &inline));
        let head = put(&objects, "key", &blob).await.expect("up");
        left.push((head.name(), 6, &blob));
        left.push((put_multipart(&objects, "key", &parts).await.name(), 18, &whole));
    }
    let marker = delete(&objects, "key").await.expect("a marker").version.expect("named");
    assert_eq!(collected().await, 48, "overwriting and hiding free nothing");
    delete_version(&objects, "key", marker).await.expect("removed");
    assert_eq!(collected().await, 48, "a marker has no bytes");

    // The current one, then old ones of every kind, then what has become current.
    let mut shards = 48;
    for index in [5, 1, 1, 0, 0, 0] {
        let (version, its_own, _) = left.remove(index);
        delete_version(&objects, "key", version).await.expect("removed");
        shards -= its_own;
        assert_eq!(collected().await, shards, "{version}");
        for (version, _, bytes) in &left {
            let found = get_version(&objects, "key", *version).await;
            assert_eq!(found.as_ref(), Ok(*bytes), "{version}");
        }
    }
    assert_eq!((shards, left.len()), (0, 0));
}

/// While versioning is suspended a write takes the null version's place, and its bytes go.
#[tokio::test]
async fn a_replaced_null_version_is_freed() {
    let (cluster, objects) = TestCluster::six().await;
    let mut collector = GarbageCollector::new(objects.clone(), Settings::default());
    enable_versioning(&objects).await;
    let kept = put(&objects, "key", &content(1, 100_000)).await.expect("up").name();
    let suspend = BucketChange::Versioning(Versioning::Suspended);
    objects.configure_bucket(BUCKET, suspend).await.expect("no object lock");
    for seed in 2..5 {
        put(&objects, "key", &content(seed, 100_000)).await.expect("up");
    }
    assert_eq!(cluster.shard_count().await, 24);
    cluster.clock.advance(HOUR_MS + 1);
    drain(&mut collector).await;
    assert_eq!(cluster.shard_count().await, 12);
    assert_eq!(get(&objects, "key").await.expect("current"), content(4, 100_000));
    assert_eq!(delete(&objects, "key").await.expect("hidden").version, Some(Version::Null));
    cluster.clock.advance(HOUR_MS + 1);
    drain(&mut collector).await;
    assert_eq!(cluster.shard_count().await, 6);
    let found = get_version(&objects, "key", kept).await;
    assert_eq!(found.expect("kept"), content(1, 100_000));
}

/// More rows than a page wait for a disk; what lies behind them is collected all the same.
#[tokio::test]
async fn rows_that_wait_hold_up_nobody() {
    let settings = objects::Settings::default();
    let (cluster, objects) = TestCluster::with_objects("rs-1-1", 4, settings).await;
    let mut collector = GarbageCollector::new(objects.clone(), Settings::default());
    // Groups are pairs of neighbours: suspicion of one pair sends writes to the other.
    let put_on = async |others: [usize; 2], keys: std::ops::Range<u64>| {
        let suspect = |suspected| {
            for number in others {
                cluster.disk(number).1.suspected.store(suspected, Ordering::SeqCst);
            }
        };
        suspect(true);
        for key in keys {
            put(&objects, &format!("{key}"), &content(key, 4097)).await.expect("two are up");
        }
        suspect(false);
    };
    put_on([2, 3], 0..1001).await;
    put_on([0, 1], 1001..1011).await;
    objects.settle().await;
    for key in 0..1011 {
        delete(&objects, &format!("{key}")).await.expect("deleted");
    }
    cluster.clock.advance(HOUR_MS + 1);
    let (down, up) = (cluster.disk(0).0, cluster.disk(1).1);
    cluster.take_down(down);
    drain(&mut collector).await;
    assert_eq!(collector.status().0, 10);
    assert!(collector.status().1.contains("1001 wait"), "{}", collector.status().1);
    assert_eq!(cluster.shard_count().await, 1001, "on the disk that is down");

    // Once it is known to be down, the others are not asked again for what they have done.
    cluster.disk(0).1.suspected.store(true, Ordering::SeqCst);
    let calls = up.deletes.load(Ordering::SeqCst);
    drain(&mut collector).await;
    assert_eq!(up.deletes.load(Ordering::SeqCst), calls);
    assert!(collector.status().1.contains("1001 wait"), "{}", collector.status().1);
    cluster.bring_up(down);
    drain(&mut collector).await;
    assert_eq!((cluster.shard_count().await, collector.status().0), (0, 1011));
    assert_eq!(cluster.garbage(), []);
}

/// The rows that an upload expands to lie among those of the page.
#[tokio::test]
async fn uploads_between_blobs_are_collected_in_one_round() {
    let (cluster, objects) = TestCluster::six().await;
    let mut collector = GarbageCollector::new(objects.clone(), Settings::default());
    for key in ["a", "b", "c"] {
        put(&objects, key, &content(1, 100_000)).await.expect("up");
        put_multipart(&objects, key, &[content(2, 5 << 20), content(3, 50_000)]).await;
        delete(&objects, key).await.expect("deleted");
        cluster.clock.advance(1);
    }
    assert_eq!(cluster.shard_count().await, 54);
    cluster.clock.advance(HOUR_MS + 1);
    drain(&mut collector).await;
    assert_eq!((cluster.shard_count().await, collector.status().0), (0, 9));
    assert_eq!(cluster.garbage(), []);
}
