//! Who votes in the metadata groups, and how a change of it is carried out.
//!
//! The root group holds the decision ([`MetaMembers`]); every group has voters of its own, in its
//! Raft log. The leader of each group compares the two and takes the [`next`] step towards the
//! decision, as long as there is one: so a change goes on whoever crashes, and a step that was
//! taken on stale knowledge is taken back by a later one. A node that comes is first a learner,
//! and votes once it has the log. A node that goes and leads hands over first. When every group is
//! as it should be ([`is_complete`]), the leader of the root group ends the change.
//!
//! What would break a promise is refused before it is decided: [`may_add`] and [`may_remove`].

use std::collections::{BTreeMap, BTreeSet};

use consensus::Status;
use types::{ClusterMap, GroupId, NodeId, Role};

use crate::{api::root::MetaMembers, service::NodeStatus};

/// A learner that lacks no more entries than this has caught up: under load new ones come all the
/// time, and it takes them as fast as the voters do.
pub const CAUGHT_UP_ENTRIES_MAX: u64 = 64;

/// Fewer metadata nodes than this survive no failure.
pub const VOTERS_SAFE_MIN: usize = 3;

/// What the leader of a group does next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing: the group is as it should be.
    Settled,
    /// Let this node follow without a vote.
    AddLearner(NodeId),
    /// The node lacks so many entries.
    CatchingUp(NodeId, u64),
    /// Make these the voters.
    SetVoters(BTreeSet<NodeId>),
    /// Let another voter lead: this one is to go.
    HandOver,
}

/// The next step of the leader whose group this is the status of.
pub fn next(status: &Status, wanted: &BTreeSet<NodeId>) -> Step {
    let Status { voters, learners, .. } = status;
    if status.changing {
        // Somebody began it and did not come to its end.
        let kept: BTreeSet<NodeId> = voters & wanted;
        return if kept.is_empty() { Step::Settled } else { Step::SetVoters(kept) };
    }
    if let Some(node) = wanted.difference(voters).next() {
        return match learners.get(node) {
            None => Step::AddLearner(*node),
            Some(matched) => match status.last_log_index.saturating_sub(*matched) {
                behind if *matched == 0 || behind > CAUGHT_UP_ENTRIES_MAX => {
                    Step::CatchingUp(*node, behind)
                }
                _ => Step::SetVoters(voters | &BTreeSet::from([*node])),
            },
        };
    }
    if let Some(node) = voters.difference(wanted).next() {
        let kept: BTreeSet<NodeId> = voters - &BTreeSet::from([*node]);
        return match kept.is_empty() {
            true => Step::Settled,
            false if *node == status.node => Step::HandOver,
            false => Step::SetVoters(kept),
        };
    }
    match learners.keys().any(|node| !wanted.contains(node)) {
        true => Step::SetVoters(voters.clone()),
        false => Step::Settled,
    }
}

/// The status of each group as its leader sees it: of those that say that they lead, the one with
/// the highest term.
pub fn leaders(statuses: &BTreeMap<NodeId, NodeStatus>) -> BTreeMap<GroupId, &Status> {
    let mut leaders: BTreeMap<GroupId, &Status> = BTreeMap::new();
    for status in statuses.values().flatten() {
        if status.leader != Some(status.node) || status.stopped.is_some() {
            continue;
        }
        let best = leaders.entry(status.group).or_insert(status);
        if best.term < status.term {
            *best = status;
        }
    }
    leaders
}

/// The metadata groups of a cluster.
pub fn groups(map: &ClusterMap) -> BTreeSet<GroupId> {
    let partitions = map.partitions.iter().map(|partition| partition.group);
    partitions.chain([GroupId::ROOT]).collect()
}

/// Whether the leader of every group says that it has the voters that it should have.
pub fn is_complete(
    map: &ClusterMap,
    statuses: &BTreeMap<NodeId, NodeStatus>,
    wanted: &BTreeSet<NodeId>,
) -> bool {
    let leaders = leaders(statuses);
    groups(map)
        .iter()
        .all(|group| leaders.get(group).is_some_and(|status| next(status, wanted) == Step::Settled))
}

/// How far a metadata node has come in the groups.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Groups in which it votes.
    pub votes: usize,
    /// Groups that it follows without a vote.
    pub follows: usize,
    /// Groups that it leads.
    pub leads: usize,
    /// Entries that it lacks in the groups that it follows without a vote.
    pub behind: u64,
}

/// What the leaders say about a node.
pub fn standing(leaders: &BTreeMap<GroupId, &Status>, node: NodeId) -> Standing {
    let mut standing = Standing::default();
    for status in leaders.values() {
        standing.votes += usize::from(status.voters.contains(&node));
        standing.leads += usize::from(status.node == node);
        if let Some(matched) = status.learners.get(&node) {
            standing.follows += 1;
            standing.behind += status.last_log_index.saturating_sub(*matched);
        }
    }
    standing
}

/// The voters as the root group has them; `None` while it has no leader that answers.
pub fn voters(statuses: &BTreeMap<NodeId, NodeStatus>) -> Option<BTreeSet<NodeId>> {
    leaders(statuses).get(&GroupId::ROOT).map(|status| status.voters.clone())
}

/// Who answers, with a replica of every group that has not stopped.
fn healthy(map: &ClusterMap, statuses: &BTreeMap<NodeId, NodeStatus>) -> BTreeSet<NodeId> {
    let groups = groups(map);
    let whole = |status: &NodeStatus| {
        let running = status.iter().filter(|replica| replica.stopped.is_none());
        running.map(|replica| replica.group).collect::<BTreeSet<_>>().is_superset(&groups)
    };
    statuses.iter().filter(|(_, status)| whole(status)).map(|(node, _)| *node).collect()
}

fn names(nodes: &BTreeSet<NodeId>) -> String {
    nodes.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Why a node cannot be given a vote now, in one sentence.
pub fn may_add(
    map: &ClusterMap,
    statuses: &BTreeMap<NodeId, NodeStatus>,
    wanted: &MetaMembers,
    node: NodeId,
) -> Result<(), String> {
    let Some(row) = map.nodes.get(&node).filter(|row| row.role == Role::Meta) else {
        return Err(format!(
            "there is no metadata node {node}: start it first, with the addresses of the others in \
             cluster.meta"
        ));
    };
    let healthy = healthy(map, statuses);
    if !healthy.contains(&node) {
        return Err(format!(
            "metadata node {node} at {} does not answer, or not for every group: see its log",
            row.address
        ));
    }
    let after = &wanted.voters | &BTreeSet::from([node]);
    let (alive, quorum) = ((&after & &healthy).len(), after.len() / 2 + 1);
    if alive < quorum {
        return Err(format!(
            "of {} metadata nodes {quorum} would be needed and only {alive} answer: start {} first, \
             or remove it",
            after.len(),
            names(&(&after - &healthy)),
        ));
    }
    Ok(())
}

/// Why a node cannot be removed now, in one sentence.
pub fn may_remove(
    map: &ClusterMap,
    statuses: &BTreeMap<NodeId, NodeStatus>,
    wanted: &MetaMembers,
    node: NodeId,
    force: bool,
) -> Result<(), String> {
    if map.nodes.get(&node).is_none_or(|row| row.role != Role::Meta) {
        return Err(format!("there is no metadata node {node}"));
    }
    if !wanted.voters.contains(&node) {
        return Ok(());
    }
    let after = &wanted.voters - &BTreeSet::from([node]);
    if after.is_empty() {
        return Err(format!("metadata node {node} is the only one: add another one first"));
    }
    let healthy = healthy(map, statuses);
    let (alive, quorum) = ((&after & &healthy).len(), after.len() / 2 + 1);
    let silent = &after - &healthy;
    if alive < quorum {
        return Err(format!(
            "of the {} metadata nodes that stay {quorum} are needed and only {alive} answer: start {} \
             first",
            after.len(),
            names(&silent),
        ));
    }
    if !silent.is_empty() && healthy.contains(&node) {
        return Err(format!(
            "metadata node {node} works and {} does not: start that one or remove it first, for \
             without {node} one more failure would stop the cluster",
            names(&silent),
        ));
    }
    if after.len() < VOTERS_SAFE_MIN && wanted.voters.len() >= VOTERS_SAFE_MIN && !force {
        return Err(format!(
            "{} metadata nodes would stay, and the failure of one would stop the cluster: add another \
             one first, or say --force",
            after.len()
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
