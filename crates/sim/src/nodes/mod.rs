//! The software of the simulated hosts: what the roles of the server do, with simulated disks,
//! clocks and network under it.

mod bad_writes;
mod data;
mod gateway;
mod late;
mod meta;
mod operator;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use cluster::{
    DataNodes, DiskClient, DiskDeadlines, MapCache, Metadata, MetadataClient, MetadataSettings,
};
pub use data::data;
pub use gateway::gateway;
pub use meta::meta;
use metastore::api::{RootAnswer, RootCommand};
use objects::Objects;
use platform::Clock;
use proto::{
    ChannelSettings, Identity, Peers, ServeSettings, Services, Timeouts, meta::MetaService,
};
use types::NodeId;

use crate::{
    transport::{SimDialer, SimListener, address},
    world::World,
};

/// What the software of a host ends with.
pub type Ended = Result<(), Box<dyn std::error::Error>>;

/// How long after its beginning a write may commit: short, so that runs meet the deadline.
pub const WRITE_DEADLINE_MS: u64 = 12_000;

/// A node's view of the others.
struct Network {
    identity: Arc<Identity>,
    peers: Arc<Peers>,
    metadata: Arc<MetadataClient>,
    disks: Arc<DiskClient>,
}

impl Network {
    /// Metadata services in `local` are called without a connection.
    fn new(world: &World, local: BTreeMap<NodeId, Arc<dyn MetaService>>) -> Self {
        let identity = world.identity();
        let peers = Arc::new(Peers::over(
            Arc::new(SimDialer),
            identity.clone(),
            Timeouts::default(),
            ChannelSettings::default(),
        ));
        let mut nodes: BTreeMap<NodeId, Arc<dyn MetaService>> = BTreeMap::new();
        for site in &world.metas {
            nodes.insert(site.node, Arc::new(peers.meta(&address(&site.host))));
        }
        nodes.extend(local);
        let map = Arc::new(MapCache::unknown());
        let metadata =
            Arc::new(MetadataClient::new(nodes, map.clone(), MetadataSettings::default()));
        let data_nodes = Arc::new(DataNodes::with_peers(peers.clone()));
        let disks = Arc::new(DiskClient::new(map, data_nodes, DiskDeadlines::default()));
        Self { identity, peers, metadata, disks }
    }

    fn follow_map(&self) {
        let metadata = self.metadata.clone();
        tokio::spawn(async move { metadata.keep_map_fresh().await });
    }

    fn objects(&self, clock: Arc<dyn Clock>) -> Objects {
        let settings = objects::Settings {
            write_deadline_ms: WRITE_DEADLINE_MS,
            buffer_bytes_max: 64 << 20,
            ..objects::Settings::default()
        };
        Objects::new(self.metadata.clone(), self.disks.clone(), clock, settings)
    }
}

/// Serves until the host crashes.
async fn serve(identity: Arc<Identity>, services: Services) -> Ended {
    let listener = SimListener::bind().await?;
    let never = std::future::pending();
    Ok(proto::serve(listener, services, identity, ServeSettings::default(), never).await?)
}

/// Proposes to the root group until there is an answer.
async fn patiently(metadata: &MetadataClient, command: RootCommand) -> Result<RootAnswer, String> {
    loop {
        match metadata.root(command.clone()).await {
            Ok(RootAnswer::Refused(reason)) => return Err(reason),
            Ok(answer) => return Ok(answer),
            Err(error) => tracing::debug!(%error, "waiting for metadata"),
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// What the workers are told: as in a real cluster, but with less patience.
fn workers(sole_repairer: bool) -> repair::Settings {
    repair::Settings {
        garbage_grace_ms: 8_000,
        orphan_grace_ms: 4_000,
        garbage_interval_ms: 2_000,
        orphan_interval_ms: 1_500,
        repair_interval_ms: 1_000,
        heal_interval_ms: 1_000,
        scrub_period_ms: 12_000,
        scrub_inventory_ms: 6_000,
        inventory_interval_ms: 30_000,
        restore_interval_ms: 30_000,
        sole_repairer,
        // The rest follows the machine's clock.
        throttle_percent: 0,
        ..repair::Settings::default()
    }
}
