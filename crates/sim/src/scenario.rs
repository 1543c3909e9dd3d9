//! What a seed stands for: the size of the cluster, its network, and which faults it meets. Each
//! seed picks a subset of the faults, so that some runs have one of them alone and others all.

use std::time::Duration;

use rand::{Rng, SeedableRng, rngs::StdRng};
use types::ErasurePolicy;

/// A generator of its own for each part of a simulation: what one draws does not change the others.
pub fn stream(seed: u64, what: &str) -> StdRng {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seed.to_le_bytes()).update(what.as_bytes());
    StdRng::from_seed(*hasher.finalize().as_bytes())
}

/// The kinds of faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Faults {
    /// Hosts lose their power, and what was not synced with it; they come back.
    pub crash: bool,
    /// All hosts lose it at once.
    pub blackout: bool,
    /// A host crashes again and again.
    pub storm: bool,
    /// The network falls apart; some messages are lost for good.
    pub partition: bool,
    /// The same in one direction only.
    pub one_way: bool,
    /// Messages between two hosts are held back and delivered later.
    pub hold: bool,
    /// Links become slow.
    pub slow_link: bool,
    /// Disks become slow.
    pub slow_disk: bool,
    /// Disks fail until they are looked after.
    pub io_error: bool,
    /// Stored bits flip and shards vanish, as many as the code can take.
    pub bit_rot: bool,
    /// Clocks jump and drift.
    pub clock: bool,
    /// Ranks of placement groups move to other disks.
    pub moves: bool,
    /// Metadata nodes lose their power at the very moment that a vote of theirs is out.
    pub vote_crash: bool,
    /// Commands reach their group so late that what they were planned on has passed.
    pub late: bool,
    /// Disks write other bytes than they were given when shards are repaired, and do not notice.
    pub bad_write: bool,
    /// Data nodes join; others are emptied and removed.
    pub members: bool,
}

impl Faults {
    const NONE: Self = Self {
        crash: false,
        blackout: false,
        storm: false,
        partition: false,
        one_way: false,
        hold: false,
        slow_link: false,
        slow_disk: false,
        io_error: false,
        bit_rot: false,
        clock: false,
        moves: false,
        vote_crash: false,
        late: false,
        bad_write: false,
        members: false,
    };

    fn draw(random: &mut StdRng, more: &mut StdRng) -> Self {
        let mut coin = |of: u32| random.random_range(0..of) == 0;
        let mut other = |of: u32| more.random_range(0..of) == 0;
        Self {
            crash: coin(2),
            blackout: coin(4),
            storm: coin(5),
            partition: coin(2),
            one_way: coin(4),
            hold: coin(3),
            slow_link: coin(4),
            slow_disk: coin(3),
            io_error: coin(4),
            bit_rot: coin(3),
            clock: coin(3),
            moves: coin(3),
            vote_crash: other(4),
            late: other(4),
            bad_write: other(4),
            members: other(5),
        }
    }
}

/// A simulation.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// All of it follows from this.
    pub seed: u64,
    /// Metadata nodes.
    pub metas: usize,
    /// Data nodes with one disk each, of which the cluster is made.
    pub datas: usize,
    /// Data nodes that may join it.
    pub spares: usize,
    /// Gateways.
    pub gateways: usize,
    /// Clients of each gateway.
    pub clients: usize,
    /// Keys that clients share at a time.
    pub keys: u64,
    /// Index partitions.
    pub partitions: u16,
    /// The policy of all blobs.
    pub policy: ErasurePolicy,
    /// Simulated time under faults, in milliseconds.
    pub chaos_ms: u64,
    /// Simulated time in which everything must be well after them, in milliseconds.
    pub settle_ms: u64,
    /// The longest that a message takes while nothing is wrong.
    pub latency_max: Duration,
    /// What goes wrong.
    pub faults: Faults,
    /// The pause between two faults, in milliseconds.
    pub fault_pause_ms: u64,
    /// Log entries between snapshots.
    pub snapshot_every: u64,
}

impl Scenario {
    /// The scenario of a seed.
    pub fn of(seed: u64, calm: bool) -> Self {
        let (mut random, mut more) = (stream(seed, "scenario"), stream(seed, "more faults"));
        let policy = ErasurePolicy::new(4, 2).expect("4+2 is a policy");
        let mut scenario = Self {
            seed,
            metas: if random.random_range(0..5) == 0 { 5 } else { 3 },
            datas: random.random_range(6..=12),
            spares: 0,
            gateways: 2,
            clients: random.random_range(2..=4),
            keys: random.random_range(2..=6),
            partitions: random.random_range(1..=3),
            policy,
            chaos_ms: random.random_range(15_000..30_000),
            settle_ms: 120_000,
            latency_max: Duration::from_millis(random.random_range(2..30)),
            faults: if calm { Faults::NONE } else { Faults::draw(&mut random, &mut more) },
            fault_pause_ms: random.random_range(300..4000),
            snapshot_every: random.random_range(20..400),
        };
        if scenario.faults.members {
            scenario.spares = more.random_range(1..=2);
            // Every rank of some disks has to move.
            scenario.settle_ms *= 2;
        }
        scenario
    }
}
