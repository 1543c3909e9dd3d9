//! What a group's parts share about its life in this process: why it stopped, and the
//! term in which this process has committed an entry of its own.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use openraft::ServerState;
use parking_lot::Mutex;
use tokio::sync::watch;
use types::{GroupId, NodeId};

use crate::{
    metrics,
    raft_types::{LogId, Raft},
    rows::Rows,
};

type Metrics = openraft::RaftMetrics<u64, openraft::BasicNode>;

/// No entry of this process is committed yet. Terms are never this large.
const NO_TERM: u64 = u64::MAX;

/// Shared, cheap to clone.
#[derive(Clone)]
pub(crate) struct Pulse(Arc<Inner>);

struct Inner {
    group: GroupId,
    node: NodeId,
    rows: Arc<Rows>,
    halted: Arc<Mutex<Option<String>>>,
    stopped: Mutex<Option<String>>,
    closing: AtomicBool,
    own_term: AtomicU64,
}

impl Pulse {
    pub(crate) fn new(
        group: GroupId,
        node: NodeId,
        rows: Arc<Rows>,
        halted: Arc<Mutex<Option<String>>>,
    ) -> Self {
        Self(Arc::new(Inner {
            group,
            node,
            rows,
            halted,
            stopped: Mutex::new(None),
            closing: AtomicBool::new(false),
            own_term: AtomicU64::new(NO_TERM),
        }))
    }

    /// An entry that this process proposed is applied.
    pub(crate) fn own_entry(&self, id: &LogId) {
        if id.leader_id.node_id == self.0.node.0 {
            self.0.own_term.store(id.leader_id.term, Ordering::SeqCst);
        }
    }

    /// Whether this process has committed an entry of its own in `term`. A leader that is
    /// restarted resumes without an election and does not know what was committed last.
    pub(crate) fn owns(&self, term: u64) -> bool {
        self.0.own_term.load(Ordering::SeqCst) == term
    }

    /// The replica is being stopped on purpose.
    pub(crate) fn close(&self) {
        self.0.closing.store(true, Ordering::SeqCst);
        self.0.stopped.lock().get_or_insert_with(|| "the replica was shut down".into());
    }

    /// Whether it was stopped on purpose.
    pub(crate) fn closed(&self) -> bool {
        self.0.closing.load(Ordering::SeqCst)
    }

    /// Why the replica does not serve any more.
    pub(crate) fn stopped(&self) -> Option<String> {
        let failed = self.0.rows.store.failed();
        failed.or_else(|| self.0.halted.lock().clone()).or_else(|| self.0.stopped.lock().clone())
    }

    /// The best known reason, or `otherwise`.
    pub(crate) fn why_stopped(&self, otherwise: &str) -> String {
        self.stopped().unwrap_or_else(|| otherwise.into())
    }

    /// Follows openraft until it stops; tells the process if nobody asked it to.
    pub(crate) fn watch(&self, raft: &Raft) {
        let (pulse, mut raft) = (self.clone(), raft.metrics());
        tokio::spawn(async move {
            loop {
                let error = pulse.note(&mut raft);
                if let Some(error) = error {
                    return pulse.ended(&error);
                }
                if raft.changed().await.is_err() {
                    return pulse.ended("the raft core ended");
                }
            }
        });
    }

    fn note(&self, raft: &mut watch::Receiver<Metrics>) -> Option<String> {
        let metrics = raft.borrow_and_update();
        let applied = metrics.last_applied.map_or(0, |id| id.index);
        let leads = metrics.state == ServerState::Leader;
        metrics::progress(self.0.group, applied, metrics.current_term, leads);
        metrics.running_state.as_ref().err().map(ToString::to_string)
    }

    fn ended(&self, error: &str) {
        metrics::progress(self.0.group, 0, 0, false);
        if self.closed() {
            return;
        }
        let reason = self.why_stopped(error);
        self.0.stopped.lock().get_or_insert_with(|| reason.clone());
        self.0.rows.store.report(&reason);
    }
}
