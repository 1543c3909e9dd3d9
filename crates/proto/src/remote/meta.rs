//! A metadata node over a connection.

use async_trait::async_trait;
use bytes::Bytes;
use types::{Epoch, GroupId, NodeId};

use super::{Caller, origin};
use crate::{
    RpcError,
    channel::Channel,
    headers::Scope,
    meta::{Hello, MetaService},
    pb::{self, meta_client::MetaClient},
    wire::MESSAGE_BYTES_MAX,
};

/// [`MetaService`] of another node.
#[derive(Clone, Debug)]
pub struct RemoteMeta(pub(super) Caller);

impl RemoteMeta {
    fn client(&self) -> MetaClient<Channel> {
        MetaClient::with_origin(self.0.channel.clone(), origin())
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX)
    }
}

#[async_trait]
impl MetaService for RemoteMeta {
    async fn hello(&self, asker: NodeId) -> Result<Hello, RpcError> {
        let message = pb::HelloRequest { asker: asker.0 };
        let mut client = self.client();
        let send = |request| async move { client.hello(request).await };
        self.0.unary(Scope::AnyCluster, self.0.timeouts.brief, message, send).await?.try_into()
    }

    async fn propose(
        &self,
        group: GroupId,
        epoch: Epoch,
        command: Bytes,
    ) -> Result<Bytes, RpcError> {
        let message = pb::ProposeRequest { group: group.0, epoch: epoch.0, command };
        let mut client = self.client();
        let send = |request| async move { client.propose(request).await };
        let timeout = self.0.timeouts.propose;
        Ok(self.0.unary(Scope::Cluster, timeout, message, send).await?.answer)
    }

    async fn query(&self, group: GroupId, epoch: Epoch, query: Bytes) -> Result<Bytes, RpcError> {
        let message = pb::QueryRequest { group: group.0, epoch: epoch.0, query };
        let mut client = self.client();
        let send = |request| async move { client.query(request).await };
        let timeout = self.0.timeouts.query;
        Ok(self.0.unary(Scope::Cluster, timeout, message, send).await?.answer)
    }

    async fn heartbeat(&self, report: Bytes) -> Result<Epoch, RpcError> {
        let message = pb::HeartbeatRequest { report };
        let mut client = self.client();
        let send = |request| async move { client.heartbeat(request).await };
        let timeout = self.0.timeouts.brief;
        Ok(Epoch(self.0.unary(Scope::Cluster, timeout, message, send).await?.map_epoch))
    }

    async fn status(&self) -> Result<Bytes, RpcError> {
        let mut client = self.client();
        let send = |request| async move { client.status(request).await };
        let timeout = self.0.timeouts.brief;
        Ok(self.0.unary(Scope::Cluster, timeout, pb::StatusRequest {}, send).await?.status)
    }
}
