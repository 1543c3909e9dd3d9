//! Listeners, and the connections to the other nodes of a cluster.

use std::{collections::BTreeMap, io::ErrorKind, net::SocketAddr, sync::Arc, time::Duration};

use cluster::{
    DataNodes, DiskClient, DiskDeadlines, MapCache, MetaNodes, MetadataClient, MetadataSettings,
};
use proto::{
    ChannelSettings, ClusterSecret, Identity, Peers, Timeouts,
    meta::{Hello, MetaService},
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use types::{ClusterId, FeatureLevel, NodeId};

use crate::{config::Config, error::UserError};

/// The pause between two rounds of asking which cluster this is.
const ASK_AGAIN: Duration = Duration::from_millis(300);

/// Binds, or says in one line what is in the way.
pub(crate) async fn bind(address: SocketAddr, what: &str) -> Result<TcpListener, UserError> {
    TcpListener::bind(address).await.map_err(|error| match error.kind() {
        ErrorKind::AddrInUse => UserError::new(format!(
            "{what}: {address} is in use by another process; stop it or choose another address"
        )),
        ErrorKind::AddrNotAvailable => {
            UserError::new(format!("{what}: this machine has no address {}", address.ip()))
        }
        ErrorKind::PermissionDenied => {
            UserError::new(format!("{what}: not allowed to listen on {address}"))
        }
        _ => UserError::new(format!("{what}: cannot listen on {address}: {error}")),
    })
}

/// A node's view of the others.
pub(crate) struct Network {
    /// What the node shows and asks.
    pub(crate) identity: Arc<Identity>,
    /// Connections by address.
    pub(crate) peers: Arc<Peers>,
    /// Metadata, routed.
    pub(crate) metadata: Arc<MetadataClient>,
    /// Disks, wherever they are.
    pub(crate) disks: Arc<DiskClient>,
}

impl Network {
    /// The network of a cluster node. `cluster` is `None` until the node has joined.
    pub(crate) fn of_cluster(
        config: &Config,
        cluster: Option<ClusterId>,
    ) -> Result<Self, UserError> {
        let secret = ClusterSecret::new(config.cluster.secret.0.as_bytes())
            .map_err(|error| UserError::new(format!("cluster.secret: {error}")))?;
        let identity = Arc::new(Identity::new(secret, cluster));
        let peers =
            Arc::new(Peers::new(identity.clone(), Timeouts::default(), ChannelSettings::default()));
        let nodes = MetaNodes::with_peers(&config.meta()?, peers.clone());
        let data_nodes = Arc::new(DataNodes::with_peers(peers.clone()));
        Ok(Self::over(identity, peers, nodes, data_nodes))
    }

    fn over(
        identity: Arc<Identity>,
        peers: Arc<Peers>,
        nodes: MetaNodes,
        data_nodes: Arc<DataNodes>,
    ) -> Self {
        let map = Arc::new(MapCache::unknown());
        let metadata =
            Arc::new(MetadataClient::new(nodes, map.clone(), MetadataSettings::default()));
        let disks = Arc::new(DiskClient::new(map, data_nodes, DiskDeadlines::default()));
        Self { identity, peers, metadata, disks }
    }

    /// Learns the cluster's id from its metadata nodes, however long they take, and shows it
    /// from here on. Refused if the node belongs to another cluster. Cancel by dropping it.
    pub(crate) async fn join(&self) -> Result<ClusterId, UserError> {
        loop {
            match self.metadata.hello(NodeId(0)).await {
                Ok(Hello { cluster: Some(cluster), level, .. }) => {
                    level.map_or(Ok(()), check_level)?;
                    self.identity.join(cluster).map_err(|error| {
                        UserError::new(format!(
                            "the folder of this node belongs to another cluster: {error}"
                        ))
                    })?;
                    return Ok(cluster);
                }
                Ok(Hello { cluster: None, .. }) => {
                    tracing::info!("waiting for the metadata nodes to found the cluster");
                }
                Err(error) => tracing::info!(%error, "waiting for the metadata nodes"),
            }
            tokio::time::sleep(ASK_AGAIN).await;
        }
    }

    /// Keeps the cluster map fresh for as long as the process lives. Lets it drain and end once
    /// the cluster uses a feature level that this software does not know.
    pub(crate) fn follow_map(&self, stop: CancellationToken) {
        let metadata = self.metadata.clone();
        tokio::spawn(async move { metadata.keep_map_fresh().await });
        let mut maps = self.metadata.map_cache().subscribe();
        tokio::spawn(async move {
            loop {
                let level = maps.borrow_and_update().level;
                if let Err(error) = check_level(level) {
                    tracing::error!(%error, "this process must stop");
                    return stop.cancel();
                }
                if maps.changed().await.is_err() {
                    return;
                }
            }
        });
    }
}

/// Whether this software can be part of a cluster of `level`.
pub(crate) fn check_level(level: FeatureLevel) -> Result<(), UserError> {
    let ours = super::level();
    if ours.serves(level) {
        return Ok(());
    }
    let advice = match ours < level {
        true => "start the newer software here, too",
        false => "upgrade the cluster one level at a time: start the software before this one",
    };
    Err(UserError::new(format!(
        "the cluster is at feature level {} and this software knows level {}: {advice}",
        level.0, ours.0
    )))
}

/// Metadata and disks of one process, without a network: the `dev` role.
pub(crate) fn in_process(
    node: NodeId,
    meta: Arc<dyn MetaService>,
) -> (Arc<MetadataClient>, Arc<DiskClient>, Arc<DataNodes>) {
    let map = Arc::new(MapCache::unknown());
    let nodes = BTreeMap::from([(node, meta)]);
    let metadata = Arc::new(MetadataClient::new(nodes, map.clone(), MetadataSettings::default()));
    let data_nodes = Arc::new(DataNodes::local());
    let disks = Arc::new(DiskClient::new(map, data_nodes.clone(), DiskDeadlines::default()));
    (metadata, disks, data_nodes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_levels_are_refused_with_what_to_do() {
        let FeatureLevel(ours) = FeatureLevel::OURS;
        check_level(FeatureLevel::OURS).expect("the same");
        check_level(FeatureLevel(ours - 1)).expect("the one before");
        let newer = check_level(FeatureLevel(ours + 1)).expect_err("newer").to_string();
        assert!(newer.contains("start the newer software"), "{newer}");
        let far = FeatureLevel(ours + 2);
        assert!(check_level(far).is_err());
    }
}
