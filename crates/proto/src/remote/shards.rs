//! The disks of a data node over a connection.

use async_trait::async_trait;
use types::{DiskId, ShardId};

use super::{Caller, origin};
use crate::{
    RpcError,
    channel::Channel,
    headers::Scope,
    pb::{self, shards_client::ShardsClient},
    shards::{Chunk, DiskStat, PutChunks, ShardEntry, ShardService, Verified},
    wire::{MESSAGE_BYTES_MAX, required},
};

/// [`ShardService`] of another node. Chunks have a connection of their own.
#[derive(Clone, Debug)]
pub struct RemoteShards {
    pub(super) control: Caller,
    pub(super) bulk: Caller,
}

fn client(caller: &Caller) -> ShardsClient<Channel> {
    ShardsClient::with_origin(caller.channel.clone(), origin())
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX)
}

fn ids(shards: Vec<ShardId>) -> Vec<pb::ShardId> {
    shards.into_iter().map(pb::ShardId::from).collect()
}

#[async_trait]
impl ShardService for RemoteShards {
    async fn put(&self, disk: DiskId, put: PutChunks) -> Result<(), RpcError> {
        put.check_bounds()?;
        let message = pb::PutRequest {
            disk: disk.0,
            shard: Some(put.shard.into()),
            intent: Some(put.intent.into()),
            first_stripe: put.first_stripe,
            chunks: put.chunks.into_iter().map(pb::Chunk::from).collect(),
            seal: put.seal,
        };
        let mut client = client(&self.bulk);
        let send = |request| async move { client.put(request).await };
        self.bulk.unary(Scope::Cluster, self.bulk.timeouts.put, message, send).await?;
        Ok(())
    }

    async fn confirm(&self, disk: DiskId, shards: Vec<ShardId>) -> Result<(), RpcError> {
        let message = pb::ConfirmRequest { disk: disk.0, shards: ids(shards) };
        let mut client = client(&self.control);
        let send = |request| async move { client.confirm(request).await };
        self.control.unary(Scope::Cluster, self.control.timeouts.change, message, send).await?;
        Ok(())
    }

    async fn read(&self, disk: DiskId, shard: ShardId, stripe: u32) -> Result<Chunk, RpcError> {
        let message = pb::ReadRequest { disk: disk.0, shard: Some(shard.into()), stripe };
        let mut client = client(&self.bulk);
        let send = |request| async move { client.read(request).await };
        let timeout = self.bulk.timeouts.read;
        let reply = self.bulk.unary(Scope::Cluster, timeout, message, send).await?;
        required(reply.chunk, "chunk")?.try_into()
    }

    async fn delete(&self, disk: DiskId, shards: Vec<ShardId>) -> Result<(), RpcError> {
        let message = pb::DeleteRequest { disk: disk.0, shards: ids(shards) };
        let mut client = client(&self.control);
        let send = |request| async move { client.delete(request).await };
        self.control.unary(Scope::Cluster, self.control.timeouts.change, message, send).await?;
        Ok(())
    }

    async fn inventory(
        &self,
        disk: DiskId,
        after: Option<ShardId>,
        limit: u32,
    ) -> Result<Vec<ShardEntry>, RpcError> {
        let message =
            pb::InventoryRequest { disk: disk.0, after: after.map(pb::ShardId::from), limit };
        let mut client = client(&self.bulk);
        let send = |request| async move { client.inventory(request).await };
        let timeout = self.bulk.timeouts.inventory;
        let reply = self.bulk.unary(Scope::Cluster, timeout, message, send).await?;
        reply.shards.into_iter().map(ShardEntry::try_from).collect()
    }

    async fn verify(
        &self,
        disk: DiskId,
        after: Option<ShardId>,
        bytes_max: u64,
    ) -> Result<Verified, RpcError> {
        let message =
            pb::VerifyRequest { disk: disk.0, after: after.map(pb::ShardId::from), bytes_max };
        let mut client = client(&self.bulk);
        let send = |request| async move { client.verify(request).await };
        let timeout = self.bulk.timeouts.verify;
        self.bulk.unary(Scope::Cluster, timeout, message, send).await?.try_into()
    }

    async fn stat(&self, disk: DiskId) -> Result<DiskStat, RpcError> {
        let message = pb::StatRequest { disk: disk.0 };
        let mut client = client(&self.control);
        let send = |request| async move { client.stat(request).await };
        let timeout = self.control.timeouts.stat;
        Ok(self.control.unary(Scope::Cluster, timeout, message, send).await?.into())
    }
}
