//! Disks that write other bytes than they were given, and answer that all is well. Only what replaces a
//! shard is written so: readers of new objects would meet it as rot, which there is besides.

use types::ShardId;

use crate::{
    invariants::{intact, referenced},
    world::World,
};

/// A shard has just been sealed on a data node's disk, and nobody has been told yet.
pub(super) fn wrote(world: &World, number: usize, shard: ShardId) {
    world.badly_written.lock().remove(&(number, shard));
    if !world.bad_writers.lock().contains(&number) {
        return;
    }
    // Who is referenced was acknowledged before: this is a repair.
    let Some(found) = referenced(world).and_then(|mut blobs| blobs.remove(&shard.blob)) else {
        return;
    };
    let holders = intact(world, &found.blob);
    let others = holders
        .iter()
        .enumerate()
        .filter(|(rank, holders)| *rank != usize::from(shard.rank) && !holders.is_empty());
    let site = &world.datas[number];
    if others.count() >= found.blob.policy.k() && site.store.flip_bit(shard, 0, 7) {
        world.note(&format!("{} writes {shard:?} wrongly", site.host));
        world.rotten.lock().insert((number, shard));
        world.badly_written.lock().insert((number, shard));
    }
}
