//! `shardlake data`: a data node.

use std::{path::PathBuf, sync::Arc};

use proto::serve::{ServeSettings, Services};
use types::{Location, Role};

use super::{
    data_part::{DataPart, Registration},
    disk_adding::DiskAdding,
    network::{self, Network},
};
use crate::{
    added_disks::AddedDisks,
    admin_port,
    admin_source::Source,
    config::Config,
    identity::{Fixed, Identity},
    ready::Ready,
    shutdown,
};

/// Runs until a signal.
pub(crate) async fn run(config: Config, ready_file: Option<PathBuf>) -> anyhow::Result<()> {
    let stop = shutdown::on_signal()?;
    config.check()?;
    let mut disks = config.node.all_disks()?;
    let address = config.advertise()?;
    let metrics = telemetry::metrics::install();
    let credentials = config.credentials()?;
    let folder = &config.node.data;
    let mut identity = Identity::read(folder, "data")?;
    let added = AddedDisks::read(folder)?;
    let known: Vec<_> = disks.iter().map(|(folder, _)| folder.clone()).collect();
    disks.extend(added.folders().into_iter().filter(|(folder, _)| !known.contains(folder)));
    let listener = network::bind(config.node.listen, "node.listen").await?;
    let admin_listener = network::bind(config.admin.listen, "admin.listen").await?;
    let known = identity.as_ref().map(|identity| identity.cluster);
    let network = Network::of_cluster(&config, known)?;

    let joined = stop.run_until_cancelled(network.join()).await;
    let Some(cluster) = joined else { return Ok(()) };
    let cluster = cluster?;
    if identity.is_none() {
        let fixed = Fixed { policy: String::new(), partitions: 0, disks: 0 };
        let new = Identity::new("data", cluster, None, fixed);
        new.write(folder)?;
        identity = Some(new);
    }
    let mut identity = identity.expect("made above if there was none");
    network.follow_map(stop.clone());

    let registration = Registration {
        id: None,
        instance: identity.instance,
        role: Role::Data,
        address,
        location: Location { zone: config.node.zone.clone(), rack: config.node.rack.clone() },
    };
    let opening = DataPart::open(&disks, cluster, &registration, &network.metadata);
    let Some(data) = stop.run_until_cancelled(opening).await else { return Ok(()) };
    let data = data?;
    if identity.node != Some(data.node) {
        identity.node = Some(data.node);
        identity.write(folder)?;
    }
    data.report(network.metadata.clone(), stop.clone());

    let adding = DiskAdding::new(&data, &disks, added, cluster, network.metadata.clone(), None);
    adding.follow_removals(stop.clone());
    let source = Source::new(network.metadata.clone(), network.disks.clone(), config.domain()?);
    let source = Arc::new(source.with_disks(adding));
    let (admin, admin_task) =
        admin_port::serve(admin_listener, source, metrics, credentials.as_ref(), stop.clone())?;
    Ready::new(None, admin, None).write(ready_file.as_deref())?;
    tracing::info!(node = %data.node, disks = disks.len(), "data node serves");

    let services = Services { shards: Some(data.service.clone()), ..Services::default() };
    proto::serve::serve(
        listener,
        services,
        network.identity.clone(),
        ServeSettings::default(),
        stop.clone().cancelled_owned(),
    )
    .await?;
    admin_task.await?;
    data.service.close().await?;
    Ok(())
}
