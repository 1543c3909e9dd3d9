//! The inventories of all disks beside the references of a range.

use std::{collections::BTreeMap, time::Duration};

use cluster::ShardError;
use futures::{StreamExt, stream};
use metastore::api::index::Reference;
use proto::shards::ShardEntry;
use types::{BlobId, BlobRef, ClusterMap, DiskId, DiskState, ShardId, WriteIntent};

use super::{
    Context, ask,
    batch::{Batch, Found, Known},
    before,
    judge::Tally,
};
use crate::Error;

/// Shards of a page of an inventory.
const PAGE: u32 = 5_000;
/// Disks that are read at a time; each has one page in memory.
const DISKS_AT_A_TIME: usize = 4;
/// Times that a disk is asked before it counts as silent, and the pause between.
const TRIES: u32 = 3;
const PAUSE: Duration = Duration::from_millis(500);
/// Blobs of one range that came up while it was compared, and misplaced shards of the whole check,
/// that are kept to be looked at again.
pub(super) const LATER_MAX: usize = 100_000;

/// A range that is being compared.
pub(super) struct Walk {
    pub(super) batch: Batch,
    from: Option<BlobId>,
    /// Referenced blobs that the walk over the index did not meet: younger, or a version that became
    /// the current one meanwhile.
    pub(super) late: BTreeMap<BlobId, (BlobRef, WriteIntent)>,
}

impl Walk {
    pub(super) fn new(batch: Batch, from: Option<BlobId>) -> Self {
        Self { batch, from, late: BTreeMap::new() }
    }

    pub(super) fn to(&self) -> Option<BlobId> {
        self.batch.to
    }

    /// Reads all inventories of the range, a page of several disks at a time. A disk that fails on the
    /// way is silent from then on.
    pub(super) async fn run(
        &mut self,
        context: &mut Context,
        tally: &mut Tally,
    ) -> Result<(), Error> {
        let map = context.cluster.metadata.map();
        let first = self.from.and_then(|blob| before(ShardId { blob, rank: 0 }));
        let mut places: BTreeMap<DiskId, Option<ShardId>> =
            to_read(&map, context).into_iter().map(|disk| (disk, first)).collect();
        while !places.is_empty() {
            let pages: Vec<_> = stream::iter(places.clone())
                .map(|(disk, after)| {
                    let shards = context.cluster.shards.clone();
                    async move { (disk, page(&*shards, disk, after).await) }
                })
                .buffer_unordered(DISKS_AT_A_TIME)
                .collect()
                .await;
            for (disk, page) in pages {
                match page {
                    Ok(entries) => match self.take(context, tally, &map, disk, entries).await? {
                        Some(last) => {
                            places.insert(disk, Some(last));
                        }
                        None => {
                            places.remove(&disk);
                        }
                    },
                    Err(error) => {
                        places.remove(&disk);
                        context.silent.insert(disk, error.to_string());
                    }
                }
            }
        }
        Ok(())
    }

    /// Takes note of a page. The shard behind which the next one begins; `None` at the end.
    async fn take(
        &mut self,
        context: &Context,
        tally: &mut Tally,
        map: &ClusterMap,
        disk: DiskId,
        entries: Vec<ShardEntry>,
    ) -> Result<Option<ShardId>, Error> {
        let mut unknown = Vec::new();
        let mut last = None;
        let mut listed = 0;
        for entry in entries {
            if self.to().is_some_and(|to| entry.shard.blob >= to) {
                last = None;
                break;
            }
            last = Some(entry.shard);
            listed += 1;
            tally.listed(disk, entry.bytes);
            match self.batch.blobs.get_mut(&entry.shard.blob) {
                Some(known) => note(context, tally, map, disk, &entry, known),
                None => unknown.push(entry),
            }
        }
        self.ask_about(context, tally, unknown).await?;
        context.progress.send_modify(|progress| progress.shards += listed);
        Ok(last)
    }

    /// Shards of blobs that no reference of the range names.
    async fn ask_about(
        &mut self,
        context: &Context,
        tally: &mut Tally,
        unknown: Vec<ShardEntry>,
    ) -> Result<(), Error> {
        let asked: Vec<_> =
            unknown.iter().map(|entry| (entry.shard.blob, entry.intent.clone())).collect();
        let answers = ask::about(&*context.cluster.metadata, &asked).await?;
        for (entry, answer) in unknown.into_iter().zip(answers) {
            match answer {
                Reference::Unreferenced => tally.unreferenced.add(entry.bytes),
                Reference::Undecided => tally.in_flight.add(entry.bytes),
                Reference::Referenced(blob) => {
                    if self.late.len() < LATER_MAX || self.late.contains_key(&blob.id) {
                        self.late.insert(blob.id, (blob, entry.intent));
                    } else {
                        tally.too_much_changed = true;
                    }
                }
            }
        }
        Ok(())
    }
}

/// The disks whose inventories count: all that may have something, but for those that already did not
/// answer. One that is out and that no group names may be gone.
fn to_read(map: &ClusterMap, context: &Context) -> Vec<DiskId> {
    map.disks
        .values()
        .filter(|disk| disk.state != DiskState::Out || is_named(map, disk.id))
        .map(|disk| disk.id)
        .filter(|disk| !context.silent.contains_key(disk))
        .collect()
}

/// Whether any group names the disk.
pub(super) fn is_named(map: &ClusterMap, disk: DiskId) -> bool {
    map.groups.values().any(|group| group.names(disk))
}

async fn page(
    shards: &dyn cluster::Shards,
    disk: DiskId,
    after: Option<ShardId>,
) -> Result<Vec<ShardEntry>, ShardError> {
    let mut tries = 1;
    loop {
        match shards.inventory(disk, after, PAGE).await {
            Err(ShardError::Unavailable { .. }) if tries < TRIES => tries += 1,
            answer => return answer,
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// A shard of a blob of the range.
fn note(
    context: &Context,
    tally: &mut Tally,
    map: &ClusterMap,
    disk: DiskId,
    entry: &ShardEntry,
    known: &mut Known,
) {
    let ShardId { blob: _, rank } = entry.shard;
    let group = map.groups.get(&known.blob.pg);
    let holds = group.is_some_and(|group| group.holders(rank).any(|holder| holder == disk));
    if !holds || usize::from(rank) >= known.blob.policy.n() {
        tally.set_aside_misplaced(disk, entry.shard);
        return;
    }
    let bit = 1u32 << rank;
    let Found { member, former, damaged } = &mut known.found;
    if !is_whole(&known.blob, entry) || context.bad.contains(&(disk, entry.shard)) {
        *damaged |= bit;
    } else if group.is_some_and(|group| group.disks.get(usize::from(rank)) == Some(&disk)) {
        *member |= bit;
    } else {
        *former |= bit;
    }
}

/// Whether a shard is sealed with all its chunks, as the blob's size says.
pub(super) fn is_whole(blob: &BlobRef, entry: &ShardEntry) -> bool {
    let layout = blob.layout();
    let n = blob.policy.n() as u64;
    entry.stripes == Some(layout.stripes()) && entry.bytes == layout.stored_bytes() / n
}
