//! Whether a change of disks or nodes keeps the promises, by the map alone. Pure.

use std::collections::{BTreeMap, BTreeSet};

use metastore::controller::site;
use placement::{DiskSite, Domain, Rule, rebalance};
use types::{
    ClusterMap, Disk, DiskClass, DiskId, DiskState, ErasurePolicy, NodeId, PgId, PlacementGroup,
    Role,
};

use super::error::{Away, Refusal};
use crate::{
    health::{is_readable, is_up},
    planning::{estimated_bytes, groups_of, loads, places, takes},
};

/// What remains may be filled so far, in per cent, by what is there now.
const FILL_MAX_PER_CENT: u64 = 90;

/// The disks of a node.
pub fn disks_of(map: &ClusterMap, node: NodeId) -> Result<BTreeSet<DiskId>, Refusal> {
    if !map.nodes.contains_key(&node) {
        return Err(Refusal::NoSuchNode(node));
    }
    let disks: BTreeSet<DiskId> =
        map.disks.values().filter(|disk| disk.node == node).map(|disk| disk.id).collect();
    if disks.is_empty() { Err(Refusal::NoDisks(node)) } else { Ok(disks) }
}

/// Whether these disks may be emptied together. Those that are being emptied already, or are out, change
/// nothing.
pub fn drain(map: &ClusterMap, domain: Domain, disks: &BTreeSet<DiskId>) -> Result<(), Refusal> {
    let mut classes = BTreeSet::new();
    for disk in disks {
        let known = map.disks.get(disk).ok_or(Refusal::NoSuchDisk(*disk))?;
        if known.state == DiskState::In {
            classes.insert(known.class);
        }
    }
    for class in &classes {
        domains_suffice(map, domain, *class, disks)?;
        space_suffices(map, *class, disks)?;
    }
    for group in map.groups.values() {
        others_are_there(map, group, disks)?;
    }
    for class in classes {
        substitutes_exist(map, domain, class, disks, None)?;
    }
    Ok(())
}

/// Whether a disk may be forgotten. One that is forgotten already may not: there is no such disk.
pub fn remove_disk(map: &ClusterMap, disk: DiskId) -> Result<(), Refusal> {
    let known = map.disks.get(&disk).ok_or(Refusal::NoSuchDisk(disk))?;
    let groups = super::groups_left(map, disk);
    match known.state {
        DiskState::In | DiskState::Draining => {
            Err(Refusal::NotOut { disk, state: known.state, groups })
        }
        DiskState::Out if groups > 0 => Err(Refusal::StillNamed { disk, groups }),
        DiskState::Out => Ok(()),
    }
}

/// Whether a node may be forgotten, and the disks that are to be forgotten before.
pub fn remove_node(map: &ClusterMap, node: NodeId) -> Result<Vec<DiskId>, Refusal> {
    let known = map.nodes.get(&node).ok_or(Refusal::NoSuchNode(node))?;
    if known.role == Role::Meta {
        return Err(Refusal::MetadataNode(node));
    }
    let disks: Vec<DiskId> =
        map.disks.values().filter(|disk| disk.node == node).map(|disk| disk.id).collect();
    disks.iter().try_for_each(|disk| remove_disk(map, *disk))?;
    Ok(disks)
}

/// Whether `new` may take the place of `old`; true if it has already. Groups that it serves with another
/// rank, since it was evened out to, give the rank of `old` to some other disk.
pub fn replace_disk(
    map: &ClusterMap,
    domain: Domain,
    old: DiskId,
    new: DiskId,
) -> Result<bool, Refusal> {
    let known = |disk| map.disks.get(&disk).ok_or(Refusal::NoSuchDisk(disk));
    let (old_disk, new_disk) = (known(old)?, known(new)?);
    if old == new {
        return Err(Refusal::SameDisk);
    }
    let groups: Vec<&PlacementGroup> =
        map.groups.values().filter(|group| group.disks.contains(&old)).collect();
    if old_disk.state == DiskState::Out && groups.is_empty() {
        return Ok(true);
    }
    if new_disk.state != DiskState::In {
        return Err(Refusal::NotIn { disk: new, state: new_disk.state });
    }
    if !is_up(map, new) {
        return Err(Refusal::NotUp(new));
    }
    if old_disk.class != new_disk.class {
        let (old_class, new_class) = (old_disk.class, new_disk.class);
        return Err(Refusal::OtherClass { old, old_class, new, new_class });
    }
    let used = |disk| map.used_bytes.get(&disk).copied().unwrap_or(0);
    let room_bytes = (new_disk.capacity_bytes / 100 * FILL_MAX_PER_CENT).saturating_sub(used(new));
    if used(old) > room_bytes {
        return Err(Refusal::TooSmall { old, new, used_bytes: used(old), room_bytes });
    }
    let leaving = BTreeSet::from([old]);
    let (served, groups): (Vec<_>, Vec<_>) =
        groups.into_iter().partition(|group| serves_otherwise(group, old, new));
    if !served.is_empty() {
        let served = served.iter().map(|group| group.id).collect();
        substitutes_exist(map, domain, old_disk.class, &leaving, Some(&served))?;
    }
    for group in groups {
        if group.former.len() >= PlacementGroup::FORMER_MAX {
            return Err(Refusal::TooManyMoves(group.id));
        }
        others_are_there(map, group, &leaving)?;
        fits(map, domain, group, old, new_disk)?;
    }
    Ok(false)
}

/// Whether `new` is, or was, another rank's disk than `old` in the group.
fn serves_otherwise(group: &PlacementGroup, old: DiskId, new: DiskId) -> bool {
    let is_rank_of_old =
        |rank: u8| group.disks.get(usize::from(rank)).is_some_and(|disk| *disk == old);
    group.disks.contains(&new)
        || group.former.iter().any(|former| former.disk == new && !is_rank_of_old(former.rank))
}

/// The disks of a class that would be left.
fn left(map: &ClusterMap, class: DiskClass, going: &BTreeSet<DiskId>) -> Vec<Disk> {
    let stays = |disk: &&Disk| {
        disk.class == class && disk.state == DiskState::In && !going.contains(&disk.id)
    };
    map.disks.values().filter(stays).cloned().collect()
}

fn sites<'a>(map: &ClusterMap, disks: impl IntoIterator<Item = &'a Disk>) -> Vec<DiskSite> {
    disks.into_iter().filter_map(|disk| site(map, disk)).collect()
}

fn policies(map: &ClusterMap, class: DiskClass) -> Vec<ErasurePolicy> {
    let all =
        groups_of(map, class).map(|group| ((group.policy.k(), group.policy.m()), group.policy));
    all.collect::<BTreeMap<_, _>>().into_values().collect()
}

/// Every policy can still form its groups, and they survive what they survived before.
fn domains_suffice(
    map: &ClusterMap,
    domain: Domain,
    class: DiskClass,
    going: &BTreeSet<DiskId>,
) -> Result<(), Refusal> {
    let now = sites(map, &left(map, class, &BTreeSet::new()));
    let then = sites(map, &left(map, class, going));
    for policy in policies(map, class) {
        let after = Rule::of(&then, policy, domain)
            .map_err(|error| Refusal::TooFewDomains { class, error })?;
        let Ok(before) = Rule::of(&now, policy, domain) else { continue };
        let weaker = |domain| Err(Refusal::Weaker { policy, class, domain });
        if before.survives_node() && !after.survives_node() {
            return weaker(Domain::Node);
        }
        if before.survives_rack() && !after.survives_rack() {
            return weaker(Domain::Rack);
        }
    }
    Ok(())
}

/// What is stored fits on what is left.
fn space_suffices(
    map: &ClusterMap,
    class: DiskClass,
    going: &BTreeSet<DiskId>,
) -> Result<(), Refusal> {
    let of_class = |disk: &&Disk| disk.class == class && disk.state != DiskState::Out;
    let used = |disk: &Disk| map.used_bytes.get(&disk.id).copied().unwrap_or(0);
    let used_bytes: u64 = map.disks.values().filter(of_class).map(used).sum();
    let capacity_bytes: u64 = left(map, class, going).iter().map(|disk| disk.capacity_bytes).sum();
    if used_bytes > capacity_bytes / 100 * FILL_MAX_PER_CENT {
        return Err(Refusal::TooLittleSpace { class, used_bytes, capacity_bytes });
    }
    Ok(())
}

/// No other shard of the group's stripes is away. A disk that does not answer may always go: its shards
/// are lost already, and the sooner it is said the sooner they are rebuilt.
fn others_are_there(
    map: &ClusterMap,
    group: &PlacementGroup,
    going: &BTreeSet<DiskId>,
) -> Result<(), Refusal> {
    let goes = |disk: &&DiskId| {
        let is_in = map.disks.get(disk).is_some_and(|disk| disk.state == DiskState::In);
        going.contains(disk) && is_in && is_up(map, **disk)
    };
    let Some(disk) = group.disks.iter().find(goes).copied() else { return Ok(()) };
    for (rank, other) in (0u8..).zip(group.disks.iter().copied()) {
        if going.contains(&other) {
            continue;
        }
        let why = match map.disks.get(&other).map(|disk| disk.state) {
            _ if !is_readable(map, group, rank) => Away::Down,
            Some(DiskState::Draining) => Away::Draining,
            Some(DiskState::Out) => Away::Out,
            Some(DiskState::In) | None => continue,
        };
        return Err(Refusal::OthersAway { disk, group: group.id, other, why });
    }
    Ok(())
}

/// Each rank has a disk to which it can go, in these groups or all, once the moves that are under way have
/// ended.
fn substitutes_exist(
    map: &ClusterMap,
    domain: Domain,
    class: DiskClass,
    going: &BTreeSet<DiskId>,
    groups: Option<&BTreeSet<PgId>>,
) -> Result<(), Refusal> {
    let places = places(map, class, |disk| takes(map, disk) && !going.contains(&disk.id));
    let leaving = |group: &PlacementGroup| {
        let ranks = (0u8..).zip(&group.disks).filter(|(_, disk)| going.contains(disk));
        ranks.map(|(rank, _)| rank).collect()
    };
    let mut loads = loads(map, class, &estimated_bytes(map), leaving);
    for load in &mut loads {
        load.former.clear();
        if groups.is_some_and(|groups| !groups.contains(&load.id)) {
            load.leaving.clear();
        }
    }
    match rebalance(&places, &loads, domain, false).stuck.into_iter().next() {
        None => Ok(()),
        Some(stuck) => {
            Err(Refusal::NoSubstitute { group: stuck.group, rank: stuck.rank, error: stuck.error })
        }
    }
}

/// The group obeys the rule with `new` in the place of `old`.
fn fits(
    map: &ClusterMap,
    domain: Domain,
    group: &PlacementGroup,
    old: DiskId,
    new: &Disk,
) -> Result<(), Refusal> {
    let breaks = |domain| Err(Refusal::BreaksRule { old, new: new.id, group: group.id, domain });
    let all = sites(map, &left(map, new.class, &BTreeSet::from([old])));
    let rule = match Rule::of(&all, group.policy, domain) {
        Ok(rule) => rule,
        Err(error) => return Err(Refusal::TooFewDomains { class: new.class, error }),
    };
    let Some(site) = site(map, new) else { return Err(Refusal::NoSuchNode(new.node)) };
    let others = group.disks.iter().filter(|disk| **disk != old);
    let others = sites(map, others.filter_map(|disk| map.disks.get(disk)));
    let on_node = others.iter().filter(|other| other.node == site.node).count();
    if on_node >= rule.node_limit {
        return breaks(Domain::Node);
    }
    let in_rack = |other: &&DiskSite| (&other.zone, &other.rack) == (&site.zone, &site.rack);
    if others.iter().filter(in_rack).count() >= rule.rack_limit {
        return breaks(Domain::Rack);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
