//! What lies outside of the nodes: disks, clocks, what clients saw, what was violated. Nodes come and
//! go on it; the driver and the invariants look at it between two ticks.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicU8, AtomicU64, Ordering},
    },
};

use consensus::{Host, MemoryDisk, OnFatal};
use metastore::MetaNode;
use parking_lot::Mutex;
use proto::{ClusterSecret, Identity};
use shardstore::MemoryStore;
use types::{BlobId, ClusterId, DiskId, DiskUuid, GroupId, InstanceId, NodeId, ShardId};

use crate::{
    history::{Acknowledged, History},
    invariants::{Applied, promises::Promise},
    scenario::Scenario,
    time::{NodeClock, Time},
    trace::Trace,
};

/// Bytes that a simulated disk holds.
const DISK_BYTES: u64 = 1 << 30;

/// What the run is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Faults and clients.
    Chaos,
    /// Everything is whole again; the gateways check that everything works.
    Settle,
}

/// A promise that was not kept.
#[derive(Clone, Debug)]
pub struct Violation {
    /// Its name: that of a file in `invariants/`.
    pub invariant: &'static str,
    /// What happened.
    pub detail: String,
}

/// A metadata node's place.
pub struct MetaSite {
    /// Its host.
    pub host: String,
    /// Its id.
    pub node: NodeId,
    /// Its disk.
    pub disk: MemoryDisk,
    /// Its clock.
    pub clock: Arc<NodeClock>,
    /// The node while it runs.
    pub running: Mutex<Option<RunningMeta>>,
}

/// A metadata node that runs.
#[derive(Clone)]
pub struct RunningMeta {
    /// Its groups.
    pub host: Arc<Host>,
    /// Its service.
    pub node: Arc<MetaNode>,
}

/// A data node's place.
pub struct DataSite {
    /// Its host.
    pub host: String,
    /// Its disk.
    pub store: MemoryStore,
    /// What the disk calls itself.
    pub uuid: DiskUuid,
    /// What the root group calls it, once it is registered.
    pub disk: Mutex<Option<DiskId>>,
    /// Its clock.
    pub clock: Arc<NodeClock>,
    /// Whether it takes part in the cluster: not yet, now, or not any more.
    pub part: Mutex<Part>,
}

/// A data node's part in the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// It has not joined yet.
    Spare,
    /// It has.
    Member,
    /// An operator removes it: it is stopped for good.
    Removed,
}

/// A gateway's place.
pub struct GatewaySite {
    /// Its host.
    pub host: String,
    /// Its clock.
    pub clock: Arc<NodeClock>,
    /// Whether it has done everything that must work at the end.
    pub settled: Mutex<bool>,
}

/// All of it.
pub struct World {
    /// What is simulated.
    pub scenario: Scenario,
    /// The time.
    pub time: Time,
    /// What happened.
    pub trace: Trace,
    /// What clients saw.
    pub history: Mutex<History>,
    /// Blobs that were acknowledged just now.
    pub acknowledged: Mutex<Vec<Acknowledged>>,
    /// What state machines were given.
    pub applied: Mutex<Applied>,
    /// Promises that were not kept.
    pub violations: Mutex<Vec<Violation>>,
    /// Hosts whose process has stopped by itself and must be started again.
    pub stopped: Mutex<BTreeSet<String>>,
    /// Shards with flipped bits, by the number of their data node.
    pub rotten: Mutex<BTreeSet<(usize, ShardId)>>,
    /// Shards that disks have lost, by the number of their data node.
    pub lost: Mutex<BTreeSet<(usize, ShardId)>>,
    /// Data nodes that write other bytes than they are given.
    pub bad_writers: Mutex<BTreeSet<usize>>,
    /// What they wrote so, until it is written again.
    pub badly_written: Mutex<BTreeSet<(usize, ShardId)>>,
    /// Members of groups that the operator is to move.
    pub moves: Mutex<u32>,
    /// Disks that the operator is to empty.
    pub drains: Mutex<u32>,
    /// When commands that are late reach their group, in microseconds, by their hash.
    pub late: Mutex<BTreeMap<[u8; 32], u64>>,
    /// Metadata nodes that have just come into a later term.
    pub voted: Mutex<Vec<NodeId>>,
    /// What commands have just promised.
    pub promises: Mutex<Vec<Promise>>,
    /// Since when blobs are known to be referenced, in microseconds.
    pub known_since: Mutex<BTreeMap<BlobId, u64>>,
    /// Metadata nodes.
    pub metas: Vec<MetaSite>,
    /// Data nodes.
    pub datas: Vec<DataSite>,
    /// Gateways.
    pub gateways: Vec<GatewaySite>,
    phase: AtomicU8,
    values: AtomicU64,
}

impl World {
    /// The world of a scenario, before its first tick.
    pub fn new(scenario: Scenario, print: bool) -> Arc<Self> {
        let time = Time::default();
        let clock = || Arc::new(NodeClock::new(time.clone()));
        let metas = (1..=scenario.metas).map(|number| MetaSite {
            host: format!("meta-{number}"),
            node: NodeId(number as u64),
            disk: MemoryDisk::default(),
            clock: clock(),
            running: Mutex::new(None),
        });
        let datas = (1..=scenario.datas + scenario.spares).map(|number| {
            let clock = clock();
            DataSite {
                host: format!("data-{number}"),
                store: MemoryStore::new(DISK_BYTES, clock.clone()),
                uuid: DiskUuid::from_bytes((2000 + number as u128).to_be_bytes()),
                disk: Mutex::new(None),
                clock,
                part: Mutex::new(match number <= scenario.datas {
                    true => Part::Member,
                    false => Part::Spare,
                }),
            }
        });
        let gateways = (1..=scenario.gateways).map(|number| GatewaySite {
            host: format!("gateway-{number}"),
            clock: clock(),
            settled: Mutex::new(false),
        });
        Arc::new(Self {
            metas: metas.collect(),
            datas: datas.collect(),
            gateways: gateways.collect(),
            scenario,
            time: time.clone(),
            trace: Trace::new(print),
            history: Mutex::default(),
            acknowledged: Mutex::default(),
            applied: Mutex::default(),
            violations: Mutex::default(),
            stopped: Mutex::default(),
            rotten: Mutex::default(),
            lost: Mutex::default(),
            bad_writers: Mutex::default(),
            badly_written: Mutex::default(),
            moves: Mutex::default(),
            drains: Mutex::default(),
            late: Mutex::default(),
            voted: Mutex::default(),
            promises: Mutex::default(),
            known_since: Mutex::default(),
            phase: AtomicU8::new(0),
            values: AtomicU64::new(1),
        })
    }

    /// The cluster's id.
    pub fn cluster(&self) -> ClusterId {
        ClusterId::from_bytes([1; 16])
    }

    /// What a node shows to the others.
    pub fn identity(&self) -> Arc<Identity> {
        let secret = ClusterSecret::new(*b"of this simulation only").expect("it is long enough");
        Arc::new(Identity::new(secret, Some(self.cluster())))
    }

    /// The identity of a host's data folder.
    pub fn instance(&self, host: &str) -> InstanceId {
        let hash = blake3::hash(host.as_bytes());
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&hash.as_bytes()[..16]);
        InstanceId::from_bytes(bytes)
    }

    /// What a node calls when its process must stop.
    pub fn on_fatal(self: &Arc<Self>, host: &str) -> OnFatal {
        let (world, host) = (Arc::downgrade(self), host.to_owned());
        Arc::new(move |reason: &str| {
            let Some(world) = world.upgrade() else { return };
            world.note(&format!("{host} stops itself: {reason}"));
            world.stopped.lock().insert(host.clone());
        })
    }

    /// A value that nobody wrote before.
    pub fn fresh_value(&self) -> u64 {
        self.values.fetch_add(1, Ordering::Relaxed)
    }

    /// What the run is at.
    pub fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Relaxed) {
            0 => Phase::Chaos,
            _ => Phase::Settle,
        }
    }

    /// Everything is whole again.
    pub fn settle(&self) {
        self.phase.store(1, Ordering::Relaxed);
    }

    /// Writes an event down.
    pub fn note(&self, line: &str) {
        self.trace.line(self.time.us(), line);
    }

    /// A promise was not kept.
    pub fn violate(&self, invariant: &'static str, detail: String) {
        self.note(&format!("VIOLATION of {invariant}: {detail}"));
        self.violations.lock().push(Violation { invariant, detail });
    }

    /// The metadata nodes that run.
    pub fn running(&self) -> Vec<(NodeId, RunningMeta)> {
        let running = |site: &MetaSite| Some((site.node, site.running.lock().clone()?));
        self.metas.iter().filter_map(running).collect()
    }

    /// The groups of the cluster.
    pub fn groups(&self) -> Vec<GroupId> {
        (0..=u32::from(self.scenario.partitions)).map(GroupId).collect()
    }

    /// The data nodes by the id of their disk.
    pub fn by_disk(&self) -> BTreeMap<DiskId, usize> {
        let sites = self.datas.iter().enumerate();
        sites.filter_map(|(number, site)| Some(((*site.disk.lock())?, number))).collect()
    }

    /// All hosts.
    pub fn hosts(&self) -> Vec<String> {
        let metas = self.metas.iter().map(|site| site.host.clone());
        let datas = self.datas.iter().map(|site| site.host.clone());
        metas.chain(datas).chain(self.gateways.iter().map(|site| site.host.clone())).collect()
    }
}
