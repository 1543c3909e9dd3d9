//! openraft's network over [`RaftService`]: calls from this replica to its peers.
//!
//! Every call has a deadline, and whatever fails is reported as unreachable, so that
//! openraft waits before it tries again.

use std::{collections::HashMap, future::Future, sync::Arc, time::Duration};

use bytes::Bytes;
use openraft::{
    BasicNode, OptionalSend, RaftNetwork, RaftNetworkFactory, Snapshot,
    error::{
        Fatal, NetworkError, RPCError, RaftError, ReplicationClosed, StreamingError, Unreachable,
    },
    network::{Backoff, RPCOption},
    raft::{
        AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, VoteRequest, VoteResponse,
    },
};
use platform::planted;
use proto::{
    RpcError, RpcErrorKind,
    raft::{RaftAddress, RaftService},
};
use tokio::time::Instant;
use types::{GroupId, NodeId};

use crate::{
    format::Owner,
    metrics,
    patience::Patience,
    raft_types::{TypeConfig, Vote},
    settings::{PeerDirectory, RaftTimings},
    snapshot::SnapshotData,
    wire,
};

type CallError = RPCError<u64, BasicNode, RaftError<u64>>;

/// Makes connections to the peers of one group.
pub(crate) struct Network {
    pub(crate) me: Owner,
    pub(crate) group: GroupId,
    pub(crate) directory: Arc<dyn PeerDirectory>,
    timings: RaftTimings,
    /// openraft asks for a new client with every read; at most one a member.
    peers: HashMap<(u64, String), Known>,
}

/// The way to a member, and how it answers.
type Known = (Arc<dyn RaftService>, Arc<Patience>);

/// Members of a group are a handful; above this the cache starts over.
const PEERS_MAX: usize = 64;

impl Network {
    pub(crate) fn new(
        me: Owner,
        group: GroupId,
        directory: Arc<dyn PeerDirectory>,
        timings: RaftTimings,
    ) -> Self {
        Self { me, group, directory, timings, peers: HashMap::new() }
    }
}

impl RaftNetworkFactory<TypeConfig> for Network {
    type Network = Peer;

    async fn new_client(&mut self, target: u64, node: &BasicNode) -> Peer {
        if self.peers.len() >= PEERS_MAX {
            self.peers.clear();
        }
        let to = NodeId(target);
        let (service, patience) =
            self.peers.entry((target, node.addr.clone())).or_insert_with(|| {
                let service = self.directory.connect(to, &node.addr);
                (service, Arc::new(Patience::new(&self.timings)))
            });
        Peer {
            address: RaftAddress {
                cluster: self.me.cluster,
                group: self.group,
                from: self.me.node,
                from_instance: self.me.instance,
                to,
            },
            service: Arc::clone(service),
            patience: Arc::clone(patience),
            // The wait after a failed call.
            pause: self.timings.heartbeat,
        }
    }
}

/// A peer's replica of one group.
pub(crate) struct Peer {
    address: RaftAddress,
    service: Arc<dyn RaftService>,
    patience: Arc<Patience>,
    pause: Duration,
}

impl Peer {
    /// Sends entries or a heartbeat, unless the peer has not answered for so long that others should
    /// get a chance to lead it.
    async fn append(&self, payload: Bytes, limit: Duration) -> Result<Bytes, RpcError> {
        let began = Instant::now();
        if self.patience.is_silent(began) {
            let message = "the peer has not answered for long: it hears nothing for a while";
            return Err(RpcError::new(RpcErrorKind::Unreachable, message));
        }
        let answer = within(limit, self.service.append(self.address, payload)).await;
        match &answer {
            Err(error) if error.kind == RpcErrorKind::Deadline => self.patience.unanswered(began),
            Ok(_) | Err(_) => self.patience.answered(),
        }
        answer
    }

    fn failed(&self, error: &RpcError) -> Unreachable {
        let (group, to, kind) = (self.address.group, self.address.to, &error.kind);
        if *kind == RpcErrorKind::Refused {
            tracing::warn!(%group, %to, %error, "a peer refuses this node");
        }
        Unreachable::new(error)
    }
}

/// `call`'s answer, or `Deadline` after `limit`.
async fn within<F>(limit: Duration, call: F) -> Result<Bytes, RpcError>
where
    F: Future<Output = Result<Bytes, RpcError>>,
{
    tokio::time::timeout(limit, call)
        .await
        .unwrap_or_else(|_| Err(RpcError::new(RpcErrorKind::Deadline, "the peer did not answer")))
}

impl RaftNetwork<TypeConfig> for Peer {
    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<u64>, CallError> {
        let payload = wire::encode(&wire::Append::from(request));
        let answer = self.append(payload, option.hard_ttl()).await;
        let answer = answer.and_then(|answer| wire::decode::<wire::Appended>(&answer));
        if answer.is_err() && planted("ack-before-quorum") {
            return Ok(AppendEntriesResponse::Success);
        }
        Ok(answer.map_err(|error| self.failed(&error))?.into())
    }

    async fn vote(
        &mut self,
        request: VoteRequest<u64>,
        option: RPCOption,
    ) -> Result<VoteResponse<u64>, CallError> {
        let payload = wire::encode(&wire::Election::Ask(request.into()));
        let answer = within(option.hard_ttl(), self.service.vote(self.address, payload)).await;
        let answer = answer.and_then(|answer| wire::decode::<wire::Voted>(&answer));
        Ok(answer.map_err(|error| self.failed(&error))?.into())
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: Snapshot<TypeConfig>,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        option: RPCOption,
    ) -> Result<SnapshotResponse<u64>, StreamingError<TypeConfig, Fatal<u64>>> {
        let SnapshotData::Outgoing(content) = *snapshot.snapshot else {
            let error = RpcError::new(RpcErrorKind::Failed, "a snapshot without content");
            return Err(NetworkError::new(&error).into());
        };
        let head = wire::SnapshotHead::new(vote, &snapshot.meta, content.state().clock_ms);
        let frames = Box::pin(content.frames());
        let call = self.service.snapshot(self.address, wire::encode(&head), frames);
        let answer = tokio::select! {
            closed = cancel => return Err(closed.into()),
            answer = within(option.hard_ttl(), call) => answer,
        };
        let answer = answer.and_then(|answer| wire::decode::<wire::Installed>(&answer));
        let installed = answer.map_err(|error| self.failed(&error))?;
        metrics::snapshot(self.address.group, "sent");
        Ok(installed.into())
    }

    fn backoff(&self) -> Backoff {
        Backoff::new(std::iter::repeat(self.pause))
    }
}
