//! Who may call, how long calls last, and what becomes of them when nodes come and go.

mod support;

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bytes::Bytes;
use proto::{
    RpcErrorKind, ServeSettings, Services, Timeouts, meta::MetaService, raft::RaftService, serve,
    shards::ShardService,
};
use support::*;
use telemetry::request_id::{self, RequestId};
use tokio::{io::AsyncReadExt, net::TcpListener};
use types::{ClusterId, DiskId, Epoch, GroupId, NodeId};

async fn query(meta: &proto::remote::RemoteMeta) -> Result<Bytes, proto::RpcError> {
    meta.query(GroupId(1), Epoch(1), Bytes::new()).await
}

#[tokio::test]
async fn foreign_callers_are_refused() {
    let node = Node::start().await;
    let address = node.address.to_string();
    let other = Some(ClusterId::from_bytes([2; 16]));
    for (secret, cluster) in [(2, Some(CLUSTER)), (1, other), (1, None)] {
        let peers = peers_with(identity(secret, cluster), Timeouts::default());
        let error = query(&peers.meta(&address)).await.expect_err("meta");
        assert_eq!(error.kind, RpcErrorKind::Refused, "{error}");
        let error = peers.shards(&address).stat(DiskId(1)).await.expect_err("shards");
        assert_eq!(error.kind, RpcErrorKind::Refused, "{error}");
        let error = peers.raft(&address).vote(raft_address(), Bytes::new()).await;
        assert_eq!(error.expect_err("raft").kind, RpcErrorKind::Refused);
    }
    assert_eq!(node.echo.begun.load(Ordering::SeqCst), 0, "no service saw a foreign call");
}

#[tokio::test]
async fn a_joining_node_says_hello_with_the_secret_alone() {
    let node = Node::start().await;
    let address = node.address.to_string();
    let joining = identity(1, None);
    let peers = peers_with(joining.clone(), Timeouts::default());
    let meta = peers.meta(&address);
    let hello = meta.hello(NodeId(5)).await.expect("hello");
    assert_eq!(query(&meta).await.expect_err("not joined").kind, RpcErrorKind::Refused);
    joining.join(hello.cluster.expect("told")).expect("first");
    query(&meta).await.expect("joined");

    let thief = peers_with(identity(9, None), Timeouts::default());
    let error = thief.meta(&address).hello(NodeId(5)).await.expect_err("no secret");
    assert_eq!(error.kind, RpcErrorKind::Refused);
}

#[tokio::test]
async fn a_node_without_cluster_answers_hello_only() {
    let node = Node::start_with("127.0.0.1:0", identity(1, None), ServeSettings::default()).await;
    let meta = peers().meta(&node.address.to_string());
    meta.hello(NodeId(5)).await.expect("hello");
    assert_eq!(query(&meta).await.expect_err("no cluster").kind, RpcErrorKind::Refused);
}

#[tokio::test]
async fn a_service_that_is_not_there_is_unreachable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let address = listener.local_addr().expect("bound").to_string();
    let served = tokio::spawn(serve(
        listener,
        Services::default(),
        identity(1, Some(CLUSTER)),
        ServeSettings::default(),
        std::future::pending(),
    ));
    let error = query(&peers().meta(&address)).await.expect_err("not served");
    assert_eq!(error.kind, RpcErrorKind::Unreachable);
    served.abort();
}

#[tokio::test]
async fn the_callee_stops_at_the_callers_deadline() {
    let node = Node::start().await;
    *node.echo.hold.lock() = true;
    let timeouts = Timeouts { query: Duration::from_millis(100), ..Timeouts::default() };
    let meta = peers_with(identity(1, Some(CLUSTER)), timeouts).meta(&node.address.to_string());
    assert_eq!(query(&meta).await.expect_err("held").kind, RpcErrorKind::Deadline);
    until("the call is dropped", || Arc::strong_count(&node.echo.running) == 1).await;
    assert_eq!(node.echo.begun.load(Ordering::SeqCst), 1);
    assert_eq!(node.echo.ended.load(Ordering::SeqCst), 0, "it did not get to its end");
}

#[tokio::test]
async fn the_callee_has_a_bound_of_its_own() {
    let deadline_max = Duration::from_millis(50);
    let settings = ServeSettings { deadline_max, ..ServeSettings::default() };
    let node = Node::start_with("127.0.0.1:0", identity(1, Some(CLUSTER)), settings).await;
    *node.echo.hold.lock() = true;
    let error = query(&peers().meta(&node.address.to_string())).await.expect_err("held");
    assert_eq!(error.kind, RpcErrorKind::Deadline);
    assert!(error.message.contains("50ms"), "the server's words: {error}");
}

#[tokio::test]
async fn beyond_the_bound_calls_are_shed_but_raft_goes_on() {
    let settings = ServeSettings { calls_max: 2, ..ServeSettings::default() };
    let node = Node::start_with("127.0.0.1:0", identity(1, Some(CLUSTER)), settings).await;
    *node.echo.hold.lock() = true;
    let address = node.address.to_string();
    let peers = peers();
    let calls: Vec<_> = (0..2)
        .map(|_| {
            let meta = peers.meta(&address);
            tokio::spawn(async move { query(&meta).await })
        })
        .collect();
    until("two calls in flight", || node.echo.begun.load(Ordering::SeqCst) == 2).await;
    assert_eq!(query(&peers.meta(&address)).await.expect_err("third").kind, RpcErrorKind::Busy);
    peers.raft(&address).vote(raft_address(), Bytes::new()).await.expect("own budget");
    node.echo.release.notify_waiters();
    for call in calls {
        call.await.expect("no panic").expect("finished");
    }
    *node.echo.hold.lock() = false;
    query(&peers.meta(&address)).await.expect("room again");
}

#[tokio::test]
async fn one_connection_is_shared_and_its_calls_bounded() {
    let settings = ServeSettings { calls_per_connection_max: 1, ..ServeSettings::default() };
    let node = Node::start_with("127.0.0.1:0", identity(1, Some(CLUSTER)), settings).await;
    let address = node.address.to_string();
    let peers = peers();
    query(&peers.meta(&address)).await.expect("connected, the bound is known");
    *node.echo.hold.lock() = true;
    let calls: Vec<_> = (0..3)
        .map(|_| {
            let meta = peers.meta(&address);
            tokio::spawn(async move { query(&meta).await })
        })
        .collect();
    for number in 1..=3 {
        until("a call began", || node.echo.begun.load(Ordering::SeqCst) == 1 + number).await;
        assert_eq!(node.echo.ended.load(Ordering::SeqCst), number, "one at a time");
        node.echo.release.notify_one();
    }
    for call in calls {
        call.await.expect("no panic").expect("finished");
    }
}

#[tokio::test]
async fn nobody_there_is_unreachable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let address = listener.local_addr().expect("bound").to_string();
    drop(listener);
    let meta = peers().meta(&address);
    for _ in 0..2 {
        let error = query(&meta).await.expect_err("closed port");
        assert_eq!(error.kind, RpcErrorKind::Unreachable);
        assert!(error.message.contains(&address), "{error}");
    }
    let error = query(&peers().meta("not an address")).await.expect_err("no host");
    assert_eq!(error.kind, RpcErrorKind::Unreachable);
}

#[tokio::test]
async fn a_connection_lost_after_sending_is_an_unknown_outcome() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let address = listener.local_addr().expect("bound").to_string();
    let peer = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a call");
        let mut request = vec![0; 64];
        stream.read_exact(&mut request).await.expect("its bytes");
        // Dropped: the connection ends with the request on its way.
    });
    let timeouts = Timeouts { propose: Duration::from_secs(5), ..Timeouts::default() };
    let meta = peers_with(identity(1, Some(CLUSTER)), timeouts).meta(&address);
    let answer = meta.propose(GroupId(1), Epoch(1), Bytes::from(vec![0; 1 << 20])).await;
    assert_eq!(answer.expect_err("lost").kind, RpcErrorKind::Deadline);
    peer.await.expect("no panic");
}

#[tokio::test]
async fn shutdown_lets_calls_finish_and_takes_no_more() {
    let node = Node::start().await;
    *node.echo.hold.lock() = true;
    let address = node.address.to_string();
    let meta = peers().meta(&address);
    let call = tokio::spawn({
        let meta = meta.clone();
        async move { query(&meta).await }
    });
    until("a call in flight", || node.echo.begun.load(Ordering::SeqCst) == 1).await;
    node.stop();
    // The listener closes although the call is still there.
    let refused = async {
        while tokio::net::TcpStream::connect(&address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), refused).await.expect("closes");
    let error = query(&meta).await.expect_err("takes no more");
    assert!(matches!(error.kind, RpcErrorKind::Unreachable | RpcErrorKind::Deadline), "{error:?}");
    assert_eq!(node.echo.begun.load(Ordering::SeqCst), 1);
    node.echo.release.notify_one();
    call.await.expect("no panic").expect("finished");
    node.stopped().await;
}

#[tokio::test]
async fn shutdown_cuts_off_what_does_not_finish() {
    let drain_max = Duration::from_millis(50);
    let settings = ServeSettings { drain_max, ..ServeSettings::default() };
    let node = Node::start_with("127.0.0.1:0", identity(1, Some(CLUSTER)), settings).await;
    *node.echo.hold.lock() = true;
    let meta = peers().meta(&node.address.to_string());
    let call = tokio::spawn(async move { query(&meta).await });
    until("a call in flight", || node.echo.begun.load(Ordering::SeqCst) == 1).await;
    node.stop();
    let echo = node.echo.clone();
    node.stopped().await;
    let error = call.await.expect("no panic").expect_err("cut off");
    assert_eq!(error.kind, RpcErrorKind::Deadline, "{error}");
    assert_eq!(echo.ended.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_channel_finds_a_restarted_node() {
    let node = Node::start().await;
    let address = node.address.to_string();
    let peers = peers();
    let meta = peers.meta(&address);
    query(&meta).await.expect("first run");
    node.stop();
    node.stopped().await;
    let error = query(&meta).await.expect_err("stopped");
    assert!(matches!(error.kind, RpcErrorKind::Unreachable | RpcErrorKind::Deadline), "{error:?}");
    let settings = ServeSettings::default();
    let node = Node::start_with(&address, identity(1, Some(CLUSTER)), settings).await;
    let again = async {
        while query(&meta).await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), again).await.expect("reconnects");
    assert!(node.echo.begun.load(Ordering::SeqCst) >= 1);
}

#[tokio::test]
async fn the_request_id_goes_along() {
    let node = Node::start().await;
    let meta = peers().meta(&node.address.to_string());
    query(&meta).await.expect("ok");
    assert_eq!(*node.echo.request_id.lock(), None);
    let id = RequestId::generate();
    request_id::scope(id, query(&meta)).await.expect("ok");
    assert_eq!(*node.echo.request_id.lock(), Some(id.to_string()));
}

/// Many callers at once share what is there, and all get their own answer.
#[tokio::test]
async fn concurrent_calls_do_not_mix() {
    let node = Node::start().await;
    let peers = Arc::new(peers());
    let address = node.address.to_string();
    let calls: Vec<_> = (0..200u64)
        .map(|number| {
            let meta = peers.meta(&address);
            tokio::spawn(async move {
                let answer = meta.query(GroupId(1), Epoch(number), Bytes::new()).await;
                let expected = shown("query", (GroupId(1), Epoch(number), Bytes::new()));
                assert_eq!(answer.expect("ok"), expected);
            })
        })
        .collect();
    for call in calls {
        call.await.expect("own answer");
    }
}
