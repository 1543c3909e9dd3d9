//! [`MetaKeeper`]: makes the voters of the metadata groups those that the root group has decided
//! on. Every metadata node runs one; it acts on the groups that its node leads, so that a crash of
//! any node stops nothing ([`metastore::members`] says why that is safe).
//!
//! It acts on the root group's own word, asked for with a barrier each time. The local replica may
//! be behind; it only says whether there is anything to ask about.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use consensus::ConsensusGroup;
use metastore::{
    MetaNode,
    api::{RootAnswer, RootCommand, RootQuery, RootView, root::MetaChange, root::MetaMembers},
    members::{self, Step},
    service::NodeStatus,
};
use types::NodeId;

use crate::{Metadata, MetadataClient, MetadataError};

/// The pause between two looks while there is nothing to do.
const INTERVAL: Duration = Duration::from_millis(500);
/// The pause between two steps of a change.
const PACE: Duration = Duration::from_millis(100);
/// How long one step may take. What it began may still happen; the next look sees it.
const STEP_MAX: Duration = Duration::from_secs(10);
/// Groups of one leader that are copied to a new node at a time.
const COPIES_MAX: usize = 2;

/// The loop on each metadata node.
pub struct MetaKeeper {
    node: Arc<MetaNode>,
    metadata: Arc<MetadataClient>,
}

impl MetaKeeper {
    /// A keeper of the groups that `node` leads; `metadata` asks the others.
    pub fn new(node: Arc<MetaNode>, metadata: Arc<MetadataClient>) -> Self {
        Self { node, metadata }
    }

    /// Looks and acts for ever. Dropping it at any time is safe.
    pub async fn run(self) {
        let mut failing = false;
        loop {
            let outcome = self.step().await;
            if let Err(error) = &outcome
                && !failing
            {
                tracing::warn!(%error, "the metadata nodes cannot be changed now; trying on");
            }
            failing = outcome.is_err();
            let busy = outcome.is_ok_and(|busy| busy);
            tokio::time::sleep(if busy { PACE } else { INTERVAL }).await;
        }
    }

    /// Looks once and takes a step in each group. Answers whether there is more to do here.
    pub async fn step(&self) -> Result<bool, MetadataError> {
        let here = self.node.members_here().await;
        let here = here.map_err(|error| MetadataError::Unavailable(error.to_string()))?;
        let led = self.node.led();
        let due = here.is_some_and(|here| {
            let unsettled = |group: &Arc<dyn ConsensusGroup>| {
                members::next(&group.status(), &here.voters) != Step::Settled
            };
            (here.change.is_some() && self.node.leads_root()) || led.iter().any(unsettled)
        });
        if !due {
            return Ok(false);
        }
        let Some(wanted) = meta_members(&*self.metadata).await? else { return Ok(false) };
        let more = self.advance(&led, &wanted).await;
        if !more
            && self.node.leads_root()
            && let Some(change) = wanted.change
        {
            return self.end(change, &wanted).await.map(|ended| !ended);
        }
        Ok(more)
    }

    /// One step in each group that is led here. Answers whether one is not settled.
    async fn advance(&self, led: &[Arc<dyn ConsensusGroup>], wanted: &MetaMembers) -> bool {
        let steps: Vec<(_, Step)> = led
            .iter()
            .map(|group| (group, members::next(&group.status(), &wanted.voters)))
            .collect();
        let copying = |step: &Step| matches!(step, Step::CatchingUp(..));
        let mut copies = steps.iter().filter(|(_, step)| copying(step)).count();
        let mut more = false;
        for (group, step) in steps {
            more |= step != Step::Settled;
            if let Step::AddLearner(_) = step {
                if copies >= COPIES_MAX {
                    continue;
                }
                copies += 1;
            }
            self.take(&**group, step).await;
        }
        more
    }

    async fn take(&self, group: &dyn ConsensusGroup, step: Step) {
        let id = group.id();
        let done = async {
            match &step {
                Step::Settled | Step::CatchingUp(..) => Ok(()),
                Step::AddLearner(node) => match self.metadata.map().nodes.get(node) {
                    Some(row) => group.add_learner(*node, row.address.clone()).await,
                    // This copy of the map is behind: the next look has it.
                    None => Ok(()),
                },
                Step::SetVoters(voters) => group.change_membership(voters.clone()).await,
                Step::HandOver => group.hand_over().await,
            }
        };
        match tokio::time::timeout(STEP_MAX, done).await {
            Ok(Ok(())) if !matches!(step, Step::Settled | Step::CatchingUp(..)) => {
                tracing::info!(group = %id, ?step, "metadata members");
            }
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::info!(group = %id, ?step, %error, "trying again"),
            Err(_) => tracing::info!(group = %id, ?step, "not done in time, looking again"),
        }
    }

    /// Ends the change if every leader has come to its end.
    async fn end(&self, change: MetaChange, wanted: &MetaMembers) -> Result<bool, MetadataError> {
        let statuses = answered(self.metadata.status_all().await);
        if !members::is_complete(&self.metadata.map(), &statuses, &wanted.voters) {
            return Ok(false);
        }
        match self.metadata.root(RootCommand::EndMetaChange { change }).await? {
            RootAnswer::Done => {
                tracing::info!(%change, "every group has the voters that it should have");
                Ok(true)
            }
            other => Err(MetadataError::Internal(format!("ending a change: {other:?}"))),
        }
    }
}

/// Who should vote, by the root group's own word.
pub async fn meta_members(metadata: &dyn Metadata) -> Result<Option<MetaMembers>, MetadataError> {
    match metadata.root_query(RootQuery::MetaMembers).await? {
        RootView::MetaMembers(members) => Ok(members),
        other => Err(MetadataError::Internal(format!("asked for members, got {other:?}"))),
    }
}

/// Decides on a change unless that would break a promise. It is carried out afterwards, by the
/// leaders. `force`: also if fewer than three would stay. The refusal is one sentence.
pub async fn begin_meta_change(
    metadata: &MetadataClient,
    change: MetaChange,
    force: bool,
) -> Result<(), MetaRefusal> {
    metadata.refresh_map().await?;
    let statuses = answered(metadata.status_all().await);
    let known = meta_members(metadata).await?;
    let Some(found) = members::voters(&statuses) else {
        return Err(MetadataError::Unavailable("the root group has no leader".into()).into());
    };
    let members = known.unwrap_or_else(|| MetaMembers { voters: found.clone(), change: None });
    if let Some(current) = members.change
        && current != change
        && (current, change) != (MetaChange::Add(change.node()), MetaChange::Remove(change.node()))
    {
        let reason = format!("{current} is under way: one change at a time");
        return Err(MetaRefusal::Refused(reason));
    }
    // The same change again goes on; it was allowed once.
    if members.change != Some(change) {
        let map = metadata.map();
        match change {
            MetaChange::Add(node) => members::may_add(&map, &statuses, &members, node),
            MetaChange::Remove(node) => members::may_remove(&map, &statuses, &members, node, force),
        }
        .map_err(MetaRefusal::Refused)?;
    }
    let voters = if members.change.is_some() { found } else { members.voters };
    match metadata.root(RootCommand::BeginMetaChange { change, voters }).await? {
        RootAnswer::Done => Ok(()),
        RootAnswer::Refused(reason) => Err(MetaRefusal::Refused(reason)),
        other => Err(MetadataError::Internal(format!("beginning a change: {other:?}")).into()),
    }
}

/// Why a change of the metadata nodes was not decided.
#[derive(Debug, Clone, thiserror::Error)]
pub enum MetaRefusal {
    /// It would break a promise, or names no such node.
    #[error("{0}")]
    Refused(String),
    /// The metadata did not answer.
    #[error(transparent)]
    Metadata(#[from] MetadataError),
}

/// The nodes that have answered.
pub fn answered<E>(
    statuses: BTreeMap<NodeId, Result<NodeStatus, E>>,
) -> BTreeMap<NodeId, NodeStatus> {
    statuses.into_iter().filter_map(|(node, status)| Some((node, status.ok()?))).collect()
}
