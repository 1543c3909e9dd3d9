//! The cluster in memory behaves as a real one where tests rely on it.

use std::collections::BTreeSet;

use bytes::Bytes;
use cluster::{MemoryCluster, Metadata, MetadataError};
use metastore::{
    api::{
        IndexAnswer, IndexCommand, IndexQuery, IndexView, RootAnswer, RootCommand, RootQuery,
        RootView, index::Data,
    },
    local::Fault,
};
use platform::Clock;
use types::{
    Attributes, BucketId, BucketSettings, Condition, ETag, Epoch, ErasurePolicy, GroupId,
    UnixMillis, WriteId,
};

fn cluster() -> MemoryCluster {
    MemoryCluster::new(ErasurePolicy::new(4, 2).expect("valid"), 8)
}

const BUCKET: BucketId = BucketId(u64::MAX - 5);

fn put(write: u8, deadline: u64) -> IndexCommand {
    IndexCommand::PutObject {
        bucket: BUCKET,
        key: "key".into(),
        condition: Condition::Absent,
        size: 5,
        etag: ETag { md5: [1; 16], parts: 0 },
        attributes: Attributes::default(),
        checksum: None,
        data: Data::Inline(Bytes::from_static(b"hello")),
        write: WriteId::from_bytes([write; 16]),
        deadline: UnixMillis(deadline),
        origin: Default::default(),
        renamed: None,
    }
}

async fn open(cluster: &MemoryCluster) -> GroupId {
    let command = IndexCommand::OpenBucket { bucket: BUCKET, settings: BucketSettings::default() };
    let answer = cluster.index(BUCKET, "", command).await;
    assert_eq!(answer.expect("answered"), IndexAnswer::Done);
    cluster.map().partition(BUCKET, "key").expect("no gaps").group
}

#[tokio::test]
async fn has_groups_over_distinct_disks_and_a_whole_directory() {
    let cluster = cluster();
    let map = cluster.map();
    assert_eq!((map.disks.len(), map.partitions.len()), (8, 2));
    assert!(map.groups.len() >= 8, "{}", map.groups.len());
    for group in map.groups.values() {
        assert_eq!(group.disks.iter().collect::<BTreeSet<_>>().len(), 6);
        assert_eq!(map.healthy_members(group), 6);
    }
    let RootView::Map(Some(asked)) = cluster.root_query(RootQuery::Map).await.expect("ok") else {
        panic!("the map is there");
    };
    assert_eq!(*asked, *map);
}

#[tokio::test]
async fn buckets_and_objects_are_the_real_state_machines() {
    let cluster = cluster();
    let initial = BucketSettings::default();
    let command = RootCommand::CreateBucket { name: "bucket".into(), id: BUCKET, initial };
    let RootAnswer::Bucket(bucket) = cluster.root(command).await.expect("ok") else {
        panic!("a bucket");
    };
    assert_eq!(bucket.id, BUCKET);
    open(&cluster).await;
    let late = cluster.clock().now_ms() + 1000;
    let answer = cluster.index(BUCKET, "key", put(1, late)).await.expect("ok");
    assert!(matches!(answer, IndexAnswer::Object(_)), "{answer:?}");
    let again = cluster.index(BUCKET, "key", put(1, late)).await.expect("ok");
    assert_eq!(again, answer, "the same write id");
    let other = cluster.index(BUCKET, "key", put(2, late)).await.expect("ok");
    assert_eq!(other, IndexAnswer::ConditionFailed);
    cluster.clock().advance(2000);
    let passed = cluster.index(BUCKET, "key", put(3, late)).await.expect("ok");
    assert_eq!(passed, IndexAnswer::DeadlinePassed);
    let head = IndexQuery::Head { bucket: BUCKET, key: "key".into(), version: None };
    let view = cluster.index_query(BUCKET, "key", head).await.expect("ok");
    assert!(matches!(view, IndexView::Object(Some(_))), "{view:?}");
}

#[tokio::test]
async fn a_lost_answer_is_retried_under_its_write_id() {
    let cluster = cluster();
    let group = open(&cluster).await;
    let lost = || Fault::After(consensus::Error::UnknownOutcome { group });
    cluster.group_of(group).inject([lost(), lost()]);
    let late = cluster.clock().now_ms() + 1000;
    // Without the write id the second attempt would find the key taken.
    let answer = cluster.index(BUCKET, "key", put(1, late)).await.expect("third attempt");
    assert!(matches!(answer, IndexAnswer::Object(_)), "{answer:?}");
}

#[tokio::test]
async fn metadata_without_leader_is_unavailable_and_comes_back() {
    let cluster = cluster();
    let group = open(&cluster).await;
    cluster.set_metadata_available(false);
    let tick = cluster.partition(group, IndexCommand::Tick).await;
    assert!(matches!(tick, Err(MetadataError::Unavailable(_))), "{tick:?}");
    let map = cluster.root_query(RootQuery::Map).await;
    assert!(matches!(map, Err(MetadataError::Unavailable(_))), "{map:?}");
    assert!(cluster.map().epoch > Epoch(0), "the old map stays");
    cluster.set_metadata_available(true);
    cluster.partition(group, IndexCommand::Tick).await.expect("back");

    let forever = vec![Fault::Before(consensus::Error::UnknownOutcome { group }); 1000];
    cluster.group_of(group).inject(forever);
    let unknown = cluster.partition(group, IndexCommand::Tick).await;
    assert!(matches!(unknown, Err(MetadataError::Unknown(_))), "{unknown:?}");
}
