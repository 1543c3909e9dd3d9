//! The services of another node, as if they were here.
//!
//! A transport failure becomes [`RpcErrorKind::Unreachable`] only where no byte of the
//! request can have left this process; any later one is [`RpcErrorKind::Deadline`].

mod meta;
mod raft;
mod shards;

use std::{sync::Arc, time::Duration};

pub use meta::RemoteMeta;
use prost::Message;
pub use raft::RemoteRaft;
pub use shards::RemoteShards;
use tonic::{Request, Response, Status};

use crate::{
    ChannelSettings, Dialer, Identity, RpcError, RpcErrorKind, Timeouts,
    channel::{Channel, Channels, Lane, Sent},
    headers::{self, Scope},
    status::from_status,
    wire::MESSAGE_BYTES_MAX,
};

/// Makes the services of other nodes by their address. One for a process.
#[derive(Debug)]
pub struct Peers {
    identity: Arc<Identity>,
    timeouts: Timeouts,
    channels: Channels,
}

impl Peers {
    /// Peers that are shown `identity`.
    pub fn new(identity: Arc<Identity>, timeouts: Timeouts, settings: ChannelSettings) -> Self {
        Self { identity, timeouts, channels: Channels::new(settings, None) }
    }

    /// Peers that are reached by `dialer` instead of TCP.
    pub fn over(
        dialer: Arc<dyn Dialer>,
        identity: Arc<Identity>,
        timeouts: Timeouts,
        settings: ChannelSettings,
    ) -> Self {
        Self { identity, timeouts, channels: Channels::new(settings, Some(dialer)) }
    }

    /// The Raft service at `address` (`host:port`). Nothing is connected yet.
    pub fn raft(&self, address: &str) -> RemoteRaft {
        RemoteRaft {
            control: self.caller(address, Lane::Control),
            bulk: self.caller(address, Lane::Bulk),
        }
    }

    /// The metadata service at `address` (`host:port`). Nothing is connected yet.
    pub fn meta(&self, address: &str) -> RemoteMeta {
        RemoteMeta(self.caller(address, Lane::Control))
    }

    /// The shard service at `address` (`host:port`). Nothing is connected yet.
    pub fn shards(&self, address: &str) -> RemoteShards {
        RemoteShards {
            control: self.caller(address, Lane::Control),
            bulk: self.caller(address, Lane::Bulk),
        }
    }

    fn caller(&self, address: &str, lane: Lane) -> Caller {
        Caller {
            channel: self.channels.get(address, lane),
            identity: self.identity.clone(),
            timeouts: self.timeouts,
        }
    }
}

/// One channel with what every call on it needs.
#[derive(Clone, Debug)]
struct Caller {
    channel: Channel,
    identity: Arc<Identity>,
    timeouts: Timeouts,
}

/// The `:authority` of every request. Peers are told apart by connection, not by name.
fn origin() -> http::Uri {
    http::Uri::from_static("http://shardlake")
}

impl Caller {
    /// A unary call: headers, bound, deadline, error mapping.
    async fn unary<Q, A, F>(
        &self,
        scope: Scope,
        timeout: Duration,
        message: Q,
        send: impl FnOnce(Request<Q>) -> F,
    ) -> Result<A, RpcError>
    where
        Q: Message,
        F: Future<Output = Result<Response<A>, Status>>,
    {
        let bytes = message.encoded_len();
        if bytes > MESSAGE_BYTES_MAX {
            let message = format!("a message of {bytes} bytes; at most {MESSAGE_BYTES_MAX} fit");
            return Err(RpcError::new(RpcErrorKind::Invalid, message));
        }
        self.call(scope, timeout, message, send).await
    }

    /// Any call: headers, deadline, error mapping.
    async fn call<Q, A, F>(
        &self,
        scope: Scope,
        timeout: Duration,
        message: Q,
        send: impl FnOnce(Request<Q>) -> F,
    ) -> Result<A, RpcError>
    where
        F: Future<Output = Result<Response<A>, Status>>,
    {
        let mut request = Request::new(message);
        headers::write(request.metadata_mut(), &self.identity, scope, timeout)?;
        let sent = Sent::default();
        request.extensions_mut().insert(sent.clone());
        match tokio::time::timeout(timeout, send(request)).await {
            Ok(Ok(response)) => Ok(response.into_inner()),
            Ok(Err(status)) => Err(from_status(&status)),
            Err(_) => Err(self.too_late(timeout, sent.get())),
        }
    }

    fn too_late(&self, timeout: Duration, sent: bool) -> RpcError {
        let address = self.channel.address();
        if sent {
            let message = format!("no answer from {address} within {timeout:?}");
            RpcError::new(RpcErrorKind::Deadline, message)
        } else {
            let message = format!("no connection to {address} within {timeout:?}");
            RpcError::new(RpcErrorKind::Unreachable, message)
        }
    }
}
