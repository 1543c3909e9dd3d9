//! Why a change of disks or nodes was not made.

use cluster::MetadataError;
use placement::{Domain, PlacementError};
use types::{DiskClass, DiskId, DiskState, ErasurePolicy, NodeId, PgId};

/// Why a verb did nothing.
#[derive(Debug, Clone, thiserror::Error)]
pub enum MembershipError {
    /// It would break something, or there is no such thing.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The metadata did not answer; the change may have been made or not. The same call again is safe.
    #[error(transparent)]
    Metadata(#[from] MetadataError),
    /// The metadata gave an answer that does not belong to the question.
    #[error("metadata gave an answer that does not belong: {0}")]
    Unexpected(String),
}

/// What speaks against a change. Each message says what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say what the fields are")]
pub enum Refusal {
    /// No such disk.
    #[error("there is no disk {0}: look at the list of disks")]
    NoSuchDisk(DiskId),
    /// No such node.
    #[error("there is no node {0}: look at the list of nodes")]
    NoSuchNode(NodeId),
    /// The node has no disks to empty.
    #[error("node {0} has no disks: remove it")]
    NoDisks(NodeId),
    /// There is no cluster yet.
    #[error("the cluster has no identity yet: start its metadata nodes first")]
    NotBootstrapped,
    /// The map changed each time that it was looked at.
    #[error("the cluster is changing ({reason}): try again in a moment")]
    Changing { reason: String },
    /// A policy needs more failure domains than would be left.
    #[error(
        "without it, groups of {class} disks cannot be formed any more: {error}; add the new disks or \
         nodes before this one goes"
    )]
    TooFewDomains { class: DiskClass, error: PlacementError },
    /// Groups would no longer survive the loss of a whole domain.
    #[error(
        "without it, groups of policy {policy} on {class} disks would not survive the loss of a whole \
         {domain} any more: add disks in another {domain} first"
    )]
    Weaker { policy: ErasurePolicy, class: DiskClass, domain: Domain },
    /// The bytes do not fit on what would be left.
    #[error(
        "{used_bytes} bytes on {class} disks do not fit on the {capacity_bytes} bytes of the others \
         with a tenth to spare: add disks or delete objects first"
    )]
    TooLittleSpace { class: DiskClass, used_bytes: u64, capacity_bytes: u64 },
    /// No other disk may take a rank.
    #[error("no other disk can take rank {rank} of placement group {group}: {error}")]
    NoSubstitute { group: PgId, rank: u8, error: PlacementError },
    /// A second shard of the same stripes would be at stake.
    #[error(
        "disk {other} of placement group {group} {why}: planned work takes one shard of a stripe at a \
         time; wait until that has been repaired, or bring the disk back"
    )]
    OthersAway { disk: DiskId, group: PgId, other: DiskId, why: Away },
    /// It takes part, or is being emptied.
    #[error("disk {disk} is {}: {}", describe(*.state), advice(*.state, *.groups))]
    NotOut { disk: DiskId, state: DiskState, groups: usize },
    /// Groups still name it.
    #[error(
        "disk {disk} may still hold shards of {groups} placement groups: wait until the worker heal \
         has copied them"
    )]
    StillNamed { disk: DiskId, groups: usize },
    /// Metadata nodes are no business of this.
    #[error(
        "node {0} keeps metadata: change the metadata replicas first (shardlake admin meta remove)"
    )]
    MetadataNode(NodeId),
    /// The new disk is the old one.
    #[error("a disk cannot take its own place: name the new disk second")]
    SameDisk,
    /// The new disk is not in.
    #[error("disk {disk} is {}: only a disk that takes part can take the place of another",
        describe(*.state))]
    NotIn { disk: DiskId, state: DiskState },
    /// The new disk does not answer.
    #[error("disk {0} does not answer: start its node first")]
    NotUp(DiskId),
    /// The new disk is of another class.
    #[error(
        "disk {new} is {new_class} and disk {old} is {old_class}: choose a disk of the same class"
    )]
    OtherClass { old: DiskId, old_class: DiskClass, new: DiskId, new_class: DiskClass },
    /// The new disk is too small.
    #[error(
        "disk {new} can take {room_bytes} more bytes, disk {old} holds {used_bytes}: choose a larger disk, \
         or drain {old} instead"
    )]
    TooSmall { old: DiskId, new: DiskId, used_bytes: u64, room_bytes: u64 },
    /// The new disk, or its neighbours, already serve a group of the old one.
    #[error(
        "in placement group {group} disk {new} cannot take the place of {old}: a member of the group is \
         on the same {domain}; choose a disk elsewhere, or drain {old} instead"
    )]
    BreaksRule { old: DiskId, new: DiskId, group: PgId, domain: Domain },
    /// The group has as many moves under way as it may.
    #[error("placement group {0} has too many moves under way: wait until some have ended")]
    TooManyMoves(PgId),
}

/// Why a disk does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Away {
    /// It does not answer, or its shards are not rebuilt yet.
    Down,
    /// It is being emptied.
    Draining,
    /// It is out and still a member.
    Out,
}

impl std::fmt::Display for Away {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Away::Down => "cannot be read now",
            Away::Draining => "is being emptied already",
            Away::Out => "is out and has not been replaced yet",
        })
    }
}

fn describe(state: DiskState) -> &'static str {
    match state {
        DiskState::In => "in",
        DiskState::Draining => "being emptied",
        DiskState::Out => "out",
    }
}

fn advice(state: DiskState, groups: usize) -> String {
    match state {
        DiskState::In => "drain it first".to_owned(),
        DiskState::Draining | DiskState::Out => {
            format!("wait until the {groups} placement groups that are left have moved")
        }
    }
}
