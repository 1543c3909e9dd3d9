//! Signs of life of data nodes: the report that they send, and the soft state that the
//! root leader keeps of it. Nothing of it is replicated: a new leader starts from nothing
//! and calls nobody down before everybody had time to report.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use types::{ClusterMap, DiskId, NodeId};

use crate::api::{self, DecodeError};

/// How long a report counts, in milliseconds. Data nodes report once a second.
pub const REPORT_TTL_MS: u64 = 3000;

/// Disks in one report at most.
pub const REPORT_DISKS_MAX: usize = 1024;

/// What a data node says about itself; sent as [`HeartbeatReport::encode`] once a second.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeartbeatReport {
    /// The node.
    pub node: NodeId,
    /// Its registered disks.
    pub disks: Vec<DiskReport>,
}

/// What it says about a disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskReport {
    /// The disk.
    pub id: DiskId,
    /// Bytes used.
    pub used_bytes: u64,
    /// Bytes it can hold.
    pub capacity_bytes: u64,
    /// Whether it takes writes (not full, not failing).
    pub writable: bool,
    /// Whether it answers reads. A disk that does not is down.
    pub readable: bool,
}

impl HeartbeatReport {
    /// One version byte, then postcard, as all metadata messages.
    pub fn encode(&self) -> Bytes {
        api::encode(self)
    }

    /// Reads what [`HeartbeatReport::encode`] wrote.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let report: Self = api::decode(bytes)?;
        if report.disks.len() > REPORT_DISKS_MAX {
            return Err(DecodeError(format!(
                "a report names {} disks, allowed are {REPORT_DISKS_MAX}",
                report.disks.len()
            )));
        }
        Ok(report)
    }
}

/// What the root leader has heard. Bounded by the registered nodes: the service takes no
/// report of another.
#[derive(Debug, Default)]
pub struct Heartbeats(Mutex<Heard>);

#[derive(Debug, Default)]
struct Heard {
    /// The term in which this node leads, and since when it knows.
    leading: Option<(u64, u64)>,
    nodes: BTreeMap<NodeId, (u64, Vec<DiskReport>)>,
}

impl Heard {
    /// What was heard under another term may be old: forget it and wait one TTL.
    fn lead(&mut self, term: u64, now_ms: u64) {
        match &mut self.leading {
            Some((known, since)) if *known == term => {
                // The wall clock was set back: nothing can have been heard in the future.
                *since = (*since).min(now_ms);
                for (at, _) in self.nodes.values_mut() {
                    *at = (*at).min(now_ms);
                }
            }
            _ => *self = Heard { leading: Some((term, now_ms)), nodes: BTreeMap::new() },
        }
    }
}

impl Heartbeats {
    /// Takes note of a report as the leader of `term`.
    pub fn note(&self, term: u64, now_ms: u64, report: HeartbeatReport) {
        let mut heard = self.0.lock();
        heard.lead(term, now_ms);
        heard.nodes.insert(report.node, (now_ms, report.disks));
    }

    /// Fills in the soft state of a map as the leader of `term`: `down` are the disks of
    /// nodes that have been silent for [`REPORT_TTL_MS`], the disks that are reported
    /// unreadable, and those that their node no longer reports: it came back without them. A
    /// disk that is only not writable is not down: it serves reads, and `used_bytes` and the
    /// write's own answer say the rest.
    pub fn fill(&self, term: u64, now_ms: u64, map: &mut ClusterMap) {
        let mut heard = self.0.lock();
        heard.lead(term, now_ms);
        let grace = heard.leading.is_some_and(|(_, since)| now_ms - since <= REPORT_TTL_MS);
        let mut down = BTreeSet::new();
        let mut used = BTreeMap::new();
        for disk in map.disks.values() {
            let heard_of = heard.nodes.get(&disk.node);
            let silent = heard_of.is_none_or(|(at, _)| now_ms - at > REPORT_TTL_MS);
            let report = heard_of.and_then(|(_, disks)| disks.iter().find(|r| r.id == disk.id));
            let unread = match report {
                Some(report) => !report.readable,
                None => heard_of.is_some(),
            };
            if (silent && !grace) || unread {
                down.insert(disk.id);
            }
            if let Some(report) = report {
                used.insert(disk.id, report.used_bytes);
            }
        }
        map.down = down;
        map.used_bytes = used;
    }
}
