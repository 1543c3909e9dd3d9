//! An operator beside a gateway: carries out what the faults order, by what the cluster map says then.

use std::{sync::Arc, time::Duration};

use cluster::{Metadata, MetadataClient};
use metastore::api::RootCommand;
use rand::{Rng, rngs::StdRng};
use types::{ClusterMap, DiskId, DiskState, PlacementGroup};

use crate::{scenario::stream, world::World};

/// How often orders are looked for.
const LOOK: Duration = Duration::from_millis(200);

/// Moves a member of a group for each order.
pub(super) async fn operator(world: Arc<World>, metadata: Arc<MetadataClient>) {
    let mut random = stream(world.scenario.seed, &format!("operator {}", world.time.us()));
    loop {
        tokio::time::sleep(LOOK).await;
        let ordered = std::mem::take(&mut *world.moves.lock());
        for _ in 0..ordered {
            let Some(command) = a_move(&metadata.map(), &mut random) else { continue };
            let answer = metadata.root(command.clone()).await;
            world.note(&format!("{command:?} was answered {answer:?}"));
        }
    }
}

/// A member of a group and another disk in its place.
fn a_move(map: &ClusterMap, random: &mut StdRng) -> Option<RootCommand> {
    let takes = |group: &PlacementGroup, disk: DiskId| {
        !group.disks.contains(&disk)
            && map.disks.get(&disk).is_some_and(|disk| disk.state == DiskState::In)
    };
    let groups: Vec<&PlacementGroup> = map.groups.values().collect();
    if groups.is_empty() {
        return None;
    }
    let group = groups[random.random_range(0..groups.len())];
    let others: Vec<DiskId> =
        map.disks.keys().copied().filter(|disk| takes(group, *disk)).collect();
    if others.is_empty() {
        return None;
    }
    let rank = random.random_range(0..group.disks.len());
    Some(RootCommand::MoveMember {
        group: group.id,
        epoch: group.epoch,
        rank: u8::try_from(rank).ok()?,
        to: others[random.random_range(0..others.len())],
    })
}
