//! A new member for a group that lost one.

use std::collections::BTreeMap;

use types::{DiskId, ErasurePolicy, NodeId};

use crate::{DiskSite, Domain, PlacementError, random::Random, rule::Rule};

/// The disk that takes rank `rank` of `groups[group]`: nobody else moves. `disks` are those
/// that may hold chunks now (without the lost one, or it is never chosen: a member stays out).
/// Of those that obey [`Rule`] together with the other members, the one in the fewest groups
/// is taken, ties by a chance that `seed` and the place decide. Members that are not in `disks`
/// any more do not count for the rule: they will be replaced themselves.
///
/// Fails if there is no such disk, if `Rule::of(disks, ..)` fails, or if there is no such rank.
pub fn substitute<G: AsRef<[DiskId]>>(
    disks: &[DiskSite],
    groups: &[G],
    group: usize,
    rank: usize,
    policy: ErasurePolicy,
    domain: Domain,
    seed: u64,
) -> Result<DiskId, PlacementError> {
    let members = groups
        .get(group)
        .map(AsRef::as_ref)
        .filter(|members| members.len() == policy.n() && rank < members.len())
        .ok_or(PlacementError::NoSuchMember {
            group,
            rank,
            groups: groups.len(),
            members: policy.n(),
        })?;
    let rule = Rule::of(disks, policy, domain)?;
    let taken = Taken::new(disks, members, rank);
    let mut uses: BTreeMap<DiskId, usize> = BTreeMap::new();
    for disk in groups.iter().flat_map(AsRef::as_ref) {
        *uses.entry(*disk).or_default() += 1;
    }
    let uses_of = |disk: &DiskSite| uses.get(&disk.id).copied().unwrap_or(0);

    let outside: Vec<&DiskSite> = disks.iter().filter(|disk| !members.contains(&disk.id)).collect();
    let mut allowed: Vec<&DiskSite> =
        outside.iter().copied().filter(|disk| taken.allows(disk, rule)).collect();
    let fewest = allowed.iter().map(|disk| uses_of(disk)).min().ok_or_else(|| {
        let mut nodes: Vec<NodeId> = outside.iter().map(|disk| disk.node).collect();
        nodes.sort_unstable();
        nodes.dedup();
        PlacementError::NoSubstitute { rank, disks: disks.len(), spare_nodes: nodes.len(), domain }
    })?;
    allowed.retain(|disk| uses_of(disk) == fewest);
    allowed.sort_by_key(|disk| disk.id);
    let place = ((group as u64) << 8) | rank as u64;
    let chosen = Random::new(seed ^ place.rotate_left(32)).below(allowed.len());
    Ok(allowed[chosen].id)
}

/// What the members that stay take up.
struct Taken<'a> {
    nodes: BTreeMap<NodeId, usize>,
    racks: BTreeMap<(&'a str, &'a str), usize>,
}

impl<'a> Taken<'a> {
    fn new(disks: &'a [DiskSite], members: &[DiskId], leaving: usize) -> Self {
        let mut taken = Self { nodes: BTreeMap::new(), racks: BTreeMap::new() };
        let stays = |id: DiskId| {
            members.iter().enumerate().any(|(rank, member)| rank != leaving && *member == id)
        };
        for disk in disks.iter().filter(|disk| stays(disk.id)) {
            *taken.nodes.entry(disk.node).or_default() += 1;
            *taken.racks.entry(disk.rack_key()).or_default() += 1;
        }
        taken
    }

    /// Whether the node and the rack have room for one more.
    fn allows(&self, disk: &DiskSite, rule: Rule) -> bool {
        self.nodes.get(&disk.node).copied().unwrap_or(0) < rule.node_limit
            && self.racks.get(&disk.rack_key()).copied().unwrap_or(0) < rule.rack_limit
    }
}
