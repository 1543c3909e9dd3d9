//! Which group is healed next, and how much there is to do. Pure over the cluster map and who
//! answers.

use std::collections::BTreeMap;

use types::{ClusterMap, DiskId, PlacementGroup};

/// Ranks of which everything can be read, less k: how many more disks the group can lose. A rank
/// on the move counts only if all of its holders answer, because nobody knows yet which of them has
/// what.
pub(crate) fn margin(group: &PlacementGroup, answers: impl Fn(DiskId) -> bool) -> isize {
    let ranks = 0..u8::try_from(group.disks.len()).unwrap_or(u8::MAX);
    let whole = ranks.filter(|rank| group.holders(*rank).all(&answers)).count();
    let count = |number: usize| isize::try_from(number).unwrap_or(isize::MAX);
    count(whole) - count(group.policy.k())
}

/// In how many groups each disk has a rank.
pub(crate) fn ranks(map: &ClusterMap) -> BTreeMap<DiskId, u64> {
    let mut ranks = BTreeMap::new();
    for disk in map.groups.values().flat_map(|group| &group.disks) {
        *ranks.entry(*disk).or_default() += 1;
    }
    ranks
}

/// A guess at the bytes that the group's moves have to bring to their new members: for each rank
/// that has moved the mean share of a group in what its other members hold.
pub(crate) fn bytes(
    map: &ClusterMap,
    group: &PlacementGroup,
    ranks: &BTreeMap<DiskId, u64>,
) -> u64 {
    let has_moved =
        |rank: usize| group.former.iter().any(|former| usize::from(former.rank) == rank);
    let (moved, settled): (Vec<usize>, Vec<usize>) =
        (0..group.disks.len()).partition(|rank| has_moved(*rank));
    let share = |rank: &usize| {
        let disk = group.disks[*rank];
        Some(map.used_bytes.get(&disk)? / ranks.get(&disk).copied().unwrap_or(1).max(1))
    };
    let shares: Vec<u64> = settled.iter().filter_map(share).collect();
    let mean = shares.iter().sum::<u64>().checked_div(shares.len() as u64).unwrap_or(0);
    mean.saturating_mul(moved.len() as u64)
}

#[cfg(test)]
mod tests {
    use types::{
        ClusterId, DiskClass, Epoch, ErasurePolicy, FeatureLevel, Former, PgId, StorageClasses,
    };

    use super::*;

    fn group(former: &[(u8, u32)]) -> PlacementGroup {
        PlacementGroup {
            id: PgId(1),
            epoch: Epoch(1),
            policy: ErasurePolicy::new(4, 2).expect("valid"),
            class: DiskClass::Hot,
            disks: (1..=6).map(DiskId).collect(),
            former: former
                .iter()
                .map(|(rank, disk)| Former { rank: *rank, disk: DiskId(*disk) })
                .collect(),
        }
    }

    #[test]
    fn a_rank_on_the_move_is_as_safe_as_all_of_its_disks() {
        let with_down =
            |group: &PlacementGroup, down: &[u32]| margin(group, |disk| !down.contains(&disk.0));
        assert_eq!(with_down(&group(&[]), &[]), 2);
        assert_eq!(with_down(&group(&[]), &[1, 3]), 0);
        assert_eq!(with_down(&group(&[(0, 7)]), &[]), 2);
        assert_eq!(with_down(&group(&[(0, 7)]), &[7]), 1);
        assert_eq!(with_down(&group(&[(0, 7), (0, 8)]), &[7, 8]), 1);
        assert_eq!(with_down(&group(&[(0, 7), (1, 8)]), &[7, 8, 3]), -1);
    }

    #[test]
    fn what_the_others_have_of_a_group_is_what_a_new_member_lacks() {
        let policy = ErasurePolicy::new(4, 2).expect("valid");
        let groups = [group(&[(0, 7)]), PlacementGroup { id: PgId(2), ..group(&[]) }];
        let map = ClusterMap {
            cluster: ClusterId::from_bytes([0; 16]),
            epoch: Epoch(1),
            level: FeatureLevel::OURS,
            policy,
            classes: StorageClasses::new(policy),
            nodes: BTreeMap::new(),
            disks: BTreeMap::new(),
            groups: groups.into_iter().map(|group| (group.id, group)).collect(),
            partitions: Vec::new(),
            down: Default::default(),
            used_bytes: (2..=6).map(|disk| (DiskId(disk), 100 * u64::from(disk))).collect(),
        };
        let ranks = ranks(&map);
        assert_eq!(bytes(&map, &map.groups[&PgId(1)], &ranks), 200, "half of 400");
        assert_eq!(bytes(&map, &map.groups[&PgId(2)], &ranks), 0);
    }
}
