//! Signatures: who gets in, and who does not.

use std::time::Duration;

use aws_sdk_s3::presigning::PresigningConfig;

use crate::{
    raw::{Signer, send, sha256},
    support::{BUCKET, client, refused, server},
};

async fn get(address: std::net::SocketAddr, target: &str, headers: &str) -> crate::raw::Answer {
    let request =
        format!("GET {target} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n{headers}\r\n");
    send(address, request.as_bytes(), false).await
}

#[tokio::test]
async fn wrong_keys_and_no_keys() {
    let server = server().await;
    server.put("k", b"v").await;
    let wrong = client(&format!("http://{}", server.address), "another secret", true);
    let answer = wrong.get_object().bucket(BUCKET).key("k").send().await;
    assert_eq!(refused(answer), (403, "SignatureDoesNotMatch".into()));
    let target = format!("/{BUCKET}/k");
    let anonymous = get(server.address, &target, "").await;
    assert_eq!((anonymous.status, anonymous.code()), (403, "AccessDenied".into()));
    let v2 = get(server.address, &target, "authorization: AWS AKSHARDLAKETEST:c2ln\r\n").await;
    assert_eq!(v2.status, 403, "{}", v2.text());
    let signer = Signer::new(0, "s3");
    let (head, signature) = signer.head("GET", &target, "", &[], &sha256(b""));
    for (from, to, code) in [
        ("AKSHARDLAKETEST", "AKSOMEBODYELSE0", "InvalidAccessKeyId"),
        (signature.as_str(), &sha256(b"x"), "SignatureDoesNotMatch"),
    ] {
        let request = format!("{}\r\n", head.replace(from, to));
        let answer = send(server.address, request.as_bytes(), false).await;
        assert_eq!((answer.status, answer.code()), (403, code.into()));
        assert!(answer.text().contains("<RequestId>"), "{}", answer.text());
    }
    // A header that was added after signing.
    let request = format!("{head}x-amz-acl: private\r\n\r\n");
    let answer = send(server.address, request.as_bytes(), false).await;
    assert_eq!((answer.status, answer.code()), (403, "AccessDenied".into()));
    for skew_s in [-1000, 1000] {
        let (head, _) = Signer::new(skew_s, "s3").head("GET", &target, "", &[], &sha256(b""));
        let answer = send(server.address, format!("{head}\r\n").as_bytes(), false).await;
        assert_eq!((answer.status, answer.code()), (403, "RequestTimeTooSkewed".into()));
    }
}

#[tokio::test]
async fn presigned() {
    let server = server().await;
    server.put("k", b"v").await;
    let target = format!("/{BUCKET}/k");
    let good = get(server.address, &Signer::new(0, "s3").presign("GET", &target, 60), "").await;
    assert_eq!((good.status, good.body.as_slice()), (200, &b"v"[..]));
    let expired = Signer::new(-120, "s3").presign("GET", &target, 60);
    let expired = get(server.address, &expired, "").await;
    assert_eq!((expired.status, expired.code()), (403, "AccessDenied".into()));
    let long = Signer::new(0, "s3").presign("GET", &target, 604_801);
    let long = get(server.address, &long, "").await;
    assert_eq!((long.status, long.code()), (400, "AuthorizationQueryParametersError".into()));
    let other = Signer::new(0, "s3").presign("PUT", &target, 60);
    let other = get(server.address, &other, "").await;
    assert_eq!((other.status, other.code()), (403, "SignatureDoesNotMatch".into()));
    // As the SDK makes them, with x-id and a content type.
    let config = PresigningConfig::expires_in(Duration::from_secs(60)).expect("valid");
    let put = server.client.put_object().bucket(BUCKET).key("signed/put");
    let put = put.presigned(config).await.expect("presigned");
    let (_, target) = put.uri().split_once(&server.address.to_string()).expect("our address");
    let mut head = format!(
        "PUT {target} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\ncontent-length: 3\r\n",
        server.address
    );
    for (name, value) in put.headers() {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    let answer = send(server.address, format!("{head}\r\nabc").as_bytes(), false).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(server.get("signed/put").await, b"abc");
}

/// The same for every method: as it was signed, in time, and not otherwise.
#[tokio::test]
async fn presigned_for_every_method() {
    let server = server().await;
    server.put("k", b"v").await;
    let path = format!("/{BUCKET}/k");
    let call = async |method: &str, target: &str, body: &str| {
        let request = format!(
            "{method} {target} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        );
        send(server.address, request.as_bytes(), false).await
    };
    let presign = |skew_s: i64, method: &str, query: &str| {
        let signer = Signer::new(skew_s, "s3");
        signer.presign_with(method, &path, 60, query)
    };
    for (method, query, body, status) in [
        ("HEAD", "", "", 200),
        ("GET", "", "", 200),
        ("PUT", "", "new", 200),
        ("POST", "uploads=", "", 200),
        ("GET", "tagging=", "", 200),
        ("DELETE", "", "", 204),
    ] {
        for target in [
            presign(-120, method, query),
            presign(0, method, query).replace("/k?", "/other?"),
            presign(0, method, query).replace("X-Amz-Expires=60", "X-Amz-Expires=600"),
            presign(0, method, query) + "&versionId=null",
            presign(0, "OPTIONS", query),
        ] {
            let answer = call(method, &target, body).await;
            assert_eq!(answer.status, 403, "{method} {target}");
        }
        let answer = call(method, &presign(0, method, query), body).await;
        assert_eq!(answer.status, status, "{method} {query}: {}", answer.text());
    }
    let gone = call("GET", &presign(0, "GET", ""), "").await;
    assert_eq!((gone.status, gone.code()), (404, "NoSuchKey".into()));
    let uploads = server.client.list_multipart_uploads().bucket(BUCKET).send().await;
    assert_eq!(uploads.expect("listed").uploads().len(), 1, "made by the one that was right");
}

#[tokio::test]
async fn virtual_host_style() {
    let server = server().await;
    server.put("dir/k", b"v").await;
    let endpoint = format!("http://localhost:{}", server.address.port());
    let hosted = client(&endpoint, crate::support::SECRET_KEY, false);
    let config = PresigningConfig::expires_in(Duration::from_secs(60)).expect("valid");
    let get = hosted.get_object().bucket(BUCKET).key("dir/k").presigned(config).await;
    let get = get.expect("presigned");
    let uri: http::Uri = get.uri().parse().expect("a URI");
    let host = uri.authority().expect("a host").as_str();
    assert!(host.starts_with("bucket.localhost"), "{host}");
    let request = format!(
        "GET {} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n",
        uri.path_and_query().expect("a path")
    );
    let answer = send(server.address, request.as_bytes(), false).await;
    assert_eq!((answer.status, answer.body.as_slice()), (200, &b"v"[..]), "{}", answer.text());
}
