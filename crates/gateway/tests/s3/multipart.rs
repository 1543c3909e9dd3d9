//! Multipart uploads.

use aws_sdk_s3::{
    primitives::ByteStream,
    types::{
        ChecksumAlgorithm, ChecksumMode, ChecksumType, CompletedMultipartUpload, CompletedPart,
    },
};

use crate::{
    raw,
    support::{BUCKET, Server, content, refused, server},
};

const MIB: usize = 1 << 20;

async fn create(server: &Server, key: &str, algorithm: Option<ChecksumAlgorithm>) -> String {
    let create = server.client.create_multipart_upload().bucket(BUCKET).key(key);
    let created = create.set_checksum_algorithm(algorithm).content_type("a/b").send().await;
    created.expect("created").upload_id().expect("an id").to_owned()
}

async fn part(
    server: &Server,
    key: &str,
    upload: &str,
    number: i32,
    bytes: &[u8],
) -> CompletedPart {
    let put = server.client.upload_part().bucket(BUCKET).key(key).upload_id(upload);
    let put = put.part_number(number).body(ByteStream::from(bytes.to_vec()));
    let done = put.send().await.unwrap_or_else(|error| panic!("part {number}: {error:?}"));
    CompletedPart::builder().part_number(number).set_e_tag(done.e_tag().map(str::to_owned)).build()
}

fn list(parts: Vec<CompletedPart>) -> CompletedMultipartUpload {
    CompletedMultipartUpload::builder().set_parts(Some(parts)).build()
}

#[tokio::test]
async fn an_upload_becomes_an_object() {
    let server = server().await;
    let (one, two) = (content(5 * MIB), content(MIB + 7));
    let upload = create(&server, "k", None).await;
    let parts = vec![
        part(&server, "k", &upload, 2, &one).await,
        part(&server, "k", &upload, 9, &two).await,
    ];
    let shown = server.client.list_parts().bucket(BUCKET).key("k").upload_id(&upload);
    let shown = shown.max_parts(1).send().await.expect("listed");
    assert_eq!(shown.is_truncated(), Some(true));
    assert_eq!(shown.parts()[0].part_number(), Some(2));
    let rest = server.client.list_parts().bucket(BUCKET).key("k").upload_id(&upload);
    let rest = rest.part_number_marker("2").send().await.expect("listed");
    assert_eq!(rest.parts()[0].size(), Some(two.len() as i64));
    let uploads = server.client.list_multipart_uploads().bucket(BUCKET).send().await;
    assert_eq!(uploads.expect("listed").uploads().len(), 1);
    let complete = || {
        let complete = server.client.complete_multipart_upload().bucket(BUCKET).key("k");
        complete.upload_id(&upload).multipart_upload(list(parts.clone()))
    };
    let done = complete().send().await.expect("completed");
    assert!(done.e_tag().expect("a tag").ends_with("-2\""));
    let all = [one, two].concat();
    assert!(server.get("k").await == all);
    let range = server.client.get_object().bucket(BUCKET).key("k");
    let range = range.range(format!("bytes={}-{}", 5 * MIB - 2, 5 * MIB + 1)).send().await;
    let range = range.expect("there").body.collect().await.expect("read").to_vec();
    assert!(range == all[5 * MIB - 2..5 * MIB + 2]);
    let head = server.client.head_object().bucket(BUCKET).key("k").send().await.expect("there");
    assert_eq!(head.content_type(), Some("a/b"));
    let again = complete().send().await.expect("a repeated completion");
    assert_eq!(again.e_tag(), done.e_tag());
    let part = server.client.get_object().bucket(BUCKET).key("k").part_number(2).send().await;
    let part = part.expect("the second by place");
    assert_eq!((part.parts_count(), part.content_length()), (Some(2), Some((MIB + 7) as i64)));
    assert!(part.body.collect().await.expect("read").to_vec() == all[5 * MIB..]);
}

#[tokio::test]
async fn refusals() {
    let server = server().await;
    let upload = create(&server, "k", None).await;
    let small = part(&server, "k", &upload, 1, b"small").await;
    let last = part(&server, "k", &upload, 2, b"last").await;
    let complete = |parts: Vec<CompletedPart>| {
        let complete = server.client.complete_multipart_upload().bucket(BUCKET).key("k");
        complete.upload_id(&upload).multipart_upload(list(parts)).send()
    };
    let refusal = async |parts| refused(complete(parts).await);
    assert_eq!(refusal(vec![small.clone(), last.clone()]).await, (400, "EntityTooSmall".into()));
    assert_eq!(refusal(vec![last.clone(), small.clone()]).await, (400, "InvalidPartOrder".into()));
    assert_eq!(refusal(vec![]).await, (400, "MalformedXML".into()));
    let wrong = CompletedPart::builder().part_number(1).e_tag("\"00\"").build();
    assert_eq!(refusal(vec![wrong]).await, (400, "InvalidPart".into()));
    let absent = CompletedPart::builder().part_number(3).e_tag("\"00\"").build();
    assert_eq!(refusal(vec![absent]).await, (400, "InvalidPart".into()));
    for number in [0, 10_001] {
        let put = server.client.upload_part().bucket(BUCKET).key("k").upload_id(&upload);
        let put = put.part_number(number).body(ByteStream::from_static(b"x")).send().await;
        assert_eq!(refused(put), (400, "InvalidArgument".into()));
    }
    for unknown in ["nonsense", "0190f5fe7c3e7ccabcdd4f3f2d0c1b2a"] {
        let put = server.client.upload_part().bucket(BUCKET).key("k").upload_id(unknown);
        let put = put.part_number(1).body(ByteStream::from_static(b"x")).send().await;
        assert_eq!(refused(put), (404, "NoSuchUpload".into()));
        let parts = server.client.list_parts().bucket(BUCKET).key("k").upload_id(unknown);
        assert_eq!(refused(parts.send().await), (404, "NoSuchUpload".into()));
    }
    let abort =
        || server.client.abort_multipart_upload().bucket(BUCKET).key("k").upload_id(&upload).send();
    abort().await.expect("aborted");
    assert_eq!(refused(abort().await), (404, "NoSuchUpload".into()));
    assert_eq!(refusal(vec![small]).await, (404, "NoSuchUpload".into()));
    assert_eq!(refused(server.client.head_object().bucket(BUCKET).key("k").send().await).0, 404);
}

#[tokio::test]
async fn conditions_hold_at_completion() {
    let server = server().await;
    let upload = create(&server, "k", None).await;
    let one = part(&server, "k", &upload, 1, b"new").await;
    server.put("k", b"old").await;
    let complete = || {
        let complete = server.client.complete_multipart_upload().bucket(BUCKET).key("k");
        complete.upload_id(&upload).multipart_upload(list(vec![one.clone()]))
    };
    assert_eq!(refused(complete().if_none_match("*").send().await).0, 412);
    assert_eq!(refused(complete().if_match("\"x\"").send().await).0, 412);
    assert_eq!(refused(complete().mpu_object_size(4).send().await).0, 400);
    assert_eq!(server.get("k").await, b"old");
    complete().if_match("*").mpu_object_size(3).send().await.expect("completed");
    assert_eq!(server.get("k").await, b"new");
}

#[tokio::test]
async fn composite_and_full_object_checksums() {
    let server = server().await;
    let (one, two) = (content(5 * MIB), content(100));
    for (algorithm, kind) in [
        (ChecksumAlgorithm::Crc32, ChecksumType::Composite),
        (ChecksumAlgorithm::Crc32C, ChecksumType::FullObject),
        (ChecksumAlgorithm::Crc64Nvme, ChecksumType::FullObject),
        (ChecksumAlgorithm::Sha1, ChecksumType::Composite),
        (ChecksumAlgorithm::Sha256, ChecksumType::Composite),
    ] {
        let create = server.client.create_multipart_upload().bucket(BUCKET).key("k");
        let create = create.checksum_algorithm(algorithm.clone()).checksum_type(kind.clone());
        let created = create.send().await.expect("created");
        let upload = created.upload_id().expect("an id");
        let mut parts = Vec::new();
        for (number, bytes) in [(1, &one), (2, &two)] {
            let put = server.client.upload_part().bucket(BUCKET).key("k").upload_id(upload);
            let put = put.part_number(number).checksum_algorithm(algorithm.clone());
            let done = put.body(ByteStream::from(bytes.clone())).send().await.expect("stored");
            parts.push(
                CompletedPart::builder()
                    .part_number(number)
                    .set_e_tag(done.e_tag().map(str::to_owned))
                    .set_checksum_crc32(done.checksum_crc32().map(str::to_owned))
                    .set_checksum_crc32_c(done.checksum_crc32_c().map(str::to_owned))
                    .set_checksum_crc64_nvme(done.checksum_crc64_nvme().map(str::to_owned))
                    .set_checksum_sha1(done.checksum_sha1().map(str::to_owned))
                    .set_checksum_sha256(done.checksum_sha256().map(str::to_owned))
                    .build(),
            );
        }
        let complete = server.client.complete_multipart_upload().bucket(BUCKET).key("k");
        let done = complete.upload_id(upload).multipart_upload(list(parts)).send().await;
        assert_eq!(done.expect("completed").checksum_type(), Some(&kind), "{algorithm:?}");
        // With a full-object checksum the client compares it with the bytes it gets.
        let get = server.client.get_object().bucket(BUCKET).key("k");
        let get = get.checksum_mode(ChecksumMode::Enabled).send().await.expect("there");
        assert_eq!(get.checksum_type(), Some(&kind));
        let bytes = get.body.collect().await.expect("it matches").to_vec();
        assert!(bytes == [one.as_slice(), two.as_slice()].concat());
    }
    let upload = create(&server, "k", Some(ChecksumAlgorithm::Sha256)).await;
    let put = server.client.upload_part().bucket(BUCKET).key("k").upload_id(upload);
    let put = put.part_number(1).checksum_algorithm(ChecksumAlgorithm::Sha1);
    let put = put.body(ByteStream::from_static(b"x")).send().await;
    assert_eq!(refused(put), (400, "InvalidRequest".into()));
    let path = format!("/{BUCKET}/k");
    for (algorithm, kind) in [("CRC64NVME", "COMPOSITE"), ("SHA1", "FULL_OBJECT")] {
        let headers = [("x-amz-checksum-algorithm", algorithm), ("x-amz-checksum-type", kind)];
        let answer = raw::call(server.address, "POST", &path, "uploads=", &headers, b"").await;
        assert_eq!((answer.status, answer.code()), (400, "InvalidRequest".into()));
    }
}

#[tokio::test]
async fn parts_from_copies() {
    let server = server().await;
    let bytes = content(7 * MIB);
    server.put("source", &bytes).await;
    let upload = create(&server, "k", None).await;
    let copy = |number, range: &str| {
        let copy = server.client.upload_part_copy().bucket(BUCKET).key("k").upload_id(&upload);
        let copy = copy.part_number(number).copy_source("bucket/source");
        copy.copy_source_range(range).send()
    };
    let mut parts = Vec::new();
    for (number, range) in [(1, "bytes=1-5242880"), (2, "bytes=0-9")] {
        let done = copy(number, range).await.expect("copied");
        let etag = done.copy_part_result().and_then(|result| result.e_tag()).expect("a tag");
        parts.push(CompletedPart::builder().part_number(number).e_tag(etag).build());
    }
    for bad in ["bytes=0-99999999", "bytes=5-", "junk"] {
        assert_eq!(refused(copy(3, bad).await), (400, "InvalidArgument".into()), "{bad}");
    }
    let complete = server.client.complete_multipart_upload().bucket(BUCKET).key("k");
    complete.upload_id(&upload).multipart_upload(list(parts)).send().await.expect("completed");
    assert!(server.get("k").await == [&bytes[1..=5 * MIB], &bytes[..10]].concat());
}

#[tokio::test]
async fn uploads_are_listed_in_pages_with_delimiter() {
    let server = server().await;
    for key in ["a/1", "a/2", "b", "c/3"] {
        create(&server, key, None).await;
    }
    let mut found = Vec::new();
    let (mut key, mut id) = (None, None);
    for _ in 0..10 {
        let page = server.client.list_multipart_uploads().bucket(BUCKET).delimiter("/");
        let page = page.max_uploads(1).set_key_marker(key).set_upload_id_marker(id);
        let page = page.send().await.expect("listed");
        found.extend(page.uploads().iter().filter_map(|one| one.key().map(str::to_owned)));
        found.extend(page.common_prefixes().iter().filter_map(|p| p.prefix().map(str::to_owned)));
        if page.is_truncated() != Some(true) {
            break;
        }
        key = page.next_key_marker().map(str::to_owned);
        id = page.next_upload_id_marker().map(str::to_owned);
    }
    assert_eq!(found, ["a/", "b", "c/"]);
}
