//! Which placement groups a cluster lacks: one set for each policy and class of disks that the
//! profile of a storage class names; and more where disks have become many. Pure.
//!
//! Gateways look for groups of the profile's own disks and, where there are none, of the next
//! hotter ones ([`ClusterMap::groups_for`]). So a profile whose disks are not there, or are too
//! few for its policy, gets a set of the next hotter ones that suffice.

use std::{collections::BTreeSet, fmt};

use placement::{DiskSite, PlacementError};
use types::{
    ClusterMap, Disk, DiskClass, DiskId, DiskState, ErasurePolicy, PlacementGroup, StorageClass,
};

use super::ControllerSettings;

/// Groups of one policy over the disks of one class.
#[derive(Debug)]
pub(super) struct GroupSet {
    pub(super) policy: ErasurePolicy,
    pub(super) class: DiskClass,
    /// Members in rank order.
    pub(super) groups: Vec<Vec<DiskId>>,
    /// How many there are already.
    pub(super) existing: usize,
}

/// What is to be made, and what cannot be.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// STANDARD's come first.
    pub(super) create: Vec<GroupSet>,
    pub(super) lacking: Vec<Lack>,
}

/// Groups that storage classes want and that the disks of the cluster do not allow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lack {
    /// The storage classes whose profiles want them.
    pub classes: Vec<StorageClass>,
    /// Their policy.
    pub policy: ErasurePolicy,
    /// Their disks.
    pub disks: DiskClass,
    /// The disks that their objects go to instead; `None`: they cannot be stored.
    pub instead: Option<DiskClass>,
    /// What is missing.
    pub error: PlacementError,
}

impl fmt::Display for Lack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let classes: Vec<&str> = self.classes.iter().map(|class| class.as_str()).collect();
        let classes = classes.join(", ");
        write!(f, "no placement groups of {} disks for {classes}: {}; ", self.disks, self.error)?;
        match self.instead {
            Some(disks) => write!(f, "until then new objects go to {disks} disks"),
            None => write!(f, "until then new objects over 4 KiB are refused"),
        }
    }
}

/// What the profiles of `map` lack. No set is made of a class in `unsettled`: more disks of it
/// may be on their way. Fails if there can be no groups for STANDARD: nothing else is made
/// before those.
pub(super) fn plan(
    map: &ClusterMap,
    settings: &ControllerSettings,
    unsettled: &BTreeSet<DiskClass>,
) -> Result<Plan, PlacementError> {
    let mut plan = Plan::default();
    for (class, profile) in map.classes.iter() {
        let policy = profile.policy;
        let mut failed = Vec::new();
        let mut served = None;
        let mut candidate = Some(profile.disks);
        while let Some(disks) = candidate {
            match find(&plan, map, settings, unsettled, policy, disks) {
                Found::There => served = Some(disks),
                Found::New(groups, existing) => {
                    plan.create.push(GroupSet { policy, class: disks, groups, existing });
                    served = Some(disks);
                }
                // What it lacks is said once it is known what stands in.
                Found::Unsettled => failed.clear(),
                Found::NoDisks => {
                    candidate = disks.hotter();
                    continue;
                }
                Found::Failed(error) => {
                    failed.push((disks, error));
                    candidate = disks.hotter();
                    continue;
                }
            }
            break;
        }
        if class == StorageClass::Standard
            && served.is_none()
            && let Some((_, error)) = failed.pop()
        {
            return Err(error);
        }
        for (disks, error) in failed {
            plan.lack(class, policy, disks, served, error);
        }
    }
    Ok(plan)
}

/// What comes of looking for groups of one policy and class of disks.
enum Found {
    There,
    /// These, besides so many that are there.
    New(Vec<Vec<DiskId>>, usize),
    Unsettled,
    /// No disks, and hotter ones may do.
    NoDisks,
    Failed(PlacementError),
}

fn find(
    plan: &Plan,
    map: &ClusterMap,
    settings: &ControllerSettings,
    unsettled: &BTreeSet<DiskClass>,
    policy: ErasurePolicy,
    disks: DiskClass,
) -> Found {
    if plan.create.iter().any(|set| (set.policy, set.class) == (policy, disks)) {
        return Found::There;
    }
    let of_the_set = |group: &&PlacementGroup| (group.policy, group.class) == (policy, disks);
    let existing = map.groups.values().filter(of_the_set).count();
    let sites = sites(map, disks);
    let permutations =
        settings.permutations.unwrap_or_else(|| placement::permutations(sites.len(), policy));
    // Disks that are added take ranks of the groups that are there. Only when they have become twice
    // as many is the set filled up to what a new cluster of them would have.
    let wanted = sites.len() * permutations / policy.n();
    if existing > 0 && existing * 2 > wanted {
        return Found::There;
    }
    if sites.is_empty() && disks.hotter().is_some() {
        return Found::NoDisks;
    }
    if unsettled.contains(&disks) {
        return if existing > 0 { Found::There } else { Found::Unsettled };
    }
    let seed = seed(map, policy, disks) ^ existing as u64;
    match placement::plan(&sites, policy, permutations, settings.domain, seed) {
        Ok(mut groups) => {
            groups.truncate(wanted.saturating_sub(existing).max(1));
            Found::New(groups, existing)
        }
        Err(_) if existing > 0 => Found::There,
        Err(error) => Found::Failed(error),
    }
}

impl Plan {
    /// Takes note of a lack; storage classes that lack the same share one.
    fn lack(
        &mut self,
        class: StorageClass,
        policy: ErasurePolicy,
        disks: DiskClass,
        instead: Option<DiskClass>,
        error: PlacementError,
    ) {
        let same =
            |lack: &&mut Lack| (lack.policy, lack.disks, lack.instead) == (policy, disks, instead);
        match self.lacking.iter_mut().find(same) {
            Some(lack) => lack.classes.push(class),
            None => {
                let classes = vec![class];
                self.lacking.push(Lack { classes, policy, disks, instead, error });
            }
        }
    }
}

/// The cluster's own id is the seed, so that a second leader comes to the same groups; the
/// policy and the class keep the sets apart.
pub(super) fn seed(map: &ClusterMap, policy: ErasurePolicy, class: DiskClass) -> u64 {
    let chunks = [policy.k(), policy.m()]
        .map(|chunks| u8::try_from(chunks).expect("a policy has at most 32 chunks"));
    let bytes = map.cluster.as_bytes().iter().copied();
    bytes
        .chain(chunks)
        .chain([class as u8])
        .fold(0u64, |seed, byte| seed.rotate_left(8) ^ u64::from(byte))
}

/// The disks of a class that take part in placement and where they stand.
pub fn sites(map: &ClusterMap, class: DiskClass) -> Vec<DiskSite> {
    map.disks
        .values()
        .filter(|disk| disk.state == DiskState::In && disk.class == class)
        .filter_map(|disk| site(map, disk))
        .collect()
}

/// Where a disk stands; `None` if its node is not known.
pub fn site(map: &ClusterMap, disk: &Disk) -> Option<DiskSite> {
    let location = &map.nodes.get(&disk.node)?.location;
    Some(DiskSite {
        id: disk.id,
        node: disk.node,
        rack: location.rack.clone(),
        zone: location.zone.clone(),
    })
}
