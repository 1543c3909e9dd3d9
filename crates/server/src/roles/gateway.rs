//! `shardlake gateway`: an S3 endpoint. Keeps no state.

use std::{path::PathBuf, sync::Arc};

use super::{
    clock,
    gateway_part::{self, GatewayPart},
    network::{self, Network},
    workers_part,
};
use crate::{
    admin_port, admin_source::Source, config::Config, error::UserError, ready::Ready, shutdown,
};

/// Runs until a signal.
pub(crate) async fn run(config: Config, ready_file: Option<PathBuf>) -> anyhow::Result<()> {
    let stop = shutdown::on_signal()?;
    config.check()?;
    let metrics = telemetry::metrics::install();
    let Some(credentials) = config.credentials()? else {
        return Err(UserError::new(
            "a gateway needs the root account: set root.access_key and root.secret_key, or \
             SHARDLAKE_ROOT_ACCESS_KEY and SHARDLAKE_ROOT_SECRET_KEY",
        )
        .into());
    };
    let listener = network::bind(config.gateway.listen, "gateway.listen").await?;
    let admin_listener = network::bind(config.admin.listen, "admin.listen").await?;
    let network = Network::of_cluster(&config, None)?;
    let Some(joined) = stop.run_until_cancelled(network.join()).await else { return Ok(()) };
    joined?;
    network.follow_map(stop.clone());

    let objects = objects::Objects::new(
        network.metadata.clone(),
        network.disks.clone(),
        clock(),
        gateway_part::object_settings(&config.gateway, &config.workers),
    );
    let workers = workers_part::start_repairer(objects.clone(), &config.workers, stop.clone());
    let gateway = GatewayPart::start(
        listener,
        objects,
        &credentials,
        &config.gateway,
        s3::Settings {
            lifecycle_day_ms: config.lifecycle.day_ms(),
            restore_tiers: config.restore.tiers(),
            event_targets: config.events.names(),
            ..s3::Settings::default()
        },
        stop.clone(),
    )?;
    let source = Source::new(network.metadata.clone(), network.disks.clone(), config.domain()?);
    let source = Arc::new(source.with_workers(workers.clone()));
    let (admin, admin_task) =
        admin_port::serve(admin_listener, source, metrics, Some(&credentials), stop.clone())?;
    Ready::new(Some(gateway.address), admin, None).write(ready_file.as_deref())?;
    tracing::info!(address = %gateway.address, "gateway serves");
    gateway.finished().await?;
    workers.finished().await;
    admin_task.await?;
    Ok(())
}
