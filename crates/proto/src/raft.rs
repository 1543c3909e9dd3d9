//! Raft traffic between the replicas of a group.

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use types::{ClusterId, GroupId, InstanceId, NodeId};

use crate::RpcError;

/// Who speaks to whom, about which group. The receiver refuses an envelope that
/// is not for its cluster, node and instance: a wiped node must not vote under its old id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RaftAddress {
    /// The cluster.
    pub cluster: ClusterId,
    /// The group.
    pub group: GroupId,
    /// Sender.
    pub from: NodeId,
    /// The sender's data folder; the receiver refuses a sender that changed it.
    pub from_instance: InstanceId,
    /// Receiver.
    pub to: NodeId,
}

/// Called by the consensus layer of one replica on another. Payloads are the
/// consensus crate's own encoding; this layer does not look into them.
#[async_trait]
pub trait RaftService: Send + Sync + 'static {
    /// AppendEntries. On OK the follower has fsynced what its answer acknowledges.
    async fn append(&self, address: RaftAddress, payload: Bytes) -> Result<Bytes, RpcError>;

    /// RequestVote. On OK the vote is fsynced.
    async fn vote(&self, address: RaftAddress, payload: Bytes) -> Result<Bytes, RpcError>;

    /// A whole snapshot: `payload` is its description, `chunks` its content (each at
    /// most 1 MiB plus framing). On OK it is installed and fsynced.
    async fn snapshot(
        &self,
        address: RaftAddress,
        payload: Bytes,
        chunks: BoxStream<'static, Result<Bytes, RpcError>>,
    ) -> Result<Bytes, RpcError>;
}
