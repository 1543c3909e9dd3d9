//! A metadata node's services while it is still finding out which cluster it belongs
//! to: its peers must be able to ask it before it has groups.
//!
//! Until [`Late::set`], `hello` answers that there is no cluster only if the folder is
//! new. A folder that knows its cluster does not answer yet: whoever joins must neither
//! take it for an empty one nor take a cluster's word before that node can say which
//! instances the cluster has seen. For the same reason a node that joins gets no answer
//! from one that has entries of the root group which it has not applied: the joiner's own
//! record may be among them. Everything else is answered "not leader".

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
};

use async_trait::async_trait;
use bytes::Bytes;
use consensus::{Host, Status};
use futures::stream::BoxStream;
use metastore::MetaNode;
use proto::{
    Identity, RpcError, RpcErrorKind,
    meta::{Hello, MetaService},
    raft::{RaftAddress, RaftService},
};
use types::{Epoch, GroupId, NodeId};

/// The services, sooner or later.
pub(crate) struct Late {
    node: NodeId,
    identity: Arc<Identity>,
    ready: OnceLock<(Arc<Host>, Arc<MetaNode>)>,
}

impl Late {
    /// Services of `node` that are not there yet.
    pub(crate) fn new(node: NodeId, identity: Arc<Identity>) -> Self {
        Self { node, identity, ready: OnceLock::new() }
    }

    /// They are there now. Called once.
    pub(crate) fn set(&self, host: Arc<Host>, meta: Arc<MetaNode>) {
        assert!(self.ready.set((host, meta)).is_ok(), "a node opens its groups once");
    }

    fn host(&self) -> Result<&Host, RpcError> {
        self.ready.get().map(|(host, _)| &**host).ok_or_else(|| self.not_yet())
    }

    fn meta(&self) -> Result<&MetaNode, RpcError> {
        self.ready.get().map(|(_, meta)| &**meta).ok_or_else(|| self.not_yet())
    }

    fn not_yet(&self) -> RpcError {
        let kind = RpcErrorKind::NotLeader { leader: None };
        RpcError::new(kind, format!("node {} is still starting", self.node))
    }
}

/// The first entry, which forms the group, says nothing about instances; a founder that
/// has no other must answer, or nobody could join it.
fn has_more_than_it_applied(root: &Status) -> bool {
    root.last_log_index > root.applied_index
}

#[async_trait]
impl MetaService for Late {
    async fn hello(&self, asker: NodeId) -> Result<Hello, RpcError> {
        let Ok(meta) = self.meta() else {
            if self.identity.cluster().is_some() {
                return Err(self.not_yet());
            }
            let version = u32::from(metastore::api::VERSION);
            return Ok(Hello {
                cluster: None,
                node: self.node,
                known_instance: None,
                version,
                level: None,
                nodes: BTreeMap::new(),
            });
        };
        // Asked before the rows are read, so that they are as new at least.
        let behind =
            meta.group(GroupId::ROOT).is_none_or(|root| has_more_than_it_applied(&root.status()));
        let mut hello = meta.hello(asker).await?;
        if behind && asker != NodeId(0) && hello.known_instance.is_none() {
            return Err(self.not_yet());
        }
        hello.cluster = hello.cluster.or_else(|| self.identity.cluster());
        Ok(hello)
    }

    async fn propose(
        &self,
        group: GroupId,
        epoch: Epoch,
        command: Bytes,
    ) -> Result<Bytes, RpcError> {
        self.meta()?.propose(group, epoch, command).await
    }

    async fn query(&self, group: GroupId, epoch: Epoch, query: Bytes) -> Result<Bytes, RpcError> {
        self.meta()?.query(group, epoch, query).await
    }

    async fn heartbeat(&self, report: Bytes) -> Result<Epoch, RpcError> {
        self.meta()?.heartbeat(report).await
    }

    async fn status(&self) -> Result<Bytes, RpcError> {
        self.meta()?.status().await
    }
}

#[async_trait]
impl RaftService for Late {
    async fn append(&self, address: RaftAddress, payload: Bytes) -> Result<Bytes, RpcError> {
        self.host()?.append(address, payload).await
    }

    async fn vote(&self, address: RaftAddress, payload: Bytes) -> Result<Bytes, RpcError> {
        self.host()?.vote(address, payload).await
    }

    async fn snapshot(
        &self,
        address: RaftAddress,
        payload: Bytes,
        chunks: BoxStream<'static, Result<Bytes, RpcError>>,
    ) -> Result<Bytes, RpcError> {
        self.host()?.snapshot(address, payload, chunks).await
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    #[test]
    fn only_who_has_applied_its_log_can_say_whom_the_cluster_has_seen() {
        let root = |last_log_index, applied_index| Status {
            group: GroupId::ROOT,
            node: NodeId(1),
            term: 1,
            leader: None,
            last_log_index,
            applied_index,
            snapshot_index: 0,
            voters: BTreeSet::new(),
            learners: BTreeMap::new(),
            changing: false,
            stopped: None,
        };
        assert!(has_more_than_it_applied(&root(9, 8)), "9 may register the one that asks");
        assert!(has_more_than_it_applied(&root(9, 0)), "just opened after a power loss");
        assert!(!has_more_than_it_applied(&root(9, 9)));
        assert!(!has_more_than_it_applied(&root(0, 0)), "the founder, before anybody joined");
    }
}
