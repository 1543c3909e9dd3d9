//! Replicas of a group that have applied the same entries have the same rows.

use std::collections::BTreeMap;

use types::NodeId;

use crate::world::World;

/// Compares every replica that runs.
pub fn check(world: &World) {
    for group in world.groups() {
        let mut known: BTreeMap<u64, (NodeId, blake3::Hash)> = BTreeMap::new();
        for (node, meta) in world.running() {
            let Some(replica) = meta.node.group(group) else { continue };
            let applied = replica.status().applied_index;
            let mut hasher = blake3::Hasher::new();
            let visited = replica.view(&mut |rows| {
                for row in rows.scan(b"", None) {
                    let (key, value) = row?;
                    hasher.update(&(key.len() as u64).to_le_bytes()).update(&key);
                    hasher.update(&(value.len() as u64).to_le_bytes()).update(&value);
                }
                Ok(())
            });
            if visited.is_err() {
                continue;
            }
            let hash = hasher.finalize();
            let (other, before) = *known.entry(applied).or_insert((node, hash));
            if before != hash {
                world.violate(
                    "replicas_agree",
                    format!("{other} and {node} differ in {group} after entry {applied}"),
                );
            }
        }
    }
}
