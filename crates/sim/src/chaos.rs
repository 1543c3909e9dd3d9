//! What goes wrong, and when: drawn from the seed, one fault after the other, each with its end.

use std::time::Duration;

use rand::{Rng, rngs::StdRng, seq::SliceRandom};
use shardstore::memory::{Delays, WriteFault};
use turmoil::Sim;
use types::NodeId;

use crate::{
    invariants::{count, intact, referenced},
    scenario::{Faults, stream},
    world::{Part, World},
};

/// What ends a fault.
#[derive(Clone, Debug)]
enum End {
    Start(String),
    Network { links: Vec<(String, String)>, held: bool },
    SlowLinks(Vec<(String, String)>),
    SlowDisk(usize),
    SlowLog(usize),
    DiskFailure(usize),
    BadWrites(usize),
    Clock(usize),
}

/// The faults of a run.
pub struct Chaos {
    random: StdRng,
    faults: Faults,
    /// When the next one begins, in microseconds.
    next: u64,
    /// What ends when.
    ends: Vec<(u64, End)>,
    /// Hosts that are down.
    down: Vec<String>,
    /// A host that crashes again: how often, and when next.
    storm: Option<(String, u32, u64)>,
    /// Links are cut or held: one such fault at a time, so that its end is plain.
    network: bool,
    begun: usize,
}

impl Chaos {
    /// The faults of a world's scenario.
    pub fn new(world: &World) -> Self {
        Self {
            random: stream(world.scenario.seed, "chaos"),
            faults: world.scenario.faults,
            // The cluster is made first.
            next: 4_000_000,
            ends: Vec::new(),
            down: Vec::new(),
            storm: None,
            network: false,
            begun: 0,
        }
    }

    /// How many faults there were.
    pub fn begun(&self) -> usize {
        self.begun
    }

    /// Between two ticks: ends what is due, restarts who stopped, begins what is due.
    pub fn step(&mut self, sim: &mut Sim<'_>, world: &World) {
        let now = world.time.us();
        let due: Vec<End>;
        (due, self.ends) = {
            let (due, later): (Vec<_>, Vec<_>) =
                self.ends.drain(..).partition(|(until, _)| *until <= now);
            (due.into_iter().map(|(_, end)| end).collect(), later)
        };
        for end in due {
            self.end(sim, world, end);
        }
        let voted = std::mem::take(&mut *world.voted.lock());
        if self.faults.vote_crash && self.next < u64::MAX {
            self.crash_voters(sim, world, &voted);
        }
        let stopped = std::mem::take(&mut *world.stopped.lock());
        for host in stopped {
            self.crash(sim, world, &host, 500_000);
        }
        if let Some((host, left, at)) = self.storm.clone()
            && at <= now
        {
            self.crash(sim, world, &host, 300_000);
            let next = now + self.random.random_range(400_000..2_500_000);
            self.storm = (left > 1).then_some((host, left - 1, next));
        }
        if self.next <= now {
            self.next = now + self.pause_us(world);
            self.begin(sim, world);
        }
    }

    /// Ends everything at once, and begins nothing any more.
    pub fn stop(&mut self, sim: &mut Sim<'_>, world: &World) {
        self.next = u64::MAX;
        self.storm = None;
        for (_, end) in std::mem::take(&mut self.ends) {
            self.end(sim, world, end);
        }
        for site in 0..clocks(world) {
            clock(world, site).set(0, 0);
        }
    }

    fn pause_us(&mut self, world: &World) -> u64 {
        let most = world.scenario.fault_pause_ms * 1000;
        self.random.random_range(most / 4..=most)
    }

    fn until(&mut self, world: &World, least_ms: u64, most_ms: u64) -> u64 {
        world.time.us() + self.random.random_range(least_ms * 1000..=most_ms * 1000)
    }

    fn begin(&mut self, sim: &mut Sim<'_>, world: &World) {
        let Faults {
            crash,
            blackout,
            storm,
            partition,
            one_way,
            hold,
            slow_link,
            slow_disk,
            io_error,
            bit_rot,
            clock,
            moves,
            bad_write,
            members,
            vote_crash: _,
            late: _,
        } = self.faults;
        type Begin = fn(&mut Chaos, &mut Sim<'_>, &World);
        let all: [(bool, Begin); 14] = [
            (crash, Self::begin_crash),
            (blackout, Self::begin_blackout),
            (storm, Self::begin_storm),
            (partition, |it, sim, world| it.begin_cut(sim, world, false)),
            (one_way, |it, sim, world| it.begin_cut(sim, world, true)),
            (hold, Self::begin_hold),
            (slow_link, Self::begin_slow_link),
            (slow_disk, |it, _, world| it.begin_slow_disk(world)),
            (io_error, |it, _, world| it.begin_io_error(world)),
            (bit_rot, |it, _, world| it.begin_bit_rot(world)),
            (clock, |it, _, world| it.begin_clock(world)),
            (moves, |_, _, world| *world.moves.lock() += 1),
            (bad_write, Self::begin_bad_writes),
            (members, |it, _, world| it.begin_membership(world)),
        ];
        let enabled: Vec<Begin> = all.into_iter().filter(|it| it.0).map(|it| it.1).collect();
        if enabled.is_empty() {
            return;
        }
        let chosen = self.random.random_range(0..enabled.len());
        self.begun += 1;
        enabled[chosen](self, sim, world);
    }

    // ---- crashes

    fn begin_crash(&mut self, sim: &mut Sim<'_>, world: &World) {
        let hosts = world.hosts();
        let host = hosts[self.random.random_range(0..hosts.len())].clone();
        let down = self.random.random_range(100_000..9_000_000);
        self.crash(sim, world, &host, down);
    }

    fn begin_blackout(&mut self, sim: &mut Sim<'_>, world: &World) {
        world.note("blackout");
        for host in world.hosts() {
            let down = self.random.random_range(100_000..2_000_000);
            self.crash(sim, world, &host, down);
        }
    }

    fn begin_storm(&mut self, _sim: &mut Sim<'_>, world: &World) {
        let hosts = world.hosts();
        let host = hosts[self.random.random_range(0..hosts.len())].clone();
        world.note(&format!("storm over {host}"));
        self.storm = Some((host, self.random.random_range(3..7), world.time.us()));
    }

    /// Metadata nodes have voted, or stand for election. Some crash before the next sync.
    fn crash_voters(&mut self, sim: &mut Sim<'_>, world: &World, voted: &[NodeId]) {
        for site in world.metas.iter().filter(|site| voted.contains(&site.node)) {
            if self.random.random_range(0..4) == 0 {
                world.note(&format!("{} has just voted", site.host));
                let down = self.random.random_range(100_000..3_000_000);
                self.crash(sim, world, &site.host, down);
            }
        }
    }

    /// A host loses its power, and what was not synced: all of it, or a part.
    fn crash(&mut self, sim: &mut Sim<'_>, world: &World, host: &str, down_us: u64) {
        if self.down.iter().any(|down| down == host) {
            return;
        }
        sim.crash(host);
        let mut lost = 0;
        if let Some(site) = world.metas.iter().find(|site| site.host == host) {
            *site.running.lock() = None;
            let kept = self.random.random_range(0..=site.disk.unsynced());
            lost = site.disk.unsynced() - kept;
            site.disk.crash(kept);
            site.disk.fail_syncs(0);
        }
        if let Some(site) = world.datas.iter().find(|site| site.host == host) {
            let kept = self.random.random_range(0..=site.store.unsynced());
            lost = site.store.unsynced() - kept;
            site.store.crash(kept);
        }
        world.note(&format!("crash {host}, {lost} writes lost"));
        self.down.push(host.to_owned());
        self.ends.push((world.time.us() + down_us, End::Start(host.to_owned())));
    }

    // ---- network

    fn begin_cut(&mut self, sim: &mut Sim<'_>, world: &World, one_way: bool) {
        if self.network {
            return;
        }
        let links = self.links(world);
        world.note(&format!("cut {}{links:?}", if one_way { "one way " } else { "" }));
        for (a, b) in &links {
            match one_way {
                true => sim.partition_oneway(a.as_str(), b.as_str()),
                false => sim.partition(a.as_str(), b.as_str()),
            }
        }
        self.network = true;
        let until = self.until(world, 300, 12_000);
        self.ends.push((until, End::Network { links, held: false }));
    }

    fn begin_hold(&mut self, sim: &mut Sim<'_>, world: &World) {
        if self.network {
            return;
        }
        let links = self.links(world);
        world.note(&format!("hold {links:?}"));
        for (a, b) in &links {
            sim.hold(a.as_str(), b.as_str());
        }
        self.network = true;
        let until = self.until(world, 100, 6_000);
        self.ends.push((until, End::Network { links, held: true }));
    }

    /// The links of one host, those between two halves, or some.
    fn links(&mut self, world: &World) -> Vec<(String, String)> {
        let mut hosts = world.hosts();
        hosts.shuffle(&mut self.random);
        let kind = self.random.random_range(0..4);
        let cut = match kind {
            0 => 1,
            1 => {
                // The metadata nodes alone, where it matters who has a majority.
                hosts.retain(|host| host.starts_with("meta"));
                self.random.random_range(1..hosts.len())
            }
            _ => self.random.random_range(1..hosts.len()),
        };
        let (left, right) = hosts.split_at(cut);
        let mut links = Vec::new();
        for a in left {
            for b in right {
                if kind != 3 || self.random.random_range(0..3) == 0 {
                    links.push((a.clone(), b.clone()));
                }
            }
        }
        links
    }

    fn begin_slow_link(&mut self, sim: &mut Sim<'_>, world: &World) {
        let links = self.links(world);
        let latency = Duration::from_millis(self.random.random_range(50..1500));
        world.note(&format!("slow {latency:?} {links:?}"));
        for (a, b) in &links {
            sim.set_link_max_message_latency(a.as_str(), b.as_str(), latency);
        }
        let until = self.until(world, 500, 8_000);
        self.ends.push((until, End::SlowLinks(links)));
    }

    // ---- disks

    fn begin_slow_disk(&mut self, world: &World) {
        let slow = Duration::from_millis(self.random.random_range(20..2500));
        let number = self.random.random_range(0..world.metas.len() + world.datas.len());
        let until = self.until(world, 500, 10_000);
        match number.checked_sub(world.metas.len()) {
            Some(data) => {
                world.note(&format!("slow disk {slow:?} of {}", world.datas[data].host));
                world.datas[data].store.set_delays(Delays { read: slow / 4, sync: slow });
                self.ends.push((until, End::SlowDisk(data)));
            }
            None => {
                world.note(&format!("slow disk {slow:?} of {}", world.metas[number].host));
                world.metas[number].disk.set_sync_delay(slow);
                self.ends.push((until, End::SlowLog(number)));
            }
        }
    }

    fn begin_io_error(&mut self, world: &World) {
        let number = self.random.random_range(0..world.metas.len() + world.datas.len());
        match number.checked_sub(world.metas.len()) {
            Some(data) => {
                world.note(&format!("the disk of {} fails", world.datas[data].host));
                world.datas[data].store.fail_next_write(WriteFault::Io);
                let until = self.until(world, 500, 10_000);
                self.ends.push((until, End::DiskFailure(data)));
            }
            // It stops itself, and is started again.
            None => {
                world.note(&format!("an fsync of {} fails", world.metas[number].host));
                world.metas[number].disk.fail_syncs(1);
            }
        }
    }

    /// Flips a bit, unless the code could not take it.
    fn begin_bit_rot(&mut self, world: &World) {
        let Some(blobs) = referenced(world) else { return };
        let number = self.random.random_range(0..world.datas.len());
        let site = &world.datas[number];
        let candidates: Vec<_> = site
            .store
            .shards()
            .into_iter()
            .filter(|shard| site.store.is_durable(*shard) && site.store.is_intact(*shard))
            .filter(|shard| {
                let found = blobs.get(&shard.blob);
                found.is_some_and(|it| count(&intact(world, &it.blob)) > it.blob.policy.k())
            })
            .collect();
        if candidates.is_empty() {
            return;
        }
        let shard = candidates[self.random.random_range(0..candidates.len())];
        if self.random.random_range(0..3) == 0 {
            world.note(&format!("{shard:?} of {} is lost", site.host));
            site.store.forget(shard);
            world.lost.lock().insert((number, shard));
        } else if site.store.flip_bit(shard, 0, self.random.random_range(0..1 << 20)) {
            world.note(&format!("a bit flips in {shard:?} of {}", site.host));
            world.rotten.lock().insert((number, shard));
        }
    }

    /// A disk that was away, so that repairs wait for it, comes back and writes wrongly.
    fn begin_bad_writes(&mut self, sim: &mut Sim<'_>, world: &World) {
        let number = self.random.random_range(0..world.datas.len());
        let host = &world.datas[number].host;
        world.note(&format!("the disk of {host} is to write wrongly"));
        world.bad_writers.lock().insert(number);
        let down = self.random.random_range(1_000_000..4_000_000);
        self.crash(sim, world, host, down);
        let until = self.until(world, 6_000, 15_000);
        self.ends.push((until, End::BadWrites(number)));
    }

    // ---- membership

    /// A spare joins, or a disk is to be emptied and its node removed.
    fn begin_membership(&mut self, world: &World) {
        let spare = world.datas.iter().find(|site| *site.part.lock() == Part::Spare);
        match spare.filter(|_| self.random.random_range(0..2) == 0) {
            Some(spare) => {
                world.note(&format!("{} is to join", spare.host));
                *spare.part.lock() = Part::Member;
            }
            None => *world.drains.lock() += 1,
        }
    }

    // ---- clocks

    fn begin_clock(&mut self, world: &World) {
        let site = self.random.random_range(0..clocks(world));
        // A partition's clock is the latest that a leader of it ever had, and refuses writes whose
        // deadline it is past: metadata nodes are less far ahead than writes may take. So are
        // gateways, whose orphans would have to lie for as long.
        let is_meta = site < world.metas.len();
        let most = [100, 2_000, 4_000, 600_000][self.random.random_range(0..4)];
        let behind = if is_meta { 4_000.min(most) } else { most };
        let offset = self.random.random_range(-behind..=most.min(4_000));
        let drift = self.random.random_range(-20_000..20_000);
        world.note(&format!("clock {site} is {offset} ms off and drifts {drift} ppm"));
        clock(world, site).set(offset, drift);
        let until = self.until(world, 500, 15_000);
        self.ends.push((until, End::Clock(site)));
    }

    // ---- ends

    fn end(&mut self, sim: &mut Sim<'_>, world: &World, end: End) {
        match end {
            End::Start(host) => {
                world.note(&format!("start {host}"));
                self.down.retain(|down| *down != host);
                sim.bounce(host.as_str());
            }
            End::Network { links, held } => {
                world.note("the network is whole");
                for (a, b) in &links {
                    match held {
                        true => sim.release(a.as_str(), b.as_str()),
                        false => sim.repair(a.as_str(), b.as_str()),
                    }
                }
                self.network = false;
            }
            End::SlowLinks(links) => {
                for (a, b) in &links {
                    let latency = world.scenario.latency_max;
                    sim.set_link_max_message_latency(a.as_str(), b.as_str(), latency);
                }
                world.note("links are fast again");
            }
            End::SlowDisk(data) => world.datas[data].store.set_delays(Delays::default()),
            End::SlowLog(meta) => world.metas[meta].disk.set_sync_delay(Duration::ZERO),
            End::BadWrites(data) => drop(world.bad_writers.lock().remove(&data)),
            // Somebody looks after it: the node is started again.
            End::DiskFailure(data) => {
                let host = world.datas[data].host.clone();
                self.crash(sim, world, &host, 300_000);
            }
            End::Clock(site) => clock(world, site).set(0, 0),
        }
    }
}

fn clocks(world: &World) -> usize {
    world.metas.len() + world.datas.len() + world.gateways.len()
}

fn clock(world: &World, site: usize) -> &crate::time::NodeClock {
    let metas = world.metas.iter().map(|site| &site.clock);
    let datas = world.datas.iter().map(|site| &site.clock);
    let mut all = metas.chain(datas).chain(world.gateways.iter().map(|site| &site.clock));
    all.nth(site).expect("it is one of `clocks`")
}
