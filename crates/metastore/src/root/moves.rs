//! What becomes of disks, nodes and the members of groups. The state machine refuses what would
//! break the shape of the map; whether a change keeps the promises (enough disks and failure
//! domains) is decided by who proposes it, by the map of the epoch that comes with the command.

use consensus::KvError;
use types::{
    Disk, DiskId, DiskState, Epoch, FeatureLevel, Former, Node, NodeId, PgId, PlacementGroup, Role,
};

use super::{Apply, query, refused};
use crate::{
    api::RootAnswer,
    keys::root as keys,
    rows::{self, ClusterRow},
};

impl Apply<'_> {
    pub(super) fn finalise_level(&mut self, level: FeatureLevel) -> Result<RootAnswer, KvError> {
        let Some(row) = rows::get::<ClusterRow>(self.rows, keys::CLUSTER)? else {
            return refused("the cluster has no identity yet");
        };
        if row.level == level {
            return Ok(RootAnswer::Done);
        }
        if level.0 != row.level.0 + 1 {
            return refused(format!(
                "the cluster is at feature level {}: only {} can follow",
                row.level.0,
                row.level.0 + 1
            ));
        }
        let old: Vec<Node> =
            query::nodes(self.rows)?.into_iter().filter(|node| !node.level.serves(level)).collect();
        if let Some(node) = old.first() {
            return refused(format!(
                "the software of node {} at {} knows level {} only: upgrade it first ({} nodes in all)",
                node.id,
                node.address,
                node.level.0,
                old.len()
            ));
        }
        rows::put(self.rows, keys::CLUSTER, &ClusterRow { level, ..row });
        self.raise_epoch()?;
        Ok(RootAnswer::Done)
    }

    pub(super) fn set_disk_state(
        &mut self,
        disk: DiskId,
        state: DiskState,
        epoch: Epoch,
    ) -> Result<RootAnswer, KvError> {
        let Some(row) = rows::get::<Disk>(self.rows, &keys::disk(disk))? else {
            return refused(format!("there is no disk {disk}"));
        };
        if row.state == state {
            return Ok(RootAnswer::Done);
        }
        if query::epoch(self.rows)? != epoch {
            return refused("the cluster has changed in this moment: try again");
        }
        rows::put(self.rows, &keys::disk(disk), &Disk { state, ..row });
        self.raise_epoch()?;
        Ok(RootAnswer::Done)
    }

    pub(super) fn move_member(
        &mut self,
        group: PgId,
        epoch: Epoch,
        rank: u8,
        to: DiskId,
    ) -> Result<RootAnswer, KvError> {
        let row = match self.group_at(group, epoch)? {
            Ok(row) => row,
            Err(reason) => return refused(reason),
        };
        if rows::get::<Disk>(self.rows, &keys::disk(to))?.map(|disk| disk.state)
            != Some(DiskState::In)
        {
            return refused(format!("disk {to} takes no part in placement"));
        }
        match moved(row, rank, to) {
            Ok(row) => self.put_group(row),
            Err(reason) => refused(reason),
        }
    }

    pub(super) fn replace_disk(
        &mut self,
        old: DiskId,
        new: DiskId,
        epoch: Epoch,
    ) -> Result<RootAnswer, KvError> {
        let row = |disk| rows::get::<Disk>(self.rows, &keys::disk(disk));
        let (Some(old_row), Some(new_row)) = (row(old)?, row(new)?) else {
            return refused(format!("disk {old} or disk {new} is not registered"));
        };
        let mut groups = Vec::new();
        let mut is_left = false;
        for group in query::groups(self.rows)? {
            let rank = group.disks.iter().position(|disk| *disk == old);
            let Some(rank) = rank.and_then(|rank| u8::try_from(rank).ok()) else { continue };
            if has_another_rank(&group, rank, new) {
                is_left = true;
            } else {
                groups.push((rank, group));
            }
        }
        let state = if is_left { DiskState::Draining } else { DiskState::Out };
        // Done before. One that was out keeps its ranks no less.
        if groups.is_empty() && [state, DiskState::Out].contains(&old_row.state) {
            return Ok(RootAnswer::Done);
        }
        if query::epoch(self.rows)? != epoch {
            return refused("the cluster has changed in this moment: try again");
        }
        if new_row.state != DiskState::In || old == new {
            return refused(format!("disk {new} takes no part in placement"));
        }
        let mut replaced = Vec::with_capacity(groups.len());
        for (rank, group) in groups {
            match moved(group, rank, new) {
                Ok(row) => replaced.push(row),
                Err(reason) => return refused(reason),
            }
        }
        for row in replaced {
            rows::put(self.rows, &keys::group(row.id), &row);
        }
        rows::put(self.rows, &keys::disk(old), &Disk { state, ..old_row });
        self.raise_epoch()?;
        Ok(RootAnswer::Done)
    }

    pub(super) fn end_move(
        &mut self,
        group: PgId,
        epoch: Epoch,
        rank: u8,
        disk: DiskId,
    ) -> Result<RootAnswer, KvError> {
        let former = Former { rank, disk };
        let known: Option<PlacementGroup> = rows::get(self.rows, &keys::group(group))?;
        if known.is_some_and(|row| !row.former.contains(&former)) {
            return Ok(RootAnswer::Done);
        }
        let mut row = match self.group_at(group, epoch)? {
            Ok(row) => row,
            Err(reason) => return refused(reason),
        };
        row.former.retain(|known| *known != former);
        row.epoch = Epoch(row.epoch.0 + 1);
        self.put_group(row)
    }

    pub(super) fn remove_disk(&mut self, disk: DiskId) -> Result<RootAnswer, KvError> {
        let Some(row) = rows::get::<Disk>(self.rows, &keys::disk(disk))? else {
            return Ok(RootAnswer::Done);
        };
        if row.state != DiskState::Out {
            return refused(format!("disk {disk} takes part in placement: drain it first"));
        }
        if let Some(group) = query::groups(self.rows)?.iter().find(|group| group.names(disk)) {
            return refused(format!(
                "shards of placement group {} are still on disk {disk}",
                group.id
            ));
        }
        self.rows.delete(&keys::disk(disk));
        self.raise_epoch()?;
        Ok(RootAnswer::Done)
    }

    pub(super) fn remove_node(&mut self, node: NodeId) -> Result<RootAnswer, KvError> {
        match query::node(self.rows, node)? {
            None => return Ok(RootAnswer::Done),
            Some(row) if row.role == Role::Meta => {
                return refused(format!(
                    "node {node} is a metadata node: `shardlake admin meta remove {}` removes it",
                    node.0
                ));
            }
            Some(_) => {}
        }
        if let Some(disk) = query::disks(self.rows)?.iter().find(|disk| disk.node == node) {
            return refused(format!(
                "node {node} still has disk {}: remove its disks first",
                disk.id
            ));
        }
        self.rows.delete(&keys::node(node));
        self.raise_epoch()?;
        Ok(RootAnswer::Done)
    }

    /// The group, or why it is not as the sender believes.
    fn group_at(
        &self,
        group: PgId,
        epoch: Epoch,
    ) -> Result<Result<PlacementGroup, String>, KvError> {
        let row: Option<PlacementGroup> = rows::get(self.rows, &keys::group(group))?;
        Ok(match row {
            None => Err(format!("there is no placement group {group}")),
            Some(row) if row.epoch != epoch && !platform::planted("ignore-epoch") => {
                Err(format!("placement group {group} is at epoch {}, not {epoch}", row.epoch))
            }
            Some(row) => Ok(row),
        })
    }

    fn put_group(&mut self, row: PlacementGroup) -> Result<RootAnswer, KvError> {
        rows::put(self.rows, &keys::group(row.id), &row);
        self.raise_epoch()?;
        Ok(RootAnswer::Done)
    }
}

/// Whether a disk may hold shards of another rank of the group than this one.
fn has_another_rank(row: &PlacementGroup, rank: u8, disk: DiskId) -> bool {
    row.disks.contains(&disk)
        || row.former.iter().any(|former| former.disk == disk && former.rank != rank)
}

/// The group with another member of a rank, or why it cannot have it.
fn moved(mut row: PlacementGroup, rank: u8, to: DiskId) -> Result<PlacementGroup, String> {
    let group = row.id;
    let Some(member) = row.disks.get(usize::from(rank)).copied() else {
        return Err(format!("group {group} has no rank {rank}"));
    };
    if row.disks.contains(&to) {
        return Err(format!("disk {to} is a member of group {group} already"));
    }
    if row.former.iter().any(|former| former.disk == to && former.rank != rank) {
        return Err(format!("disk {to} still holds another rank of group {group}"));
    }
    row.former.retain(|former| former.disk != to);
    if row.former.len() >= PlacementGroup::FORMER_MAX {
        return Err(format!("too many moves of group {group} are under way"));
    }
    row.former.push(Former { rank, disk: member });
    row.disks[usize::from(rank)] = to;
    row.epoch = Epoch(row.epoch.0 + 1);
    Ok(row)
}
