//! Buckets: creation and deletion through crashes and races.

use bytes::Bytes;
use cluster::Metadata;
use futures::future::join_all;
use metastore::api::{IndexCommand, RootAnswer, RootCommand};
use objects::{Error, Settings};
use types::{BucketId, Condition};

use crate::support::{BUCKET, TestCluster, content, get, put, put_request};

#[tokio::test]
async fn create_find_list_delete() {
    let (_, objects) = TestCluster::six().await;
    let bucket = objects.bucket(BUCKET).await.expect("created");
    assert_eq!((bucket.name.as_str(), bucket.deleting), (BUCKET, false));
    let again = objects.create_bucket(BUCKET).await;
    assert_eq!(again, Err(Error::BucketExists(BUCKET.into())));
    objects.create_bucket("aaa").await.expect("free");
    let (buckets, more) = objects.buckets("", None, 10).await.expect("a page");
    let names: Vec<_> = buckets.iter().map(|bucket| bucket.name.as_str()).collect();
    assert_eq!((names, more), (vec!["aaa", BUCKET], false));

    put(&objects, "key", &content(1, 10)).await.expect("up");
    let not_empty = objects.delete_bucket(BUCKET).await;
    assert_eq!(not_empty, Err(Error::BucketNotEmpty(BUCKET.into())));
    put(&objects, "key", &content(2, 10)).await.expect("a refused deletion changes nothing");
    objects.delete(BUCKET, "key", Condition::None).await.expect("deleted");
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
    other.delete(BUCKET, "key", Condition::None).await.expect("deleted");
    objects.delete_bucket(BUCKET).await.expect("empty");
    objects.create_bucket(BUCKET).await.expect("free");
    for size in [10, 100_000] {
        put(&objects, "key", &content(2, size)).await.expect("up");
        assert_eq!(get(&other, "key").await.expect("found"), content(2, size));
    }

    // A write through the stale gateway: small bytes can change their bucket, shards cannot.
    let stale = cluster.objects(Settings { bucket_cache_ms: u64::MAX / 2, ..Settings::default() });
    assert!(stale.head(BUCKET, "key").await.is_ok(), "cached now");
    objects.delete(BUCKET, "key", Condition::None).await.expect("deleted");
    objects.delete_bucket(BUCKET).await.expect("empty");
    objects.create_bucket(BUCKET).await.expect("free");
    let refused = put(&stale, "large", &content(3, 100_000)).await;
    assert!(matches!(refused, Err(Error::Unavailable(_))), "{refused:?}");
    put(&stale, "large", &content(3, 100_000)).await.expect("the retry finds the new bucket");
    assert_eq!(get(&objects, "large").await.expect("there"), content(3, 100_000));
}

#[tokio::test]
async fn a_crash_between_creation_and_opening_is_healed_by_the_first_use() {
    let cluster = TestCluster::new("rs-4-2", 6);
    let objects = cluster.objects(Settings::default());
    let name = BUCKET.to_owned();
    let command = RootCommand::CreateBucket { name, id: BucketId(77) };
    assert!(matches!(cluster.root(command).await, Ok(RootAnswer::Bucket(_))));
    put(&objects, "key", &content(1, 100_000)).await.expect("the gate is opened");
    assert_eq!(get(&objects, "key").await.expect("there"), content(1, 100_000));
}

#[tokio::test]
async fn a_half_done_deletion_is_ended_by_the_next_call() {
    // Begun, not sealed: creation finishes it and makes a new bucket.
    let (cluster, objects) = TestCluster::six().await;
    let old = objects.bucket(BUCKET).await.expect("there");
    let begin = || RootCommand::BeginDeleteBucket { name: BUCKET.into() };
    cluster.root(begin()).await.expect("memory");
    let new = objects.create_bucket(BUCKET).await.expect("the old one was empty");
    assert_ne!(new.id, old.id);

    // Begun, and not empty: creation cancels it; the bucket lives.
    put(&objects, "key", &content(1, 10)).await.expect("up");
    cluster.root(begin()).await.expect("memory");
    let taken = objects.create_bucket(BUCKET).await;
    assert_eq!(taken, Err(Error::BucketExists(BUCKET.into())));
    assert_eq!(get(&objects, "key").await.expect("still there"), content(1, 10));

    // Begun and sealed: the next deletion finishes it.
    objects.delete(BUCKET, "key", Condition::None).await.expect("deleted");
    cluster.root(begin()).await.expect("memory");
    cluster.index(new.id, "", IndexCommand::SealBucket { bucket: new.id }).await.expect("memory");
    objects.delete_bucket(BUCKET).await.expect("finished");
    objects.create_bucket(BUCKET).await.expect("the name is free");

    // Sealed, and cancelled in the root group by somebody late: it was empty and is gone.
    let bucket = objects.bucket(BUCKET).await.expect("there");
    cluster
        .index(bucket.id, "", IndexCommand::SealBucket { bucket: bucket.id })
        .await
        .expect("memory");
    let gone = put(&objects, "key", &content(1, 10)).await;
    assert_eq!(gone, Err(Error::NoSuchBucket(BUCKET.into())));
    objects.create_bucket(BUCKET).await.expect("the name is free");
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
            objects.create_bucket(BUCKET).await.expect("the name is free");
        }
        let page = objects.list(BUCKET, "", None, None, 1000).await.expect("a working bucket");
        assert_eq!(page.entries.len(), acknowledged, "{round}");
        for number in 0..3 {
            let key = format!("{key}-{number}");
            objects.delete(BUCKET, &key, Condition::None).await.expect("deleted");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_concurrent_bucket_creations_exactly_one_wins() {
    let cluster = TestCluster::new("rs-4-2", 6);
    let creations = (0..8).map(|_| {
        let gateway = cluster.objects(Settings::default());
        tokio::spawn(async move { gateway.create_bucket("new").await })
    });
    let results: Vec<_> = join_all(creations).await.into_iter().map(|r| r.expect("ran")).collect();
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
    let objects = cluster.objects(Settings::default());
    let request = objects::request::Put { bucket: "new".into(), ..put_request("k", Bytes::new()) };
    objects.put(request).await.expect("it works");
}
