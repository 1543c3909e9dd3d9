//! The replicas of a node over a connection.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::{
    Stream, StreamExt,
    stream::{self, BoxStream},
};
use parking_lot::Mutex;

use super::{Caller, origin};
use crate::{
    RpcError, RpcErrorKind,
    channel::Channel,
    headers::Scope,
    pb::{self, raft_client::RaftClient, snapshot_part::Part},
    raft::{RaftAddress, RaftService},
    wire::{MESSAGE_BYTES_MAX, SNAPSHOT_CHUNK_BYTES_MAX, raft_request},
};

/// [`RaftService`] of another node. Snapshots have a connection of their own, so that
/// heartbeats do not wait behind them.
#[derive(Clone, Debug)]
pub struct RemoteRaft {
    pub(super) control: Caller,
    pub(super) bulk: Caller,
}

fn client(caller: &Caller) -> RaftClient<Channel> {
    RaftClient::with_origin(caller.channel.clone(), origin())
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX)
}

#[async_trait]
impl RaftService for RemoteRaft {
    async fn append(&self, address: RaftAddress, payload: Bytes) -> Result<Bytes, RpcError> {
        let message = raft_request(address, payload);
        let mut client = client(&self.control);
        let send = |request| async move { client.append(request).await };
        let timeout = self.control.timeouts.append;
        Ok(self.control.unary(Scope::Cluster, timeout, message, send).await?.payload)
    }

    async fn vote(&self, address: RaftAddress, payload: Bytes) -> Result<Bytes, RpcError> {
        let message = raft_request(address, payload);
        let mut client = client(&self.control);
        let send = |request| async move { client.vote(request).await };
        let timeout = self.control.timeouts.vote;
        Ok(self.control.unary(Scope::Cluster, timeout, message, send).await?.payload)
    }

    async fn snapshot(
        &self,
        address: RaftAddress,
        payload: Bytes,
        chunks: BoxStream<'static, Result<Bytes, RpcError>>,
    ) -> Result<Bytes, RpcError> {
        let failed = Arc::new(Mutex::new(None));
        let parts = snapshot_parts(raft_request(address, payload), chunks, failed.clone());
        let mut client = client(&self.bulk);
        let send = |request| async move { client.snapshot(request).await };
        let timeout = self.bulk.timeouts.snapshot;
        let answer = self.bulk.call(Scope::Cluster, timeout, parts, send).await;
        if let Some(error) = failed.lock().take() {
            return Err(error);
        }
        Ok(answer?.payload)
    }
}

/// The messages of a snapshot call. If a chunk cannot be had, the reason goes to `failed`
/// and the stream stops without its end, which tells the receiver to drop what it has.
fn snapshot_parts(
    begin: pb::RaftRequest,
    chunks: BoxStream<'static, Result<Bytes, RpcError>>,
    failed: Arc<Mutex<Option<RpcError>>>,
) -> impl Stream<Item = pb::SnapshotPart> + Send + 'static {
    let part = |part| pb::SnapshotPart { part: Some(part) };
    let rest = stream::unfold(Some((chunks, pb::SnapshotEnd::default())), move |state| {
        let failed = failed.clone();
        async move {
            let (mut chunks, mut sum) = state?;
            match chunks.next().await.map(check_chunk) {
                Some(Ok(chunk)) => {
                    sum.chunks += 1;
                    sum.bytes += chunk.len() as u64;
                    Some((part(Part::Chunk(chunk)), Some((chunks, sum))))
                }
                Some(Err(error)) => {
                    *failed.lock() = Some(error);
                    None
                }
                None => Some((part(Part::End(sum)), None)),
            }
        }
    });
    stream::once(async move { part(Part::Begin(begin)) }).chain(rest)
}

fn check_chunk(chunk: Result<Bytes, RpcError>) -> Result<Bytes, RpcError> {
    let chunk = chunk?;
    if chunk.len() <= SNAPSHOT_CHUNK_BYTES_MAX {
        return Ok(chunk);
    }
    let message = format!(
        "a snapshot chunk of {} bytes; at most {SNAPSHOT_CHUNK_BYTES_MAX} fit",
        chunk.len()
    );
    Err(RpcError::new(RpcErrorKind::Invalid, message))
}
