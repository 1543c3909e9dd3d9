//! An operator beside a gateway: carries out what the faults order, by what the cluster map says then.

use std::{sync::Arc, time::Duration};

use cluster::{Metadata, MetadataClient};
use metastore::api::RootCommand;
use placement::Domain;
use rand::{Rng, rngs::StdRng, seq::IndexedRandom};
use repair::membership;
use types::{ClusterMap, DiskId, DiskState, PlacementGroup};

use crate::{
    scenario::stream,
    world::{Part, World},
};

/// How often orders are looked for.
const LOOK: Duration = Duration::from_millis(200);

/// How often it is looked whether a disk is empty.
const PATIENCE: Duration = Duration::from_secs(2);

/// Moves a member of a group, or empties a disk, for each order; nodes whose disk is empty are removed.
pub(super) async fn operator(world: Arc<World>, metadata: Arc<MetadataClient>) {
    let mut random = stream(world.scenario.seed, &format!("operator {}", world.time.us()));
    if world.scenario.faults.members {
        tokio::spawn(remove_the_empty(world.clone(), metadata.clone()));
    }
    loop {
        tokio::time::sleep(LOOK).await;
        let ordered = std::mem::take(&mut *world.drains.lock());
        for _ in 0..ordered {
            let Some(disk) = in_use(&metadata.map()).choose(&mut random).copied() else { continue };
            let (world, metadata) = (world.clone(), metadata.clone());
            tokio::spawn(async move {
                let answer = membership::drain_disk(&*metadata, Domain::Node, disk).await;
                world.note(&format!("draining {disk} was answered {answer:?}"));
            });
        }
        let ordered = std::mem::take(&mut *world.moves.lock());
        for _ in 0..ordered {
            // By the same map, as two operators decide who do not know of each other.
            let map = metadata.map();
            let Some(group) = a_group(&map, &mut random) else { continue };
            for _ in 0..2 {
                let Some(command) = a_move(&map, group, &mut random) else { continue };
                let (world, metadata) = (world.clone(), metadata.clone());
                tokio::spawn(async move {
                    let answer = metadata.root(command.clone()).await;
                    world.note(&format!("{command:?} was answered {answer:?}"));
                });
            }
        }
    }
}

/// Removes nodes that have nothing any more, until the cluster is as it was meant to be.
async fn remove_the_empty(world: Arc<World>, metadata: Arc<MetadataClient>) {
    loop {
        tokio::time::sleep(PATIENCE).await;
        let map = metadata.map();
        let empty = map.disks.values().filter(|disk| disk.state == DiskState::Out);
        for disk in empty.filter(|disk| membership::groups_left(&map, disk.id) == 0) {
            // From now on its folder may be refused, so it does not start again.
            if let Some(number) = world.by_disk().get(&disk.id) {
                *world.datas[*number].part.lock() = Part::Removed;
            }
            let answer = membership::remove_node(&*metadata, disk.node).await;
            world.note(&format!("removing node {} was answered {answer:?}", disk.node));
        }
    }
}

fn in_use(map: &ClusterMap) -> Vec<DiskId> {
    map.disks.values().filter(|disk| disk.state == DiskState::In).map(|disk| disk.id).collect()
}

/// A group, often one that is on the move already, where what was planned before does not hold any more.
fn a_group<'a>(map: &'a ClusterMap, random: &mut StdRng) -> Option<&'a PlacementGroup> {
    let all: Vec<&PlacementGroup> = map.groups.values().collect();
    let moving: Vec<_> = all.iter().filter(|group| !group.former.is_empty()).copied().collect();
    let among = if random.random_range(0..2) == 0 && !moving.is_empty() { moving } else { all };
    among.choose(random).copied()
}

/// A member of the group and another disk in its place.
fn a_move(map: &ClusterMap, group: &PlacementGroup, random: &mut StdRng) -> Option<RootCommand> {
    let others: Vec<DiskId> =
        in_use(map).into_iter().filter(|disk| !group.disks.contains(disk)).collect();
    let rank = random.random_range(0..group.disks.len());
    Some(RootCommand::MoveMember {
        group: group.id,
        epoch: group.epoch,
        rank: u8::try_from(rank).ok()?,
        to: others.choose(random).copied()?,
    })
}
