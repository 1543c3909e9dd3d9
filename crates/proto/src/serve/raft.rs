//! Generated Raft service to [`RaftService`].

use std::sync::Arc;

use bytes::Bytes;
use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use tonic::{Request, Response, Status, Streaming};

use crate::{
    RpcError, RpcErrorKind,
    pb::{self, raft_server::Raft, snapshot_part::Part},
    raft::RaftService,
    status::{from_status, to_status},
    wire::raft_address,
};

pub(super) struct Glue(pub(super) Arc<dyn RaftService>);

#[tonic::async_trait]
impl Raft for Glue {
    async fn append(
        &self,
        request: Request<pb::RaftRequest>,
    ) -> Result<Response<pb::RaftReply>, Status> {
        let request = request.into_inner();
        let address = raft_address(&request).map_err(to_status)?;
        let payload = self.0.append(address, request.payload).await.map_err(to_status)?;
        Ok(Response::new(pb::RaftReply { payload }))
    }

    async fn vote(
        &self,
        request: Request<pb::RaftRequest>,
    ) -> Result<Response<pb::RaftReply>, Status> {
        let request = request.into_inner();
        let address = raft_address(&request).map_err(to_status)?;
        let payload = self.0.vote(address, request.payload).await.map_err(to_status)?;
        Ok(Response::new(pb::RaftReply { payload }))
    }

    async fn snapshot(
        &self,
        request: Request<Streaming<pb::SnapshotPart>>,
    ) -> Result<Response<pb::RaftReply>, Status> {
        let mut parts = request.into_inner();
        let Some(Part::Begin(begin)) = parts.message().await?.and_then(|part| part.part) else {
            return Err(to_status(broken("does not start with its address")));
        };
        let address = raft_address(&begin).map_err(to_status)?;
        let chunks = snapshot_chunks(parts);
        let payload = self.0.snapshot(address, begin.payload, chunks).await.map_err(to_status)?;
        Ok(Response::new(pb::RaftReply { payload }))
    }
}

/// The chunks of a snapshot call. Ends well only after an `end` that agrees with what
/// came before it; otherwise the last item is an error.
fn snapshot_chunks(
    parts: Streaming<pb::SnapshotPart>,
) -> BoxStream<'static, Result<Bytes, RpcError>> {
    let start = Some((parts, pb::SnapshotEnd::default()));
    stream::unfold(start, |state| async move {
        let (mut parts, mut sum) = state?;
        match parts.message().await {
            Ok(Some(pb::SnapshotPart { part: Some(Part::Chunk(chunk)) })) => {
                sum.chunks += 1;
                sum.bytes += chunk.len() as u64;
                Some((Ok(chunk), Some((parts, sum))))
            }
            Ok(Some(pb::SnapshotPart { part: Some(Part::End(end)) })) if end == sum => None,
            Ok(Some(_)) => Some((Err(broken("is not chunks and then their end")), None)),
            Ok(None) => Some((Err(broken("was cut off")), None)),
            Err(status) => Some((Err(from_status(&status)), None)),
        }
    })
    .boxed()
}

fn broken(how: &str) -> RpcError {
    RpcError::new(RpcErrorKind::Invalid, format!("the snapshot stream {how}"))
}
