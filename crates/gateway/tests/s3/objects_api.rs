//! Put, get, head, delete, copy and attributes of objects.

use aws_sdk_s3::{
    primitives::{ByteStream, DateTime},
    types::{
        ChecksumAlgorithm, ChecksumMode, ChecksumType, Delete, MetadataDirective, ObjectAttributes,
        ObjectIdentifier,
    },
};

use crate::{
    raw,
    support::{BUCKET, content, refused, server},
};

#[tokio::test]
async fn bytes_and_metadata_come_back_as_they_went() {
    let server = server().await;
    for size in [0, 1, 4096, 4097, 100_000, 5 << 20] {
        let bytes = content(size);
        let put = server.client.put_object().bucket(BUCKET).key("k").body(bytes.clone().into());
        let put = put
            .content_type("text/csv")
            .content_encoding("gzip")
            .cache_control("max-age=60")
            .metadata("name", "a value")
            .send()
            .await
            .expect("stored");
        let get = server.client.get_object().bucket(BUCKET).key("k").send().await.expect("there");
        assert_eq!(get.e_tag(), put.e_tag());
        assert_eq!(get.content_type(), Some("text/csv"));
        assert_eq!(get.content_encoding(), Some("gzip"));
        assert_eq!(get.cache_control(), Some("max-age=60"));
        assert_eq!(get.metadata().and_then(|m| m.get("name")).map(String::as_str), Some("a value"));
        assert_eq!(get.content_length(), Some(size as i64));
        assert_eq!(get.accept_ranges(), Some("bytes"));
        assert!(get.body.collect().await.expect("read").to_vec() == bytes, "{size}");
        let head = server.client.head_object().bucket(BUCKET).key("k").send().await.expect("there");
        assert_eq!(head.content_length(), Some(size as i64));
        assert!(head.last_modified().is_some());
    }
    let missing = server.client.get_object().bucket(BUCKET).key("none").send().await;
    assert_eq!(refused(missing), (404, "NoSuchKey".into()));
    assert_eq!(refused(server.client.head_object().bucket(BUCKET).key("none").send().await).0, 404);
}

#[tokio::test]
async fn odd_keys() {
    let server = server().await;
    let keys = [
        "a b",
        "a+b",
        "a%20b",
        "ünïcödé 🦈",
        "//",
        "/lead",
        "a//b",
        "../up",
        "a/../b",
        "./x",
        "..",
        "tab\there",
        "ctl\u{1}",
        "q?x=1&y",
        "#hash",
        "quote\"'<>&",
        "trailing/",
        "back\\slash",
        &"x".repeat(1024),
    ];
    for key in keys {
        // The official client normalises "..": a hand-made request does not.
        let path = format!("/{BUCKET}/{}", raw::percent(key).replace("%2F", "/"));
        let put = raw::call(server.address, "PUT", &path, "", &[], key.as_bytes()).await;
        assert_eq!(put.status, 200, "{key:?}: {}", put.text());
        let get = raw::call(server.address, "GET", &path, "", &[], b"").await;
        assert_eq!((get.status, get.body.as_slice()), (200, key.as_bytes()), "{key:?}");
    }
    let list = server.client.list_objects_v2().bucket(BUCKET);
    let list = list.encoding_type(aws_sdk_s3::types::EncodingType::Url).send().await.expect("ok");
    let mut expected: Vec<String> =
        keys.iter().map(|k| raw::percent(k).replace("%2F", "/")).collect();
    let mut found: Vec<String> =
        list.contents().iter().filter_map(|object| object.key().map(str::to_owned)).collect();
    expected.sort();
    found.sort();
    assert_eq!(found, expected);
    // Without encoding the answer says what to do.
    let bucket = format!("/{BUCKET}");
    let plain = raw::call(server.address, "GET", &bucket, "list-type=2", &[], b"").await;
    assert_eq!((plain.status, plain.code()), (400, "InvalidArgument".into()));
    let long = format!("/{BUCKET}/{}", "x".repeat(1025));
    let long = raw::call(server.address, "PUT", &long, "", &[], b"x").await;
    assert_eq!((long.status, long.code()), (400, "KeyTooLongError".into()));
}

#[tokio::test]
async fn ranges() {
    let server = server().await;
    let bytes = content(9 << 20);
    server.put("k", &bytes).await;
    server.put("empty", b"").await;
    let last = bytes.len() - 1;
    for (range, from, to) in [
        ("bytes=0-0".to_owned(), 0, 0),
        ("bytes=0-".to_owned(), 0, last),
        (format!("bytes=0-{}", last + 100), 0, last),
        (format!("bytes={last}-{last}"), last, last),
        ("bytes=-5".to_owned(), last - 4, last),
        ("bytes=-99999999".to_owned(), 0, last),
        (format!("bytes={}-{}", (4 << 20) - 1, 4 << 20), (4 << 20) - 1, 4 << 20),
    ] {
        let get = server.client.get_object().bucket(BUCKET).key("k").range(&range);
        let get = get.send().await.unwrap_or_else(|error| panic!("{range}: {error:?}"));
        let expected = format!("bytes {from}-{to}/{}", bytes.len());
        assert_eq!(get.content_range(), Some(expected.as_str()), "{range}");
        let body = get.body.collect().await.expect("read").to_vec();
        assert!(body == bytes[from..=to], "{range}");
        let head = server.client.head_object().bucket(BUCKET).key("k").range(&range);
        let head = head.send().await.expect("there");
        assert_eq!(head.content_length(), Some((to - from + 1) as i64));
        assert_eq!(head.content_range(), Some(expected.as_str()));
    }
    for (key, range) in [
        ("k", format!("bytes={}-", bytes.len())),
        ("k", "bytes=-0".into()),
        ("empty", "bytes=0-".into()),
    ] {
        let get = server.client.get_object().bucket(BUCKET).key(key).range(range);
        assert_eq!(refused(get.send().await), (416, "InvalidRange".into()), "{key}");
    }
    let path = format!("/{BUCKET}/k");
    let range = [("range", "bytes=1-3")];
    let partial = raw::call(server.address, "GET", &path, "", &range, b"").await;
    assert_eq!((partial.status, partial.body.as_slice()), (206, &bytes[1..4]));
    let partial = raw::call(server.address, "HEAD", &path, "", &range, b"").await;
    assert_eq!((partial.status, partial.header("content-length")), (206, Some("3")));
    let whole = server.client.get_object().bucket(BUCKET).key("k").part_number(1).send().await;
    assert_eq!(whole.expect("one part").content_length(), Some(bytes.len() as i64));
}

#[tokio::test]
async fn conditional_reads() {
    let server = server().await;
    server.put("k", b"v").await;
    let head = server.client.head_object().bucket(BUCKET).key("k").send().await.expect("there");
    let etag = head.e_tag().expect("a tag");
    let modified = *head.last_modified().expect("a time");
    let get = || server.client.get_object().bucket(BUCKET).key("k");
    get().if_match(etag).send().await.expect("it matches");
    assert_eq!(refused(get().if_match("\"x\"").send().await), (412, "PreconditionFailed".into()));
    assert_eq!(refused(get().if_none_match(etag).send().await).0, 304);
    assert_eq!(refused(get().if_modified_since(modified).send().await).0, 304);
    get().if_unmodified_since(modified).send().await.expect("it holds");
    let before = DateTime::from_secs(modified.secs() - 10);
    assert_eq!(refused(get().if_unmodified_since(before).send().await).0, 412);
    get().if_modified_since(before).send().await.expect("it holds");
    let over = get().response_content_type("x/y").response_content_disposition("attachment");
    let over = over.send().await.expect("there");
    assert_eq!(over.content_type(), Some("x/y"));
    assert_eq!(over.content_disposition(), Some("attachment"));
}

#[tokio::test]
async fn conditional_writes() {
    let server = server().await;
    let put = || server.client.put_object().bucket(BUCKET).key("k").body(vec![1].into());
    assert_eq!(refused(put().if_match("\"x\"").send().await), (404, "NoSuchKey".into()));
    let first = put().if_none_match("*").send().await.expect("absent");
    assert_eq!(refused(put().if_none_match("*").send().await), (412, "PreconditionFailed".into()));
    assert_eq!(refused(put().if_match("\"x\"").send().await), (412, "PreconditionFailed".into()));
    put().if_match(first.e_tag().expect("a tag")).send().await.expect("it matches");
    assert_eq!(refused(put().if_none_match("\"x\"").send().await), (501, "NotImplemented".into()));
    let delete = || server.client.delete_object().bucket(BUCKET).key("k");
    assert_eq!(refused(delete().if_match("\"x\"").send().await).0, 412);
    delete().if_match(first.e_tag().expect("a tag")).send().await.expect("it matches");
    delete().send().await.expect("deleting nothing is fine");

    let race = (0..16u8).map(|i| {
        let put = server.client.put_object().bucket(BUCKET).key("race").if_none_match("*");
        put.body(vec![i; 5000].into()).send()
    });
    let results = futures::future::join_all(race).await;
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1, "exactly one wins");
    let winner = results.iter().position(|result| result.is_ok()).expect("one") as u8;
    assert_eq!(server.get("race").await, vec![winner; 5000]);
}

#[tokio::test]
async fn delete_lists() {
    let server = server().await;
    for key in ["a", "b", "c"] {
        server.put(key, b"x").await;
    }
    let id = |key: &str| ObjectIdentifier::builder().key(key).build().expect("a key");
    let list = Delete::builder().objects(id("a")).objects(id("none")).build().expect("a list");
    let answer = server.client.delete_objects().bucket(BUCKET).delete(list).send().await;
    let answer = answer.expect("answered");
    let deleted: Vec<_> = answer.deleted().iter().filter_map(|one| one.key()).collect();
    assert_eq!(deleted, ["a", "none"]);
    let wrong = ObjectIdentifier::builder().key("b").e_tag("\"x\"").build().expect("a key");
    let list = Delete::builder().quiet(true).objects(wrong).objects(id("c")).build().expect("ok");
    let answer = server.client.delete_objects().bucket(BUCKET).delete(list).send().await;
    let answer = answer.expect("answered");
    assert!(answer.deleted().is_empty());
    assert_eq!(answer.errors().len(), 1);
    assert_eq!(answer.errors()[0].code(), Some("PreconditionFailed"));
    let path = format!("/{BUCKET}");
    let body = b"<Delete><Object><Key>b</Key></Object></Delete>";
    for (name, value, code) in [
        ("content-md5", "AAAAAAAAAAAAAAAAAAAAAA==", "BadDigest"),
        ("content-md5", "?", "InvalidDigest"),
        ("x-amz-checksum-crc32", "AAAAAA==", "BadDigest"),
    ] {
        let answer =
            raw::call(server.address, "POST", &path, "delete=", &[(name, value)], body).await;
        assert_eq!((answer.status, answer.code()), (400, code.into()), "{name}");
    }
    let empty =
        raw::call(server.address, "POST", &path, "delete=", &[], b"<Delete></Delete>").await;
    assert_eq!((empty.status, empty.code()), (400, "MalformedXML".into()));
    assert_eq!(server.get("b").await, b"x", "nothing of the refused lists was done");
}

#[tokio::test]
async fn copies() {
    let server = server().await;
    let bytes = content(3 << 20);
    let put = server.client.put_object().bucket(BUCKET).key("from here").metadata("m", "1");
    put.content_type("a/b").body(bytes.clone().into()).send().await.expect("stored");
    let copy = || server.client.copy_object().bucket(BUCKET).copy_source("bucket/from%20here");
    let done = copy().key("to").send().await.expect("copied");
    let head = server.client.head_object().bucket(BUCKET).key("to").send().await.expect("there");
    assert_eq!(done.copy_object_result().and_then(|result| result.e_tag()), head.e_tag());
    assert_eq!(head.content_type(), Some("a/b"));
    assert_eq!(head.metadata().and_then(|m| m.get("m")).map(String::as_str), Some("1"));
    assert!(server.get("to").await == bytes);
    let replace = copy().key("to").metadata_directive(MetadataDirective::Replace);
    replace.metadata("n", "2").send().await.expect("copied");
    let head = server.client.head_object().bucket(BUCKET).key("to").send().await.expect("there");
    assert_eq!(head.metadata().map(|m| m.len()), Some(1));
    assert_eq!(head.content_type(), Some("binary/octet-stream"));
    assert_eq!(refused(copy().key("from here").send().await), (400, "InvalidRequest".into()));
    let itself = copy().key("from here").metadata_directive(MetadataDirective::Replace);
    itself.metadata("m", "3").send().await.expect("new metadata");
    assert!(server.get("from here").await == bytes);
    assert_eq!(refused(copy().key("x").copy_source_if_match("\"x\"").send().await).0, 412);
    assert_eq!(refused(copy().key("to").if_none_match("*").send().await).0, 412);
    let none = server.client.copy_object().bucket(BUCKET).key("x").copy_source("bucket/none");
    assert_eq!(refused(none.send().await), (404, "NoSuchKey".into()));
}

#[tokio::test]
async fn website_redirects_are_stored_and_not_copied() {
    const REDIRECT: &str = "x-amz-website-redirect-location";
    let server = server().await;
    for (target, status, code) in [
        ("/there", 200, ""),
        ("https://example.com/x", 200, ""),
        ("there", 400, "InvalidRedirectLocation"),
    ] {
        let key = target.len().to_string();
        let answer = server.call("PUT", &key, "", &[(REDIRECT, target)], "x").await;
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{target}");
        for method in ["GET", "HEAD"] {
            let found = server.call(method, &key, "", &[], "").await;
            assert_eq!(found.header(REDIRECT), (status == 200).then_some(target), "{method}");
        }
    }
    let source = ("x-amz-copy-source", "bucket/6");
    let replace = ("x-amz-metadata-directive", "REPLACE");
    for (headers, expected) in [
        (vec![source], None),
        (vec![source, replace], None),
        (vec![source, (REDIRECT, "/new")], Some("/new")),
        (vec![source, replace, (REDIRECT, "/new")], Some("/new")),
    ] {
        assert_eq!(server.call("PUT", "copy", "", &headers, "").await.status, 200, "{headers:?}");
        let found = server.call("HEAD", "copy", "", &[], "").await;
        assert_eq!(found.header(REDIRECT), expected, "{headers:?}");
    }
}

#[tokio::test]
async fn what_allows_a_copy_onto_itself() {
    let server = server().await;
    server.put("k", b"x").await;
    for (name, value, status) in [
        ("x-amz-metadata-directive", "COPY", 400),
        ("x-amz-tagging-directive", "REPLACE", 400),
        ("x-amz-metadata-directive", "REPLACE", 200),
        ("x-amz-storage-class", "STANDARD", 200),
        ("x-amz-website-redirect-location", "/x", 200),
        ("x-amz-checksum-algorithm", "SHA256", 200),
    ] {
        let headers = [("x-amz-copy-source", "bucket/k"), (name, value)];
        let answer = server.call("PUT", "k", "", &headers, "").await;
        let code = if status == 400 { "InvalidRequest" } else { "" };
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{name} {value}");
        assert_eq!(server.get("k").await, b"x");
    }
}

#[tokio::test]
async fn checksums_are_verified_and_returned() {
    let server = server().await;
    for (algorithm, name) in [
        (ChecksumAlgorithm::Crc32, "crc32"),
        (ChecksumAlgorithm::Crc32C, "crc32c"),
        (ChecksumAlgorithm::Crc64Nvme, "crc64nvme"),
        (ChecksumAlgorithm::Sha1, "sha1"),
        (ChecksumAlgorithm::Sha256, "sha256"),
    ] {
        let put = server.client.put_object().bucket(BUCKET).key(name);
        let put = put.checksum_algorithm(algorithm).body(ByteStream::from_static(b"123456789"));
        put.send().await.unwrap_or_else(|error| panic!("{name}: {error:?}"));
        let path = format!("/{BUCKET}/{name}");
        let mode = [("x-amz-checksum-mode", "ENABLED")];
        let head = raw::call(server.address, "GET", &path, "", &mode, b"").await;
        let header = format!("x-amz-checksum-{name}");
        assert!(head.header(&header).is_some(), "{name}");
        assert_eq!(head.header("x-amz-checksum-type"), Some("FULL_OBJECT"));
        let without = raw::call(server.address, "GET", &path, "", &[], b"").await;
        assert_eq!(without.header(&header), None);
        let get = server.client.get_object().bucket(BUCKET).key(name);
        let get = get.checksum_mode(ChecksumMode::Enabled).send().await.expect("there");
        assert_eq!(
            get.body.collect().await.expect("the client verified it").to_vec(),
            b"123456789"
        );
    }
    let path = format!("/{BUCKET}/k");
    let plain = raw::call(server.address, "PUT", &path, "", &[], b"123456789").await;
    assert_eq!(plain.header("x-amz-checksum-crc64nvme"), Some("rosUhgp5mIg="), "the default");
    for (name, value, code) in [
        ("content-md5", "AAAAAAAAAAAAAAAAAAAAAA==", "BadDigest"),
        ("content-md5", "AAAA", "InvalidDigest"),
        ("x-amz-checksum-crc32", "AAAAAA==", "BadDigest"),
        ("x-amz-checksum-sha256", "AAAA", "InvalidRequest"),
        ("x-amz-checksum-sha512", "AAAA", "InvalidRequest"),
    ] {
        let answer = raw::call(server.address, "PUT", &path, "", &[(name, value)], b"other").await;
        assert_eq!(answer.code(), code, "{name}");
    }
    assert_eq!(server.get("k").await, b"123456789", "refused bodies change nothing");
}

#[tokio::test]
async fn attributes() {
    let server = server().await;
    server.put("k", b"123456789").await;
    let asked = server.client.get_object_attributes().bucket(BUCKET).key("k");
    let asked = asked
        .object_attributes(ObjectAttributes::Etag)
        .object_attributes(ObjectAttributes::Checksum)
        .object_attributes(ObjectAttributes::ObjectSize)
        .object_attributes(ObjectAttributes::StorageClass);
    let found = asked.send().await.expect("there");
    assert_eq!(found.e_tag(), Some("25f9e794323b453885f5181f1b624d0b"));
    assert_eq!(found.object_size(), Some(9));
    assert_eq!(found.storage_class().map(|class| class.as_str()), Some("STANDARD"));
    let checksum = found.checksum().expect("there is one");
    assert_eq!(checksum.checksum_type(), Some(&ChecksumType::FullObject));
}
