//! Which placement group a new blob goes to: among those that its storage class wants, the
//! emptier of two random ones whose disks all answer; failing that, one that can still reach
//! the write quorum.

use std::collections::BTreeSet;

use rand::Rng;
use types::{
    BlobRef, ClusterMap, Compression, DiskClass, DiskId, DiskState, Encoding, PgId, PlacementGroup,
    StorageClass, StorageProfile,
};

use crate::Error;

/// What a new blob is for: its class, and the profile that the class had when the blob was
/// begun. A blob that has to move to another group is finished under the same profile.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    pub(crate) class: StorageClass,
    pub(crate) profile: StorageProfile,
}

impl Wanted {
    /// As the cluster's profiles are now.
    pub(crate) fn new(map: &ClusterMap, class: StorageClass) -> Self {
        Self { class, profile: map.classes.profile(class) }
    }

    /// The groups that serve the profile: those of its disks, or if the cluster has none of
    /// these for the policy, of the next hotter ones.
    fn groups<'a>(&self, map: &'a ClusterMap) -> Vec<&'a PlacementGroup> {
        let mut disks = Some(self.profile.disks);
        while let Some(class) = disks {
            let serves = |group: &&PlacementGroup| {
                group.policy == self.profile.policy && group.class == class
            };
            let groups: Vec<_> = map.groups.values().filter(serves).collect();
            if !groups.is_empty() {
                return groups;
            }
            disks = DiskClass::hotter(class);
        }
        Vec::new()
    }

    /// Whether a blob is stored as a new one would be now.
    pub(crate) fn fits(&self, map: &ClusterMap, blob: &BlobRef) -> bool {
        let compression = match blob.encoding {
            Encoding::Plain => Compression::None,
            Encoding::Zstd { .. } => Compression::Zstd,
        };
        compression == self.profile.compression
            && self.groups(map).iter().any(|group| group.id == blob.pg)
            && blob.policy == self.profile.policy
    }
}

/// Chooses a group for a new blob, not among `tried`. `Unavailable` says which disks keep
/// every group from reaching its write quorum, or that there is no group.
pub(crate) fn choose(
    map: &ClusterMap,
    wanted: Wanted,
    likely_up: impl Fn(DiskId) -> bool,
    tried: &[PgId],
    rng: &mut impl Rng,
) -> Result<PlacementGroup, Error> {
    let groups = wanted.groups(map);
    let members: BTreeSet<DiskId> =
        groups.iter().flat_map(|group| group.disks.iter().copied()).collect();
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
    let quorum = wanted.profile.policy.write_quorum();

    let candidates: Vec<(&PlacementGroup, usize)> = groups
        .into_iter()
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
        return Err(Error::Unavailable(refusal(
            wanted,
            members.is_empty(),
            &down,
            !tried.is_empty(),
        )));
    }
    let first = pool[rng.random_range(0..pool.len())];
    let second = pool[rng.random_range(0..pool.len())];
    Ok(if fullness(map, second) < fullness(map, first) { second } else { first }.clone())
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

fn refusal(wanted: Wanted, no_groups: bool, down: &[DiskId], some_were_tried: bool) -> String {
    let Wanted { class, profile: StorageProfile { policy, disks, .. } } = wanted;
    let (quorum, n) = (policy.write_quorum(), policy.n());
    if no_groups {
        return format!(
            "the cluster has no placement group of {policy} for {class} yet: start at least {n} \
             data disks of class {disks} (or of a hotter one), or give {class} another profile"
        );
    }
    if down.is_empty() {
        let other = if some_were_tried { "other " } else { "" };
        return format!("no {other}placement group for {class} can keep {quorum} of {n} shards");
    }
    let down = not_answering(down);
    format!("no placement group for {class} can keep {quorum} of {n} shards: {down}")
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
    use types::{
        ClusterId, Disk, DiskUuid, Epoch, ErasurePolicy, FeatureLevel, NodeId, StorageClasses,
    };

    use super::*;

    fn map(groups: &[[u32; 6]]) -> ClusterMap {
        let policy = ErasurePolicy::new(4, 2).expect("valid");
        let disk = |id| Disk {
            id: DiskId(id),
            uuid: DiskUuid::from_bytes([0; 16]),
            node: NodeId(u64::from(id)),
            capacity_bytes: 1000,
            state: DiskState::In,
            class: DiskClass::Hot,
        };
        let group = |index: usize, disks: &[u32; 6]| PlacementGroup {
            id: PgId(index as u32),
            epoch: Epoch(1),
            policy,
            class: DiskClass::Hot,
            disks: disks.iter().copied().map(DiskId).collect(),
            former: Vec::new(),
        };
        ClusterMap {
            cluster: ClusterId::from_bytes([0; 16]),
            epoch: Epoch(1),
            level: FeatureLevel::OURS,
            policy,
            classes: StorageClasses::new(policy),
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

    fn standard(map: &ClusterMap) -> Wanted {
        Wanted::new(map, StorageClass::Standard)
    }

    fn picks(map: &ClusterMap, down: &[u32], tried: &[PgId]) -> Result<BTreeSet<u32>, Error> {
        let mut rng = StdRng::seed_from_u64(7);
        let up = |disk: DiskId| !down.contains(&disk.0);
        (0..100)
            .map(|_| choose(map, standard(map), up, tried, &mut rng).map(|group| group.id.0))
            .collect()
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
            "no placement group for STANDARD can keep 5 of 6 shards: disks d2, d4 do not answer"
        );
        let error = picks(&map, &[], &[PgId(0)]).expect_err("all tried");
        assert_eq!(
            error.to_string(),
            "no other placement group for STANDARD can keep 5 of 6 shards"
        );
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
    fn a_class_goes_to_its_disks_or_to_the_next_hotter_ones() {
        use StorageClass::{Glacier, OnezoneIa, Standard, StandardIa};
        let mut map = map(&[[1, 2, 3, 4, 5, 6], [7, 8, 9, 10, 11, 12], [1, 2, 3, 4, 5, 12]]);
        let classes = [DiskClass::Hot, DiskClass::Warm, DiskClass::Cold];
        for (number, class) in (0..).zip(classes) {
            map.groups.get_mut(&PgId(number)).expect("there").class = class;
        }
        let pick = |map: &ClusterMap, class| {
            let mut rng = StdRng::seed_from_u64(7);
            let wanted = Wanted::new(map, class);
            choose(map, wanted, |_| true, &[], &mut rng).map(|group| group.id.0)
        };
        assert_eq!([Standard, StandardIa, Glacier].map(|it| pick(&map, it)), [Ok(0), Ok(1), Ok(2)]);
        map.groups.remove(&PgId(2));
        assert_eq!([Standard, StandardIa, Glacier].map(|it| pick(&map, it)), [Ok(0), Ok(1), Ok(1)]);
        // Disks that do not answer are no reason for hotter ones: they may be few.
        map.down.extend((7..=8).map(DiskId));
        let error = pick(&map, StandardIa).expect_err("no quorum").to_string();
        assert!(error.contains("STANDARD_IA") && error.contains("d7, d8"), "{error}");
        map.groups.remove(&PgId(1));
        assert_eq!(pick(&map, Glacier), Ok(0));
        let error = pick(&map, OnezoneIa).expect_err("no group of 4+1").to_string();
        assert_eq!(
            error,
            "the cluster has no placement group of rs-4-1 for ONEZONE_IA yet: start at least 5 data \
             disks of class warm (or of a hotter one), or give ONEZONE_IA another profile"
        );
    }

    #[test]
    fn the_emptier_of_two_wins() {
        let mut map = map(&[[1, 2, 3, 4, 5, 6], [7, 8, 9, 10, 11, 12]]);
        map.used_bytes.insert(DiskId(1), 900);
        let mut rng = StdRng::seed_from_u64(7);
        let full = (0..1000)
            .filter(|_| {
                choose(&map, standard(&map), |_| true, &[], &mut rng).expect("up").id == PgId(0)
            })
            .count();
        // Only when both random picks are the full one: a quarter.
        assert!((150..350).contains(&full), "{full}");
    }
}
