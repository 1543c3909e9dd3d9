//! Missing and corrupt shards come back, and any two other disks may then be lost.

use std::sync::atomic::Ordering;

use cluster::Metadata;
use metastore::api::{IndexQuery, IndexView};
use objects::request::RangeRequest;
use proto::shards::ShardState;
use repair::{Settings, ShardRepairer, Worker};
use shardstore::ShardStore;
use types::ShardId;

use crate::{
    drain,
    support::{
        TestCluster, blob_of, content, delete, enable_versioning, get, get_range, get_version, put,
        put_multipart,
    },
};

async fn repair_rows(cluster: &TestCluster) -> usize {
    let mut rows = 0;
    for group in cluster.groups() {
        let query = IndexQuery::Repairs { after: None, limit: 1000 };
        match cluster.partition_query(group, query).await {
            Ok(IndexView::Repairs(more)) => rows += more.len(),
            other => panic!("{other:?}"),
        }
    }
    rows
}

#[tokio::test]
async fn a_disk_that_missed_writes_gets_its_shards_when_it_is_back() {
    let (cluster, objects) = TestCluster::six().await;
    let mut repairer = ShardRepairer::new(objects.clone(), Settings::default());
    let down = cluster.disk(1).0;
    cluster.take_down(down);
    let sizes = [4097, 100_000, 4 << 20, (9 << 20) + 7];
    for (seed, size) in sizes.into_iter().enumerate() {
        put(&objects, &format!("key-{size}"), &content(seed as u64, size)).await.expect("five");
    }
    assert_eq!(repair_rows(&cluster).await, sizes.len());
    drain(&mut repairer).await;
    assert_eq!(repair_rows(&cluster).await, sizes.len(), "the disk is still down");
    assert!(repairer.status().1.contains("4 wait"), "{}", repairer.status().1);

    cluster.bring_up(down);
    drain(&mut repairer).await;
    assert_eq!(repair_rows(&cluster).await, 0);
    assert_eq!(repairer.status().0, 4);
    objects.settle().await;
    let shards = cluster.shards().await;
    assert_eq!(shards.len(), 6 * sizes.len());
    assert!(shards.iter().all(|(_, shard)| shard.state == ShardState::Confirmed));

    let others: Vec<_> = cluster.disks.keys().copied().filter(|disk| *disk != down).collect();
    for (index, first) in others.iter().enumerate() {
        for second in &others[index + 1..] {
            cluster.take_down(*first);
            cluster.take_down(*second);
            for (seed, size) in sizes.into_iter().enumerate() {
                let bytes = get(&objects, &format!("key-{size}")).await.expect("readable");
                assert_eq!(bytes, content(seed as u64, size));
            }
            cluster.bring_up(*first);
            cluster.bring_up(*second);
        }
    }
}

#[tokio::test]
async fn readers_hints_bring_corrupt_and_lost_shards_back() {
    let (cluster, objects) = TestCluster::six().await;
    let mut repairer = ShardRepairer::new(objects.clone(), Settings::default());
    let bytes = content(1, (9 << 20) + 7);
    let blob = blob_of(&put(&objects, "key", &bytes).await.expect("up"));
    objects.settle().await;
    let disks = cluster.group_disks(blob.pg);
    let shard = |rank: u8| ShardId { blob: blob.id, rank };
    assert!(cluster.disks[&disks[0]].store.flip_bit(shard(0), 2, 77));
    cluster.disks[&disks[3]].store.wipe();
    assert_eq!(get(&objects, "key").await.expect("readable"), bytes);
    drain(&mut repairer).await;
    assert_eq!(repairer.status().0, 2);
    for rank in [0u8, 3] {
        for stripe in 0..3 {
            let store = &cluster.disks[&disks[usize::from(rank)]].store;
            store.read(shard(rank), stripe).await.expect("good again");
        }
    }
    let shards = cluster.shards().await;
    assert!(shards.iter().all(|(_, shard)| shard.state == ShardState::Confirmed));
    for disk in [1, 2] {
        cluster.take_down(disks[disk]);
    }
    assert_eq!(get(&objects, "key").await.expect("readable"), bytes);
}

/// A write broke off, and the disk cannot read what it had begun: repair cannot go on with
/// it, and must not wait for ever.
#[tokio::test]
async fn a_damaged_beginning_is_written_anew() {
    let (cluster, objects) = TestCluster::six().await;
    let mut repairer = ShardRepairer::new(objects.clone(), Settings::default());
    let (id, disk) = cluster.disk(1);
    cluster.take_down(id);
    let bytes = content(1, 9 << 20);
    put(&objects, "key", &bytes).await.expect("five");
    cluster.bring_up(id);
    disk.damaged.store(true, Ordering::SeqCst);
    drain(&mut repairer).await;
    assert_eq!(repair_rows(&cluster).await, 0, "{}", repairer.status().1);
    assert_eq!(cluster.shard_count().await, 6);
}

/// A shard that was not found turns up before it is written again (its node had just begun
/// to serve). It may be the last that some stripe has: it must not be deleted.
#[tokio::test]
async fn a_shard_that_turns_up_meanwhile_is_kept() {
    let (cluster, objects) = TestCluster::six().await;
    let mut repairer = ShardRepairer::new(objects.clone(), Settings::default());
    let bytes = content(1, 8 << 20);
    let blob = blob_of(&put(&objects, "key", &bytes).await.expect("up"));
    let disks = cluster.group_disks(blob.pg);
    cluster.disks[&disks[0]].hidden.store(true, Ordering::SeqCst);
    let range = Some(RangeRequest::FromTo(0, 9));
    assert_eq!(get_range(&objects, "key", range).await.expect("readable"), bytes[..10]);
    for rank in [1u8, 2] {
        let shard = ShardId { blob: blob.id, rank };
        assert!(cluster.disks[&disks[usize::from(rank)]].store.flip_bit(shard, 1, 5));
    }
    drain(&mut repairer).await;
    assert_eq!(get(&objects, "key").await.expect("readable with rank 0"), bytes);
}

/// Nobody but the reader knows of the damage: its hint must outlast a disk that is away for
/// a moment, also when the shard was deleted already to be written again.
#[tokio::test]
async fn a_hint_outlasts_a_disk_that_does_not_answer() {
    let (cluster, objects) = TestCluster::six().await;
    let mut repairer = ShardRepairer::new(objects.clone(), Settings::default());
    let bytes = content(1, 100_000);
    let blob = blob_of(&put(&objects, "key", &bytes).await.expect("up"));
    let disk = cluster.group_disks(blob.pg)[0];
    cluster.disks[&disk].store.wipe();
    assert_eq!(get(&objects, "key").await.expect("readable"), bytes);
    cluster.disks[&disk].suspected.store(true, Ordering::SeqCst);
    drain(&mut repairer).await;
    assert_eq!(cluster.shard_count().await, 5);
    cluster.bring_up(disk);
    drain(&mut repairer).await;
    assert_eq!(cluster.shard_count().await, 6, "{}", repairer.status().1);
}

/// Versions that are no longer current are repaired like any other: a blob, and a part.
#[tokio::test]
async fn old_versions_get_their_shards_back() {
    let (cluster, objects) = TestCluster::six().await;
    enable_versioning(&objects).await;
    let mut repairer = ShardRepairer::new(objects.clone(), Settings::default());
    let bytes = content(1, 100_000);
    let down = cluster.disk(1).0;
    cluster.take_down(down);
    let blob = put(&objects, "key", &bytes).await.expect("five of six");
    let parts = put_multipart(&objects, "key", std::slice::from_ref(&bytes)).await;
    put(&objects, "key", &content(2, 10)).await.expect("up");
    delete(&objects, "key").await.expect("a marker");
    cluster.bring_up(down);
    drain(&mut repairer).await;
    assert_eq!((repair_rows(&cluster).await, cluster.shard_count().await), (0, 12));

    // The first data shard of each is lost, and only readers know.
    for (disk, entry) in cluster.shards().await {
        if entry.shard.rank == 0 {
            cluster.disks[&disk].store.delete(vec![entry.shard]).await.expect("memory");
        }
    }
    assert_eq!(cluster.shard_count().await, 10);
    for version in [blob.name(), parts.name()] {
        let read = get_version(&objects, "key", version).await;
        assert_eq!(read.expect("readable, with a hint"), bytes);
    }
    drain(&mut repairer).await;
    objects.settle().await;
    let shards = cluster.shards().await;
    assert_eq!(shards.len(), 12);
    assert!(shards.iter().all(|(_, shard)| shard.state == ShardState::Confirmed));
}

/// A hint about an object that is gone must not bring its shards back.
#[tokio::test]
async fn nothing_is_rebuilt_for_what_is_deleted() {
    let (cluster, objects) = TestCluster::six().await;
    let mut repairer = ShardRepairer::new(objects.clone(), Settings::default());
    let blob = blob_of(&put(&objects, "key", &content(1, 100_000)).await.expect("up"));
    cluster.disks[&cluster.group_disks(blob.pg)[0]].store.wipe();
    get(&objects, "key").await.expect("readable, with a hint");
    delete(&objects, "key").await.expect("deleted");
    drain(&mut repairer).await;
    assert_eq!(repairer.status().0, 0);
    assert_eq!(cluster.shard_count().await, 5);
}

/// A corrupt shard whose other stripes are needed elsewhere is not thrown away.
#[tokio::test]
async fn a_corrupt_shard_stays_while_others_need_its_good_chunks() {
    let (cluster, objects) = TestCluster::six().await;
    let mut repairer = ShardRepairer::new(objects.clone(), Settings::default());
    let bytes = content(1, 8 << 20);
    let blob = blob_of(&put(&objects, "key", &bytes).await.expect("up"));
    let disks = cluster.group_disks(blob.pg);
    // Stripe 0: ranks 0, 1 bad. Stripe 1: ranks 2, 3 bad. Readable, but rank 0 cannot be
    // rebuilt as a whole without its own chunk of stripe 1 once a further disk is down.
    for (rank, stripe) in [(0u8, 0), (1, 0), (2, 1), (3, 1)] {
        let shard = ShardId { blob: blob.id, rank };
        assert!(cluster.disks[&disks[usize::from(rank)]].store.flip_bit(shard, stripe, 5));
    }
    assert_eq!(get(&objects, "key").await.expect("readable"), bytes);
    drain(&mut repairer).await;
    assert_eq!(get(&objects, "key").await.expect("still readable"), bytes);
    assert_eq!(cluster.shard_count().await, 6, "no shard was deleted that cannot be rebuilt");
}

/// Every gateway runs a repairer. Three ranks are corrupt, each in another stripe: each
/// repairer could compute its rank with the good chunks of the other two, all three would
/// delete, and every stripe would be left with three chunks of the four it needs.
#[tokio::test]
async fn repairers_that_are_not_alone_lean_on_whole_shards_only() {
    let (cluster, objects) = TestCluster::six().await;
    let together = Settings { sole_repairer: false, ..Settings::default() };
    let mut repairer = ShardRepairer::new(objects.clone(), together);
    let bytes = content(1, 12 << 20);
    let blob = blob_of(&put(&objects, "key", &bytes).await.expect("up"));
    objects.settle().await;
    let disks = cluster.group_disks(blob.pg);
    for (rank, stripe) in [(0u8, 0), (1, 1), (2, 2)] {
        let shard = ShardId { blob: blob.id, rank };
        assert!(cluster.disks[&disks[usize::from(rank)]].store.flip_bit(shard, stripe, 5));
    }
    assert_eq!(get(&objects, "key").await.expect("readable"), bytes);
    drain(&mut repairer).await;
    assert_eq!(repairer.status().0, 0, "nothing was replaced");
    assert_eq!(cluster.shard_count().await, 6, "nothing was deleted");
    assert_eq!(get(&objects, "key").await.expect("still readable"), bytes);

    // Two corrupt ranks leave four whole ones: each may be replaced, whoever else is at it.
    let (cluster, objects) = TestCluster::six().await;
    let together = Settings { sole_repairer: false, ..Settings::default() };
    let mut repairer = ShardRepairer::new(objects.clone(), together);
    let blob = blob_of(&put(&objects, "key", &bytes).await.expect("up"));
    objects.settle().await;
    let disks = cluster.group_disks(blob.pg);
    for (rank, stripe) in [(0u8, 0), (1, 1)] {
        let shard = ShardId { blob: blob.id, rank };
        assert!(cluster.disks[&disks[usize::from(rank)]].store.flip_bit(shard, stripe, 5));
    }
    assert_eq!(get(&objects, "key").await.expect("readable"), bytes);
    drain(&mut repairer).await;
    assert_eq!(repairer.status().0, 2);
}
