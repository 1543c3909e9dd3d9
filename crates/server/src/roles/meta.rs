//! `shardlake meta`: a metadata node. The node that leads the root group also runs the
//! cluster's background workers.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use metastore::ControllerSettings;
use proto::{
    meta::MetaService,
    raft::RaftService,
    serve::{ServeSettings, Services},
};
use types::{InstanceId, Location, NodeId, Role};

use super::{
    clock,
    data_part::Registration,
    gateway_part, joining,
    late::Late,
    meta_part::{Me, MetaPart, RemotePeers},
    network::{self, Network},
    workers_part,
};
use crate::{
    admin_port,
    admin_source::Source,
    config::Config,
    error::UserError,
    identity::{Fixed, Identity},
    ready::Ready,
    shutdown,
};

/// Runs until a signal.
pub(crate) async fn run(config: Config, ready_file: Option<PathBuf>) -> anyhow::Result<()> {
    let stop = shutdown::on_signal()?;
    config.check()?;
    let node = NodeId(config.node.id);
    let nodes = config.meta()?;
    let Some(address) = nodes.get(&node).cloned() else {
        return Err(UserError::new(format!(
            "node.id: {} is not one of the ids in cluster.meta",
            config.node.id
        ))
        .into());
    };
    let (policy, domain) = (config.policy()?, config.domain()?);
    let classes = config.storage_classes.overrides()?;
    let events = config.events.settings()?;
    let partitions = config.cluster.partitions;
    if !(1..=u32::from(metastore::partitions::PARTITIONS_MAX)).contains(&partitions) {
        return Err(UserError::new("cluster.partitions: choose 1 to 256").into());
    }
    let metrics = telemetry::metrics::install();
    let credentials = config.credentials()?;
    let folder = config.node.data.clone();
    let known = Identity::read(&folder, "meta")?;
    check_fixed(known.as_ref(), node, partitions)?;
    let listener = network::bind(config.node.listen, "node.listen").await?;
    let admin_listener = network::bind(config.admin.listen, "admin.listen").await?;

    let network = Network::of_cluster(
        &config,
        known.as_ref().map(|identity| identity.cluster),
        BTreeMap::new(),
    )?;
    let late = Arc::new(Late::new(node, network.identity.clone()));
    let services = Services {
        raft: Some(late.clone() as Arc<dyn RaftService>),
        meta: Some(late.clone() as Arc<dyn MetaService>),
        shards: None,
    };
    let serving = tokio::spawn(proto::serve::serve(
        listener,
        services,
        network.identity.clone(),
        ServeSettings::default(),
        stop.clone().cancelled_owned(),
    ));

    let starting = async {
        let identity = match known {
            Some(identity) => identity,
            None => {
                let cluster = joining::cluster(node, &nodes, &network.peers).await?;
                let fixed = Fixed { policy: policy.to_string(), partitions, disks: 0 };
                let identity = Identity::new("meta", cluster, Some(node), fixed);
                identity.write(&folder)?;
                network.identity.join(cluster)?;
                identity
            }
        };
        open(&config, &nodes, node, &identity, &network, &late).await.map(|part| (identity, part))
    };
    let Some(started) = stop.run_until_cancelled(starting).await else { return Ok(()) };
    let (identity, part) = started?;
    let disks = usize::try_from(config.cluster.initial_disks).expect("32 bits fit");
    part.control(ControllerSettings { classes, ..ControllerSettings::new(disks, domain) });
    network.follow_map();

    let becoming = async {
        part.bootstrap(identity.cluster, policy, partitions).await?;
        register(&network, node, identity.instance, address, &config).await
    };
    let Some(became) = stop.run_until_cancelled(becoming).await else {
        part.host.shutdown().await;
        return Ok(());
    };
    became?;

    let objects = objects::Objects::new(
        network.metadata.clone(),
        network.disks.clone(),
        clock(),
        gateway_part::object_settings(&config.gateway, &config.workers),
    );
    let workers = workers_part::start(
        objects,
        &config.workers,
        &config.lifecycle,
        events,
        stop.clone(),
        &part.node,
    );
    let source = Arc::new(Source::new(network.metadata.clone(), network.disks.clone(), domain));
    let (admin, admin_task) =
        admin_port::serve(admin_listener, source, metrics, credentials.as_ref(), stop.clone())?;
    Ready::new(None, admin, None).write(ready_file.as_deref())?;
    tracing::info!(%node, cluster = %identity.cluster, "metadata node serves");

    serving.await??;
    workers.finished().await;
    admin_task.await?;
    part.host.shutdown().await;
    Ok(())
}

fn check_fixed(known: Option<&Identity>, node: NodeId, partitions: u32) -> Result<(), UserError> {
    let Some(known) = known else { return Ok(()) };
    if known.node != Some(node) {
        return Err(UserError::new(format!(
            "node.id: this folder belongs to metadata node {}, not {node}",
            known.node.map_or_else(|| "(none)".into(), |node| node.to_string())
        )));
    }
    if known.fixed.partitions != partitions {
        return Err(UserError::new(format!(
            "cluster.partitions: the cluster was made with {}, which cannot be changed",
            known.fixed.partitions
        )));
    }
    Ok(())
}

/// Opens the groups and lets the peers at them. The lowest id founded the cluster, so it
/// forms the groups, at every start until they have entries.
async fn open(
    config: &Config,
    nodes: &BTreeMap<NodeId, String>,
    node: NodeId,
    identity: &Identity,
    network: &Network,
    late: &Late,
) -> anyhow::Result<MetaPart> {
    let me = Me { cluster: identity.cluster, node, instance: identity.instance };
    let founder = nodes.keys().next() == Some(&node);
    let part = MetaPart::open(
        &config.node.data.join("raft"),
        me,
        config.cluster.partitions,
        founder.then(|| nodes.clone()),
        Arc::new(RemotePeers(network.peers.clone())),
    )
    .await?;
    late.set(part.host.clone(), part.node.clone());
    Ok(part)
}

/// Puts this node and its folder on record, so that a wiped one is recognised.
async fn register(
    network: &Network,
    node: NodeId,
    instance: InstanceId,
    address: String,
    config: &Config,
) -> anyhow::Result<()> {
    let location = Location { zone: config.node.zone.clone(), rack: config.node.rack.clone() };
    let role = Role::Meta;
    let registration = Registration { id: Some(node), instance, role, address, location };
    registration.register(&network.metadata).await.map(|_| ())
}

#[cfg(test)]
mod tests {
    use types::ClusterId;
    use uuid::Uuid;

    use super::*;

    #[test]
    fn what_was_fixed_is_checked() {
        let fixed = Fixed { policy: "rs-4-2".into(), partitions: 4, disks: 0 };
        let cluster = ClusterId(Uuid::from_u128(1));
        let known = Identity::new("meta", cluster, Some(NodeId(1)), fixed);
        check_fixed(None, NodeId(1), 4).expect("new");
        check_fixed(Some(&known), NodeId(1), 4).expect("same");
        let error = check_fixed(Some(&known), NodeId(2), 4).expect_err("id").to_string();
        assert!(error.contains("node n1, not n2"), "{error}");
        let error = check_fixed(Some(&known), NodeId(1), 8).expect_err("count").to_string();
        assert!(error.contains("made with 4"), "{error}");
    }
}
