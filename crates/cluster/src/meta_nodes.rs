//! The metadata nodes as services: those that the cluster map has, so that a process keeps working
//! when every node of its configuration was replaced, one after the other. The configured ones are
//! where it begins, and where it looks again when none of the others answers.

use std::{collections::BTreeMap, sync::Arc};

use parking_lot::Mutex;
use proto::{Peers, meta::MetaService};
use types::{ClusterMap, Epoch, NodeId, Role};

type Services = BTreeMap<NodeId, Arc<dyn MetaService>>;
type Connect = Box<dyn Fn(&str) -> Arc<dyn MetaService> + Send + Sync>;

/// Nodes that are remembered outside of the map. Ids of metadata nodes are never used again, so
/// that a process that lives long would collect those that are gone.
const LEARNED_MAX: usize = 64;

/// Where the metadata services are.
pub struct MetaNodes {
    /// Those of the configuration, and those that they have named.
    configured: Mutex<Services>,
    /// Makes the service at an address.
    connect: Option<Connect>,
    known: Mutex<Option<(Epoch, Arc<Known>)>>,
}

/// Whom to ask, by one epoch of the map.
pub(crate) struct Known {
    /// They are asked in turn.
    pub(crate) nodes: Services,
    /// Configured, and not in the map: removed, or not registered yet. Asked when another node
    /// names one as the leader, or when none of the others answers.
    pub(crate) others: Services,
}

impl Known {
    pub(crate) fn service(&self, node: NodeId) -> Option<&Arc<dyn MetaService>> {
        self.nodes.get(&node).or_else(|| self.others.get(&node))
    }
}

impl From<Services> for MetaNodes {
    /// Always these.
    fn from(configured: Services) -> Self {
        Self { configured: Mutex::new(configured), connect: None, known: Mutex::new(None) }
    }
}

impl MetaNodes {
    /// Those of the map at the addresses that it has; until there is one, `configured`.
    pub fn with_peers(configured: &BTreeMap<NodeId, String>, peers: Arc<Peers>) -> Self {
        Self::connecting(configured, move |address| Arc::new(peers.meta(address)))
    }

    /// The same with services that `connect` makes. It must not block.
    pub fn connecting(
        configured: &BTreeMap<NodeId, String>,
        connect: impl Fn(&str) -> Arc<dyn MetaService> + Send + Sync + 'static,
    ) -> Self {
        let configured =
            configured.iter().map(|(node, address)| (*node, connect(address))).collect();
        Self {
            configured: Mutex::new(configured),
            connect: Some(Box::new(connect)),
            known: Mutex::new(None),
        }
    }

    /// Takes note of nodes that others have named: perhaps none of the configured ones leads, and
    /// there is no map yet.
    pub(crate) fn learn(&self, named: &BTreeMap<NodeId, String>) {
        let Some(connect) = &self.connect else { return };
        {
            let mut configured = self.configured.lock();
            for (node, address) in named {
                if configured.len() < LEARNED_MAX && !configured.contains_key(node) {
                    configured.insert(*node, connect(address));
                }
            }
        }
        *self.known.lock() = None;
    }

    pub(crate) fn by(&self, map: &ClusterMap) -> Arc<Known> {
        let mut known = self.known.lock();
        match &*known {
            Some((epoch, known)) if *epoch == map.epoch => known.clone(),
            _ => {
                let fresh = Arc::new(self.look(map));
                *known = Some((map.epoch, fresh.clone()));
                fresh
            }
        }
    }

    fn look(&self, map: &ClusterMap) -> Known {
        let mut others = self.configured.lock().clone();
        let nodes: Services = match &self.connect {
            None => BTreeMap::new(),
            Some(connect) => {
                let registered = map.nodes.values().filter(|node| node.role == Role::Meta);
                registered.map(|node| (node.id, connect(&node.address))).collect()
            }
        };
        if nodes.is_empty() {
            return Known { nodes: others, others: BTreeMap::new() };
        }
        others.retain(|node, _| !nodes.contains_key(node));
        Known { nodes, others }
    }
}
