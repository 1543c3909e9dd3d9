//! [`Controller`]: what the leader of the root group does by itself. So far one thing: it
//! makes the first placement groups once all the disks that were announced are there.
//!
//! Every metadata node runs one; it acts only while its node leads. Two leaders at the
//! same time do no harm: the state machine refuses groups for a policy that has some.

use std::{sync::Arc, time::Duration};

use placement::{DiskSite, Domain, PlacementError};
use proto::{RpcError, RpcErrorKind, meta::MetaService};
use types::{ClusterMap, DiskClass, DiskId, DiskState, Epoch, GroupId};

use crate::{
    api::{self, RootAnswer, RootCommand, RootQuery, RootView},
    service::MetaNode,
};

/// What the controller is told.
#[derive(Clone, Debug)]
pub struct ControllerSettings {
    /// Disks to wait for before the first groups are made. Zero: never make any.
    pub initial_disks: usize,
    /// Permutations of the disks that are cut into groups, see [`placement::plan`].
    pub permutations: usize,
    /// What two members of a group must not share.
    pub domain: Domain,
    /// The pause between two looks at the cluster.
    pub interval: Duration,
}

impl ControllerSettings {
    /// The settings for a cluster of so many disks; one look each half second.
    pub fn new(initial_disks: usize, domain: Domain) -> Self {
        Self {
            initial_disks,
            permutations: placement::PERMUTATIONS,
            domain,
            interval: Duration::from_millis(500),
        }
    }
}

/// What a step came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Another node leads, or nobody.
    NotLeading,
    /// The cluster has no identity yet.
    NotBootstrapped,
    /// So many disks are registered, which are not enough yet.
    WaitingForDisks(usize),
    /// The policy has its groups.
    Settled,
    /// Made so many groups just now.
    Created(usize),
}

/// Why a step failed; the next one tries again.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ControllerError {
    /// The root group did not answer.
    #[error("asking the root group: {0}")]
    Rpc(#[from] RpcError),
    /// The disks do not allow groups of the policy under the failure-domain rule.
    #[error("placement groups cannot be made: {0}")]
    Placement(#[from] PlacementError),
    /// The root group did not take the groups.
    #[error("placement groups were refused: {0}")]
    Refused(String),
}

/// The loop on each metadata node.
pub struct Controller {
    node: Arc<MetaNode>,
    settings: ControllerSettings,
}

impl Controller {
    /// A controller that acts while `node` leads.
    pub fn new(node: Arc<MetaNode>, settings: ControllerSettings) -> Self {
        Self { node, settings }
    }

    /// Looks and acts for ever. Dropping it between or within steps is safe.
    pub async fn run(self) {
        let mut reported = None;
        loop {
            match self.step().await {
                Ok(Step::Created(groups)) => tracing::info!(groups, "placement groups created"),
                Ok(_) => reported = None,
                Err(error) => {
                    // A cluster that lacks nodes would say so twice a second: once is enough.
                    let text = error.to_string();
                    if reported.as_ref() != Some(&text) {
                        tracing::warn!(%error, "controller step failed");
                        reported = Some(text);
                    }
                }
            }
            tokio::time::sleep(self.settings.interval).await;
        }
    }

    /// Looks once and does what is due.
    pub async fn step(&self) -> Result<Step, ControllerError> {
        if !self.node.leads_root() {
            return Ok(Step::NotLeading);
        }
        let Some(map) = self.map().await? else { return Ok(Step::NotBootstrapped) };
        if map.groups.values().any(|group| group.policy == map.policy) {
            return Ok(Step::Settled);
        }
        let sites = sites(&map);
        if self.settings.initial_disks == 0 || sites.len() < self.settings.initial_disks {
            return Ok(Step::WaitingForDisks(sites.len()));
        }
        let groups = self.plan(&map, &sites)?;
        let count = groups.len();
        self.create(RootCommand::CreateGroups {
            policy: map.policy,
            class: DiskClass::Hot,
            groups,
        })
        .await?;
        Ok(Step::Created(count))
    }

    fn plan(
        &self,
        map: &ClusterMap,
        sites: &[DiskSite],
    ) -> Result<Vec<Vec<DiskId>>, PlacementError> {
        // The cluster's own id is the seed: a second leader would come to the same groups.
        let bytes = map.cluster.as_bytes();
        let seed = bytes.iter().fold(0u64, |seed, byte| seed.rotate_left(8) ^ u64::from(*byte));
        let ControllerSettings { permutations, domain, .. } = self.settings;
        placement::plan(sites, map.policy, permutations, domain, seed)
    }

    async fn map(&self) -> Result<Option<Box<ClusterMap>>, ControllerError> {
        let query = api::encode(&RootQuery::Map);
        let view = self.node.query(GroupId::ROOT, Epoch(0), query).await?;
        match decode(&view)? {
            RootView::Map(map) => Ok(map),
            other => Err(ControllerError::Refused(format!("unexpected answer {other:?}"))),
        }
    }

    async fn create(&self, command: RootCommand) -> Result<(), ControllerError> {
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

/// The disks that take part in placement and where they stand.
fn sites(map: &ClusterMap) -> Vec<DiskSite> {
    map.disks
        .values()
        .filter(|disk| disk.state == DiskState::In)
        .filter_map(|disk| {
            let location = &map.nodes.get(&disk.node)?.location;
            Some(DiskSite {
                id: disk.id,
                node: disk.node,
                rack: location.rack.clone(),
                zone: location.zone.clone(),
            })
        })
        .collect()
}
