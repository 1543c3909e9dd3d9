//! Orphans: the index decides, and only after the write can no longer commit.

use objects::{
    Error,
    body::MemoryBody,
    request::{ListedPart, PutPart},
};
use proto::shards::ShardState;
use repair::{OrphanSweeper, Settings, Worker};

use crate::{
    drain,
    support::{
        BUCKET, CommandFault, TestCluster, complete_request, content, create_upload, delete,
        delete_version, enable_versioning, get, get_version, put,
    },
};

const HOUR_MS: u64 = 3600 * 1000;

/// Two writes whose outcome the gateway does not know: one was applied, one was not.
#[tokio::test]
async fn unknown_outcomes_are_settled_by_the_index() {
    let (cluster, objects) = TestCluster::six().await;
    let mut sweeper = OrphanSweeper::new(objects.clone(), Settings::default());
    let bytes = content(1, 100_000);
    for (key, fault) in
        [("applied", CommandFault::UnknownApplied), ("lost", CommandFault::UnknownLost)]
    {
        cluster.command_faults.lock().push_back(fault);
        let unknown = put(&objects, key, &bytes).await;
        assert!(matches!(unknown, Err(Error::Internal(_))), "{unknown:?}");
    }
    objects.settle().await;
    let pending = async || {
        let shards = cluster.shards().await;
        shards.iter().filter(|(_, shard)| shard.state == ShardState::Pending).count()
    };
    assert_eq!(pending().await, 12);

    // Deadline 6 h and grace 24 h: until then nothing may be touched.
    for _ in 0..29 {
        cluster.clock.advance(HOUR_MS);
        drain(&mut sweeper).await;
        assert_eq!(pending().await, 12);
    }
    cluster.clock.advance(2 * HOUR_MS);
    drain(&mut sweeper).await;
    assert_eq!(pending().await, 0);
    assert_eq!(cluster.shard_count().await, 6);
    assert_eq!(get(&objects, "applied").await.expect("confirmed"), bytes);
    assert_eq!(get(&objects, "lost").await, Err(Error::NoSuchKey));
    assert_eq!(sweeper.status().0, 12);
}

#[tokio::test]
async fn confirmed_shards_are_left_alone_and_a_silent_disk_is_left_out() {
    let (cluster, objects) = TestCluster::six().await;
    let mut sweeper = OrphanSweeper::new(objects.clone(), Settings::default());
    let bytes = content(1, 100_000);
    put(&objects, "key", &bytes).await.expect("up");
    objects.settle().await;
    cluster.command_faults.lock().push_back(CommandFault::UnknownLost);
    put(&objects, "lost", &bytes).await.expect_err("unknown");
    cluster.clock.advance(31 * HOUR_MS);
    let down = cluster.disk(0).0;
    cluster.take_down(down);
    drain(&mut sweeper).await;
    assert_eq!(cluster.shard_count().await, 7, "all but what the silent disk holds");
    assert!(sweeper.status().1.contains("1 disks did not answer"), "{}", sweeper.status().1);
    cluster.bring_up(down);
    drain(&mut sweeper).await;
    assert_eq!(cluster.shard_count().await, 6);
    assert_eq!(get(&objects, "key").await.expect("there"), bytes);
}

/// The confirmations of versions were lost, and they are current no longer: overwritten, or
/// hidden by a delete marker. They are referenced all the same.
#[tokio::test]
async fn versions_that_are_not_current_are_confirmed_and_not_deleted() {
    let (cluster, objects) = TestCluster::six().await;
    let mut sweeper = OrphanSweeper::new(objects.clone(), Settings::default());
    let bytes = content(1, 100_000);
    // The null version of before, one made under versioning, and one that is removed.
    let lost = async |key: &str| {
        cluster.command_faults.lock().push_back(CommandFault::UnknownApplied);
        put(&objects, key, &bytes).await.expect_err("unknown");
        objects.head(BUCKET, key, None).await.expect("it was applied").name()
    };
    let null = lost("key").await;
    enable_versioning(&objects).await;
    let version = lost("key").await;
    let removed = lost("key").await;
    // A part, whose object is replaced in turn.
    let upload = create_upload(&objects, "key").await.expect("the bucket is there");
    cluster.command_faults.lock().push_back(CommandFault::UnknownApplied);
    let body = Box::new(MemoryBody::new(bytes.clone()));
    let (bucket, key, number) = (BUCKET.into(), "key".into(), 1);
    let part = PutPart { bucket, key, upload, number, body };
    objects.put_part(part).await.expect_err("unknown");
    let stored = objects.parts(BUCKET, "key", upload, 0, 1).await.expect("applied").parts.remove(0);
    let listed = ListedPart { number, md5: Some(stored.md5), checksum: None };
    let complete = complete_request("key", upload, vec![listed]);
    let multipart = objects.complete_upload(complete).await.expect("complete").name();

    put(&objects, "key", &content(2, 10)).await.expect("up");
    delete(&objects, "key").await.expect("a marker");
    delete_version(&objects, "key", removed).await.expect("removed");
    objects.settle().await;
    let pending = async || {
        let shards = cluster.shards().await;
        shards.iter().filter(|(_, shard)| shard.state == ShardState::Pending).count()
    };
    assert_eq!(pending().await, 24);
    cluster.clock.advance(31 * HOUR_MS);
    drain(&mut sweeper).await;
    assert_eq!((pending().await, cluster.shard_count().await), (0, 18));
    assert_eq!(sweeper.status().0, 24);
    for version in [null, version, multipart] {
        let found = get_version(&objects, "key", version).await;
        assert_eq!(found.expect("readable"), bytes, "{version}");
    }
}
