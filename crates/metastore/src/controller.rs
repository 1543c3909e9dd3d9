//! [`Controller`]: what the leader of the root group does by itself. It keeps the profiles of
//! the storage classes as this node is configured, and makes placement groups for each of them,
//! the first ones once all the disks that were announced are there (`plan`).
//!
//! Every metadata node runs one; it acts only while its node leads. Two leaders at the
//! same time do no harm: the state machine refuses groups from who does not know how many there
//! are.

mod plan;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use placement::{Domain, PlacementError};
use proto::{RpcError, RpcErrorKind, meta::MetaService};
use tokio::time::Instant;
use types::{
    ClusterMap, Compression, DiskClass, DiskState, Epoch, ErasurePolicy, GroupId, StorageClass,
    StorageClasses,
};

pub use plan::{Lack, site, sites};

use crate::{
    api::{self, RootAnswer, RootCommand, RootQuery, RootView},
    service::MetaNode,
};

/// What the controller is told.
#[derive(Clone, Debug)]
pub struct ControllerSettings {
    /// Disks of all classes to wait for before the first groups are made. Zero: never make any.
    pub initial_disks: usize,
    /// Permutations of the disks that are cut into groups, see [`placement::plan`]; `None`: as many as
    /// [`placement::permutations`] says.
    pub permutations: Option<usize>,
    /// What two members of a group must not share.
    pub domain: Domain,
    /// What the operator says of storage classes; the others keep [`StorageClasses::new`].
    pub classes: BTreeMap<StorageClass, ProfileOverride>,
    /// How long no disk of a class must have come or gone before groups are made of them, except
    /// with the first ones: later disks get ranks of groups only by moving bytes.
    pub settle: Duration,
    /// The pause between two looks at the cluster.
    pub interval: Duration,
}

impl ControllerSettings {
    /// The settings for a cluster of so many disks; one look each half second.
    pub fn new(initial_disks: usize, domain: Domain) -> Self {
        Self {
            initial_disks,
            permutations: None,
            domain,
            classes: BTreeMap::new(),
            settle: Duration::from_secs(30),
            interval: Duration::from_millis(500),
        }
    }
}

/// What the operator says of a storage class; `None` leaves the default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProfileOverride {
    /// How new blobs are erasure-coded.
    pub policy: Option<ErasurePolicy>,
    /// Which disks they go to.
    pub disks: Option<DiskClass>,
    /// How they are compressed.
    pub compression: Option<Compression>,
}

/// The profiles of a cluster of `policy` under what the operator says.
pub fn storage_classes(
    policy: ErasurePolicy,
    overrides: &BTreeMap<StorageClass, ProfileOverride>,
) -> StorageClasses {
    let mut classes = StorageClasses::new(policy);
    for (class, said) in overrides {
        let mut profile = classes.profile(*class);
        profile.policy = said.policy.unwrap_or(profile.policy);
        profile.disks = said.disks.unwrap_or(profile.disks);
        profile.compression = said.compression.unwrap_or(profile.compression);
        classes.set(*class, profile);
    }
    classes
}

/// What a step came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Another node leads, or nobody.
    NotLeading,
    /// The cluster has no identity yet.
    NotBootstrapped,
    /// So many disks are registered, which are not enough yet.
    WaitingForDisks(usize),
    /// Every profile has its groups, or its disks are still coming.
    Settled,
    /// Made so many groups just now.
    Created(usize),
    /// Nothing to make, but these cannot be made of the disks that are there.
    Lacking(Vec<Lack>),
}

/// Why a step failed; the next one tries again.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ControllerError {
    /// The root group did not answer.
    #[error("asking the root group: {0}")]
    Rpc(#[from] RpcError),
    /// The disks do not allow groups for STANDARD under the failure-domain rule.
    #[error("placement groups cannot be made: {0}")]
    Placement(#[from] PlacementError),
    /// The root group did not take a command.
    #[error("the root group refused: {0}")]
    Refused(String),
}

/// The loop on each metadata node.
pub struct Controller {
    node: Arc<MetaNode>,
    settings: ControllerSettings,
    /// How many disks of each class there are, and since when it is so many.
    counted: Mutex<BTreeMap<DiskClass, (usize, Instant)>>,
}

impl Controller {
    /// A controller that acts while `node` leads.
    pub fn new(node: Arc<MetaNode>, settings: ControllerSettings) -> Self {
        Self { node, settings, counted: Mutex::default() }
    }

    /// Looks and acts for ever. Dropping it between or within steps is safe.
    pub async fn run(self) {
        // A cluster that lacks nodes would say so twice a second: once is enough.
        let mut reported = BTreeSet::new();
        loop {
            let lacking: BTreeSet<String> = match self.step().await {
                Ok(Step::Created(groups)) => {
                    tracing::info!(groups, "placement groups created");
                    reported.clone()
                }
                Ok(Step::Lacking(lacks)) => lacks.iter().map(Lack::to_string).collect(),
                Ok(_) => BTreeSet::new(),
                Err(error) => BTreeSet::from([error.to_string()]),
            };
            for lack in lacking.difference(&reported) {
                tracing::warn!("{lack}");
            }
            reported = lacking;
            tokio::time::sleep(self.settings.interval).await;
        }
    }

    /// Looks once and does what is due: the profiles, then groups, STANDARD's first. Readiness
    /// waits for those alone.
    pub async fn step(&self) -> Result<Step, ControllerError> {
        if !self.node.leads_root() {
            return Ok(Step::NotLeading);
        }
        let Some(mut map) = self.map().await? else { return Ok(Step::NotBootstrapped) };
        let classes = storage_classes(map.policy, &self.settings.classes);
        if map.classes != classes {
            self.propose(RootCommand::SetStorageClasses { classes: classes.clone() }).await?;
            tracing::info!("the profiles of the storage classes are as configured here");
            map.classes = classes;
        }
        let disks = map.disks.values().filter(|disk| disk.state == DiskState::In).count();
        let unsettled = self.unsettled(&map);
        let first = map.groups.is_empty();
        match (self.settings.initial_disks, first) {
            (0, true) => return Ok(Step::WaitingForDisks(disks)),
            (0, false) => return Ok(Step::Settled),
            (announced, true) if disks < announced => return Ok(Step::WaitingForDisks(disks)),
            _ => {}
        }
        let unsettled = if first { BTreeSet::new() } else { unsettled };
        let plan = plan::plan(&map, &self.settings, &unsettled)?;
        let mut created = 0;
        for group_set in plan.create {
            created += group_set.groups.len();
            let plan::GroupSet { policy, class, groups, existing } = group_set;
            let existing = u32::try_from(existing).expect("the ids of groups are no larger");
            let create = RootCommand::CreateGroups { policy, class, groups, existing };
            self.propose(create).await?;
        }
        Ok(match (created, plan.lacking.is_empty()) {
            (0, true) => Step::Settled,
            (0, false) => Step::Lacking(plan.lacking),
            _ => Step::Created(created),
        })
    }

    /// The classes of disks of which some came or went lately.
    fn unsettled(&self, map: &ClusterMap) -> BTreeSet<DiskClass> {
        let now = Instant::now();
        let mut counted = self.counted.lock();
        let mut unsettled = BTreeSet::new();
        for class in [DiskClass::Hot, DiskClass::Warm, DiskClass::Cold] {
            let disks = plan::sites(map, class).len();
            let (known, since) = counted.entry(class).or_insert((disks, now));
            if *known != disks {
                (*known, *since) = (disks, now);
            }
            if now.duration_since(*since) < self.settings.settle {
                unsettled.insert(class);
            }
        }
        unsettled
    }

    async fn map(&self) -> Result<Option<Box<ClusterMap>>, ControllerError> {
        let query = api::encode(&RootQuery::Map);
        let view = self.node.query(GroupId::ROOT, Epoch(0), query).await?;
        match decode(&view)? {
            RootView::Map(map) => Ok(map),
            other => Err(ControllerError::Refused(format!("unexpected answer {other:?}"))),
        }
    }

    async fn propose(&self, command: RootCommand) -> Result<(), ControllerError> {
        let answer = self.node.propose(GroupId::ROOT, Epoch(0), api::encode(&command)).await?;
        match decode(&answer)? {
            RootAnswer::Done => Ok(()),
            RootAnswer::Refused(reason) => Err(ControllerError::Refused(reason)),
            other => Err(ControllerError::Refused(format!("unexpected answer {other:?}"))),
        }
    }
}

fn decode<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<T, RpcError> {
    api::decode(bytes).map_err(|error| RpcError::new(RpcErrorKind::Failed, error.to_string()))
}

#[cfg(test)]
mod tests;
