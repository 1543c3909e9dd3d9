//! The sweep of orphans: shards that stay pending because their request died, its cleanup
//! was lost, or the confirmation was.
//!
//! A pending shard is looked at only long after its write's deadline. The index partition
//! that could reference it decides: it refuses commits after the deadline, so "not
//! referenced" is then true for ever, and the shard may go. Confirmed shards are left alone,
//! unless they lie where they have no business ([`strays`]): whoever walks all disks
//! is the one who meets those.

use std::time::Duration;

use async_trait::async_trait;
use metastore::api::index::Reference;
use objects::Objects;
use proto::shards::{ShardEntry, ShardState};
use types::{DiskId, DiskState, ShardId, UnixMillis};

use crate::{
    Care, Error, Settings, Step, Worker, metrics,
    progress::{Place, Progress, Rounds},
    strays, word,
};

/// Shards of one step.
const SHARDS_MAX: u32 = 1000;

/// The worker that deletes what no commit followed, and confirms what one did. What it looks at
/// are shards; it counts those `deleted` and `confirmed`, `strays` that are gone, shards that were
/// `written` to their member for them, those that are `stuck`, and `skipped_disks`.
pub struct OrphanSweeper {
    care: Care,
    /// The disk being walked, and how far.
    at: Option<(DiskId, Option<ShardId>)>,
    deleted: u64,
    confirmed: u64,
    /// Disks of this round that did not answer.
    skipped: u64,
    rounds: Rounds,
    last_failure: Option<String>,
}

impl OrphanSweeper {
    /// A sweeper over this object layer's metadata and disks.
    pub fn new(objects: Objects, settings: Settings) -> Self {
        Self::sharing(&Care::new(objects, settings))
    }

    /// The same beside other workers that mend.
    pub fn sharing(care: &Care) -> Self {
        Self {
            care: care.clone(),
            at: None,
            deleted: 0,
            confirmed: 0,
            skipped: 0,
            rounds: Rounds::default(),
            last_failure: None,
        }
    }

    fn now(&self) -> UnixMillis {
        self.care.now()
    }

    fn disk_after(&self, disk: Option<DiskId>) -> Option<DiskId> {
        let map = self.care.objects.metadata().map();
        // One that is out may still be there.
        let serving = map
            .disks
            .values()
            .filter(|disk| disk.state != DiskState::Out || self.care.mender.answers(disk.id));
        serving.map(|disk| disk.id).find(|id| disk.is_none_or(|last| *id > last))
    }

    /// A page of a disk's inventory. True at the end of the disk.
    async fn sweep(&mut self, disk: DiskId, after: Option<ShardId>) -> Result<bool, Error> {
        let page = self.care.objects.shards().inventory(disk, after, SHARDS_MAX).await?;
        let last = page.last().map(|entry| entry.shard);
        let now = self.now();
        let old = |entry: &ShardEntry| {
            let until = entry.intent.deadline.plus(self.care.settings.orphan_grace_ms);
            entry.state == ShardState::Pending && until < now
        };
        let (mut delete, mut confirm) = (Vec::new(), Vec::new());
        let old: Vec<&ShardEntry> = page.iter().filter(|entry| old(entry)).collect();
        let asked: Vec<_> =
            old.iter().map(|entry| (entry.shard.blob, entry.intent.clone())).collect();
        let answers = word::ask(&self.care.objects, &asked).await?;
        for (entry, answer) in old.iter().zip(answers) {
            match answer {
                Reference::Referenced(_) => confirm.push(entry.shard),
                Reference::Unreferenced => delete.push(entry.shard),
                Reference::Undecided => {}
            }
        }
        let (deleted, confirmed) = (delete.len() as u64, confirm.len() as u64);
        if deleted > 0 {
            self.care.objects.shards().delete(disk, delete).await?;
            self.deleted += deleted;
            self.rounds.count("deleted", deleted);
            metrics::done(self.name(), "orphan_deleted", deleted);
        }
        if confirmed > 0 {
            self.care.objects.shards().confirm(disk, confirm).await?;
            self.confirmed += confirmed;
            self.rounds.count("confirmed", confirmed);
            metrics::done(self.name(), "orphan_confirmed", confirmed);
        }
        self.settle_strays(disk, &page).await?;
        self.rounds.look(page.len() as u64);
        let at_end = page.len() < SHARDS_MAX as usize;
        self.at = Some((disk, last.or(after)));
        Ok(at_end)
    }

    async fn settle_strays(&mut self, disk: DiskId, page: &[ShardEntry]) -> Result<(), Error> {
        let settled = strays::settle(&self.care, disk, page).await?;
        for (what, number) in
            [("strays", settled.deleted), ("written", settled.written), ("stuck", settled.stuck)]
        {
            if number > 0 {
                self.rounds.count(what, number);
            }
        }
        metrics::done(self.name(), "stray_deleted", settled.deleted);
        self.last_failure = settled.last_failure.or(self.last_failure.take());
        Ok(())
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
        tokio::time::sleep(Duration::from_millis(self.care.settings.orphan_interval_ms)).await;
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
        let last_failure = self.last_failure.clone();
        Progress { last_failure, ..self.rounds.progress(place, self.now()) }
    }
}
