//! Parts of objects: reading one by its number, and what GetObjectAttributes says of them.

use crate::support::{Server, server};

const MIB: usize = 1 << 20;

/// A multipart object of parts 3, 5 and 9; its parts' checksums in order. The second has
/// other bytes than the first.
async fn upload(server: &Server, headers: &[(&str, &str)], sums: bool) -> Vec<String> {
    let upload = server.call("POST", "k", "uploads=", headers, "").await;
    assert_eq!(upload.status, 200, "{}", upload.text());
    let upload = upload.texts("UploadId").concat();
    let mut body = String::new();
    let mut checksums = Vec::new();
    for (number, bytes) in parts() {
        let query = format!("partNumber={number}&uploadId={upload}");
        let part = server.call("PUT", "k", &query, &[], &bytes).await;
        assert_eq!(part.status, 200, "{}", part.text());
        let checksum = part.header("x-amz-checksum-crc32").unwrap_or_default().to_owned();
        let listed =
            if sums { format!("<ChecksumCRC32>{checksum}</ChecksumCRC32>") } else { "".into() };
        body.push_str(&format!(
            "<Part><PartNumber>{number}</PartNumber><ETag>{}</ETag>{listed}</Part>",
            part.header("etag").expect("a tag")
        ));
        checksums.push(checksum);
    }
    let body = format!("<CompleteMultipartUpload>{body}</CompleteMultipartUpload>");
    let done = server.call("POST", "k", &format!("uploadId={upload}"), &[], &body).await;
    assert_eq!(done.status, 200, "{}", done.text());
    checksums
}

fn parts() -> [(u16, String); 3] {
    [(3, "a".repeat(5 * MIB)), (5, "b".repeat(5 * MIB + 1)), (9, "c".repeat(10))]
}

#[tokio::test]
async fn a_part_is_read_by_its_place() {
    let server = server().await;
    let checksums = upload(&server, &[("x-amz-checksum-algorithm", "CRC32")], true).await;
    let size = 10 * MIB + 11;
    let mut from = 0;
    for (place, (_, bytes)) in parts().iter().enumerate() {
        let query = format!("partNumber={}", place + 1);
        let range = format!("bytes {from}-{}/{size}", from + bytes.len() - 1);
        for method in ["GET", "HEAD"] {
            let mode = [("x-amz-checksum-mode", "ENABLED")];
            let answer = server.call(method, "k", &query, &mode, "").await;
            assert_eq!(answer.status, 206, "{method} {query}");
            assert_eq!(answer.header("content-range"), Some(range.as_str()), "{method} {query}");
            let length = bytes.len().to_string();
            assert_eq!(answer.header("content-length"), Some(length.as_str()), "{method} {query}");
            assert_eq!(answer.header("x-amz-mp-parts-count"), Some("3"), "{method} {query}");
            let checksum = answer.header("x-amz-checksum-crc32");
            assert_eq!(checksum, Some(checksums[place].as_str()), "of the part's bytes");
            assert_eq!(answer.header("x-amz-checksum-type"), Some("COMPOSITE"));
            if method == "GET" {
                assert!(answer.body == bytes.as_bytes(), "{query}");
            }
        }
        from += bytes.len();
    }
    let whole = server.call("HEAD", "k", "", &[], "").await;
    assert_eq!((whole.status, whole.header("x-amz-mp-parts-count")), (200, None));
    for (query, headers, status, code) in [
        ("partNumber=4", vec![], 416, "InvalidPartNumber"),
        ("partNumber=9", vec![], 416, "InvalidPartNumber"),
        ("partNumber=0", vec![], 400, "InvalidArgument"),
        ("partNumber=10001", vec![], 400, "InvalidArgument"),
        ("partNumber=-1", vec![], 400, "InvalidArgument"),
        ("partNumber=x", vec![], 400, "InvalidArgument"),
        ("partNumber=1", vec![("range", "bytes=0-1")], 400, "InvalidRequest"),
        ("partNumber=1", vec![("if-match", "\"x\"")], 412, "PreconditionFailed"),
    ] {
        let answer = server.call("GET", "k", query, &headers, "").await;
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{query} {headers:?}");
        let head = server.call("HEAD", "k", query, &headers, "").await;
        assert_eq!(head.status, status, "HEAD {query} {headers:?}");
    }
}

/// An object that was put in one piece is its own first part.
#[tokio::test]
async fn the_only_part() {
    let server = server().await;
    server.put("one", b"12345").await;
    server.put("empty", b"").await;
    let one = server.call("GET", "one", "partNumber=1", &[], "").await;
    assert_eq!((one.status, one.text().as_str()), (206, "12345"));
    assert_eq!(one.header("content-range"), Some("bytes 0-4/5"));
    assert_eq!(one.header("x-amz-mp-parts-count"), None);
    let empty = server.call("GET", "empty", "partNumber=1", &[], "").await;
    assert_eq!((empty.status, empty.text().as_str()), (200, ""));
    let second = server.call("GET", "one", "partNumber=2", &[], "").await;
    assert_eq!((second.status, second.code()), (416, "InvalidPartNumber".into()));
}

/// The one before stays readable by part while it is a version.
#[tokio::test]
async fn parts_of_versions() {
    let server = server().await;
    server.set_versioning("Enabled").await;
    upload(&server, &[], false).await;
    let first = server.call("HEAD", "k", "", &[], "").await;
    let first = first.header("x-amz-version-id").expect("a version").to_owned();
    server.put("k", b"new").await;
    let query = format!("partNumber=3&versionId={first}");
    let part = server.call("GET", "k", &query, &[], "").await;
    assert_eq!((part.status, part.text()), (206, "c".repeat(10)));
    let attributes = [("x-amz-object-attributes", "ObjectParts,ObjectSize")];
    for (query, size, count) in [
        ("attributes=".to_owned(), "3", None),
        (format!("attributes=&versionId={first}"), "10485771", Some("3")),
    ] {
        let answer = server.call("GET", "k", &query, &attributes, "").await;
        assert_eq!(answer.texts("ObjectSize"), [size], "{}", answer.text());
        assert_eq!(answer.texts("PartsCount").first().map(String::as_str), count);
        let version = answer.header("x-amz-version-id").expect("a version");
        assert_eq!(version == first, count.is_some());
    }
}

#[tokio::test]
async fn attributes_list_parts_in_pages() {
    let server = server().await;
    let checksums = upload(&server, &[("x-amz-checksum-algorithm", "CRC32")], true).await;
    let sizes = parts().map(|(_, bytes)| bytes.len().to_string());
    for (marker, max, expected, truncated) in [
        (None, None, 0..3, "false"),
        (None, Some("2"), 0..2, "true"),
        (Some("2"), Some("2"), 2..3, "false"),
        (Some("1"), Some("1"), 1..2, "true"),
        (Some("3"), None, 3..3, "false"),
        (Some("70000"), None, 3..3, "false"),
        (None, Some("0"), 0..0, "false"),
    ] {
        let mut headers = vec![("x-amz-object-attributes", "ObjectParts")];
        headers.extend(marker.map(|marker| ("x-amz-part-number-marker", marker)));
        headers.extend(max.map(|max| ("x-amz-max-parts", max)));
        let answer = server.call("GET", "k", "attributes=", &headers, "").await;
        let case = format!("{marker:?} {max:?}: {}", answer.text());
        assert_eq!(answer.texts("PartsCount"), ["3"], "{case}");
        assert_eq!(answer.texts("IsTruncated"), [truncated], "{case}");
        assert_eq!(answer.texts("MaxParts"), [max.unwrap_or("1000")], "{case}");
        let numbers: Vec<String> = expected.clone().map(|place| (place + 1).to_string()).collect();
        assert_eq!(answer.texts("PartNumber"), numbers, "{case}");
        assert_eq!(answer.texts("Size"), sizes[expected.clone()], "{case}");
        assert_eq!(answer.texts("ChecksumCRC32"), checksums[expected.clone()], "{case}");
        if let Some(last) = numbers.last() {
            assert_eq!(answer.texts("NextPartNumberMarker"), [last.as_str()], "{case}");
        }
    }
    let one = [("x-amz-object-attributes", "ObjectParts")];
    server.put("one", b"x").await;
    let one = server.call("GET", "one", "attributes=", &one, "").await;
    assert!(one.status == 200 && !one.text().contains("ObjectParts"), "{}", one.text());
    for (name, value) in [("x-amz-max-parts", "-1"), ("x-amz-part-number-marker", "-1")] {
        let headers = [("x-amz-object-attributes", "ObjectParts"), (name, value)];
        let answer = server.call("GET", "k", "attributes=", &headers, "").await;
        assert_eq!((answer.status, answer.code()), (400, "InvalidArgument".into()), "{name}");
    }
}
