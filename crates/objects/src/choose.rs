//! Which placement group a new blob goes to: the emptier of two random ones whose disks
//! all answer; failing that, one that can still reach the write quorum.

use std::collections::BTreeSet;

use rand::Rng;
use types::{ClusterMap, DiskId, DiskState, PgId, PlacementGroup};

use crate::Error;

/// Chooses a group for a new blob of the map's policy, not among `tried`.
/// `Unavailable` says which disks keep every group from reaching its write quorum.
pub(crate) fn choose(
    map: &ClusterMap,
    likely_up: impl Fn(DiskId) -> bool,
    tried: &[PgId],
    rng: &mut impl Rng,
) -> Result<PlacementGroup, Error> {
    let members: BTreeSet<DiskId> =
        of_policy(map).flat_map(|group| group.disks.iter().copied()).collect();
    let state = |disk: &DiskId| map.disks.get(disk).map(|disk| disk.state);
    let up: BTreeSet<DiskId> = members
        .iter()
        .copied()
        .filter(|disk| {
            let serving = matches!(state(disk), Some(DiskState::In | DiskState::Draining));
            serving && !map.down.contains(disk) && likely_up(*disk)
        })
        .collect();
    let answering =
        |group: &PlacementGroup| group.disks.iter().filter(|disk| up.contains(disk)).count();
    // Disks that are being emptied take a write only where nothing better is left.
    let healthy = |group: &PlacementGroup| {
        let staying = |disk: &&DiskId| up.contains(disk) && state(disk) == Some(DiskState::In);
        group.disks.iter().filter(staying).count()
    };
    let quorum = map.policy.write_quorum();

    let candidates: Vec<(&PlacementGroup, usize)> = of_policy(map)
        .filter(|group| !tried.contains(&group.id) && answering(group) >= quorum)
        .map(|group| (group, healthy(group)))
        .collect();
    // Fully healthy groups first; among degraded ones the most complete.
    let best = candidates.iter().map(|(_, healthy)| *healthy).max();
    let pool: Vec<&PlacementGroup> = candidates
        .iter()
        .filter(|(_, healthy)| Some(*healthy) == best)
        .map(|(group, _)| *group)
        .collect();
    if pool.is_empty() {
        let down: Vec<DiskId> = members.difference(&up).copied().collect();
        return Err(Error::Unavailable(refusal(map, &down, !tried.is_empty())));
    }
    let first = pool[rng.random_range(0..pool.len())];
    let second = pool[rng.random_range(0..pool.len())];
    Ok(if fullness(map, second) < fullness(map, first) { second } else { first }.clone())
}

fn of_policy(map: &ClusterMap) -> impl Iterator<Item = &PlacementGroup> {
    map.groups.values().filter(|group| group.policy == map.policy)
}

/// Per mille of the fullest member: the disk that will refuse first.
fn fullness(map: &ClusterMap, group: &PlacementGroup) -> u64 {
    let per_mille = |disk: &DiskId| {
        let used = map.used_bytes.get(disk).copied().unwrap_or(0);
        let capacity = map.disks.get(disk).map_or(0, |disk| disk.capacity_bytes);
        let share = u128::from(used) * 1000 / u128::from(capacity.max(1));
        u64::try_from(share).unwrap_or(u64::MAX)
    };
    group.disks.iter().map(per_mille).max().unwrap_or(u64::MAX)
}

fn refusal(map: &ClusterMap, down: &[DiskId], some_were_tried: bool) -> String {
    let (quorum, n) = (map.policy.write_quorum(), map.policy.n());
    if of_policy(map).next().is_none() {
        return format!(
            "the cluster has no placement group for {} yet: start at least {n} data disks",
            map.policy
        );
    }
    if down.is_empty() {
        let other = if some_were_tried { "other " } else { "" };
        return format!("no {other}placement group can keep {quorum} of {n} shards");
    }
    format!("no placement group can keep {quorum} of {n} shards: {}", not_answering(down))
}

/// `disks d2, d4 do not answer`, with the first eight named.
pub(crate) fn not_answering(disks: &[DiskId]) -> String {
    const NAMED_MAX: usize = 8;
    let mut names: Vec<String> = disks.iter().take(NAMED_MAX).map(DiskId::to_string).collect();
    if disks.len() > NAMED_MAX {
        names.push(format!("and {} more", disks.len() - NAMED_MAX));
    }
    match disks.len() {
        1 => format!("disk {} does not answer", names[0]),
        _ => format!("disks {} do not answer", names.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use rand::{SeedableRng, rngs::StdRng};
    use types::{ClusterId, Disk, DiskUuid, Epoch, ErasurePolicy, NodeId};

    use super::*;

    fn map(groups: &[[u32; 6]]) -> ClusterMap {
        let policy = ErasurePolicy::new(4, 2).expect("valid");
        let disk = |id| Disk {
            id: DiskId(id),
            uuid: DiskUuid::from_bytes([0; 16]),
            node: NodeId(u64::from(id)),
            capacity_bytes: 1000,
            state: DiskState::In,
        };
        let group = |index: usize, disks: &[u32; 6]| PlacementGroup {
            id: PgId(index as u32),
            epoch: Epoch(1),
            policy,
            disks: disks.iter().copied().map(DiskId).collect(),
        };
        ClusterMap {
            cluster: ClusterId::from_bytes([0; 16]),
            epoch: Epoch(1),
            policy,
            nodes: Default::default(),
            disks: groups.iter().flatten().map(|id| (DiskId(*id), disk(*id))).collect(),
            groups: groups
                .iter()
                .enumerate()
                .map(|(index, disks)| (PgId(index as u32), group(index, disks)))
                .collect(),
            partitions: vec![],
            down: Default::default(),
            used_bytes: Default::default(),
        }
    }

    fn picks(map: &ClusterMap, down: &[u32], tried: &[PgId]) -> Result<BTreeSet<u32>, Error> {
        let mut rng = StdRng::seed_from_u64(7);
        let up = |disk: DiskId| !down.contains(&disk.0);
        (0..100).map(|_| choose(map, up, tried, &mut rng).map(|group| group.id.0)).collect()
    }

    #[test]
    fn healthy_groups_go_before_degraded_ones() {
        let map = map(&[[1, 2, 3, 4, 5, 6], [7, 8, 9, 10, 11, 12], [1, 2, 3, 4, 5, 12]]);
        assert_eq!(picks(&map, &[], &[]).expect("up"), BTreeSet::from([0, 1, 2]));
        assert_eq!(picks(&map, &[6], &[]).expect("up"), BTreeSet::from([1, 2]));
        assert_eq!(picks(&map, &[6, 7], &[]).expect("up"), BTreeSet::from([2]));
        assert_eq!(picks(&map, &[6, 7, 12], &[]).expect("quorum"), BTreeSet::from([0, 2]));
        assert_eq!(picks(&map, &[6], &[PgId(1), PgId(2)]).expect("quorum"), BTreeSet::from([0]));
    }

    #[test]
    fn the_refusal_names_the_disks() {
        let map = map(&[[1, 2, 3, 4, 5, 6]]);
        let error = picks(&map, &[2, 4], &[]).expect_err("no quorum");
        assert_eq!(
            error.to_string(),
            "no placement group can keep 5 of 6 shards: disks d2, d4 do not answer"
        );
        let error = picks(&map, &[], &[PgId(0)]).expect_err("all tried");
        assert_eq!(error.to_string(), "no other placement group can keep 5 of 6 shards");
    }

    #[test]
    fn disks_that_are_reported_down_or_being_emptied_do_not_count_as_healthy() {
        let mut map = map(&[[1, 2, 3, 4, 5, 6], [7, 8, 9, 10, 11, 12]]);
        map.down.insert(DiskId(3));
        assert_eq!(picks(&map, &[], &[]).expect("up"), BTreeSet::from([1]));
        map.disks.get_mut(&DiskId(9)).expect("there").state = DiskState::Draining;
        assert_eq!(picks(&map, &[], &[]).expect("quorum"), BTreeSet::from([0, 1]));
        map.down.insert(DiskId(4));
        for disk in 7..=12 {
            map.disks.get_mut(&DiskId(disk)).expect("there").state = DiskState::Draining;
        }
        assert_eq!(picks(&map, &[], &[]).expect("draining"), BTreeSet::from([1]));
    }

    #[test]
    fn the_emptier_of_two_wins() {
        let mut map = map(&[[1, 2, 3, 4, 5, 6], [7, 8, 9, 10, 11, 12]]);
        map.used_bytes.insert(DiskId(1), 900);
        let mut rng = StdRng::seed_from_u64(7);
        let full = (0..1000)
            .filter(|_| choose(&map, |_| true, &[], &mut rng).expect("up").id == PgId(0))
            .count();
        // Only when both random picks are the full one: a quarter.
        assert!((150..350).contains(&full), "{full}");
    }
}
