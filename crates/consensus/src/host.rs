//! All groups of one node: opens the store, starts groups, and serves their peers.

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use openraft::{BasicNode, Config, Snapshot, SnapshotPolicy};
use parking_lot::{Mutex, RwLock};
use proto::{
    RpcError, RpcErrorKind,
    raft::{RaftAddress, RaftService},
};
use types::{GroupId, NodeId};

use crate::{
    ConsensusGroup, Error, StateMachine,
    error::{OpenError, StartError},
    format::{self, Owner},
    handover::Reach,
    instances::Instances,
    log::LogStore,
    machine::Machine,
    network::Network,
    pulse::Pulse,
    raft_group::RaftGroup,
    raft_types::Raft,
    rows::Rows,
    settings::{HostSettings, PeerDirectory, RaftTimings},
    snapshot::{Incoming, SnapshotData},
    store::{MemoryDisk, Store, Writer},
    wire,
};

/// How long all hand-overs of a node that stops may take together.
const LEAVE_MAX: Duration = Duration::from_secs(10);

/// A node's replicas: one RocksDB and one write-ahead log for all of them. Also the
/// receiving side of their traffic.
pub struct Host {
    settings: HostSettings,
    me: Owner,
    store: Arc<Store>,
    writer: Arc<Writer>,
    instances: Instances,
    directory: Arc<dyn PeerDirectory>,
    groups: RwLock<HashMap<GroupId, Arc<RaftGroup>>>,
    /// One group is started at a time.
    starting: tokio::sync::Mutex<()>,
}

impl Host {
    /// Opens a host on a simulated disk; [`HostSettings::dir`] is not looked at. Nothing leaves the
    /// caller's thread, if [`platform::stay_on_thread`] was called.
    pub fn open_in_memory(
        settings: HostSettings,
        disk: MemoryDisk,
        directory: Arc<dyn PeerDirectory>,
    ) -> Result<Arc<Self>, OpenError> {
        let me =
            Owner { cluster: settings.cluster, node: settings.node, instance: settings.instance };
        let dir = settings.dir.clone();
        if !disk.claim(me) {
            return Err(OpenError::Foreign { dir });
        }
        let store = Store::in_memory(disk, Arc::clone(&settings.on_fatal));
        Self::over(settings, me, store, directory)
    }

    /// Opens or makes the folder. Blocking: reads the write-ahead log.
    pub fn open(
        settings: HostSettings,
        directory: Arc<dyn PeerDirectory>,
    ) -> Result<Arc<Self>, OpenError> {
        let me =
            Owner { cluster: settings.cluster, node: settings.node, instance: settings.instance };
        let dir = settings.dir.clone();
        let claimed = format::is_claimed(&dir, me)?;
        let store = Store::open(&dir, Arc::clone(&settings.on_fatal))?;
        if !claimed {
            format::claim(&dir, me)?;
        }
        Self::over(settings, me, store, directory)
    }

    fn over(
        settings: HostSettings,
        me: Owner,
        store: Arc<Store>,
        directory: Arc<dyn PeerDirectory>,
    ) -> Result<Arc<Self>, OpenError> {
        let dir = settings.dir.clone();
        let writer = Writer::start(Arc::clone(&store))
            .map_err(|error| OpenError::Io { dir: dir.clone(), error })?;
        let writer = Arc::new(writer);
        let instances = Instances::open(me, &store, Arc::clone(&writer))
            .map_err(|error| OpenError::Store { dir, reason: error.to_string() })?;
        Ok(Arc::new(Self {
            settings,
            me,
            store,
            writer,
            instances,
            directory,
            groups: RwLock::new(HashMap::new()),
            starting: tokio::sync::Mutex::new(()),
        }))
    }

    /// Whether a host was ever opened in this folder. One that was must not be taken for new when
    /// its folder is gone.
    pub fn is_made(dir: &Path) -> std::io::Result<bool> {
        format::is_made(dir)
    }

    /// Starts this node's replica of a group from what is on disk. A replica that is new
    /// waits for [`Host::initialize`], or to be added by the group's leader. A group whose
    /// only voter is this node leads within milliseconds.
    pub async fn start_group(
        &self,
        group: GroupId,
        machine: Arc<dyn StateMachine>,
    ) -> Result<Arc<RaftGroup>, StartError> {
        let _one = self.starting.lock().await;
        if let Some(before) = self.group(group) {
            if !before.pulse.closed() {
                return Err(StartError::Running(group));
            }
            before.rows.close().await;
        }
        let failed = |reason: String| StartError::Failed { group, reason };
        let config = config(group, &self.settings.timings)?;
        let rows = Rows::open(group, Arc::clone(&self.store))
            .map_err(|error| failed(error.to_string()))?;
        let rows = Arc::new(rows);
        let halted = Arc::new(Mutex::new(None));
        let node = self.me.node;
        let pulse = Pulse::new(group, node, Arc::clone(&rows), Arc::clone(&halted));
        let log = LogStore::of(Arc::clone(&rows), Arc::clone(&self.writer));
        let machine = Machine::new(Arc::clone(&rows), Arc::clone(&self.writer), machine, halted);
        let timings = self.settings.timings;
        let network = Network::new(self.me, group, Arc::clone(&self.directory), timings);
        let raft = Raft::new(node.0, Arc::new(config), network, log, machine).await;
        let raft = raft.map_err(|fatal| {
            let reason = pulse.why_stopped(&fatal.to_string());
            self.store.report(&reason);
            failed(reason)
        })?;
        elect_if_alone(&raft, node).await.map_err(failed)?;
        let clock = Arc::clone(&self.settings.clock);
        let timings = self.settings.timings;
        let reach = Reach::new(self.me, Arc::clone(&self.directory), timings);
        let limit = timings.request;
        let running = Arc::new(RaftGroup::new(node, raft, rows, pulse, clock, limit, reach));
        self.groups.write().insert(group, Arc::clone(&running));
        Ok(running)
    }

    /// Forms a group from its first voters and their addresses. Does nothing on a replica
    /// that has entries, so it may be called at every start. Several voters may call it,
    /// all with the same voters.
    pub async fn initialize(
        &self,
        group: GroupId,
        voters: BTreeMap<NodeId, String>,
    ) -> Result<(), Error> {
        let running = self.group(group).ok_or_else(|| Error::Invalid {
            group,
            reason: "it was not started on this node".into(),
        })?;
        let voters =
            voters.into_iter().map(|(node, address)| (node.0, BasicNode::new(address))).collect();
        running.initialize(voters).await
    }

    /// This node's replica of a group, if it was started.
    pub fn group(&self, group: GroupId) -> Option<Arc<RaftGroup>> {
        self.groups.read().get(&group).cloned()
    }

    /// The groups that were started, in ascending order.
    pub fn groups(&self) -> Vec<Arc<RaftGroup>> {
        let mut groups: Vec<_> = self.groups.read().values().cloned().collect();
        groups.sort_by_key(|group| group.id());
        groups
    }

    /// How often the write-ahead log was fsynced since the host opened.
    pub fn fsyncs(&self) -> u64 {
        self.writer.syncs()
    }

    /// Hands over what this node leads, group by group, and lets it stand for no election any
    /// more. Called before [`Host::shutdown`], while the peers can still be served: the others
    /// then notice nothing of the end but a pause of milliseconds.
    pub async fn leave(&self) {
        let groups = self.groups();
        for group in &groups {
            group.leave();
        }
        let all = async {
            for group in &groups {
                // Who cannot hand over stops as the leader; it has said why.
                let _ = group.hand_over().await;
            }
        };
        if tokio::time::timeout(LEAVE_MAX, all).await.is_err() {
            tracing::warn!("not all groups could be handed over in time");
        }
    }

    /// Stops every replica, then makes everything durable. The folder may be opened again
    /// once the host and its groups are dropped.
    pub async fn shutdown(&self) {
        for group in self.groups() {
            group.shutdown().await;
        }
        if let Err(error) = self.writer.submit(Vec::new()).await {
            tracing::warn!(%error, "the last fsync of the raft store did not succeed");
        }
        let writer = Arc::clone(&self.writer);
        if platform::off_thread(move || writer.stop()).await.is_err() {
            tracing::error!("stopping the raft writer panicked");
        }
    }

    async fn receiver(&self, address: &RaftAddress) -> Result<Arc<RaftGroup>, RpcError> {
        self.instances.check(address).await?;
        self.group(address.group).ok_or_else(|| {
            let message = format!("node {} has no replica of {}", self.me.node, address.group);
            RpcError::new(RpcErrorKind::NotFound, message)
        })
    }
}

/// The replica has stopped.
fn failed(error: impl ToString) -> RpcError {
    RpcError::new(RpcErrorKind::Failed, error.to_string())
}

#[async_trait]
impl RaftService for Host {
    async fn append(&self, address: RaftAddress, payload: Bytes) -> Result<Bytes, RpcError> {
        let group = self.receiver(&address).await?;
        let append: wire::Append = wire::decode(&payload)?;
        let answer = group.raft.append_entries(append.into()).await.map_err(failed)?;
        Ok(wire::encode(&wire::Appended::from(answer)))
    }

    async fn vote(&self, address: RaftAddress, payload: Bytes) -> Result<Bytes, RpcError> {
        let group = self.receiver(&address).await?;
        match wire::decode(&payload)? {
            wire::Election::Ask(ask) => {
                let answer = group.raft.vote(ask.into()).await.map_err(failed)?;
                Ok(wire::encode(&wire::Voted::from(answer)))
            }
            wire::Election::Stand { times } => {
                group.stand(address.from, times).await?;
                Ok(wire::encode(&wire::Stood))
            }
        }
    }

    async fn snapshot(
        &self,
        address: RaftAddress,
        payload: Bytes,
        chunks: BoxStream<'static, Result<Bytes, RpcError>>,
    ) -> Result<Bytes, RpcError> {
        let group = self.receiver(&address).await?;
        let head: wire::SnapshotHead = wire::decode(&payload)?;
        let vote = head.vote();
        let mine = group.raft.with_raft_state(|state| *state.vote_ref()).await.map_err(failed)?;
        if vote < mine {
            // An old leader: do not take its rows, tell it the newer vote.
            return Ok(wire::encode(&wire::Installed::from(mine)));
        }
        let busy = || RpcError::new(RpcErrorKind::Busy, "a snapshot is being received already");
        let _one = group.receiving.try_lock().map_err(|_| busy())?;
        let rows = Arc::clone(&group.rows);
        let incoming = Incoming::receive(rows, head.clock_ms, chunks).await?;
        let snapshot = Snapshot {
            meta: head.into_meta(),
            snapshot: Box::new(SnapshotData::Incoming(incoming)),
        };
        let answer = group.raft.install_full_snapshot(vote, snapshot).await.map_err(failed)?;
        Ok(wire::encode(&wire::Installed::from(answer)))
    }
}

/// A lone voter needs nobody's vote and must not wait for its election timer.
async fn elect_if_alone(raft: &Raft, node: NodeId) -> Result<(), String> {
    let alone = raft.with_raft_state(move |state| {
        let voters: Vec<u64> = state.membership_state.effective().voter_ids().collect();
        let vote = state.vote_ref();
        let resumes = vote.is_committed() && vote.leader_id.node_id == node.0;
        voters == [node.0] && !resumes
    });
    if alone.await.map_err(|error| error.to_string())? {
        raft.trigger().elect().await.map_err(|error| error.to_string())?;
    }
    Ok(())
}

fn config(group: GroupId, timings: &RaftTimings) -> Result<Config, StartError> {
    let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let config = Config {
        cluster_name: group.to_string(),
        heartbeat_interval: millis(timings.heartbeat),
        election_timeout_min: millis(timings.election_min),
        election_timeout_max: millis(timings.election_max),
        install_snapshot_timeout: millis(timings.install_snapshot),
        snapshot_policy: SnapshotPolicy::LogsSinceLast(timings.snapshot_every.max(1)),
        max_in_snapshot_log_to_keep: timings.logs_to_keep,
        // Above the snapshot interval, or a snapshot might not be new enough to help.
        replication_lag_threshold: timings.snapshot_every.saturating_mul(2),
        ..Config::default()
    };
    config.validate().map_err(|error| StartError::Timings(error.to_string()))
}
