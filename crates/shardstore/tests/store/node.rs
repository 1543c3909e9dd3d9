//! The service over disks: routing, errors, bounds, failed disks.

use std::sync::Arc;

use async_trait::async_trait;
use platform::ManualClock;
use proto::{
    RpcErrorKind,
    shards::{Chunk, DiskStat, PutChunks, ShardEntry, ShardService},
};
use shardstore::{DataNode, Error, Limits, MemoryStore, ShardStore, memory::WriteFault};
use tokio::sync::Notify;
use types::{DiskId, ShardId, UnixMillis};

use crate::support::{put, shard};

const DISK: DiskId = DiskId(1);

fn node(limits: Limits) -> DataNode {
    DataNode::new(limits, Arc::new(ManualClock::new(77)))
}

#[tokio::test]
async fn calls_reach_their_disk_and_errors_keep_their_kind() {
    let node = node(Limits::default());
    let stores = [1, 2].map(|id| (DiskId(id), MemoryStore::default()));
    for (id, store) in &stores {
        node.add(*id, Arc::new(store.clone()));
    }
    let id = shard(1, 0);
    node.put(DISK, put(id, 0, &[100], true)).await.expect("is stored");
    assert_eq!(node.read(DISK, id, 0).await.expect("is there").bytes.len(), 100);
    let kind = |error: proto::RpcError| error.kind;
    assert_eq!(kind(node.read(DiskId(2), id, 0).await.unwrap_err()), RpcErrorKind::NotFound);
    assert_eq!(kind(node.read(DiskId(3), id, 0).await.unwrap_err()), RpcErrorKind::NotFound);
    let more = node.put(DISK, put(id, 1, &[1], true)).await;
    assert_eq!(kind(more.unwrap_err()), RpcErrorKind::Conflict);
    node.confirm(DISK, vec![id]).await.expect("marks");
    assert_eq!(node.inventory(DISK, None, 10).await.expect("lists").len(), 1);
    assert!(stores[0].1.flip_bit(id, 0, 0));
    assert_eq!(kind(node.read(DISK, id, 0).await.unwrap_err()), RpcErrorKind::Corrupt);
    node.delete(DISK, vec![id]).await.expect("deletes");

    for (fault, expected) in
        [(WriteFault::NoSpace, RpcErrorKind::NoSpace), (WriteFault::Io, RpcErrorKind::Failed)]
    {
        stores[1].1.fail_next_write(fault);
        let answer = node.put(DiskId(2), put(id, 0, &[1], true)).await;
        assert_eq!(kind(answer.unwrap_err()), expected);
    }
    let stat = node.stat(DiskId(2)).await.expect("figures");
    assert!(!stat.writable && stat.readable, "a disk that failed writing still reads");
}

/// Step by step over more shards than a page has: those that were never sealed are passed over, bad
/// ones are named, and each is looked at once.
#[tokio::test]
async fn a_disk_verifies_what_it_holds() {
    let node = node(Limits::default());
    let store = MemoryStore::default();
    node.add(DISK, Arc::new(store.clone()));
    for number in 0..900 {
        let is_sealed = !(100..800).contains(&number);
        node.put(DISK, put(shard(number, 0), 0, &[100, 50], is_sealed)).await.expect("is stored");
    }
    let bad = [3, 99, 850].map(|number| shard(number, 0));
    for (shard, stripe) in bad.iter().zip([0, 1, 1]) {
        assert!(store.flip_bit(*shard, stripe, 5));
    }
    for bytes_max in [1, 1000, u64::MAX] {
        let (mut after, mut shards, mut bytes, mut found) = (None, 0, 0, Vec::new());
        loop {
            let step = node.verify(DISK, after, bytes_max).await.expect("it reads");
            assert!(step.bytes < bytes_max.saturating_add(150), "{step:?}");
            shards += step.shards;
            bytes += step.bytes;
            found.extend(step.bad.into_iter().map(|entry| entry.shard));
            assert!(step.next.is_none() || step.next > after, "it gets on");
            match step.next {
                Some(next) => after = Some(next),
                None => break,
            }
        }
        assert_eq!((shards, bytes, found.as_slice()), (200, 200 * 150, bad.as_slice()));
    }
}

#[tokio::test]
async fn a_disk_that_did_not_open_says_so() {
    let node = node(Limits::default());
    node.add_failed(DISK, "its database is damaged");
    assert_eq!(node.disks(), [DISK]);
    assert!(node.store(DISK).is_none());
    let error = node.read(DISK, shard(1, 0), 0).await.unwrap_err();
    assert_eq!(error.kind, RpcErrorKind::Failed);
    assert!(error.message.contains("its database is damaged"), "{error}");
    let expected = DiskStat {
        capacity_bytes: 0,
        used_bytes: 0,
        writable: false,
        readable: false,
        at: UnixMillis(77),
    };
    assert_eq!(node.stat(DISK).await, Ok(expected));
    // A closed store cannot be read either.
    let store = MemoryStore::default();
    store.close().await.expect("closes");
    node.add(DISK, Arc::new(store));
    assert_eq!(node.stat(DISK).await, Ok(expected));
    node.remove(DISK);
    assert_eq!(node.stat(DISK).await.unwrap_err().kind, RpcErrorKind::NotFound);
}

#[tokio::test]
async fn closing_closes_every_disk() {
    let node = node(Limits::default());
    node.add(DISK, Arc::new(MemoryStore::default()));
    node.close().await.expect("closes");
    let error = node.read(DISK, shard(1, 0), 0).await.unwrap_err();
    assert_eq!(error.kind, RpcErrorKind::Busy);
}

/// Writes wait until the test lets them go.
#[derive(Default)]
struct Stuck {
    entered: Notify,
    release: Notify,
}

#[async_trait]
impl ShardStore for Stuck {
    async fn put(&self, _: PutChunks) -> Result<(), Error> {
        self.entered.notify_one();
        self.release.notified().await;
        Ok(())
    }
    async fn confirm(&self, _: Vec<ShardId>) -> Result<(), Error> {
        Ok(())
    }
    async fn read(&self, shard: ShardId, stripe: u32) -> Result<Chunk, Error> {
        Err(Error::NotFound { shard, stripe })
    }
    async fn delete(&self, _: Vec<ShardId>) -> Result<(), Error> {
        Ok(())
    }
    async fn inventory(&self, _: Option<ShardId>, _: u32) -> Result<Vec<ShardEntry>, Error> {
        Ok(vec![])
    }
    async fn stat(&self) -> Result<DiskStat, Error> {
        Err(Error::Failed("stuck".to_owned()))
    }
    async fn sync(&self) -> Result<(), Error> {
        Ok(())
    }
    async fn close(&self) -> Result<(), Error> {
        Ok(())
    }
}

#[tokio::test]
async fn a_stuck_disk_refuses_more_writes_but_not_reads_nor_other_disks() {
    let limits = Limits { writes: 1, writes_waiting: 0, ..Limits::default() };
    let node = Arc::new(node(limits));
    let stuck = Arc::new(Stuck::default());
    node.add(DISK, Arc::<Stuck>::clone(&stuck));
    node.add(DiskId(2), Arc::new(MemoryStore::default()));
    let call = || put(shard(1, 0), 0, &[1], true);
    let first = tokio::spawn({
        let (node, call) = (Arc::clone(&node), call());
        async move { node.put(DISK, call).await }
    });
    stuck.entered.notified().await;
    let kind = |error: proto::RpcError| error.kind;
    assert_eq!(kind(node.put(DISK, call()).await.unwrap_err()), RpcErrorKind::Busy);
    assert_eq!(kind(node.delete(DISK, vec![]).await.unwrap_err()), RpcErrorKind::Busy);
    let read = node.read(DISK, shard(1, 0), 0).await;
    assert_eq!(kind(read.unwrap_err()), RpcErrorKind::NotFound);
    node.put(DiskId(2), call()).await.expect("the other disk works");
    stuck.release.notify_one();
    first.await.expect("no panic").expect("its turn came");
}
