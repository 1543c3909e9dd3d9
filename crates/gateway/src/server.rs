//! Connections: accepted up to a bound, served over HTTP/1.1 or HTTP/2 without TLS, and
//! drained at the end.

use std::{collections::BTreeMap, future::Future, io, sync::Arc, time::Duration};

use http::Request;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto, graceful::GracefulShutdown},
};
use s3::S3Service;
use tokio::{net::TcpListener, sync::Semaphore};

use crate::{Service, Settings, edge::Edge, metrics};

/// How long accepting pauses after it failed for want of resources (file descriptors).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A server of AWS services on one port.
pub struct Gateway {
    edge: Edge,
}

impl Gateway {
    /// Serves S3.
    pub fn new(s3: S3Service, settings: Settings) -> Self {
        metrics::describe();
        let edge = Edge { services: BTreeMap::new(), settings };
        Self { edge }.with(Arc::new(s3))
    }

    /// Serves another service too. A service of the same name is replaced.
    pub fn with(mut self, service: Arc<dyn Service>) -> Self {
        self.edge.services.insert(service.name(), service);
        self
    }

    /// Accepts connections until `shutdown` is ready, then finishes the requests in flight
    /// within [`Settings::drain`] and returns. What still runs then is cut off.
    pub async fn serve(
        self,
        listener: TcpListener,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) {
        let settings = self.edge.settings.clone();
        let edge = Arc::new(self.edge);
        let permits = Arc::new(Semaphore::new(settings.connections_max));
        let graceful = GracefulShutdown::new();
        let mut connections = tokio::task::JoinSet::new();
        let mut shutdown = std::pin::pin!(shutdown);
        loop {
            let accepted = async {
                let permit = permits.clone().acquire_owned().await;
                (permit, listener.accept().await)
            };
            let (permit, stream, remote) = tokio::select! {
                () = &mut shutdown => break,
                // Finished connections are taken off, so that the set stays as small as the
                // number of open ones.
                Some(_) = connections.join_next() => continue,
                (permit, accepted) = accepted => match accepted {
                    Ok((stream, remote)) => (permit, stream, remote.ip()),
                    Err(error) => {
                        pause_after(&error).await;
                        continue;
                    }
                },
            };
            // Small answers go out at once; a failure only costs latency.
            let _ = stream.set_nodelay(true);
            let edge = edge.clone();
            let service = service_fn(move |request: Request<Incoming>| {
                let edge = edge.clone();
                async move { Ok::<_, std::convert::Infallible>(edge.answer(request, remote).await) }
            });
            let connection =
                builder(&settings).serve_connection(TokioIo::new(stream), service).into_owned();
            let connection = graceful.watch(connection);
            connections.spawn(async move {
                let _permit = permit;
                ::metrics::gauge!(metrics::CONNECTIONS).increment(1.0);
                if let Err(error) = connection.await {
                    tracing::debug!(%error, "a connection ended");
                }
                ::metrics::gauge!(metrics::CONNECTIONS).decrement(1.0);
            });
        }
        drop(listener);
        let open = graceful.count();
        tracing::info!(connections = open, "draining");
        if tokio::time::timeout(settings.drain, graceful.shutdown()).await.is_err() {
            tracing::warn!("requests were cut off: they did not finish in time to shut down");
        }
        connections.shutdown().await;
    }
}

fn builder(settings: &Settings) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    let header_bytes = settings.header_bytes_max;
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(settings.header_timeout)
        // It holds the head and then the body's frames: large enough for both.
        .max_buf_size(header_bytes.max(256 << 10));
    builder
        .http2()
        .timer(TokioTimer::new())
        .adaptive_window(true)
        .max_concurrent_streams(settings.streams_max)
        .max_header_list_size(u32::try_from(header_bytes * 2).unwrap_or(u32::MAX))
        .keep_alive_interval(Some(settings.header_timeout));
    builder
}

/// An error of one connection is nothing; one of the process needs a pause.
async fn pause_after(error: &io::Error) {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    if matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted) {
        return;
    }
    tracing::warn!(%error, "cannot accept a connection");
    tokio::time::sleep(ACCEPT_PAUSE).await;
}
