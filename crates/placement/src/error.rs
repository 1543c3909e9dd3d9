//! Why there is no placement.

use types::{DiskId, ErasurePolicy};

use crate::Domain;

/// A cluster on which the groups cannot be formed. Each message says what is there and what
/// is needed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlacementError {
    /// Too few nodes, racks or disks for one group.
    #[error(
        "policy {policy} needs {needed} {domain}s, one for each of its chunks, and there are \
         {available}: add {domain}s, or choose a smaller policy or a narrower failure domain"
    )]
    NotEnoughDomains {
        /// The policy.
        policy: ErasurePolicy,
        /// What must differ between the members of a group.
        domain: Domain,
        /// `n` of the policy.
        needed: usize,
        /// How many are there.
        available: usize,
    },
    /// No disk may take the place: all that the rule allows are members already.
    #[error(
        "no disk can replace rank {rank} of the group: {disks} disks are there, those outside the \
         group on {spare_nodes} nodes, none where the group may have another member; add a disk \
         in another {domain}"
    )]
    NoSubstitute {
        /// The rank to be replaced.
        rank: usize,
        /// Disks that were offered.
        disks: usize,
        /// Nodes with a disk that is not a member.
        spare_nodes: usize,
        /// What must differ between the members of a group.
        domain: Domain,
    },
    /// The group or rank that is to be changed does not exist, or has another size.
    #[error("group {group} rank {rank} does not exist: there are {groups} groups of {members}")]
    NoSuchMember {
        /// Position of the group.
        group: usize,
        /// The rank.
        rank: usize,
        /// How many groups there are.
        groups: usize,
        /// `n` of the policy.
        members: usize,
    },
    /// A disk was listed twice.
    #[error("disk {0} is listed twice")]
    DuplicateDisk(DiskId),
    /// No permutation, no group.
    #[error("0 permutations were asked for; at least 1 is needed")]
    NoPermutations,
}
