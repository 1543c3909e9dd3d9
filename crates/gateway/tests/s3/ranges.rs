//! Ranges that AWS ignores, and those that it does not.

use crate::{
    raw::{self, Signer, send, sha256},
    support::{BUCKET, Server, server},
};

const BYTES: &[u8] = b"0123456789";

async fn read(server: &Server, method: &str, range: &str) -> raw::Answer {
    let path = format!("/{BUCKET}/k");
    raw::call(server.address, method, &path, "", &[("range", range)], b"").await
}

/// The header is signed here, as botocore does: the library must see it for the signature
/// and not for the read.
#[tokio::test]
async fn malformed_and_multiple_ranges_are_ignored() {
    let server = server().await;
    server.put("k", BYTES).await;
    for range in ["bytes=0-1,3-4", "bytes=5", "bytes=4-2", "lines=0-1", "bytes=a-b", "x", "bytes=-"]
    {
        let get = read(&server, "GET", range).await;
        assert_eq!((get.status, get.body.as_slice()), (200, BYTES), "{range}: {}", get.text());
        assert_eq!(get.header("content-range"), None, "{range}");
        let head = read(&server, "HEAD", range).await;
        assert_eq!((head.status, head.header("content-length")), (200, Some("10")), "{range}");
    }
    for (range, content_range, bytes) in [
        ("bytes=2-3", "bytes 2-3/10", &BYTES[2..4]),
        ("Bytes=2-3", "bytes 2-3/10", &BYTES[2..4]),
        ("bytes=8-99999999999999999999999", "bytes 8-9/10", &BYTES[8..]),
        ("bytes=-99999999999999999999999", "bytes 0-9/10", BYTES),
    ] {
        let get = read(&server, "GET", range).await;
        assert_eq!((get.status, get.body.as_slice()), (206, bytes), "{range}: {}", get.text());
        assert_eq!(get.header("content-range"), Some(content_range), "{range}");
    }
    for range in ["bytes=10-", "bytes=-0", "bytes=99999999999999999999999-"] {
        let get = read(&server, "GET", range).await;
        assert_eq!((get.status, get.code()), (416, "InvalidRange".into()), "{range}");
        assert_eq!(get.header("content-range"), Some("bytes */10"), "{range}");
    }
}

#[tokio::test]
async fn a_range_that_is_ignored_opens_no_door() {
    let server = server().await;
    server.put("k", BYTES).await;
    let path = format!("/{BUCKET}/k");
    let bad = "bytes=0-1,3-4";
    // Nobody signed.
    let request =
        format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nrange: {bad}\r\n\r\n");
    let answer = send(server.address, request.as_bytes(), false).await;
    assert_eq!((answer.status, answer.code()), (403, "AccessDenied".into()));
    // Another range was signed, or by another key.
    let signer = Signer::new(0, "s3");
    let (head, signature) = signer.head("GET", &path, "", &[("range", bad)], &sha256(b""));
    for head in [head.replace(bad, "bytes=0-1,3-5"), head.replace(&signature, &sha256(b"x"))] {
        let answer = send(server.address, format!("{head}\r\n").as_bytes(), false).await;
        assert_eq!((answer.status, answer.code()), (403, "SignatureDoesNotMatch".into()));
    }
    let (old, _) = Signer::new(-1000, "s3").head("GET", &path, "", &[("range", bad)], &sha256(b""));
    let answer = send(server.address, format!("{old}\r\n").as_bytes(), false).await;
    assert_eq!((answer.status, answer.code()), (403, "RequestTimeTooSkewed".into()));
    // It is not signed at all.
    let (head, _) = signer.head("GET", &path, "", &[], &sha256(b""));
    let request = format!("{head}range: {bad}\r\n\r\n");
    let answer = send(server.address, request.as_bytes(), false).await;
    assert_eq!((answer.status, answer.body.as_slice()), (200, BYTES));
    let presigned = signer.presign("GET", &path, 60);
    let request = format!(
        "GET {presigned} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\nrange: {bad}\r\n\r\n"
    );
    let answer = send(server.address, request.as_bytes(), false).await;
    assert_eq!((answer.status, answer.body.as_slice()), (200, BYTES));
    // What is refused by name stays refused.
    let extra = [("range", bad), ("x-amz-request-payer", "requester")];
    let answer = raw::call(server.address, "GET", &path, "", &extra, b"").await;
    assert_eq!((answer.status, answer.code()), (501, "NotImplemented".into()));
    let answer = raw::call(server.address, "GET", &path, "acl=", &[("range", bad)], b"").await;
    assert_eq!((answer.status, answer.code()), (501, "NotImplemented".into()));
}
