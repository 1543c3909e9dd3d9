//! Garbage collection: the bytes of deleted and replaced objects become free.
//!
//! The index queues a blob in the entry that drops its last reference. Here its shards are
//! deleted on every disk of its group, and only then its row goes: **bytes first, row
//! last**, so that no crash forgets bytes. A disk that does not answer keeps the row.

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

use crate::{Error, Settings, Step, Worker, metrics};

/// Rows of a step: bounds the deletions of one call a disk.
const ROWS_MAX: u32 = 1000;

/// The worker that frees the bytes of deleted blobs.
pub struct GarbageCollector {
    objects: Objects,
    settings: Settings,
    /// The last partition that was looked at.
    at: Option<GroupId>,
    /// Whether this round over the partitions got anything done.
    progress: bool,
    blobs: u64,
    /// Blobs of each partition that a disk kept from being collected when last tried.
    waiting: BTreeMap<GroupId, usize>,
}

impl GarbageCollector {
    /// A collector over this object layer's metadata and disks.
    pub fn new(objects: Objects, settings: Settings) -> Self {
        Self { objects, settings, at: None, progress: false, blobs: 0, waiting: BTreeMap::new() }
    }

    async fn collect(&mut self, partition: GroupId) -> Result<(), Error> {
        let now = UnixMillis(self.objects.clock().now_ms());
        let before = UnixMillis(now.0.saturating_sub(self.settings.garbage_grace_ms));
        let query = IndexQuery::Garbage { before, limit: ROWS_MAX };
        let rows = match self.objects.metadata().partition_query(partition, query).await? {
            IndexView::Garbage(rows) => rows,
            other => return Err(Error::view(&other)),
        };
        let mut blobs = Vec::new();
        for (row, garbage) in rows {
            match garbage {
                Garbage::Blob(blob) => blobs.push((row, blob)),
                Garbage::Upload { .. } => {
                    self.change(partition, IndexCommand::ExpandGarbage { row }).await?;
                    self.progress = true;
                }
            }
        }
        let gone = self.delete(&blobs).await;
        self.waiting.insert(partition, blobs.len() - gone.len());
        if !gone.is_empty() {
            let count = gone.len() as u64;
            self.change(partition, IndexCommand::Collected { rows: gone }).await?;
            self.progress = true;
            self.blobs += count;
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

    /// The rows whose blobs are gone from every disk that could hold a shard of them.
    async fn delete(&self, blobs: &[(GarbageId, BlobRef)]) -> Vec<GarbageId> {
        let map = self.objects.metadata().map();
        // A disk that is out for good takes its shards with it.
        let exists =
            |disk: &DiskId| map.disks.get(disk).is_some_and(|disk| disk.state != DiskState::Out);
        let mut by_disk: BTreeMap<DiskId, Vec<ShardId>> = BTreeMap::new();
        let mut known: Vec<(GarbageId, Vec<DiskId>)> = Vec::new();
        for (row, blob) in blobs {
            // A group that this copy of the map does not know yet: another time.
            let Ok(disks) = self.objects.disks_of(blob) else { continue };
            for (rank, disk) in (0u8..).zip(&disks).filter(|(_, disk)| exists(disk)) {
                by_disk.entry(*disk).or_default().push(ShardId { blob: blob.id, rank });
            }
            known.push((*row, disks));
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

    /// One partition.
    async fn work(&mut self) -> Result<Step, Error> {
        let map = self.objects.metadata().map();
        let groups: BTreeSet<GroupId> = map.partitions.iter().map(|p| p.group).collect();
        let next = groups.iter().find(|group| self.at.is_none_or(|at| **group > at));
        let Some(partition) = next.copied() else {
            self.at = None;
            let progress = std::mem::take(&mut self.progress);
            return Ok(if progress { Step::More } else { Step::Idle });
        };
        self.at = Some(partition);
        self.collect(partition).await?;
        Ok(Step::More)
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
}
