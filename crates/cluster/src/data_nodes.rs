//! The data nodes as services: in this process or over a connection.

use std::{collections::BTreeMap, sync::Arc};

use parking_lot::RwLock;
use proto::{Peers, shards::ShardService};
use types::{Node, NodeId};

/// Where the shard services are.
#[derive(Default)]
pub struct DataNodes {
    local: RwLock<BTreeMap<NodeId, Arc<dyn ShardService>>>,
    peers: Option<Arc<Peers>>,
}

impl DataNodes {
    /// Only nodes of this process, each to be added by [`Self::add_local`].
    pub fn local() -> Self {
        Self::default()
    }

    /// Nodes of this process, and all others by the address that the cluster map has.
    pub fn with_peers(peers: Arc<Peers>) -> Self {
        Self { local: RwLock::default(), peers: Some(peers) }
    }

    /// Serves `node` from within this process.
    pub fn add_local(&self, node: NodeId, service: Arc<dyn ShardService>) {
        self.local.write().insert(node, service);
    }

    /// The service of a node. `None` for a foreign node where there are no peers.
    pub(crate) fn service(&self, node: &Node) -> Option<Arc<dyn ShardService>> {
        if let Some(service) = self.local.read().get(&node.id) {
            return Some(service.clone());
        }
        let peers = self.peers.as_ref()?;
        Some(Arc::new(peers.shards(&node.address)))
    }
}
