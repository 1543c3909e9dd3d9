//! The cluster map: nodes, disks, placement groups and the partition directory.
//! The root group owns it; everybody else holds a copy that may be stale, and
//! finds out because stale epochs are refused.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::{
    BucketId, ClusterId, DiskClass, DiskId, DiskUuid, Epoch, ErasurePolicy, GroupId, InstanceId,
    NodeId, PgId, StorageClasses, StorageProfile,
};

/// What a node does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Role {
    Meta,
    Data,
}

/// Where a node stands: the failure domains, widest first.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, Default)]
pub struct Location {
    /// Zone label; empty if there is only one.
    pub zone: String,
    /// Rack label; empty if there is only one.
    pub rack: String,
}

/// A registered node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// Its id.
    pub id: NodeId,
    /// The random identity that its data folder was formatted with. The same
    /// node id with another instance is a wiped node and is refused.
    pub instance: InstanceId,
    /// What it does.
    pub role: Role,
    /// Where its internal service listens, `host:port`.
    pub address: String,
    /// Its failure domains.
    pub location: Location,
    /// The highest feature level that its software knows.
    pub level: FeatureLevel,
}

/// What the formats and protocols of a cluster are: software of level `l` works in clusters of
/// level `l - 1` and `l`. New software runs at the old level until somebody finalises the new one;
/// until then the old software can come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FeatureLevel(pub u32);

impl FeatureLevel {
    /// The highest level that this build knows.
    pub const OURS: FeatureLevel = FeatureLevel(1);

    /// Whether software of this level can be part of a cluster of `cluster`'s level.
    pub fn serves(self, cluster: FeatureLevel) -> bool {
        self == cluster || self.0 == cluster.0 + 1
    }
}

/// What the operator (or repair) decided about a disk. Whether it answers just
/// now is soft state, see [`ClusterMap::down`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum DiskState {
    /// Takes part in placement.
    In,
    /// Being emptied.
    Draining,
    /// Out for good.
    Out,
}

/// A registered disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disk {
    /// Its id.
    pub id: DiskId,
    /// What its format file says.
    pub uuid: DiskUuid,
    /// The data node that serves it.
    pub node: NodeId,
    /// Bytes it can hold.
    pub capacity_bytes: u64,
    /// The decision about it.
    pub state: DiskState,
    /// What it is for.
    pub class: DiskClass,
}

/// An ordered set of `n` disks: rank `r` of a blob of this group is on `disks[r]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlacementGroup {
    /// Its id.
    pub id: PgId,
    /// Grows with every change of members.
    pub epoch: Epoch,
    /// The policy it serves; `disks.len() == policy.n()`.
    pub policy: ErasurePolicy,
    /// The class that it stands for. Its disks may be of a hotter one, where the cluster has none
    /// of this.
    pub class: DiskClass,
    /// The members in rank order.
    pub disks: Vec<DiskId>,
    /// Disks that ranks have moved away from and that may still hold shards which the members
    /// lack. Nothing new goes there. In the order of the moves; at most
    /// [`PlacementGroup::FORMER_MAX`].
    pub former: Vec<Former>,
}

/// A disk that was the member of a rank and whose shards are being copied to the member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Former {
    /// The rank.
    pub rank: u8,
    /// The disk.
    pub disk: DiskId,
}

impl PlacementGroup {
    /// Moves of one group that may be under way together.
    pub const FORMER_MAX: usize = 8;

    /// The disks that may hold shards of a rank: the member, then the former ones, latest first.
    pub fn holders(&self, rank: u8) -> impl Iterator<Item = DiskId> + '_ {
        let member = self.disks.get(usize::from(rank)).copied();
        let former = self.former.iter().rev().filter(move |former| former.rank == rank);
        member.into_iter().chain(former.map(|former| former.disk))
    }

    /// Whether the disk is a member or a former one.
    pub fn names(&self, disk: DiskId) -> bool {
        self.disks.contains(&disk) || self.former.iter().any(|former| former.disk == disk)
    }
}

/// A half-open range of (bucket, key) and the Raft group that holds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Partition {
    /// The group.
    pub group: GroupId,
    /// Grows with every change of range; requests carry it.
    pub epoch: Epoch,
    /// First position of the range, inclusive: bucket id (u64 BE) then key bytes.
    pub start: Vec<u8>,
    /// End of the range, exclusive; `None` for the last partition.
    pub end: Option<Vec<u8>>,
}

impl Partition {
    /// The position of (bucket, key) in the order that ranges cut.
    pub fn position(bucket: BucketId, key: &str) -> Vec<u8> {
        let mut position = Vec::with_capacity(8 + key.len());
        position.extend_from_slice(&bucket.0.to_be_bytes());
        position.extend_from_slice(key.as_bytes());
        position
    }

    /// Whether the range holds the position.
    pub fn contains(&self, position: &[u8]) -> bool {
        self.start.as_slice() <= position
            && self.end.as_ref().is_none_or(|end| position < end.as_slice())
    }
}

/// Everything a gateway needs to route.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterMap {
    /// The cluster.
    pub cluster: ClusterId,
    /// Grows with every replicated change of this map.
    pub epoch: Epoch,
    /// The formats and protocols that are in use.
    pub level: FeatureLevel,
    /// The policy that the cluster was made with.
    pub policy: ErasurePolicy,
    /// What becomes of new blobs, by their object's storage class.
    pub classes: StorageClasses,
    /// All nodes.
    pub nodes: BTreeMap<NodeId, Node>,
    /// All disks.
    pub disks: BTreeMap<DiskId, Disk>,
    /// All placement groups.
    pub groups: BTreeMap<PgId, PlacementGroup>,
    /// The partition directory, in the order of the ranges, without gaps.
    pub partitions: Vec<Partition>,
    /// Soft state of the root leader, not replicated: disks whose node sent no
    /// heartbeat lately or that reported themselves unable to serve.
    pub down: BTreeSet<DiskId>,
    /// Soft state: bytes used a disk, as last reported.
    pub used_bytes: BTreeMap<DiskId, u64>,
}

impl ClusterMap {
    /// The partition that holds (bucket, key). `None` only before the cluster is bootstrapped.
    pub fn partition(&self, bucket: BucketId, key: &str) -> Option<&Partition> {
        let position = Partition::position(bucket, key);
        self.partitions.iter().find(|partition| partition.contains(&position))
    }

    /// The node that serves a disk.
    pub fn node_of(&self, disk: DiskId) -> Option<&Node> {
        self.nodes.get(&self.disks.get(&disk)?.node)
    }

    /// The groups of new blobs with this profile: those of its disks or, where its policy has
    /// none of these, of the next hotter ones. Empty if it has none of the hot ones either.
    pub fn groups_for(&self, profile: StorageProfile) -> Vec<&PlacementGroup> {
        let mut disks = Some(profile.disks);
        while let Some(class) = disks {
            let serves =
                |group: &&PlacementGroup| (group.policy, group.class) == (profile.policy, class);
            let groups: Vec<_> = self.groups.values().filter(serves).collect();
            if !groups.is_empty() {
                return groups;
            }
            disks = class.hotter();
        }
        Vec::new()
    }

    /// How many members of the group are not known to be down or out.
    pub fn healthy_members(&self, group: &PlacementGroup) -> usize {
        group
            .disks
            .iter()
            .filter(|disk| {
                !self.down.contains(disk)
                    && self.disks.get(disk).is_some_and(|disk| disk.state != DiskState::Out)
            })
            .count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_half_open() {
        let partition = Partition {
            group: GroupId(1),
            epoch: Epoch(1),
            start: Partition::position(BucketId(1), "b"),
            end: Some(Partition::position(BucketId(1), "c")),
        };
        let holds = |key| partition.contains(&Partition::position(BucketId(1), key));
        assert!(!holds("a") && holds("b") && holds("bzz") && !holds("c") && !holds("d"));
        assert!(!partition.contains(&Partition::position(BucketId(2), "b")));
    }
}
