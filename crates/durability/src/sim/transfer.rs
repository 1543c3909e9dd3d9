//! Repairs that share the disks' bandwidth.
//!
//! A fluid model. A repair reads its `k` chunks evenly from all members that are there and writes
//! one to its target. The speeds are max-min fair: all rise together until a disk has no bandwidth
//! left, then the repairs that need it stay, and the others go on rising. Repairs of the groups with
//! the most lost members are served first; others get what these leave.

use super::state::{Member, State};

struct Repair {
    member: Member,
    bytes_left: f64,
    bytes_per_hour: f64,
    /// Where its disks are in `Transfers::loads`.
    loads: std::ops::Range<usize>,
    /// Lost members of its group; 0 once its speed is settled, or if it cannot go.
    urgency: usize,
}

/// What a repair asks of a disk.
#[derive(Clone, Copy)]
struct Load {
    disk: usize,
    /// Bytes moved for each byte restored.
    share: f64,
}

/// All repairs under way.
pub(super) struct Transfers {
    repairs: Vec<Repair>,
    bytes_per_hour: f64,
    loads: Vec<Load>,
    /// By disk: bandwidth that is left, bytes per hour.
    left: Vec<f64>,
    /// By disk: the shares of all repairs whose speed still rises.
    demand: Vec<f64>,
}

impl Transfers {
    pub(super) fn new(disks: usize, bytes_per_hour: f64) -> Self {
        Self {
            repairs: Vec::new(),
            bytes_per_hour,
            loads: Vec::new(),
            left: vec![0.0; disks],
            demand: vec![0.0; disks],
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.repairs.is_empty()
    }

    pub(super) fn begin(&mut self, member: Member, bytes: f64) {
        self.repairs.push(Repair {
            member,
            bytes_left: bytes,
            bytes_per_hour: 0.0,
            loads: 0..0,
            urgency: 0,
        });
    }

    pub(super) fn cancel(&mut self, member: Member) {
        self.repairs.retain(|repair| repair.member != member);
    }

    /// Hours until the next one ends, if nothing happens before.
    pub(super) fn next_end_hours(&self) -> f64 {
        self.repairs
            .iter()
            .filter(|repair| repair.bytes_per_hour > 0.0)
            .map(|repair| repair.bytes_left / repair.bytes_per_hour)
            .fold(f64::INFINITY, f64::min)
    }

    pub(super) fn advance(&mut self, hours: f64) {
        for repair in &mut self.repairs {
            repair.bytes_left -= repair.bytes_per_hour * hours;
        }
    }

    /// Takes the one that has ended now: the one that has least to do.
    pub(super) fn take_ended(&mut self) -> Option<Member> {
        let index = self
            .repairs
            .iter()
            .enumerate()
            .filter(|(_, repair)| repair.bytes_per_hour > 0.0)
            .min_by(|(_, a), (_, b)| a.bytes_left.total_cmp(&b.bytes_left))?
            .0;
        Some(self.repairs.swap_remove(index).member)
    }

    /// Shares the bandwidth anew. `offline` tells by node how many reasons it has not to answer.
    pub(super) fn share(&mut self, state: &State, offline: &[u32]) {
        if self.repairs.is_empty() {
            return;
        }
        self.list_loads(state, offline);
        self.left.fill(self.bytes_per_hour);
        while let Some(most) = self.repairs.iter().map(|it| it.urgency).max().filter(|it| *it > 0) {
            self.serve(most);
        }
    }

    /// What each repair needs now. One whose target or sources do not answer needs nothing.
    fn list_loads(&mut self, state: &State, offline: &[u32]) {
        let answers = |disk: usize| offline[state.node_of(disk)] == 0;
        self.loads.clear();
        for repair in &mut self.repairs {
            let group = repair.member.group;
            let begin = self.loads.len();
            let target = state.disk_of(repair.member);
            self.loads.push(Load { disk: target, share: 1.0 });
            // A lost group has no sources: its bytes come from outside.
            if !state.is_ended(group) {
                let sources = state.survivors(group).filter(|disk| answers(*disk));
                self.loads.extend(sources.map(|disk| Load { disk, share: 0.0 }));
            }
            let sources = self.loads.len() - begin - 1;
            let share = state.policy.k() as f64 / sources.max(1) as f64;
            self.loads[begin + 1..].iter_mut().for_each(|load| load.share = share);
            repair.loads = begin..self.loads.len();
            repair.bytes_per_hour = 0.0;
            let goes = answers(target) && (share <= 1.0 || state.is_ended(group));
            repair.urgency = if goes { state.lost_in(group) } else { 0 };
        }
    }

    /// Settles the speeds of the repairs of this urgency.
    fn serve(&mut self, urgency: usize) {
        loop {
            self.demand.fill(0.0);
            let rising = self.repairs.iter().filter(|repair| repair.urgency == urgency);
            for load in rising.flat_map(|repair| &self.loads[repair.loads.clone()]) {
                self.demand[load.disk] += load.share;
            }
            let rise = |(left, demand): (&f64, &f64)| left.max(0.0) / demand;
            let level = self
                .left
                .iter()
                .zip(&self.demand)
                .filter(|(_, demand)| **demand > 0.0)
                .map(rise)
                .fold(f64::INFINITY, f64::min);
            if level == f64::INFINITY {
                return;
            }
            for (left, demand) in self.left.iter_mut().zip(&self.demand) {
                *left -= demand * level;
            }
            // A disk is full if it has less left than rounding leaves.
            let nothing = self.bytes_per_hour * 1e-9;
            for repair in self.repairs.iter_mut().filter(|repair| repair.urgency == urgency) {
                repair.bytes_per_hour += level;
                let mut loads = self.loads[repair.loads.clone()].iter();
                if loads.any(|load| self.left[load.disk] <= nothing) {
                    repair.urgency = 0;
                }
            }
        }
    }
}
