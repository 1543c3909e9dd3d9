//! A node over loopback with services that do as the test says.

#![allow(dead_code, unreachable_pub, reason = "each test binary uses a part of it")]

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures::{StreamExt, stream::BoxStream};
use parking_lot::Mutex;
use proto::{
    ChannelSettings, ClusterSecret, Identity, Peers, RpcError, RpcErrorKind, ServeSettings,
    Services, Timeouts,
    meta::{Hello, MetaService},
    raft::{RaftAddress, RaftService},
    serve,
    shards::{Chunk, DiskStat, PutChunks, ShardEntry, ShardService, ShardState, Verified},
};
use tokio::{net::TcpListener, sync::Notify, task::JoinHandle};
use types::{
    BlobId, BucketId, ChunkDigest, ClusterId, DiskId, Epoch, FeatureLevel, GroupId, InstanceId,
    NodeId, ShardId, UnixMillis, UploadId, WriteIntent,
};

pub const CLUSTER: ClusterId = ClusterId(types_uuid(1));

const fn types_uuid(byte: u8) -> uuid::Uuid {
    uuid::Uuid::from_bytes([byte; 16])
}

pub fn identity(secret: u8, cluster: Option<ClusterId>) -> Arc<Identity> {
    Arc::new(Identity::new(ClusterSecret::new([secret; 32]).expect("valid"), cluster))
}

pub fn shard(blob: u8, rank: u8) -> ShardId {
    ShardId { blob: BlobId::from_bytes([blob; 16]), rank }
}

pub fn intent(part: bool) -> WriteIntent {
    WriteIntent {
        bucket: BucketId(u64::MAX),
        key: "a/ö.txt".into(),
        part: part.then(|| (UploadId::from_bytes([9; 16]), 10_000)),
        deadline: UnixMillis(1 << 50),
    }
}

pub fn chunk(shard: ShardId, stripe: u32, length: usize) -> Chunk {
    let bytes = Bytes::from(vec![stripe as u8; length]);
    let digest = ChunkDigest::of(shard, stripe, &bytes);
    Chunk { bytes, digest }
}

pub fn put(length: usize, chunks: u32) -> PutChunks {
    let shard = shard(3, 200);
    PutChunks {
        shard,
        intent: intent(true),
        first_stripe: 7,
        chunks: (7..7 + chunks).map(|stripe| chunk(shard, stripe, length)).collect(),
        seal: true,
    }
}

pub fn entry() -> ShardEntry {
    ShardEntry {
        shard: shard(1, 2),
        state: ShardState::Confirmed,
        intent: intent(false),
        stripes: Some(3),
        bytes: u64::MAX,
    }
}

pub fn stat() -> DiskStat {
    DiskStat {
        capacity_bytes: 1 << 40,
        used_bytes: 7,
        writable: true,
        readable: false,
        at: UnixMillis(99),
    }
}

pub fn raft_address() -> RaftAddress {
    RaftAddress {
        cluster: CLUSTER,
        group: GroupId(u32::MAX),
        from: NodeId(1),
        from_instance: InstanceId::from_bytes([5; 16]),
        to: NodeId(u64::MAX),
    }
}

/// Answers every call with what it was asked, unless told to fail or to wait.
#[derive(Default)]
pub struct Echo {
    /// The error of every call.
    pub fail: Mutex<Option<RpcError>>,
    /// If set, `query` waits for [`Self::release`].
    pub hold: Mutex<bool>,
    pub release: Notify,
    /// Calls that have begun, and those that got to their end.
    pub begun: AtomicU32,
    pub ended: AtomicU32,
    /// Queries that run now, and the request id of the latest.
    pub running: Arc<()>,
    pub request_id: Mutex<Option<String>>,
    pub puts: Mutex<Vec<(DiskId, PutChunks)>>,
    pub lists: Mutex<Vec<(&'static str, DiskId, Vec<ShardId>)>>,
}

impl Echo {
    fn outcome<T>(&self, value: T) -> Result<T, RpcError> {
        match &*self.fail.lock() {
            Some(error) => Err(error.clone()),
            None => Ok(value),
        }
    }
}

/// One payload that shows all arguments.
pub fn shown(what: &str, parts: impl std::fmt::Debug) -> Bytes {
    Bytes::from(format!("{what} {parts:?}"))
}

#[async_trait]
impl RaftService for Echo {
    async fn append(&self, address: RaftAddress, payload: Bytes) -> Result<Bytes, RpcError> {
        self.outcome(shown("append", (address, payload)))
    }

    async fn vote(&self, address: RaftAddress, payload: Bytes) -> Result<Bytes, RpcError> {
        self.outcome(shown("vote", (address, payload)))
    }

    async fn snapshot(
        &self,
        address: RaftAddress,
        payload: Bytes,
        mut chunks: BoxStream<'static, Result<Bytes, RpcError>>,
    ) -> Result<Bytes, RpcError> {
        let mut content = BytesMut::new();
        while let Some(chunk) = chunks.next().await {
            content.extend_from_slice(&chunk?);
        }
        self.ended.fetch_add(1, Ordering::SeqCst);
        let digest = ChunkDigest::of(shard(0, 0), 0, &content);
        self.outcome(shown("snapshot", (address, payload, content.len(), digest)))
    }
}

#[async_trait]
impl MetaService for Echo {
    async fn hello(&self, asker: NodeId) -> Result<Hello, RpcError> {
        self.outcome(Hello {
            cluster: (asker.0 > 0).then_some(CLUSTER),
            node: asker,
            known_instance: (asker.0 > 1).then_some(InstanceId::from_bytes([4; 16])),
            version: 3,
            level: (asker.0 > 0).then_some(FeatureLevel(5)),
            nodes: BTreeMap::from([(NodeId(2), "two:2".to_owned())]),
        })
    }

    async fn propose(
        &self,
        group: GroupId,
        epoch: Epoch,
        command: Bytes,
    ) -> Result<Bytes, RpcError> {
        self.outcome(shown("propose", (group, epoch, command)))
    }

    async fn query(&self, group: GroupId, epoch: Epoch, query: Bytes) -> Result<Bytes, RpcError> {
        let _running = self.running.clone();
        *self.request_id.lock() = telemetry::request_id::current().map(|id| id.to_string());
        self.begun.fetch_add(1, Ordering::SeqCst);
        let hold = *self.hold.lock();
        if hold {
            self.release.notified().await;
        }
        self.ended.fetch_add(1, Ordering::SeqCst);
        self.outcome(shown("query", (group, epoch, query)))
    }

    async fn heartbeat(&self, report: Bytes) -> Result<Epoch, RpcError> {
        self.outcome(Epoch(report.len() as u64))
    }

    async fn status(&self) -> Result<Bytes, RpcError> {
        self.outcome(Bytes::from_static(b"status"))
    }
}

#[async_trait]
impl ShardService for Echo {
    async fn put(&self, disk: DiskId, put: PutChunks) -> Result<(), RpcError> {
        self.puts.lock().push((disk, put));
        self.outcome(())
    }

    async fn confirm(&self, disk: DiskId, shards: Vec<ShardId>) -> Result<(), RpcError> {
        self.lists.lock().push(("confirm", disk, shards));
        self.outcome(())
    }

    async fn read(&self, disk: DiskId, shard: ShardId, stripe: u32) -> Result<Chunk, RpcError> {
        self.outcome(chunk(shard, stripe, disk.0 as usize))
    }

    async fn delete(&self, disk: DiskId, shards: Vec<ShardId>) -> Result<(), RpcError> {
        self.lists.lock().push(("delete", disk, shards));
        self.outcome(())
    }

    async fn inventory(
        &self,
        disk: DiskId,
        after: Option<ShardId>,
        limit: u32,
    ) -> Result<Vec<ShardEntry>, RpcError> {
        let first = ShardEntry { bytes: disk.0.into(), stripes: Some(limit), ..entry() };
        let second = ShardEntry {
            shard: after.unwrap_or(shard(0, 0)),
            state: ShardState::Pending,
            stripes: None,
            ..entry()
        };
        self.outcome(vec![first, second])
    }

    async fn verify(
        &self,
        disk: DiskId,
        after: Option<ShardId>,
        bytes_max: u64,
    ) -> Result<Verified, RpcError> {
        self.outcome(Verified {
            shards: disk.0.into(),
            bytes: bytes_max,
            bad: vec![entry()],
            next: after,
        })
    }

    async fn stat(&self, _disk: DiskId) -> Result<DiskStat, RpcError> {
        self.outcome(stat())
    }
}

/// A served [`Echo`].
pub struct Node {
    pub echo: Arc<Echo>,
    pub address: SocketAddr,
    shutdown: Arc<Notify>,
    served: JoinHandle<std::io::Result<()>>,
}

impl Node {
    pub async fn start() -> Self {
        Self::start_with("127.0.0.1:0", identity(1, Some(CLUSTER)), ServeSettings::default()).await
    }

    pub async fn start_with(
        address: &str,
        identity: Arc<Identity>,
        settings: ServeSettings,
    ) -> Self {
        let echo = Arc::new(Echo::default());
        let services = Services {
            raft: Some(echo.clone()),
            meta: Some(echo.clone()),
            shards: Some(echo.clone()),
        };
        let listener = TcpListener::bind(address).await.expect("bind");
        let address = listener.local_addr().expect("bound");
        let shutdown = Arc::new(Notify::new());
        let signal = shutdown.clone();
        let served = tokio::spawn(async move {
            serve(listener, services, identity, settings, signal.notified()).await
        });
        Self { echo, address, shutdown, served }
    }

    pub fn stop(&self) {
        self.shutdown.notify_one();
    }

    pub async fn stopped(self) {
        self.served.await.expect("no panic").expect("served");
    }

    pub fn fail(&self, kind: RpcErrorKind) -> RpcError {
        let error = RpcError::new(kind, "says „no“ at 100 %\nand why");
        *self.echo.fail.lock() = Some(error.clone());
        error
    }
}

pub fn peers() -> Peers {
    peers_with(identity(1, Some(CLUSTER)), Timeouts::default())
}

pub fn peers_with(identity: Arc<Identity>, timeouts: Timeouts) -> Peers {
    Peers::new(identity, timeouts, ChannelSettings::default())
}

/// Polls until the condition holds; the test fails if that takes 10 s.
pub async fn until(what: &str, condition: impl Fn() -> bool) {
    let waited = tokio::time::timeout(Duration::from_secs(10), async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    waited.await.unwrap_or_else(|_| panic!("{what}: not within 10 s"));
}
