//! What must always hold, one file each.
//!
//! | invariant | what it says | when it is checked |
//! |---|---|---|
//! | [`terms_never_go_back`] | a replica never returns to a term that it has left | every 20 ms |
//! | [`log_matching`] | all replicas apply the same commands at the same places, also again after a crash | with each command |
//! | [`acked_is_durable`] | an acknowledged blob has its write quorum of sealed, synced shards | with each acknowledgement |
//! | [`k_shards_survive`] | every referenced blob has k intact, synced shards | every 250 ms |
//! | [`no_referenced_blob_collected`] | nobody deletes an intact shard of a referenced blob unless k others are intact | with each deletion |
//! | `no_wrong_bytes` | a read answers what was written, byte by byte | with each read, in `workload` |
//! | [`planned_on_this_map`] | a change of a placement group is applied only to the state that it was planned on | with each such command |
//! | [`moves_end_whole`] | a move ends only when the disk that is let go has no shard that its group lacks | with each end |
//! | [`repaired_is_good`] | a repair is called done only of what the disk really wrote | with each repair |
//! | [`linearizable`] | every key is a linearizable register | at the end |
//! | [`list_complete`] | a listing has what was there all along, and nothing that was gone | at the end |
//! | [`replicas_agree`] | replicas that have applied as much have the same rows | at the end |
//! | [`nothing_leaks`] | in the end disks hold what is referenced, each rank where it belongs, and nothing else | at the end |
//! | `everything_works` | once nothing is wrong any more every operation succeeds, in bounded time | at the end, in `run` |
//! | `no_panic` | nothing panics | always, in `run` |

pub mod acked_is_durable;
pub mod k_shards_survive;
pub mod linearizable;
pub mod list_complete;
pub mod log_matching;
pub mod moves_end_whole;
pub mod no_referenced_blob_collected;
pub mod nothing_leaks;
pub mod planned_on_this_map;
pub mod promises;
pub mod repaired_is_good;
pub mod replicas_agree;
pub mod terms_never_go_back;

use std::collections::BTreeMap;

pub use log_matching::Applied;
use metastore::{
    api::{IndexQuery, IndexView, RootQuery, RootView, index::ReferencedBlob},
    index, root,
};
use types::{BlobId, BlobRef, ClusterMap, GroupId, ShardId};

use crate::world::World;

/// Rows of a page.
const PAGE: u32 = 1000;

/// All blobs that are referenced, by their id: `None` while no replica that runs has all that was
/// ever applied in its partition.
pub fn referenced(world: &World) -> Option<BTreeMap<BlobId, ReferencedBlob>> {
    let mut all = BTreeMap::new();
    for group in world.groups() {
        if group != GroupId::ROOT {
            referenced_in(world, group, &mut all)?;
        }
    }
    Some(all)
}

fn referenced_in(
    world: &World,
    group: GroupId,
    all: &mut BTreeMap<BlobId, ReferencedBlob>,
) -> Option<()> {
    let newest = world.applied.lock().newest(group);
    let running = world.running();
    let replicas = running.iter().filter_map(|(_, meta)| meta.node.group(group));
    let replica = replicas.max_by_key(|replica| replica.status().applied_index)?;
    if replica.status().applied_index < newest {
        return None;
    }
    let mut after = None;
    loop {
        let query = IndexQuery::Referenced { after, limit: PAGE };
        let mut view = None;
        let visited = replica.view(&mut |rows| {
            view = Some(index::evaluate(rows, &query)?);
            Ok(())
        });
        let (Ok(()), Some(IndexView::Referenced { blobs, next })) = (visited, view) else {
            return None;
        };
        all.extend(blobs.into_iter().map(|found| (found.blob.id, found)));
        after = next;
        if after.is_none() {
            return Some(());
        }
    }
}

/// The cluster map, as the replica has it that has applied most.
pub fn map(world: &World) -> Option<Box<ClusterMap>> {
    let running = world.running();
    let replicas = running.iter().filter_map(|(_, meta)| meta.node.group(GroupId::ROOT));
    let replica = replicas.max_by_key(|replica| replica.status().applied_index)?;
    let mut map = None;
    let visited = replica.view(&mut |rows| {
        if let RootView::Map(found) = root::evaluate(rows, &RootQuery::Map)? {
            map = found;
        }
        Ok(())
    });
    visited.ok().and(map)
}

/// On which data nodes each rank of a blob lies, sealed, synced and with the right bytes.
pub fn intact(world: &World, blob: &BlobRef) -> Vec<Vec<usize>> {
    holders(world, blob, |number, shard| {
        !world.rotten.lock().contains(&(number, shard))
            || world.datas[number].store.is_intact(shard)
    })
}

/// On which data nodes each rank of a blob lies, sealed and synced.
pub fn durable(world: &World, blob: &BlobRef) -> Vec<Vec<usize>> {
    holders(world, blob, |_, _| true)
}

fn holders(
    world: &World,
    blob: &BlobRef,
    counts: impl Fn(usize, ShardId) -> bool,
) -> Vec<Vec<usize>> {
    let rank = |rank: usize| {
        let shard = ShardId { blob: blob.id, rank: u8::try_from(rank).expect("n is at most 32") };
        let sites = world.datas.iter().enumerate();
        let holds =
            sites.filter(|(number, site)| site.store.is_durable(shard) && counts(*number, shard));
        holds.map(|(number, _)| number).collect()
    };
    (0..blob.policy.n()).map(rank).collect()
}

/// How many ranks lie anywhere.
pub fn count(holders: &[Vec<usize>]) -> usize {
    holders.iter().filter(|rank| !rank.is_empty()).count()
}
