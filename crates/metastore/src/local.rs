//! [`LocalGroup`]: a group of one replica that lives in memory. Commands are applied in
//! order under a lock; nothing is replicated and nothing outlives the process. It stands
//! in for Raft in tests, here and in the crates above, with the same state machines, so
//! that what they see is what they will get. Faults that Raft can cause are injected.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use async_trait::async_trait;
use bytes::Bytes;
use consensus::{
    ApplyContext, ConsensusGroup, Error, KvError, KvRead, MemoryKv, StateMachine, Status,
};
use parking_lot::Mutex;
use platform::Clock;
use types::{ClusterId, ErasurePolicy, FeatureLevel, GroupId, NodeId, Partition, UnixMillis};

use crate::{
    api::{self, RootAnswer, RootCommand},
    index::IndexMachine,
    root::RootMachine,
};

/// What happens to a proposal instead of success.
#[derive(Clone, Debug)]
pub enum Fault {
    /// Fails without effect.
    Before(Error),
    /// Is applied, but its answer is lost.
    After(Error),
}

/// A group of one replica in memory.
pub struct LocalGroup {
    id: GroupId,
    node: NodeId,
    machine: Arc<dyn StateMachine>,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

struct State {
    rows: MemoryKv,
    index: u64,
    now: UnixMillis,
    term: u64,
    leader: Option<NodeId>,
    voters: BTreeSet<NodeId>,
    stopped: Option<String>,
    faults: VecDeque<Fault>,
}

impl LocalGroup {
    /// A group without rows, led by this node.
    pub fn new(
        id: GroupId,
        node: NodeId,
        machine: Arc<dyn StateMachine>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let state = State {
            rows: MemoryKv::default(),
            index: 0,
            now: UnixMillis(0),
            term: 1,
            leader: Some(node),
            voters: BTreeSet::from([node]),
            stopped: None,
            faults: VecDeque::new(),
        };
        Self { id, node, machine, clock, state: Mutex::new(state) }
    }

    /// A root group.
    pub fn root(node: NodeId, clock: Arc<dyn Clock>) -> Self {
        Self::new(GroupId::ROOT, node, Arc::new(RootMachine), clock)
    }

    /// An index partition.
    pub fn index(id: GroupId, node: NodeId, clock: Arc<dyn Clock>) -> Self {
        Self::new(id, node, Arc::new(IndexMachine), clock)
    }

    /// Makes the next proposals fail, one for each fault, in order.
    pub fn inject(&self, faults: impl IntoIterator<Item = Fault>) {
        self.state.lock().faults.extend(faults);
    }

    /// Makes a node the leader, or nobody, in a new term.
    pub fn set_leader(&self, leader: Option<NodeId>) {
        let mut state = self.state.lock();
        state.term += 1;
        state.leader = leader;
    }

    /// A copy of the rows.
    pub fn rows(&self) -> MemoryKv {
        self.state.lock().rows.clone()
    }

    /// Applies a command now.
    pub fn apply(&self, command: &[u8]) -> Result<Bytes, Error> {
        let mut state = self.state.lock();
        self.check_serving(&state, true)?;
        let fault = state.faults.pop_front();
        if let Some(Fault::Before(error)) = fault {
            return Err(error);
        }
        state.index += 1;
        state.now = state.now.max(UnixMillis(self.clock.now_ms()));
        let context = ApplyContext { index: state.index, now: state.now };
        let answer = self.machine.apply(&mut state.rows, context, command).map_err(|halt| {
            state.stopped = Some(halt.to_string());
            Error::Stopped { group: self.id, reason: halt.to_string() }
        })?;
        match fault {
            Some(Fault::After(error)) => Err(error),
            _ => Ok(answer),
        }
    }

    fn check_serving(&self, state: &State, as_leader: bool) -> Result<(), Error> {
        if let Some(reason) = &state.stopped {
            return Err(Error::Stopped { group: self.id, reason: reason.clone() });
        }
        if as_leader && state.leader != Some(self.node) {
            return Err(Error::NotLeader { group: self.id, leader: state.leader });
        }
        Ok(())
    }
}

#[async_trait]
impl ConsensusGroup for LocalGroup {
    fn id(&self) -> GroupId {
        self.id
    }

    async fn propose(&self, command: Bytes) -> Result<Bytes, Error> {
        self.apply(&command)
    }

    async fn read_barrier(&self) -> Result<(), Error> {
        self.check_serving(&self.state.lock(), true)
    }

    fn view(&self, visit: &mut dyn FnMut(&dyn KvRead) -> Result<(), KvError>) -> Result<(), Error> {
        let state = self.state.lock();
        self.check_serving(&state, false)?;
        Ok(visit(&state.rows)?)
    }

    async fn add_learner(&self, _node: NodeId, _address: String) -> Result<(), Error> {
        Err(self.alone())
    }

    async fn change_membership(&self, voters: BTreeSet<NodeId>) -> Result<(), Error> {
        if voters == BTreeSet::from([self.node]) { Ok(()) } else { Err(self.alone()) }
    }

    async fn hand_over(&self) -> Result<(), Error> {
        Ok(())
    }

    fn status(&self) -> Status {
        let state = self.state.lock();
        Status {
            group: self.id,
            node: self.node,
            term: state.term,
            leader: state.leader,
            last_log_index: state.index,
            applied_index: state.index,
            snapshot_index: 0,
            voters: state.voters.clone(),
            learners: BTreeMap::new(),
            changing: false,
            stopped: state.stopped.clone(),
        }
    }

    async fn shutdown(&self) {
        self.state.lock().stopped.get_or_insert_with(|| "shut down".to_owned());
    }
}

impl LocalGroup {
    /// Other replicas cannot be reached: this group has none.
    fn alone(&self) -> Error {
        Error::NoQuorum { group: self.id }
    }
}

/// The metadata of a whole cluster in memory: a root group, already bootstrapped, and one
/// group for each partition.
pub fn groups(
    node: NodeId,
    cluster: ClusterId,
    policy: ErasurePolicy,
    partitions: Vec<Partition>,
    clock: &Arc<dyn Clock>,
) -> Result<BTreeMap<GroupId, Arc<dyn ConsensusGroup>>, Error> {
    let root = LocalGroup::root(node, clock.clone());
    let mut groups: BTreeMap<GroupId, Arc<dyn ConsensusGroup>> = BTreeMap::new();
    for partition in &partitions {
        let group = LocalGroup::index(partition.group, node, clock.clone());
        groups.insert(partition.group, Arc::new(group));
    }
    let command = RootCommand::Bootstrap { cluster, policy, partitions, level: FeatureLevel::OURS };
    let answer = root.apply(&api::encode(&command))?;
    let stopped = |reason: String| Error::Stopped { group: GroupId::ROOT, reason };
    match api::decode(&answer).map_err(|error| stopped(error.to_string()))? {
        RootAnswer::Done => {}
        refused => return Err(stopped(format!("bootstrap was answered {refused:?}"))),
    }
    groups.insert(GroupId::ROOT, Arc::new(root));
    Ok(groups)
}
