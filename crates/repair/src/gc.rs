//! Garbage collection: the bytes of deleted and replaced objects become free.
//!
//! The index queues a blob in the entry that drops its last reference. Here its shards are
//! deleted on every disk of its group, former ones too, and only then its row goes: **bytes first, row
//! last**, so that no crash forgets bytes. A disk that does not answer keeps the row, and
//! the rows behind it go on: a round walks the whole queue of every partition.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use async_trait::async_trait;
use futures::future::join_all;
use metastore::api::{
    IndexAnswer, IndexCommand, IndexQuery, IndexView,
    index::{Garbage, GarbageId},
};
use objects::Objects;
use types::{BlobRef, DiskId, DiskState, GroupId, ShardId, UnixMillis};

use crate::{
    Error, Settings, Step, Worker,
    mend::answers,
    metrics,
    progress::{Place, Progress, Rounds},
};

/// Rows of a step: bounds the deletions of one call a disk.
const ROWS_MAX: u32 = 1000;

/// A partition, and the last row there that this round is done with.
type Position = (GroupId, Option<GarbageId>);

/// The worker that frees the bytes of deleted blobs. What it looks at are rows of garbage; it counts
/// those that were `collected`.
pub struct GarbageCollector {
    objects: Objects,
    settings: Settings,
    /// Where the round goes on; `None` between rounds.
    at: Option<Position>,
    blobs: u64,
    /// Blobs of each partition that a disk kept from being collected when last tried.
    waiting: BTreeMap<GroupId, usize>,
    /// The furthest row of each partition that was tried, in this round or before.
    tried: BTreeMap<GroupId, GarbageId>,
    rounds: Rounds,
}

impl GarbageCollector {
    /// A collector over this object layer's metadata and disks.
    pub fn new(objects: Objects, settings: Settings) -> Self {
        let (waiting, tried) = (BTreeMap::new(), BTreeMap::new());
        let rounds = Rounds::default();
        Self { objects, settings, at: None, blobs: 0, waiting, tried, rounds }
    }

    fn now(&self) -> UnixMillis {
        UnixMillis(self.objects.clock().now_ms())
    }

    /// A page of a partition's queue, oldest row first. Where the round goes on in this
    /// partition; `None` at its end.
    async fn collect(&mut self, (partition, after): Position) -> Result<Option<Position>, Error> {
        let now = self.now();
        let before = UnixMillis(now.0.saturating_sub(self.settings.garbage_grace_ms));
        let query = IndexQuery::Garbage { before, after, limit: ROWS_MAX };
        let rows = match self.objects.metadata().partition_query(partition, query).await? {
            IndexView::Garbage(rows) => rows,
            other => return Err(Error::view(&other)),
        };
        self.rounds.look(rows.len() as u64);
        let full = rows.len() == ROWS_MAX as usize;
        let last = rows.last().map(|(row, _)| *row);
        let (mut blobs, mut uploads) = (Vec::new(), Vec::new());
        for (row, garbage) in rows {
            match garbage {
                // What an upload expands to lies behind it: from there the page comes again.
                Garbage::Blob(blob) if uploads.is_empty() => blobs.push((row, blob)),
                Garbage::Blob(_) => {}
                Garbage::Upload { .. } => uploads.push(row),
            }
        }
        if platform::planted("collect-referenced") {
            let query = IndexQuery::Referenced { after: None, limit: ROWS_MAX };
            let view = self.objects.metadata().partition_query(partition, query).await?;
            if let IndexView::Referenced { blobs: alive, .. } = view {
                let rows: Vec<GarbageId> = blobs.iter().map(|(row, _)| *row).collect();
                blobs.extend(rows.into_iter().zip(alive.into_iter().map(|alive| alive.blob)));
            }
        }
        self.collect_blobs(partition, &blobs).await?;
        for row in &uploads {
            self.change(partition, IndexCommand::ExpandGarbage { row: *row }).await?;
        }
        Ok(match uploads.is_empty() {
            false => Some((partition, blobs.last().map(|(row, _)| *row).or(after))),
            true => full.then_some((partition, last)),
        })
    }

    async fn collect_blobs(
        &mut self,
        partition: GroupId,
        blobs: &[(GarbageId, BlobRef)],
    ) -> Result<(), Error> {
        let Some((last, _)) = blobs.last() else { return Ok(()) };
        let tried = self.tried.get(&partition).copied();
        let gone = self.delete(blobs, tried).await;
        self.tried.insert(partition, tried.map_or(*last, |tried| tried.max(*last)));
        *self.waiting.entry(partition).or_default() += blobs.len() - gone.len();
        if !gone.is_empty() {
            let count = gone.len() as u64;
            self.change(partition, IndexCommand::Collected { rows: gone }).await?;
            self.blobs += count;
            self.rounds.count("collected", count);
            metrics::done(self.name(), "blob_collected", count);
        }
        Ok(())
    }

    async fn change(&self, partition: GroupId, command: IndexCommand) -> Result<(), Error> {
        match self.objects.metadata().partition(partition, command).await? {
            IndexAnswer::Done => Ok(()),
            other => Err(Error::answer(&other)),
        }
    }

    /// The rows whose blobs are gone from every disk that could hold a shard of them. Those
    /// up to `tried` that wait for a disk still are left alone: what the others held of them
    /// is free already.
    async fn delete(
        &self,
        blobs: &[(GarbageId, BlobRef)],
        tried: Option<GarbageId>,
    ) -> Vec<GarbageId> {
        let map = self.objects.metadata().map();
        let answers = |disk: &DiskId| answers(&self.objects, *disk);
        // A disk that is out and silent takes its shards with it. So does one that was let go: what
        // it brings back one day is found on a disk where it has no business.
        let exists = |disk: &DiskId| {
            let state = map.disks.get(disk).map(|disk| disk.state);
            answers(disk) || state.is_some_and(|state| state != DiskState::Out)
        };
        let mut by_disk: BTreeMap<DiskId, Vec<ShardId>> = BTreeMap::new();
        let mut known: Vec<(GarbageId, Vec<DiskId>)> = Vec::new();
        for (row, blob) in blobs {
            // A group that this copy of the map does not know yet: another time.
            let Ok(group) = self.objects.group_of(blob) else { continue };
            let holders = |(rank, _)| group.holders(rank).map(move |disk| (rank, disk));
            let ranks: Vec<(u8, DiskId)> = (0u8..)
                .zip(&group.disks)
                .flat_map(holders)
                .filter(|(_, disk)| exists(disk))
                .collect();
            let (up, silent): (Vec<_>, Vec<_>) =
                ranks.into_iter().partition(|(_, disk)| answers(disk));
            if !silent.is_empty() && Some(*row) <= tried {
                continue;
            }
            for (rank, disk) in &up {
                by_disk.entry(*disk).or_default().push(ShardId { blob: blob.id, rank: *rank });
            }
            if silent.is_empty() {
                known.push((*row, up.into_iter().map(|(_, disk)| disk).collect()));
            }
        }
        let calls = by_disk.into_iter().map(|(disk, shards)| async move {
            (disk, self.objects.shards().delete(disk, shards).await)
        });
        let failed: BTreeSet<DiskId> = join_all(calls)
            .await
            .into_iter()
            .filter_map(|(disk, result)| match result {
                Ok(()) => None,
                Err(error) => {
                    tracing::debug!(%disk, %error, "garbage stays until the disk answers");
                    Some(disk)
                }
            })
            .collect();
        let gone = |disks: &[DiskId]| !disks.iter().any(|disk| failed.contains(disk));
        known.into_iter().filter(|(_, disks)| gone(disks)).map(|(row, _)| row).collect()
    }
}

#[async_trait]
impl Worker for GarbageCollector {
    fn name(&self) -> &'static str {
        "garbage"
    }

    /// One page of a partition's queue.
    async fn work(&mut self) -> Result<Step, Error> {
        let map = self.objects.metadata().map();
        let groups: BTreeSet<GroupId> = map.partitions.iter().map(|p| p.group).collect();
        let (partition, after) = match self.at {
            Some(place) => place,
            None => match groups.first() {
                Some(group) => (*group, None),
                None => return Ok(Step::Idle),
            },
        };
        self.rounds.go_on(self.now());
        if after.is_none() {
            self.waiting.remove(&partition);
        }
        // The round goes on with the other partitions if this one does not answer.
        let next = groups.into_iter().find(|group| *group > partition).map(|group| (group, None));
        self.at = next;
        if let Some(place) = self.collect((partition, after)).await? {
            self.at = Some(place);
        }
        if self.at.is_none() {
            self.rounds.end(self.now());
        }
        Ok(if self.at.is_some() { Step::More } else { Step::Idle })
    }

    async fn wait_for_work(&mut self) {
        tokio::time::sleep(Duration::from_millis(self.settings.garbage_interval_ms)).await;
    }

    fn status(&self) -> (u64, String) {
        let detail = match self.waiting.values().sum::<usize>() {
            0 => format!("{} blobs collected", self.blobs),
            waiting => format!("{} blobs collected, {waiting} wait for a disk", self.blobs),
        };
        (self.blobs, detail)
    }

    fn progress(&self) -> Progress {
        let partition = |(group, _): Position| Place::new(format!("partition {}", group.0), "");
        self.rounds.progress(self.at.map(partition), self.now())
    }
}
