//! Deleted and replaced bytes become free, after the grace, on every disk.

use bytes::Bytes;
use objects::{
    Objects,
    body::MemoryBody,
    request::{CompleteUpload, CreateUpload, ListedPart, PutPart},
};
use repair::{GarbageCollector, Settings, Worker};
use types::{Attributes, Condition, UploadId};

use crate::{
    drain,
    support::{BUCKET, TestCluster, content, get, put},
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
    objects.delete(BUCKET, "key", Condition::None).await.expect("deleted");
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
    objects.delete(BUCKET, "key", Condition::None).await.expect("deleted");
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

async fn upload(objects: &Objects, sizes: &[(u16, usize)]) -> (UploadId, Vec<ListedPart>) {
    let create = CreateUpload {
        bucket: BUCKET.into(),
        key: "key".into(),
        attributes: Attributes::default(),
        checksum: None,
    };
    let upload = objects.create_upload(create).await.expect("the bucket is there");
    let mut parts = Vec::new();
    for (number, size) in sizes {
        let bytes: Bytes = content(u64::from(*number), *size);
        let body = Box::new(MemoryBody::new(bytes));
        let (bucket, key, number) = (BUCKET.into(), "key".into(), *number);
        let part = PutPart { bucket, key, upload, number, body };
        let done = objects.put_part(part).await.expect("up");
        parts.push(ListedPart { number, md5: Some(done.etag.md5), checksum: None });
    }
    (upload, parts)
}

#[tokio::test]
async fn parts_are_freed_with_their_upload_or_their_object() {
    let (cluster, objects) = TestCluster::six().await;
    let mut collector = GarbageCollector::new(objects.clone(), Settings::default());
    let part = 5 << 20;

    let (aborted, _) = upload(&objects, &[(1, part), (2, 10), (3, 50_000)]).await;
    objects.abort_upload(BUCKET, "key", aborted).await.expect("in progress");
    assert_eq!(cluster.shard_count().await, 12);
    cluster.clock.advance(HOUR_MS + 1);
    drain(&mut collector).await;
    assert_eq!(cluster.shard_count().await, 0, "an aborted upload");

    let (upload, mut parts) = upload(&objects, &[(1, part), (2, part), (3, 50_000)]).await;
    parts.remove(1);
    let complete = CompleteUpload {
        bucket: BUCKET.into(),
        key: "key".into(),
        upload,
        condition: Condition::None,
        parts,
        checksum: None,
        size: None,
    };
    objects.complete_upload(complete).await.expect("complete");
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
