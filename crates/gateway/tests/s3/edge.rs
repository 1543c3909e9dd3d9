//! The edge: what is refused by name, other services, ids, panics, limits, draining.

use std::sync::Arc;

use async_trait::async_trait;
use gateway::{RequestBody, Service, Settings};
use http::{Request, Response};
use s3::ResponseBody;
use telemetry::RequestId;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::Notify,
};

use crate::{
    raw::{self, Signer, send, sha256},
    support::{BUCKET, server, server_with},
};

#[tokio::test]
async fn features_that_are_not_there_are_named() {
    let server = server().await;
    let object = format!("/{BUCKET}/k");
    for (name, value) in [
        ("x-amz-server-side-encryption", "AES256"),
        ("x-amz-acl", "public-read"),
        ("x-amz-grant-read", "id=1"),
        ("x-amz-object-lock-event-hold", "ON"),
        ("x-amz-mfa", "serial 123456"),
        ("x-amz-request-payer", "requester"),
    ] {
        let answer = raw::call(server.address, "PUT", &object, "", &[(name, value)], b"x").await;
        assert_eq!((answer.status, answer.code()), (501, "NotImplemented".into()), "{name}");
        assert!(answer.text().contains(name), "{}", answer.text());
    }
}

#[tokio::test]
async fn other_services_answer_in_their_own_shape() {
    let server = server().await;
    for (service, shape) in [
        ("kinesis", "__type"),
        ("kms", "__type"),
        ("firehose", "__type"),
        ("iam", "<ErrorResponse>"),
        ("sts", "<ErrorResponse>"),
    ] {
        let (head, _) = Signer::new(0, service).head("POST", "/", "", &[], &sha256(b""));
        let request = format!("{head}content-length: 0\r\n\r\n");
        let answer = send(server.address, request.as_bytes(), false).await;
        assert_eq!(answer.status, 501, "{service}");
        assert!(answer.text().contains(shape), "{service}: {}", answer.text());
        assert!(answer.text().contains(service));
        assert!(answer.header("x-amz-request-id").is_some());
    }
    let target = "POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\nx-amz-target: \
                  Kinesis_20131202.PutRecord\r\ncontent-length: 0\r\n\r\n";
    let answer = send(server.address, target.as_bytes(), false).await;
    assert_eq!(answer.status, 501);
    assert!(answer.text().contains("Kinesis"), "{}", answer.text());
}

#[tokio::test]
async fn every_answer_has_an_id_and_errors_repeat_it() {
    let server = server().await;
    let path = format!("/{BUCKET}/none");
    let answer = raw::call(server.address, "GET", &path, "", &[], b"").await;
    let id = answer.header("x-amz-request-id").expect("an id").to_owned();
    assert_eq!(id.len(), 16);
    assert_eq!(answer.header("x-amz-id-2"), Some(id.as_str()));
    assert_eq!(answer.header("server"), Some("Shardlake"));
    let text = answer.text();
    assert!(text.contains(&format!("<RequestId>{id}</RequestId>")), "{text}");
    assert!(text.contains(&format!("<Resource>{path}</Resource>")), "{text}");
    let again = raw::call(server.address, "GET", &path, "", &[], b"").await;
    assert_ne!(again.header("x-amz-request-id"), Some(id.as_str()));
    let long = [("x-amz-meta-long", "x".repeat(40_000))];
    let long = [(long[0].0, long[0].1.as_str())];
    let answer = raw::call(server.address, "GET", &path, "", &long, b"").await;
    assert_eq!(answer.status, 431);
}

/// Panics, or waits until it is told to answer.
struct Odd {
    entered: Notify,
    go_on: Notify,
}

#[async_trait]
impl Service for Odd {
    fn name(&self) -> &'static str {
        "odd"
    }

    async fn call(&self, request: Request<RequestBody>, _: RequestId) -> Response<ResponseBody> {
        assert!(request.uri().path() != "/panic", "as asked");
        self.entered.notify_one();
        self.go_on.notified().await;
        use http_body_util::BodyExt;
        let body = http_body_util::Full::new(bytes::Bytes::from_static(b"finished"));
        Response::new(body.map_err(|never| match never {}).boxed_unsync())
    }
}

fn odd_request(path: &str) -> Vec<u8> {
    let (head, _) = Signer::new(0, "odd").head("GET", path, "", &[], &sha256(b""));
    format!("{head}\r\n").into_bytes()
}

#[tokio::test]
async fn a_panic_is_an_answer_and_the_server_lives_on() {
    let odd = Arc::new(Odd { entered: Notify::new(), go_on: Notify::new() });
    let server = server_with(Settings::default(), Some(odd)).await;
    let answer = send(server.address, &odd_request("/panic"), false).await;
    assert_eq!((answer.status, answer.code()), (500, "InternalError".into()));
    assert!(answer.header("x-amz-request-id").is_some());
    server.put("k", b"still here").await;
}

#[tokio::test]
async fn requests_in_flight_are_finished_and_no_more_accepted() {
    let odd = Arc::new(Odd { entered: Notify::new(), go_on: Notify::new() });
    let server = server_with(Settings::default(), Some(odd.clone())).await;
    let mut stream = TcpStream::connect(server.address).await.expect("it listens");
    stream.write_all(&odd_request("/wait")).await.expect("sent");
    odd.entered.notified().await;
    server.stop.send(()).expect("it runs");
    while TcpStream::connect(server.address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    assert!(!server.task.is_finished(), "a request is in flight");
    odd.go_on.notify_one();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an answer");
    assert!(answer.ends_with("finished"), "{answer}");
    server.task.await.expect("it ends");
}

/// botocore sends `Expect: 100-continue` with every PUT. When the answer came before the
/// body was wanted, it did not send the body and put the next request on the same
/// connection, where the edge took its first bytes for the body: the next request failed
/// with `SignatureDoesNotMatch`. Now such an answer ends the connection.
#[tokio::test]
async fn an_answer_instead_of_continue_ends_the_connection() {
    let server = server().await;
    let refused = "PUT /nobody/knows HTTP/1.1\r\nhost: localhost\r\nexpect: 100-continue\r\n\
                   content-length: 1000\r\n\r\n";
    // `send` reads to the end of the connection: without the close it would never return.
    let answer = send(server.address, refused.as_bytes(), false).await;
    assert_eq!(answer.status, 403);
    assert_eq!(answer.header("connection"), Some("close"));
}
