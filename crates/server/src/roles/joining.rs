//! Which cluster a metadata node belongs to that has not opened its groups yet.
//!
//! The node with the lowest configured id **founds** a cluster, but only when every
//! other configured node has answered that it knows none. The others of the first hour
//! **adopt** the cluster that their peers name, but only when a majority of the configured
//! nodes (other than this one) has answered and none of them has this node id on record with
//! another folder: a record means that the folder was wiped, and a wiped node must not vote
//! again under its old id. Registrations are committed on a majority, and a majority of answers
//! meets at least one node that has it.
//!
//! Once a cluster is bootstrapped, one answer is enough to know which it is: the node then
//! **joins**, which means that it registers before it opens a group. The root group refuses an id
//! that any other folder ever had. Which nodes vote by now is not in this node's configuration, so
//! that a majority of what it lists would prove nothing.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use proto::{Peers, meta::Hello, meta::MetaService};
use types::{ClusterId, FeatureLevel, InstanceId, NodeId};
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
    /// Join this one, which is of this feature level.
    Join(ClusterId, FeatureLevel),
    /// This node id has been here before.
    Wiped,
    /// The peers name different clusters.
    Split(ClusterId, ClusterId),
}

/// How a node comes into its cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    /// It makes it.
    Found(ClusterId),
    /// It is one of those that make it.
    Adopt(ClusterId),
    /// It exists, at this feature level: register first.
    Join(ClusterId, FeatureLevel),
}

impl Entry {
    pub(crate) fn cluster(self) -> ClusterId {
        match self {
            Self::Found(cluster) | Self::Adopt(cluster) | Self::Join(cluster, _) => cluster,
        }
    }
}

/// Asks until there is a verdict. `folder`: the instance of this node's folder, if it has one.
/// Cancel by dropping it.
pub(crate) async fn cluster(
    me: NodeId,
    folder: Option<InstanceId>,
    nodes: &BTreeMap<NodeId, String>,
    peers: &Arc<Peers>,
) -> Result<Entry, UserError> {
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
        match verdict(lowest, nodes.len(), folder, &answers) {
            Verdict::Found => return Ok(Entry::Found(ClusterId(Uuid::new_v4()))),
            Verdict::Adopt(cluster) => return Ok(Entry::Adopt(cluster)),
            Verdict::Join(cluster, level) => return Ok(Entry::Join(cluster, level)),
            Verdict::Wiped => {
                return Err(UserError::new(format!(
                    "metadata node {me} has an empty folder but the cluster has seen this id \
                     before; ids are never reused: restore the folder, or start the node under a \
                     new id (node.id and cluster.meta), then say `shardlake admin meta add NEW` and \
                     `shardlake admin meta remove {}`",
                    me.0
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

fn verdict(lowest: bool, nodes: usize, folder: Option<InstanceId>, answers: &[Hello]) -> Verdict {
    if answers.iter().any(|hello| hello.known_instance.is_some_and(|known| Some(known) != folder)) {
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
    if let Some(level) = answers.iter().find_map(|hello| hello.level) {
        return Verdict::Join(cluster, level);
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
        Hello {
            cluster,
            node: NodeId(9),
            known_instance,
            version: 1,
            level: None,
            nodes: BTreeMap::new(),
        }
    }

    #[test]
    fn only_the_lowest_founds_and_only_when_everybody_knows_nothing() {
        let nothing = hello(None, false);
        assert_eq!(verdict(true, 1, None, &[]), Verdict::Found);
        assert_eq!(verdict(true, 3, None, &[nothing.clone(), nothing.clone()]), Verdict::Found);
        assert_eq!(verdict(true, 3, None, std::slice::from_ref(&nothing)), Verdict::Ask);
        assert_eq!(verdict(false, 3, None, &[nothing.clone(), nothing]), Verdict::Ask);
    }

    #[test]
    fn the_others_adopt_from_a_majority() {
        let (some, nothing) = (hello(Some(C), false), hello(None, false));
        assert_eq!(verdict(false, 3, None, std::slice::from_ref(&some)), Verdict::Ask);
        assert_eq!(verdict(false, 3, None, &[some.clone(), nothing.clone()]), Verdict::Adopt(C));
        // The founder comes back between founding and writing its folder: it adopts too.
        assert_eq!(verdict(true, 3, None, &[some.clone(), nothing.clone()]), Verdict::Adopt(C));
        assert_eq!(verdict(false, 5, None, &[some.clone(), nothing.clone()]), Verdict::Ask);
        assert_eq!(verdict(false, 5, None, &[some, nothing.clone(), nothing]), Verdict::Adopt(C));
    }

    #[test]
    fn a_wiped_node_and_a_mixed_up_list_are_refused() {
        let (seen, some) = (hello(Some(C), true), hello(Some(C), false));
        assert_eq!(verdict(true, 3, None, &[some.clone(), seen.clone()]), Verdict::Wiped);
        assert_eq!(verdict(false, 3, None, &[seen]), Verdict::Wiped);
        assert_eq!(verdict(false, 3, None, &[some, hello(Some(D), false)]), Verdict::Split(C, D));
    }

    /// A cluster that exists is joined on one node's word: the root group decides. A node that had
    /// registered and crashed before it opened its groups is not taken for a wiped one.
    #[test]
    fn a_bootstrapped_cluster_is_joined() {
        let level = Some(FeatureLevel(3));
        let some = Hello { level, ..hello(Some(C), false) };
        let joins = Verdict::Join(C, FeatureLevel(3));
        assert_eq!(verdict(false, 5, None, std::slice::from_ref(&some)), joins);
        assert_eq!(verdict(true, 4, None, &[some, hello(None, false)]), joins);
        let seen = Hello { level, ..hello(Some(C), true) };
        let own = seen.known_instance;
        assert_eq!(verdict(false, 4, own, std::slice::from_ref(&seen)), joins);
        assert_eq!(verdict(false, 4, None, &[seen]), Verdict::Wiped);
    }
}
