//! Generated shard service to [`ShardService`].

use std::sync::Arc;

use tonic::{Request, Response, Status};
use types::{DiskId, ShardId};

use crate::{
    RpcError, RpcErrorKind,
    pb::{self, shards_server::Shards},
    shards::{INVENTORY_LIMIT_MAX, ShardService, VERIFY_BYTES_MAX},
    status::to_status,
    wire::{put_chunks, required, shard_ids},
};

pub(super) struct Glue(pub(super) Arc<dyn ShardService>);

#[tonic::async_trait]
impl Shards for Glue {
    async fn put(
        &self,
        request: Request<pb::PutRequest>,
    ) -> Result<Response<pb::PutReply>, Status> {
        let request = request.into_inner();
        let disk = DiskId(request.disk);
        let put = put_chunks(request).map_err(to_status)?;
        put.check_bounds().map_err(to_status)?;
        self.0.put(disk, put).await.map_err(to_status)?;
        Ok(Response::new(pb::PutReply {}))
    }

    async fn confirm(
        &self,
        request: Request<pb::ConfirmRequest>,
    ) -> Result<Response<pb::ConfirmReply>, Status> {
        let pb::ConfirmRequest { disk, shards } = request.into_inner();
        let shards = shard_ids(shards).map_err(to_status)?;
        self.0.confirm(DiskId(disk), shards).await.map_err(to_status)?;
        Ok(Response::new(pb::ConfirmReply {}))
    }

    async fn read(
        &self,
        request: Request<pb::ReadRequest>,
    ) -> Result<Response<pb::ReadReply>, Status> {
        let pb::ReadRequest { disk, shard, stripe } = request.into_inner();
        let shard = required(shard, "shard").and_then(ShardId::try_from).map_err(to_status)?;
        let chunk = self.0.read(DiskId(disk), shard, stripe).await.map_err(to_status)?;
        Ok(Response::new(pb::ReadReply { chunk: Some(chunk.into()) }))
    }

    async fn delete(
        &self,
        request: Request<pb::DeleteRequest>,
    ) -> Result<Response<pb::DeleteReply>, Status> {
        let pb::DeleteRequest { disk, shards } = request.into_inner();
        let shards = shard_ids(shards).map_err(to_status)?;
        self.0.delete(DiskId(disk), shards).await.map_err(to_status)?;
        Ok(Response::new(pb::DeleteReply {}))
    }

    async fn inventory(
        &self,
        request: Request<pb::InventoryRequest>,
    ) -> Result<Response<pb::InventoryReply>, Status> {
        let pb::InventoryRequest { disk, after, limit } = request.into_inner();
        if limit > INVENTORY_LIMIT_MAX {
            let message = format!("an inventory page of {limit}; at most {INVENTORY_LIMIT_MAX}");
            return Err(to_status(RpcError::new(RpcErrorKind::Invalid, message)));
        }
        let after = after.map(ShardId::try_from).transpose().map_err(to_status)?;
        let entries = self.0.inventory(DiskId(disk), after, limit).await.map_err(to_status)?;
        let shards = entries.into_iter().map(pb::ShardEntry::from).collect();
        Ok(Response::new(pb::InventoryReply { shards }))
    }

    async fn verify(
        &self,
        request: Request<pb::VerifyRequest>,
    ) -> Result<Response<pb::VerifyReply>, Status> {
        let pb::VerifyRequest { disk, after, bytes_max } = request.into_inner();
        if bytes_max > VERIFY_BYTES_MAX {
            let message = format!("verifying {bytes_max} bytes; at most {VERIFY_BYTES_MAX}");
            return Err(to_status(RpcError::new(RpcErrorKind::Invalid, message)));
        }
        let after = after.map(ShardId::try_from).transpose().map_err(to_status)?;
        let verified = self.0.verify(DiskId(disk), after, bytes_max).await.map_err(to_status)?;
        Ok(Response::new(verified.into()))
    }

    async fn stat(
        &self,
        request: Request<pb::StatRequest>,
    ) -> Result<Response<pb::StatReply>, Status> {
        let stat = self.0.stat(DiskId(request.into_inner().disk)).await.map_err(to_status)?;
        Ok(Response::new(stat.into()))
    }
}
