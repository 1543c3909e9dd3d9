//! Time and events.
//!
//! Everything that comes at a constant rate (exponential failures, bursts, outages) is one clock:
//! the time to the next such event is drawn from the sum of the rates, drawn anew after each event,
//! which exponential times allow. What has a fixed time waits in a heap. With shared bandwidth the
//! next end of a repair is computed from its speed instead.

use std::collections::BinaryHeap;

use placement::PlacementError;
use rand::{Rng, SeedableRng, rngs::SmallRng};

use super::{
    Contention, Lifetime, Outcome, Scope, Settings,
    due::{Due, Event},
    gamma::gamma,
    outcome::Tally,
    state::{Member, State},
    transfer::Transfers,
};
use crate::RepairTime;

/// Stretches that a run is cut into for its confidence interval.
const STRETCHES: usize = 50;

/// Simulates `years` years of the cluster as they are. Fails if the placer cannot form groups.
pub fn simulate(settings: &Settings, years: f64, seed: u64) -> Result<Outcome, PlacementError> {
    let mut engine = Engine::new(settings, seed)?;
    if settings.lifetime != Lifetime::Exponential {
        // All disks are new at first: a mean lifetime later their ages are mixed.
        engine.run_until(1.0 / settings.failures_per_hour());
        engine.tally = Tally::default();
    }
    let stretch = years * crate::HOURS_PER_YEAR / STRETCHES as f64;
    let begin = engine.now;
    let mut tallies = Vec::with_capacity(STRETCHES);
    for number in 1..=STRETCHES {
        engine.run_until(begin + stretch * number as f64);
        tallies.push(std::mem::take(&mut engine.tally));
    }
    Ok(Outcome::of(&tallies, engine.state.groups(), engine.events))
}

/// What comes at a constant rate.
enum Arrival {
    Failure,
    Burst(usize),
    Outage,
}

/// How failures are made more frequent than they are, see [`super::rare`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Bias {
    /// Failures of disks per hour, at least, while members are lost.
    pub(super) failures_per_hour: f64,
    /// Half of the bursts lose this share of their nodes at least.
    pub(super) lost_node_share: f64,
}

pub(super) struct Engine<'a> {
    settings: &'a Settings,
    pub(super) state: State,
    random: SmallRng,
    now: f64,
    heap: BinaryHeap<Due>,
    scheduled: u64,
    pub(super) events: u64,
    transfers: Transfers,
    /// By disk: the repair of a disk alone, with a spare domain and without.
    alone: Vec<(RepairTime, RepairTime)>,
    lives: Vec<u32>,
    attempts: Vec<u32>,
    /// Members that have no substitute.
    waiting: Vec<Member>,
    offline: Vec<u32>,
    offline_reasons: u32,
    /// By disk: when in the scrub interval it is scrubbed.
    scrub_phase: Vec<f64>,
    racks: Vec<Vec<usize>>,
    pub(super) tally: Tally,
    pub(super) bias: Option<Bias>,
    /// Failures since the cluster was whole.
    failures: usize,
    /// How much likelier the path really is than it was made.
    weight: f64,
}

impl<'a> Engine<'a> {
    pub(super) fn new(settings: &'a Settings, seed: u64) -> Result<Self, PlacementError> {
        let assumptions = &settings.assumptions;
        assert!(
            assumptions.replacement_hours >= assumptions.detection_hours,
            "a disk is given up before it is replaced"
        );
        for burst in &settings.bursts {
            let outage_s = burst.outage_hours * 3600.0;
            assert!(outage_s >= burst.window_s, "a burst ends after the last disk that it takes");
        }
        let plan = settings.plan(seed)?;
        let state = State::new(settings, seed)?;
        let with_spare = settings.repair_times(&plan, true);
        let without = settings.repair_times(&plan, false);
        let mut random = SmallRng::seed_from_u64(seed);
        let scrub_phase = (0..state.disks())
            .map(|_| random.random::<f64>() * assumptions.scrub_interval_hours)
            .collect();
        let mut engine = Self {
            settings,
            random,
            now: 0.0,
            heap: BinaryHeap::new(),
            scheduled: 0,
            events: 0,
            transfers: Transfers::new(state.disks(), assumptions.repair_mb_per_s * 3.6e9),
            alone: with_spare.into_iter().zip(without).collect(),
            lives: vec![0; state.disks()],
            attempts: vec![0; state.groups() * settings.policy.n()],
            waiting: Vec::new(),
            offline: vec![0; state.node_count()],
            offline_reasons: 0,
            scrub_phase,
            racks: state.racks(),
            state,
            tally: Tally::default(),
            bias: None,
            failures: 0,
            weight: 1.0,
        };
        for disk in 0..engine.state.disks() {
            engine.schedule_end_of_life(disk);
        }
        Ok(engine)
    }

    /// Whether the cluster is as at the start, but for where its members are.
    pub(super) fn is_whole(&self) -> bool {
        self.state.is_whole() && self.offline_reasons == 0
    }

    /// A new cycle: what is still in the heap are repairs that were begun anew since.
    pub(super) fn renew(&mut self) {
        self.state.go_home();
        self.heap.clear();
        self.failures = 0;
        self.weight = 1.0;
    }

    pub(super) fn run_until(&mut self, end: f64) {
        while self.now < end {
            self.step(end);
        }
    }

    /// The rates of the clock now: failures as they are, failures as they are drawn, bursts,
    /// outages.
    pub(super) fn rates(&self) -> [f64; 4] {
        let failures = match self.settings.lifetime {
            Lifetime::Exponential => {
                self.settings.failures_per_hour() * self.state.live_disks() as f64
            }
            Lifetime::Weibull { .. } => 0.0,
        };
        let drawn = match self.bias {
            Some(bias)
                if self.state.lost_members > 0
                    && self.state.ended_groups == 0
                    && self.failures <= self.settings.policy.m() =>
            {
                failures.max(bias.failures_per_hour)
            }
            _ => failures,
        };
        let bursts: f64 = self.settings.bursts.iter().map(|burst| burst.per_year).sum();
        let outages = self.settings.outages_per_node_year * self.state.node_count() as f64;
        let year = crate::HOURS_PER_YEAR;
        [failures, drawn, bursts / year, outages / year]
    }

    /// One event, or to `end` if none comes before.
    pub(super) fn step(&mut self, end: f64) {
        let [failures, drawn, bursts, outages] = self.rates();
        let arrivals = drawn + bursts + outages;
        let to_arrival = -(1.0 - self.random.random::<f64>()).ln() / arrivals;
        let to_due = self.heap.peek().map_or(f64::INFINITY, |due| due.hours - self.now).max(0.0);
        let to_end_of_repair = self.transfers.next_end_hours().max(0.0);
        let next = to_arrival.min(to_due).min(to_end_of_repair);
        if next >= end - self.now {
            self.advance(end - self.now, drawn - failures);
            self.now = end;
            return;
        }
        self.advance(next, drawn - failures);
        self.events += 1;
        if next == to_due {
            let due = self.heap.pop().expect("it was peeked at");
            self.happen(due.event);
        } else if next == to_end_of_repair {
            if let Some(member) = self.transfers.take_ended() {
                self.restored(member);
            }
        } else {
            match self.draw_arrival(drawn, bursts, arrivals) {
                Arrival::Failure => {
                    self.weight *= failures / drawn;
                    let index = self.random.random_range(0..self.state.live_disks());
                    self.fail(self.state.live_disk(index));
                }
                Arrival::Burst(index) => self.burst(index),
                Arrival::Outage => self.outage(),
            }
        }
        self.transfers.share(&self.state, &self.offline);
    }

    fn draw_arrival(&mut self, failures: f64, bursts: f64, all: f64) -> Arrival {
        let mut at = self.random.random::<f64>() * all - failures;
        if at < 0.0 {
            return Arrival::Failure;
        }
        if at >= bursts {
            return Arrival::Outage;
        }
        for (index, burst) in self.settings.bursts.iter().enumerate() {
            at -= burst.per_year / crate::HOURS_PER_YEAR;
            if at < 0.0 {
                return Arrival::Burst(index);
            }
        }
        Arrival::Burst(self.settings.bursts.len() - 1)
    }

    /// Lets time go by without an event. `too_many` is by how much failures are drawn more often
    /// than they come, per hour: a path without any gains weight by the hour.
    fn advance(&mut self, hours: f64, too_many: f64) {
        let gain = too_many * hours;
        let weighted_hours =
            self.weight * if gain > 0.0 { gain.exp_m1() / too_many } else { hours };
        let at_risk = (self.state.groups() - self.state.ended_groups) as f64;
        let latent = self.state.critical_groups as f64
            * self.state.policy.k() as f64
            * self.latent_per_member_hour();
        self.tally.hours += weighted_hours;
        self.tally.group_hours += weighted_hours * at_risk;
        self.tally.latent += weighted_hours * latent;
        self.weight *= gain.exp();
        self.transfers.advance(hours);
        self.now += hours;
    }

    fn latent_per_member_hour(&self) -> f64 {
        self.settings.assumptions.latent_errors_per_disk_year
            / self.settings.permutations as f64
            / crate::HOURS_PER_YEAR
    }

    fn schedule(&mut self, hours: f64, event: Event) {
        self.scheduled += 1;
        self.heap.push(Due { hours: self.now + hours, number: self.scheduled, event });
    }

    fn schedule_end_of_life(&mut self, disk: usize) {
        if let Lifetime::Weibull { shape } = self.settings.lifetime {
            let scale = 1.0 / (self.settings.failures_per_hour() * gamma(1.0 + 1.0 / shape));
            let exponential = -(1.0 - self.random.random::<f64>()).ln();
            let life = self.lives[disk];
            self.schedule(scale * exponential.powf(1.0 / shape), Event::Fail { disk, life });
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Fail { disk, life } => {
                if self.lives[disk] == life && self.state.is_alive(disk) {
                    self.fail(disk);
                }
            }
            Event::Detect { disk } => {
                for member in self.state.members_of(disk).to_vec() {
                    if self.state.substitute(member) {
                        self.begin(member, self.alone[disk].0.transfer_hours);
                    } else {
                        self.waiting.push(member);
                    }
                }
            }
            Event::Replace { disk } => self.replace(disk),
            Event::Restored { member, attempt } => {
                if self.attempts[self.slot(member)] == attempt {
                    self.restored(member);
                }
            }
            Event::Answers { node } => {
                self.offline[node] -= 1;
                self.offline_reasons -= 1;
            }
        }
    }

    fn slot(&self, member: Member) -> usize {
        member.group * self.state.policy.n() + member.rank
    }

    fn fail(&mut self, disk: usize) {
        let ended_before = self.state.ended_groups;
        let failure = self.state.fail(disk);
        self.lives[disk] += 1;
        self.failures += 1;
        for member in failure.interrupted {
            let slot = self.slot(member);
            self.attempts[slot] += 1;
            self.transfers.cancel(member);
        }
        for group in failure.critical {
            let unscrubbed: f64 =
                self.state.survivors(group).map(|disk| self.hours_since_scrub(disk)).sum();
            self.tally.latent += self.weight * unscrubbed * self.latent_per_member_hour();
        }
        self.tally.losses += self.weight * failure.ended.len() as f64;
        self.tally.losses_seen += failure.ended.len() as u64;
        if ended_before == 0 && !failure.ended.is_empty() {
            self.tally.loss_events += self.weight;
        }
        self.schedule(self.settings.assumptions.detection_hours, Event::Detect { disk });
        self.schedule(self.settings.assumptions.replacement_hours, Event::Replace { disk });
    }

    fn hours_since_scrub(&self, disk: usize) -> f64 {
        (self.now + self.scrub_phase[disk]) % self.settings.assumptions.scrub_interval_hours
    }

    /// The repair of a member onto the disk where it is placed now.
    fn begin(&mut self, member: Member, hours_alone: f64) {
        let slot = self.slot(member);
        self.attempts[slot] += 1;
        match self.settings.contention {
            Contention::None => {
                let attempt = self.attempts[slot];
                self.schedule(hours_alone, Event::Restored { member, attempt });
            }
            Contention::Shared => {
                let bytes = self.settings.bytes_per_disk / self.settings.permutations as f64;
                self.transfers.begin(member, bytes);
            }
        }
    }

    fn restored(&mut self, member: Member) {
        self.state.restore(member);
        if self.state.lost_members == 0 {
            assert!(self.transfers.is_empty(), "repairs are of lost members");
        }
    }

    /// A new disk is there: members that waited for it are restored onto it, others that wait may
    /// have a substitute now.
    fn replace(&mut self, disk: usize) {
        self.state.replace(disk);
        self.schedule_end_of_life(disk);
        for member in std::mem::take(&mut self.waiting) {
            let old = self.state.disk_of(member);
            if self.state.is_alive(old) {
                self.begin(member, self.alone[old].1.transfer_hours);
            } else if self.state.substitute(member) {
                self.begin(member, self.alone[old].0.transfer_hours);
            } else {
                self.waiting.push(member);
            }
        }
    }

    fn outage(&mut self) {
        let node = self.random.random_range(0..self.state.node_count());
        let exponential = -(1.0 - self.random.random::<f64>()).ln();
        self.take_offline(node, self.settings.outage_mean_hours * exponential);
    }

    fn take_offline(&mut self, node: usize, hours: f64) {
        self.offline[node] += 1;
        self.offline_reasons += 1;
        self.schedule(hours, Event::Answers { node });
    }

    fn burst(&mut self, index: usize) {
        let burst = &self.settings.bursts[index];
        let nodes: Vec<usize> = match burst.scope {
            Scope::Cluster => (0..self.state.node_count()).collect(),
            Scope::Rack => {
                let rack = self.random.random_range(0..self.racks.len());
                self.racks[rack].clone()
            }
        };
        let share = burst.lost_node_share;
        let raised = self.bias.map_or(share, |bias| bias.lost_node_share.max(share));
        let drawn = if self.random.random::<bool>() { raised } else { share };
        let (mut as_is, mut as_raised) = (1.0, 1.0);
        for node in nodes {
            self.take_offline(node, burst.outage_hours);
            let lost = self.random.random::<f64>() < drawn;
            as_is *= if lost { share } else { 1.0 - share };
            as_raised *= if lost { raised } else { 1.0 - raised };
            if !lost {
                continue;
            }
            let hours = self.random.random::<f64>() * burst.window_s / 3600.0;
            for place in 0..self.state.disks_of_node(node).len() {
                let disk = self.state.disks_of_node(node)[place];
                let life = self.lives[disk];
                self.schedule(hours, Event::Fail { disk, life });
            }
        }
        // Drawn from the even mixture of both ways: the weight is at most 2.
        self.weight *= as_is / (0.5 * as_is + 0.5 * as_raised);
    }
}
