//! Connections to other nodes: made when first used, shared by all callers, made
//! again after they break.
//!
//! One [`Channel`] is one HTTP/2 connection to one address. It knows for each call
//! whether a byte of it can have left this process; that decides between
//! [`RpcErrorKind::Unreachable`] (surely not carried out) and
//! [`RpcErrorKind::Deadline`] (outcome unknown) when something breaks.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use futures::future::BoxFuture;
use hyper::{body::Incoming, client::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use parking_lot::Mutex;
use tokio::{net::TcpStream, sync::Semaphore, time::Instant};
use tonic::{Status, body::Body};

use crate::{
    RpcError, RpcErrorKind,
    status::to_status,
    transport::{Dialer, Stream},
};

/// Bytes that a peer may send on one stream before we have read them.
pub(crate) const STREAM_WINDOW_BYTES: u32 = 4 << 20;
/// Bytes that a peer may send on one connection before we have read them.
pub(crate) const CONNECTION_WINDOW_BYTES: u32 = 4 << 20;
/// The largest frame that we accept. The receiver sets it, so both sides do.
pub(crate) const FRAME_BYTES_MAX: u32 = 1 << 20;
/// Bytes of one stream that wait in memory for the socket.
pub(crate) const SEND_BUFFER_BYTES: usize = 2 << 20;

/// How connections are made and watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChannelSettings {
    /// The longest wait for a TCP connection.
    pub connect_timeout: Duration,
    /// After a failed attempt, calls fail with its reason for this long before another is
    /// made: a crowd of callers does not queue up behind one dead address.
    pub connect_pause: Duration,
    /// How often a silent connection is pinged.
    pub keepalive_interval: Duration,
    /// How long a ping may stay unanswered before the connection is given up.
    pub keepalive_timeout: Duration,
    /// Calls in flight on one connection; more wait, within their own deadline.
    pub calls_max: usize,
}

impl Default for ChannelSettings {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(1),
            connect_pause: Duration::from_millis(100),
            keepalive_interval: Duration::from_secs(5),
            keepalive_timeout: Duration::from_secs(5),
            calls_max: 256,
        }
    }
}

/// What a connection is for. Brief calls never wait behind megabytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Lane {
    /// Votes, appends, metadata, figures.
    Control,
    /// Chunks and snapshots.
    Bulk,
}

/// The channels of a process, by address and lane.
#[derive(Debug)]
pub(crate) struct Channels {
    settings: ChannelSettings,
    /// `None`: TCP.
    dialer: Option<Arc<dyn Dialer>>,
    channels: Mutex<HashMap<(String, Lane), Channel>>,
}

impl Channels {
    /// Channels kept for reuse. Beyond it those that nobody holds are forgotten.
    const KEPT_MAX: usize = 1024;

    /// No connection yet.
    pub(crate) fn new(settings: ChannelSettings, dialer: Option<Arc<dyn Dialer>>) -> Self {
        Self { settings, dialer, channels: Mutex::default() }
    }

    /// The channel to `address` (`host:port`). Connects when it is first used.
    pub(crate) fn get(&self, address: &str, lane: Lane) -> Channel {
        let mut channels = self.channels.lock();
        if let Some(channel) = channels.get(&(address.to_owned(), lane)) {
            return channel.clone();
        }
        if channels.len() >= Self::KEPT_MAX {
            channels.retain(|_, channel| Arc::strong_count(&channel.0) > 1);
        }
        let channel = Channel(Arc::new(Link {
            address: address.to_owned(),
            settings: self.settings,
            dialer: self.dialer.clone(),
            calls: Semaphore::new(self.settings.calls_max),
            current: Mutex::new(None),
            connecting: tokio::sync::Mutex::new(None),
        }));
        channels.insert((address.to_owned(), lane), channel.clone());
        channel
    }
}

/// A connection to one address that comes back after it breaks.
#[derive(Clone, Debug)]
pub(crate) struct Channel(Arc<Link>);

impl Channel {
    /// The address that it leads to.
    pub(crate) fn address(&self) -> &str {
        &self.0.address
    }
}

/// Set once a call's bytes may have left this process. Travels in the request's extensions.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sent(Arc<AtomicBool>);

impl Sent {
    pub(crate) fn get(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    fn set(&self) {
        self.0.store(true, Ordering::Release);
    }
}

type Sender = http2::SendRequest<Body>;

#[derive(Debug)]
struct Link {
    address: String,
    settings: ChannelSettings,
    dialer: Option<Arc<dyn Dialer>>,
    calls: Semaphore,
    current: Mutex<Option<Sender>>,
    /// Held while connecting; remembers when and why the last attempt failed.
    connecting: tokio::sync::Mutex<Option<(Instant, String)>>,
}

impl Link {
    async fn call(&self, request: http::Request<Body>) -> Result<http::Response<Incoming>, Status> {
        let _slot = self.calls.acquire().await.expect("the semaphore is never closed");
        let sent = request.extensions().get::<Sent>().cloned().unwrap_or_default();
        let mut sender = self.sender().await.map_err(to_status)?;
        sent.set();
        sender.try_send_request(request).await.map_err(|mut error| {
            // hyper gives back a request of which it has written nothing.
            let kind = match error.take_message() {
                Some(_) => RpcErrorKind::Unreachable,
                None => RpcErrorKind::Deadline,
            };
            let message = format!("connection to {}: {}", self.address, chain(error.error()));
            to_status(RpcError::new(kind, message))
        })
    }

    fn open(&self) -> Option<Sender> {
        self.current.lock().as_ref().filter(|sender| !sender.is_closed()).cloned()
    }

    async fn sender(&self) -> Result<Sender, RpcError> {
        if let Some(sender) = self.open() {
            return Ok(sender);
        }
        let mut failed = self.connecting.lock().await;
        if let Some(sender) = self.open() {
            return Ok(sender);
        }
        if let Some((at, reason)) = &*failed
            && at.elapsed() < self.settings.connect_pause
        {
            return Err(RpcError::new(RpcErrorKind::Unreachable, reason.clone()));
        }
        match self.connect().await {
            Ok(sender) => {
                *failed = None;
                *self.current.lock() = Some(sender.clone());
                Ok(sender)
            }
            Err(reason) => {
                let reason = format!("{} is not reachable: {reason}", self.address);
                *failed = Some((Instant::now(), reason.clone()));
                Err(RpcError::new(RpcErrorKind::Unreachable, reason))
            }
        }
    }

    async fn connect(&self) -> Result<Sender, String> {
        let connected = async {
            let failed = |error: std::io::Error| error.to_string();
            match &self.dialer {
                None => {
                    let stream = TcpStream::connect(&self.address).await.map_err(failed)?;
                    stream.set_nodelay(true).map_err(failed)?;
                    self.handshake(stream).await
                }
                Some(dialer) => {
                    let stream = dialer.dial(self.address.clone()).await.map_err(failed)?;
                    self.handshake(stream).await
                }
            }
        };
        let connected = tokio::time::timeout(self.settings.connect_timeout, connected);
        connected.await.unwrap_or_else(|_| Err("no connection in time".into()))
    }

    async fn handshake(&self, stream: impl Stream) -> Result<Sender, String> {
        let settings = self.settings;
        let (sender, connection) = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .max_frame_size(FRAME_BYTES_MAX)
            .max_send_buf_size(SEND_BUFFER_BYTES)
            .keep_alive_interval(settings.keepalive_interval)
            .keep_alive_timeout(settings.keepalive_timeout)
            .keep_alive_while_idle(true)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| chain(&error))?;
        let address = self.address.clone();
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(address, error = chain(&error), "connection to a node ended");
            }
        });
        Ok(sender)
    }
}

impl tower::Service<http::Request<Body>> for Channel {
    type Response = http::Response<Incoming>;
    type Error = Status;
    type Future = BoxFuture<'static, Result<Self::Response, Status>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let link = self.0.clone();
        Box::pin(async move { link.call(request).await })
    }
}

/// The error and what caused it, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
