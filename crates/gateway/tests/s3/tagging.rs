//! Tags of objects, versions and buckets.

use crate::{
    raw::{self, Answer, Signer},
    support::{BUCKET, Server, server},
};

fn document(tags: &[(&str, &str)]) -> String {
    let tag =
        |(key, value): &(&str, &str)| format!("<Tag><Key>{key}</Key><Value>{value}</Value></Tag>");
    format!("<Tagging><TagSet>{}</TagSet></Tagging>", tags.iter().map(tag).collect::<String>())
}

/// `key=value` of every tag, in the order of the keys.
fn tags(answer: &Answer) -> Vec<String> {
    assert_eq!(answer.status, 200, "{}", answer.text());
    let mut tags: Vec<String> = std::iter::zip(answer.texts("Key"), answer.texts("Value"))
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    tags.sort();
    tags
}

async fn tags_of(server: &Server, key: &str) -> Vec<String> {
    tags(&server.call("GET", key, "tagging=", &[], "").await)
}

#[tokio::test]
async fn tags_of_objects_are_set_shown_and_removed() {
    let server = server().await;
    server.put("k", b"x").await;
    assert!(tags_of(&server, "k").await.is_empty());
    assert_eq!(server.call("HEAD", "k", "", &[], "").await.header("x-amz-tagging-count"), None);
    let set = server.call("PUT", "k", "tagging=", &[], &document(&[("a", "1"), ("b", "")])).await;
    assert_eq!(set.status, 200, "{}", set.text());
    assert_eq!(tags_of(&server, "k").await, ["a=1", "b="]);
    for method in ["GET", "HEAD"] {
        let answer = server.call(method, "k", "", &[], "").await;
        assert_eq!(answer.header("x-amz-tagging-count"), Some("2"), "{method}");
    }
    let long = (&*"k".repeat(128), &*"ü".repeat(256));
    server.call("PUT", "k", "tagging=", &[], &document(&[long])).await;
    assert_eq!(tags_of(&server, "k").await, [format!("{}={}", long.0, long.1)]);
    let removed = server.call("DELETE", "k", "tagging=", &[], "").await;
    assert_eq!(removed.status, 204);
    assert!(tags_of(&server, "k").await.is_empty());
    assert_eq!(server.get("k").await, b"x");
    for (method, body) in [("GET", String::new()), ("PUT", document(&[])), ("DELETE", "".into())] {
        let answer = server.call(method, "absent", "tagging=", &[], &body).await;
        assert_eq!((answer.status, answer.code()), (404, "NoSuchKey".into()), "{method}");
    }
}

#[tokio::test]
async fn tags_that_are_refused() {
    let server = server().await;
    server.put("k", b"x").await;
    server.call("PUT", "k", "tagging=", &[], &document(&[("kept", "1")])).await;
    let eleven: Vec<String> = (0..11).map(|i| format!("k{i}")).collect();
    let eleven: Vec<(&str, &str)> = eleven.iter().map(|key| (key.as_str(), "v")).collect();
    for (body, code) in [
        (document(&eleven), "BadRequest"),
        (document(&[("", "v")]), "InvalidTag"),
        (document(&[(&*"k".repeat(129), "v")]), "InvalidTag"),
        (document(&[("k", &*"v".repeat(257))]), "InvalidTag"),
        (document(&[("k[", "v")]), "InvalidTag"),
        (document(&[("k", "a;b")]), "InvalidTag"),
        (document(&[("aws:k", "v")]), "InvalidTag"),
        (document(&[("k", "1"), ("k", "2")]), "InvalidTag"),
        ("<Tagging></Tagging>".into(), "MalformedXML"),
        ("<Tagging><TagSet><Tag><Key>k</Key></Tag></TagSet></Tagging>".into(), "MalformedXML"),
        ("<Tagging".into(), "MalformedXML"),
    ] {
        let answer = server.call("PUT", "k", "tagging=", &[], &body).await;
        assert_eq!((answer.status, answer.code().as_str()), (400, code), "{body}");
    }
    let wrong = [("content-md5", "AAAAAAAAAAAAAAAAAAAAAA==")];
    let wrong = server.call("PUT", "k", "tagging=", &wrong, &document(&[])).await;
    assert_eq!((wrong.status, wrong.code()), (400, "BadDigest".into()));
    assert_eq!(tags_of(&server, "k").await, ["kept=1"]);
    for (header, code) in [
        ("a=1&a=2", "InvalidArgument"),
        ("a=1=2", "InvalidArgument"),
        ("a%5B=1", "InvalidTag"),
        ("0=&1=&2=&3=&4=&5=&6=&7=&8=&9=&10=", "BadRequest"),
    ] {
        for (method, query) in [("PUT", ""), ("POST", "uploads=")] {
            let headers = [("x-amz-tagging", header)];
            let answer = server.call(method, "new", query, &headers, "").await;
            assert_eq!((answer.status, answer.code().as_str()), (400, code), "{header}");
        }
    }
    assert_eq!(server.call("HEAD", "new", "", &[], "").await.status, 404);
}

#[tokio::test]
async fn tags_come_with_puts_copies_and_uploads() {
    let server = server().await;
    let tagged = [("x-amz-tagging", "a=1&b=%C3%BC+x&c")];
    let all = ["a=1", "b=ü x", "c="];
    assert_eq!(server.call("PUT", "k", "", &tagged, "x").await.status, 200);
    assert_eq!(tags_of(&server, "k").await, all);
    let source = ("x-amz-copy-source", "bucket/k");
    let directive = "x-amz-tagging-directive";
    for (headers, expected) in [
        (vec![source], &all[..]),
        (vec![source, (directive, "COPY")], &all),
        (vec![source, ("x-amz-metadata-directive", "REPLACE")], &all),
        (vec![source, (directive, "REPLACE"), ("x-amz-tagging", "n=1")], &["n=1"]),
        (vec![source, (directive, "REPLACE")], &[]),
    ] {
        let answer = server.call("PUT", "copy", "", &headers, "").await;
        assert_eq!(answer.status, 200, "{headers:?}: {}", answer.text());
        assert_eq!(tags_of(&server, "copy").await, expected, "{headers:?}");
    }
    let unknown = server.call("PUT", "copy", "", &[source, (directive, "MERGE")], "").await;
    assert_eq!((unknown.status, unknown.code()), (400, "InvalidArgument".into()));
    // New tags alone are no reason to copy an object onto itself.
    let itself = [source, (directive, "REPLACE"), ("x-amz-tagging", "n=1")];
    let itself = server.call("PUT", "k", "", &itself, "").await;
    assert_eq!((itself.status, itself.code()), (400, "InvalidRequest".into()));

    let upload = server.call("POST", "parts", "uploads=", &tagged, "").await;
    let upload = upload.texts("UploadId").concat();
    let query = format!("partNumber=1&uploadId={upload}");
    let part = server.call("PUT", "parts", &query, &[], "x").await;
    let etag = part.header("etag").expect("a tag");
    let body = format!(
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part>\
         </CompleteMultipartUpload>"
    );
    let done = server.call("POST", "parts", &format!("uploadId={upload}"), &[], &body).await;
    assert_eq!(done.status, 200, "{}", done.text());
    assert_eq!(tags_of(&server, "parts").await, all);
    // A put replaces tags with the object.
    server.put("k", b"y").await;
    assert!(tags_of(&server, "k").await.is_empty());
}

/// Clients move the header into the query of a presigned URL.
#[tokio::test]
async fn a_presigned_put_carries_tags() {
    let server = server().await;
    let signer = Signer::new(0, "s3");
    let path = format!("/{BUCKET}/k");
    let target = signer.presign_with("PUT", &path, 60, "x-amz-tagging=a%3D1%26b%3D2");
    let request = format!(
        "PUT {target} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\ncontent-length: \
         1\r\n\r\nx"
    );
    let answer = raw::send(server.address, request.as_bytes(), false).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(tags_of(&server, "k").await, ["a=1", "b=2"]);
}

#[tokio::test]
async fn tags_are_of_a_version() {
    let server = server().await;
    server.set_versioning("Enabled").await;
    let one = server.put_version("k", "1").await.expect("a version");
    let two = server.put_version("k", "2").await.expect("a version");
    for (version, value) in [(&one, "old"), (&two, "new")] {
        let query = format!("tagging=&versionId={version}");
        let body = document(&[("v", value)]);
        let set = server.call("PUT", "k", &query, &[], &body).await;
        assert_eq!(set.header("x-amz-version-id"), Some(version.as_str()));
    }
    let current = server.call("GET", "k", "tagging=", &[], "").await;
    assert_eq!(current.header("x-amz-version-id"), Some(two.as_str()));
    assert_eq!(tags(&current), ["v=new"]);
    let query = format!("tagging=&versionId={one}");
    assert_eq!(tags(&server.call("GET", "k", &query, &[], "").await), ["v=old"]);
    let removed = server.call("DELETE", "k", &query, &[], "").await;
    assert_eq!((removed.status, removed.header("x-amz-version-id")), (204, Some(one.as_str())));
    assert!(tags(&server.call("GET", "k", &query, &[], "").await).is_empty());
    assert_eq!(tags_of(&server, "k").await, ["v=new"]);

    let marker = server.call("DELETE", "k", "", &[], "").await;
    let marker = marker.header("x-amz-version-id").expect("a version").to_owned();
    let named = format!("tagging=&versionId={marker}");
    for (method, query, status, shown) in [
        ("GET", "tagging=", 404, true),
        ("PUT", "tagging=", 405, false),
        ("DELETE", "tagging=", 405, false),
        ("GET", named.as_str(), 405, true),
        ("PUT", named.as_str(), 405, true),
    ] {
        let body = document(&[("a", "1")]);
        let body = if method == "PUT" { body.as_str() } else { "" };
        let answer = server.call(method, "k", query, &[], body).await;
        assert_eq!(answer.status, status, "{method} {query}: {}", answer.text());
        let is_marker = answer.header("x-amz-delete-marker");
        assert_eq!(is_marker, shown.then_some("true"), "{method} {query}");
    }
}

#[tokio::test]
async fn tags_of_buckets() {
    let server = server().await;
    let get = async || server.call("GET", "", "tagging=", &[], "").await;
    let none = (404, "NoSuchTagSet".to_owned());
    assert_eq!((get().await.status, get().await.code()), none);
    let fifty: Vec<String> = (0..51).map(|i| format!("k{i:02}")).collect();
    let fifty: Vec<(&str, &str)> = fifty.iter().map(|key| (key.as_str(), "v")).collect();
    for (body, status, code) in [
        (document(&[("env", "prod"), ("team", "ü")]), 200, ""),
        (document(&fifty), 400, "BadRequest"),
        (document(&[("aws:x", "1")]), 400, "InvalidTag"),
        (document(&[("a", "1"), ("a", "2")]), 400, "InvalidTag"),
        ("<Tagging></Tagging>".into(), 400, "MalformedXML"),
    ] {
        let answer = server.call("PUT", "", "tagging=", &[], &body).await;
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{body}");
        assert_eq!(tags(&get().await), ["env=prod", "team=ü"]);
    }
    assert_eq!(server.call("PUT", "", "tagging=", &[], &document(&fifty[..50])).await.status, 200);
    assert_eq!(tags(&get().await).len(), 50);
    assert_eq!(server.call("DELETE", "", "tagging=", &[], "").await.status, 204);
    assert_eq!((get().await.status, get().await.code()), none);
    for (method, body) in [("GET", String::new()), ("PUT", document(&[("a", "1")]))] {
        let path = "/nowhere";
        let answer =
            raw::call(server.address, method, path, "tagging=", &[], body.as_bytes()).await;
        assert_eq!((answer.status, answer.code()), (404, "NoSuchBucket".into()), "{method}");
    }
}
