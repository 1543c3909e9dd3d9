//! Commands that promise something about the disks when they are applied. The state machine cannot
//! see the disks; the simulation can. It looks right after the tick, when no state machine is at work.

use consensus::KvRead;
use metastore::{
    api::{
        self, IndexCommand, IndexQuery, IndexView, RootCommand, RootQuery, RootView,
        index::RepairRow,
    },
    index, root,
};
use types::{Epoch, Former, GroupId, PgId, PlacementGroup};

use super::{PAGE, moves_end_whole, planned_on_this_map, repaired_is_good};
use crate::world::World;

/// What was promised.
#[derive(Clone, Debug)]
pub enum Promise {
    /// Nothing is waited for on this disk any more.
    MoveEnded(PgId, Former),
    /// These ranks of the blob are where they belong, and good.
    Repaired(RepairRow),
}

/// A command that is looked at, and the state before it.
pub enum Noticed {
    /// A change of a group.
    Change {
        /// The group as the command finds it.
        before: PlacementGroup,
        /// The epoch that it was planned on.
        epoch: Epoch,
        /// The former disk that it forgets.
        ends: Option<Former>,
    },
    /// The end of a repair.
    Repaired(RepairRow),
}

/// Looks at a command that a replica is about to apply.
pub fn notice(group: GroupId, rows: &dyn KvRead, command: &[u8]) -> Option<Noticed> {
    if group == GroupId::ROOT {
        let (group, epoch, ends) = match api::decode(command).ok()? {
            RootCommand::MoveMember { group, epoch, .. } => (group, epoch, None),
            RootCommand::EndMove { group, epoch, rank, disk } => {
                (group, epoch, Some(Former { rank, disk }))
            }
            _ => return None,
        };
        return Some(Noticed::Change { before: group_of(rows, group)?, epoch, ends });
    }
    let IndexCommand::Repaired { blob } = api::decode(command).ok()? else { return None };
    let repairs = IndexQuery::Repairs { after: None, limit: PAGE };
    let IndexView::Repairs(found) = index::evaluate(rows, &repairs).ok()? else { return None };
    found.into_iter().find(|row| row.blob.id == blob).map(Noticed::Repaired)
}

/// It has been applied, for the first time on any replica.
pub fn applied(world: &World, rows: &dyn KvRead, noticed: Noticed) {
    let promise = match noticed {
        Noticed::Repaired(row) => Promise::Repaired(row),
        Noticed::Change { before, epoch, ends } => {
            let Some(after) = group_of(rows, before.id) else { return };
            planned_on_this_map::check(world, &before, epoch, &after);
            match ends.filter(|former| before.former.contains(former)) {
                Some(former) if !after.former.contains(&former) => {
                    Promise::MoveEnded(before.id, former)
                }
                _ => return,
            }
        }
    };
    world.promises.lock().push(promise);
}

fn group_of(rows: &dyn KvRead, group: PgId) -> Option<PlacementGroup> {
    match root::evaluate(rows, &RootQuery::Map).ok()? {
        RootView::Map(map) => map?.groups.remove(&group),
        _ => None,
    }
}

/// Checks what was promised since the last time.
pub fn check(world: &World) {
    for promise in std::mem::take(&mut *world.promises.lock()) {
        match promise {
            Promise::MoveEnded(group, former) => moves_end_whole::check(world, group, former),
            Promise::Repaired(row) => repaired_is_good::check(world, &row),
        }
    }
}
