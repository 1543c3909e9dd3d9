//! Which cluster a metadata node with an empty folder belongs to.
//!
//! The node with the lowest configured id **founds** a cluster, but only when every
//! other configured node has answered that it knows none. All others **adopt** the
//! cluster that their peers name, but only when a majority of the configured nodes
//! (other than this one) has answered and none of them has this node id on record: a
//! record means that the folder was wiped, and a wiped node must not vote again under
//! its old id. Registrations are committed on a majority, and a majority of answers
//! meets at least one node that has it.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use proto::{Peers, meta::Hello, meta::MetaService};
use types::{ClusterId, NodeId};
use uuid::Uuid;

use crate::error::UserError;

/// The pause between two rounds of asking.
const RETRY: Duration = Duration::from_millis(200);

/// What the answers of one round come to.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// Too few answers, or the founder is still founding.
    Ask,
    /// Found a cluster.
    Found,
    /// Adopt this one.
    Adopt(ClusterId),
    /// This node id has been here before.
    Wiped,
    /// The peers name different clusters.
    Split(ClusterId, ClusterId),
}

/// Asks until there is a verdict. Cancel by dropping it.
pub(crate) async fn cluster(
    me: NodeId,
    nodes: &BTreeMap<NodeId, String>,
    peers: &Arc<Peers>,
) -> Result<ClusterId, UserError> {
    let others: Vec<&String> =
        nodes.iter().filter(|(node, _)| **node != me).map(|(_, address)| address).collect();
    let lowest = nodes.keys().next().is_some_and(|lowest| *lowest == me);
    let mut asked = 0u32;
    loop {
        let calls = others.iter().map(|address| {
            let peer = peers.meta(address);
            async move { peer.hello(me).await.ok() }
        });
        let answers: Vec<Hello> =
            futures::future::join_all(calls).await.into_iter().flatten().collect();
        match verdict(lowest, nodes.len(), &answers) {
            Verdict::Found => return Ok(ClusterId(Uuid::new_v4())),
            Verdict::Adopt(cluster) => return Ok(cluster),
            Verdict::Wiped => {
                return Err(UserError::new(format!(
                    "metadata node {me} has an empty folder but the cluster has seen this id \
                     before; ids are never reused: restore the folder, or add the node under a \
                     new id"
                )));
            }
            Verdict::Split(one, two) => {
                return Err(UserError::new(format!(
                    "the nodes of cluster.meta belong to different clusters ({one} and {two}); \
                     check the addresses"
                )));
            }
            Verdict::Ask => {}
        }
        if asked.is_multiple_of(25) {
            tracing::info!(
                answered = answers.len(),
                of = others.len(),
                "waiting for the metadata nodes"
            );
        }
        asked += 1;
        tokio::time::sleep(RETRY).await;
    }
}

fn verdict(lowest: bool, nodes: usize, answers: &[Hello]) -> Verdict {
    if answers.iter().any(|hello| hello.known_instance.is_some()) {
        return Verdict::Wiped;
    }
    let mut clusters = answers.iter().filter_map(|hello| hello.cluster);
    let Some(cluster) = clusters.next() else {
        let all = answers.len() + 1 == nodes;
        return if lowest && all { Verdict::Found } else { Verdict::Ask };
    };
    if let Some(other) = clusters.find(|other| *other != cluster) {
        return Verdict::Split(cluster, other);
    }
    let enough = (nodes / 2 + 1).min(nodes - 1);
    if answers.len() >= enough { Verdict::Adopt(cluster) } else { Verdict::Ask }
}

#[cfg(test)]
mod tests {
    use types::InstanceId;

    use super::*;

    const C: ClusterId = ClusterId(Uuid::from_u128(7));
    const D: ClusterId = ClusterId(Uuid::from_u128(8));

    fn hello(cluster: Option<ClusterId>, seen: bool) -> Hello {
        let known_instance = seen.then(|| InstanceId(Uuid::from_u128(1)));
        Hello { cluster, node: NodeId(9), known_instance, version: 1 }
    }

    #[test]
    fn only_the_lowest_founds_and_only_when_everybody_knows_nothing() {
        let nothing = hello(None, false);
        assert_eq!(verdict(true, 1, &[]), Verdict::Found);
        assert_eq!(verdict(true, 3, &[nothing.clone(), nothing.clone()]), Verdict::Found);
        assert_eq!(verdict(true, 3, std::slice::from_ref(&nothing)), Verdict::Ask);
        assert_eq!(verdict(false, 3, &[nothing.clone(), nothing]), Verdict::Ask);
    }

    #[test]
    fn the_others_adopt_from_a_majority() {
        let (some, nothing) = (hello(Some(C), false), hello(None, false));
        assert_eq!(verdict(false, 3, std::slice::from_ref(&some)), Verdict::Ask);
        assert_eq!(verdict(false, 3, &[some.clone(), nothing.clone()]), Verdict::Adopt(C));
        // The founder comes back between founding and writing its folder: it adopts too.
        assert_eq!(verdict(true, 3, &[some.clone(), nothing.clone()]), Verdict::Adopt(C));
        assert_eq!(verdict(false, 5, &[some.clone(), nothing.clone()]), Verdict::Ask);
        assert_eq!(verdict(false, 5, &[some, nothing.clone(), nothing]), Verdict::Adopt(C));
    }

    #[test]
    fn a_wiped_node_and_a_mixed_up_list_are_refused() {
        let (seen, some) = (hello(Some(C), true), hello(Some(C), false));
        assert_eq!(verdict(true, 3, &[some.clone(), seen.clone()]), Verdict::Wiped);
        assert_eq!(verdict(false, 3, &[seen]), Verdict::Wiped);
        assert_eq!(verdict(false, 3, &[some, hello(Some(D), false)]), Verdict::Split(C, D));
    }
}
