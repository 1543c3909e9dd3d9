//! A gateway: the object layer over the cluster's clients, and the clients that call it.

use std::{collections::BTreeMap, sync::Arc};

use super::{Ended, Network, operator::operator, workers};
use crate::{
    workload::{self, Client},
    world::World,
};

/// Runs the gateway of a site.
pub async fn gateway(world: Arc<World>, number: usize) -> Ended {
    let site = &world.gateways[number];
    let network = Network::new(&world, BTreeMap::new());
    network.follow_map();
    let objects = network.objects(site.clock.clone());
    // Its readers are the ones that meet bad chunks.
    let repairer = repair::Workers::new(0);
    repairer.spawn(repair::ShardRepairer::new(objects.clone(), workers(false)));
    workload::buckets(&world, &objects).await;
    if number == 0 {
        tokio::spawn(operator(world.clone(), network.metadata.clone()));
    }
    for client in 0..world.scenario.clients {
        let client = Client::new(world.clone(), objects.clone(), number, client);
        tokio::task::spawn_local(client.run());
    }
    workload::settle(world.clone(), objects, number).await;
    std::future::pending().await
}
