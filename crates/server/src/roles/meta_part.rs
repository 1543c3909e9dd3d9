//! The metadata part of a process: its Raft groups and the service over them.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use anyhow::Context;
use consensus::{ConsensusGroup, Host, HostSettings, PeerDirectory, RaftTimings, StateMachine};
use metastore::{
    BootstrapError, Controller, ControllerSettings, IndexMachine, MetaNode, RootMachine, presplit,
};
use proto::{Peers, RpcError, RpcErrorKind, raft::RaftService};
use types::{ClusterId, ErasurePolicy, GroupId, InstanceId, NodeId};

use super::{clock, on_fatal};
use crate::error::UserError;

/// Who this metadata node is.
#[derive(Clone, Copy)]
pub(crate) struct Me {
    pub(crate) cluster: ClusterId,
    pub(crate) node: NodeId,
    pub(crate) instance: InstanceId,
}

/// Open groups and their service.
pub(crate) struct MetaPart {
    pub(crate) host: Arc<Host>,
    pub(crate) node: Arc<MetaNode>,
}

impl MetaPart {
    /// Opens the root group and `partitions` index groups in `dir`. `voters`: whom to
    /// form new groups of; given by the node that founded the cluster, at every start.
    pub(crate) async fn open(
        dir: &Path,
        me: Me,
        partitions: u32,
        voters: Option<BTreeMap<NodeId, String>>,
        directory: Arc<dyn PeerDirectory>,
    ) -> anyhow::Result<Self> {
        let settings = HostSettings {
            dir: dir.to_path_buf(),
            cluster: me.cluster,
            node: me.node,
            instance: me.instance,
            clock: clock(),
            timings: RaftTimings::default(),
            on_fatal: on_fatal(),
        };
        let host = tokio::task::spawn_blocking(move || Host::open(settings, directory))
            .await?
            .map_err(|error| UserError::new(error_chain(&error)))?;
        let mut groups: BTreeMap<GroupId, Arc<dyn ConsensusGroup>> = BTreeMap::new();
        for number in 0..=partitions {
            let group = GroupId(number);
            let machine: Arc<dyn StateMachine> =
                if group == GroupId::ROOT { Arc::new(RootMachine) } else { Arc::new(IndexMachine) };
            let replica = host.start_group(group, machine).await?;
            if let Some(voters) = &voters {
                host.initialize(group, voters.clone())
                    .await
                    .with_context(|| format!("forming group {group}"))?;
            }
            groups.insert(group, replica);
        }
        let node = Arc::new(MetaNode::new(me.node, groups, clock()));
        Ok(Self { host, node })
    }

    /// Returns once the cluster has its identity, policy and directory.
    pub(crate) async fn bootstrap(
        &self,
        cluster: ClusterId,
        policy: ErasurePolicy,
        partitions: u32,
    ) -> anyhow::Result<()> {
        let root = self.node.group(GroupId::ROOT).expect("opened first");
        let count = u16::try_from(partitions).expect("the configuration allows at most 256");
        match metastore::bootstrap(root, cluster, policy, presplit(count)).await {
            Ok(()) => Ok(()),
            Err(BootstrapError::Refused(reason)) => Err(UserError::new(format!(
                "cluster.policy and cluster.partitions cannot be changed after the cluster was \
                 made: {reason}"
            ))
            .into()),
            Err(error) => Err(error.into()),
        }
    }

    /// Runs what the root leader does by itself, for as long as the process lives.
    pub(crate) fn control(&self, settings: ControllerSettings) {
        tokio::spawn(Controller::new(self.node.clone(), settings).run());
    }
}

/// The whole chain in one line.
fn error_chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

/// Peers over connections.
pub(crate) struct RemotePeers(pub(crate) Arc<Peers>);

impl PeerDirectory for RemotePeers {
    fn connect(&self, _node: NodeId, address: &str) -> Arc<dyn RaftService> {
        Arc::new(self.0.raft(address))
    }
}

/// No peers: a single metadata node.
pub(crate) struct NoPeers;

impl PeerDirectory for NoPeers {
    fn connect(&self, node: NodeId, _address: &str) -> Arc<dyn RaftService> {
        Arc::new(Nobody(node))
    }
}

struct Nobody(NodeId);

impl Nobody {
    fn unreachable(&self) -> RpcError {
        let message = format!("node {} is not of this process", self.0);
        RpcError::new(RpcErrorKind::Unreachable, message)
    }
}

#[async_trait::async_trait]
impl RaftService for Nobody {
    async fn append(
        &self,
        _address: proto::raft::RaftAddress,
        _payload: bytes::Bytes,
    ) -> Result<bytes::Bytes, RpcError> {
        Err(self.unreachable())
    }

    async fn vote(
        &self,
        _address: proto::raft::RaftAddress,
        _payload: bytes::Bytes,
    ) -> Result<bytes::Bytes, RpcError> {
        Err(self.unreachable())
    }

    async fn snapshot(
        &self,
        _address: proto::raft::RaftAddress,
        _payload: bytes::Bytes,
        _chunks: futures::stream::BoxStream<'static, Result<bytes::Bytes, RpcError>>,
    ) -> Result<bytes::Bytes, RpcError> {
        Err(self.unreachable())
    }
}
