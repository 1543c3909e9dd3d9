//! The proof of redundancy: every blob that the index references, compared with what the disks hold.
//! Read-only: it changes nothing, repairs nothing and leaves no trace.
//!
//! ```text
//! index partitions -> references of blobs [lo, hi) -> inventories of all disks from lo to hi
//!                  -> what is short of shards      -> the index and the disks again -> verdict
//! ```
//!
//! **Memory** is bounded: blobs are compared a range of ids at a time. A range ends where the
//! references to its blobs fill [`Settings::memory_bytes_max`]; then the walk over the index begins
//! again for the next one. A blob's id begins with its group, so that a disk's inventory of a range is
//! one piece.
//!
//! **The cluster goes on meanwhile.** An object that is deleted, a shard that moves or is repaired
//! between the two looks is no finding: what seems wrong is asked again, of the index and of the disks
//! by the newest cluster map, and young blobs once more a little later ([`recheck`]).
//!
//! Reading order: [`report`] (what comes out), [`batch`] (references of a range), [`walk`]
//! (inventories beside them), [`verify`] (all bytes), [`judge`] (the verdict on a blob), [`recheck`],
//! [`groups`] (placement).

mod ask;
mod batch;
mod groups;
mod judge;
mod recheck;
pub mod report;
mod verify;
mod walk;

#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, sync::Arc};

use cluster::{Metadata, Shards};
use placement::Domain;
use platform::Clock;
pub use report::Report;
use serde::Serialize;
use tokio::sync::watch;
use types::{BlobId, DiskId, ShardId};

use self::{judge::Tally, walk::Walk};
use crate::Error;

/// How a check is made.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// What no two members of a group share.
    pub domain: Domain,
    /// Whether every byte is read, too.
    pub verify: bool,
    /// What the references of a range may take, in bytes of memory. The range's other figures take
    /// about as much again at most.
    pub memory_bytes_max: usize,
}

impl Settings {
    /// A check by 128 MiB at a time: some 600,000 blobs with keys of average length.
    pub fn new(domain: Domain, verify: bool) -> Self {
        Self { domain, verify, memory_bytes_max: 128 << 20 }
    }
}

/// The cluster that is checked.
#[derive(Clone)]
pub struct Cluster {
    /// Its metadata.
    pub metadata: Arc<dyn Metadata>,
    /// Its disks.
    pub shards: Arc<dyn Shards>,
    /// The present.
    pub clock: Arc<dyn Clock>,
}

/// What a check is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// It reads every byte.
    Verifying,
    /// It collects references from the index.
    Index,
    /// It reads inventories.
    Disks,
    /// It looks a second time at what seems wrong.
    Rechecking,
}

/// How far a check is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Progress {
    /// What it is at.
    pub phase: Phase,
    /// Blobs with a verdict.
    pub blobs: u64,
    /// Shards that inventories have listed.
    pub shards: u64,
    /// Bytes that were read and verified.
    pub verified_bytes: u64,
    /// Bytes that are to be verified in all, as the disks last reported.
    pub verify_bytes: u64,
    /// Placement groups that are done.
    pub groups: u64,
    /// All placement groups.
    pub groups_total: u64,
}

impl Progress {
    fn new(groups: usize) -> Self {
        Self {
            phase: Phase::Index,
            blobs: 0,
            shards: 0,
            verified_bytes: 0,
            verify_bytes: 0,
            groups: 0,
            groups_total: groups as u64,
        }
    }
}

/// What the parts of a check share.
struct Context {
    cluster: Cluster,
    settings: Settings,
    progress: watch::Sender<Progress>,
    /// Disks that did not answer, and why.
    silent: BTreeMap<DiskId, String>,
    /// Shards that failed verification.
    bad: std::collections::BTreeSet<(DiskId, ShardId)>,
}

/// A check, to be run once, and how far it is. Cancel it by dropping it.
pub fn check(
    cluster: Cluster,
    settings: Settings,
) -> (watch::Receiver<Progress>, impl Future<Output = Result<Report, Error>> + Send) {
    let groups = cluster.metadata.map().groups.len();
    let (progress, seen) = watch::channel(Progress::new(groups));
    let context = Context {
        cluster,
        settings,
        progress,
        silent: BTreeMap::new(),
        bad: std::collections::BTreeSet::new(),
    };
    (seen, run(context))
}

async fn run(mut context: Context) -> Result<Report, Error> {
    let began = context.now();
    let mut tally = Tally::default();
    if context.settings.verify {
        verify::run(&mut context, &mut tally).await;
    }
    let mut from: Option<BlobId> = None;
    loop {
        context.phase(Phase::Index);
        let batch = batch::gather(&context, from).await?;
        context.phase(Phase::Disks);
        let mut walk = Walk::new(batch, from);
        walk.run(&mut context, &mut tally).await?;
        context.phase(Phase::Rechecking);
        let to = walk.to();
        recheck::settle(&mut context, walk, &mut tally).await?;
        context.done_until(to, &tally);
        from = to;
        if from.is_none() {
            break;
        }
    }
    recheck::misplaced(&context, &mut tally).await?;
    let map = context.cluster.metadata.map();
    let placement = groups::placement(&map, &context.silent, context.settings.domain);
    Ok(tally.report(&context, &map, placement, began))
}

impl Context {
    fn now(&self) -> types::UnixMillis {
        types::UnixMillis(self.cluster.clock.now_ms())
    }

    fn phase(&self, phase: Phase) {
        self.progress.send_modify(|progress| progress.phase = phase);
    }

    fn done_until(&self, to: Option<BlobId>, tally: &Tally) {
        let map = self.cluster.metadata.map();
        let groups = match to {
            Some(to) => map.groups.range(..to.group()).count(),
            None => map.groups.len(),
        };
        self.progress.send_modify(|progress| {
            progress.blobs = tally.blobs;
            progress.groups = groups as u64;
            progress.groups_total = map.groups.len() as u64;
        });
    }
}

/// The shard right before all shards of a blob, for an inventory that begins with them.
fn before(shard: ShardId) -> Option<ShardId> {
    match shard.rank.checked_sub(1) {
        Some(rank) => Some(ShardId { rank, ..shard }),
        None => u128::from_be_bytes(*shard.blob.as_bytes())
            .checked_sub(1)
            .map(|blob| ShardId { blob: BlobId::from_bytes(blob.to_be_bytes()), rank: u8::MAX }),
    }
}
