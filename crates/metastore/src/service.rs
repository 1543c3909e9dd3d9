//! [`MetaNode`]: the service of one metadata node over the groups that it hosts.
//!
//! A request is decoded and checked before it touches a group, so that no client can halt
//! one; then its epoch and range are compared with the partition directory as this node's
//! replica of the root group has applied it. A query waits for a read barrier and then
//! reads a consistent view on a blocking thread.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use consensus::{ConsensusGroup, Error, KvError, KvRead, Status};
use parking_lot::RwLock;
use platform::Clock;
use proto::{
    RpcError, RpcErrorKind,
    meta::{Hello, MetaService},
};
use tokio::sync::Semaphore;
use types::{ClusterMap, Epoch, GroupId, NodeId, Role};

use crate::{
    api::{
        self, IndexCommand, IndexQuery, RootCommand, RootQuery, RootView, VERSION,
        root::{MetaMembers, WORKERS_BYTES_MAX},
    },
    check::{Check, Scope},
    heartbeat::{HeartbeatReport, Heartbeats},
    index, root,
};

/// Queries under way at most; the next one is answered `Busy`.
pub const QUERIES_MAX: usize = 1024;

/// What [`MetaService::status`] answers, encoded with [`api::encode`].
pub type NodeStatus = Vec<Status>;

/// The service of one metadata node.
pub struct MetaNode {
    node: NodeId,
    clock: Arc<dyn Clock>,
    groups: RwLock<BTreeMap<GroupId, Arc<dyn ConsensusGroup>>>,
    applied: RwLock<Arc<AppliedMap>>,
    heartbeats: Heartbeats,
    workers: RwLock<Option<Arc<ListWorkers>>>,
    queries: Semaphore,
}

/// What lists the background workers of this process, see [`RootView::Workers`].
type ListWorkers = dyn Fn() -> Bytes + Send + Sync;

/// The cluster map at an applied index of this node's root replica.
struct AppliedMap {
    index: u64,
    map: Option<ClusterMap>,
}

impl MetaNode {
    /// The service of `node`, which hosts these groups.
    pub fn new(
        node: NodeId,
        groups: BTreeMap<GroupId, Arc<dyn ConsensusGroup>>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            node,
            clock,
            groups: RwLock::new(groups),
            applied: RwLock::new(Arc::new(AppliedMap { index: 0, map: None })),
            heartbeats: Heartbeats::default(),
            workers: RwLock::default(),
            queries: Semaphore::new(QUERIES_MAX),
        }
    }

    /// Hosts one more group from now on.
    pub fn host(&self, group: Arc<dyn ConsensusGroup>) {
        self.groups.write().insert(group.id(), group);
    }

    /// This node.
    pub fn node(&self) -> NodeId {
        self.node
    }

    /// The group, if this node hosts a replica of it.
    pub fn group(&self, group: GroupId) -> Option<Arc<dyn ConsensusGroup>> {
        self.groups.read().get(&group).cloned()
    }

    /// Whether this node leads the root group, as far as it knows.
    pub fn leads_root(&self) -> bool {
        self.group(GroupId::ROOT).is_some_and(|root| root.status().leader == Some(self.node))
    }

    /// Lets everybody see this process's background workers while it leads the root group.
    pub fn show_workers(&self, list: impl Fn() -> Bytes + Send + Sync + 'static) {
        *self.workers.write() = Some(Arc::new(list));
    }

    /// The replica to ask. Another node may host the group, so the caller tries that.
    fn hosted(&self, group: GroupId) -> Result<Arc<dyn ConsensusGroup>, RpcError> {
        self.group(group).ok_or_else(|| {
            let kind = RpcErrorKind::NotLeader { leader: None };
            RpcError::new(kind, format!("node {} hosts no replica of group {group}", self.node))
        })
    }

    /// The cluster map as the root replica here has applied it, without soft state.
    async fn map_here(&self) -> Result<Arc<AppliedMap>, RpcError> {
        let root = self.hosted(GroupId::ROOT)?;
        let index = root.status().applied_index;
        let known = self.applied.read().clone();
        // Index zero: nothing was read yet.
        if known.index == index && index > 0 {
            return Ok(known);
        }
        self.read_map(root, index).await
    }

    async fn read_map(
        &self,
        root: Arc<dyn ConsensusGroup>,
        index: u64,
    ) -> Result<Arc<AppliedMap>, RpcError> {
        let view = read(root, |rows| root::evaluate(rows, &RootQuery::Map)).await?;
        let RootView::Map(map) = view else {
            return Err(RpcError::new(RpcErrorKind::Failed, "a map query had another answer"));
        };
        let fresh = Arc::new(AppliedMap { index, map: map.map(|map| *map) });
        let mut known = self.applied.write();
        if known.index <= index {
            *known = fresh.clone();
        }
        Ok(fresh)
    }

    /// Refuses what was routed by another directory than the one applied here, and a renaming
    /// from another partition, which no single group can do.
    async fn check_route(
        &self,
        group: GroupId,
        epoch: Epoch,
        scope: Scope<'_>,
        source: Option<Scope<'_>>,
    ) -> Result<(), RpcError> {
        let stale = |message: String| Err(RpcError::new(RpcErrorKind::StaleEpoch, message));
        let here = self.map_here().await?;
        let partitions = here.map.as_ref().map_or(&[][..], |map| &map.partitions);
        let Some(partition) = partitions.iter().find(|partition| partition.group == group) else {
            return stale(format!("no partition is held by group {group}"));
        };
        if partition.epoch != epoch {
            return stale(format!(
                "the partition of group {group} is in epoch {}, the request in {epoch}",
                partition.epoch
            ));
        }
        if !scope.is_in(partition) {
            return stale(format!("the partition of group {group} does not hold this key"));
        }
        if source.is_some_and(|source| !source.is_in(partition)) {
            return Err(invalid(
                "the key to be renamed lies in another partition than its new name",
            ));
        }
        Ok(())
    }

    fn list_workers(&self) -> Result<Option<Bytes>, RpcError> {
        let Some(list) = self.workers.read().clone() else { return Ok(None) };
        let list = list();
        if list.len() > WORKERS_BYTES_MAX {
            let message = format!("the list of workers has {} bytes", list.len());
            return Err(RpcError::new(RpcErrorKind::Failed, message));
        }
        Ok(Some(list))
    }

    /// Who should vote in the groups, as the root replica here has applied it: perhaps an old
    /// decision. Reason to look, not to act.
    pub async fn members_here(&self) -> Result<Option<MetaMembers>, RpcError> {
        read(self.hosted(GroupId::ROOT)?, |rows| root::query::meta_members(rows)).await
    }

    /// The groups that this node leads, as far as it knows.
    pub fn led(&self) -> Vec<Arc<dyn ConsensusGroup>> {
        let groups = self.groups.read();
        let leads = |group: &&Arc<dyn ConsensusGroup>| group.status().leader == Some(self.node);
        groups.values().filter(leads).cloned().collect()
    }

    async fn query_root(&self, query: RootQuery) -> Result<RootView, RpcError> {
        let root = self.hosted(GroupId::ROOT)?;
        root.read_barrier().await.map_err(rpc_error)?;
        let term = root.status().term;
        let mut view = read(root, move |rows| root::evaluate(rows, &query)).await?;
        match &mut view {
            RootView::Map(Some(map)) => self.heartbeats.fill(term, self.clock.now_ms(), map),
            RootView::Workers(list) => *list = self.list_workers()?,
            _ => {}
        }
        Ok(view)
    }
}

/// Evaluates on a consistent view; reading disk, so on a blocking thread.
async fn read<T: Send + 'static>(
    group: Arc<dyn ConsensusGroup>,
    evaluate: impl Fn(&dyn KvRead) -> Result<T, KvError> + Send + 'static,
) -> Result<T, RpcError> {
    let failed = |message: String| RpcError::new(RpcErrorKind::Failed, message);
    platform::off_thread(move || {
        let mut result = None;
        group
            .view(&mut |rows| {
                result = Some(evaluate(rows)?);
                Ok(())
            })
            .map_err(rpc_error)?;
        result.ok_or_else(|| failed("the view was not visited".to_owned()))
    })
    .await
    .map_err(|error| failed(format!("reading was interrupted: {error}")))?
}

fn metadata_nodes(map: &ClusterMap) -> BTreeMap<NodeId, String> {
    let nodes = map.nodes.values().filter(|node| node.role == Role::Meta);
    nodes.map(|node| (node.id, node.address.clone())).collect()
}

/// What a caller is told of an error of a group.
pub fn rpc_error(error: Error) -> RpcError {
    let kind = match &error {
        Error::NotLeader { leader, .. } => RpcErrorKind::NotLeader { leader: *leader },
        Error::Busy { .. } => RpcErrorKind::Busy,
        Error::UnknownOutcome { .. } => RpcErrorKind::Deadline,
        Error::NoQuorum { .. } => RpcErrorKind::Unreachable,
        Error::Invalid { .. } => RpcErrorKind::Invalid,
        Error::Stopped { .. } | Error::Kv(_) => RpcErrorKind::Failed,
    };
    RpcError::new(kind, error.to_string())
}

fn invalid(message: impl std::fmt::Display) -> RpcError {
    RpcError::new(RpcErrorKind::Invalid, message.to_string())
}

fn decode_checked<T: Check + serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<T, RpcError> {
    let message: T = api::decode(bytes).map_err(invalid)?;
    message.check().map_err(invalid)?;
    Ok(message)
}

#[async_trait]
impl MetaService for MetaNode {
    async fn hello(&self, asker: NodeId) -> Result<Hello, RpcError> {
        let here = self.map_here().await?;
        let map = here.map.as_ref();
        Ok(Hello {
            cluster: map.map(|map| map.cluster),
            node: self.node,
            known_instance: map.and_then(|map| map.nodes.get(&asker)).map(|node| node.instance),
            version: VERSION.into(),
            level: map.map(|map| map.level),
            nodes: map.map(metadata_nodes).unwrap_or_default(),
        })
    }

    async fn propose(
        &self,
        group: GroupId,
        epoch: Epoch,
        command: Bytes,
    ) -> Result<Bytes, RpcError> {
        let replica = self.hosted(group)?;
        if group == GroupId::ROOT {
            decode_checked::<RootCommand>(&command)?;
        } else {
            let decoded: IndexCommand = decode_checked(&command)?;
            self.check_route(group, epoch, decoded.scope(), decoded.source()).await?;
        }
        replica.propose(command).await.map_err(rpc_error)
    }

    async fn query(&self, group: GroupId, epoch: Epoch, query: Bytes) -> Result<Bytes, RpcError> {
        let _permit = self.queries.try_acquire().map_err(|_| {
            let message = format!("node {} answers {QUERIES_MAX} queries already", self.node);
            RpcError::new(RpcErrorKind::Busy, message)
        })?;
        let replica = self.hosted(group)?;
        if group == GroupId::ROOT {
            let view = self.query_root(decode_checked(&query)?).await?;
            return Ok(api::encode(&view));
        }
        let query: IndexQuery = decode_checked(&query)?;
        self.check_route(group, epoch, query.scope(), None).await?;
        let lists = matches!(query, IndexQuery::List { .. } | IndexQuery::Versions { .. });
        let stale = lists && platform::planted("list-from-stale-replica");
        if !stale && !platform::planted("serve-before-barrier") {
            replica.read_barrier().await.map_err(rpc_error)?;
        }
        read(replica, move |rows| Ok(api::encode(&index::evaluate(rows, &query)?))).await
    }

    async fn heartbeat(&self, report: Bytes) -> Result<Epoch, RpcError> {
        let report = HeartbeatReport::decode(&report).map_err(invalid)?;
        let root = self.hosted(GroupId::ROOT)?;
        // A leader that was cut off must not take reports that its successor waits for.
        root.read_barrier().await.map_err(rpc_error)?;
        let knows = |here: &AppliedMap| {
            here.map.as_ref().is_some_and(|map| map.nodes.contains_key(&report.node))
        };
        let mut here = self.map_here().await?;
        if !knows(&here) {
            here = self.read_map(root.clone(), root.status().applied_index).await?;
        }
        let Some(map) = here.map.as_ref().filter(|_| knows(&here)) else {
            let message = format!("node {} is not registered", report.node);
            return Err(RpcError::new(RpcErrorKind::Refused, message));
        };
        let epoch = map.epoch;
        self.heartbeats.note(root.status().term, self.clock.now_ms(), report);
        Ok(epoch)
    }

    async fn status(&self) -> Result<Bytes, RpcError> {
        let status: NodeStatus = self.groups.read().values().map(|group| group.status()).collect();
        Ok(api::encode(&status))
    }
}
