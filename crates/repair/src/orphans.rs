//! The sweep of orphans: shards that stay pending because their request died, its cleanup
//! was lost, or the confirmation was.
//!
//! A pending shard is looked at only long after its write's deadline. The index partition
//! that could reference it decides: it refuses commits after the deadline, so "not
//! referenced" is then true for ever, and the shard may go. Confirmed shards are left alone.

use std::time::Duration;

use async_trait::async_trait;
use metastore::api::{IndexAnswer, IndexCommand, IndexQuery, IndexView};
use objects::Objects;
use proto::shards::{ShardEntry, ShardState};
use types::{BlobId, DiskId, DiskState, ShardId, UnixMillis, WriteIntent};

use crate::{
    Error, Settings, Step, Worker, metrics,
    progress::{Place, Progress, Rounds},
};

/// Shards of one step.
const SHARDS_MAX: u32 = 1000;

/// The worker that deletes what no commit followed, and confirms what one did. What it looks at
/// are shards; it counts those `deleted` and `confirmed`, and `skipped_disks`.
pub struct OrphanSweeper {
    objects: Objects,
    settings: Settings,
    /// The disk being walked, and how far.
    at: Option<(DiskId, Option<ShardId>)>,
    deleted: u64,
    confirmed: u64,
    /// Disks of this round that did not answer.
    skipped: u64,
    rounds: Rounds,
}

impl OrphanSweeper {
    /// A sweeper over this object layer's metadata and disks.
    pub fn new(objects: Objects, settings: Settings) -> Self {
        Self {
            objects,
            settings,
            at: None,
            deleted: 0,
            confirmed: 0,
            skipped: 0,
            rounds: Rounds::default(),
        }
    }

    fn now(&self) -> UnixMillis {
        UnixMillis(self.objects.clock().now_ms())
    }

    fn disk_after(&self, disk: Option<DiskId>) -> Option<DiskId> {
        let map = self.objects.metadata().map();
        let serving = map.disks.values().filter(|disk| disk.state != DiskState::Out);
        serving.map(|disk| disk.id).find(|id| disk.is_none_or(|last| *id > last))
    }

    /// A page of a disk's inventory. True at the end of the disk.
    async fn sweep(&mut self, disk: DiskId, after: Option<ShardId>) -> Result<bool, Error> {
        let page = self.objects.shards().inventory(disk, after, SHARDS_MAX).await?;
        let last = page.last().map(|entry| entry.shard);
        let now = self.now();
        let old = |entry: &ShardEntry| {
            let until = entry.intent.deadline.plus(self.settings.orphan_grace_ms);
            entry.state == ShardState::Pending && until < now
        };
        let (mut delete, mut confirm) = (Vec::new(), Vec::new());
        // Ranks of one blob are on different disks, so within a disk each blob comes once.
        for entry in page.iter().filter(|entry| old(entry)) {
            match self.settled(entry.shard.blob, &entry.intent).await? {
                Some(true) => confirm.push(entry.shard),
                Some(false) => delete.push(entry.shard),
                None => {}
            }
        }
        let (deleted, confirmed) = (delete.len() as u64, confirm.len() as u64);
        if deleted > 0 {
            self.objects.shards().delete(disk, delete).await?;
            self.deleted += deleted;
            self.rounds.count("deleted", deleted);
            metrics::done(self.name(), "orphan_deleted", deleted);
        }
        if confirmed > 0 {
            self.objects.shards().confirm(disk, confirm).await?;
            self.confirmed += confirmed;
            self.rounds.count("confirmed", confirmed);
            metrics::done(self.name(), "orphan_confirmed", confirmed);
        }
        self.rounds.look(page.len() as u64);
        let at_end = page.len() < SHARDS_MAX as usize;
        self.at = Some((disk, last.or(after)));
        Ok(at_end)
    }

    /// The index partition's word on a blob. A partition without traffic does not notice
    /// that time passes: it is told, and asked again.
    async fn settled(&self, blob: BlobId, intent: &WriteIntent) -> Result<Option<bool>, Error> {
        let first = ask_settled(&self.objects, blob, intent).await?;
        if first.is_some() {
            return Ok(first);
        }
        let map = self.objects.metadata().map();
        let Some(partition) = map.partition(intent.bucket, &intent.key) else { return Ok(None) };
        match self.objects.metadata().partition(partition.group, IndexCommand::Tick).await? {
            IndexAnswer::Done => ask_settled(&self.objects, blob, intent).await,
            other => Err(Error::answer(&other)),
        }
    }
}

/// Whether the index references a blob, for good; `None` while the write may still commit.
pub(crate) async fn ask_settled(
    objects: &Objects,
    blob: BlobId,
    intent: &WriteIntent,
) -> Result<Option<bool>, Error> {
    let query = IndexQuery::Settled { blob, intent: intent.clone() };
    match objects.metadata().index_query(intent.bucket, &intent.key, query).await? {
        IndexView::Settled(settled) => Ok(settled),
        other => Err(Error::view(&other)),
    }
}

#[async_trait]
impl Worker for OrphanSweeper {
    fn name(&self) -> &'static str {
        "orphans"
    }

    /// A page of one disk.
    async fn work(&mut self) -> Result<Step, Error> {
        let (disk, after) = match self.at {
            Some(at) => at,
            None => match self.disk_after(None) {
                Some(disk) => {
                    self.skipped = 0;
                    self.rounds.begin(self.now());
                    (disk, None)
                }
                None => return Ok(Step::Idle),
            },
        };
        let at_end = match self.sweep(disk, after).await {
            Ok(at_end) => at_end,
            // The other disks need not wait for this one; the next round comes to it.
            Err(Error::Shard(error)) => {
                tracing::debug!(%disk, %error, "the sweep leaves a disk out");
                self.skipped += 1;
                self.rounds.count("skipped_disks", 1);
                true
            }
            Err(error) => return Err(error),
        };
        if !at_end {
            return Ok(Step::More);
        }
        self.at = self.disk_after(Some(disk)).map(|next| (next, None));
        if self.at.is_none() {
            self.rounds.end(self.now());
        }
        Ok(if self.at.is_some() { Step::More } else { Step::Idle })
    }

    async fn wait_for_work(&mut self) {
        tokio::time::sleep(Duration::from_millis(self.settings.orphan_interval_ms)).await;
    }

    fn status(&self) -> (u64, String) {
        let place = match self.at {
            Some((disk, _)) => format!("walking disk {disk}"),
            None => "between rounds".to_owned(),
        };
        let skipped = match self.skipped {
            0 => String::new(),
            disks => format!(", {disks} disks did not answer"),
        };
        let detail =
            format!("{place}: {} deleted, {} confirmed{skipped}", self.deleted, self.confirmed);
        (self.deleted + self.confirmed, detail)
    }

    fn progress(&self) -> Progress {
        let place = self.at.map(|(disk, after)| {
            let after = after.map(|shard| shard.blob.to_string()).unwrap_or_default();
            Place::new(format!("disk {disk}"), &after)
        });
        self.rounds.progress(place, self.now())
    }
}
