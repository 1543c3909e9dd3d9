//! The router on a real socket, and its orderly end.

use std::sync::Arc;

use admin::{AdminSource, ClusterHealth, ShardCounts, WorkerStatus};
use async_trait::async_trait;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::oneshot,
};

use types::ClusterMap;

struct Unready;

#[async_trait]
impl AdminSource for Unready {
    async fn ready(&self) -> Result<(), String> {
        Err("starting".to_owned())
    }

    async fn cluster(&self) -> Result<ClusterHealth, String> {
        Err("starting".to_owned())
    }

    async fn shards(&self) -> Result<ShardCounts, String> {
        Err("starting".to_owned())
    }

    async fn workers(&self) -> Result<Vec<WorkerStatus>, String> {
        Ok(Vec::new())
    }

    async fn map(&self) -> Result<Arc<ClusterMap>, String> {
        Err("nothing here".to_owned())
    }
}

#[tokio::test]
async fn answers_until_it_is_told_to_stop() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    let router = admin::router(Arc::new(Unready), telemetry::metrics::install(), "token");
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = tokio::spawn(admin::serve(listener, router, async {
        stopped.await.expect("the test says when");
    }));

    let mut client = TcpStream::connect(address).await.expect("listening");
    let request = b"GET /health/ready HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n";
    client.write_all(request).await.expect("sent");
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.expect("answered");
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(answer.contains("\"reason\":\"starting\""), "{answer}");

    stop.send(()).expect("still serving");
    serving.await.expect("no panic").expect("an orderly end");
    assert!(TcpStream::connect(address).await.is_err(), "the port is closed");
}

/// A client that sent half a request, and one that sent nothing, must not hold up the end.
#[tokio::test]
async fn clients_that_hang_do_not_hold_up_the_end() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    let router = admin::router(Arc::new(Hanging), telemetry::metrics::install(), "token");
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = tokio::spawn(admin::serve(listener, router, async {
        stopped.await.expect("the test says when");
    }));
    let _silent = TcpStream::connect(address).await.expect("listening");
    let mut half = TcpStream::connect(address).await.expect("listening");
    half.write_all(b"GET /health/ready HTTP/1.1\r\nHost: t").await.expect("sent");
    let mut waits = TcpStream::connect(address).await.expect("listening");
    waits.write_all(b"GET /health/ready HTTP/1.1\r\nHost: t\r\n\r\n").await.expect("sent");
    // One that is served after the three were taken.
    let mut served = TcpStream::connect(address).await.expect("listening");
    let live = b"GET /health/live HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n";
    served.write_all(live).await.expect("sent");
    let mut answer = String::new();
    served.read_to_string(&mut answer).await.expect("answered");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");

    stop.send(()).expect("still serving");
    tokio::time::timeout(std::time::Duration::from_secs(20), serving)
        .await
        .expect("the end does not wait for clients that hang")
        .expect("no panic")
        .expect("an orderly end");
}

/// Its answers never come.
struct Hanging;

#[async_trait]
impl AdminSource for Hanging {
    async fn ready(&self) -> Result<(), String> {
        std::future::pending().await
    }

    async fn cluster(&self) -> Result<ClusterHealth, String> {
        std::future::pending().await
    }

    async fn shards(&self) -> Result<ShardCounts, String> {
        Err("starting".to_owned())
    }

    async fn workers(&self) -> Result<Vec<WorkerStatus>, String> {
        Ok(Vec::new())
    }

    async fn map(&self) -> Result<Arc<ClusterMap>, String> {
        Err("nothing here".to_owned())
    }
}
