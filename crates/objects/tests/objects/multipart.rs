//! Multipart uploads: any order, any replacement, and what is not listed is gone.

use bytes::Bytes;
use md5::{Digest, Md5};
use objects::{
    Error, Objects,
    body::MemoryBody,
    request::{CompleteUpload, CreateUpload, ListedPart, PartDone, PutPart, RangeRequest},
};
use types::{Attributes, Checksum, ChecksumAlgorithm, ChecksumKind, Condition, UploadId};

use crate::support::{BUCKET, TestCluster, content, get, get_range, put};

const PART: usize = 5 << 20;

async fn create(objects: &Objects, key: &str) -> UploadId {
    let attributes = Attributes::default();
    let create =
        CreateUpload { bucket: BUCKET.into(), key: key.into(), attributes, checksum: None };
    objects.create_upload(create).await.expect("the bucket is there")
}

async fn put_part(
    objects: &Objects,
    upload: UploadId,
    number: u16,
    bytes: &Bytes,
) -> Result<PartDone, Error> {
    let body = Box::new(MemoryBody::new(bytes.clone()));
    let put = PutPart { bucket: BUCKET.into(), key: "key".into(), upload, number, body };
    objects.put_part(put).await
}

fn listed(number: u16, done: &PartDone) -> ListedPart {
    ListedPart { number, md5: Some(done.etag.md5), checksum: None }
}

fn complete(upload: UploadId, parts: Vec<ListedPart>) -> CompleteUpload {
    CompleteUpload {
        bucket: BUCKET.into(),
        key: "key".into(),
        upload,
        condition: Condition::None,
        parts,
        checksum: None,
        size: None,
        origin: Default::default(),
    }
}

#[tokio::test]
async fn parts_in_any_order_replaced_and_left_out() {
    let (_, objects) = TestCluster::six().await;
    let upload = create(&objects, "key").await;
    let parts = [content(1, PART), content(2, PART + 13), content(3, 1000)];
    let third = put_part(&objects, upload, 300, &parts[2]).await.expect("up");
    let old = put_part(&objects, upload, 1, &content(9, PART)).await.expect("up");
    let left_out = put_part(&objects, upload, 7, &content(8, 100_000)).await.expect("up");
    let second = put_part(&objects, upload, 20, &parts[1]).await.expect("up");
    let first = put_part(&objects, upload, 1, &parts[0]).await.expect("replaced");
    assert_ne!(old, first);
    let page = objects.parts(BUCKET, "key", upload, 0, 10).await.expect("a page");
    assert_eq!(page.parts.iter().map(|p| p.number).collect::<Vec<_>>(), [1, 7, 20, 300]);
    let page = objects.parts(BUCKET, "key", upload, 7, 1).await.expect("a page");
    assert_eq!((page.parts[0].number, page.truncated), (20, true));
    let uploads = objects.uploads(BUCKET, "", None, None, 10).await.expect("a page").uploads;
    assert_eq!(uploads.iter().map(|u| u.id).collect::<Vec<_>>(), [upload]);
    assert_eq!(get(&objects, "key").await, Err(Error::NoSuchKey), "not before it is complete");

    let stale = complete(upload, vec![listed(1, &old), listed(20, &second)]);
    assert_eq!(objects.complete_upload(stale).await, Err(Error::InvalidPart { number: 1 }));
    let small = complete(upload, vec![listed(7, &left_out), listed(20, &second)]);
    let refused = objects.complete_upload(small).await;
    assert_eq!(refused, Err(Error::PartTooSmall { number: 7, size: 100_000 }));

    let all =
        || complete(upload, vec![listed(1, &first), listed(20, &second), listed(300, &third)]);
    let head = objects.complete_upload(all()).await.expect("complete");
    let md5s = parts.iter().flat_map(|part| Md5::digest(part).to_vec()).collect::<Vec<u8>>();
    let md5: [u8; 16] = Md5::digest(md5s).into();
    assert_eq!(head.etag, types::ETag { md5, parts: 3 });
    let whole: Bytes = parts.concat().into();
    assert_eq!(get(&objects, "key").await.expect("there"), whole);
    let border = PART as u64;
    let range = RangeRequest::FromTo(border - 3, border + 2 * (1 << 20));
    let slice = whole.slice(PART - 3..PART + 2 * (1 << 20) + 1);
    assert_eq!(get_range(&objects, "key", Some(range)).await.expect("there"), slice);
    let tail = get_range(&objects, "key", Some(RangeRequest::Last(10))).await.expect("there");
    assert_eq!(tail, whole.slice(whole.len() - 10..));

    assert_eq!(objects.complete_upload(all()).await, Ok(head), "a repeated completion");
    let late = put_part(&objects, upload, 2, &content(1, 100_000)).await;
    assert_eq!(late, Err(Error::NoSuchUpload));
}

#[tokio::test]
async fn a_refused_part_leaves_nothing() {
    let (cluster, objects) = TestCluster::six().await;
    let upload = create(&objects, "key").await;
    objects.abort_upload(BUCKET, "key", upload).await.expect("in progress");
    assert_eq!(objects.abort_upload(BUCKET, "key", upload).await, Err(Error::NoSuchUpload));
    let refused = put_part(&objects, upload, 1, &content(1, PART)).await;
    assert_eq!(refused, Err(Error::NoSuchUpload));
    objects.settle().await;
    assert_eq!(cluster.shard_count().await, 0);
}

#[tokio::test]
async fn listed_checksums_must_be_those_of_the_parts() {
    let (_, objects) = TestCluster::six().await;
    let upload = create(&objects, "key").await;
    let done = put_part(&objects, upload, 1, &content(1, 100)).await.expect("up");
    let checksum = Checksum {
        algorithm: ChecksumAlgorithm::Crc32,
        kind: ChecksumKind::FullObject,
        value: vec![1, 2, 3, 4],
        parts: 0,
    };
    let part = ListedPart { checksum: Some(checksum), ..listed(1, &done) };
    let refused = objects.complete_upload(complete(upload, vec![part])).await;
    assert_eq!(refused, Err(Error::InvalidPart { number: 1 }));
    let no_md5 = ListedPart { md5: None, ..listed(1, &done) };
    let refused = objects.complete_upload(complete(upload, vec![no_md5])).await;
    assert_eq!(refused, Err(Error::InvalidPart { number: 1 }));
    let mut sized = complete(upload, vec![listed(1, &done)]);
    sized.size = Some(99);
    let refused = objects.complete_upload(sized).await;
    assert_eq!(refused, Err(Error::SizeMismatch { actual: 100 }));
    objects.complete_upload(complete(upload, vec![listed(1, &done)])).await.expect("complete");
}

/// Between head and read the object became another one.
#[tokio::test]
async fn a_replaced_multipart_object_is_replaced_and_a_replaced_blob_is_still_read() {
    let (_, objects) = TestCluster::six().await;
    let upload = create(&objects, "key").await;
    let done = put_part(&objects, upload, 1, &content(1, 100_000)).await.expect("up");
    let head =
        objects.complete_upload(complete(upload, vec![listed(1, &done)])).await.expect("complete");
    let blob = put(&objects, "key", &content(2, 100_000)).await.expect("up");
    let replaced = objects.read(BUCKET, "key", head, None).await.map(|_| ());
    assert_eq!(replaced, Err(Error::Replaced));
    put(&objects, "key", &content(3, 10)).await.expect("up");
    let mut reader = objects.read(BUCKET, "key", blob, None).await.expect("collected later");
    let mut bytes = Vec::new();
    while let Some(frame) = futures::StreamExt::next(&mut reader.stream).await {
        bytes.extend_from_slice(&frame.expect("readable"));
    }
    assert_eq!(bytes, content(2, 100_000));
}
