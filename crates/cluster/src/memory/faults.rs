//! A data node in memory that fails as the test says.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use parking_lot::Mutex;
use proto::{
    RpcError, RpcErrorKind,
    shards::{Chunk, DiskStat, PutChunks, ShardEntry, ShardService, Verified},
};
use types::{DiskId, ShardId};

/// What a disk does instead of its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskFault {
    /// Its node cannot be reached.
    Unreachable,
    /// It never answers: the caller's deadline ends the call.
    Hangs,
    /// It does the work, but the answer is lost (the outcome is unknown to the caller).
    AnswerLost,
    /// What it reads has a flipped bit when it arrives.
    WrongBytes,
    /// It has failed.
    Failed,
    /// It is full.
    NoSpace,
    /// It has too much to do.
    Busy,
}

/// A shard service with a fault switch in front.
pub(super) struct FaultyNode {
    inner: Arc<dyn ShardService>,
    fault: Mutex<Option<DiskFault>>,
    put_faults: Mutex<VecDeque<DiskFault>>,
    used_bytes: AtomicU64,
}

impl FaultyNode {
    pub(super) fn new(inner: Arc<dyn ShardService>) -> Self {
        Self {
            inner,
            fault: Mutex::default(),
            put_faults: Mutex::default(),
            used_bytes: AtomicU64::new(0),
        }
    }

    pub(super) fn set(&self, fault: Option<DiskFault>) {
        *self.fault.lock() = fault;
    }

    pub(super) fn fail_puts(&self, fault: DiskFault, count: usize) {
        self.put_faults.lock().extend(std::iter::repeat_n(fault, count));
    }

    /// As its latest heartbeat would have said.
    pub(super) fn used_bytes(&self) -> u64 {
        self.used_bytes.load(Ordering::Relaxed)
    }

    async fn run<T>(
        &self,
        fault: Option<DiskFault>,
        work: impl Future<Output = Result<T, RpcError>>,
    ) -> Result<T, RpcError> {
        let fail = |kind, message: &str| Err(RpcError::new(kind, message));
        match fault {
            None | Some(DiskFault::WrongBytes) => work.await,
            Some(DiskFault::Unreachable) => fail(RpcErrorKind::Unreachable, "taken down"),
            Some(DiskFault::Hangs) => std::future::pending().await,
            Some(DiskFault::AnswerLost) => {
                work.await?;
                fail(RpcErrorKind::Deadline, "the answer was lost")
            }
            Some(DiskFault::Failed) => fail(RpcErrorKind::Failed, "made to fail"),
            Some(DiskFault::NoSpace) => fail(RpcErrorKind::NoSpace, "made to be full"),
            Some(DiskFault::Busy) => fail(RpcErrorKind::Busy, "made to be busy"),
        }
    }

    fn fault(&self) -> Option<DiskFault> {
        *self.fault.lock()
    }

    async fn note_usage(&self, disk: DiskId) {
        if let Ok(stat) = self.inner.stat(disk).await {
            self.used_bytes.store(stat.used_bytes, Ordering::Relaxed);
        }
    }
}

#[async_trait]
impl ShardService for FaultyNode {
    async fn put(&self, disk: DiskId, put: PutChunks) -> Result<(), RpcError> {
        put.check_bounds()?;
        let fault = self.fault().or_else(|| self.put_faults.lock().pop_front());
        let answer = self.run(fault, self.inner.put(disk, put)).await;
        self.note_usage(disk).await;
        answer
    }

    async fn confirm(&self, disk: DiskId, shards: Vec<ShardId>) -> Result<(), RpcError> {
        self.run(self.fault(), self.inner.confirm(disk, shards)).await
    }

    async fn read(&self, disk: DiskId, shard: ShardId, stripe: u32) -> Result<Chunk, RpcError> {
        let fault = self.fault();
        let mut chunk = self.run(fault, self.inner.read(disk, shard, stripe)).await?;
        if fault == Some(DiskFault::WrongBytes) {
            let mut bytes = chunk.bytes.to_vec();
            bytes.first_mut().map(|byte| *byte ^= 0x10).unwrap_or_default();
            chunk.bytes = bytes.into();
        }
        Ok(chunk)
    }

    async fn delete(&self, disk: DiskId, shards: Vec<ShardId>) -> Result<(), RpcError> {
        let answer = self.run(self.fault(), self.inner.delete(disk, shards)).await;
        self.note_usage(disk).await;
        answer
    }

    async fn inventory(
        &self,
        disk: DiskId,
        after: Option<ShardId>,
        limit: u32,
    ) -> Result<Vec<ShardEntry>, RpcError> {
        self.run(self.fault(), self.inner.inventory(disk, after, limit)).await
    }

    async fn verify(
        &self,
        disk: DiskId,
        after: Option<ShardId>,
        bytes_max: u64,
    ) -> Result<Verified, RpcError> {
        self.run(self.fault(), self.inner.verify(disk, after, bytes_max)).await
    }

    async fn stat(&self, disk: DiskId) -> Result<DiskStat, RpcError> {
        self.run(self.fault(), self.inner.stat(disk)).await
    }
}
