//! The second port of a process: health, metrics, admin API and status page.

use std::{net::SocketAddr, sync::Arc};

use admin::AdminSource;
use telemetry::MetricsHandle;
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::credentials::Credentials;

/// Serves until `stop`. Without credentials the admin API refuses everybody; health and
/// metrics work.
pub(crate) fn serve(
    listener: TcpListener,
    source: Arc<dyn AdminSource>,
    metrics: MetricsHandle,
    credentials: Option<&Credentials>,
    stop: CancellationToken,
) -> anyhow::Result<(SocketAddr, JoinHandle<()>)> {
    let address = listener.local_addr()?;
    let token = credentials.map(Credentials::admin_token).unwrap_or_default();
    let router = admin::router(source, metrics, &token);
    let task = tokio::spawn(async move {
        let serving = admin::serve(listener, router, async move { stop.cancelled().await });
        if let Err(error) = serving.await {
            tracing::error!(%error, "the admin port has stopped");
        }
    });
    Ok((address, task))
}
