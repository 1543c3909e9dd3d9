//! The placement groups by themselves: which are whole, and which break the placement rule. Pure.

use std::collections::BTreeMap;

use placement::{DiskSite, Domain, Rule};
use types::{ClusterMap, DiskClass, DiskId, DiskState, ErasurePolicy, PlacementGroup};

use super::report::{FINDINGS_MAX, Placement};

/// How many members one thing may hold.
#[derive(Clone, Copy, Debug)]
struct Limits {
    node: usize,
    rack: usize,
}

/// The health of all groups by the map and the disks that did not answer.
pub(super) fn placement(
    map: &ClusterMap,
    silent: &BTreeMap<DiskId, String>,
    domain: Domain,
) -> Placement {
    let mut placement = Placement::default();
    let mut limits: BTreeMap<(ErasurePolicy, Vec<DiskClass>), Limits> = BTreeMap::new();
    for group in map.groups.values() {
        let serves = |disk: &&DiskId| {
            !map.down.contains(disk)
                && !silent.contains_key(disk)
                && map.disks.get(disk).is_some_and(|disk| disk.state != DiskState::Out)
        };
        let serving = group.disks.iter().filter(serves).count();
        placement.groups += 1;
        placement.whole += u64::from(serving == group.policy.n());
        placement.short += u64::from((group.policy.k()..group.policy.n()).contains(&serving));
        placement.unreadable += u64::from(serving < group.policy.k());
        placement.moving += u64::from(!group.former.is_empty());
        let leaves = |disk: &DiskId| map.disks.get(disk).is_none_or(|d| d.state != DiskState::In);
        placement.leaving += u64::from(group.disks.iter().any(leaves));
        let classes = classes(map, group);
        let limits = *limits
            .entry((group.policy, classes.clone()))
            .or_insert_with(|| limits_of(map, group.policy, &classes, domain));
        if let Some(violation) = violation(map, group, limits) {
            placement.violating += 1;
            if placement.violations.len() < FINDINGS_MAX {
                placement.violations.push(violation);
            }
        }
    }
    placement
}

/// The classes of a group's members: its disks may be of a hotter one than its own.
fn classes(map: &ClusterMap, group: &PlacementGroup) -> Vec<DiskClass> {
    let of = |disk: &DiskId| map.disks.get(disk).map(|disk| disk.class);
    let mut classes: Vec<DiskClass> = group.disks.iter().filter_map(of).collect();
    classes.sort_unstable();
    classes.dedup();
    classes
}

/// The rule for the disks that take part. Where they are too few for any group, a node or rack may
/// hold what the domain says at its strictest.
fn limits_of(
    map: &ClusterMap,
    policy: ErasurePolicy,
    classes: &[DiskClass],
    domain: Domain,
) -> Limits {
    let sites: Vec<DiskSite> = map
        .disks
        .values()
        .filter(|disk| disk.state == DiskState::In && classes.contains(&disk.class))
        .filter_map(|disk| {
            let location = &map.nodes.get(&disk.node)?.location;
            Some(DiskSite {
                id: disk.id,
                node: disk.node,
                rack: location.rack.clone(),
                zone: location.zone.clone(),
            })
        })
        .collect();
    match Rule::of(&sites, policy, domain) {
        Ok(rule) => Limits { node: rule.node_limit, rack: rule.rack_limit },
        Err(_) => match domain {
            Domain::Disk => Limits { node: policy.n(), rack: policy.n() },
            Domain::Node => Limits { node: 1, rack: policy.n() },
            Domain::Rack => Limits { node: 1, rack: 1 },
        },
    }
}

/// How a group breaks the rule, in one sentence.
fn violation(map: &ClusterMap, group: &PlacementGroup, limits: Limits) -> Option<String> {
    let mut nodes: BTreeMap<u64, usize> = BTreeMap::new();
    let mut racks: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    let mut disks: BTreeMap<DiskId, usize> = BTreeMap::new();
    for disk in &group.disks {
        *disks.entry(*disk).or_default() += 1;
        let Some(node) = map.node_of(*disk) else { continue };
        *nodes.entry(node.id.0).or_default() += 1;
        *racks.entry((&node.location.zone, &node.location.rack)).or_default() += 1;
    }
    let id = group.id;
    if let Some((disk, count)) = disks.iter().find(|(_, count)| **count > 1) {
        return Some(format!("{id} has disk {disk} in {count} ranks"));
    }
    if let Some((node, count)) = nodes.iter().find(|(_, count)| **count > limits.node) {
        return Some(format!(
            "{id} has {count} members on node {node}, where {} may be",
            limits.node
        ));
    }
    let ((zone, rack), count) = racks.iter().find(|(_, count)| **count > limits.rack)?;
    let place = match (*zone, *rack) {
        ("", rack) => format!("rack {rack:?}"),
        (zone, rack) => format!("rack {rack:?} of zone {zone:?}"),
    };
    Some(format!("{id} has {count} members in {place}, where {} may be", limits.rack))
}
