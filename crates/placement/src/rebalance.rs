//! Which ranks move where, so that every rank has a disk that takes it and the disks are equally
//! full. Pure; the same cluster gives the same moves on every machine.
//!
//! Two kinds of moves come out, in this order:
//!
//! 1. **Those that must be**: ranks whose disk is lost or being emptied, the groups with the smallest
//!    margin first. Each goes to the emptiest disk that the rule allows; then these choices, which have
//!    cost nothing yet, are traded for others as long as that makes the disks more equally full.
//! 2. **Those that even out**: always from a fuller disk to an emptier one, the fullest and the
//!    emptiest first, and only while that makes the squares of the fills smaller. So no byte moves
//!    twice, a new disk only receives, and the sum is about what the new disks lack.
//!
//! Nothing is evened out while all disks are within [`BEGIN_PER_CENT`] of the mean; once begun, it goes
//! on until two disks between which something could move differ by [`END_PER_CENT`] of it. The gap keeps
//! a cluster that has just been balanced from being balanced for ever. Of the ranks that could move, the
//! one is chosen with which disks come to have equally many ranks of each policy too: what is written
//! next goes by ranks.
//!
//! Each move obeys the rule at the moment when its turn comes. A rank for which all disks are forbidden
//! is reported, not forced: a cluster where only a chain of moves would make room is not untangled.

use std::collections::{BTreeMap, BTreeSet};

use types::{DiskId, ErasurePolicy, Former, NodeId, PgId};

use crate::{DiskSite, Domain, PlacementError, Rule, random::Random};

/// A disk that is so much fuller or emptier than the mean, in per cent of the mean, is worth moving
/// bytes for.
pub const BEGIN_PER_CENT: f64 = 5.0;

/// Two disks are equally full when they differ by no more than this, in per cent of the mean.
pub const END_PER_CENT: f64 = 4.0;

/// A disk takes moves until it is so full, in per cent.
pub const FULL_PER_CENT: u64 = 90;

/// What every rank of a group weighs besides its bytes: groups without any are spread too, so that
/// a new disk of an empty cluster takes part in what is written next.
const GROUP_BYTES: u64 = 4096;

/// A disk of the class that is planned for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Which, and where.
    pub site: DiskSite,
    /// Bytes that it can hold.
    pub capacity_bytes: u64,
    /// Bytes that it holds, of whatever kind, as it says itself.
    pub used_bytes: u64,
    /// Whether ranks may move to it, and its fill counts: in placement, and answering.
    pub takes: bool,
}

/// A group as the planner sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Load {
    /// The group.
    pub id: PgId,
    /// Its policy.
    pub policy: ErasurePolicy,
    /// Members in rank order.
    pub disks: Vec<DiskId>,
    /// Disks that still hold shards of it. None becomes the member of another rank.
    pub former: Vec<Former>,
    /// Bytes that each member holds of it.
    pub shard_bytes: u64,
    /// Ranks that must move.
    pub leaving: BTreeSet<u8>,
    /// Shards that may still be lost: readable ones minus `k`. Orders the moves that must be.
    pub margin: i64,
}

/// A rank that gets another disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Move {
    /// The group.
    pub group: PgId,
    /// The rank.
    pub rank: u8,
    /// Its member so far.
    pub from: DiskId,
    /// Its new member.
    pub to: DiskId,
    /// Bytes that the new member will hold of it.
    pub bytes: u64,
    /// Whether it is one of [`Load::leaving`]; else it evens out.
    pub must: bool,
}

/// A rank that must move and cannot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stuck {
    /// The group.
    pub group: PgId,
    /// The rank.
    pub rank: u8,
    /// Why.
    pub error: PlacementError,
}

/// What is to be moved.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rebalancing {
    /// In the order in which they are to be begun.
    pub moves: Vec<Move>,
    /// What cannot be moved.
    pub stuck: Vec<Stuck>,
}

impl Rebalancing {
    /// Bytes of all moves together.
    pub fn bytes(&self) -> u64 {
        self.moves.iter().map(|it| it.bytes).sum()
    }
}

/// The moves for the groups of one class of disks. `places` are all its disks, also those that take
/// nothing: what they hold counts for the rule until it has moved. `even_out`: whether moves of the
/// second kind are wanted too.
pub fn rebalance(places: &[Place], groups: &[Load], domain: Domain, even_out: bool) -> Rebalancing {
    let mut state = State::new(places, groups, domain);
    let mut plan = Rebalancing::default();
    let mut leaving: Vec<(i64, PgId, usize, u8)> = groups
        .iter()
        .enumerate()
        .flat_map(|(at, load)| {
            load.leaving.iter().map(move |rank| (load.margin, load.id, at, *rank))
        })
        .collect();
    leaving.sort_unstable();
    let mut placed = BTreeMap::new();
    for (_, group, at, rank) in leaving {
        match state.substitute(at, rank) {
            Ok(to) => {
                placed.insert((at, rank), plan.moves.len());
                plan.moves.push(state.apply(at, rank, to, true));
            }
            Err(error) => plan.stuck.push(Stuck { group, rank, error }),
        }
    }
    state.choose_better(&placed, &mut plan.moves);
    if even_out && state.is_uneven() {
        state.even_out(&mut plan.moves);
    }
    plan
}

/// How unequally full the disks are: the fill of the fullest one divided by the mean, minus 1. Zero
/// without disks or bytes. Pairs of bytes used and capacity.
pub fn skew(disks: impl IntoIterator<Item = (u64, u64)>) -> f64 {
    let (mut used, mut capacity, mut fullest) = (0.0, 0.0, 0.0_f64);
    for (disk_used, disk_capacity) in disks {
        let (disk_used, disk_capacity) = (real(disk_used), real(disk_capacity.max(1)));
        used += disk_used;
        capacity += disk_capacity;
        fullest = fullest.max(disk_used / disk_capacity);
    }
    if used > 0.0 { fullest / (used / capacity) - 1.0 } else { 0.0 }
}

#[allow(clippy::cast_precision_loss, reason = "a share; bytes of a disk are below 2^52")]
fn real(bytes: u64) -> f64 {
    bytes as f64
}

/// A disk with what the moves so far have made of it.
struct Slot<'a> {
    place: &'a Place,
    /// Bytes of the ranks that stay on it.
    load: u64,
    /// Bytes that it may still take.
    room: u64,
    /// The ranks that it has: positions of groups, and the rank there.
    ranks: BTreeSet<(usize, u8)>,
}

impl Slot<'_> {
    fn capacity(&self) -> u64 {
        self.place.capacity_bytes.max(1)
    }

    fn fill_with(&self, bytes: u64) -> f64 {
        real(self.load + bytes) / real(self.capacity())
    }

    fn fill(&self) -> f64 {
        self.fill_with(0)
    }
}

struct State<'a> {
    slots: BTreeMap<DiskId, Slot<'a>>,
    groups: &'a [Load],
    /// The members as the moves have made them.
    members: Vec<Vec<DiskId>>,
    /// Disks that a group has left, now or before: they may hold shards of the rank that they had.
    left: Vec<Vec<Former>>,
    /// The ranks that may not be evened out: they must move, or did.
    fixed: Vec<BTreeSet<u8>>,
    rules: BTreeMap<(usize, usize), Result<Rule, PlacementError>>,
    domain: Domain,
}

fn key(policy: ErasurePolicy) -> (usize, usize) {
    (policy.k(), policy.m())
}

impl<'a> State<'a> {
    fn new(places: &'a [Place], groups: &'a [Load], domain: Domain) -> Self {
        let mut slots: BTreeMap<DiskId, Slot<'a>> = places
            .iter()
            .map(|place| {
                let ranks = BTreeSet::new();
                (place.site.id, Slot { place, load: 0, room: 0, ranks })
            })
            .collect();
        for (at, group) in groups.iter().enumerate() {
            for (rank, disk) in (0u8..).zip(&group.disks) {
                if let Some(slot) = slots.get_mut(disk).filter(|_| !group.leaving.contains(&rank)) {
                    slot.load += weight(group);
                    slot.ranks.insert((at, rank));
                }
            }
        }
        for slot in slots.values_mut().filter(|slot| slot.place.takes) {
            let full = slot.place.capacity_bytes / 100 * FULL_PER_CENT;
            slot.room = full.saturating_sub(slot.load.max(slot.place.used_bytes));
        }
        let taking: Vec<DiskSite> =
            places.iter().filter(|place| place.takes).map(|place| place.site.clone()).collect();
        let mut rules = BTreeMap::new();
        for group in groups {
            rules
                .entry(key(group.policy))
                .or_insert_with(|| Rule::of(&taking, group.policy, domain));
        }
        Self {
            slots,
            groups,
            members: groups.iter().map(|group| group.disks.clone()).collect(),
            left: groups.iter().map(|group| group.former.clone()).collect(),
            fixed: groups.iter().map(|group| group.leaving.clone()).collect(),
            rules,
            domain,
        }
    }

    /// Whether the disk may become the member of a rank, as all other ranks are now. Those that must
    /// move and have not yet do not count for the rule.
    fn allows(&self, at: usize, rank: u8, disk: DiskId, rule: Rule) -> bool {
        let elsewhere = |former: &Former| former.disk == disk && former.rank != rank;
        if self.members[at].contains(&disk) || self.left[at].iter().any(elsewhere) {
            return false;
        }
        let Some(slot) = self.slots.get(&disk) else { return false };
        let site = &slot.place.site;
        let (mut in_node, mut in_rack) = (0, 0);
        for (other, member) in (0u8..).zip(&self.members[at]) {
            let Some(other_slot) = self.slots.get(member).filter(|_| other != rank) else {
                continue;
            };
            if !other_slot.ranks.contains(&(at, other)) {
                continue;
            }
            in_node += usize::from(other_slot.place.site.node == site.node);
            in_rack += usize::from(other_slot.place.site.rack_key() == site.rack_key());
        }
        in_node < rule.node_limit && in_rack < rule.rack_limit
    }

    /// The emptiest disk that may take a rank; one that had it before and may still have its shards
    /// goes before all others.
    fn substitute(&self, at: usize, rank: u8) -> Result<DiskId, PlacementError> {
        let group = &self.groups[at];
        let rule = self.rules[&key(group.policy)].clone()?;
        let bytes = weight(group);
        let taking: Vec<&Slot<'_>> = self.slots.values().filter(|slot| slot.place.takes).collect();
        let had = |slot: &Slot<'_>| {
            let former = Former { rank, disk: slot.place.site.id };
            group.former.contains(&former)
        };
        let allowed = taking.iter().filter(|slot| {
            (slot.room >= bytes || had(slot)) && self.allows(at, rank, slot.place.site.id, rule)
        });
        let best = allowed.min_by(|a, b| {
            let order = |slot: &Slot<'_>| (!had(slot), slot.fill_with(bytes));
            let ((a_had, a_fill), (b_had, b_fill)) = (order(a), order(b));
            a_had
                .cmp(&b_had)
                .then(a_fill.total_cmp(&b_fill))
                .then(a.place.site.id.cmp(&b.place.site.id))
        });
        best.map(|slot| slot.place.site.id).ok_or_else(|| {
            let outside =
                taking.iter().filter(|slot| !self.members[at].contains(&slot.place.site.id));
            let nodes: BTreeSet<NodeId> = outside.map(|slot| slot.place.site.node).collect();
            PlacementError::NoSubstitute {
                rank: usize::from(rank),
                disks: taking.len(),
                spare_nodes: nodes.len(),
                domain: self.domain,
            }
        })
    }

    fn apply(&mut self, at: usize, rank: u8, to: DiskId, must: bool) -> Move {
        let group = &self.groups[at];
        let bytes = weight(group);
        let from = std::mem::replace(&mut self.members[at][usize::from(rank)], to);
        if let Some(slot) = self.slots.get_mut(&from)
            && slot.ranks.remove(&(at, rank))
        {
            slot.load -= bytes;
        }
        if let Some(slot) = self.slots.get_mut(&to) {
            slot.ranks.insert((at, rank));
            slot.load += bytes;
            slot.room = slot.room.saturating_sub(bytes);
        }
        self.left[at].retain(|former| former.disk != to);
        self.left[at].push(Former { rank, disk: from });
        self.fixed[at].insert(rank);
        Move { group: group.id, rank, from, to, bytes: group.shard_bytes, must }
    }

    /// Mean fill of the disks that take part.
    fn mean(&self) -> f64 {
        let taking = self.slots.values().filter(|slot| slot.place.takes);
        let (load, capacity) = taking.fold((0.0, 0.0), |(load, capacity), slot| {
            (load + real(slot.load), capacity + real(slot.capacity()))
        });
        if capacity > 0.0 { load / capacity } else { 0.0 }
    }

    fn is_uneven(&self) -> bool {
        let mean = self.mean();
        let far = mean * BEGIN_PER_CENT / 100.0;
        self.slots
            .values()
            .filter(|slot| slot.place.takes)
            .any(|slot| (slot.fill() - mean).abs() > far)
    }

    /// Gives moves that have been chosen, but not begun, other targets.
    fn choose_better(&mut self, placed: &BTreeMap<(usize, u8), usize>, moves: &mut [Move]) {
        let had = |at: usize, former| self.groups[at].former.contains(&former);
        // Where shards still are is worth more than evenness.
        let free: BTreeSet<(usize, u8)> = placed
            .iter()
            .filter(|((at, rank), place)| {
                !had(*at, Former { rank: *rank, disk: moves[**place].to })
            })
            .map(|(rank, _)| *rank)
            .collect();
        self.descend(0.0, Some(&free), |state, at, rank, to| {
            let place = placed[&(at, rank)];
            let left = state.left[at].clone();
            state.apply(at, rank, to, true);
            state.left[at] = left;
            moves[place].to = to;
        });
    }

    /// Moves ranks from fuller to emptier disks until that helps no more.
    fn even_out(&mut self, moves: &mut Vec<Move>) {
        self.descend(END_PER_CENT, None, |state, at, rank, to| {
            moves.push(state.apply(at, rank, to, false));
        });
    }

    /// Calls `step` with ranks and emptier disks for them until no two disks differ by more than
    /// `near_per_cent` of the mean, or nothing helps. `only`: the ranks that may go; else all but those
    /// that have moved.
    fn descend(
        &mut self,
        near_per_cent: f64,
        only: Option<&BTreeSet<(usize, u8)>>,
        mut step: impl FnMut(&mut Self, usize, u8, DiskId),
    ) {
        // Disks to which nothing could move are looked at again only after a round that moved
        // something elsewhere: in a cluster where the rule forbids much, they would be in the way
        // of every move.
        loop {
            let (mut done, mut blocked) = (true, BTreeSet::new());
            while let Some(to) = self.emptiest(&blocked) {
                match self.source_for(to, near_per_cent, only) {
                    Some((at, rank)) => {
                        step(self, at, rank, to);
                        done = false;
                    }
                    None => {
                        blocked.insert(to);
                    }
                }
            }
            if done {
                return;
            }
        }
    }

    fn emptiest(&self, but: &BTreeSet<DiskId>) -> Option<DiskId> {
        self.slots
            .iter()
            .filter(|(disk, slot)| slot.place.takes && !but.contains(disk))
            .min_by(|(a, a_slot), (b, b_slot)| {
                a_slot.fill().total_cmp(&b_slot.fill()).then(a.cmp(b))
            })
            .map(|(disk, _)| *disk)
    }

    /// The rank that goes to this disk, from the fullest that has one to give.
    fn source_for(
        &self,
        to: DiskId,
        near_per_cent: f64,
        only: Option<&BTreeSet<(usize, u8)>>,
    ) -> Option<(usize, u8)> {
        let least = self.slots[&to].fill() + self.mean() * near_per_cent / 100.0;
        let mut fuller: Vec<(f64, DiskId)> = self
            .slots
            .iter()
            .filter(|(_, slot)| slot.place.takes && slot.fill() > least)
            .map(|(disk, slot)| (slot.fill(), *disk))
            .collect();
        fuller.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        fuller.into_iter().find_map(|(_, from)| self.best_fit(from, to, only))
    }

    /// The ranks of a disk, and what they weigh, by policy.
    fn by_policy(&self, slot: &Slot<'_>) -> BTreeMap<(usize, usize), (u64, u64)> {
        let mut sums: BTreeMap<(usize, usize), (u64, u64)> = BTreeMap::new();
        for (at, _) in &slot.ranks {
            let group = &self.groups[*at];
            let (ranks, bytes) = sums.entry(key(group.policy)).or_default();
            *ranks += 1;
            *bytes = bytes.saturating_add(weight(group));
        }
        sums
    }

    /// The rank on `from` whose move to `to` makes the two most nearly equally full; `None` if none may
    /// move, or all would only turn the tables.
    fn best_fit(
        &self,
        from: DiskId,
        to: DiskId,
        only: Option<&BTreeSet<(usize, u8)>>,
    ) -> Option<(usize, u8)> {
        let (source, target) = (&self.slots[&from], &self.slots[&to]);
        // With loads a, b and capacities u, v, the sum of load^2 / capacity falls by a move of x bytes
        // while x < 2 (a v - b u) / (u + v), and most at half of that.
        let wide = |number: u64| i128::from(number);
        let (u, v) = (wide(source.capacity()), wide(target.capacity()));
        let gap = wide(source.load) * v - wide(target.load) * u;
        let best = gap / (u + v);
        // What each policy has too much of here: ranks, and bytes. The largest groups would close the gap
        // with the fewest ranks, but then the next objects went elsewhere. So as many bytes go with
        // each rank as it takes for both gaps to close together.
        let (here, there) = (self.by_policy(source), self.by_policy(target));
        let wanted = |policy: (usize, usize)| {
            let (ranks, bytes) = here.get(&policy).copied().unwrap_or_default();
            let (other_ranks, other_bytes) = there.get(&policy).copied().unwrap_or_default();
            let ranks = (wide(ranks) * v - wide(other_ranks) * u) / (u + v);
            let bytes = (wide(bytes) * v - wide(other_bytes) * u) / (u + v);
            (ranks > 0).then(|| bytes / ranks)
        };
        let wanted: BTreeMap<(usize, usize), Option<i128>> =
            here.keys().map(|policy| (*policy, wanted(*policy))).collect();
        let candidates = source.ranks.iter().filter(|(at, rank)| {
            let group = &self.groups[*at];
            let bytes = weight(group);
            let smaller = wide(bytes) * (u + v) < 2 * gap;
            let rule = self.rules[&key(group.policy)].as_ref();
            let may_go = match only {
                Some(only) => only.contains(&(*at, *rank)),
                None => !self.fixed[*at].contains(rank),
            };
            smaller
                && may_go
                && bytes <= target.room
                && rule.is_ok_and(|rule| self.allows(*at, *rank, to, *rule))
        });
        candidates
            .min_by_key(|(at, rank)| {
                let group = &self.groups[*at];
                let wanted = wanted.get(&key(group.policy)).copied().flatten();
                let off = (wide(weight(group)) - wanted.unwrap_or(best)).abs();
                // Among equals by chance: two new disks that took the ranks of the same groups could
                // not take over from each other later.
                let id = group.id;
                let chance = u64::from(id.0) << 40 | u64::from(*rank) << 32 | u64::from(to.0);
                (wanted.is_none(), off, Random::at(chance), id, *rank)
            })
            .copied()
    }
}

fn weight(group: &Load) -> u64 {
    group.shard_bytes.saturating_add(GROUP_BYTES)
}
