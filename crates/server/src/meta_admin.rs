//! The metadata nodes as operators see them, and what they decide about them.

use admin::{
    Refused,
    model::{MetaNodeState, MetaNodeStatus, MetaStatus},
};
use cluster::{
    Metadata, MetadataClient,
    meta_keeper::{self, MetaRefusal},
};
use metastore::{
    api::root::{MetaChange, MetaMembers},
    members,
};
use types::{NodeId, Role};

/// Every registered metadata node.
pub(crate) async fn status(metadata: &MetadataClient) -> Result<MetaStatus, String> {
    metadata.refresh_map().await.map_err(|error| error.to_string())?;
    let known = meta_keeper::meta_members(metadata).await.map_err(|error| error.to_string())?;
    let statuses = meta_keeper::answered(metadata.status_all().await);
    let leaders = members::leaders(&statuses);
    let members = match known {
        Some(members) => members,
        None => MetaMembers {
            voters: members::voters(&statuses).ok_or("the root group has no leader")?,
            change: None,
        },
    };
    let map = metadata.map();
    let groups = members::groups(&map).len();
    let state = |node: NodeId| match members.change {
        Some(MetaChange::Add(changing)) if changing == node => MetaNodeState::Joining,
        Some(MetaChange::Remove(changing)) if changing == node => MetaNodeState::Leaving,
        _ if members.voters.contains(&node) => MetaNodeState::Voter,
        _ => MetaNodeState::Waiting,
    };
    let nodes = map.nodes.values().filter(|node| node.role == Role::Meta).map(|node| {
        let standing = members::standing(&leaders, node.id);
        MetaNodeStatus {
            node: node.id.0,
            address: node.address.clone(),
            state: state(node.id),
            up: statuses.contains_key(&node.id),
            votes: format!("{} of {groups}", standing.votes),
            leads: standing.leads,
            entries_behind: standing.behind,
        }
    });
    Ok(MetaStatus {
        change: members.change.map(|change| change.to_string()),
        failures_survived: members.voters.len().saturating_sub(1) / 2,
        nodes: nodes.collect(),
    })
}

/// Gives a node a vote. `address`: where the operator believes it to be.
pub(crate) async fn add(
    metadata: &MetadataClient,
    node: NodeId,
    address: Option<&str>,
) -> Result<(), Refused> {
    let refreshed = metadata.refresh_map().await;
    refreshed.map_err(|error| Refused::Unavailable(error.to_string()))?;
    let map = metadata.map();
    if let (Some(row), Some(address)) = (map.nodes.get(&node), address)
        && row.address != address
    {
        return Err(Refused::Conflict(format!(
            "metadata node {} has registered as {}, not {address}",
            node.0, row.address
        )));
    }
    change(metadata, MetaChange::Add(node), false).await
}

/// Decides on a change, unless it would break a promise.
pub(crate) async fn change(
    metadata: &MetadataClient,
    change: MetaChange,
    force: bool,
) -> Result<(), Refused> {
    let begun = meta_keeper::begin_meta_change(metadata, change, force).await;
    begun.map_err(|error| match error {
        MetaRefusal::Refused(reason) => Refused::Conflict(reason),
        MetaRefusal::Metadata(error) => Refused::Unavailable(error.to_string()),
    })
}
