//! Renaming: one object, another key, in one step for everybody who looks.

use std::{collections::BTreeMap, sync::atomic::Ordering, time::Duration};

use bytes::Bytes;
use cluster::Metadata;
use metastore::api::{
    IndexQuery, IndexView,
    index::{Garbage, Origin},
};
use objects::{
    Error, Objects,
    request::{CreateUpload, Put, Rename},
};
use proto::shards::ShardState;
use types::{
    Attributes, BlobId, Checksum, ChecksumAlgorithm, ChecksumKind, Condition, Content, Match,
    ObjectHead, Partition, StorageClass, WriteIntent,
};

use crate::support::{
    BUCKET, CommandFault, TestCluster, blob_of, complete_request, content, enable_versioning, get,
    mixed_content, put, put_in, put_multipart, put_parts, put_request,
};

const MIB: usize = 1 << 20;

fn request(from: &str, to: &str) -> Rename {
    Rename {
        bucket: BUCKET.into(),
        from: from.into(),
        to: to.into(),
        source_condition: Condition::None,
        condition: Condition::None,
        origin: Origin::default(),
    }
}

async fn rename(objects: &Objects, from: &str, to: &str) -> Result<ObjectHead, Error> {
    objects.rename(request(from, to)).await
}

fn attributes(class: StorageClass) -> Attributes {
    let map = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    };
    Attributes {
        system: map(&[("content-type", "text/x-test")]),
        user: map(&[("who", "me")]),
        tags: map(&[("a", "b")]),
        class,
        ..Attributes::default()
    }
}

fn checksum(number: u8) -> Checksum {
    Checksum {
        algorithm: ChecksumAlgorithm::Crc32,
        kind: ChecksumKind::FullObject,
        value: vec![number; 4],
        parts: 0,
    }
}

/// What clients see of an object, apart from its key and its time.
fn seen(head: &ObjectHead) -> impl PartialEq + std::fmt::Debug + use<> {
    (head.size, head.etag, head.attributes.clone(), head.checksum.clone(), head.null)
}

/// No upload is in progress, and all shards belong to objects that are there or to garbage.
async fn check_nothing_is_left(cluster: &TestCluster, objects: &Objects, keys: &[&str]) {
    objects.settle().await;
    let uploads = objects.uploads(BUCKET, "", None, None, 10).await.expect("a page").uploads;
    assert_eq!(uploads, []);
    let bucket = objects.bucket(BUCKET).await.expect("there").id;
    let garbage = cluster.garbage();
    let is_garbage = |id: BlobId| {
        garbage.iter().any(|it| match it {
            Garbage::Blob(blob) => blob.id == id,
            Garbage::Upload { .. } => false,
        })
    };
    // Whole uploads that were given up are expanded by the collector.
    let uploads_given_up = garbage.iter().any(|it| matches!(it, Garbage::Upload { .. }));
    for (disk, entry) in cluster.shards().await {
        let id = entry.shard.blob;
        let mut referenced = false;
        for key in keys {
            let Ok(head) = objects.head(BUCKET, key, None).await else { continue };
            referenced |= match &head.content {
                Content::Inline(_) => false,
                Content::Blob(blob) => blob.id == id,
                Content::Parts { upload, .. } => {
                    let page = objects.object_parts(BUCKET, key, &head, 0, 100).await;
                    let parts = page.expect("there").0;
                    let mut found = false;
                    for part in parts {
                        let deadline = head.version.at;
                        let part = Some((*upload, part.number));
                        let intent = WriteIntent { bucket, key: (*key).into(), part, deadline };
                        let query = IndexQuery::Settled { blob: id, intent };
                        let view = cluster.index_query(bucket, key, query).await;
                        found |= matches!(view, Ok(IndexView::Settled(Some(true))));
                    }
                    found
                }
            };
        }
        assert!(referenced || is_garbage(id) || uploads_given_up, "{disk}: {:?}", entry.shard);
        if referenced {
            assert_eq!(entry.state, ShardState::Confirmed, "{disk}: {:?}", entry.shard);
        }
    }
}

#[tokio::test]
async fn an_object_keeps_everything_but_its_key() {
    let (cluster, objects) = TestCluster::six().await;
    for (size, class) in [
        (10, StorageClass::Standard),
        (100_000, StorageClass::Standard),
        (6 * MIB, StorageClass::StandardIa),
        (6 * MIB, StorageClass::OnezoneIa),
    ] {
        let bytes = mixed_content(size as u64, size);
        let put_it = Put { attributes: attributes(class), ..put_request("from", bytes.clone()) };
        let before = objects.put(put_it).await.expect("up");
        let replaced = put(&objects, "to", &content(9, 50_000)).await.expect("up");
        let after = rename(&objects, "from", "to").await.expect("up");
        assert_eq!(seen(&after), seen(&before));
        assert_eq!(objects.head(BUCKET, "to", None).await, Ok(after.clone()));
        assert!(get(&objects, "to").await.expect("readable") == bytes);
        assert_eq!(get(&objects, "from").await, Err(Error::NoSuchKey));
        let garbage = cluster.garbage();
        let mut dropped = vec![Garbage::Blob(blob_of(&replaced))];
        if let (Content::Blob(old), Content::Blob(new)) = (&before.content, &after.content) {
            assert_ne!(old.id, new.id, "shards say which key they are for");
            assert_eq!((old.policy, old.encoding), (new.policy, new.encoding));
            dropped.push(Garbage::Blob(old.clone()));
        }
        for blob in dropped {
            assert!(garbage.contains(&blob), "{blob:?}");
        }
        check_nothing_is_left(&cluster, &objects, &["from", "to"]).await;
        assert_eq!(rename(&objects, "from", "to").await, Err(Error::NoSuchKey));
    }
}

#[tokio::test]
async fn an_object_of_parts_keeps_its_parts() {
    let (cluster, objects) = TestCluster::six().await;
    let class = StorageClass::GlacierIr;
    for parts in [
        vec![mixed_content(1, 5 * MIB), mixed_content(2, 6 * MIB), content(3, 10)],
        // An empty last part lies in no range of the object.
        vec![mixed_content(1, 5 * MIB), Bytes::new()],
        vec![Bytes::new()],
    ] {
        let create = CreateUpload {
            bucket: BUCKET.into(),
            key: "from".into(),
            attributes: attributes(class),
            checksum: Some((ChecksumAlgorithm::Crc32, ChecksumKind::FullObject)),
        };
        let upload = objects.create_upload(create).await.expect("up");
        let listed = put_parts(&objects, "from", upload, &parts).await;
        let mut complete = complete_request("from", upload, listed);
        complete.checksum = Some(checksum(7));
        let before = objects.complete_upload(complete).await.expect("complete");
        let of = async |key: &str, head: &ObjectHead| {
            objects.object_parts(BUCKET, key, head, 0, 100).await.expect("there").0
        };
        let parts_before = of("from", &before).await;
        let after = rename(&objects, "from", "to").await.expect("up");
        assert_eq!(seen(&after), seen(&before));
        assert_eq!(usize::from(after.etag.parts), parts.len());
        assert_eq!(of("to", &after).await, parts_before);
        assert!(get(&objects, "to").await.expect("readable") == parts.concat());
        assert_eq!(get(&objects, "from").await, Err(Error::NoSuchKey));
        check_nothing_is_left(&cluster, &objects, &["to"]).await;
    }
}

#[tokio::test]
async fn conditions_of_both_keys() {
    let (_, objects) = TestCluster::six().await;
    let source = put(&objects, "from", &content(1, 10_000)).await.expect("up");
    let other = put(&objects, "to", &content(2, 10)).await.expect("up");
    let etag = |head: &ObjectHead| {
        Condition::Match(Match { etag: Some(head.etag.to_string()), ..Match::default() })
    };
    for (source_condition, condition) in [
        (etag(&other), Condition::None),
        (Condition::Absent, Condition::None),
        (Condition::None, Condition::Absent),
        (Condition::None, etag(&source)),
        (etag(&source), etag(&source)),
    ] {
        for key in ["to", "from"] {
            if key == "from" && condition == etag(&source) && source_condition != etag(&other) {
                continue;
            }
            let rename = Rename {
                source_condition: source_condition.clone(),
                condition: condition.clone(),
                ..request("from", key)
            };
            let refused = objects.rename(rename).await;
            assert_eq!(refused, Err(Error::PreconditionFailed), "{source_condition:?} {key}");
        }
    }
    assert_eq!(objects.head(BUCKET, "from", None).await, Ok(source.clone()));
    assert_eq!(rename(&objects, "from", "from").await, Ok(source.clone()), "to its own key");
    let absent = Rename { condition: etag(&other), ..request("from", "nowhere") };
    assert_eq!(objects.rename(absent).await, Err(Error::NoSuchKey));
    let agreed = Rename {
        source_condition: etag(&source),
        condition: etag(&other),
        ..request("from", "to")
    };
    objects.rename(agreed).await.expect("both hold");
    let free = Rename { condition: Condition::Absent, ..request("to", "free") };
    objects.rename(free).await.expect("the key is free");
    assert_eq!(get(&objects, "free").await.expect("readable"), content(1, 10_000));
}

#[tokio::test]
async fn what_cannot_be_renamed_says_why() {
    let (cluster, objects) = TestCluster::six().await;
    for size in [10, 10_000] {
        put_in(&objects, "from", StorageClass::Glacier, &content(1, size)).await.expect("up");
        assert_eq!(rename(&objects, "from", "to").await, Err(Error::Archived));
    }
    put(&objects, "from", &content(1, 10_000)).await.expect("up");
    let bucket = objects.bucket(BUCKET).await.expect("there").id;
    let map = cluster.map();
    cluster.edit_map(|map| {
        let at = map.partitions.iter().position(|p| p.contains(&Partition::position(bucket, "m")));
        let at = at.expect("no gaps");
        let mut upper = map.partitions[at].clone();
        upper.start = Partition::position(bucket, "m");
        upper.group = map.partitions[1 - at.min(1)].group;
        map.partitions[at].end = Some(upper.start.clone());
        map.partitions.insert(at + 1, upper);
    });
    let refused = rename(&objects, "from", "to").await;
    let Err(Error::Unavailable(reason)) = refused else { panic!("{refused:?}") };
    assert!(reason.contains("different index partitions"), "{reason}");
    cluster.edit_map(|now| *now = (*map).clone());
    enable_versioning(&objects).await;
    assert_eq!(rename(&objects, "from", "to").await, Err(Error::BucketVersioned));
    assert_eq!(get(&objects, "from").await.expect("readable"), content(1, 10_000));
}

/// On paused time: another PUT of the source at every moment of the renaming.
#[tokio::test(start_paused = true)]
async fn a_source_that_is_replaced_meanwhile_is_renamed_as_it_is_then() {
    let (mut before, mut after) = (0, 0);
    for of_parts in [false, true] {
        for delay_ms in (0..100).step_by(5) {
            let (cluster, objects) = TestCluster::six().await;
            let (old, new) = (mixed_content(1, 6 * MIB), mixed_content(2, 20_000));
            if of_parts {
                let parts = [old.slice(..5 * MIB), old.slice(5 * MIB..)];
                put_multipart(&objects, "from", &parts).await;
            } else {
                put(&objects, "from", &old).await.expect("up");
            }
            for disk in cluster.disks.values() {
                disk.put_ms.store(10, Ordering::SeqCst);
                disk.read_ms.store(10, Ordering::SeqCst);
            }
            let renaming = tokio::spawn({
                let objects = objects.clone();
                async move { rename(&objects, "from", "to").await }
            });
            tokio::time::sleep(Duration::from_millis(delay_ms)).await;
            put(&objects, "from", &new).await.expect("up");
            renaming.await.expect("no panic").expect("it begins anew");
            // The PUT came before the renaming or after it, and nothing in between.
            match get(&objects, "from").await {
                Err(Error::NoSuchKey) => {
                    assert!(get(&objects, "to").await.expect("readable") == new);
                    before += 1;
                }
                Ok(bytes) => {
                    assert!(bytes == new);
                    assert!(get(&objects, "to").await.expect("readable") == old);
                    after += 1;
                }
                Err(other) => panic!("{other}"),
            }
            check_nothing_is_left(&cluster, &objects, &["from", "to"]).await;
        }
    }
    assert!(before > 0 && after > 0, "{before} {after}");
}

#[tokio::test]
async fn a_renaming_that_fails_leaves_nothing() {
    let (cluster, objects) = TestCluster::six().await;
    let bytes = mixed_content(1, 100_000);
    put(&objects, "from", &bytes).await.expect("up");
    let parts = [mixed_content(1, 5 * MIB), mixed_content(2, 100_000)];
    put_multipart(&objects, "parts", &parts).await;
    cluster.command_faults.lock().push_back(CommandFault::Unavailable);
    let failed = rename(&objects, "from", "to").await;
    assert!(matches!(failed, Err(Error::Unavailable(_))), "{failed:?}");
    check_nothing_is_left(&cluster, &objects, &["from", "parts"]).await;
    let lost = [CommandFault::Passes, CommandFault::Unavailable];
    cluster.command_faults.lock().extend(lost);
    let failed = rename(&objects, "parts", "to").await;
    assert!(matches!(failed, Err(Error::Unavailable(_))), "{failed:?}");
    check_nothing_is_left(&cluster, &objects, &["from", "parts"]).await;
    assert_eq!(get(&objects, "to").await, Err(Error::NoSuchKey));
    assert!(get(&objects, "from").await.expect("readable") == bytes);
    assert!(get(&objects, "parts").await.expect("readable") == parts.concat());
}
