//! The term that a replica is in never goes back, whatever crashes: its vote was synced before anybody
//! heard of it, so it never votes twice in a term, nor leads one again that it has left.
//!
//! That no two nodes lead one term is not asked here: openraft orders leaders by term and node, so that
//! a second one in a term is a later one. What matters is in [`super::log_matching`].

use std::collections::BTreeMap;

use types::{GroupId, NodeId};

use crate::world::World;

/// What was seen of each replica.
#[derive(Debug, Default)]
pub struct Terms {
    terms: BTreeMap<(NodeId, GroupId), u64>,
    leaders: BTreeMap<GroupId, (u64, NodeId)>,
}

impl Terms {
    /// Looks at every replica that runs.
    pub fn check(&mut self, world: &World) {
        for (node, meta) in world.running() {
            for group in meta.host.groups() {
                let status = consensus::ConsensusGroup::status(&*group);
                if status.stopped.is_some() {
                    // It could not sync its vote, so nobody has heard of it.
                    continue;
                }
                let term = self.terms.entry((node, status.group)).or_default();
                if status.term < *term {
                    world.violate(
                        "terms_never_go_back",
                        format!(
                            "{node} was in term {term} of {}, now {}",
                            status.group, status.term
                        ),
                    );
                }
                if *term > 0 && status.term > *term {
                    world.voted.lock().push(node);
                }
                *term = status.term;
                let leads = (status.term, node);
                let known = self.leaders.entry(status.group).or_default();
                if status.leader == Some(node) && leads > *known {
                    *known = leads;
                    world.note(&format!("{node} leads {} in term {}", status.group, status.term));
                }
            }
        }
    }
}
