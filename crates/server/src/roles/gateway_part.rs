//! The gateway part of a process: S3 over the object layer, behind the edge.

use std::{net::SocketAddr, time::Duration};

use objects::Objects;
use s3::{RootCredentials, S3Service};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::{
    config::{GatewaySection, WorkersSection},
    credentials::Credentials,
    error::UserError,
};

/// How long the last lines of access logs may take to be delivered when the process ends.
const LOGS_GRACE: Duration = Duration::from_secs(10);

/// A listening S3 endpoint.
pub(crate) struct GatewayPart {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    objects: Objects,
    s3: S3Service,
    task: JoinHandle<()>,
}

impl GatewayPart {
    /// Serves S3 on `listener` until `stop`. `others`: what sections besides `section` say.
    pub(crate) fn start(
        listener: TcpListener,
        objects: Objects,
        credentials: &Credentials,
        section: &GatewaySection,
        others: s3::Settings,
        stop: CancellationToken,
    ) -> anyhow::Result<Self> {
        let address = listener.local_addr()?;
        let settings = s3::Settings {
            region: section.region.clone(),
            domains: section.domains.clone(),
            website_domain: Some(section.website_domain.clone()).filter(|it| !it.is_empty()),
            access_log_interval: Duration::from_secs(section.access_log_seconds.max(1)),
            ..others
        };
        let root = RootCredentials {
            access_key: credentials.access_key.clone(),
            secret_key: credentials.secret_key.0.clone(),
        };
        let service = S3Service::new(objects.clone(), root, settings)
            .map_err(|error| UserError::new(format!("gateway: {error}")))?;
        let s3 = service.clone();
        let task = tokio::spawn(async move {
            let shutdown = stop.cancelled_owned();
            gateway::Gateway::new(service, gateway::Settings::default())
                .serve(listener, shutdown)
                .await;
        });
        Ok(Self { address, objects, s3, task })
    }

    /// Returns once the last request has been answered and what requests left behind
    /// (confirmations, clean-up) is done.
    pub(crate) async fn finished(self) -> anyhow::Result<()> {
        self.task.await?;
        if tokio::time::timeout(LOGS_GRACE, self.s3.settle()).await.is_err() {
            tracing::warn!(
                "access log lines are lost: they could not be delivered in time to stop"
            );
        }
        self.objects.settle().await;
        Ok(())
    }
}

/// The object layer's bounds from the configuration.
pub(crate) fn object_settings(
    gateway: &GatewaySection,
    workers: &WorkersSection,
) -> objects::Settings {
    objects::Settings {
        write_deadline_ms: workers.write_deadline_s.saturating_mul(1000),
        buffer_bytes_max: gateway.buffer_mib.max(64) << 20,
        ..objects::Settings::default()
    }
}
