//! Object lock: the index refuses, and says so by name.

use metastore::api::index::{BucketChange, ObjectUpdate, Origin};
use objects::{
    Error, Objects,
    request::{CreateUpload, Delete, Put},
};
use types::{
    Attributes, BucketLock, BucketSettings, DefaultRetention, ObjectHead, ObjectLock, Period,
    Retention, RetentionMode, UnixMillis, Version, Versioning,
};

use crate::support::{
    BUCKET, START_MS, TestCluster, content, delete, delete_request, delete_version, get_version,
    put, put_multipart, put_request,
};

const HOUR_MS: u64 = 3600 * 1000;

async fn locked_bucket() -> (std::sync::Arc<TestCluster>, Objects) {
    let cluster = TestCluster::new("rs-4-2", 6);
    let objects = cluster.objects(objects::Settings::default());
    let lock = Some(BucketLock::default());
    let initial = BucketSettings { versioning: Versioning::Enabled, lock, events: false };
    objects.create_bucket(BUCKET, initial).await.expect("the name is free");
    (cluster, objects)
}

fn until(mode: RetentionMode, hours: u64) -> Option<Retention> {
    Some(Retention { mode, until: UnixMillis(START_MS + hours * HOUR_MS) })
}

fn locked(retention: Option<Retention>, legal_hold: bool) -> Attributes {
    let lock = ObjectLock { retention, legal_hold: legal_hold.then_some(true) };
    Attributes { lock, ..Attributes::default() }
}

async fn put_locked(objects: &Objects, attributes: Attributes) -> Result<ObjectHead, Error> {
    objects.put(Put { attributes, ..put_request("key", content(1, 100_000)) }).await
}

/// Deletes with the permission to bypass governance.
async fn bypass(objects: &Objects, version: Version) -> Result<bool, Error> {
    let version = Some(version);
    let delete = Delete { version, bypass_governance: true, ..delete_request("key") };
    objects.delete(delete).await.map(|deleted| deleted.existed)
}

#[tokio::test]
async fn a_locked_version_stays_until_its_time_is_over() {
    let (cluster, objects) = locked_bucket().await;
    let governed = put_locked(&objects, locked(until(RetentionMode::Governance, 1), false)).await;
    let governed = governed.expect("up").name();
    let complied = put_locked(&objects, locked(until(RetentionMode::Compliance, 2), false)).await;
    let complied = complied.expect("up").name();
    let held = put_locked(&objects, locked(None, true)).await.expect("up").name();
    for version in [governed, complied, held] {
        assert_eq!(delete_version(&objects, "key", version).await, Err(Error::Locked));
    }
    assert_eq!(bypass(&objects, complied).await, Err(Error::Locked));
    assert_eq!(bypass(&objects, held).await, Err(Error::Locked));
    assert_eq!(bypass(&objects, governed).await, Ok(true));
    assert_eq!(get_version(&objects, "key", governed).await, Err(Error::NoSuchVersion));

    // A delete marker hides a locked version; it removes nothing.
    let marker = delete(&objects, "key").await.expect("allowed");
    assert!(marker.marker);
    assert_eq!(get_version(&objects, "key", complied).await.expect("there"), content(1, 100_000));

    cluster.clock.advance(2 * HOUR_MS);
    assert!(delete_version(&objects, "key", complied).await.expect("over").existed);
    assert_eq!(delete_version(&objects, "key", held).await, Err(Error::Locked));
    let update = ObjectUpdate::LegalHold(false);
    let head = objects
        .update(BUCKET, "key", Some(held), update, Origin::default())
        .await
        .expect("taken off");
    assert_eq!(head.attributes.lock.legal_hold, Some(false));
    assert!(delete_version(&objects, "key", held).await.expect("free").existed);
}

#[tokio::test]
async fn a_retention_grows_and_does_not_shrink() {
    let (_, objects) = locked_bucket().await;
    put_locked(&objects, locked(until(RetentionMode::Governance, 5), false)).await.expect("up");
    let set = async |to, bypass_governance| {
        let update = ObjectUpdate::Retention { to, bypass_governance };
        let head = objects.update(BUCKET, "key", None, update, Origin::default()).await?;
        Ok(head.attributes.lock.retention)
    };
    let (shorter, longer) =
        (until(RetentionMode::Governance, 4), until(RetentionMode::Governance, 6));
    assert_eq!(set(shorter, false).await, Err(Error::Locked));
    assert_eq!(set(longer, false).await, Ok(longer));
    assert_eq!(set(shorter, true).await, Ok(shorter));
    let strict = until(RetentionMode::Compliance, 4);
    assert_eq!(set(strict, false).await, Err(Error::Locked));
    assert_eq!(set(strict, true).await, Ok(strict));
    assert_eq!(set(None, true).await, Err(Error::Locked));
    assert_eq!(set(longer, true).await, Err(Error::Locked));
    let head = objects.head(BUCKET, "key", None).await.expect("there");
    assert_eq!(head.attributes.lock.retention, strict);
}

#[tokio::test]
async fn new_versions_take_the_buckets_default() {
    let (_, objects) = locked_bucket().await;
    let default = DefaultRetention { mode: RetentionMode::Compliance, period: Period::Days(1) };
    let change = BucketChange::Lock(BucketLock { default: Some(default) });
    objects.configure_bucket(BUCKET, change).await.expect("it has object lock");
    let own = until(RetentionMode::Governance, 1);
    let brought = put_locked(&objects, locked(own, false)).await.expect("up");
    assert_eq!(brought.attributes.lock.retention, own);
    let inline = put(&objects, "key", &content(1, 10)).await.expect("up");
    let multipart = put_multipart(&objects, "key", &[content(2, 100_000)]).await;
    for head in [inline, multipart] {
        let until = head.modified.plus(24 * HOUR_MS);
        let expected = Retention { mode: RetentionMode::Compliance, until };
        assert_eq!(head.attributes.lock.retention, Some(expected));
        assert_eq!(bypass(&objects, head.name()).await, Err(Error::Locked));
    }
}

#[tokio::test]
async fn a_bucket_without_object_lock_takes_no_locks() {
    let (cluster, objects) = TestCluster::six().await;
    for lock in [locked(until(RetentionMode::Governance, 1), false), locked(None, true)] {
        assert_eq!(put_locked(&objects, lock.clone()).await, Err(Error::NoLock));
        let (bucket, key) = (BUCKET.into(), "key".into());
        let create = CreateUpload { bucket, key, attributes: lock, checksum: None };
        assert_eq!(objects.create_upload(create).await, Err(Error::NoLock));
    }
    objects.settle().await;
    assert_eq!(cluster.shard_count().await, 0, "what was refused left nothing");
    put(&objects, "key", &content(1, 10)).await.expect("up");
    let held = ObjectUpdate::LegalHold(true);
    let held = objects.update(BUCKET, "key", None, held, Origin::default()).await;
    assert_eq!(held, Err(Error::NoLock));
}
