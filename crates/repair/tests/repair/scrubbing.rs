//! The scrub finds what is bad, missing or misplaced, and puts all of it right.

use std::collections::BTreeSet;

use cluster::{DiskFault, Shards};
use platform::Clock;
use proto::shards::{PutChunks, ShardEntry};
use repair::{Scrubber, Step, Worker, scrub};
use types::{DiskId, PlacementGroup, ShardId, UnixMillis};

use crate::{
    drain,
    lake::{DAYS_MS, Lake, counted},
    support::delete,
};

const DAY_MS: u64 = 24 * 3600 * 1000;

impl Lake {
    fn scrubber(&self) -> Scrubber {
        Scrubber::new(&self.care())
    }

    /// Asks for a round, and lets it come to its end.
    async fn scrub(&self, scrubber: &mut Scrubber) {
        self.cluster.clock().advance(1);
        let now = UnixMillis(self.cluster.clock().now_ms());
        scrub::request(&*self.cluster, now).await.expect("the root group answers");
        drain(scrubber).await;
        let progress = scrubber.progress();
        assert_eq!(progress.round, None, "{}", scrubber.status().1);
        assert_eq!(progress.last_round.map(|round| round.began), Some(now));
    }

    /// Flips a bit of one chunk.
    fn flip(&self, disk: DiskId, shard: ShardId, stripe: u32) {
        assert!(self.cluster.corrupt(disk, shard, stripe));
    }
}

/// One in a hundred chunks of one disk, and a chunk of every blob on another one, in whatever
/// rank it has there: never are more than two of six ranks of a stripe bad.
#[tokio::test]
async fn all_flipped_bits_are_found_and_repaired() {
    let lake = Lake::new(7, 4).await;
    let mut sizes = vec![5000; 120];
    sizes.extend([9 << 20, (13 << 20) + 5, 1 << 20, 100_000]);
    lake.fill("key", &sizes).await;
    let disks = lake.cluster.disks();
    let (first, second) = (disks[0], disks[4]);
    let mut flipped = BTreeSet::new();
    let mut chunks = 0;
    for entry in lake.cluster.stored(first).await {
        for stripe in 0..entry.stripes.expect("sealed") {
            if chunks % 100 == 7 {
                lake.flip(first, entry.shard, stripe);
                flipped.insert((first, entry.shard));
            }
            chunks += 1;
        }
    }
    for (number, entry) in (0..).zip(lake.cluster.stored(second).await) {
        lake.flip(second, entry.shard, number % entry.stripes.expect("sealed"));
        flipped.insert((second, entry.shard));
    }
    assert!(flipped.len() > 50, "{}", flipped.len());
    lake.check("key", &sizes).await;

    let mut scrubber = lake.scrubber();
    lake.scrub(&mut scrubber).await;
    let shards = 6 * sizes.len() as u64;
    assert_eq!(scrubber.progress().last_round.map(|round| round.looked_at), Some(shards));
    let bytes: u64 = lake.cluster.stored_in_all().await.1;
    for (what, number) in [
        ("bad", flipped.len() as u64),
        ("repaired", flipped.len() as u64),
        ("missing", 0),
        ("misplaced", 0),
        ("stuck", 0),
        ("bytes", bytes),
    ] {
        assert_eq!(counted(&scrubber, what), number, "{what}");
    }
    assert_eq!(lake.whole().await, Ok(sizes.len()));
    lake.scrub(&mut scrubber).await;
    assert_eq!((counted(&scrubber, "bad"), counted(&scrubber, "bytes")), (0, bytes));
    let any: Vec<DiskId> = disks[..4].to_vec();
    lake.check_without_any_two(&any, "key", &sizes).await;
}

/// Whole shards are gone, one lies in the wrong place, and nobody has read them.
#[tokio::test]
async fn what_is_missing_or_misplaced_is_found_by_the_inventories() {
    let lake = Lake::new(8, 1).await;
    lake.fill("key", &[5000; 100]).await;
    let group = lake.only_group();
    lake.cluster.store(group.disks[1]).wipe();
    // Rank 0 of one blob on the disk of rank 3, as after a mistake of somebody's hands.
    let entry = lake.cluster.stored(group.disks[0]).await.remove(7);
    let chunk = lake.cluster.read(group.disks[0], entry.shard, 0).await.expect("good");
    let put = PutChunks {
        shard: entry.shard,
        intent: entry.intent,
        first_stripe: 0,
        chunks: vec![chunk],
        seal: true,
    };
    lake.cluster.put(group.disks[3], put).await.expect("up");

    let mut scrubber = lake.scrubber();
    drain(&mut scrubber).await;
    for (what, number) in [("missing", 100), ("repaired", 100), ("misplaced", 1), ("bad", 0)] {
        assert_eq!(counted(&scrubber, what), number, "{what}");
    }
    assert_eq!(lake.whole().await, Ok(100));
}

/// Nobody is in a hurry: each disk has two weeks for its bytes, and inventories are daily.
#[tokio::test]
async fn a_disk_is_read_over_the_whole_period() {
    let lake = Lake::new(6, 1).await;
    // Some 40 MiB a disk, in steps of 16.
    lake.fill("key", &[32 << 20; 5]).await;
    let disk = lake.cluster.disks()[0];
    let entry = lake.cluster.stored(disk).await.remove(0);
    let mut scrubber = lake.scrubber();
    drain(&mut scrubber).await;
    let done = |scrubber: &Scrubber| scrubber.progress().bytes.expect("in bytes");
    let first = done(&scrubber);
    assert_eq!(first.total, lake.cluster.stored_in_all().await.1);
    assert!(first.done >= 6 * (16 << 20) && first.done < first.total * 2 / 3, "{first:?}");
    lake.flip(disk, entry.shard, 1);
    lake.cluster.store(lake.cluster.disks()[1]).wipe();
    lake.cluster.clock().advance(DAY_MS);
    drain(&mut scrubber).await;
    assert_eq!(counted(&scrubber, "missing"), 5, "the next day");
    assert_eq!(counted(&scrubber, "bad"), 0, "it was read already");
    let mut days = 1;
    while scrubber.progress().round.is_some_and(|round| round.began.0 > 0) {
        lake.cluster.clock().advance(DAY_MS);
        days += 1;
        let before = scrubber.progress().last_round;
        drain(&mut scrubber).await;
        if scrubber.progress().last_round != before {
            break;
        }
    }
    assert!((8..=14).contains(&days), "{days}");
    while counted(&scrubber, "bad") == 0 {
        lake.cluster.clock().advance(DAY_MS);
        drain(&mut scrubber).await;
        days += 1;
        assert!(days <= 29, "it is found in the next period");
    }
    assert_eq!(lake.whole().await, Ok(5));
}

/// The inventories cannot be compared within the time between two comparisons: each comes to its
/// last group all the same, and the round to its end, so that every byte is read again.
#[tokio::test]
async fn a_comparison_may_take_longer_than_the_time_between_two() {
    let mut lake = Lake::new(8, 8).await;
    lake.settings.scrub_inventory_ms = 10_000;
    lake.settings.scrub_period_ms = 20_000;
    let sizes = [5000; 80];
    lake.fill("key", &sizes).await;
    let groups: Vec<PlacementGroup> = lake.map().groups.values().cloned().collect();
    assert!(groups.len() > 4, "{}", groups.len());
    let last = groups.last().expect("there are some");
    let mut scrubber = lake.scrubber();
    let mut steps = 0;
    // Each step takes 3 s, so that a comparison is at its fourth group when the next is due.
    let mut step = async || {
        lake.cluster.clock().advance(3000);
        scrubber.work().await.expect("a step");
        steps += 1;
        steps
    };
    while step().await < 6 {}
    // The disks of the round have been read, but for the next one.
    let of_last = |entry: &ShardEntry| entry.shard.blob.group() == last.id;
    let lost = lake.cluster.stored(last.disks[0]).await.into_iter().find(of_last);
    let lost = lost.expect("every group has some").shard;
    lake.cluster.delete(last.disks[0], vec![lost]).await.expect("up");
    let rotten = lake.cluster.stored(last.disks[1]).await.into_iter().rfind(of_last);
    lake.flip(last.disks[1], rotten.expect("every group has some").shard, 0);
    // A step a group and a disk.
    let comparison = groups.len() + lake.cluster.disks().len();
    while step().await < 4 * comparison {}
    assert_eq!(lake.whole().await, Ok(sizes.len()), "{}", scrubber.status().1);
    let again = lake.cluster.stored(last.disks[1]).await.into_iter().rfind(of_last).expect("again");
    assert!(lake.cluster.read(last.disks[1], again.shard, 0).await.is_ok());
}

/// More is bad than can be replaced now: three ranks are away. The disk waits, nothing is dropped,
/// and a new leader knows what waits.
#[tokio::test]
async fn what_cannot_be_repaired_now_is_not_forgotten() {
    let lake = Lake::new(6, 1).await;
    let sizes = [5000; 1000];
    lake.fill("key", &sizes).await;
    let disks = lake.only_group().disks;
    for entry in lake.cluster.stored(disks[5]).await {
        lake.flip(disks[5], entry.shard, 0);
    }
    for disk in &disks[..2] {
        lake.cluster.take_down(*disk);
    }
    // One of those that are left.
    let entries = lake.cluster.stored(disks[4]).await;
    for entry in &entries[..10] {
        lake.flip(disks[4], entry.shard, 0);
    }
    let mut scrubber = lake.scrubber();
    lake.cluster.set_fault(disks[3], Some(DiskFault::Busy));
    for _ in 0..5 {
        lake.cluster.clock().advance(60_000);
        drain(&mut scrubber).await;
    }
    assert_eq!(counted(&scrubber, "repaired"), 0, "{}", scrubber.status().1);
    assert!(counted(&scrubber, "bad") <= 128 + 10);

    // The leader changes, the disks come back.
    drop(scrubber);
    for disk in &disks[..4] {
        lake.cluster.bring_up(*disk);
    }
    let mut scrubber = lake.scrubber();
    for _ in 0..20 {
        lake.cluster.clock().advance(DAY_MS);
        drain(&mut scrubber).await;
    }
    assert_eq!(lake.whole().await, Ok(1000));
    lake.scrub(&mut scrubber).await;
    assert_eq!((counted(&scrubber, "bad"), counted(&scrubber, "stuck")), (0, 0));
    lake.check("key", &sizes).await;
}

/// The leader changes in the middle of a round: the next one goes on where it was saved.
#[tokio::test]
async fn a_restart_goes_on_where_it_was() {
    let lake = Lake::new(6, 1).await;
    lake.fill("key", &[32 << 20; 5]).await;
    let mut scrubber = lake.scrubber();
    let now = UnixMillis(lake.cluster.clock().now_ms());
    scrub::request(&*lake.cluster, now).await.expect("the root group answers");
    assert_eq!(scrubber.work().await.expect("a step"), Step::More);
    let looked_at = scrubber.progress().round.expect("under way").looked_at;
    assert!(looked_at > 0 && looked_at < 30, "{looked_at}");
    drop(scrubber);
    let mut scrubber = lake.scrubber();
    drain(&mut scrubber).await;
    let round = scrubber.progress().last_round.expect("it has ended");
    assert_eq!((round.began, round.looked_at), (now, 30), "no shard twice");
}

/// Garbage that is bad is not repaired, and does not count.
#[tokio::test]
async fn nothing_is_repaired_that_is_deleted() {
    let lake = Lake::new(6, 1).await;
    lake.fill("key", &[5000, 5000]).await;
    let disk = lake.cluster.disks()[2];
    for entry in lake.cluster.stored(disk).await {
        lake.flip(disk, entry.shard, 0);
    }
    delete(&lake.objects, "key-0").await.expect("deleted");
    let mut scrubber = lake.scrubber();
    // Beyond the deadline that its writing had, or the index would not be sure.
    lake.cluster.clock().advance(DAYS_MS);
    drain(&mut scrubber).await;
    assert_eq!((counted(&scrubber, "bad"), counted(&scrubber, "repaired")), (1, 1));
    assert_eq!(lake.cluster.stored(disk).await.len(), 2);
}

/// Bad garbage whose writes could still commit, as far as the index knows, fills what a disk may leave behind. The
/// collector takes it long before the index is sure, and then the disk reads on.
#[tokio::test]
async fn bad_garbage_holds_a_disk_no_longer_than_it_is_there() {
    let lake = Lake::new(6, 1).await;
    // In two steps of a disk, neither of which finds too much alone.
    let sizes = [640_000; 200];
    lake.fill("key", &sizes).await;
    let disk = lake.cluster.disks()[2];
    for entry in lake.cluster.stored(disk).await {
        lake.flip(disk, entry.shard, 0);
    }
    for number in 1..sizes.len() {
        delete(&lake.objects, &format!("key-{number}")).await.expect("deleted");
    }
    let mut scrubber = lake.scrubber();
    let now = UnixMillis(lake.cluster.clock().now_ms());
    scrub::request(&*lake.cluster, now).await.expect("the root group answers");
    drain(&mut scrubber).await;
    assert!(scrubber.progress().round.is_some(), "it waits: {}", scrubber.status().1);
    // Past the grace of garbage, and before the deadline of the writes.
    lake.cluster.clock().advance(2 * 3600 * 1000);
    drain(&mut lake.collector()).await;
    for _ in 0..3 {
        lake.cluster.clock().advance(11_000);
        drain(&mut scrubber).await;
    }
    assert!(scrubber.progress().round.is_none(), "{}", scrubber.status().1);
    assert_eq!((counted(&scrubber, "bad"), counted(&scrubber, "repaired")), (1, 1));
    assert_eq!(lake.whole().await, Ok(1));
}

/// Chunks that are bad in turn on three ranks: each is replaced with the help of the others' good
/// ones, one after the other, though all are found at the same time.
#[tokio::test]
async fn damage_over_many_ranks_is_repaired_rank_by_rank() {
    let lake = Lake::new(6, 1).await;
    lake.fill("key", &[12 << 20]).await;
    let disks = lake.only_group().disks;
    for (rank, stripe) in [(0, 0), (1, 1), (2, 2)] {
        let entry = lake.cluster.stored(disks[rank]).await.remove(0);
        lake.flip(disks[rank], entry.shard, stripe);
    }
    let mut scrubber = lake.scrubber();
    lake.scrub(&mut scrubber).await;
    assert_eq!((counted(&scrubber, "bad"), counted(&scrubber, "repaired")), (3, 3));
    assert_eq!(lake.whole().await, Ok(1));
    lake.check_without_any_two(&disks, "key", &[12 << 20]).await;
}
