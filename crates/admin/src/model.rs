//! What the admin API says, as JSON. The field names are a contract with scripts, the status
//! page and `shardlake admin`: fields may be added, never renamed or removed.

mod check;
mod disks;
mod join;
mod meta;
mod upgrade;
mod workers;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use types::{ClusterMap, DiskState, NodeId, PlacementGroup, StorageClass};

pub use self::{
    check::{CheckProgress, CheckState, CheckStatus},
    disks::{AddDisk, AddedDisk, DiskChange, NodeChange},
    join::JoinSettings,
    meta::{MetaNodeState, MetaNodeStatus, MetaStatus},
    upgrade::{NodeLevel, UpgradeStatus},
    workers::{
        Place, Progress, Round, WORKER_TEXT_CHARS_MAX, WorkerCommand, WorkerState, WorkerStatus,
    },
};

/// Everything at once: the answer of `/admin/v1/status`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// The version of the answering process.
    pub version: String,
    /// Whether the answering process serves requests.
    pub ready: bool,
    /// Why it does not.
    pub ready_reason: Option<String>,
    /// Whether the cluster takes reads and writes: the verdict of `/health/cluster`.
    pub healthy: bool,
    /// Why it does not.
    pub health_reason: Option<String>,
    /// The cluster, if its state is known.
    pub cluster: Option<ClusterHealth>,
    /// The last check of placement and redundancy that this process made, without its report.
    pub check: Option<CheckStatus>,
    /// Background jobs of the cluster's leader and of the answering process; empty if the leader
    /// does not answer.
    pub workers: Vec<WorkerStatus>,
}

/// The state of the cluster as the answering process knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterHealth {
    /// The cluster's id.
    pub cluster: String,
    /// Epoch of the cluster map.
    pub epoch: u64,
    /// The erasure policy that the cluster was made with, as `rs-4-2`.
    pub policy: String,
    /// What no two members of a placement group share: `disk`, `node` or `rack`; `null` if the
    /// process does not know.
    #[serde(default)]
    pub domain: Option<String>,
    /// Durable shards that a write of a STANDARD object waits for.
    pub write_quorum: usize,
    /// The node that leads the root group.
    pub root_leader: Option<u64>,
    /// The placement groups by what they can do.
    pub groups: GroupsHealth,
    /// What becomes of new objects, by storage class, STANDARD first.
    pub classes: Vec<ClassHealth>,
    /// All nodes in the order of their ids.
    pub nodes: Vec<NodeHealth>,
    /// All disks in the order of their ids.
    pub disks: Vec<DiskHealth>,
    /// The index partitions in the order of their ranges.
    pub partitions: Vec<PartitionHealth>,
    /// Raft state of every replica that answered.
    pub raft: Vec<RaftStatus>,
}

/// How many placement groups can do what. A group that can write can also read and counts in
/// both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupsHealth {
    /// All groups.
    pub total: usize,
    /// All `n` members are up: new blobs go here first.
    pub healthy: usize,
    /// At least the write quorum is up.
    pub writable: usize,
    /// At least `k` are up.
    pub readable: usize,
    /// Fewer than `k` are up: blobs of the group cannot be read now.
    pub unreadable: usize,
}

/// What becomes of new objects of a storage class.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClassHealth {
    /// AWS's name of it, as `STANDARD_IA`.
    pub class: String,
    /// How they are erasure-coded, as `rs-4-2`.
    pub policy: String,
    /// The class of disks that they are meant for: `hot`, `warm` or `cold`.
    pub disks: String,
    /// The class of disks that they go to: the next hotter one that has groups of the policy.
    /// `null`: there is none, and objects over 4 KiB are refused.
    pub used_disks: Option<String>,
    /// How they are compressed: `none` or `zstd`.
    pub compression: String,
    /// Placement groups that they may go to.
    pub groups: usize,
    /// Those that take writes now.
    pub writable: usize,
}

/// What a node does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the names say it")]
pub enum NodeRole {
    Meta,
    Data,
}

/// A node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeHealth {
    /// Its id.
    pub id: u64,
    /// What it does.
    pub role: NodeRole,
    /// Where its internal service listens, `host:port`.
    pub address: String,
    /// Its zone; empty if there is only one.
    pub zone: String,
    /// Its rack; empty if there is only one.
    pub rack: String,
    /// Whether it answers.
    pub up: bool,
    /// The highest feature level that its software knows.
    pub level: u32,
    /// Disks that it serves.
    pub disks: usize,
}

/// What the operator or repair decided about a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DiskDecision {
    /// Takes part in placement.
    In,
    /// Being emptied.
    Draining,
    /// Out for good.
    Out,
}

/// A disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskHealth {
    /// Its id.
    pub id: u32,
    /// The node that serves it.
    pub node: u64,
    /// What it is for: `hot`, `warm` or `cold`.
    pub class: String,
    /// The decision about it.
    pub state: DiskDecision,
    /// Placement groups that it is a member of.
    pub groups: usize,
    /// Whether it serves.
    pub up: bool,
    /// Bytes used, as last reported.
    pub used_bytes: u64,
    /// Bytes it can hold.
    pub capacity_bytes: u64,
}

/// The shards of the cluster, counted one by one when it is asked: exact, and as much work as
/// there are shards.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardCounts {
    /// Shards of all disks that were counted.
    pub total: u64,
    /// Those that are not known to be committed (yet).
    pub pending: u64,
    /// Those that are.
    pub confirmed: u64,
    /// Whether every disk was counted.
    pub complete: bool,
    /// All disks in the order of their ids.
    pub disks: Vec<DiskShards>,
}

/// The shards of a disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskShards {
    /// The disk.
    pub disk: u32,
    /// Shards that are not known to be committed (yet); `null` if it was not counted.
    pub pending: Option<u64>,
    /// Shards that are.
    pub confirmed: Option<u64>,
    /// Why it was not counted.
    pub error: Option<String>,
}

impl ShardCounts {
    /// The sum of these disks.
    pub fn of(disks: Vec<DiskShards>) -> Self {
        let pending = disks.iter().filter_map(|disk| disk.pending).sum();
        let confirmed = disks.iter().filter_map(|disk| disk.confirmed).sum();
        let complete = disks.iter().all(|disk| disk.error.is_none());
        Self { total: pending + confirmed, pending, confirmed, complete, disks }
    }
}

/// An index partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionHealth {
    /// Its Raft group.
    pub group: u32,
    /// Epoch of its range.
    pub epoch: u64,
    /// First position of its range in hexadecimal: 8 bytes of bucket id, then the key.
    pub start: String,
    /// End of its range, exclusive; `null` for the last one.
    pub end: Option<String>,
    /// The node that leads it.
    pub leader: Option<u64>,
}

/// Raft state of one replica.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RaftStatus {
    /// The node that hosts the replica.
    pub node: u64,
    /// The group; 0 is the root group.
    pub group: u32,
    /// Its current term.
    pub term: u64,
    /// Who leads, as far as this replica knows.
    pub leader: Option<u64>,
    /// Last index in its log.
    pub last_log_index: u64,
    /// Last index it has applied.
    pub applied_index: u64,
    /// Last index its snapshot covers.
    pub snapshot_index: u64,
    /// The voters of its membership, ascending.
    pub voters: Vec<u64>,
    /// Why it has stopped, if it has.
    pub stopped: Option<String>,
}

impl ClusterHealth {
    /// The state that follows from the cluster map, the nodes known not to answer, and the
    /// Raft state of the replicas that did. A data node none of whose disks serves is down.
    pub fn of(map: &ClusterMap, silent: &BTreeSet<NodeId>, raft: Vec<RaftStatus>) -> Self {
        let serves = |node: NodeId| {
            let mut disks = map.disks.values().filter(|disk| disk.node == node).peekable();
            disks.peek().is_none() || disks.any(|disk| !map.down.contains(&disk.id))
        };
        let nodes = map.nodes.values().map(|node| NodeHealth {
            id: node.id.0,
            role: match node.role {
                types::Role::Meta => NodeRole::Meta,
                types::Role::Data => NodeRole::Data,
            },
            address: node.address.clone(),
            zone: node.location.zone.clone(),
            rack: node.location.rack.clone(),
            up: !silent.contains(&node.id) && serves(node.id),
            level: node.level.0,
            disks: map.disks.values().filter(|disk| disk.node == node.id).count(),
        });
        let disks = map.disks.values().map(|disk| DiskHealth {
            id: disk.id.0,
            node: disk.node.0,
            class: disk.class.to_string(),
            groups: map.groups.values().filter(|group| group.disks.contains(&disk.id)).count(),
            state: match disk.state {
                DiskState::In => DiskDecision::In,
                DiskState::Draining => DiskDecision::Draining,
                DiskState::Out => DiskDecision::Out,
            },
            up: !map.down.contains(&disk.id) && !silent.contains(&disk.node),
            used_bytes: map.used_bytes.get(&disk.id).copied().unwrap_or(0),
            capacity_bytes: disk.capacity_bytes,
        });
        let partitions = map.partitions.iter().map(|partition| PartitionHealth {
            group: partition.group.0,
            epoch: partition.epoch.0,
            start: hexadecimal(&partition.start),
            end: partition.end.as_deref().map(hexadecimal),
            leader: leader(&raft, partition.group.0),
        });
        Self {
            cluster: map.cluster.to_string(),
            epoch: map.epoch.0,
            policy: map.policy.to_string(),
            domain: None,
            write_quorum: map.classes.profile(StorageClass::Standard).policy.write_quorum(),
            root_leader: leader(&raft, types::GroupId::ROOT.0),
            groups: GroupsHealth::of(map),
            classes: StorageClass::ALL.map(|class| ClassHealth::of(map, class)).into(),
            nodes: nodes.collect(),
            disks: disks.collect(),
            partitions: partitions.collect(),
            raft,
        }
    }

    /// Whether the cluster takes reads and writes of every key; if not, why, in one sentence.
    pub fn verdict(&self) -> Result<(), String> {
        if self.root_leader.is_none() {
            return Err("the root group has no leader".to_owned());
        }
        let leaderless = self.partitions.iter().filter(|partition| partition.leader.is_none());
        match (leaderless.count(), self.partitions.len()) {
            (_, 0) => return Err("there are no index partitions yet".to_owned()),
            (0, _) => {}
            (some, all) => return Err(format!("{some} of {all} index partitions have no leader")),
        }
        if let GroupsHealth { unreadable: unreadable @ 1.., total, .. } = self.groups {
            return Err(format!(
                "{unreadable} of {total} placement groups have too few disks up to be read"
            ));
        }
        // Only these: a class that is configured beyond what the cluster has must not take the
        // whole of it out of service.
        let standard = self.classes.iter().find(|row| row.class == StorageClass::Standard.as_str());
        match standard {
            Some(ClassHealth { groups, writable: 0, .. }) => Err(format!(
                "none of {groups} placement groups has {} disks up, which a write needs",
                self.write_quorum
            )),
            _ => Ok(()),
        }
    }
}

impl ClassHealth {
    fn of(map: &ClusterMap, class: StorageClass) -> Self {
        let profile = map.classes.profile(class);
        let groups = map.groups_for(profile);
        let writable =
            |group: &&&PlacementGroup| map.healthy_members(group) >= group.policy.write_quorum();
        Self {
            class: class.to_string(),
            policy: profile.policy.to_string(),
            disks: profile.disks.to_string(),
            used_disks: groups.first().map(|group| group.class.to_string()),
            compression: profile.compression.as_str().to_owned(),
            groups: groups.len(),
            writable: groups.iter().filter(writable).count(),
        }
    }
}

impl GroupsHealth {
    fn of(map: &ClusterMap) -> Self {
        let mut groups = Self::default();
        for group in map.groups.values() {
            let up = map.healthy_members(group);
            groups.total += 1;
            groups.healthy += usize::from(up == group.policy.n());
            groups.writable += usize::from(up >= group.policy.write_quorum());
            groups.readable += usize::from(up >= group.policy.k());
            groups.unreadable += usize::from(up < group.policy.k());
        }
        groups
    }
}

/// The leader of a group: what the replicas of the highest term say.
fn leader(raft: &[RaftStatus], group: u32) -> Option<u64> {
    let replicas = raft.iter().filter(|replica| replica.group == group);
    replicas
        .filter(|replica| replica.stopped.is_none())
        .max_by_key(|replica| (replica.term, replica.leader))?
        .leader
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
