//! How far a placement group is from losing data, by what the cluster map says of its disks.

use types::{ClusterMap, DiskId, PlacementGroup};

/// Whether a disk is registered and answers.
pub(crate) fn is_up(map: &ClusterMap, disk: DiskId) -> bool {
    map.disks.contains_key(&disk) && !map.down.contains(&disk)
}

/// Whether all shards of a rank can be read. While a rank has former disks nobody knows which of them has
/// what, so all must answer, and the member.
pub(crate) fn is_readable(map: &ClusterMap, group: &PlacementGroup, rank: u8) -> bool {
    group.holders(rank).all(|disk| is_up(map, disk))
}

/// Shards of each of the group's blobs that may be lost besides those that cannot be read now: readable
/// ranks minus `k`. Below zero, something cannot be read.
pub(crate) fn margin(map: &ClusterMap, group: &PlacementGroup) -> i64 {
    let ranks = (0u8..).take(group.policy.n());
    let readable = ranks.filter(|rank| is_readable(map, group, *rank)).count();
    let signed = |number: usize| i64::try_from(number).expect("a policy has at most 32 chunks");
    signed(readable) - signed(group.policy.k())
}
