//! Restores become ready and end on time. An index partition does what is due with whatever
//! command it applies next, in the entry of that command, events included; one without traffic is
//! told here that time has passed.

use std::{collections::BTreeSet, time::Duration};

use async_trait::async_trait;
use metastore::api::{IndexAnswer, IndexCommand, IndexQuery, IndexView};
use objects::Objects;
use types::{GroupId, UnixMillis};

use crate::{
    Error, Settings, Step, Worker, metrics,
    progress::{Place, Progress, Rounds},
};

/// The worker's name.
const NAME: &str = "restores";

/// Ticks of one partition in a round, each of which settles up to 100 restores. The bound is for
/// a partition whose clock is behind this one: it would be due again at once, for nothing.
const TICKS_MAX: u32 = 20;

/// Parts of a day after which the partitions are asked at the latest, and the shortest rest: with
/// days of a few seconds, as tests have them, a restore must not wait for a day's length.
const LOOKS_A_DAY: u64 = 100;
const INTERVAL_MS_MIN: u64 = 50;

/// The worker that moves the clocks of idle partitions. What it looks at are partitions.
pub struct RestoreTicker {
    objects: Objects,
    interval: Duration,
    /// The partition that is being asked, and its ticks so far; `None` between rounds.
    at: Option<(GroupId, u32)>,
    ticks: u64,
    rounds: Rounds,
}

impl RestoreTicker {
    /// A worker over this object layer's metadata.
    pub fn new(objects: Objects, settings: &Settings) -> Self {
        let of_a_day = (settings.lifecycle_day_ms / LOOKS_A_DAY).max(INTERVAL_MS_MIN);
        let interval = Duration::from_millis(settings.restore_interval_ms.min(of_a_day));
        Self { objects, interval, at: None, ticks: 0, rounds: Rounds::default() }
    }

    fn now(&self) -> UnixMillis {
        UnixMillis(self.objects.clock().now_ms())
    }

    /// Whether a tick was due in the partition, and done.
    async fn tick(&self, partition: GroupId) -> Result<bool, Error> {
        let query = IndexQuery::Due { now: self.now() };
        match self.objects.metadata().partition_query(partition, query).await? {
            IndexView::Due(false) => return Ok(false),
            IndexView::Due(true) => {}
            other => return Err(Error::view(&other)),
        }
        match self.objects.metadata().partition(partition, IndexCommand::Tick).await? {
            IndexAnswer::Done => Ok(true),
            other => Err(Error::answer(&other)),
        }
    }
}

#[async_trait]
impl Worker for RestoreTicker {
    fn name(&self) -> &'static str {
        NAME
    }

    /// One question to one partition, and one tick if it is due.
    async fn work(&mut self) -> Result<Step, Error> {
        let map = self.objects.metadata().map();
        let groups: BTreeSet<GroupId> = map.partitions.iter().map(|it| it.group).collect();
        let Some((partition, ticks)) = self.at.or(groups.first().map(|first| (*first, 0))) else {
            return Ok(Step::Idle);
        };
        let now = self.now();
        self.rounds.go_on(now);
        // The round goes on with the other partitions if this one does not answer.
        self.at = groups.into_iter().find(|group| *group > partition).map(|group| (group, 0));
        let ticked = self.tick(partition).await;
        if matches!(ticked, Ok(true)) {
            self.ticks += 1;
            self.rounds.count("ticks", 1);
            metrics::done(NAME, "partition_ticked", 1);
            if ticks + 1 < TICKS_MAX {
                self.at = Some((partition, ticks + 1));
                return Ok(Step::More);
            }
        }
        self.rounds.look(1);
        if self.at.is_none() {
            self.rounds.end(now);
        }
        ticked?;
        Ok(if self.at.is_some() { Step::More } else { Step::Idle })
    }

    async fn wait_for_work(&mut self) {
        tokio::time::sleep(self.interval).await;
    }

    fn status(&self) -> (u64, String) {
        (self.ticks, format!("{} ticks for restores that began or ended", self.ticks))
    }

    fn progress(&self) -> Progress {
        let place =
            self.at.map(|(partition, _)| Place::new(format!("partition {}", partition.0), ""));
        self.rounds.progress(place, self.now())
    }
}
