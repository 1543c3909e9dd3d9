//! Conditional writes and deletions: what holds is done, what does not changes nothing.

use crate::support::{Server, server};

const SIZE: &str = "x-amz-if-match-size";
const TIME: &str = "x-amz-if-match-last-modified-time";

/// Modification times are those of the cluster's clock, which stands still.
const NOW: &str = "Fri, 15 Jan 2027 08:00:00 GMT";
const BEFORE: &str = "Fri, 15 Jan 2027 07:59:59 GMT";

/// The entity tag of `old`.
const OLD: &str = "\"149603e6c03516362a8da23f624db945\"";
const OTHER: &str = "\"00000000000000000000000000000000\"";

/// The status and code of a write of each kind, with these headers, over what is there.
async fn writes(server: &Server, key: &str, headers: &[(&str, &str)]) -> Vec<(u16, String)> {
    let put = server.call("PUT", key, "", headers, "new").await;
    let mut found = vec![(put.status, put.code())];
    server.put("source", b"new").await;
    let copy = [headers, &[("x-amz-copy-source", "bucket/source")]].concat();
    restore(server, key).await;
    let copy = server.call("PUT", key, "", &copy, "").await;
    found.push((copy.status, copy.code()));
    restore(server, key).await;
    let upload = server.call("POST", key, "uploads=", &[], "").await.texts("UploadId").concat();
    let query = format!("partNumber=1&uploadId={upload}");
    let part = server.call("PUT", key, &query, &[], "new").await;
    let body = format!(
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{}</ETag></Part>\
         </CompleteMultipartUpload>",
        part.header("etag").expect("a tag")
    );
    let done = server.call("POST", key, &format!("uploadId={upload}"), headers, &body).await;
    found.push((done.status, done.code()));
    found
}

/// `old` under the keys that begin so, nothing under the others.
async fn restore(server: &Server, key: &str) {
    if key.starts_with("old") {
        server.put(key, b"old").await;
    } else {
        server.call("DELETE", key, "", &[], "").await;
    }
}

#[tokio::test]
async fn puts_copies_and_completions() {
    let server = server().await;
    for (key, headers, status, code) in [
        ("absent", vec![("if-none-match", "*")], 200, ""),
        ("absent", vec![("if-match", OLD)], 404, "NoSuchKey"),
        ("absent", vec![("if-match", "*")], 404, "NoSuchKey"),
        ("old", vec![("if-none-match", "*")], 412, "PreconditionFailed"),
        ("old", vec![("if-match", OLD)], 200, ""),
        ("old", vec![("if-match", "*")], 200, ""),
        ("old", vec![("if-match", OTHER)], 412, "PreconditionFailed"),
        ("old", vec![("if-none-match", OTHER)], 501, "NotImplemented"),
        ("old", vec![("if-match", OLD), ("if-none-match", "*")], 501, "NotImplemented"),
    ] {
        restore(&server, key).await;
        let expected = vec![(status, code.to_owned()); 3];
        assert_eq!(writes(&server, key, &headers).await, expected, "{key} {headers:?}");
        let found = server.call("GET", key, "", &[], "").await;
        match (status, key) {
            (200, _) => assert_eq!(found.text(), "new", "{key} {headers:?}"),
            (_, "old") => assert_eq!(found.text(), "old", "{headers:?}"),
            _ => assert_eq!(found.status, 404, "{headers:?}"),
        }
    }
}

/// A delete marker is no object.
#[tokio::test]
async fn a_delete_marker_is_absence() {
    let server = server().await;
    server.set_versioning("Enabled").await;
    let old = server.put_version("k", "old").await.expect("a version");
    server.call("DELETE", "k", "", &[], "").await;
    for (headers, status) in
        [([("if-match", "*")], 404), ([("if-match", OLD)], 404), ([("if-none-match", "*")], 200)]
    {
        let put = server.call("PUT", "k", "", &headers, "new").await;
        assert_eq!(put.status, status, "{headers:?}: {}", put.text());
    }
    let kept = server.call("GET", "k", &format!("versionId={old}"), &[], "").await;
    assert_eq!(kept.text(), "old");
}

#[tokio::test]
async fn deletions() {
    let server = server().await;
    for (key, headers, etag, status) in [
        ("old", vec![("if-match", OLD)], Some(OLD), 204),
        ("old", vec![("if-match", "*")], Some("*"), 204),
        ("old", vec![("if-match", OTHER)], Some(OTHER), 412),
        ("old", vec![(SIZE, "3")], None, 204),
        ("old", vec![(SIZE, "4")], None, 412),
        ("old", vec![(TIME, NOW)], None, 204),
        ("old", vec![(TIME, BEFORE)], None, 412),
        ("old", vec![("if-match", OLD), (SIZE, "3"), (TIME, NOW)], Some(OLD), 204),
        ("old", vec![("if-match", OLD), (SIZE, "4"), (TIME, NOW)], Some(OLD), 412),
        ("old", vec![("if-match", OLD), (SIZE, "3"), (TIME, BEFORE)], Some(OLD), 412),
        ("absent", vec![("if-match", OLD)], Some(OLD), 404),
        ("absent", vec![("if-match", "*")], Some("*"), 404),
        // AWS: deleting what is not there is fine, whatever its size should have been.
        ("absent", vec![(SIZE, "3")], None, 204),
        ("absent", vec![(TIME, NOW)], None, 204),
    ] {
        let code = match status {
            404 => "NoSuchKey",
            412 => "PreconditionFailed",
            _ => "",
        };
        restore(&server, key).await;
        let answer = server.call("DELETE", key, "", &headers, "").await;
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{key} {headers:?}");
        let kept = key == "old" && status != 204;
        let there = server.call("HEAD", key, "", &[], "").await.status == 200;
        assert_eq!(there, kept, "{key} {headers:?}");

        // The same by a delete list, where each key has its own conditions.
        restore(&server, key).await;
        let value = |name| headers.iter().find(|(sent, _)| *sent == name).map(|(_, value)| *value);
        let element = |name: &str, value: Option<&str>| {
            value.map(|value| format!("<{name}>{value}</{name}>")).unwrap_or_default()
        };
        let body = format!(
            "<Delete><Object><Key>{key}</Key>{}{}{}</Object><Object><Key>other</Key></Object>\
             </Delete>",
            element("ETag", etag),
            element("LastModifiedTime", value(TIME)),
            element("Size", value(SIZE)),
        );
        server.put("other", b"x").await;
        let answer = server.call("POST", "", "delete=", &[], &body).await;
        assert_eq!((answer.status, answer.texts("Code").concat()), (200, code.into()), "{body}");
        assert_eq!(answer.texts("Deleted").len(), if code.is_empty() { 2 } else { 1 }, "{body}");
        let there = server.call("HEAD", key, "", &[], "").await.status == 200;
        assert_eq!(there, kept, "{body}");
        assert_eq!(server.call("HEAD", "other", "", &[], "").await.status, 404);
    }
    for headers in [[(SIZE, "-1")], [(SIZE, "many")], [(TIME, "yesterday")]] {
        let answer = server.call("DELETE", "old", "", &headers, "").await;
        assert_eq!((answer.status, answer.code()), (400, "InvalidArgument".into()), "{headers:?}");
    }
}
