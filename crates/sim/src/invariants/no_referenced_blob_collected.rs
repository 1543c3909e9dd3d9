//! Nobody deletes an intact shard of a blob that the index references, unless k others are intact.
//!
//! A repairer may delete one that another has just written: both saw the corrupt one before. A
//! collector that is wrong goes on until too few are left.

use types::ShardId;

use super::{count, intact, referenced, repaired_is_good};
use crate::world::World;

/// Checks a deletion on a data node, before it is done.
pub fn check(world: &World, number: usize, shards: &[ShardId]) {
    let Some(blobs) = referenced(world) else { return };
    for shard in shards {
        let Some(found) = blobs.get(&shard.blob) else { continue };
        let (holders, rank) = (intact(world, &found.blob), usize::from(shard.rank));
        if holders.get(rank).is_none_or(|holders| *holders != [number]) {
            continue;
        }
        repaired_is_good::check_deletion(world, number, *shard);
        let others = count(&holders) - 1;
        if others < found.blob.policy.k() {
            world.violate(
                "no_referenced_blob_collected",
                format!(
                    "rank {rank} of blob {} of {:?}, which is referenced, is deleted from {}: \
                     {others} others are left",
                    shard.blob, found.intent.key, world.datas[number].host
                ),
            );
        }
    }
}
