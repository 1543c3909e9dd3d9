//! Buckets: creation and deletion through crashes and races.

use std::sync::atomic::Ordering;

use bytes::Bytes;
use cluster::Metadata;
use futures::future::join_all;
use metastore::api::{IndexCommand, RootAnswer, RootCommand, index::BucketChange, root::Bucket};
use objects::{Error, Objects, Settings, request::Put};
use types::{
    BucketId, BucketLock, BucketSettings, DefaultRetention, Period, RetentionMode, Versioning,
};

use crate::support::{BUCKET, TestCluster, content, delete, get, put, put_request};

const ENABLE: BucketChange = BucketChange::Versioning(Versioning::Enabled);

async fn create(objects: &Objects, name: &str) -> Result<Bucket, Error> {
    objects.create_bucket(name, BucketSettings::default()).await
}

#[tokio::test]
async fn create_find_list_delete() {
    let (_, objects) = TestCluster::six().await;
    let bucket = objects.bucket(BUCKET).await.expect("created");
    assert_eq!((bucket.name.as_str(), bucket.deleting), (BUCKET, false));
    let again = create(&objects, BUCKET).await;
    assert_eq!(again, Err(Error::BucketExists(BUCKET.into())));
    create(&objects, "aaa").await.expect("free");
    let (buckets, more) = objects.buckets("", None, 10).await.expect("a page");
    let names: Vec<_> = buckets.iter().map(|bucket| bucket.name.as_str()).collect();
    assert_eq!((names, more), (vec!["aaa", BUCKET], false));

    put(&objects, "key", &content(1, 10)).await.expect("up");
    let not_empty = objects.delete_bucket(BUCKET).await;
    assert_eq!(not_empty, Err(Error::BucketNotEmpty(BUCKET.into())));
    put(&objects, "key", &content(2, 10)).await.expect("a refused deletion changes nothing");
    delete(&objects, "key").await.expect("deleted");
    objects.delete_bucket(BUCKET).await.expect("empty now");
    let gone = || Error::NoSuchBucket(BUCKET.into());
    assert_eq!(objects.delete_bucket(BUCKET).await, Err(gone()));
    assert_eq!(objects.bucket(BUCKET).await, Err(gone()));
    assert_eq!(put(&objects, "key", &content(1, 10)).await, Err(gone()));
    assert_eq!(get(&objects, "key").await, Err(gone()));
}

/// Another gateway's cached id is stale: it must notice, not misdirect.
#[tokio::test]
async fn a_bucket_made_again_is_found_behind_a_stale_cache() {
    let (cluster, objects) = TestCluster::six().await;
    let other = cluster.objects(Settings::default());
    put(&other, "key", &content(1, 10)).await.expect("cached now");
    delete(&other, "key").await.expect("deleted");
    objects.delete_bucket(BUCKET).await.expect("empty");
    create(&objects, BUCKET).await.expect("free");
    for size in [10, 100_000] {
        put(&objects, "key", &content(2, size)).await.expect("up");
        assert_eq!(get(&other, "key").await.expect("found"), content(2, size));
    }

    // A write through the stale gateway: small bytes can change their bucket, shards cannot.
    let stale = cluster.objects(Settings { bucket_cache_ms: u64::MAX / 2, ..Settings::default() });
    assert!(stale.head(BUCKET, "key", None).await.is_ok(), "cached now");
    delete(&objects, "key").await.expect("deleted");
    objects.delete_bucket(BUCKET).await.expect("empty");
    create(&objects, BUCKET).await.expect("free");
    let refused = put(&stale, "large", &content(3, 100_000)).await;
    assert!(matches!(refused, Err(Error::Unavailable(_))), "{refused:?}");
    put(&stale, "large", &content(3, 100_000)).await.expect("the retry finds the new bucket");
    assert_eq!(get(&objects, "large").await.expect("there"), content(3, 100_000));
}

#[tokio::test]
async fn a_crash_between_creation_and_opening_is_healed_by_the_first_use() {
    let cluster = TestCluster::new("rs-4-2", 6);
    let objects = cluster.objects(Settings::default());
    let default = DefaultRetention { mode: RetentionMode::Governance, period: Period::Days(3) };
    let lock = Some(BucketLock { default: Some(default) });
    let initial = BucketSettings { versioning: Versioning::Enabled, lock, events: false };
    // Whatever is the first to meet the closed gate opens it as the bucket was created.
    for (number, first) in ["a write", "a read", "settings", "a change"].into_iter().enumerate() {
        let name = format!("{BUCKET}-{number}");
        let id = BucketId(77 + number as u64);
        let command = RootCommand::CreateBucket { name: name.clone(), id, initial };
        assert!(matches!(cluster.root(command).await, Ok(RootAnswer::Bucket(_))));
        let mut expected = initial;
        match first {
            "a write" => {
                let request = put_request("key", content(1, 100_000));
                let request = Put { bucket: name.clone(), ..request };
                let head = objects.put(request).await.expect("the gate is opened");
                assert!(!head.null, "versioning was enabled already");
                let until = head.modified.plus(3 * 24 * 3600 * 1000);
                assert_eq!(head.attributes.lock.retention.map(|it| it.until), Some(until));
            }
            "a read" => {
                let nothing = objects.head(&name, "key", None).await;
                assert_eq!(nothing, Err(Error::NoSuchKey));
            }
            "settings" => {}
            _ => {
                expected.lock = Some(BucketLock::default());
                let change = BucketChange::Lock(BucketLock::default());
                objects.configure_bucket(&name, change).await.expect("versioning is enabled");
            }
        }
        assert_eq!(objects.bucket_settings(&name).await, Ok(expected), "{first}");
    }
}

#[tokio::test]
async fn settings_begin_as_created_and_change_within_the_rules() {
    let (_, objects) = TestCluster::six().await;
    assert_eq!(objects.bucket_settings(BUCKET).await, Ok(BucketSettings::default()));
    let missing = objects.bucket_settings("nothing").await;
    assert_eq!(missing, Err(Error::NoSuchBucket("nothing".into())));
    let change = async |change| objects.configure_bucket(BUCKET, change).await;
    let state = Err(Error::BucketState);
    assert_eq!(change(BucketChange::Lock(BucketLock::default())).await, state);
    assert_eq!(change(BucketChange::Versioning(Versioning::Off)).await, state);
    for versioning in [Versioning::Suspended, Versioning::Enabled] {
        change(BucketChange::Versioning(versioning)).await.expect("to and fro");
        let settings = BucketSettings { versioning, lock: None, events: false };
        assert_eq!(objects.bucket_settings(BUCKET).await, Ok(settings));
    }
    change(BucketChange::Lock(BucketLock::default())).await.expect("versioning is enabled");
    assert_eq!(change(BucketChange::Versioning(Versioning::Suspended)).await, state);
    let lock = Some(BucketLock::default());
    let settings = BucketSettings { versioning: Versioning::Enabled, lock, events: false };
    assert_eq!(objects.bucket_settings(BUCKET).await, Ok(settings));
    let bucket = objects.bucket(BUCKET).await.expect("there");
    assert_eq!(bucket.initial, BucketSettings::default(), "the root row says how it began");
}

/// The index forgets write ids: what met a closed gate is not proposed again long after.
#[tokio::test]
async fn a_change_that_waited_too_long_for_its_gate_is_given_up() {
    let cluster = TestCluster::new("rs-4-2", 6);
    let objects = cluster.objects(Settings::default());
    let minutes = |minutes: u64| cluster.open_ms.store(minutes * 60_000, Ordering::SeqCst);
    let initial = BucketSettings::default();
    for (id, size) in [(1, 0), (2, 10), (3, 100_000)] {
        let name = format!("{BUCKET}-{id}");
        let create = RootCommand::CreateBucket { name: name.clone(), id: BucketId(id), initial };
        assert!(matches!(cluster.root(create).await, Ok(RootAnswer::Bucket(_))));
        minutes(11);
        let late = match size {
            0 => objects.configure_bucket(&name, ENABLE).await,
            _ => {
                let request = put_request("key", content(1, size));
                objects.put(Put { bucket: name.clone(), ..request }).await.map(|_| ())
            }
        };
        assert!(matches!(late, Err(Error::Unavailable(_))), "{late:?}");
        assert_eq!(objects.bucket_settings(&name).await, Ok(initial));
        assert_eq!(objects.head(&name, "key", None).await, Err(Error::NoSuchKey));
    }
    objects.settle().await;
    // A refusal for lateness proves nothing about earlier proposals of the same write: the shards
    // are left to the sweep, which asks the index.
    assert_eq!(cluster.shard_count().await, 6);
    minutes(9);
    let create = RootCommand::CreateBucket { name: "new".into(), id: BucketId(4), initial };
    assert!(matches!(cluster.root(create).await, Ok(RootAnswer::Bucket(_))));
    objects.configure_bucket("new", ENABLE).await.expect("in time");
}

#[tokio::test]
async fn a_half_done_deletion_is_ended_by_the_next_call() {
    // Begun, not sealed: creation finishes it and makes a new bucket.
    let (cluster, objects) = TestCluster::six().await;
    let old = objects.bucket(BUCKET).await.expect("there");
    let begin = || RootCommand::BeginDeleteBucket { name: BUCKET.into() };
    cluster.root(begin()).await.expect("memory");
    let new = create(&objects, BUCKET).await.expect("the old one was empty");
    assert_ne!(new.id, old.id);

    // Begun, and not empty: creation cancels it; the bucket lives.
    put(&objects, "key", &content(1, 10)).await.expect("up");
    cluster.root(begin()).await.expect("memory");
    let taken = create(&objects, BUCKET).await;
    assert_eq!(taken, Err(Error::BucketExists(BUCKET.into())));
    assert_eq!(get(&objects, "key").await.expect("still there"), content(1, 10));

    // Begun and sealed: the next deletion finishes it.
    delete(&objects, "key").await.expect("deleted");
    cluster.root(begin()).await.expect("memory");
    cluster.index(new.id, "", IndexCommand::SealBucket { bucket: new.id }).await.expect("memory");
    objects.delete_bucket(BUCKET).await.expect("finished");
    create(&objects, BUCKET).await.expect("the name is free");

    // Sealed, and cancelled in the root group by somebody late: it was empty and is gone.
    let bucket = objects.bucket(BUCKET).await.expect("there");
    cluster
        .index(bucket.id, "", IndexCommand::SealBucket { bucket: bucket.id })
        .await
        .expect("memory");
    let gone = put(&objects, "key", &content(1, 10)).await;
    assert_eq!(gone, Err(Error::NoSuchBucket(BUCKET.into())));
    create(&objects, BUCKET).await.expect("the name is free");
    put(&objects, "key", &content(1, 10)).await.expect("a working bucket");
}

/// Whatever wins, an acknowledged object is never in a bucket that was deleted as empty.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deletion_races_with_writes_and_creation() {
    let (cluster, objects) = TestCluster::six().await;
    for round in 0..40u64 {
        let key = format!("key-{round}");
        let writes = (0..3u64).map(|number| {
            let gateway = cluster.objects(Settings::default());
            let request = put_request(&format!("{key}-{number}"), content(number, 10));
            tokio::spawn(async move { gateway.put(request).await })
        });
        let deletes = (0..2).map(|_| {
            let gateway = cluster.objects(Settings::default());
            tokio::spawn(async move { gateway.delete_bucket(BUCKET).await })
        });
        let (written, deleted) = tokio::join!(join_all(writes), join_all(deletes));
        let acknowledged = written.into_iter().filter(|write| matches!(write, Ok(Ok(_)))).count();
        let deleted = deleted.into_iter().filter(|delete| matches!(delete, Ok(Ok(())))).count();
        assert!(deleted == 0 || acknowledged == 0, "{round}: {deleted} {acknowledged}");
        if deleted > 0 {
            create(&objects, BUCKET).await.expect("the name is free");
        }
        let page = objects.list(BUCKET, "", None, None, 1000).await.expect("a working bucket");
        assert_eq!(page.entries.len(), acknowledged, "{round}");
        for number in 0..3 {
            let key = format!("{key}-{number}");
            delete(&objects, &key).await.expect("deleted");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_concurrent_bucket_creations_exactly_one_wins() {
    let cluster = TestCluster::new("rs-4-2", 6);
    let creations = (0..8).map(|_| {
        let gateway = cluster.objects(Settings::default());
        tokio::spawn(async move { create(&gateway, "new").await })
    });
    let results: Vec<_> = join_all(creations).await.into_iter().map(|r| r.expect("ran")).collect();
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
    let objects = cluster.objects(Settings::default());
    let request = Put { bucket: "new".into(), ..put_request("k", Bytes::new()) };
    objects.put(request).await.expect("it works");
}
