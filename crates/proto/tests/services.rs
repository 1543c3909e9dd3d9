//! Every method of every service over a real connection: arguments, answers, errors, bounds.

mod support;

use std::collections::BTreeMap;

use bytes::Bytes;
use futures::{StreamExt, stream};
use proto::{
    RpcError, RpcErrorKind, SNAPSHOT_CHUNK_BYTES_MAX,
    meta::{Hello, MetaService},
    raft::RaftService,
    shards::{PutChunks, ShardEntry, ShardService, ShardState},
};
use support::*;
use types::{ChunkDigest, DiskId, Epoch, FeatureLevel, GroupId, InstanceId, NodeId};

#[tokio::test]
async fn raft_round_trip() {
    let node = Node::start().await;
    let raft = peers().raft(&node.address.to_string());
    let payload = Bytes::from_static(b"\x00\xffpayload");
    let expected = shown("append", (raft_address(), payload.clone()));
    assert_eq!(raft.append(raft_address(), payload.clone()).await.expect("ok"), expected);
    let expected = shown("vote", (raft_address(), payload.clone()));
    assert_eq!(raft.vote(raft_address(), payload).await.expect("ok"), expected);
}

#[tokio::test]
async fn snapshot_streams_its_chunks_in_order() {
    let node = Node::start().await;
    let raft = peers().raft(&node.address.to_string());
    let chunks: Vec<Bytes> = (0..20u8).map(|byte| Bytes::from(vec![byte; 1 << 20])).collect();
    let content = chunks.concat();
    let digest = ChunkDigest::of(shard(0, 0), 0, &content);
    let expected =
        shown("snapshot", (raft_address(), Bytes::from_static(b"what"), content.len(), digest));
    let sent = stream::iter(chunks.into_iter().map(Ok)).boxed();
    let answer = raft.snapshot(raft_address(), Bytes::from_static(b"what"), sent).await;
    assert_eq!(answer.expect("installed"), expected);
}

#[tokio::test]
async fn a_snapshot_that_breaks_off_is_never_taken_for_a_whole_one() {
    let node = Node::start().await;
    let raft = peers().raft(&node.address.to_string());
    let broken = RpcError::new(RpcErrorKind::Failed, "cannot read row 7");
    let chunks = stream::iter([Ok(Bytes::from_static(b"one")), Err(broken.clone())]).boxed();
    let answer = raft.snapshot(raft_address(), Bytes::new(), chunks).await;
    assert_eq!(answer, Err(broken));

    let long = Bytes::from(vec![0; SNAPSHOT_CHUNK_BYTES_MAX + 1]);
    let answer = raft.snapshot(raft_address(), Bytes::new(), stream::iter([Ok(long)]).boxed());
    assert_eq!(answer.await.expect_err("too long").kind, RpcErrorKind::Invalid);
    assert_eq!(node.echo.ended.load(std::sync::atomic::Ordering::SeqCst), 0);
}

#[tokio::test]
async fn meta_round_trip() {
    let node = Node::start().await;
    let meta = peers().meta(&node.address.to_string());
    let hello = |cluster: Option<_>, node, known_instance| {
        let level = cluster.map(|_| FeatureLevel(5));
        let nodes = BTreeMap::from([(NodeId(2), "two:2".to_owned())]);
        Hello { cluster, node, known_instance, version: 3, level, nodes }
    };
    let instance = InstanceId::from_bytes([4; 16]);
    assert_eq!(meta.hello(NodeId(0)).await.expect("ok"), hello(None, NodeId(0), None));
    let known = hello(Some(CLUSTER), NodeId(7), Some(instance));
    assert_eq!(meta.hello(NodeId(7)).await.expect("ok"), known);

    let (group, epoch, command) = (GroupId(3), Epoch(u64::MAX), Bytes::from_static(b"command"));
    let answer = meta.propose(group, epoch, command.clone()).await.expect("ok");
    assert_eq!(answer, shown("propose", (group, epoch, command.clone())));
    let answer = meta.query(group, epoch, command.clone()).await.expect("ok");
    assert_eq!(answer, shown("query", (group, epoch, command.clone())));
    assert_eq!(meta.heartbeat(command).await.expect("ok"), Epoch(7));
    assert_eq!(meta.status().await.expect("ok"), "status");
}

#[tokio::test]
async fn shards_round_trip() {
    let node = Node::start().await;
    let shards = peers().shards(&node.address.to_string());
    let disk = DiskId(u32::MAX);

    for sent in [put(0, 0), put(5, 1), put(1 << 20, 3)] {
        shards.put(disk, sent.clone()).await.expect("ok");
        let (at, got) = node.echo.puts.lock().pop().expect("arrived");
        assert_eq!((at, got.shard, got.intent), (disk, sent.shard, sent.intent));
        assert_eq!((got.first_stripe, got.seal), (sent.first_stripe, sent.seal));
        assert_eq!(got.chunks, sent.chunks);
    }

    let list = vec![shard(1, 0), shard(2, 255)];
    shards.confirm(disk, list.clone()).await.expect("ok");
    shards.delete(disk, vec![]).await.expect("ok");
    let expected = vec![("confirm", disk, list), ("delete", disk, vec![])];
    assert_eq!(*node.echo.lists.lock(), expected);

    let read = shards.read(DiskId(1 << 20), shard(8, 9), 5).await.expect("ok");
    assert_eq!(read, chunk(shard(8, 9), 5, 1 << 20));

    let page = shards.inventory(DiskId(4), Some(shard(1, 1)), 10_000).await.expect("ok");
    let first = ShardEntry { bytes: 4, stripes: Some(10_000), ..entry() };
    let state = ShardState::Pending;
    let second = ShardEntry { shard: shard(1, 1), state, stripes: None, ..entry() };
    assert_eq!(page, [first, second]);
    let beyond = shards.inventory(DiskId(4), None, 10_001).await.expect_err("too many");
    assert_eq!(beyond.kind, RpcErrorKind::Invalid);

    assert_eq!(shards.stat(disk).await.expect("ok"), stat());
}

#[tokio::test]
async fn a_put_of_8_mib_fits_and_more_is_refused() {
    let node = Node::start().await;
    let shards = peers().shards(&node.address.to_string());
    shards.put(DiskId(1), put(1 << 20, 8)).await.expect("8 MiB");
    assert_eq!(node.echo.puts.lock()[0].1.content_bytes(), PutChunks::BYTES_MAX);
    for refused in [put(1 << 20, 9), put((1 << 20) + 1, 1), put(1 << 20, 21)] {
        let error = shards.put(DiskId(1), refused).await.expect_err("too large");
        assert_eq!(error.kind, RpcErrorKind::Invalid, "{error}");
    }
    assert_eq!(node.echo.puts.lock().len(), 1);

    let meta = peers().meta(&node.address.to_string());
    let long = Bytes::from(vec![0; 21 << 20]);
    let error = meta.propose(GroupId(1), Epoch(1), long).await.expect_err("21 MiB");
    assert_eq!(error.kind, RpcErrorKind::Invalid);
    let fits = Bytes::from(vec![0; 19 << 20]);
    assert_eq!(meta.heartbeat(fits).await.expect("19 MiB"), Epoch(19 << 20));
}

#[tokio::test]
async fn every_error_kind_arrives_as_it_was() {
    use RpcErrorKind::*;
    let node = Node::start().await;
    let address = node.address.to_string();
    let (raft, meta, shards) =
        (peers().raft(&address), peers().meta(&address), peers().shards(&address));
    let kinds = [
        Unreachable,
        Deadline,
        NotLeader { leader: None },
        NotLeader { leader: Some(NodeId(12)) },
        StaleEpoch,
        Refused,
        NotFound,
        Conflict,
        Corrupt,
        NoSpace,
        Busy,
        Failed,
        Invalid,
    ];
    for kind in kinds {
        let error = node.fail(kind);
        assert_eq!(raft.append(raft_address(), Bytes::new()).await, Err(error.clone()));
        assert_eq!(meta.propose(GroupId(1), Epoch(1), Bytes::new()).await, Err(error.clone()));
        assert_eq!(shards.read(DiskId(1), shard(1, 1), 1).await, Err(error));
    }
}
