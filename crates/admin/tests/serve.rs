//! The router on a real socket, and its orderly end.

use std::sync::Arc;

use admin::{AdminSource, ClusterHealth, WorkerStatus};
use async_trait::async_trait;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::oneshot,
};

struct Unready;

#[async_trait]
impl AdminSource for Unready {
    async fn ready(&self) -> Result<(), String> {
        Err("starting".to_owned())
    }

    async fn cluster(&self) -> Result<ClusterHealth, String> {
        Err("starting".to_owned())
    }

    async fn workers(&self) -> Vec<WorkerStatus> {
        Vec::new()
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
