//! The feature level: which formats and protocols the cluster uses, and what its nodes know.

use serde::{Deserialize, Serialize};
use types::{ClusterMap, FeatureLevel};

/// Where the cluster is between two levels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpgradeStatus {
    /// The level of the formats and protocols in use.
    pub level: u32,
    /// The highest level that the answering process knows.
    pub known: u32,
    /// The level that can be finalised now.
    pub next: Option<u32>,
    /// Why none can; `null` if one can.
    pub reason: Option<String>,
    /// What the software of each node knows, in the order of their ids.
    pub nodes: Vec<NodeLevel>,
}

/// What a node's software knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeLevel {
    /// The node.
    pub node: u64,
    /// Where its internal service listens.
    pub address: String,
    /// The highest level that it knows.
    pub level: u32,
}

impl UpgradeStatus {
    /// By what the nodes said when they registered, that is when they started last.
    pub fn of(map: &ClusterMap) -> Self {
        let next = FeatureLevel(map.level.0 + 1);
        let old: Vec<_> = map.nodes.values().filter(|node| !node.level.serves(next)).collect();
        let reason = match old.first() {
            _ if next > FeatureLevel::OURS => Some(format!(
                "the cluster uses level {}, the highest that this software knows: there is nothing \
                 to finalise",
                map.level.0
            )),
            Some(node) => Some(format!(
                "the software of node {} at {} knows level {} only: upgrade it first ({} nodes in \
                 all)",
                node.id,
                node.address,
                node.level.0,
                old.len()
            )),
            None => None,
        };
        Self {
            level: map.level.0,
            known: FeatureLevel::OURS.0,
            next: reason.is_none().then_some(next.0),
            reason,
            nodes: map
                .nodes
                .values()
                .map(|node| NodeLevel {
                    node: node.id.0,
                    address: node.address.clone(),
                    level: node.level.0,
                })
                .collect(),
        }
    }
}
