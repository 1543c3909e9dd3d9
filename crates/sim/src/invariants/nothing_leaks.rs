//! Once everything works again, disks come to hold what is referenced, all of it, where it belongs, and
//! nothing else: every rank of every referenced blob intact on its member, no other copy of it, no shard
//! of any other blob, no move under way, and no disk that was to be emptied. Disks are those that the
//! cluster knows.

use std::collections::BTreeSet;

use types::{DiskState, ShardId};

use super::{intact, map, referenced};
use crate::world::World;

/// What is not yet as it should be, in a sentence; nothing when all is well.
pub fn lacking(world: &World) -> Option<String> {
    let (Some(blobs), Some(map)) = (referenced(world), map(world)) else {
        return Some("no replica has applied everything".into());
    };
    let by_disk = world.by_disk();
    let mut right: BTreeSet<(usize, ShardId)> = BTreeSet::new();
    for found in blobs.values() {
        let (blob, key) = (&found.blob, &found.intent.key);
        let Some(group) = map.groups.get(&blob.pg) else {
            return Some(format!("there is no group {} for blob {} of {key:?}", blob.pg, blob.id));
        };
        for ((rank, disk), holders) in (0u8..).zip(&group.disks).zip(intact(world, blob)) {
            let member = by_disk.get(disk).copied();
            match member.filter(|member| holders.contains(member)) {
                Some(member) => right.insert((member, ShardId { blob: blob.id, rank })),
                None => {
                    return Some(format!(
                        "{disk} lacks rank {rank} of blob {} of {key:?}",
                        blob.id
                    ));
                }
            };
        }
    }
    // What a disk held that was removed is nobody's business: it never comes back with it. A write that
    // began before it was empty may have put a shard there.
    let known: BTreeSet<usize> =
        map.disks.keys().filter_map(|disk| by_disk.get(disk).copied()).collect();
    for (number, site) in
        world.datas.iter().enumerate().filter(|(number, _)| known.contains(number))
    {
        let stray =
            site.store.shards().into_iter().find(|shard| !right.contains(&(number, *shard)));
        if let Some(shard) = stray {
            let why = match blobs.contains_key(&shard.blob) {
                true => "which belongs elsewhere",
                false => "which nothing references",
            };
            return Some(format!(
                "{} holds rank {} of blob {}, {why}",
                site.host, shard.rank, shard.blob
            ));
        }
    }
    if let Some(disk) = map.disks.values().find(|disk| disk.state != DiskState::In) {
        return Some(format!("disk {} was to be emptied, and is {:?}", disk.id, disk.state));
    }
    let moving = map.groups.values().find(|group| !group.former.is_empty());
    moving.map(|group| format!("group {} still names {:?}", group.id, group.former))
}
