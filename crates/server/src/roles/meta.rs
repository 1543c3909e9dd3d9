//! `shardlake meta`: a metadata node. The node that leads the root group also runs the
//! cluster's background workers.
//!
//! A node whose folder is new founds a cluster, adopts the one that its peers found with it, or
//! joins one that exists ([`joining`]). One that joins has replicas of every group that nobody
//! knows of; they wait until an operator adds the node (`shardlake admin meta add`). A node that
//! was removed stops by itself, and refuses to start again.
//!
//! When it is told to stop, the node hands over what it leads while its peers are still served;
//! only then it stops listening.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use cluster::{MapCache, MetaKeeper, Metadata, MetadataClient};
use metastore::ControllerSettings;
use proto::{
    meta::MetaService,
    raft::RaftService,
    serve::{ServeSettings, Services},
};
use tokio_util::sync::CancellationToken;
use types::{ErasurePolicy, Location, NodeId, Role};

use super::{
    clock,
    data_part::Registration,
    gateway_part,
    joining::{self, Entry},
    late::Late,
    meta_part::{Me, MetaPart, RemotePeers},
    network::{self, Network, check_level},
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

/// The pause between two looks at what other nodes know.
const LOOK: Duration = Duration::from_millis(200);

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
    check_whole(known.as_ref(), &folder)?;
    let listener = network::bind(config.node.listen, "node.listen").await?;
    let admin_listener = network::bind(config.admin.listen, "admin.listen").await?;

    let network = Network::of_cluster(&config, known.as_ref().map(|identity| identity.cluster))?;
    let late = Arc::new(Late::new(node, network.identity.clone()));
    let services = Services {
        raft: Some(late.clone() as Arc<dyn RaftService>),
        meta: Some(late.clone() as Arc<dyn MetaService>),
        shards: None,
    };
    // Later than `stop`: peers are served until everything is handed over.
    let closing = CancellationToken::new();
    let serving = tokio::spawn(proto::serve::serve(
        listener,
        services,
        network.identity.clone(),
        ServeSettings::default(),
        closing.clone().cancelled_owned(),
    ));

    let fixed = Fixed { policy: policy.to_string(), partitions, disks: 0 };
    let location = Location { zone: config.node.zone.clone(), rack: config.node.rack.clone() };
    let starting = async {
        let (mut identity, entry) = match known {
            Some(identity) if identity.opened => (identity, None),
            known => enter(known, node, &nodes, fixed, &folder, &network).await?,
        };
        let instance = identity.instance;
        let role = Role::Meta;
        let registration = Registration { id: Some(node), instance, role, address, location };
        if let Some(Entry::Join(_, level)) = entry {
            check_level(level)?;
            // Perhaps none of the configured nodes leads; those that answer name the others.
            network.join().await?;
            registration.register(&network.metadata).await?;
            known_elsewhere(&network.metadata, policy, partitions).await?;
        }
        let part = open(&config, &identity, node, &network).await?;
        late.set(part.host.clone(), part.node.clone());
        if !identity.opened {
            identity.opened = true;
            identity.write(&folder)?;
        }
        anyhow::Ok((identity, registration, part))
    };
    let Some(started) = stop.run_until_cancelled(starting).await else { return Ok(()) };
    let (identity, registration, part) = started?;
    let disks = usize::try_from(config.cluster.initial_disks).expect("32 bits fit");
    part.control(ControllerSettings { classes, ..ControllerSettings::new(disks, domain) });
    network.follow_map(stop.clone());

    let becoming = async {
        // A node that joins has nothing of the root group until it is added.
        tokio::select! {
            done = part.bootstrap(identity.cluster, policy, partitions) => done?,
            done = known_elsewhere(&network.metadata, policy, partitions) => done?,
        }
        registration.register(&network.metadata).await
    };
    let Some(became) = stop.run_until_cancelled(becoming).await else {
        part.host.leave().await;
        part.host.shutdown().await;
        return Ok(());
    };
    became?;
    tokio::spawn(MetaKeeper::new(part.node.clone(), network.metadata.clone()).run());

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
        domain,
    );
    let source = Arc::new(Source::new(network.metadata.clone(), network.disks.clone(), domain));
    let (admin, admin_task) =
        admin_port::serve(admin_listener, source, metrics, credentials.as_ref(), stop.clone())?;
    Ready::new(None, admin, None).write(ready_file.as_deref())?;
    tracing::info!(%node, cluster = %identity.cluster, "metadata node serves");

    let maps = network.metadata.map_cache();
    let removed = tokio::select! {
        () = stop.cancelled() => false,
        () = removed(&maps, node) => true,
    };
    if removed {
        stop.cancel();
    } else {
        part.host.leave().await;
    }
    closing.cancel();
    serving.await??;
    workers.finished().await;
    admin_task.await?;
    part.host.shutdown().await;
    match removed {
        false => Ok(()),
        true => Err(UserError::new(format!(
            "metadata node {node} was removed from the cluster and has stopped: its folder {} is \
             of no use any more; it can come back with an empty one, under a new id",
            folder.display()
        ))
        .into()),
    }
}

/// Which cluster a folder belongs to whose groups were never opened, and how it comes into it.
async fn enter(
    known: Option<Identity>,
    node: NodeId,
    nodes: &BTreeMap<NodeId, String>,
    fixed: Fixed,
    folder: &Path,
    network: &Network,
) -> anyhow::Result<(Identity, Option<Entry>)> {
    if let Some(identity) = &known
        && identity.founders.is_some()
    {
        return Ok((known.expect("looked at just now"), None));
    }
    let instance = known.as_ref().map(|identity| identity.instance);
    let entry = joining::cluster(node, instance, nodes, &network.peers).await?;
    network.identity.join(entry.cluster())?;
    let identity = match known {
        Some(identity) => identity,
        None => {
            let mut new = Identity::new("meta", entry.cluster(), Some(node), fixed);
            new.founders = matches!(entry, Entry::Found(_)).then(|| nodes.clone());
            new.write(folder)?;
            new
        }
    };
    if let Entry::Join(cluster, _) = entry {
        tracing::info!(%node, %cluster, "this node joins: `shardlake admin meta add` gives it a vote");
    }
    Ok((identity, Some(entry)))
}

/// Returns once other nodes know the cluster's policy and directory, and they are the configured
/// ones.
async fn known_elsewhere(
    metadata: &MetadataClient,
    policy: ErasurePolicy,
    partitions: u32,
) -> anyhow::Result<()> {
    loop {
        // An error passes: others are starting, too.
        let _ = metadata.refresh_map().await;
        let map = metadata.map();
        if !map.partitions.is_empty() {
            if map.policy == policy && u32::try_from(map.partitions.len()) == Ok(partitions) {
                return Ok(());
            }
            return Err(UserError::new(format!(
                "cluster.policy and cluster.partitions: the cluster was made with {} and {}, which \
                 cannot be changed",
                map.policy,
                map.partitions.len()
            ))
            .into());
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Returns once the cluster has forgotten this node, which it knew.
async fn removed(maps: &MapCache, node: NodeId) {
    let mut maps = maps.subscribe();
    let mut seen = false;
    loop {
        let there = maps.borrow_and_update().nodes.contains_key(&node);
        if seen && !there {
            return;
        }
        seen |= there;
        if maps.changed().await.is_err() {
            return std::future::pending().await;
        }
    }
}

/// A folder whose groups were opened must still have them: it may have voted.
fn check_whole(known: Option<&Identity>, folder: &Path) -> Result<(), UserError> {
    let Some(Identity { opened: true, node, .. }) = known else { return Ok(()) };
    let there = consensus::Host::is_made(&folder.join("raft"));
    let there = there.map_err(|error| UserError::new(format!("{}: {error}", folder.display())))?;
    if there {
        return Ok(());
    }
    let id = node.map_or_else(String::new, |node| node.0.to_string());
    Err(UserError::new(format!(
        "{} has lost its groups (the folder raft), and a metadata node must not go on without what \
         it has voted: restore them, or start the node with an empty folder under a new id, then say \
         `shardlake admin meta add NEW` and `shardlake admin meta remove {id}`",
        folder.display()
    )))
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

/// Opens the groups. The node that founded the cluster forms them, at every start until they have
/// entries.
async fn open(
    config: &Config,
    identity: &Identity,
    node: NodeId,
    network: &Network,
) -> anyhow::Result<MetaPart> {
    let me = Me { cluster: identity.cluster, node, instance: identity.instance };
    MetaPart::open(
        &config.node.data.join("raft"),
        me,
        config.cluster.partitions,
        identity.founders.clone(),
        Arc::new(RemotePeers(network.peers.clone())),
    )
    .await
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

    #[test]
    fn a_node_that_lost_its_votes_does_not_start() {
        let dir = tempfile::tempdir().expect("a folder");
        let fixed = Fixed { policy: "rs-4-2".into(), partitions: 4, disks: 0 };
        let cluster = ClusterId(Uuid::from_u128(1));
        let mut known = Identity::new("meta", cluster, Some(NodeId(3)), fixed);
        check_whole(Some(&known), dir.path()).expect("it never had any");
        known.opened = true;
        let error = check_whole(Some(&known), dir.path()).expect_err("lost").to_string();
        assert!(error.contains("new id") && error.contains("meta remove 3"), "{error}");
    }

    #[tokio::test]
    async fn a_node_learns_that_it_was_removed() {
        let maps = MapCache::unknown();
        let with = |epoch, nodes: &[u64]| {
            let mut map = (*maps.get()).clone();
            map.epoch = types::Epoch(epoch);
            let node = |id: &u64| types::Node {
                id: NodeId(*id),
                instance: types::InstanceId(Uuid::from_u128(u128::from(*id))),
                role: Role::Meta,
                address: "a:1".into(),
                location: Location::default(),
                level: types::FeatureLevel::OURS,
            };
            map.nodes = nodes.iter().map(|id| (NodeId(*id), node(id))).collect();
            assert!(maps.offer(map));
        };
        let mut gone = std::pin::pin!(removed(&maps, NodeId(3)));
        // The first map may be older than its registration.
        with(1, &[1, 2]);
        assert!(futures::poll!(&mut gone).is_pending());
        with(2, &[1, 2, 3]);
        assert!(futures::poll!(&mut gone).is_pending());
        with(3, &[1, 2]);
        gone.await;
    }
}
