//! A cluster in memory with the real clients, whose groups the tests change.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use cluster::{MemoryCluster, MemorySettings, Metadata};
use metastore::api::{RootAnswer, RootCommand};
use objects::Objects;
use proto::shards::ShardState;
use repair::{Care, GarbageCollector, Healer, OrphanSweeper, Settings, ShardRepairer, Worker};
use types::{BlobId, BucketSettings, ClusterMap, DiskId, DiskState, PgId, PlacementGroup, ShardId};

use crate::support::{BUCKET, content, get, put};

/// Longer than any grace and any deadline.
pub(crate) const DAYS_MS: u64 = 3 * 24 * 3600 * 1000;

pub(crate) struct Lake {
    pub(crate) cluster: Arc<MemoryCluster>,
    pub(crate) objects: Objects,
    pub(crate) settings: Settings,
}

impl Lake {
    /// 4+2 over this many disks, each in at most so many groups; with a bucket.
    pub(crate) async fn new(disks: usize, permutations: usize) -> Self {
        let policy = "rs-4-2".parse().expect("valid");
        let settings = MemorySettings { permutations, ..MemorySettings::new(policy, disks) };
        let cluster = Arc::new(MemoryCluster::with(settings));
        let objects = Objects::new(
            cluster.clone(),
            cluster.clone(),
            cluster.clock(),
            objects::Settings::default(),
        );
        let initial = BucketSettings::default();
        objects.create_bucket(BUCKET, initial).await.expect("the name is free");
        Self { cluster, objects, settings: Settings::default() }
    }

    pub(crate) fn care(&self) -> Care {
        Care::new(self.objects.clone(), self.settings.clone())
    }

    pub(crate) fn healer(&self) -> Healer {
        Healer::new(&self.care())
    }

    pub(crate) fn collector(&self) -> GarbageCollector {
        GarbageCollector::new(self.objects.clone(), self.settings.clone())
    }

    pub(crate) fn sweeper(&self) -> OrphanSweeper {
        OrphanSweeper::new(self.objects.clone(), self.settings.clone())
    }

    pub(crate) fn repairer(&self) -> ShardRepairer {
        ShardRepairer::new(self.objects.clone(), self.settings.clone())
    }

    pub(crate) fn map(&self) -> Arc<ClusterMap> {
        self.cluster.map()
    }

    pub(crate) fn group(&self, group: PgId) -> PlacementGroup {
        self.map().groups[&group].clone()
    }

    /// The only group of objects of class STANDARD.
    pub(crate) fn only_group(&self) -> PlacementGroup {
        let map = self.map();
        assert_eq!(map.groups.len(), 1);
        map.groups.values().next().expect("one").clone()
    }

    /// A disk that the group does not name.
    pub(crate) fn spare(&self, group: PgId) -> DiskId {
        let group = self.group(group);
        self.cluster.disks().into_iter().find(|disk| !group.names(*disk)).expect("a spare disk")
    }

    /// Puts objects of these sizes; their keys are `KEY-number`.
    pub(crate) async fn fill(&self, key: &str, sizes: &[usize]) {
        for (number, size) in sizes.iter().enumerate() {
            let bytes = content(number as u64, *size);
            put(&self.objects, &format!("{key}-{number}"), &bytes).await.expect("up");
        }
        self.objects.settle().await;
    }

    /// Reads what [`Lake::fill`] wrote.
    pub(crate) async fn check(&self, key: &str, sizes: &[usize]) {
        for (number, size) in sizes.iter().enumerate() {
            let name = format!("{key}-{number}");
            let bytes = get(&self.objects, &name).await.unwrap_or_else(|e| panic!("{name}: {e}"));
            assert!(bytes == content(number as u64, *size), "{name} has other bytes");
        }
    }

    pub(crate) async fn root(&self, command: RootCommand) {
        let answer = self.cluster.root(command.clone()).await.expect("the root group answers");
        assert_eq!(answer, RootAnswer::Done, "{command:?}");
    }

    /// Makes `to` the member of a rank.
    pub(crate) async fn move_rank(&self, group: PgId, rank: u8, to: DiskId) {
        let epoch = self.group(group).epoch;
        self.root(RootCommand::MoveMember { group, epoch, rank, to }).await;
    }

    pub(crate) async fn set_state(&self, disk: DiskId, state: DiskState) {
        let epoch = self.map().epoch;
        self.root(RootCommand::SetDiskState { disk, state, epoch }).await;
    }

    /// All shards, by disk.
    pub(crate) async fn stored(&self) -> BTreeMap<DiskId, Vec<(ShardId, ShardState)>> {
        let mut all = BTreeMap::new();
        for disk in self.cluster.disks() {
            let stored = self.cluster.stored(disk).await;
            let shards = stored.into_iter().map(|entry| (entry.shard, entry.state)).collect();
            all.insert(disk, shards);
        }
        all
    }

    /// Whether each blob has each of its ranks on its member and nowhere else, confirmed, and no
    /// move is under way. How many blobs, or what is wrong.
    pub(crate) async fn whole(&self) -> Result<usize, String> {
        let map = self.map();
        let mut ranks: BTreeMap<BlobId, BTreeSet<u8>> = BTreeMap::new();
        for (disk, shards) in self.stored().await {
            for (shard, state) in shards {
                let member = map.groups[&shard.blob.group()].disks[usize::from(shard.rank)];
                if member != disk {
                    return Err(format!("{shard:?} is on {disk}, its member is {member}"));
                }
                if state != ShardState::Confirmed {
                    return Err(format!("{shard:?} on {disk} is pending"));
                }
                ranks.entry(shard.blob).or_default().insert(shard.rank);
            }
        }
        if let Some((blob, ranks)) = ranks.iter().find(|(_, ranks)| ranks.len() != 6) {
            return Err(format!("blob {blob} has ranks {ranks:?}"));
        }
        if let Some(group) = map.groups.values().find(|group| !group.former.is_empty()) {
            return Err(format!("group {} is on the move: {:?}", group.id, group.former));
        }
        Ok(ranks.len())
    }

    /// Takes any two of these disks away and reads all.
    pub(crate) async fn check_without_any_two(&self, disks: &[DiskId], key: &str, sizes: &[usize]) {
        for (index, first) in disks.iter().enumerate() {
            for second in &disks[index + 1..] {
                self.cluster.take_down(*first);
                self.cluster.take_down(*second);
                self.check(key, sizes).await;
                self.cluster.bring_up(*first);
                self.cluster.bring_up(*second);
            }
        }
    }
}

/// What the round of a worker counted.
pub(crate) fn counted(worker: &impl Worker, what: &str) -> u64 {
    let progress = worker.progress();
    let round = progress.round.or(progress.last_round).expect("a round has begun");
    round.counts.get(what).copied().unwrap_or(0)
}
