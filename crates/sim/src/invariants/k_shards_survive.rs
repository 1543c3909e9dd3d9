//! Every blob that the index references has at least k intact shards that would outlast a power cut,
//! so that it can be read, or will be.

use super::{count, intact, referenced};
use crate::world::World;

/// Looks at every referenced blob. While no replica knows them all, another time.
pub fn check(world: &World) {
    let Some(blobs) = referenced(world) else { return };
    let (now, mut known) = (world.time.us(), world.known_since.lock());
    known.retain(|blob, _| blobs.contains_key(blob));
    for found in blobs.values() {
        known.entry(found.blob.id).or_insert(now);
        let blob = &found.blob;
        let (shards, k) = (count(&intact(world, blob)), blob.policy.k());
        if shards < k {
            world.violate(
                "k_shards_survive",
                format!(
                    "blob {} of {:?} has {shards} intact shards; {k} are needed",
                    blob.id, found.intent.key
                ),
            );
        }
    }
}
