//! What a node's [`Host`](crate::Host) is told when it opens.

use std::{path::PathBuf, sync::Arc, time::Duration};

use platform::Clock;
use proto::raft::RaftService;
use types::{ClusterId, InstanceId, NodeId};

/// Called once, with one sentence, when this node must stop serving: an fsync failed, a
/// log is corrupt, or a state machine halted. The process should exit and be restarted.
pub type OnFatal = Arc<dyn Fn(&str) + Send + Sync>;

/// Everything that [`Host::open`](crate::Host::open) needs.
#[derive(Clone)]
pub struct HostSettings {
    /// Folder of this node's Raft state. Made if it is not there; refused if it holds
    /// something else, or belongs to another cluster, node or instance.
    pub dir: PathBuf,
    /// The cluster that this node belongs to.
    pub cluster: ClusterId,
    /// This node. Never reused for another folder.
    pub node: NodeId,
    /// The identity of this data folder; peers refuse this node if it changes.
    pub instance: InstanceId,
    /// Where the time that a leader proposes comes from.
    pub clock: Arc<dyn Clock>,
    /// Timers and bounds of the groups.
    pub timings: RaftTimings,
    /// Told once when this node must stop.
    pub on_fatal: OnFatal,
}

/// Timers and bounds of every group of a host. The default is for real networks and
/// disks: an election timeout must exceed ten times the slowest append, because the Raft
/// core waits for each fsync.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RaftTimings {
    /// A leader that is silent for this long sends a heartbeat; also the deadline of one
    /// AppendEntries call.
    pub heartbeat: Duration,
    /// Shortest time without a leader before a follower stands for election.
    pub election_min: Duration,
    /// Longest such time; at least one millisecond more than `election_min`.
    pub election_max: Duration,
    /// Deadline of sending and installing one whole snapshot.
    pub install_snapshot: Duration,
    /// How long a caller waits for a proposal or a barrier before it is told that the
    /// outcome is unknown (proposal) or that there is no quorum (barrier).
    pub request: Duration,
    /// A snapshot is noted, and the log before it becomes purgeable, after this many entries.
    pub snapshot_every: u64,
    /// Entries before the snapshot that are kept for followers that lag a little.
    pub logs_to_keep: u64,
}

impl Default for RaftTimings {
    fn default() -> Self {
        Self {
            heartbeat: Duration::from_millis(300),
            election_min: Duration::from_millis(1000),
            election_max: Duration::from_millis(2000),
            install_snapshot: Duration::from_secs(600),
            request: Duration::from_secs(10),
            snapshot_every: 10_000,
            logs_to_keep: 1_000,
        }
    }
}

impl RaftTimings {
    /// Short timers for tests in one process. Not for real networks.
    pub fn for_tests() -> Self {
        Self {
            heartbeat: Duration::from_millis(50),
            election_min: Duration::from_millis(200),
            election_max: Duration::from_millis(400),
            ..Self::default()
        }
    }
}

/// How a node reaches its peers.
pub trait PeerDirectory: Send + Sync + 'static {
    /// The Raft service of `node`, last known at `address` (as given to
    /// [`Host::initialize`](crate::Host::initialize) or
    /// [`ConsensusGroup::add_learner`](crate::ConsensusGroup::add_learner)). Must not block
    /// nor fail: connect when the first call is made, and answer `Unreachable` then. The
    /// directory may know a newer address.
    fn connect(&self, node: NodeId, address: &str) -> Arc<dyn RaftService>;
}
