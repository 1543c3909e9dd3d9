//! What was put is what is got, at every size where something changes.

use types::{Content, INLINE_BYTES_MAX};

use crate::support::{BUCKET, TestCluster, blob_of, content, delete, get, put};

const MIB: usize = 1 << 20;

#[tokio::test]
async fn sizes_at_which_something_changes() {
    let (cluster, objects) = TestCluster::six().await;
    let sizes = [
        0,
        1,
        4095,
        4096,
        4097,
        4 * 4097,
        64 << 10,
        MIB - 1,
        MIB,
        MIB + 1,
        4 * MIB - 1,
        4 * MIB,
        4 * MIB + 1,
        8 * MIB,
        9 * MIB,
        12 * MIB + 1,
        16 * MIB,
    ];
    for (seed, size) in sizes.into_iter().enumerate() {
        let bytes = content(seed as u64, size);
        let key = format!("object-{size}");
        let head = put(&objects, &key, &bytes).await.expect("all disks are up");
        assert_eq!(head.size, size as u64);
        match &head.content {
            Content::Inline(_) => assert!(size <= INLINE_BYTES_MAX),
            Content::Blob(blob) => {
                assert!(size > INLINE_BYTES_MAX);
                assert_eq!(blob.size, size as u64);
            }
            Content::Parts { .. } => panic!("not a multipart object"),
        }
        assert_eq!(objects.head(BUCKET, &key, None).await.expect("there"), head);
        assert_eq!(get(&objects, &key).await.expect("readable"), bytes, "{size} bytes");
    }
    objects.settle().await;
    let blobs = sizes.iter().filter(|size| **size > INLINE_BYTES_MAX).count();
    let shards = cluster.shards().await;
    assert_eq!(shards.len(), 6 * blobs);
    assert!(shards.iter().all(|(_, shard)| shard.state == proto::shards::ShardState::Confirmed));
    let (held, _) = objects.write_buffer_bytes();
    assert_eq!((held, objects.read_buffer_bytes().0), (0, 0), "buffers were given back");
}

/// The layout on the disks is a format: stripes of k chunks, padded with zeros at the end.
#[tokio::test]
async fn shards_hold_what_the_layout_says() {
    let (cluster, objects) = TestCluster::six().await;
    let bytes = content(1, 4 * MIB + 10);
    let blob = blob_of(&put(&objects, "key", &bytes).await.expect("up"));
    let disks = cluster.group_disks(blob.pg);
    for (rank, disk) in disks.iter().enumerate().take(4) {
        let shard = types::ShardId { blob: blob.id, rank: rank as u8 };
        let store = &cluster.disks[disk].store;
        let full = shardstore::ShardStore::read(store, shard, 0).await.expect("there").bytes;
        assert_eq!(full, bytes.slice(rank * MIB..(rank + 1) * MIB));
        let last = shardstore::ShardStore::read(store, shard, 1).await.expect("there").bytes;
        let mut padded = bytes.slice(4 * MIB..).to_vec();
        padded.resize(12, 0);
        assert_eq!(last[..], padded[rank * 3..(rank + 1) * 3]);
    }
}

#[tokio::test]
async fn other_policies() {
    for (policy, disks) in [("rs-1-1", 2), ("rs-6-3", 9), ("rs-8-4", 13)] {
        let (_, objects) =
            TestCluster::with_objects(policy, disks, objects::Settings::default()).await;
        let bytes = content(7, 9 * MIB + 77);
        put(&objects, "key", &bytes).await.expect("all disks are up");
        assert_eq!(get(&objects, "key").await.expect("readable"), bytes, "{policy}");
    }
}

#[tokio::test]
async fn an_overwrite_is_what_is_read_and_a_deletion_too() {
    let (_, objects) = TestCluster::six().await;
    for (seed, size) in [(1, 100_000), (2, 10), (3, 200_000)] {
        let bytes = content(seed, size);
        put(&objects, "key", &bytes).await.expect("up");
        assert_eq!(get(&objects, "key").await.expect("readable"), bytes);
    }
    assert!(delete(&objects, "key").await.expect("deleted").existed);
    assert!(!delete(&objects, "key").await.expect("idempotent").existed);
    assert_eq!(get(&objects, "key").await, Err(objects::Error::NoSuchKey));
}
