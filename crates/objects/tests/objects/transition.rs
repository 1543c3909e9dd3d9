//! Moving versions between storage classes: whatever happens meanwhile, the bytes are there.

use std::{
    collections::BTreeSet,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bytes::Bytes;
use cluster::Metadata;
use metastore::api::{
    IndexQuery, IndexView,
    index::{Data, Garbage, Origin},
};
use objects::{Error, Objects, Transition};
use proto::shards::ShardState;
use types::{
    BlobId, BlobRef, Compression, Content, DiskClass, ObjectHead, StorageClass, StorageProfile,
};

use crate::support::{
    BUCKET, CommandFault, TestCluster, blob_of, content, delete, delete_version, enable_versioning,
    get, get_version, mixed_content, put, put_in, put_multipart, read,
};

const MIB: usize = 1 << 20;

async fn transition(
    objects: &Objects,
    key: &str,
    head: &ObjectHead,
    to: StorageClass,
) -> Result<Transition, Error> {
    objects.transition(BUCKET, key, head, to, Origin::default()).await
}

async fn head(objects: &Objects, key: &str) -> ObjectHead {
    objects.head(BUCKET, key, None).await.expect("there")
}

/// The blobs of a version.
async fn blobs(cluster: &TestCluster, key: &str, head: &ObjectHead) -> Vec<BlobRef> {
    let Content::Parts { upload, .. } = head.content else {
        return match &head.content {
            Content::Blob(blob) => vec![blob.clone()],
            _ => Vec::new(),
        };
    };
    let objects = cluster_objects(cluster).await;
    let (version, end) = (head.version, head.size);
    let key = key.to_owned();
    let query = IndexQuery::Segments { bucket: objects, key, version, upload, start: 0, end };
    let view = cluster.index_query(objects, "", query).await;
    let Ok(IndexView::Segments(segments)) = view else { panic!("{view:?}") };
    let blob = |data| match data {
        Data::Blob { blob, .. } => Some(blob),
        Data::Inline(_) => None,
    };
    segments.into_iter().filter_map(|segment| blob(segment.data)).collect()
}

async fn cluster_objects(cluster: &TestCluster) -> types::BucketId {
    use metastore::api::{RootQuery, RootView};
    let view = cluster.root_query(RootQuery::Bucket { name: BUCKET.into() }).await;
    let Ok(RootView::Bucket(Some(bucket))) = view else { panic!("{view:?}") };
    bucket.id
}

fn garbage(cluster: &TestCluster) -> BTreeSet<BlobId> {
    let blob = |garbage| match garbage {
        Garbage::Blob(blob) => blob.id,
        other => panic!("{other:?}"),
    };
    cluster.garbage().into_iter().map(blob).collect()
}

fn ids(blobs: &[BlobRef]) -> BTreeSet<BlobId> {
    blobs.iter().map(|blob| blob.id).collect()
}

/// Every blob on the disks is referenced or garbage, and what is referenced is confirmed.
async fn check_nothing_is_left(
    cluster: &TestCluster,
    objects: &Objects,
    referenced: &BTreeSet<BlobId>,
) {
    objects.settle().await;
    let garbage = garbage(cluster);
    assert!(garbage.is_disjoint(referenced));
    let shards = cluster.shards().await;
    let stored: BTreeSet<BlobId> = shards.iter().map(|(_, entry)| entry.shard.blob).collect();
    assert_eq!(stored, garbage.union(referenced).copied().collect());
    for (disk, entry) in shards {
        if referenced.contains(&entry.shard.blob) {
            assert_eq!(entry.state, ShardState::Confirmed, "{disk}: {:?}", entry.shard);
        }
    }
}

#[tokio::test]
async fn every_kind_of_object_goes_to_every_class() {
    let (cluster, objects) = TestCluster::six().await;
    cluster.add_group(cluster.map().policy, DiskClass::Cold);
    let parts = [mixed_content(3, 5 * MIB), mixed_content(4, 5 * MIB), content(5, 10)];
    let (inline, single) = (content(1, 100), mixed_content(2, 6 * MIB));
    put(&objects, "inline", &inline).await.expect("up");
    put(&objects, "single", &single).await.expect("up");
    put_multipart(&objects, "parts", &parts).await;
    let all = [("inline", inline), ("single", single), ("parts", parts.concat().into())];
    for to in StorageClass::ALL.into_iter().skip(1).chain([StorageClass::Standard]) {
        for (key, bytes) in &all {
            let before = head(&objects, key).await;
            let old = blobs(&cluster, key, &before).await;
            let garbage_before = garbage(&cluster);
            let Transition::Done { bytes: moved } =
                transition(&objects, key, &before, to).await.expect("up")
            else {
                panic!("nobody else is there")
            };
            let after = head(&objects, key).await;
            assert_eq!(after.attributes.class, to);
            let expected = ObjectHead { content: after.content.clone(), ..before.clone() };
            let mut expected = expected;
            expected.attributes.class = to;
            assert_eq!(after, expected, "nothing else changes");
            assert!(get(&objects, key).await.expect("readable") == *bytes, "{key} in {to}");

            let new = blobs(&cluster, key, &after).await;
            let profile = cluster.map().classes.profile(to);
            for blob in &new {
                assert_eq!(blob.policy, profile.policy);
                let zstd = !matches!(blob.encoding, types::Encoding::Plain);
                assert_eq!(zstd, profile.compression == Compression::Zstd);
                let cold = cluster.map().groups[&blob.pg].class == DiskClass::Cold;
                assert_eq!(cold, profile.disks == DiskClass::Cold);
            }
            // Exactly what was replaced is garbage.
            let dropped: BTreeSet<_> = ids(&old).difference(&ids(&new)).copied().collect();
            let since: BTreeSet<_> =
                garbage(&cluster).difference(&garbage_before).copied().collect();
            assert_eq!(since, dropped);
            let content: u64 = old
                .iter()
                .filter(|blob| dropped.contains(&blob.id))
                .map(BlobRef::content_bytes)
                .sum();
            assert_eq!(moved, content);
            let again = transition(&objects, key, &after, to).await;
            assert_eq!(again, Ok(Transition::Done { bytes: 0 }));
        }
    }
    let mut referenced = BTreeSet::new();
    for (key, _) in &all {
        referenced.extend(ids(&blobs(&cluster, key, &head(&objects, key).await).await));
    }
    check_nothing_is_left(&cluster, &objects, &referenced).await;
}

#[tokio::test]
async fn versions_move_by_their_names() {
    let (cluster, objects) = TestCluster::six().await;
    let null = mixed_content(1, 100_000);
    put(&objects, "key", &null).await.expect("up");
    enable_versioning(&objects).await;
    let parts = [mixed_content(2, 5 * MIB), mixed_content(3, 100_000)];
    let middle = put_multipart(&objects, "key", &parts).await;
    let last = put(&objects, "key", &mixed_content(4, 50_000)).await.expect("up");
    let null_head = objects.head(BUCKET, "key", Some(types::Version::Null)).await.expect("there");
    for old in [&null_head, &middle] {
        let done = transition(&objects, "key", old, StorageClass::GlacierIr).await.expect("up");
        assert_eq!(done, Transition::Done { bytes: old.size });
        let now = objects.head(BUCKET, "key", Some(old.name())).await.expect("there");
        assert_eq!(now.attributes.class, StorageClass::GlacierIr);
    }
    assert!(get_version(&objects, "key", null_head.name()).await.expect("readable") == null);
    let middle_bytes = get_version(&objects, "key", middle.name()).await.expect("readable");
    assert!(middle_bytes == parts.concat());
    assert_eq!(head(&objects, "key").await, last, "the current one is not concerned");

    // A version that is gone, and one that another one has taken the place of.
    delete_version(&objects, "key", null_head.name()).await.expect("removed");
    let gone = transition(&objects, "key", &null_head, StorageClass::StandardIa).await;
    assert_eq!(gone, Ok(Transition::Moved));
    delete(&objects, "key").await.expect("a marker");
    let hidden = transition(&objects, "key", &last, StorageClass::StandardIa).await;
    assert_eq!(hidden, Ok(Transition::Done { bytes: 50_000 }), "a marker hides it, that is all");
    let referenced = async |head: &ObjectHead| {
        let head = objects.head(BUCKET, "key", Some(head.name())).await.expect("there");
        ids(&blobs(&cluster, "key", &head).await)
    };
    let all = &referenced(&middle).await | &referenced(&last).await;
    check_nothing_is_left(&cluster, &objects, &all).await;
}

#[tokio::test]
async fn what_was_looked_at_before_it_changed_is_moved() {
    let (cluster, objects) = TestCluster::six().await;
    for (old, new) in [(10, 10), (10_000, 10), (10_000, 20_000)] {
        let before = put(&objects, "key", &content(1, old)).await.expect("up");
        let after = put(&objects, "key", &content(2, new)).await.expect("up");
        let moved = transition(&objects, "key", &before, StorageClass::StandardIa).await;
        assert_eq!(moved, Ok(Transition::Moved), "{old} {new}");
        assert_eq!(head(&objects, "key").await, after);
        let referenced = ids(&blobs(&cluster, "key", &after).await);
        check_nothing_is_left(&cluster, &objects, &referenced).await;
    }
    let parts = put_multipart(&objects, "key", &[content(1, 10_000)]).await;
    delete(&objects, "key").await.expect("deleted");
    let moved = transition(&objects, "key", &parts, StorageClass::StandardIa).await;
    assert_eq!(moved, Ok(Transition::Moved));
}

/// On paused time: a PUT that comes at every moment of a transition, while readers read.
#[tokio::test(start_paused = true)]
async fn readers_and_another_put_at_any_moment_of_a_transition() {
    let mut outcomes = BTreeSet::new();
    for delay_ms in (0..100).step_by(3) {
        let (cluster, objects) = TestCluster::six().await;
        let (old, new) = (mixed_content(1, 5 * MIB), mixed_content(2, 20_000));
        let before = put(&objects, "key", &old).await.expect("up");
        objects.settle().await;
        for disk in cluster.disks.values() {
            disk.put_ms.store(10, Ordering::SeqCst);
            disk.read_ms.store(10, Ordering::SeqCst);
        }
        let reader = {
            let (objects, old, new) = (objects.clone(), old.clone(), new.clone());
            tokio::spawn(async move {
                for _ in 0..20 {
                    let head = head(&objects, "key").await;
                    let is_new = head.size == new.len() as u64;
                    let bytes = read(&objects, "key", head, None).await.expect("never fails");
                    assert!(bytes == if is_new { new.clone() } else { old.clone() });
                }
            })
        };
        let mover = {
            let (objects, before) = (objects.clone(), before.clone());
            tokio::spawn(async move {
                transition(&objects, "key", &before, StorageClass::StandardIa).await.expect("up")
            })
        };
        tokio::time::sleep(Duration::from_millis(delay_ms)).await;
        let put = put(&objects, "key", &new).await.expect("up");
        outcomes.insert(matches!(mover.await.expect("no panic"), Transition::Done { .. }));
        reader.await.expect("no panic");
        assert_eq!(head(&objects, "key").await, put);
        let garbage = garbage(&cluster);
        assert!(garbage.contains(&blob_of(&before).id));
        check_nothing_is_left(&cluster, &objects, &ids(&[blob_of(&put)])).await;
    }
    assert_eq!(outcomes.len(), 2, "some came too early and some too late");
}

/// Real threads: one object goes round the classes while it is replaced and read.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transitions_puts_and_readers_all_at_once() {
    let (cluster, objects) = TestCluster::six().await;
    let contents: Arc<Vec<Bytes>> =
        Arc::new((0..3).map(|n| mixed_content(n, 2 * MIB + n as usize)).collect());
    put(&objects, "key", &contents[0]).await.expect("up");
    let moving = {
        let objects = objects.clone();
        tokio::spawn(async move {
            for to in StorageClass::ALL.into_iter().cycle().take(24) {
                let head = head(&objects, "key").await;
                transition(&objects, "key", &head, to).await.expect("up");
            }
        })
    };
    let writing = {
        let (objects, contents) = (objects.clone(), Arc::clone(&contents));
        tokio::spawn(async move {
            for bytes in contents.iter().cycle().take(9) {
                put(&objects, "key", bytes).await.expect("up");
            }
        })
    };
    while !moving.is_finished() || !writing.is_finished() {
        let head = head(&objects, "key").await;
        let index = head.size as usize - 2 * MIB;
        let bytes = read(&objects, "key", head, None).await.expect("never fails");
        assert!(bytes == contents[index]);
    }
    moving.await.expect("no panic");
    writing.await.expect("no panic");
    let last = head(&objects, "key").await;
    check_nothing_is_left(&cluster, &objects, &ids(&blobs(&cluster, "key", &last).await)).await;
}

#[tokio::test]
async fn a_transition_that_stopped_between_two_parts_goes_on_there() {
    for fault in
        [CommandFault::Unavailable, CommandFault::UnknownLost, CommandFault::UnknownApplied]
    {
        let (cluster, objects) = TestCluster::six().await;
        let parts = [mixed_content(1, 5 * MIB), mixed_content(2, 6 * MIB), mixed_content(3, 7000)];
        put_multipart(&objects, "key", &parts).await;
        let before = head(&objects, "key").await;
        let old = blobs(&cluster, "key", &before).await;
        cluster.command_faults.lock().extend([CommandFault::Passes, fault]);
        let stopped = transition(&objects, "key", &before, StorageClass::GlacierIr).await;
        stopped.expect_err("the second part's entry fails");
        assert!(get(&objects, "key").await.expect("readable") == parts.concat());
        let between = head(&objects, "key").await;
        assert_eq!(between, before, "the class comes last");
        let half = blobs(&cluster, "key", &between).await;
        assert_ne!(half[0].id, old[0].id);
        assert_eq!(half[1].id == old[1].id, fault != CommandFault::UnknownApplied);
        assert_eq!(half[2].id, old[2].id);

        let rest: u64 = (half.iter().zip(&old))
            .filter(|(now, before)| now.id == before.id)
            .map(|(blob, _)| blob.content_bytes())
            .sum();
        let again = transition(&objects, "key", &between, StorageClass::GlacierIr).await;
        assert_eq!(again, Ok(Transition::Done { bytes: rest }));
        let after = head(&objects, "key").await;
        assert_eq!(after.attributes.class, StorageClass::GlacierIr);
        assert!(get(&objects, "key").await.expect("readable") == parts.concat());
        let new = blobs(&cluster, "key", &after).await;
        assert_eq!(new[0].id, half[0].id, "what was done is not done again");
        assert_eq!(garbage(&cluster), ids(&old));
        if fault == CommandFault::Unavailable {
            check_nothing_is_left(&cluster, &objects, &ids(&new)).await;
        }
    }
}

/// A caller that goes away at any moment: nothing is lost, and nothing is deleted that is
/// referenced.
#[tokio::test(start_paused = true)]
async fn a_transition_that_is_dropped_leaves_a_readable_object() {
    for after_ms in (0..90).step_by(5) {
        let (cluster, objects) = TestCluster::six().await;
        let bytes = mixed_content(1, 5 * MIB);
        let before = put(&objects, "key", &bytes).await.expect("up");
        objects.settle().await;
        for disk in cluster.disks.values() {
            disk.put_ms.store(10, Ordering::SeqCst);
            disk.read_ms.store(10, Ordering::SeqCst);
        }
        let moving = transition(&objects, "key", &before, StorageClass::StandardIa);
        let _ = tokio::time::timeout(Duration::from_millis(after_ms), moving).await;
        objects.settle().await;
        let between = head(&objects, "key").await;
        assert!(get(&objects, "key").await.expect("readable") == bytes, "{after_ms}");
        let done = transition(&objects, "key", &between, StorageClass::StandardIa).await;
        assert!(matches!(done, Ok(Transition::Done { .. })), "{done:?} {after_ms}");
        let after = head(&objects, "key").await;
        assert_eq!(after.attributes.class, StorageClass::StandardIa);
        assert!(get(&objects, "key").await.expect("readable") == bytes, "{after_ms}");
        check_nothing_is_left(&cluster, &objects, &ids(&[blob_of(&after)])).await;
    }
}

#[tokio::test]
async fn a_disk_that_is_down_costs_a_repair_and_two_cost_nothing() {
    let (cluster, objects) = TestCluster::six().await;
    let bytes = mixed_content(1, 6 * MIB);
    let before = put(&objects, "key", &bytes).await.expect("up");
    objects.settle().await;
    let (first, second) = (cluster.disk(1).0, cluster.disk(4).0);
    cluster.take_down(first);
    cluster.take_down(second);
    let refused = transition(&objects, "key", &before, StorageClass::StandardIa).await;
    assert!(matches!(refused, Err(Error::Unavailable(_))), "{refused:?}");
    assert_eq!(head(&objects, "key").await, before);
    assert!(get(&objects, "key").await.expect("readable") == bytes);
    cluster.bring_up(second);
    let done = transition(&objects, "key", &before, StorageClass::StandardIa).await;
    assert_eq!(done, Ok(Transition::Done { bytes: 6 << 20 }));
    let blob = blob_of(&head(&objects, "key").await);
    assert!(get(&objects, "key").await.expect("readable") == bytes);
    let mut rows = Vec::new();
    for group in cluster.groups() {
        let query = IndexQuery::Repairs { after: None, limit: 1000 };
        let view = cluster.partition_query(group, query).await;
        let Ok(IndexView::Repairs(more)) = view else { panic!("{view:?}") };
        rows.extend(more);
    }
    let rank = cluster.group_disks(blob.pg).iter().position(|disk| *disk == first);
    let row = rows.iter().find(|row| row.blob == blob).expect("its missing rank is queued");
    assert_eq!(row.missing, [rank.expect("all groups have all disks") as u8]);
    // What the refused transition left on the disks that were up is deleted.
    cluster.bring_up(first);
    objects.settle().await;
    let shards = cluster.shards().await;
    let stored: BTreeSet<BlobId> = shards.iter().map(|(_, entry)| entry.shard.blob).collect();
    assert_eq!(stored, BTreeSet::from([blob.id, blob_of(&before).id]));
}

/// On paused time: the new blob is durable, and then three of its six shards are not found.
#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_back_takes_no_place() {
    let (cluster, objects) = TestCluster::six().await;
    let bytes = mixed_content(1, 100_000);
    let before = put(&objects, "key", &bytes).await.expect("up");
    objects.settle().await;
    for disk in cluster.disks.values() {
        disk.put_ms.store(10, Ordering::SeqCst);
        disk.read_ms.store(10, Ordering::SeqCst);
    }
    let moving = tokio::spawn({
        let (objects, before) = (objects.clone(), before.clone());
        async move { transition(&objects, "key", &before, StorageClass::ReducedRedundancy).await }
    });
    // It was read until 10, is written until 20, and is read back until 30.
    tokio::time::sleep(Duration::from_millis(15)).await;
    assert!(cluster.disks.values().all(|disk| disk.puts.load(Ordering::SeqCst) >= 1));
    for number in 0..3 {
        cluster.disk(number).1.hidden.store(true, Ordering::SeqCst);
    }
    let refused = moving.await.expect("no panic");
    assert!(matches!(refused, Err(Error::Unreadable(_))), "{refused:?}");
    for number in 0..3 {
        cluster.disk(number).1.hidden.store(false, Ordering::SeqCst);
    }
    assert_eq!(head(&objects, "key").await, before);
    assert!(get(&objects, "key").await.expect("readable") == bytes);
    assert_eq!(garbage(&cluster), BTreeSet::new());
    check_nothing_is_left(&cluster, &objects, &ids(&[blob_of(&before)])).await;
}

#[tokio::test]
async fn a_changed_profile_is_followed_by_reencoding() {
    let (cluster, objects) = TestCluster::six().await;
    let bytes = mixed_content(1, 6 * MIB);
    let before = put_in(&objects, "key", StorageClass::StandardIa, &bytes).await.expect("up");
    let in_place = objects.reencode(BUCKET, "key", &before).await;
    assert_eq!(in_place, Ok(Transition::Done { bytes: 0 }));
    let policy = cluster.map().policy;
    cluster.add_group(policy, DiskClass::Warm);
    let changes = [
        (policy, DiskClass::Warm, Compression::Zstd),
        (policy, DiskClass::Warm, Compression::None),
        ("rs-4-1".parse().expect("valid"), DiskClass::Hot, Compression::None),
    ];
    for (policy, disks, compression) in changes {
        let profile = StorageProfile { policy, disks, compression };
        cluster.set_profile(StorageClass::StandardIa, profile);
        let now = head(&objects, "key").await;
        let done = objects.reencode(BUCKET, "key", &now).await;
        assert_eq!(done, Ok(Transition::Done { bytes: 6 << 20 }), "{profile:?}");
        let after = head(&objects, "key").await;
        assert_eq!(after.attributes, before.attributes);
        let blob = blob_of(&after);
        assert_eq!(blob.policy, policy);
        assert_eq!(cluster.map().groups[&blob.pg].class, disks);
        assert_eq!(blob.encoding == types::Encoding::Plain, compression == Compression::None);
        assert!(get(&objects, "key").await.expect("readable") == bytes);
    }
}
