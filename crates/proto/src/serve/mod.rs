//! The services of this node behind a listener.
//!
//! Each connection is one task, each call another. Before a service sees a call, the
//! [`gate`](Gate) has checked who sent it and has found room for it; the call ends at
//! the caller's deadline at the latest. **A call that ends early is dropped where it
//! stands**: an implementation must leave nothing half-done at an `await`.
//!
//! Bounds, and what happens at them:
//!
//! | bound | at it |
//! |---|---|
//! | connections | new ones wait in the kernel's backlog, and their dialers time out |
//! | calls of one connection | HTTP/2 tells the peer to wait |
//! | calls in all | `Busy`; Raft has a budget of its own, so that load cannot stop elections |
//! | bytes of a message | `Invalid` |

mod gate;
mod meta;
mod raft;
mod shards;

use std::{convert::Infallible, io, sync::Arc, time::Duration};

use gate::Gate;
use hyper::{server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::service::Routes;

use crate::{
    Identity,
    channel::{CONNECTION_WINDOW_BYTES, FRAME_BYTES_MAX, SEND_BUFFER_BYTES, STREAM_WINDOW_BYTES},
    meta::MetaService,
    pb::{meta_server::MetaServer, raft_server::RaftServer, shards_server::ShardsServer},
    raft::RaftService,
    shards::ShardService,
    transport::{Listener, Stream},
    wire::MESSAGE_BYTES_MAX,
};

/// What this node serves. A call for a service that is `None` is answered as unreachable.
#[derive(Clone, Default)]
pub struct Services {
    /// Replicas of groups.
    pub raft: Option<Arc<dyn RaftService>>,
    /// Metadata.
    pub meta: Option<Arc<dyn MetaService>>,
    /// Disks.
    pub shards: Option<Arc<dyn ShardService>>,
}

/// Bounds of a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServeSettings {
    /// Connections at a time.
    pub connections_max: usize,
    /// Calls in flight on one connection.
    pub calls_per_connection_max: u32,
    /// Metadata and shard calls in flight in all. Each may hold a message, so this bounds
    /// memory too: at most so many puts of 8 MiB.
    pub calls_max: usize,
    /// Raft calls in flight in all.
    pub raft_calls_max: usize,
    /// The deadline of a call that brings none, and the most that one may ask for.
    pub deadline_max: Duration,
    /// How long calls in flight may take to finish at shutdown. Then they are cut off.
    pub drain_max: Duration,
    /// How often a silent connection is pinged.
    pub keepalive_interval: Duration,
    /// How long a ping may stay unanswered before the connection is given up.
    pub keepalive_timeout: Duration,
}

impl Default for ServeSettings {
    fn default() -> Self {
        Self {
            connections_max: 1024,
            calls_per_connection_max: 256,
            calls_max: 512,
            raft_calls_max: 512,
            deadline_max: Duration::from_secs(600),
            drain_max: Duration::from_secs(20),
            keepalive_interval: Duration::from_secs(5),
            keepalive_timeout: Duration::from_secs(5),
        }
    }
}

/// Serves until `shutdown` resolves, then takes no more calls, lets those in flight finish
/// (at most [`ServeSettings::drain_max`]) and returns. The listener is closed on return.
/// Peers see the shutdown at once and call elsewhere.
pub async fn serve<L: Listener>(
    listener: L,
    services: Services,
    identity: Arc<Identity>,
    settings: ServeSettings,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let address = listener.local_addr()?;
    let gate = Arc::new(Gate::new(routes(services), identity, settings));
    let connections = Arc::new(Semaphore::new(settings.connections_max));
    let tasks = TaskTracker::new();
    let closing = CancellationToken::new();
    let cut_off = gate.cut_off();
    tracing::info!(%address, "serving nodes");

    tokio::pin!(shutdown);
    loop {
        let (stream, slot) = tokio::select! {
            () = &mut shutdown => break,
            accepted = accept(&listener, &connections) => accepted,
        };
        let connection = serve_connection(stream, slot, gate.clone(), settings, closing.clone());
        tasks.spawn(cut_off.clone().run_until_cancelled_owned(connection));
    }

    drop(listener);
    closing.cancel();
    tasks.close();
    if tokio::time::timeout(settings.drain_max, tasks.wait()).await.is_err() {
        tracing::warn!(%address, "calls in flight did not finish in time and are cut off");
        cut_off.cancel();
        tasks.wait().await;
    }
    tracing::info!(%address, "stopped serving nodes");
    Ok(())
}

fn routes(services: Services) -> Routes {
    let mut routes = Routes::default();
    if let Some(service) = services.raft {
        let server = RaftServer::new(raft::Glue(service))
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX);
        routes = routes.add_service(server);
    }
    if let Some(service) = services.meta {
        let server = MetaServer::new(meta::Glue(service))
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX);
        routes = routes.add_service(server);
    }
    if let Some(service) = services.shards {
        let server = ShardsServer::new(shards::Glue(service))
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX);
        routes = routes.add_service(server);
    }
    routes.prepare()
}

/// Waits for room, then for a connection. Out of file descriptors and the like pass: it
/// logs and tries again.
async fn accept<L: Listener>(
    listener: &L,
    connections: &Arc<Semaphore>,
) -> (L::Stream, OwnedSemaphorePermit) {
    let slot = connections.clone().acquire_owned().await.expect("never closed");
    loop {
        match listener.accept().await {
            Ok(stream) => return (stream, slot),
            Err(error) => {
                tracing::warn!(%error, "accepting a connection failed");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn serve_connection(
    stream: impl Stream,
    _slot: OwnedSemaphorePermit,
    gate: Arc<Gate>,
    settings: ServeSettings,
    closing: CancellationToken,
) {
    let service = service_fn(move |request| {
        let gate = gate.clone();
        async move { Ok::<_, Infallible>(gate.pass(request).await) }
    });
    let connection = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_frame_size(FRAME_BYTES_MAX)
        .max_send_buf_size(SEND_BUFFER_BYTES)
        .max_concurrent_streams(settings.calls_per_connection_max)
        .keep_alive_interval(settings.keepalive_interval)
        .keep_alive_timeout(settings.keepalive_timeout)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = closing.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.as_mut().await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "connection of a node ended");
    }
}
