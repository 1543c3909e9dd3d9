//! Ranks change their disks when disks are lost, emptied, replaced or added, and everything can be read
//! all the time.

use std::{collections::BTreeMap, sync::Arc};

use cluster::{MemoryCluster, MemorySettings, Metadata};
use objects::Objects;
use placement::Domain;
use repair::{
    Care, Healer, Rebalancer, Settings, Step, Worker,
    membership::{self, MembershipError, Refusal},
};
use types::{BucketSettings, DiskId, DiskState, NodeId, PlacementGroup};

use crate::{
    drain,
    support::{BUCKET, content, get, put},
};

struct Cluster {
    memory: Arc<MemoryCluster>,
    objects: Objects,
    worker: Rebalancer,
    healer: Healer,
    /// Bytes that were copied to other disks.
    copied: u64,
    /// The most groups that had a move under way.
    moving_max: usize,
    keys: Vec<(String, u64)>,
}

const OBJECT_BYTES: usize = 100_000;

impl Cluster {
    async fn new(policy: &str, disks: usize) -> Self {
        let policy = policy.parse().expect("valid");
        let settings = MemorySettings {
            permutations: placement::permutations(disks, policy),
            ..MemorySettings::new(policy, disks)
        };
        let memory = Arc::new(MemoryCluster::with(settings));
        let objects = Objects::new(
            memory.clone(),
            memory.clone(),
            memory.clock(),
            objects::Settings::default(),
        );
        objects.create_bucket(BUCKET, BucketSettings::default()).await.expect("free");
        let worker = Rebalancer::new(&objects, &Settings::default());
        let unhurried = Settings { heal_bytes_per_s: 1 << 40, ..Settings::default() };
        let healer = Healer::new(&Care::new(objects.clone(), unhurried));
        Self { memory, objects, worker, healer, copied: 0, moving_max: 0, keys: Vec::new() }
    }

    async fn fill(&mut self, count: u64) {
        let from = self.keys.len() as u64;
        for seed in from..from + count {
            let key = format!("key-{seed}");
            put(&self.objects, &key, &content(seed, OBJECT_BYTES)).await.expect("up");
            self.keys.push((key, seed));
        }
        self.objects.settle().await;
    }

    async fn check(&self) {
        for (key, seed) in &self.keys {
            assert!(
                get(&self.objects, key).await.expect("readable") == content(*seed, OBJECT_BYTES)
            );
        }
    }

    fn groups(&self) -> Vec<PlacementGroup> {
        self.memory.map().groups.values().cloned().collect()
    }

    fn ranks_of(&self, disk: DiskId) -> usize {
        self.groups().iter().filter(|group| group.disks.contains(&disk)).count()
    }

    fn state(&self, disk: DiskId) -> DiskState {
        self.memory.map().disks[&disk].state
    }

    /// Brings the shards of all ranks that have moved to where they belong.
    async fn heal(&mut self) {
        let map = self.memory.map();
        let moving = map.groups.values().filter(|group| !group.former.is_empty());
        self.moving_max = self.moving_max.max(moving.clone().count());
        for (group, former) in moving.flat_map(|it| it.former.iter().map(|it2| (it.id, *it2))) {
            let stored = self.memory.stored(former.disk).await;
            let of_rank = stored.iter().filter(|entry| {
                entry.shard.blob.group() == group && entry.shard.rank == former.rank
            });
            self.copied += of_rank.map(|entry| entry.bytes).sum::<u64>();
        }
        drain(&mut self.healer).await;
    }

    /// Moves and heals until nothing moves any more.
    async fn settle(&mut self) {
        for _ in 0..1000 {
            drain(&mut self.worker).await;
            if self.groups().iter().all(|group| group.former.is_empty()) {
                return;
            }
            self.heal().await;
        }
        let (worker, healer) = (self.worker.status().1, self.healer.status().1);
        panic!("it never settles: {worker}; {healer}");
    }

    async fn used(&self) -> BTreeMap<DiskId, u64> {
        let mut used = BTreeMap::new();
        for disk in self.memory.disks() {
            let bytes = self.memory.stored(disk).await.iter().map(|entry| entry.bytes).sum();
            used.insert(disk, bytes);
        }
        used
    }

    /// How unequally full these disks are.
    async fn skew(&self, disks: &[DiskId]) -> f64 {
        let used = self.used().await;
        placement::skew(disks.iter().map(|disk| (used[disk], 1 << 30)))
    }

    /// Each rank on another node: what the rule asks for here.
    fn check_rule(&self) {
        let map = self.memory.map();
        for group in map.groups.values() {
            let mut nodes: Vec<NodeId> =
                group.disks.iter().map(|disk| map.disks[disk].node).collect();
            nodes.sort_unstable();
            nodes.dedup();
            assert_eq!(nodes.len(), group.policy.n(), "{group:?}");
        }
    }
}

#[tokio::test]
async fn a_lost_disk_gives_its_ranks_away_after_the_grace() {
    for (policy, grace_ms) in [("rs-4-2", 30_000), ("rs-4-3", 15 * 60_000)] {
        let mut cluster = Cluster::new(policy, 9).await;
        let lost = cluster.memory.disks()[0];
        if policy == "rs-4-2" {
            cluster.fill(60).await;
        }
        cluster.settle().await;
        let ranks = cluster.ranks_of(lost);
        assert!(ranks > 20);
        let moved_before = cluster.worker.status().0;
        cluster.memory.report_down(lost, true);
        drain(&mut cluster.worker).await;
        // It is back for a moment: the grace begins again.
        cluster.memory.clock().advance(grace_ms - 1);
        cluster.memory.report_down(lost, false);
        drain(&mut cluster.worker).await;
        cluster.memory.report_down(lost, true);
        drain(&mut cluster.worker).await;
        cluster.memory.clock().advance(grace_ms - 1);
        drain(&mut cluster.worker).await;
        assert_eq!(cluster.ranks_of(lost), ranks, "{policy}");

        cluster.memory.clock().advance(1);
        drain(&mut cluster.worker).await;
        assert_eq!(cluster.ranks_of(lost), 0, "{policy}");
        let named = cluster.groups().iter().filter(|group| group.names(lost)).count();
        assert_eq!(named, ranks, "where its shards were stays on record");
        assert_eq!(cluster.worker.status().0 - moved_before, ranks as u64);
        cluster.check_rule();
        assert_eq!(cluster.state(lost), DiskState::In, "nobody has decided about it");

        // Nothing else moves until its shards are rebuilt; then all is even without it.
        cluster.settle().await;
        assert_eq!(cluster.ranks_of(lost), 0);
        cluster.check().await;
        cluster.memory.report_down(lost, false);
        cluster.settle().await;
        let back = cluster.ranks_of(lost);
        // Its share is one of bytes: of full groups it needs fewer ranks.
        assert!(back > ranks / 3 && back <= ranks + 2, "it takes part again: {back}");
        cluster.check_rule();
    }
}

#[tokio::test]
async fn a_lost_disk_without_a_substitute_is_said() {
    let mut cluster = Cluster::new("rs-4-2", 6).await;
    let lost = cluster.memory.disks()[0];
    cluster.memory.report_down(lost, true);
    drain(&mut cluster.worker).await;
    cluster.memory.clock().advance(30_000);
    drain(&mut cluster.worker).await;
    let detail = cluster.worker.status().1;
    assert!(detail.contains("64 have no disk to go to"), "{detail}");
    assert!(detail.contains("needs 6 nodes") && detail.contains("there are 5"), "{detail}");
    cluster.memory.add_data_node();
    drain(&mut cluster.worker).await;
    assert_eq!(cluster.ranks_of(lost), 0, "the new disk has them all");
}

#[tokio::test]
async fn six_nodes_become_nine_and_six_again() {
    let mut cluster = Cluster::new("rs-4-2", 6).await;
    cluster.fill(400).await;
    let all: u64 = cluster.used().await.values().sum();
    let new: Vec<DiskId> = (0..3).map(|_| cluster.memory.add_data_node()).collect();
    cluster.settle().await;
    let grown = cluster.memory.disks();
    let share = all / 3;
    let copied = cluster.copied;
    assert!(copied >= share * 9 / 10 && copied <= share * 21 / 20, "{copied} for {share}");
    assert!(cluster.skew(&grown).await < 0.05, "{:?}", cluster.used().await);
    assert_eq!(cluster.moving_max, Settings::default().moves_max, "not all groups move at a time");
    cluster.check_rule();
    cluster.check().await;
    let round = cluster.worker.progress().last_round.expect("a round has ended");
    // Groups differ by chance: a second, smaller round may have followed.
    assert!(round.looked_at > 0 && round.looked_at <= copied, "progress is in bytes: {round:?}");
    // What is even stays as it is, also for the next leader.
    let mut next = Rebalancer::new(&cluster.objects, &Settings::default());
    assert_eq!(next.work().await.expect("a step"), Step::Idle, "nothing is measured again");

    // New objects go to all of them.
    cluster.fill(100).await;
    cluster.copied = 0;
    let mut minimum = 0;
    for disk in new {
        minimum += cluster.used().await[&disk];
        let node = cluster.memory.map().disks[&disk].node;
        membership::drain_node(&*cluster.memory, Domain::Node, node).await.expect("nine nodes");
        cluster.settle().await;
        assert_eq!((cluster.state(disk), cluster.ranks_of(disk)), (DiskState::Out, 0));
        assert!(cluster.memory.stored(disk).await.is_empty());
        membership::remove_node(&*cluster.memory, node).await.expect("it is empty");
        assert!(!cluster.memory.map().disks.contains_key(&disk));
        cluster.check_rule();
    }
    let copied = cluster.copied;
    // Groups of eight objects differ much, and each has few disks to which it can go.
    assert!(copied <= minimum * 6 / 5, "{copied} for {minimum}");
    assert!(cluster.skew(&grown[..6]).await < 0.05);
    cluster.check().await;
}

#[tokio::test]
async fn what_would_break_a_promise_is_refused_and_may_be_taken_back() {
    let mut cluster = Cluster::new("rs-4-2", 7).await;
    let disks = cluster.memory.disks();
    let memory = cluster.memory.clone();
    let drain_disk = async |disk| membership::drain_disk(&*memory, Domain::Node, disk).await;
    drain_disk(disks[0]).await.expect("six are left");
    drain_disk(disks[0]).await.expect("it was said before");
    let refused = drain_disk(disks[1]).await.expect_err("five would be left");
    let few = matches!(refused, MembershipError::Refused(Refusal::TooFewDomains { .. }));
    assert!(few, "{refused}");
    let refused = membership::remove_disk(&*memory, disks[0]).await.expect_err("not empty");
    assert!(matches!(refused, MembershipError::Refused(Refusal::NotOut { .. })), "{refused}");

    membership::undrain_disk(&*memory, disks[0]).await.expect("taken back");
    assert_eq!(cluster.state(disks[0]), DiskState::In);
    let ranks = cluster.ranks_of(disks[0]);
    cluster.settle().await;
    assert_eq!(cluster.ranks_of(disks[0]), ranks, "nothing had moved, nothing moves");

    let gone = DiskId(99);
    let refused = membership::undrain_disk(&*memory, gone).await.expect_err("unknown");
    assert!(matches!(refused, MembershipError::Refused(Refusal::NoSuchDisk(_))), "{refused}");
}

#[tokio::test]
async fn a_disk_is_replaced_by_one_command() {
    let mut cluster = Cluster::new("rs-4-2", 6).await;
    cluster.fill(60).await;
    let old = cluster.memory.disks()[2];
    let new = cluster.memory.add_data_node();
    let held = cluster.used().await[&old];
    membership::replace_disk(&*cluster.memory, Domain::Node, old, new).await.expect("it fits");
    membership::replace_disk(&*cluster.memory, Domain::Node, old, new).await.expect("was done");
    assert_eq!((cluster.ranks_of(old), cluster.ranks_of(new)), (0, 64));
    assert_eq!(cluster.state(old), DiskState::Out);
    cluster.check().await;
    cluster.settle().await;
    assert_eq!((cluster.copied, cluster.used().await[&new]), (held, held));
    cluster.check().await;
    membership::remove_disk(&*cluster.memory, old).await.expect("it is empty");
}

/// The new disk has been given ranks of the same groups before: what it cannot take goes to others, and
/// the old one is out when it is empty.
#[tokio::test]
async fn a_disk_is_replaced_by_one_that_has_ranks_already() {
    let mut cluster = Cluster::new("rs-4-2", 6).await;
    cluster.fill(60).await;
    let old = cluster.memory.disks()[2];
    let new = cluster.memory.add_data_node();
    cluster.settle().await;
    let served = cluster.ranks_of(new);
    assert!(served > 0, "evened out");
    membership::replace_disk(&*cluster.memory, Domain::Node, old, new).await.expect("it fits");
    assert_eq!(cluster.state(old), DiskState::Draining);
    assert!(cluster.ranks_of(new) > served);
    cluster.settle().await;
    assert_eq!((cluster.state(old), cluster.ranks_of(old)), (DiskState::Out, 0));
    cluster.check().await;
    membership::remove_disk(&*cluster.memory, old).await.expect("it is empty");
}
