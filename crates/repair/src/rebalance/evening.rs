//! Evening out: when disks have come or gone, or are unequally full, every group is measured once, and the
//! planner says what moves. Measuring reads inventories only, but of everything that is stored, so it is
//! done when something speaks for it: not for every look.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    hash::{DefaultHasher, Hash, Hasher},
};

use serde::{Deserialize, Serialize};
use types::{ClusterMap, Disk, DiskId, DiskState, PgId, UnixMillis};

use super::{NAME, Rebalancer, STEP_MOVES_MAX, is_calm, measure};
use crate::{
    Error, Step,
    health::is_up,
    planning::{self, takes},
    saved,
};

/// The version of the stored form.
const VERSION: u8 = 1;

/// Measured sizes are used for so long: six hours. New objects are spread evenly meanwhile.
const MEASURED_MS: u64 = 6 * 3600 * 1000;

/// What was seen to be even: saved, so that a new leader does not measure everything to learn that
/// nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Even {
    /// Of the disks that take part and the number of groups.
    disks: u64,
    /// When.
    at: UnixMillis,
}

/// What is known about evenness.
#[derive(Debug, Default)]
pub(super) struct Evening {
    /// `None` until it has been read.
    even: Option<Option<Even>>,
    /// Groups that are still to be measured.
    to_measure: VecDeque<PgId>,
    measured: BTreeMap<PgId, u64>,
    measured_at: Option<UnixMillis>,
}

impl Evening {
    pub(super) fn measured(&self) -> &BTreeMap<PgId, u64> {
        &self.measured
    }

    /// Forgets what was measured.
    fn begin(&mut self, map: &ClusterMap, now: UnixMillis) {
        self.to_measure = map.groups.keys().copied().collect();
        self.measured.clear();
        self.measured_at = Some(now);
    }

    fn is_measured(&self, now: UnixMillis) -> bool {
        self.measured_at.is_some_and(|at| now.since(at) < MEASURED_MS)
    }
}

/// Which disks there are to fill, and how many groups. Never stored longer than until the next version
/// of the hash: another value only means to measure once more.
fn disks_of(map: &ClusterMap) -> u64 {
    let members: BTreeSet<DiskId> =
        map.groups.values().flat_map(|group| group.disks.iter().copied()).collect();
    // A disk that is away for a moment is still a member. One that lost its ranks counts again when it
    // is back.
    let counts = |disk: &&Disk| {
        disk.state == DiskState::In && (is_up(map, disk.id) || members.contains(&disk.id))
    };
    let mut hasher = DefaultHasher::new();
    for disk in map.disks.values().filter(counts) {
        (disk.id, disk.capacity_bytes, disk.class as u8, disk.node).hash(&mut hasher);
    }
    map.groups.len().hash(&mut hasher);
    hasher.finish()
}

/// Whether disks of some class say themselves that they are unequally full.
fn looks_uneven(map: &ClusterMap) -> bool {
    planning::classes(map).into_iter().any(|class| {
        let taking = map.disks.values().filter(|disk| disk.class == class && takes(map, disk));
        let figures: Vec<(u64, u64)> = taking
            .map(|disk| {
                let used = map.used_bytes.get(&disk.id).copied().unwrap_or(0);
                (used, disk.capacity_bytes)
            })
            .collect();
        placement::skew(figures) * 100.0 > placement::rebalance::BEGIN_PER_CENT
    })
}

impl Rebalancer {
    /// Measures one group more; true once all are known. Planned moves wait for it: they are chosen well
    /// only if it is known what each brings. A group whose disk does not answer is estimated.
    pub(super) async fn measure(&mut self, map: &ClusterMap) -> Result<bool, Error> {
        let now = self.now();
        if !self.evening.is_measured(now) {
            self.evening.begin(map, now);
        }
        let Some(id) = self.evening.to_measure.pop_front() else { return Ok(true) };
        self.doing = "measuring how much each placement group holds";
        if let Some(group) = map.groups.get(&id) {
            match measure::shard_bytes(&*self.shards, map, group).await {
                Ok(Some(bytes)) => {
                    self.evening.measured.insert(id, bytes);
                }
                Ok(None) => {}
                Err(error) => tracing::debug!(group = %id, %error, "a group is not measured"),
            }
        }
        Ok(false)
    }

    /// Begins what evens out, or measures for it.
    pub(super) async fn even_out(&mut self, map: &ClusterMap) -> Result<Step, Error> {
        let now = self.now();
        let even = match self.evening.even {
            Some(even) => even,
            None => {
                let saved = saved::read(&*self.metadata, NAME).await?;
                let even = saved.and_then(|bytes| saved::decode(VERSION, &bytes));
                *self.evening.even.insert(even)
            }
        };
        let disks = disks_of(map);
        let known = even.is_some_and(|even: Even| {
            let recent = now.since(even.at) < self.settings.measure_interval_ms;
            even.disks == disks && (recent || !looks_uneven(map))
        });
        if known || map.groups.is_empty() {
            self.doing = "all disks are equally full";
            self.episode.plan(0, now);
            return Ok(Step::Idle);
        }
        if !self.measure(map).await? {
            return Ok(Step::More);
        }
        self.doing = "evening out";
        let free = self.free_places(map);
        if free == 0 {
            return Ok(Step::Idle);
        }
        let bytes = self.bytes(map);
        let (mut moves, mut planned) = (Vec::new(), 0);
        for class in planning::classes(map) {
            let places = planning::places(map, class, |disk| takes(map, disk));
            let loads = planning::loads(map, class, &bytes, |_| Default::default());
            let plan = placement::rebalance(&places, &loads, self.domain(), true);
            planned += plan.bytes();
            moves.extend(plan.moves);
        }
        let moving = map.groups.values().any(|group| !group.former.is_empty());
        if moves.is_empty() && !moving {
            self.episode.plan(0, now);
            let even = Even { disks, at: now };
            saved::write(&*self.metadata, NAME, saved::encode(VERSION, &even)).await?;
            self.evening.even = Some(Some(even));
            self.evening.measured_at = None;
            return Ok(Step::Idle);
        }
        let mut groups = BTreeSet::new();
        moves.retain(|it| is_calm(map, &map.groups[&it.group], it.rank) && groups.insert(it.group));
        moves.truncate(free.min(STEP_MOVES_MAX));
        let begun = self.begin(map, &moves).await?;
        let begun_bytes = moves.iter().map(|it| it.bytes).sum();
        self.episode.plan(planned.saturating_sub(begun_bytes), now);
        Ok(if begun > 0 { Step::More } else { Step::Idle })
    }
}
