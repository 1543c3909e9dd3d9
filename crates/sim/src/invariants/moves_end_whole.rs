//! When a move ends, nobody looks for shards of the rank on the disk that is let go. So there must be
//! none there that no holder of the rank has.
//!
//! Blobs of the last seconds do not count: a write that chose its disks before the move may put its
//! shard there after the last look. Their commit says what is missing. Nor does what a holder had and
//! has lost, or what rots there and is being replaced.

use types::{Former, PgId, ShardId};

use super::{map, referenced};
use crate::world::World;

/// For so long, in microseconds, a blob must have been referenced.
const KNOWN_US: u64 = 10_000_000;

/// Checks the end of a move.
pub fn check(world: &World, group: PgId, former: Former) {
    let (Some(blobs), Some(map)) = (referenced(world), map(world)) else { return };
    let by_disk = world.by_disk();
    let Some(group) = map.groups.get(&group) else { return };
    let Some(let_go) = by_disk.get(&former.disk).copied() else { return };
    let holders: Vec<usize> =
        group.holders(former.rank).filter_map(|disk| by_disk.get(&disk).copied()).collect();
    if holders.contains(&let_go) {
        return;
    }
    let now = world.time.us();
    for found in blobs.values().filter(|found| found.blob.pg == group.id) {
        let shard = ShardId { blob: found.blob.id, rank: former.rank };
        let since = world.known_since.lock().get(&shard.blob).copied().unwrap_or(now);
        if now - since < KNOWN_US || !world.datas[let_go].store.is_durable(shard) {
            continue;
        }
        let has_or_had = |holder: &usize| {
            let at = (*holder, shard);
            world.datas[*holder].store.is_durable(shard)
                || world.rotten.lock().contains(&at)
                || world.lost.lock().contains(&at)
        };
        if !holders.iter().any(has_or_had) {
            world.violate(
                "moves_end_whole",
                format!(
                    "the move of rank {} of group {} has ended; of blob {} it is on {} only, which \
                     is let go",
                    former.rank, group.id, shard.blob, world.datas[let_go].host
                ),
            );
        }
    }
}
