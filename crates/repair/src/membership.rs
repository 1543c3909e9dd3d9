//! What an operator does to disks and nodes: empty them, take them out, put another disk in the place of
//! one. Each verb decides by the newest cluster map whether it keeps what the cluster promises, and says
//! why not if it does not ([`verdict`]). What it decides is refused by the root group if the map has
//! changed meanwhile; then it looks again.
//!
//! Nothing moves here: the worker `rebalance` chooses who takes the ranks of a disk that is being
//! emptied, the worker `heal` copies the bytes. A disk that is empty becomes `Out` by itself.

mod error;
pub mod verdict;

use std::collections::BTreeSet;

use cluster::Metadata;
pub use error::{MembershipError, Refusal};
use metastore::api::{RootAnswer, RootCommand, RootQuery, RootView};
use placement::Domain;
use types::{ClusterMap, DiskId, DiskState, NodeId};

/// Times that a verb looks at the map again because it has changed.
const LOOKS_MAX: u32 = 8;

/// Begins to empty a disk, whether it answers or not. Done before: nothing happens.
pub async fn drain_disk(
    metadata: &dyn Metadata,
    domain: Domain,
    disk: DiskId,
) -> Result<(), MembershipError> {
    drain(metadata, domain, |_| Ok(BTreeSet::from([disk]))).await
}

/// Begins to empty all disks of a node, as [`drain_disk`] does.
pub async fn drain_node(
    metadata: &dyn Metadata,
    domain: Domain,
    node: NodeId,
) -> Result<(), MembershipError> {
    drain(metadata, domain, |map| verdict::disks_of(map, node)).await
}

/// Lets a disk take part again: one that is being emptied keeps what it still has, one that is out begins
/// empty.
pub async fn undrain_disk(metadata: &dyn Metadata, disk: DiskId) -> Result<(), MembershipError> {
    decide(metadata, |map| {
        let known = map.disks.get(&disk).ok_or(Refusal::NoSuchDisk(disk))?;
        Ok((known.state != DiskState::In).then_some(RootCommand::SetDiskState {
            disk,
            state: DiskState::In,
            epoch: map.epoch,
        }))
    })
    .await
}

/// Forgets a disk that is out and empty. Its folder is refused from then on.
pub async fn remove_disk(metadata: &dyn Metadata, disk: DiskId) -> Result<(), MembershipError> {
    decide(metadata, |map| {
        verdict::remove_disk(map, disk)?;
        Ok(Some(RootCommand::RemoveDisk { disk }))
    })
    .await
}

/// Forgets a data node and its disks, all of which are out and empty. Stop the node first or after: it is
/// refused when it starts again with the same folder.
pub async fn remove_node(metadata: &dyn Metadata, node: NodeId) -> Result<(), MembershipError> {
    // The disks one by one: what a failure in between leaves is finished by the same call.
    decide(metadata, |map| {
        Ok(verdict::remove_node(map, node)?
            .first()
            .map(|disk| RootCommand::RemoveDisk { disk: *disk }))
    })
    .await?;
    decide(metadata, |map| {
        verdict::remove_node(map, node)?;
        Ok(Some(RootCommand::RemoveNode { node }))
    })
    .await
}

/// Puts `new` in the place of `old`, at once, and `old` is out; while it answers, its shards are copied from
/// it, else they are computed from others. Where `new` has another rank of a group already, the rank of
/// `old` moves to some other disk, and `old` is out after that.
pub async fn replace_disk(
    metadata: &dyn Metadata,
    domain: Domain,
    old: DiskId,
    new: DiskId,
) -> Result<(), MembershipError> {
    decide(metadata, |map| {
        let is_done = verdict::replace_disk(map, domain, old, new)?;
        let epoch = map.epoch;
        Ok((!is_done).then_some(RootCommand::ReplaceDisk { old, new, epoch }))
    })
    .await
}

/// The groups that still name a disk, as a member or because it may still hold shards of them.
pub fn groups_left(map: &ClusterMap, disk: DiskId) -> usize {
    map.groups.values().filter(|group| group.names(disk)).count()
}

/// Marks the first of the disks that is not being emptied yet; repeated until all are.
async fn drain(
    metadata: &dyn Metadata,
    domain: Domain,
    disks: impl Fn(&ClusterMap) -> Result<BTreeSet<DiskId>, Refusal> + Send + Sync,
) -> Result<(), MembershipError> {
    loop {
        let mut more = false;
        decide(metadata, |map| {
            let all = disks(map)?;
            verdict::drain(map, domain, &all)?;
            let mut to_do = all
                .into_iter()
                .filter(|disk| map.disks.get(disk).is_some_and(|disk| disk.state == DiskState::In));
            let first = to_do.next();
            more = to_do.next().is_some();
            Ok(first.map(|disk| RootCommand::SetDiskState {
                disk,
                state: DiskState::Draining,
                epoch: map.epoch,
            }))
        })
        .await?;
        if !more {
            return Ok(());
        }
    }
}

/// Proposes what `verdict` makes of the newest map; `None` is nothing to do. Again if the map has changed
/// before the command came.
async fn decide(
    metadata: &dyn Metadata,
    mut verdict: impl FnMut(&ClusterMap) -> Result<Option<RootCommand>, Refusal> + Send,
) -> Result<(), MembershipError> {
    let mut last = String::new();
    for _ in 0..LOOKS_MAX {
        let map = newest_map(metadata).await?;
        let Some(command) = verdict(&map)? else { return Ok(()) };
        match metadata.root(command).await? {
            RootAnswer::Done => return Ok(()),
            RootAnswer::Refused(reason) => last = reason,
            other => return Err(MembershipError::Unexpected(format!("{other:?}"))),
        }
    }
    Err(MembershipError::Refused(Refusal::Changing { reason: last }))
}

/// The map as the root leader has it now, with what it has heard of the disks.
pub(crate) async fn newest_map(metadata: &dyn Metadata) -> Result<ClusterMap, MembershipError> {
    match metadata.root_query(RootQuery::Map).await? {
        RootView::Map(Some(map)) => Ok(*map),
        RootView::Map(None) => Err(MembershipError::Refused(Refusal::NotBootstrapped)),
        other => Err(MembershipError::Unexpected(format!("{other:?}"))),
    }
}
