//! The stored forms of openraft's types. They are our own structs, so that what is on
//! disk and on the wire does not depend on how openraft lays out its types.

use std::collections::{BTreeMap, BTreeSet};

use openraft::{BasicNode, CommittedLeaderId, LeaderId};
use serde::{Deserialize, Serialize};

use crate::raft_types::{LogId, Membership, StoredMembership, Vote};

/// Term, leader and index, each a postcard varint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LogIdBody {
    pub(crate) term: u64,
    pub(crate) leader: u64,
    pub(crate) index: u64,
}

impl From<LogId> for LogIdBody {
    fn from(id: LogId) -> Self {
        Self { term: id.leader_id.term, leader: id.leader_id.node_id, index: id.index }
    }
}

impl From<LogIdBody> for LogId {
    fn from(body: LogIdBody) -> Self {
        LogId::new(CommittedLeaderId::new(body.term, body.leader), body.index)
    }
}

/// Term, candidate, and whether a quorum granted it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct VoteBody {
    term: u64,
    node: u64,
    committed: bool,
}

impl From<Vote> for VoteBody {
    fn from(vote: Vote) -> Self {
        Self { term: vote.leader_id.term, node: vote.leader_id.node_id, committed: vote.committed }
    }
}

impl From<VoteBody> for Vote {
    fn from(body: VoteBody) -> Self {
        Vote { leader_id: LeaderId::new(body.term, body.node), committed: body.committed }
    }
}

/// Voter sets (two while a change is under way) and the address of every node, voter or
/// learner.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MembershipBody {
    configs: Vec<BTreeSet<u64>>,
    nodes: BTreeMap<u64, String>,
}

impl From<&Membership> for MembershipBody {
    fn from(membership: &Membership) -> Self {
        Self {
            configs: membership.get_joint_config().clone(),
            nodes: membership.nodes().map(|(id, node)| (*id, node.addr.clone())).collect(),
        }
    }
}

impl From<MembershipBody> for Membership {
    fn from(body: MembershipBody) -> Self {
        let nodes: BTreeMap<u64, BasicNode> =
            body.nodes.into_iter().map(|(id, address)| (id, BasicNode::new(address))).collect();
        Membership::new(body.configs, nodes)
    }
}

/// A membership and the entry that set it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredMembershipBody {
    at: Option<LogIdBody>,
    membership: MembershipBody,
}

impl From<&StoredMembership> for StoredMembershipBody {
    fn from(stored: &StoredMembership) -> Self {
        Self { at: stored.log_id().map(Into::into), membership: stored.membership().into() }
    }
}

impl From<StoredMembershipBody> for StoredMembership {
    fn from(body: StoredMembershipBody) -> Self {
        StoredMembership::new(body.at.map(Into::into), body.membership.into())
    }
}
