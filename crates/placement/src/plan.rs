//! All placement groups of a cluster.
//!
//! The idea is that of copysets: `P` random permutations of the disks, each cut into windows of
//! `n`. Blobs go to a fixed set of groups instead of any `n` disks, so that few combinations of
//! `m + 1` lost disks lose data, while each disk still shares groups with many others, so that
//! many take part in its repair. `P` trades the one for the other.
//!
//! Cutting a random permutation at fixed places would break the failure-domain rule and leave
//! a remainder unused. So the windows are drawn: each member is taken from the rack, node and
//! disk with the most uses left, ties by chance, where every disk has `P` uses. With equal
//! nodes this is a permutation after another, a remainder carried over to the next; with
//! unequal ones the large nodes are in more groups, as they must be.

use std::collections::BTreeSet;

use types::{DiskId, ErasurePolicy, NodeId};

use crate::{DiskSite, Domain, PlacementError, random::Random, rule::Rule};

/// The number of permutations unless somebody measured, or disks are few ([`permutations`]): groups a
/// disk is in.
pub const PERMUTATIONS: usize = 16;

/// A set has at least so many groups, however few disks there are. A group moves as a whole, rank by
/// rank, so the groups are the grains of which disks are filled: with 64 of six disks, ten disks
/// have 38 or 39 ranks each and differ by under 3 %; with 16 they would have 9 or 10.
pub const GROUPS_MIN: usize = 64;

/// How many permutations so many disks are cut into for a policy: [`PERMUTATIONS`], or more where those
/// would make fewer than [`GROUPS_MIN`] groups. That makes hardly more combinations of disks whose loss
/// loses data: so few disks share groups with all others anyway.
pub fn permutations(disks: usize, policy: ErasurePolicy) -> usize {
    PERMUTATIONS.max(GROUPS_MIN.div_ceil((disks / policy.n()).max(1)))
}

/// The groups for these disks: each of `policy.n()` distinct disks in rank order that obey
/// [`Rule`], each disk in at most `permutations` of them, and in nearly that many unless the
/// rule forbids it. At least one group. The order of `disks` does not matter.
///
/// Fails if a disk is listed twice, `permutations` is zero, or [`Rule::of`] fails.
pub fn plan(
    disks: &[DiskSite],
    policy: ErasurePolicy,
    permutations: usize,
    domain: Domain,
    seed: u64,
) -> Result<Vec<Vec<DiskId>>, PlacementError> {
    if permutations == 0 {
        return Err(PlacementError::NoPermutations);
    }
    let mut topology = Topology::new(disks, permutations)?;
    let rule = Rule::of(disks, policy, domain)?;
    let mut random = Random::new(seed);
    let mut groups = Vec::new();
    while let Some(mut group) = topology.take_group(policy.n(), rule, &mut random) {
        // The order within a group is the order of ranks: without this, the data ranks, which
        // serve the reads, would go to the largest nodes.
        random.shuffle(&mut group);
        groups.push(group);
    }
    Ok(groups)
}

/// How many other disks share a group with `disk`: those that take part in its repair.
pub fn scatter_width<G: AsRef<[DiskId]>>(groups: &[G], disk: DiskId) -> usize {
    let others: BTreeSet<DiskId> = groups
        .iter()
        .map(AsRef::as_ref)
        .filter(|group| group.contains(&disk))
        .flatten()
        .copied()
        .filter(|other| *other != disk)
        .collect();
    others.len()
}

/// The disks by rack and node, with the uses that they have left.
struct Topology {
    racks: Vec<Rack>,
}

struct Rack {
    nodes: Vec<Node>,
    /// Members of the group under way.
    members: usize,
}

struct Node {
    disks: Vec<Disk>,
    /// Members of the group under way.
    members: usize,
}

struct Disk {
    id: DiskId,
    /// Groups that it may still join.
    uses: usize,
    /// Whether it is a member of the group under way.
    member: bool,
}

impl Topology {
    fn new(disks: &[DiskSite], uses: usize) -> Result<Self, PlacementError> {
        let mut sorted: Vec<&DiskSite> = disks.iter().collect();
        sorted.sort_by_key(|disk| (disk.rack_key(), disk.node, disk.id));
        let mut ids = BTreeSet::new();
        let mut racks: Vec<Rack> = Vec::new();
        let mut last: Option<((&str, &str), NodeId)> = None;
        for disk in sorted {
            if !ids.insert(disk.id) {
                return Err(PlacementError::DuplicateDisk(disk.id));
            }
            if last.map(|(rack, _)| rack) != Some(disk.rack_key()) {
                racks.push(Rack { nodes: Vec::new(), members: 0 });
            }
            let rack = racks.last_mut().expect("the first disk opened one");
            if last != Some((disk.rack_key(), disk.node)) {
                rack.nodes.push(Node { disks: Vec::new(), members: 0 });
            }
            let node = rack.nodes.last_mut().expect("the first disk opened one");
            node.disks.push(Disk { id: disk.id, uses, member: false });
            last = Some((disk.rack_key(), disk.node));
        }
        Ok(Self { racks })
    }

    /// Draws a group; `None` when too few uses are left for a whole one.
    fn take_group(&mut self, n: usize, rule: Rule, random: &mut Random) -> Option<Vec<DiskId>> {
        for rack in &mut self.racks {
            rack.members = 0;
            for node in &mut rack.nodes {
                node.members = 0;
                node.disks.iter_mut().for_each(|disk| disk.member = false);
            }
        }
        let mut group = Vec::with_capacity(n);
        while group.len() < n {
            let rack = most_uses(&mut self.racks, |rack| rack.uses(rule), random)?;
            rack.members += 1;
            let node = most_uses(&mut rack.nodes, |node| node.uses(rule), random)
                .expect("a rack with uses has a node with uses");
            node.members += 1;
            let disk = most_uses(&mut node.disks, Disk::uses, random)
                .expect("a node with uses has a disk with uses");
            disk.member = true;
            disk.uses -= 1;
            group.push(disk.id);
        }
        Some(group)
    }
}

impl Rack {
    /// Uses left, if it may give another member to the group under way.
    fn uses(&self, rule: Rule) -> usize {
        if self.members >= rule.rack_limit {
            return 0;
        }
        self.nodes.iter().map(|node| node.uses(rule)).sum()
    }
}

impl Node {
    fn uses(&self, rule: Rule) -> usize {
        if self.members >= rule.node_limit {
            return 0;
        }
        self.disks.iter().map(Disk::uses).sum()
    }
}

impl Disk {
    fn uses(&self) -> usize {
        if self.member { 0 } else { self.uses }
    }
}

/// One of those with the most uses, by chance; `None` if nobody has any.
fn most_uses<'a, T>(
    items: &'a mut [T],
    uses: impl Fn(&T) -> usize,
    random: &mut Random,
) -> Option<&'a mut T> {
    let all: Vec<usize> = items.iter().map(uses).collect();
    let most = all.iter().copied().max().filter(|most| *most > 0)?;
    let ties = all.iter().filter(|uses| **uses == most).count();
    let chosen = random.below(ties);
    let (index, _) = all.iter().enumerate().filter(|(_, uses)| **uses == most).nth(chosen)?;
    items.get_mut(index)
}
