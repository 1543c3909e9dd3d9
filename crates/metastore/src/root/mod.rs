//! The root group's state machine. What each command does and answers is written at
//! [`crate::api::root::RootCommand`]; here is how.
//!
//! Reading order: this file (one command from decode to answer), `members` (identity,
//! nodes, disks, placement groups), `moves` (what changes about them), `meta` (who votes), `buckets`, `cursors`, [`query`].

mod buckets;
mod cursors;
mod members;
mod meta;
mod moves;
pub mod query;

use bytes::Bytes;
use consensus::{ApplyContext, Halt, KvError, KvWrite, StateMachine};
pub use members::CONFIGURED_NODE_MAX;
#[cfg(test)]
pub(crate) use members::flaw_of;
pub use query::evaluate;
use types::{Epoch, UnixMillis};

use crate::{
    api::{self, RootAnswer, RootCommand},
    keys::root as keys,
    rows,
};

/// The state machine of the root group. It holds nothing: everything is in rows.
#[derive(Clone, Copy, Debug, Default)]
pub struct RootMachine;

impl StateMachine for RootMachine {
    fn apply(
        &self,
        rows: &mut dyn KvWrite,
        context: ApplyContext,
        command: &[u8],
    ) -> Result<Bytes, Halt> {
        let command: RootCommand =
            api::decode(command).map_err(|error| Halt(format!("root command: {error}")))?;
        let answer = Apply { rows, now: context.now }.run(&command)?;
        Ok(api::encode(&answer))
    }
}

/// One command being applied.
struct Apply<'a> {
    rows: &'a mut dyn KvWrite,
    now: UnixMillis,
}

impl Apply<'_> {
    fn run(&mut self, command: &RootCommand) -> Result<RootAnswer, KvError> {
        use RootCommand as C;
        match command {
            C::Bootstrap { cluster, policy, partitions, level } => {
                self.bootstrap(*cluster, *policy, partitions, *level)
            }
            C::RegisterNode { id, instance, role, address, location, level } => {
                self.register_node(*id, *instance, *role, address, location, *level)
            }
            C::FinaliseLevel { level } => self.finalise_level(*level),
            C::SetDiskState { disk, state, epoch } => self.set_disk_state(*disk, *state, *epoch),
            C::MoveMember { group, epoch, rank, to } => {
                self.move_member(*group, *epoch, *rank, *to)
            }
            C::ReplaceDisk { old, new, epoch } => self.replace_disk(*old, *new, *epoch),
            C::EndMove { group, epoch, rank, disk } => self.end_move(*group, *epoch, *rank, *disk),
            C::RemoveDisk { disk } => self.remove_disk(*disk),
            C::RemoveNode { node } => self.remove_node(*node),
            C::RegisterDisk { uuid, node, capacity_bytes, class } => {
                self.register_disk(*uuid, *node, *capacity_bytes, *class)
            }
            C::SetStorageClasses { classes } => self.set_storage_classes(classes),
            C::CreateGroups { policy, class, groups, existing } => {
                self.create_groups(*policy, *class, groups, *existing)
            }
            C::CreateBucket { name, id, initial } => self.create_bucket(name, *id, *initial),
            C::SetBucketConfig { id, kind, name, value } => {
                self.set_bucket_config(*id, *kind, name, value.as_ref())
            }
            C::BeginDeleteBucket { name } => self.begin_delete_bucket(name),
            C::FinishDeleteBucket { id } => self.finish_delete_bucket(*id),
            C::CancelDeleteBucket { id } => self.cancel_delete_bucket(*id),
            C::SaveCursor { worker, cursor } => self.save_cursor(worker, cursor),
            C::BeginMetaChange { change, voters } => self.begin_meta_change(*change, voters),
            C::EndMetaChange { change } => self.end_meta_change(*change),
        }
    }

    /// The map has changed: everybody's copy is stale.
    fn raise_epoch(&mut self) -> Result<(), KvError> {
        let epoch: Epoch = rows::get(self.rows, keys::EPOCH)?.unwrap_or_default();
        rows::put(self.rows, keys::EPOCH, &Epoch(epoch.0 + 1));
        Ok(())
    }

    /// The next number of a counter that starts at `first`.
    fn next(&mut self, counter: &[u8], first: u64) -> Result<u64, KvError> {
        let last: Option<u64> = rows::get(self.rows, counter)?;
        let next = last.map_or(first, |last| last + 1);
        rows::put(self.rows, counter, &next);
        Ok(next)
    }
}

fn refused(reason: impl Into<String>) -> Result<RootAnswer, KvError> {
    Ok(RootAnswer::Refused(reason.into()))
}
