//! The root group: cluster, nodes, disks, placement groups, buckets, directory.

use std::collections::BTreeSet;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use types::{
    BucketId, BucketSettings, ClusterId, ClusterMap, DiskClass, DiskId, DiskState, DiskUuid, Epoch,
    ErasurePolicy, FeatureLevel, InstanceId, Location, NodeId, Partition, PgId, Role,
    StorageClasses, UnixMillis,
};

/// A change of the root state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RootCommand {
    /// Gives the cluster its identity, policy and partition directory. Done once; the same
    /// command again answers [`RootAnswer::Done`], another cluster id [`RootAnswer::Refused`].
    Bootstrap {
        /// The identity.
        cluster: ClusterId,
        /// The policy of new blobs.
        policy: ErasurePolicy,
        /// Ranges in order, without gaps, from the empty position to the end.
        partitions: Vec<Partition>,
        /// The formats and protocols that it begins with.
        level: FeatureLevel,
    },
    /// Registers a node or renews its address and location. Answer: `Node`.
    RegisterNode {
        /// Metadata nodes bring their configured id, 1 to 1000; data nodes bring `None` and get
        /// the next above 1000.
        id: Option<NodeId>,
        /// The data folder. Known instances get their id back; a known id with another
        /// instance is refused.
        instance: InstanceId,
        /// What it does.
        role: Role,
        /// `host:port` of its internal service.
        address: String,
        /// Its failure domains.
        location: Location,
        /// The highest level that its software knows. Refused if that does not serve the
        /// cluster's, or if the node was removed.
        level: FeatureLevel,
    },
    /// Registers a disk or renews its capacity, class and node. Answer: `Disk`.
    RegisterDisk {
        /// What its format file says.
        uuid: DiskUuid,
        /// The node that serves it.
        node: NodeId,
        /// Bytes it can hold.
        capacity_bytes: u64,
        /// What it is for.
        class: DiskClass,
    },
    /// Says what becomes of new blobs of each storage class. Answer: `Done`; `Refused` before
    /// bootstrap, or if a class is missing.
    SetStorageClasses {
        /// All of them.
        classes: StorageClasses,
    },
    /// Uses the formats and protocols of this level from now on. `Refused` unless it is the next
    /// one and the software of every node serves it. Answer: `Done`, also if it was done before.
    FinaliseLevel {
        /// The level.
        level: FeatureLevel,
    },
    /// Decides about a disk: whether it takes part in placement. Groups are not touched. Answer:
    /// `Done`; `Refused` if the map has changed since, or there is no such disk.
    SetDiskState {
        /// The disk.
        disk: DiskId,
        /// The decision.
        state: DiskState,
        /// The epoch of the map that it was decided by.
        epoch: Epoch,
    },
    /// Makes another disk the member of a rank; the one that was stays on record as
    /// [`Former`](types::Former), unless it is the same. Answer: `Done`; `Refused` if the group has
    /// changed since, if there is no such rank, if the disk is unknown, not `In` or a member
    /// already, or if too many moves are under way.
    MoveMember {
        /// The group.
        group: PgId,
        /// Its epoch when that was decided.
        epoch: Epoch,
        /// The rank.
        rank: u8,
        /// The new member. May be a former one of the same rank, which is none then.
        to: DiskId,
    },
    /// Moves the ranks of a disk to another one, as [`RootCommand::MoveMember`] does, and takes the
    /// disk out: all or nothing. Groups of which the new disk has, or may still hold, another rank
    /// keep the old one; it is `Draining` then. Answer: `Done`, also if it is out and has no rank;
    /// `Refused` if the map has changed since, or if any of the moves would be.
    ReplaceDisk {
        /// The disk that goes.
        old: DiskId,
        /// The disk that takes its place.
        new: DiskId,
        /// The epoch of the map that it was decided by.
        epoch: Epoch,
    },
    /// Forgets a former disk of a rank: everything that it held is where it belongs. Answer:
    /// `Done`, also if it was forgotten before; `Refused` if the group has changed since.
    EndMove {
        /// The group.
        group: PgId,
        /// Its epoch when the disk was found empty of it.
        epoch: Epoch,
        /// The rank.
        rank: u8,
        /// The former disk.
        disk: DiskId,
    },
    /// Forgets a disk; its id stays taken, and a folder that has its format file is refused.
    /// Answer: `Done`, also if it was forgotten before; `Refused` unless it is `Out` and no
    /// group names it.
    RemoveDisk {
        /// The disk.
        disk: DiskId,
    },
    /// Forgets a node; its id stays taken, and its folder is refused. Answer: `Done`, also if it
    /// was forgotten before; `Refused` while it has disks, and for metadata nodes.
    RemoveNode {
        /// The node.
        node: NodeId,
    },
    /// Adds placement groups of a policy; ids are given in order. Refused if the policy
    /// has another number of groups of this class, if a disk is unknown or twice in a group, or if
    /// a group's length is not `n`.
    CreateGroups {
        /// The policy that they serve.
        policy: ErasurePolicy,
        /// The class of disks that they stand for.
        class: DiskClass,
        /// Members in rank order.
        groups: Vec<Vec<DiskId>>,
        /// How many groups of this policy and class the sender knows of.
        existing: u32,
    },
    /// Remembers how far a background worker has come, for its next run on any node. Answer:
    /// `Done`; `Refused` for a name longer than [`CONFIG_NAME_BYTES_MAX`] or a cursor longer
    /// than [`CURSOR_BYTES_MAX`].
    SaveCursor {
        /// Its name.
        worker: String,
        /// In the worker's own form.
        cursor: Bytes,
    },
    /// Creates a bucket. Answer: `Bucket` (new, or the one that has the name: compare ids).
    CreateBucket {
        /// A name that the S3 layer has validated.
        name: String,
        /// A fresh random id.
        id: BucketId,
        /// What its gate begins with.
        initial: BucketSettings,
    },
    /// Sets or removes a document of a bucket's configuration. Answer: `Done`; `NoSuchBucket`,
    /// also if its deletion has begun; `Refused` for more than [`BUCKET_CONFIG_BYTES_MAX`] or a
    /// name longer than [`CONFIG_NAME_BYTES_MAX`].
    SetBucketConfig {
        /// The bucket.
        id: BucketId,
        /// Which document.
        kind: ConfigKind,
        /// Its name, where a bucket has several of the kind; else empty.
        name: String,
        /// The document, in a form that begins with its own version; `None` removes it.
        value: Option<Bytes>,
    },
    /// Marks a bucket as being deleted: it no longer resolves, its name stays taken.
    /// Answer: `Bucket`, or `NoSuchBucket`. Repeatable.
    BeginDeleteBucket {
        /// Its name.
        name: String,
    },
    /// Removes a bucket being deleted; only after its gate is sealed. Answer: `Done`, also if
    /// there is no such bucket (any more). Repeatable.
    FinishDeleteBucket {
        /// The bucket.
        id: BucketId,
    },
    /// Makes a bucket being deleted active again (it was not empty). Answer: `Done`, or
    /// `NoSuchBucket`. Repeatable.
    CancelDeleteBucket {
        /// The bucket.
        id: BucketId,
    },
    /// Decides that a metadata node is to vote in every group, or in none. The leaders of the
    /// groups carry it out. Answer: `Done`, also if this very change is under way; `Refused`
    /// while another one is (but a node being added may be removed again), if the node is no
    /// registered metadata node, or if it is the last voter.
    BeginMetaChange {
        /// What is to change.
        change: MetaChange,
        /// The voters as the sender found them. Refused if the root group knows others.
        voters: BTreeSet<NodeId>,
    },
    /// Every group has the voters that it should have. A removed node is forgotten, as by
    /// [`RootCommand::RemoveNode`]. Answer: `Done`, also if that change is not under way.
    EndMetaChange {
        /// What has changed.
        change: MetaChange,
    },
}

/// A metadata node that comes or goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MetaChange {
    /// It gets a vote.
    Add(NodeId),
    /// It leaves every group and the cluster.
    Remove(NodeId),
}

impl MetaChange {
    /// The node.
    pub fn node(self) -> NodeId {
        match self {
            Self::Add(node) | Self::Remove(node) => node,
        }
    }
}

impl std::fmt::Display for MetaChange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Add(node) => write!(f, "adding metadata node {node}"),
            Self::Remove(node) => write!(f, "removing metadata node {node}"),
        }
    }
}

/// Who votes in every metadata group, as it should be. The leaders see to it that it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetaMembers {
    /// The voters.
    pub voters: BTreeSet<NodeId>,
    /// What is under way to make it so.
    pub change: Option<MetaChange>,
}

/// The most metadata nodes that may vote: each is asked with every write.
pub const META_VOTERS_MAX: usize = 9;

/// A bucket as the root group knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bucket {
    /// Its identity.
    pub id: BucketId,
    /// Its name.
    pub name: String,
    /// When it was created.
    pub created: UnixMillis,
    /// Whether its deletion has begun.
    pub deleting: bool,
    /// What its gate was opened with. The gate says what holds now.
    pub initial: BucketSettings,
}

/// The most bytes of one document of a bucket's configuration. The command that sets it must
/// stay under the 1 MiB that a group takes as one proposal.
pub const BUCKET_CONFIG_BYTES_MAX: usize = (1 << 20) - 4096;

/// The longest cursor of a background worker, in bytes.
pub const CURSOR_BYTES_MAX: usize = 8192;

/// The longest list of background workers that is passed on, in bytes.
pub const WORKERS_BYTES_MAX: usize = 1 << 20;

/// The longest name of a document or a background worker, in bytes.
pub const CONFIG_NAME_BYTES_MAX: usize = 64;

/// A document of a bucket's configuration. The root group keeps it and does not look inside.
/// The number is part of the row's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[repr(u8)]
pub enum ConfigKind {
    /// Tags of the bucket.
    Tagging = 1,
    /// Cross-origin rules.
    Cors = 2,
    /// Static website.
    Website = 3,
    /// Lifecycle rules.
    Lifecycle = 4,
    /// Where the access log goes.
    Logging = 5,
    /// Who is told of events.
    Notification = 6,
    /// Inventories, by their id.
    Inventory = 7,
    /// Reports that are wanted now, by the id of their inventory.
    InventoryRun = 8,
}

/// What a root command did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RootAnswer {
    /// Done, or was done before.
    Done,
    /// The node's id.
    Node(NodeId),
    /// The disk's id.
    Disk(DiskId),
    /// The bucket.
    Bucket(Bucket),
    /// No bucket has this name or id.
    NoSuchBucket,
    /// Not done, and why: one sentence for the operator.
    Refused(String),
}

/// A question to the root group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RootQuery {
    /// The cluster map. The service adds the leader's soft state.
    Map,
    /// The bucket of a name, also while it is being deleted.
    Bucket {
        /// Its name.
        name: String,
    },
    /// How far a background worker has come. Answer: `Cursor`.
    Cursor {
        /// Its name.
        worker: String,
    },
    /// The documents of a kind that a bucket has. Answer: `BucketConfigs`.
    BucketConfigs {
        /// The bucket.
        id: BucketId,
        /// Which documents.
        kind: ConfigKind,
        /// Only names after it.
        after: Option<String>,
        /// At most so many; 1 to 100. A page ends earlier once it has
        /// [`CONFIG_PAGE_BYTES_MAX`](crate::root::query::CONFIG_PAGE_BYTES_MAX).
        limit: u32,
    },
    /// Active buckets in name order.
    Buckets {
        /// Only names that start with it.
        prefix: String,
        /// Only names after it.
        after: Option<String>,
        /// At most so many.
        limit: u32,
    },
    /// What the leader's background workers are doing: its soft state, not replicated. Answer:
    /// `Workers`.
    Workers,
    /// Who votes in the metadata groups. Answer: `MetaMembers`.
    MetaMembers,
}

/// The answer to a root query.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RootView {
    /// The map; `None` before bootstrap.
    Map(Option<Box<ClusterMap>>),
    /// The bucket.
    Bucket(Option<Bucket>),
    /// What the worker saved last.
    Cursor(Option<Bytes>),
    /// Names and documents in name order, and whether more follow.
    BucketConfigs {
        /// In name order.
        configs: Vec<(String, Bytes)>,
        /// Whether more follow.
        truncated: bool,
    },
    /// A page of buckets and whether more follow.
    Buckets {
        /// In name order.
        buckets: Vec<Bucket>,
        /// Whether more follow.
        truncated: bool,
    },
    /// The list in the leader's own form, at most [`WORKERS_BYTES_MAX`]; `None`: it runs none.
    Workers(Option<Bytes>),
    /// The voters; `None` if nobody was ever added or removed: then they are those that the
    /// cluster was founded with.
    MetaMembers(Option<MetaMembers>),
}
