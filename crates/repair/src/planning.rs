//! The cluster map as the planner of moves sees it: one class of disks at a time, since no rank moves to
//! a disk of another class.

use std::collections::{BTreeMap, BTreeSet};

use metastore::controller::site;
use placement::{Load, Place};
use types::{ClusterMap, Disk, DiskClass, DiskId, DiskState, NodeId, PgId, PlacementGroup};

use crate::health::{is_up, margin};

/// The groups that stand for a class.
pub(crate) fn groups_of(
    map: &ClusterMap,
    class: DiskClass,
) -> impl Iterator<Item = &PlacementGroup> + '_ {
    map.groups.values().filter(move |group| group.class == class)
}

/// The classes that have groups.
pub(crate) fn classes(map: &ClusterMap) -> BTreeSet<DiskClass> {
    map.groups.values().map(|group| group.class).collect()
}

/// Whether a disk is one to which ranks may move.
pub(crate) fn takes(map: &ClusterMap, disk: &Disk) -> bool {
    disk.state == DiskState::In && is_up(map, disk.id)
}

/// The disks of a class: those that `takes` says may be moved to, and all others of it, and those of
/// other classes that are members of its groups.
pub(crate) fn places(
    map: &ClusterMap,
    class: DiskClass,
    takes: impl Fn(&Disk) -> bool,
) -> Vec<Place> {
    let members: BTreeSet<DiskId> =
        groups_of(map, class).flat_map(|group| group.disks.iter().copied()).collect();
    map.disks
        .values()
        .filter(|disk| disk.class == class || members.contains(&disk.id))
        .filter_map(|disk| {
            let mut site = site(map, disk)?;
            if platform::planted("break-rule") {
                (site.node, site.rack) = (NodeId(disk.id.0.into()), disk.id.to_string());
            }
            Some(Place {
                site,
                capacity_bytes: disk.capacity_bytes,
                used_bytes: map.used_bytes.get(&disk.id).copied().unwrap_or(0),
                takes: disk.class == class && takes(disk),
            })
        })
        .collect()
}

/// The groups of a class, with `leaving` ranks and `bytes` a shard.
pub(crate) fn loads(
    map: &ClusterMap,
    class: DiskClass,
    bytes: &BTreeMap<PgId, u64>,
    leaving: impl Fn(&PlacementGroup) -> BTreeSet<u8>,
) -> Vec<Load> {
    let load = |group: &PlacementGroup| Load {
        id: group.id,
        policy: group.policy,
        disks: group.disks.clone(),
        former: group.former.clone(),
        shard_bytes: bytes.get(&group.id).copied().unwrap_or(0),
        leaving: leaving(group),
        margin: margin(map, group),
    };
    groups_of(map, class).map(load).collect()
}

/// About how many bytes each member holds of a group, by what the disks say that they hold in all.
pub(crate) fn estimated_bytes(map: &ClusterMap) -> BTreeMap<PgId, u64> {
    let mut ranks: BTreeMap<DiskId, u64> = BTreeMap::new();
    for disk in map.groups.values().flat_map(|group| &group.disks) {
        *ranks.entry(*disk).or_default() += 1;
    }
    let of_rank = |disk: &DiskId| {
        let used = map.used_bytes.get(disk).copied()?;
        used.checked_div(ranks.get(disk).copied()?)
    };
    map.groups
        .values()
        .map(|group| {
            let known: Vec<u64> = group.disks.iter().filter_map(of_rank).collect();
            let mean = known.iter().sum::<u64>() / (known.len() as u64).max(1);
            (group.id, mean)
        })
        .collect()
}
