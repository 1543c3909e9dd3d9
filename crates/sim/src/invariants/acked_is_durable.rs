//! When a client is told that its object is stored, at least the write quorum of its shards would
//! outlast a power cut of everything.

use types::BlobRef;

use super::{count, durable};
use crate::world::World;

/// Checks a blob that is being acknowledged.
pub fn check(world: &World, blob: &BlobRef) {
    let (found, quorum) = (count(&durable(world, blob)), blob.policy.write_quorum());
    if found < quorum {
        world.violate(
            "acked_is_durable",
            format!("blob {} was acknowledged with {found} durable shards of {quorum}", blob.id),
        );
    }
}
