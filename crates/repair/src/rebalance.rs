//! Who belongs where: the worker that gives ranks other disks when their own is lost or being emptied, and
//! when disks are unequally full. It only changes the cluster map (`MoveMember`); the worker `heal`
//! brings the bytes to where they belong then and ends the move.
//!
//! Of all that could be done, a step does the first that there is:
//!
//! 1. **Lost ranks** get another disk at once, however many they are, the groups with the smallest margin
//!    first. A disk is lost when it is registered no more, or when it has not answered for the grace:
//!    15 minutes, or 30 seconds once a group has a margin of 1 or less. Nothing waits for a disk that
//!    does not answer and is being emptied or out.
//! 2. **Disks that are being emptied** give their ranks away, and those that nobody names any more become
//!    `Out`.
//! 3. **Evening out** (`evening`), if every shard can be read where it is and nothing of the above is
//!    left.
//!
//! 2 and 3 are planned work: a group takes part only while all its other shards can be read and no other
//! move of it is under way, and at most [`Settings::moves_max`] groups have one at a time.
//!
//! Since when a disk does not answer is known to this process alone: when another node becomes the leader,
//! the graces begin anew there. What has been decided is in the cluster map and outlasts everything. A
//! disk that comes back after its ranks were given away takes part as before, and is filled again by
//! evening out.

mod episode;
mod evening;
mod measure;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use cluster::{Metadata, Shards};
use episode::Episode;
use evening::Evening;
use metastore::api::{RootAnswer, RootCommand, RootQuery, RootView};
use objects::Objects;
use placement::{Domain, Move, Stuck};
use platform::Clock;
use types::{ClusterMap, DiskId, DiskState, PgId, PlacementGroup, UnixMillis};

use crate::{
    Error, Progress, Settings, Step, Worker,
    health::{is_readable, is_up, margin},
    metrics,
    planning::{self, estimated_bytes},
};

/// The worker's name, also of what it saves.
const NAME: &str = "rebalance";

/// Moves that one step proposes at most, so that a step ends soon.
const STEP_MOVES_MAX: usize = 64;

/// The worker that decides who belongs where. A round goes on from the first move to the end of the last;
/// what it looks at are bytes that have arrived. It counts `planned_bytes`, `moved_bytes`, and ranks
/// `moved`.
pub struct Rebalancer {
    metadata: Arc<dyn Metadata>,
    shards: Arc<dyn Shards>,
    clock: Arc<dyn Clock>,
    settings: Settings,
    /// Since when each disk does not answer.
    down_since: BTreeMap<DiskId, UnixMillis>,
    evening: Evening,
    episode: Episode,
    begun: u64,
    stuck: Vec<Stuck>,
    doing: &'static str,
}

/// Why a rank must move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Away {
    /// Its shards cannot be read there any more.
    Lost,
    /// Its disk is to be emptied.
    Leaving,
}

impl Rebalancer {
    /// A worker over the metadata and disks of this object layer.
    pub fn new(objects: &Objects, settings: &Settings) -> Self {
        Self::over(
            objects.metadata().clone(),
            objects.shards().clone(),
            objects.clock().clone(),
            settings,
        )
    }

    /// A worker over these.
    pub fn over(
        metadata: Arc<dyn Metadata>,
        shards: Arc<dyn Shards>,
        clock: Arc<dyn Clock>,
        settings: &Settings,
    ) -> Self {
        Self {
            metadata,
            shards,
            clock,
            settings: settings.clone(),
            down_since: BTreeMap::new(),
            evening: Evening::default(),
            episode: Episode::default(),
            begun: 0,
            stuck: Vec::new(),
            doing: "waiting",
        }
    }

    fn now(&self) -> UnixMillis {
        UnixMillis(self.clock.now_ms())
    }

    fn domain(&self) -> Domain {
        self.settings.domain
    }

    /// Takes note of which disks do not answer.
    fn observe(&mut self, map: &ClusterMap) {
        let now = self.now();
        self.down_since.retain(|disk, since| {
            // The wall clock was set back: it cannot be down since the future.
            *since = (*since).min(now);
            map.down.contains(disk)
        });
        for disk in &map.down {
            self.down_since.entry(*disk).or_insert(now);
        }
    }

    /// Whether and why each rank of the group must move.
    fn away(&self, map: &ClusterMap, group: &PlacementGroup) -> BTreeMap<u8, Away> {
        let grace = if margin(map, group) <= 1 {
            self.settings.endangered_grace_ms
        } else {
            self.settings.down_grace_ms
        };
        let now = self.now();
        let of_disk = |disk: DiskId| {
            let Some(known) = map.disks.get(&disk) else { return Some(Away::Lost) };
            match (known.state, is_up(map, disk)) {
                (DiskState::In, true) => None,
                (DiskState::Draining | DiskState::Out, true) => Some(Away::Leaving),
                (DiskState::Draining | DiskState::Out, false) => Some(Away::Lost),
                (DiskState::In, false) => {
                    let since = self.down_since.get(&disk).copied().unwrap_or(now);
                    (now.since(since) >= grace).then_some(Away::Lost)
                }
            }
        };
        let ranks = (0u8..).zip(&group.disks);
        ranks.filter_map(|(rank, disk)| Some((rank, of_disk(*disk)?))).collect()
    }

    /// The moves of ranks that must go for this reason, most urgent first.
    fn must(&self, map: &ClusterMap, why: Away) -> (Vec<Move>, Vec<Stuck>) {
        let mut found: Vec<(i64, Move)> = Vec::new();
        let mut stuck = Vec::new();
        let bytes = self.bytes(map);
        for class in planning::classes(map) {
            let leaving = |group: &PlacementGroup| -> BTreeSet<u8> {
                let away = self.away(map, group);
                let all = away.into_iter().filter(|(_, other)| *other == why);
                all.map(|(rank, _)| rank).collect()
            };
            let loads = planning::loads(map, class, &bytes, leaving);
            if loads.iter().all(|load| load.leaving.is_empty()) {
                continue;
            }
            let places = planning::places(map, class, |disk| planning::takes(map, disk));
            let plan = placement::rebalance(&places, &loads, self.domain(), false);
            // Planned work waits for the moves of its group: what has no place to go may have one then.
            let is_final =
                |it: &Stuck| why == Away::Lost || map.groups[&it.group].former.is_empty();
            stuck.extend(plan.stuck.into_iter().filter(is_final));
            let margins: BTreeMap<PgId, i64> =
                loads.iter().map(|load| (load.id, load.margin)).collect();
            found.extend(plan.moves.into_iter().map(|it| (margins[&it.group], it)));
        }
        found.sort_by_key(|(margin, _)| *margin);
        let mut free = self.free_places(map);
        let mut groups = BTreeSet::new();
        let mut moves = Vec::new();
        for (_, it) in found {
            let group = &map.groups[&it.group];
            let may_begin = match why {
                Away::Lost => group.former.len() < PlacementGroup::FORMER_MAX,
                Away::Leaving => free > 0 && is_calm(map, group, it.rank),
            };
            // The epoch of a group is that of the map for its first move only.
            if moves.len() < STEP_MOVES_MAX && may_begin && groups.insert(it.group) {
                free = free.saturating_sub(1);
                moves.push(it);
            }
        }
        (moves, stuck)
    }

    /// Groups that may begin a planned move now.
    fn free_places(&self, map: &ClusterMap) -> usize {
        let moving = map.groups.values().filter(|group| !group.former.is_empty()).count();
        self.settings.moves_max.saturating_sub(moving)
    }

    /// What each member holds of each group: as measured, else by the disks' own figures.
    fn bytes(&self, map: &ClusterMap) -> BTreeMap<PgId, u64> {
        let mut bytes = estimated_bytes(map);
        for (group, measured) in self.evening.measured() {
            bytes.insert(*group, *measured);
        }
        bytes
    }

    /// Whether a rank of the group cannot be read, or must go: then nothing is evened out.
    fn is_at_stake(&self, map: &ClusterMap, group: &PlacementGroup) -> bool {
        let mut ranks = (0u8..).take(group.policy.n());
        !self.away(map, group).is_empty() || ranks.any(|rank| !is_readable(map, group, rank))
    }

    /// Gives ranks their new disks. What is refused has changed since: the next step looks again.
    async fn begin(&mut self, map: &ClusterMap, moves: &[Move]) -> Result<usize, Error> {
        let mut begun = 0;
        for it in moves {
            let epoch = map.groups[&it.group].epoch;
            let (group, rank, to) = (it.group, it.rank, it.to);
            let command = RootCommand::MoveMember { group, epoch, rank, to };
            match self.metadata.root(command).await? {
                RootAnswer::Done => {
                    tracing::info!(%group, rank, from = %it.from, %to, must = it.must, "rank moves");
                    begun += 1;
                }
                RootAnswer::Refused(reason) => tracing::debug!(%group, rank, reason, "not moved"),
                other => return Err(Error::Unexpected(format!("{other:?}"))),
            }
        }
        self.begun += begun as u64;
        if begun > 0 {
            metrics::done(NAME, "rank_moved", begun as u64);
        }
        Ok(begun)
    }

    /// Takes out a disk that is empty; whether there was one.
    async fn take_out(&mut self, map: &ClusterMap) -> Result<bool, Error> {
        if empty_disk(map).is_none() {
            return Ok(false);
        }
        let Some(newest) = self.newest_map().await? else { return Ok(false) };
        let Some(disk) = empty_disk(&newest) else { return Ok(false) };
        let (state, epoch) = (DiskState::Out, newest.epoch);
        match self.metadata.root(RootCommand::SetDiskState { disk, state, epoch }).await? {
            RootAnswer::Done => {
                tracing::info!(%disk, "a disk is empty and out");
                Ok(true)
            }
            RootAnswer::Refused(reason) => {
                tracing::debug!(%disk, reason, "not taken out");
                Ok(false)
            }
            other => Err(Error::Unexpected(format!("{other:?}"))),
        }
    }

    /// The map as the root leader has it: one's own may be older than a disk's return.
    async fn newest_map(&self) -> Result<Option<ClusterMap>, Error> {
        match self.metadata.root_query(RootQuery::Map).await? {
            RootView::Map(map) => Ok(map.map(|map| *map)),
            other => Err(Error::Unexpected(format!("{other:?}"))),
        }
    }

    fn note_stuck(&mut self, stuck: Vec<Stuck>) {
        if stuck != self.stuck {
            if let Some(first) = stuck.first() {
                let Stuck { group, rank, error } = first;
                let ranks = stuck.len();
                tracing::warn!(ranks, %group, rank, %error, "ranks have no disk to go to");
            }
            self.stuck = stuck;
        }
    }
}

/// A disk that was to be emptied and is not named by any group.
fn empty_disk(map: &ClusterMap) -> Option<DiskId> {
    let named: BTreeSet<DiskId> = map
        .groups
        .values()
        .flat_map(|group| {
            group.disks.iter().copied().chain(group.former.iter().map(|former| former.disk))
        })
        .collect();
    let mut draining = map.disks.values().filter(|disk| disk.state == DiskState::Draining);
    draining.find(|disk| !named.contains(&disk.id)).map(|disk| disk.id)
}

/// Whether planned work may take a rank of the group: all others can be read, and none is under way.
fn is_calm(map: &ClusterMap, group: &PlacementGroup, rank: u8) -> bool {
    let mut others = (0u8..).take(group.policy.n()).filter(|other| *other != rank);
    group.former.is_empty() && others.all(|other| is_readable(map, group, other))
}

#[async_trait]
impl Worker for Rebalancer {
    fn name(&self) -> &'static str {
        NAME
    }

    /// Looking costs nothing, and nothing that must move waits for a rest.
    fn rest_percent(&self, _usual: u32) -> u32 {
        0
    }

    /// Looks once and begins what may be begun, or measures one group.
    async fn work(&mut self) -> Result<Step, Error> {
        let map = self.metadata.map();
        self.observe(&map);
        self.episode.look(&map, &self.bytes(&map), self.now());
        let due =
            |it: &Self, map: &ClusterMap| [Away::Lost, Away::Leaving].map(|why| it.must(map, why));
        let mut stuck = Vec::new();
        if due(self, &map).iter().any(|(moves, stuck)| !moves.is_empty() || !stuck.is_empty()) {
            self.doing = "giving ranks of lost and leaving disks away";
            let Some(newest) = self.newest_map().await? else { return Ok(Step::Idle) };
            self.observe(&newest);
            for (why, (moves, without)) in
                [Away::Lost, Away::Leaving].into_iter().zip(due(self, &newest))
            {
                stuck.extend(without);
                if why == Away::Leaving && !moves.is_empty() && !self.measure(&newest).await? {
                    return Ok(Step::More);
                }
                if self.begin(&newest, &moves).await? > 0 {
                    return Ok(Step::More);
                }
            }
        }
        self.note_stuck(stuck);
        if self.take_out(&map).await? {
            return Ok(Step::More);
        }
        if map.groups.values().any(|group| self.is_at_stake(&map, group)) {
            self.doing = "waiting until lost and leaving ranks have moved";
            return Ok(Step::Idle);
        }
        self.even_out(&map).await
    }

    async fn wait_for_work(&mut self) {
        tokio::time::sleep(Duration::from_millis(self.settings.rebalance_interval_ms)).await;
    }

    fn status(&self) -> (u64, String) {
        let mut detail = format!("{}: {} ranks given to other disks", self.doing, self.begun);
        if let Some(stuck) = self.stuck.first() {
            detail.push_str(&format!(
                ", {} have no disk to go to: group {}: {}",
                self.stuck.len(),
                stuck.group,
                stuck.error
            ));
        }
        (self.begun, detail)
    }

    fn progress(&self) -> Progress {
        let last_failure = self.stuck.first().map(|stuck| stuck.error.to_string());
        Progress { last_failure, ..self.episode.progress(self.now()) }
    }
}
