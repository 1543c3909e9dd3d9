//! A repair is called done, and a copy of a shard goes, only after what was written in its place was
//! read back: a disk may write other bytes than it was given.

use metastore::api::index::RepairRow;
use types::ShardId;

use super::{intact, referenced};
use crate::world::World;

/// Checks the end of a repair.
pub fn check(world: &World, row: &RepairRow) {
    if referenced(world).is_none_or(|blobs| !blobs.contains_key(&row.blob.id)) {
        return;
    }
    let intact = intact(world, &row.blob);
    for rank in &row.missing {
        let shard = ShardId { blob: row.blob.id, rank: *rank };
        if intact[usize::from(*rank)].is_empty()
            && let Some(host) = badly_written(world, shard)
        {
            world.violate(
                "repaired_is_good",
                format!(
                    "rank {rank} of blob {} was called repaired; {host} wrote other bytes",
                    shard.blob
                ),
            );
        }
    }
}

/// Checks the deletion of the last good copy of a shard.
pub fn check_deletion(world: &World, number: usize, shard: ShardId) {
    if let Some(host) = badly_written(world, shard) {
        world.violate(
            "repaired_is_good",
            format!(
                "{} is to delete the last good copy of rank {} of blob {}; {host} wrote other bytes",
                world.datas[number].host, shard.rank, shard.blob
            ),
        );
    }
}

/// Who has the shard with other bytes than it was given.
fn badly_written(world: &World, shard: ShardId) -> Option<&str> {
    let written = world.badly_written.lock();
    let mut wrong = written
        .iter()
        .filter(|(number, wrong)| *wrong == shard && world.datas[*number].store.is_durable(shard));
    wrong.next().map(|(number, _)| world.datas[*number].host.as_str())
}
