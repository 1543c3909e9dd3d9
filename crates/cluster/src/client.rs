//! [`MetadataClient`]: typed metadata over the metadata nodes.
//!
//! A request is encoded once and offered to one node after the other until one of
//! them, the leader of the group, answers it, or the deadline ends. What an attempt's
//! failure means for the whole request:
//!
//! | answer of an attempt | then | may it have been applied? |
//! |---|---|---|
//! | `NotLeader` | the hinted leader, else the next node | no |
//! | `StaleEpoch` | fetch the map, route again | no |
//! | `Unreachable`, `NotFound` (not hosted here) | the next node | no |
//! | `Busy` | after a pause again | no |
//! | `Deadline`, `Failed`, `Corrupt`, `NoSpace` | the next node, same bytes, so same write id | yes |
//! | `Refused` | the next node; if all refuse, or the leader does, give up | no |
//! | `Invalid`, `Conflict` | give up | no |
//!
//! There is a pause after every round of as many attempts as there are nodes, so that
//! replicas that point at each other cannot keep a request spinning.

mod attempts;

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use attempts::{Attempts, Next};
use bytes::Bytes;
use futures::future::join_all;
use metastore::{
    HeartbeatReport,
    api::{
        self, IndexAnswer, IndexCommand, IndexQuery, IndexView, RootAnswer, RootCommand, RootQuery,
        RootView,
    },
    service::NodeStatus,
};
use parking_lot::Mutex;
use proto::{
    RpcError, RpcErrorKind,
    meta::{Hello, MetaService},
};
use serde::de::DeserializeOwned;
use tokio::time::Instant;
use types::{BucketId, ClusterMap, Epoch, GroupId, NodeId};

use crate::{MapCache, MetaNodes, Metadata, MetadataError, route::Route};

/// Bounds of a [`MetadataClient`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MetadataSettings {
    /// The longest that a request takes, retries included.
    pub deadline: Duration,
    /// The longest that one attempt may take.
    pub attempt: Duration,
    /// The first pause between rounds; each further one is twice as long. Half of a pause
    /// is chance.
    pub pause_min: Duration,
    /// The longest pause.
    pub pause_max: Duration,
    /// How often the cluster map is fetched.
    pub map_interval: Duration,
}

impl Default for MetadataSettings {
    fn default() -> Self {
        Self {
            deadline: Duration::from_secs(10),
            attempt: Duration::from_secs(3),
            pause_min: Duration::from_millis(20),
            pause_max: Duration::from_millis(500),
            map_interval: Duration::from_millis(500),
        }
    }
}

/// [`Metadata`] over a set of metadata nodes, of this process or over connections.
pub struct MetadataClient {
    nodes: MetaNodes,
    leaders: Mutex<HashMap<GroupId, NodeId>>,
    map: Arc<MapCache>,
    settings: MetadataSettings,
    refreshing: tokio::sync::Mutex<()>,
}

/// What is asked of a group.
#[derive(Clone, Debug)]
enum Request {
    Propose(Bytes),
    Query(Bytes),
    Heartbeat(Bytes),
}

impl Request {
    /// Whether an attempt without an answer may have changed something for good.
    fn changes(&self) -> bool {
        matches!(self, Request::Propose(_))
    }

    async fn send(
        self,
        node: Arc<dyn MetaService>,
        group: GroupId,
        epoch: Epoch,
    ) -> Result<Reply, RpcError> {
        match self {
            Request::Propose(command) => {
                node.propose(group, epoch, command).await.map(Reply::Bytes)
            }
            Request::Query(query) => node.query(group, epoch, query).await.map(Reply::Bytes),
            Request::Heartbeat(report) => node.heartbeat(report).await.map(Reply::Epoch),
        }
    }
}

/// What a leader answered.
enum Reply {
    Bytes(Bytes),
    Epoch(Epoch),
}

impl MetadataClient {
    /// A client of these nodes. It fills `map` when [`Self::refresh_map`] or
    /// [`Self::keep_map_fresh`] runs. Without nodes every request is unavailable.
    pub fn new(
        nodes: impl Into<MetaNodes>,
        map: Arc<MapCache>,
        settings: MetadataSettings,
    ) -> Self {
        Self {
            nodes: nodes.into(),
            leaders: Mutex::default(),
            map,
            settings,
            refreshing: tokio::sync::Mutex::default(),
        }
    }

    /// The map that this client routes by.
    pub fn map_cache(&self) -> Arc<MapCache> {
        self.map.clone()
    }

    /// Fetches the cluster map from the root group. Before bootstrap there is none: then
    /// this succeeds and changes nothing.
    pub async fn refresh_map(&self) -> Result<(), MetadataError> {
        match self.root_query(RootQuery::Map).await? {
            RootView::Map(Some(map)) => {
                self.map.offer(*map);
                Ok(())
            }
            RootView::Map(None) => Ok(()),
            other => Err(MetadataError::Internal(format!("asked for the map, got {other:?}"))),
        }
    }

    /// Fetches the map every [`MetadataSettings::map_interval`], and at once when it turned
    /// out to be stale. Never ends: spawn it, and drop it at shutdown.
    pub async fn keep_map_fresh(&self) {
        let mut failing = false;
        loop {
            match self.refresh_map().await {
                Ok(()) => failing = false,
                Err(error) => {
                    if !failing {
                        tracing::warn!(%error, "cannot fetch the cluster map; keeping the old one");
                    }
                    failing = true;
                    // Perhaps others lead by now, and somebody can name them.
                    if let Err(error) = self.hello(NodeId(0)).await {
                        tracing::debug!(%error, "nobody names the metadata nodes");
                    }
                }
            }
            // Even when everybody cries for a newer map, the root group gets a breath.
            tokio::time::sleep(self.settings.pause_min).await;
            let rest = self.settings.map_interval.saturating_sub(self.settings.pause_min);
            let _ = tokio::time::timeout(rest, self.map.newer_wanted()).await;
        }
    }

    /// Reports a data node's sign of life to the root leader. The answer is the current
    /// epoch of the cluster map; if it is newer than ours, a newer map is on its way.
    pub async fn heartbeat(&self, report: &HeartbeatReport) -> Result<Epoch, MetadataError> {
        match self.request(Route::Root, Request::Heartbeat(report.encode())).await? {
            Reply::Epoch(epoch) => {
                if epoch > self.map.get().epoch {
                    self.map.want_newer();
                }
                Ok(epoch)
            }
            Reply::Bytes(_) => unreachable!("a heartbeat is answered by an epoch"),
        }
    }

    /// Asks all nodes who they are. The answer is one of a node that knows its cluster, if
    /// there is one, else of any node.
    pub async fn hello(&self, asker: NodeId) -> Result<Hello, MetadataError> {
        let answers = self.ask_all(|node| async move { node.hello(asker).await }).await;
        let mut errors = Vec::new();
        let mut best: Option<Hello> = None;
        for (node, answer) in answers {
            if let Ok(hello) = &answer {
                self.nodes.learn(&hello.nodes);
            }
            match answer {
                Ok(hello) if best.as_ref().is_none_or(|best| best.cluster.is_none()) => {
                    best = Some(hello);
                }
                Ok(_) => {}
                Err(error) => errors.push(format!("{node}: {error}")),
            }
        }
        best.ok_or_else(|| {
            MetadataError::Unavailable(format!("no metadata node answers: {}", errors.join("; ")))
        })
    }

    /// Raft state of the groups on every node, or why a node did not answer.
    pub async fn status_all(&self) -> BTreeMap<NodeId, Result<NodeStatus, RpcError>> {
        self.ask_all(|node| async move {
            let undecodable =
                |error: api::DecodeError| RpcError::new(RpcErrorKind::Failed, error.to_string());
            api::decode(&node.status().await?).map_err(undecodable)
        })
        .await
    }

    async fn ask_all<T, F>(
        &self,
        ask: impl Fn(Arc<dyn MetaService>) -> F,
    ) -> BTreeMap<NodeId, Result<T, RpcError>>
    where
        F: Future<Output = Result<T, RpcError>>,
    {
        let known = self.nodes.by(&self.map.get());
        let asked = known.nodes.iter().map(|(id, node)| {
            let answer = self.within(self.settings.attempt, ask(node.clone()));
            async { (*id, answer.await) }
        });
        join_all(asked).await.into_iter().collect()
    }

    async fn within<T>(
        &self,
        time: Duration,
        call: impl Future<Output = Result<T, RpcError>>,
    ) -> Result<T, RpcError> {
        tokio::time::timeout(time, call).await.unwrap_or_else(|_| {
            Err(RpcError::new(RpcErrorKind::Deadline, format!("no answer within {time:?}")))
        })
    }

    /// Tries until there is an answer or the deadline ends.
    async fn request(&self, route: Route<'_>, request: Request) -> Result<Reply, MetadataError> {
        let deadline = Instant::now() + self.settings.deadline;
        let known = self.nodes.by(&self.map.get());
        let ids = |services: &BTreeMap<NodeId, _>| services.keys().copied().collect();
        let mut attempts = Attempts::new(ids(&known.nodes), ids(&known.others), self.settings);
        loop {
            let map = self.map.get();
            let next = match route.resolve(&map) {
                None => {
                    attempts.no_route("the cluster map has no such partition");
                    Next::Refresh
                }
                Some((group, epoch)) => {
                    let anyone = platform::planted("list-from-stale-replica") && !request.changes();
                    let leader = self.leader(group).filter(|_| !anyone);
                    let Some(id) = attempts.pick(leader) else {
                        return Err(attempts.over(request.changes()));
                    };
                    let node = known.service(id).expect("one of the known ones").clone();
                    let time = self.settings.attempt.min(deadline - Instant::now());
                    let call = request.clone().send(node, group, epoch);
                    match self.within(time, call).await {
                        Ok(reply) => {
                            self.leaders.lock().insert(group, id);
                            return Ok(reply);
                        }
                        Err(error) => {
                            self.forget_leader(group, id);
                            metrics::counter!("shardlake_metadata_retries_total").increment(1);
                            attempts.failed(id, error, request.changes())
                        }
                    }
                }
            };
            let pause = match next {
                Next::GiveUp => return Err(attempts.over(request.changes())),
                Next::Node => Duration::ZERO,
                Next::Pause(pause) => pause,
                Next::Refresh => {
                    self.refresh_after(map.epoch, deadline).await;
                    attempts.pause()
                }
            };
            if Instant::now() + pause >= deadline {
                return Err(attempts.over(request.changes()));
            }
            if !pause.is_zero() {
                tokio::time::sleep(pause).await;
            }
        }
    }

    fn leader(&self, group: GroupId) -> Option<NodeId> {
        self.leaders.lock().get(&group).copied()
    }

    fn forget_leader(&self, group: GroupId, node: NodeId) {
        let mut leaders = self.leaders.lock();
        if leaders.get(&group) == Some(&node) {
            leaders.remove(&group);
        }
    }

    /// Fetches a map newer than `seen`, unless somebody else just did.
    async fn refresh_after(&self, seen: Epoch, deadline: Instant) {
        let refresh = async {
            let _one_at_a_time = self.refreshing.lock().await;
            if self.map.get().epoch > seen {
                return;
            }
            // Boxed: a request may refresh, and refreshing is a request (to the root group,
            // which is never stale).
            let refreshed: futures::future::BoxFuture<'_, _> = Box::pin(self.refresh_map());
            if let Err(error) = refreshed.await {
                tracing::debug!(%error, "cannot fetch the cluster map");
            }
        };
        let _ = tokio::time::timeout_at(deadline, refresh).await;
    }

    async fn bytes(&self, route: Route<'_>, request: Request) -> Result<Bytes, MetadataError> {
        match self.request(route, request).await? {
            Reply::Bytes(bytes) => Ok(bytes),
            Reply::Epoch(_) => unreachable!("only a heartbeat is answered by an epoch"),
        }
    }
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, MetadataError> {
    api::decode(bytes).map_err(|error| MetadataError::Internal(error.to_string()))
}

#[async_trait]
impl Metadata for MetadataClient {
    fn map(&self) -> Arc<ClusterMap> {
        self.map.get()
    }

    async fn root(&self, command: RootCommand) -> Result<RootAnswer, MetadataError> {
        let request = Request::Propose(api::encode(&command));
        decode(&self.bytes(Route::Root, request).await?)
    }

    async fn root_query(&self, query: RootQuery) -> Result<RootView, MetadataError> {
        let request = Request::Query(api::encode(&query));
        decode(&self.bytes(Route::Root, request).await?)
    }

    async fn index(
        &self,
        bucket: BucketId,
        key: &str,
        command: IndexCommand,
    ) -> Result<IndexAnswer, MetadataError> {
        let request = Request::Propose(api::encode(&command));
        decode(&self.bytes(Route::Key(bucket, key), request).await?)
    }

    async fn index_query(
        &self,
        bucket: BucketId,
        key: &str,
        query: IndexQuery,
    ) -> Result<IndexView, MetadataError> {
        let request = Request::Query(api::encode(&query));
        decode(&self.bytes(Route::Key(bucket, key), request).await?)
    }

    async fn partition(
        &self,
        group: GroupId,
        command: IndexCommand,
    ) -> Result<IndexAnswer, MetadataError> {
        let request = Request::Propose(api::encode(&command));
        decode(&self.bytes(Route::Group(group), request).await?)
    }

    async fn partition_query(
        &self,
        group: GroupId,
        query: IndexQuery,
    ) -> Result<IndexView, MetadataError> {
        let request = Request::Query(api::encode(&query));
        decode(&self.bytes(Route::Group(group), request).await?)
    }
}
