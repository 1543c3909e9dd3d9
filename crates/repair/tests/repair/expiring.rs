//! Lifecycle rules over real versions: what is due goes, everything else stays, and a walk
//! that is cut off anywhere goes on.

use std::collections::BTreeMap;

use ::lifecycle::{Filter, Lifecycle, NoncurrentExpiration, Rule, When};
use metastore::api::{
    index::{BucketChange, ListedVersion, VersionEntry},
    root::ConfigKind,
};
use objects::{
    Objects,
    request::{CreateUpload, Delete},
};
use repair::{LifecycleWorker, Settings, Step, Worker};
use types::{Attributes, BucketLock, Condition, Versioning};

use crate::{
    drain,
    support::{BUCKET, TestCluster, content, put},
};

const DAY_MS: u64 = 1000;

fn worker(objects: &Objects) -> LifecycleWorker {
    let settings = Settings { lifecycle_day_ms: DAY_MS, ..Settings::default() };
    LifecycleWorker::new(objects.clone(), &settings)
}

async fn set(objects: &Objects, rules: impl IntoIterator<Item = Rule>) {
    let named =
        |(number, rule): (usize, Rule)| Rule { id: number.to_string(), enabled: true, ..rule };
    let rules = rules.into_iter().enumerate().map(named).collect();
    let rules = Lifecycle { rules, ..Lifecycle::default() };
    assert_eq!(rules.check(), Ok(()));
    objects
        .set_bucket_config(BUCKET, ConfigKind::Lifecycle, Some(rules.encode().into()))
        .await
        .expect("the bucket is there");
}

/// Keys of all versions: `key` for an object, `key!` for a delete marker.
async fn versions(objects: &Objects) -> Vec<String> {
    let page = objects.list_versions(BUCKET, "", None, None, 1000).await.expect("a page");
    assert!(page.next.is_none());
    let name = |entry: VersionEntry| match entry {
        VersionEntry::Version { what: ListedVersion::Object(object), .. } => object.key,
        VersionEntry::Version { what: ListedVersion::Marker { key, .. }, .. } => format!("{key}!"),
        VersionEntry::CommonPrefix(prefix) => prefix,
    };
    page.entries.into_iter().map(name).collect()
}

async fn delete(objects: &Objects, key: &str) {
    let delete = Delete {
        bucket: BUCKET.into(),
        key: key.into(),
        version: None,
        condition: Condition::None,
        bypass_governance: false,
        origin: Default::default(),
    };
    objects.delete(delete).await.expect("up");
}

fn expire(days: u32) -> Rule {
    Rule { expiration: Some(When::Days(days)), ..Rule::default() }
}

fn prefixed(prefix: &str, rule: Rule) -> Rule {
    Rule { filter: Filter { prefix: prefix.into(), ..Filter::default() }, ..rule }
}

#[tokio::test]
async fn objects_of_a_bucket_without_versions_expire() {
    let (cluster, objects) = TestCluster::six().await;
    set(&objects, [prefixed("old/", expire(2))]).await;
    for key in ["keep", "old/a", "old/b"] {
        put(&objects, key, &content(1, 5000)).await.expect("up");
    }
    let mut worker = worker(&objects);
    drain(&mut worker).await;
    assert_eq!(versions(&objects).await.len(), 3, "nothing is due yet");
    cluster.clock.advance(DAY_MS);
    put(&objects, "old/young", &content(1, 10)).await.expect("up");
    cluster.clock.advance(DAY_MS);
    drain(&mut worker).await;
    assert_eq!(versions(&objects).await, ["keep", "old/young"]);
    cluster.clock.advance(DAY_MS);
    drain(&mut worker).await;
    assert_eq!(versions(&objects).await, ["keep"]);
    assert!(worker.status().1.contains("3 expired"), "{}", worker.status().1);
}

#[tokio::test]
async fn versions_markers_and_locks() {
    let (cluster, objects) = TestCluster::six().await;
    objects
        .configure_bucket(BUCKET, BucketChange::Versioning(Versioning::Enabled))
        .await
        .expect("a change");
    objects
        .configure_bucket(BUCKET, BucketChange::Lock(BucketLock::default()))
        .await
        .expect("a change");
    set(
        &objects,
        [
            prefixed("e", expire(1)),
            prefixed(
                "n",
                Rule {
                    noncurrent: Some(NoncurrentExpiration { days: 1, keep: 1 }),
                    ..Rule::default()
                },
            ),
            prefixed("m", Rule { expired_markers: true, ..Rule::default() }),
        ],
    )
    .await;
    put(&objects, "e", &content(1, 10)).await.expect("up");
    for number in 0..4 {
        put(&objects, "n", &content(number, 10)).await.expect("up");
    }
    put(&objects, "n-held", &content(1, 10)).await.expect("up");
    objects
        .update(
            BUCKET,
            "n-held",
            None,
            metastore::api::index::ObjectUpdate::LegalHold(true),
            Default::default(),
        )
        .await
        .expect("held");
    for number in 0..2 {
        put(&objects, "n-held", &content(number, 10)).await.expect("up");
    }
    delete(&objects, "m-alone").await;
    put(&objects, "m-with", &content(1, 10)).await.expect("up");
    delete(&objects, "m-with").await;
    cluster.clock.advance(3 * DAY_MS);
    let mut worker = worker(&objects);
    drain(&mut worker).await;
    assert_eq!(
        versions(&objects).await,
        // The current object got a marker; of n the current and one noncurrent stay; of n-held
        // the oldest is held; a marker stays while there is something under it.
        ["e!", "e", "m-with!", "m-with", "n", "n", "n-held", "n-held", "n-held"]
    );
    assert!(worker.status().1.contains("1 kept by a lock"), "{}", worker.status().1);
}

#[tokio::test]
async fn uploads_are_aborted_and_tags_decide() {
    let (cluster, objects) = TestCluster::six().await;
    let create = |key: &str| CreateUpload {
        bucket: BUCKET.into(),
        key: key.into(),
        attributes: Attributes::default(),
        checksum: None,
    };
    objects.create_upload(create("up/a")).await.expect("up");
    objects.create_upload(create("other")).await.expect("up");
    let tags = BTreeMap::from([("class".to_owned(), "scratch".to_owned())]);
    put(&objects, "tagged", &content(1, 10)).await.expect("up");
    put(&objects, "plain", &content(1, 10)).await.expect("up");
    objects
        .update(
            BUCKET,
            "tagged",
            None,
            metastore::api::index::ObjectUpdate::Tags(tags.clone()),
            Default::default(),
        )
        .await
        .expect("there");
    set(
        &objects,
        [
            prefixed("up/", Rule { abort_uploads_days: Some(1), ..Rule::default() }),
            Rule { filter: Filter { tags, ..Filter::default() }, ..expire(1) },
        ],
    )
    .await;
    cluster.clock.advance(3 * DAY_MS);
    drain(&mut worker(&objects)).await;
    let page = objects.uploads(BUCKET, "", None, None, 1000).await.expect("a page");
    let keys: Vec<_> = page.uploads.iter().map(|upload| upload.key.as_str()).collect();
    assert_eq!(keys, ["other"]);
    assert_eq!(versions(&objects).await, ["plain"]);
}

/// Each step by a worker of its own, as when the leader changes all the time.
#[tokio::test]
async fn a_walk_goes_on_where_another_worker_left_it() {
    let (cluster, objects) = TestCluster::six().await;
    for number in 0..1500 {
        put(&objects, &format!("{number:04}"), &content(1, 1)).await.expect("up");
    }
    set(&objects, [expire(1)]).await;
    cluster.clock.advance(3 * DAY_MS);
    let mut steps = 0;
    while worker(&objects).work().await.expect("a step") == Step::More {
        steps += 1;
        assert!(steps < 100, "it begins again and again");
    }
    // The bucket, two pages of versions, the uploads, the end.
    assert_eq!(steps, 5);
    assert_eq!(versions(&objects).await, [""; 0]);
}

#[tokio::test]
async fn rules_that_are_taken_back_end_nothing_more() {
    let (cluster, objects) = TestCluster::six().await;
    for number in 0..1500 {
        put(&objects, &format!("{number:04}"), &content(1, 1)).await.expect("up");
    }
    set(&objects, [expire(1)]).await;
    cluster.clock.advance(3 * DAY_MS);
    let mut worker = worker(&objects);
    for step in ["the bucket is found", "its first page is walked"] {
        assert_eq!(worker.work().await.expect("a step"), Step::More, "{step}");
    }
    objects.set_bucket_config(BUCKET, ConfigKind::Lifecycle, None).await.expect("there");
    drain(&mut worker).await;
    assert_eq!(versions(&objects).await.len(), 500);
}

/// Where versioning is suspended, all that is new is called null.
#[tokio::test]
async fn null_markers_with_nothing_under_them_go() {
    let (cluster, objects) = TestCluster::six().await;
    for versioning in [Versioning::Enabled, Versioning::Suspended] {
        let change = BucketChange::Versioning(versioning);
        objects.configure_bucket(BUCKET, change).await.expect("a change");
    }
    put(&objects, "kept", &content(1, 10)).await.expect("up");
    delete(&objects, "gone").await;
    set(&objects, [Rule { expired_markers: true, ..Rule::default() }]).await;
    assert_eq!(versions(&objects).await, ["gone!", "kept"]);
    cluster.clock.advance(3 * DAY_MS);
    drain(&mut worker(&objects)).await;
    assert_eq!(versions(&objects).await, ["kept"]);
}
