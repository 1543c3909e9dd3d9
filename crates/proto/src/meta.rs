//! Metadata calls: gateways, data nodes and the CLI to metadata nodes.

use std::collections::BTreeMap;

use async_trait::async_trait;
use bytes::Bytes;
use types::{ClusterId, Epoch, FeatureLevel, GroupId, InstanceId, NodeId};

use crate::RpcError;

/// What a metadata node knows about the cluster, asked before joining it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// The cluster, if the node belongs to one yet.
    pub cluster: Option<ClusterId>,
    /// The answering node.
    pub node: NodeId,
    /// The instance that the root group has on record for the asking node.
    pub known_instance: Option<InstanceId>,
    /// Protocol version of the answering node.
    pub version: u32,
    /// The feature level of the cluster, once it is bootstrapped.
    pub level: Option<FeatureLevel>,
    /// The metadata nodes that it knows, with their addresses: perhaps not the newest.
    pub nodes: BTreeMap<NodeId, String>,
}

/// Called by the cluster client on any metadata node. Commands and queries are the
/// metastore crate's own encoding.
#[async_trait]
pub trait MetaService: Send + Sync + 'static {
    /// Who are you, and do you know node `asker`? Needs no cluster id; changes nothing.
    async fn hello(&self, asker: NodeId) -> Result<Hello, RpcError>;

    /// Proposes a command to a group. On OK it is committed and applied, and the answer
    /// is the state machine's. Refused with `NotLeader` or `StaleEpoch` without effect.
    /// `Deadline` means that the outcome is unknown: retry with the same write id.
    async fn propose(
        &self,
        group: GroupId,
        epoch: Epoch,
        command: Bytes,
    ) -> Result<Bytes, RpcError>;

    /// Answers a query from state that includes every command acknowledged before the
    /// call began.
    async fn query(&self, group: GroupId, epoch: Epoch, query: Bytes) -> Result<Bytes, RpcError>;

    /// A data node's sign of life with its disks' figures; soft state of the root leader.
    /// On OK the leader has taken note. The answer is the current epoch of the cluster map.
    async fn heartbeat(&self, report: Bytes) -> Result<Epoch, RpcError>;

    /// Raft state of the groups that this node hosts, for `admin status` and metrics.
    async fn status(&self) -> Result<Bytes, RpcError>;
}
