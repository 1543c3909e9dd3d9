//! Ranks that move are filled on their new disks, and nothing is let go before.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use cluster::DiskFault;
use metastore::api::RootCommand;
use objects::{
    body::{BodyDigests, BodyError, MemoryBody, ObjectBody},
    request::Put,
};
use repair::{Healer, Scrubber, Step, Worker};
use tokio::sync::mpsc;
use types::{DiskState, ShardId};

use crate::{
    drain,
    lake::{DAYS_MS, Lake, counted},
    support::{content, delete, get, put_multipart, put_request},
};

const SIZES: [usize; 5] = [4097, 100_000, 4 << 20, (9 << 20) + 7, 5000];

#[tokio::test]
async fn a_rank_that_moves_is_copied_and_the_move_ends() {
    let lake = Lake::new(8, 1).await;
    lake.fill("key", &SIZES).await;
    let parts = [content(7, 5 << 20), content(8, 50_000)];
    put_multipart(&lake.objects, "parts", &parts).await;
    lake.objects.settle().await;
    let group = lake.only_group();
    let (old, new) = (group.disks[2], lake.spare(group.id));
    lake.move_rank(group.id, 2, new).await;
    lake.check("key", &SIZES).await;

    let mut healer = lake.healer();
    drain(&mut healer).await;
    assert_eq!(lake.whole().await, Ok(7), "{}", healer.status().1);
    assert_eq!(lake.group(group.id).disks[2], new);
    assert_eq!(lake.cluster.stored(old).await, []);
    for (what, number) in [("written", 7), ("deleted", 7), ("ended", 1), ("missing", 0)] {
        assert_eq!(counted(&healer, what), number, "{what}");
    }
    assert_eq!(get(&lake.objects, "parts").await.expect("readable"), parts.concat());
    let members = lake.group(group.id).disks;
    lake.check_without_any_two(&members, "key", &SIZES).await;
}

/// Nothing can be copied from the old disk: what it had is computed from the others.
#[tokio::test]
async fn a_rank_of_a_dead_disk_is_rebuilt_and_the_disk_let_go() {
    let lake = Lake::new(8, 1).await;
    lake.fill("key", &SIZES).await;
    let group = lake.only_group();
    let (dead, new) = (group.disks[0], lake.spare(group.id));
    lake.cluster.take_down(dead);
    lake.cluster.report_down(dead, true);
    lake.move_rank(group.id, 0, new).await;
    let mut healer = lake.healer();
    drain(&mut healer).await;
    assert_eq!(counted(&healer, "ended"), 1, "{}", healer.status().1);
    assert_eq!((counted(&healer, "written"), counted(&healer, "missing")), (5, 5));
    let members = lake.group(group.id).disks;
    lake.check_without_any_two(&members, "key", &SIZES).await;

    // Some objects die; nothing waits for the disk that was let go.
    for key in ["key-0", "key-1"] {
        delete(&lake.objects, key).await.expect("deleted");
    }
    lake.cluster.clock().advance(DAYS_MS);
    let mut collector = lake.collector();
    drain(&mut collector).await;
    assert_eq!(collector.status().0, 2);

    // It comes back: what it has belongs nowhere.
    lake.cluster.bring_up(dead);
    lake.cluster.report_down(dead, false);
    assert_eq!(lake.cluster.stored(dead).await.len(), 5);
    let mut sweeper = lake.sweeper();
    drain(&mut sweeper).await;
    assert_eq!(counted(&sweeper, "strays"), 5);
    assert_eq!(lake.whole().await, Ok(3));
    lake.check("key-x", &[]).await;
}

/// A disk that was let go becomes the member once more: what it has of objects that were collected
/// meanwhile belongs to nobody, and goes when two looks are a grace apart.
#[tokio::test]
async fn what_a_member_brings_back_of_dead_objects_goes() {
    let lake = Lake::new(8, 1).await;
    lake.fill("key", &SIZES).await;
    let group = lake.only_group();
    let (back, new) = (group.disks[0], lake.spare(group.id));
    lake.cluster.take_down(back);
    lake.move_rank(group.id, 0, new).await;
    let care = lake.care();
    let mut healer = Healer::new(&care);
    drain(&mut healer).await;
    delete(&lake.objects, "key-0").await.expect("deleted");
    lake.cluster.clock().advance(DAYS_MS);
    drain(&mut lake.collector()).await;
    lake.cluster.bring_up(back);
    lake.move_rank(group.id, 0, back).await;
    drain(&mut healer).await;
    assert_eq!(lake.group(group.id).former, [], "{}", healer.status().1);
    assert_eq!(lake.cluster.stored(back).await.len(), 5);
    lake.cluster.clock().advance(DAYS_MS);
    drain(&mut Scrubber::new(&care)).await;
    assert_eq!(lake.whole().await, Ok(4));
}

/// A disk that was let go comes back and has what the member has lost by now.
#[tokio::test]
async fn a_stray_is_not_thrown_away_before_its_member_is_whole() {
    let lake = Lake::new(8, 1).await;
    lake.fill("key", &[100_000, 9 << 20]).await;
    let group = lake.only_group();
    let (dead, new) = (group.disks[0], lake.spare(group.id));
    lake.cluster.take_down(dead);
    lake.move_rank(group.id, 0, new).await;
    drain(&mut lake.healer()).await;
    assert_eq!(lake.group(group.id).former, []);
    // Three ranks are lost: the stray is the fourth that can be read.
    for disk in [new, group.disks[1], group.disks[2]] {
        lake.cluster.store(disk).wipe();
    }
    lake.cluster.bring_up(dead);
    get(&lake.objects, "key-0").await.expect_err("three of six");
    let mut scrubber = Scrubber::new(&lake.care());
    drain(&mut scrubber).await;
    assert_eq!((counted(&scrubber, "misplaced"), counted(&scrubber, "missing")), (2, 6));
    lake.check("key", &[100_000, 9 << 20]).await;
}

/// Two disks are lost while a rank moves: what the former disk has is the fourth of four.
#[tokio::test]
async fn a_former_disk_may_hold_the_only_copy() {
    let lake = Lake::new(8, 1).await;
    lake.fill("key", &SIZES).await;
    let group = lake.only_group();
    lake.move_rank(group.id, 5, lake.spare(group.id)).await;
    for rank in [0, 1] {
        lake.cluster.store(group.disks[rank]).wipe();
    }
    lake.check("key", &SIZES).await;
    let mut healer = lake.healer();
    drain(&mut healer).await;
    assert_eq!(lake.whole().await, Ok(5), "{}", healer.status().1);
    assert_eq!((counted(&healer, "written"), counted(&healer, "missing")), (15, 10));
}

/// The copy is damaged in one chunk: that one is computed, the others are copied.
#[tokio::test]
async fn damage_is_not_copied() {
    let lake = Lake::new(8, 1).await;
    lake.fill("key", &[(9 << 20) + 7]).await;
    let group = lake.only_group();
    let entry = lake.cluster.stored(group.disks[3]).await.remove(0);
    assert!(lake.cluster.corrupt(group.disks[3], entry.shard, 1));
    lake.move_rank(group.id, 3, lake.spare(group.id)).await;
    drain(&mut lake.healer()).await;
    assert_eq!(lake.whole().await, Ok(1));
    let members = lake.group(group.id).disks;
    lake.check_without_any_two(&members, "key", &[(9 << 20) + 7]).await;
}

/// One disk of six is replaced by an empty one.
#[tokio::test]
async fn a_disk_is_replaced() {
    let lake = Lake::new(7, 16).await;
    let sizes: Vec<usize> = (0..60).map(|number| 5000 + 1000 * number).collect();
    lake.fill("key", &sizes).await;
    let lost = lake.cluster.disks()[3];
    lake.cluster.take_down(lost);
    lake.cluster.report_down(lost, true);
    let mut moved = 0;
    for group in lake.map().groups.values() {
        if let Some(rank) = group.disks.iter().position(|disk| *disk == lost) {
            lake.move_rank(group.id, u8::try_from(rank).expect("six"), lake.spare(group.id)).await;
            moved += 1;
        }
    }
    assert!(moved > 5, "{moved}");
    let shards = lake.cluster.stored(lost).await.len() as u64;
    let mut healer = lake.healer();
    drain(&mut healer).await;
    assert_eq!(counted(&healer, "ended"), moved, "{}", healer.status().1);
    assert_eq!(counted(&healer, "written"), shards);
    lake.set_state(lost, DiskState::Out).await;
    lake.root(RootCommand::RemoveDisk { disk: lost }).await;
    lake.cluster.store(lost).wipe();
    assert_eq!(lake.whole().await, Ok(60));
    lake.check("key", &sizes).await;
}

/// Neither the write nor its answer proves anything: only what is read back does.
#[tokio::test]
async fn a_shard_that_does_not_read_back_right_is_not_healed() {
    let lake = Lake::new(8, 1).await;
    lake.fill("key", &SIZES).await;
    let group = lake.only_group();
    let (old, new) = (group.disks[2], lake.spare(group.id));
    lake.move_rank(group.id, 2, new).await;
    lake.cluster.set_fault(new, Some(DiskFault::WrongBytes));
    let mut healer = lake.healer();
    drain(&mut healer).await;
    assert_eq!((counted(&healer, "written"), counted(&healer, "ended")), (0, 0));
    assert_eq!(counted(&healer, "stuck"), 5);
    assert_eq!(lake.cluster.stored(old).await.len(), 5, "the copies stay");
    assert_eq!(lake.group(group.id).former.len(), 1);
    lake.check("key", &SIZES).await;

    lake.cluster.set_fault(new, None);
    lake.cluster.clock().advance(600_000);
    drain(&mut healer).await;
    assert_eq!(lake.whole().await, Ok(5), "{}", healer.status().1);
}

/// The new disk does not answer: everything stays as it is, until it does.
#[tokio::test]
async fn a_member_that_is_away_keeps_the_move_open() {
    let lake = Lake::new(8, 1).await;
    lake.fill("key", &SIZES).await;
    let group = lake.only_group();
    let (old, new) = (group.disks[2], lake.spare(group.id));
    lake.move_rank(group.id, 2, new).await;
    lake.cluster.take_down(new);
    // The former disk away as well: it may be the only one that has what the member lacks.
    for also_down in [false, true] {
        if also_down {
            lake.cluster.take_down(old);
        }
        drain(&mut lake.healer()).await;
        assert_eq!(lake.group(group.id).former.len(), 1);
    }
    lake.check("key", &SIZES).await;
    lake.cluster.bring_up(new);
    lake.cluster.bring_up(old);
    drain(&mut lake.healer()).await;
    assert_eq!(lake.whole().await, Ok(5));
}

/// The next failure would lose data of one group, and not of the other.
#[tokio::test]
async fn the_most_endangered_group_is_healed_first() {
    let mut lake = Lake::new(9, 8).await;
    lake.settings.heal_groups = 1;
    lake.settings.heal_page_shards = 64;
    let sizes = [5000; 300];
    lake.fill("key", &sizes).await;
    let map = lake.map();
    let groups: Vec<_> = map.groups.values().collect();
    // Every group moves a rank; of the last one two disks are dead.
    let endangered = groups[groups.len() - 1];
    let dead = [endangered.disks[0], endangered.disks[1]];
    for group in &groups {
        let rank = group.disks.iter().position(|disk| !dead.contains(disk)).expect("four others");
        let rank = u8::try_from(rank).expect("six");
        lake.move_rank(group.id, rank, lake.spare(group.id)).await;
    }
    for disk in dead {
        lake.cluster.take_down(disk);
        lake.cluster.report_down(disk, true);
    }
    let margin = |group: &types::PlacementGroup| {
        group.disks.iter().filter(|disk| !dead.contains(disk)).count() - 4
    };
    let mut healer = lake.healer();
    let mut ended = Vec::new();
    loop {
        let step = healer.work().await.expect("a step");
        for group in lake.map().groups.values().filter(|group| group.former.is_empty()) {
            if !ended.contains(&group.id) {
                ended.push(group.id);
            }
        }
        if step == Step::Idle {
            break;
        }
    }
    let margins: Vec<usize> = ended.iter().map(|group| margin(&lake.group(*group))).collect();
    assert_eq!(ended.len(), groups.len(), "a live former disk lets all moves end");
    // Two of those in danger are under way at a time: either may be done first.
    let mut sorted = margins.clone();
    sorted.sort_unstable();
    assert_eq!((sorted[0], sorted.last()), (0, Some(&2)));
    for (place, margin) in margins.iter().enumerate() {
        let near = &sorted[place.saturating_sub(1)..(place + 2).min(sorted.len())];
        assert!(near.contains(margin), "{margins:?}");
    }
}

/// The leader changes in the middle of a pass: the next one goes on where it was.
#[tokio::test]
async fn a_restart_goes_on_where_it_was() {
    let mut lake = Lake::new(8, 1).await;
    lake.settings.heal_page_shards = 64;
    let sizes = [5000; 200];
    lake.fill("key", &sizes).await;
    let group = lake.only_group();
    lake.move_rank(group.id, 2, lake.spare(group.id)).await;
    let mut healer = lake.healer();
    while counted_so_far(&healer, "written") == 0 {
        assert_eq!(healer.work().await.expect("a step"), Step::More);
    }
    let written = counted_so_far(&healer, "written");
    assert!(written < 200, "{written}");
    drop(healer);
    let mut healer = lake.healer();
    drain(&mut healer).await;
    assert_eq!(lake.whole().await, Ok(200), "{}", healer.status().1);
    let progress = healer.progress();
    let round = progress.last_round.expect("it has ended");
    assert_eq!((round.looked_at, round.counts["written"]), (200, 200), "nothing twice");
    assert_eq!(progress.round, None);
    lake.check("key", &sizes).await;
}

fn counted_so_far(worker: &impl Worker, what: &str) -> u64 {
    let round = worker.progress().round;
    round.and_then(|round| round.counts.get(what).copied()).unwrap_or(0)
}

/// Bytes are what progress is told in, and there is a guess at the whole from the beginning.
#[tokio::test]
async fn progress_is_told_in_bytes() {
    let mut lake = Lake::new(8, 1).await;
    lake.settings.heal_page_shards = 64;
    lake.fill("key", &[40_000; 200]).await;
    let group = lake.only_group();
    lake.move_rank(group.id, 2, lake.spare(group.id)).await;
    let mut healer = lake.healer();
    healer.work().await.expect("a step");
    lake.cluster.clock().advance(1000);
    let progress = healer.progress();
    let bytes = progress.bytes.expect("in bytes");
    let whole = 200 * 10_000;
    assert!(bytes.done > 0 && bytes.done < whole, "{bytes:?}");
    assert!(bytes.total.abs_diff(whole) < whole / 4, "{bytes:?}");
    assert!(progress.eta_ms.is_some_and(|eta| eta > 0), "{progress:?}");
    drain(&mut healer).await;
    assert_eq!(lake.whole().await, Ok(200));
}

/// What died before it was moved goes along, so that the move ends and readers that opened it go on; it is
/// collected where it is then, and its row does not go before.
#[tokio::test]
async fn garbage_on_former_disks_goes_along_and_is_collected() {
    let lake = Lake::new(8, 1).await;
    lake.fill("key", &SIZES).await;
    let group = lake.only_group();
    let (old, new) = (group.disks[2], lake.spare(group.id));
    let count = lake.cluster.stored(old).await.len();
    lake.move_rank(group.id, 2, new).await;
    for number in 0..3 {
        delete(&lake.objects, &format!("key-{number}")).await.expect("deleted");
    }
    let mut healer = lake.healer();
    drain(&mut healer).await;
    assert_eq!(lake.group(group.id).former, [], "{}", healer.status().1);
    assert_eq!(lake.cluster.stored(old).await, []);
    assert_eq!(lake.cluster.stored(new).await.len(), count);

    lake.cluster.clock().advance(DAYS_MS);
    lake.cluster.take_down(new);
    let mut collector = lake.collector();
    drain(&mut collector).await;
    assert_eq!(collector.status().0, 0, "{}", collector.status().1);
    assert!(collector.status().1.contains("3 wait"), "{}", collector.status().1);
    lake.cluster.bring_up(new);
    drain(&mut collector).await;
    assert_eq!((collector.status().0, lake.cluster.stored(new).await.len()), (3, count - 3));
    assert_eq!(lake.whole().await, Ok(2));
}

/// Every stripe of a shard that is carried is read where it comes from; one that cannot be read keeps it
/// there, and the move open.
#[tokio::test]
async fn garbage_that_cannot_be_read_stays_until_it_is_collected() {
    let lake = Lake::new(8, 1).await;
    lake.fill("key", &SIZES).await;
    let group = lake.only_group();
    let (old, new) = (group.disks[2], lake.spare(group.id));
    lake.move_rank(group.id, 2, new).await;
    delete(&lake.objects, "key-3").await.expect("deleted");
    // Of several stripes: the first of them is carried before the last is found to be bad.
    let stored = lake.cluster.stored(old).await;
    let largest = stored.iter().max_by_key(|entry| entry.stripes).expect("some").clone();
    let last = largest.stripes.expect("sealed") - 1;
    assert!(lake.cluster.store(old).flip_bit(largest.shard, last, 77));
    let mut healer = lake.healer();
    drain(&mut healer).await;
    assert_eq!(lake.cluster.stored(old).await.len(), 1);
    assert_eq!(lake.group(group.id).former.len(), 1, "{}", healer.status().1);
    lake.cluster.clock().advance(DAYS_MS);
    drain(&mut lake.collector()).await;
    drain(&mut healer).await;
    assert_eq!(lake.whole().await, Ok(4), "{}", healer.status().1);
}

/// Puts a shard of rank 2 on a disk, as a write does of which the commit never comes.
async fn put_without_commit(lake: &Lake, disk: types::DiskId, seal: bool) -> ShardId {
    let copy = lake.cluster.stored(disk).await.remove(0);
    let mut id = *copy.shard.blob.as_bytes();
    id[15] ^= 1;
    let shard = ShardId { blob: types::BlobId::from_bytes(id), rank: 2 };
    let deadline = types::UnixMillis(platform::Clock::now_ms(&*lake.cluster.clock())).plus(1000);
    let put = proto::shards::PutChunks {
        shard,
        intent: types::WriteIntent { deadline, ..copy.intent },
        first_stripe: 0,
        chunks: vec![proto::shards::Chunk {
            digest: types::ChunkDigest::of(shard, 0, b"lost"),
            bytes: Bytes::from_static(b"lost"),
        }],
        seal,
    };
    cluster::Shards::put(&*lake.cluster, disk, put).await.expect("up");
    shard
}

/// A write that is sealed and not committed yet goes along with its group; what never is committed is
/// swept where it came to.
#[tokio::test]
async fn what_may_still_commit_goes_along() {
    let lake = Lake::new(8, 1).await;
    lake.fill("key", &SIZES).await;
    let group = lake.only_group();
    let (old, new) = (group.disks[2], lake.spare(group.id));
    let shard = put_without_commit(&lake, old, true).await;
    lake.move_rank(group.id, 2, new).await;
    let mut healer = lake.healer();
    drain(&mut healer).await;
    assert_eq!(lake.cluster.stored(old).await, []);
    assert!(lake.cluster.stored(new).await.iter().any(|entry| entry.shard == shard));
    assert_eq!(lake.group(group.id).former, [], "{}", healer.status().1);
    lake.cluster.clock().advance(DAYS_MS);
    drain(&mut lake.sweeper()).await;
    assert_eq!(lake.whole().await, Ok(5));
}

/// Nobody collects it, and its writer may go on with it where it is: a write that broke off left the
/// beginning of a shard on the former disk only. The healer asks the index, waits until the write can
/// no longer commit, and lets readers their grace.
#[tokio::test]
async fn what_was_never_sealed_does_not_keep_a_move_open_for_ever() {
    let lake = Lake::new(8, 1).await;
    lake.fill("key", &SIZES).await;
    let group = lake.only_group();
    let old = group.disks[2];
    put_without_commit(&lake, old, false).await;
    lake.move_rank(group.id, 2, lake.spare(group.id)).await;
    let mut healer = lake.healer();
    drain(&mut healer).await;
    assert_eq!(lake.cluster.stored(old).await.len(), 1, "it may still commit");
    lake.cluster.clock().advance(3600 * 1000);
    drain(&mut healer).await;
    assert_eq!(lake.cluster.stored(old).await.len(), 1, "it was just seen to be dead");
    assert_eq!(lake.group(group.id).former.len(), 1);
    lake.cluster.clock().advance(3601 * 1000);
    drain(&mut healer).await;
    assert_eq!(lake.whole().await, Ok(5), "{}", healer.status().1);
}

/// A body that comes as the test sends it.
struct Pieces {
    pieces: mpsc::Receiver<Bytes>,
    digests: MemoryBody,
}

#[async_trait]
impl ObjectBody for Pieces {
    fn size_hint(&self) -> Option<u64> {
        self.digests.size_hint()
    }

    async fn next(&mut self) -> Option<Result<Bytes, BodyError>> {
        self.pieces.recv().await.map(Ok)
    }

    fn finish(&mut self) -> Result<BodyDigests, BodyError> {
        self.digests.finish()
    }
}

/// What [`begin`] sends.
const BEGUN: usize = 30_000;

/// Sends as much that the upload has surely chosen its group: the queue holds one piece, so two are
/// taken, and it begins with the first. Nothing of it has come to a disk yet.
async fn begin(pieces: &mpsc::Sender<Bytes>, bytes: &Bytes) {
    for piece in 0..3 {
        let range = piece * 10_000..(piece + 1) * 10_000;
        pieces.send(bytes.slice(range)).await.expect("it reads");
    }
}

/// An upload has begun on a disk that its rank leaves before the first chunk comes there: the healer
/// finds the disk empty and lets it go. The rank is known to be missing all the same.
#[tokio::test]
async fn a_write_in_flight_while_a_rank_moves_loses_nothing() {
    let lake = Lake::new(8, 1).await;
    let group = lake.only_group();
    let old = group.disks[2];
    let bytes = content(1, (9 << 20) + 7);
    let (pieces, received) = mpsc::channel(1);
    let body = Box::new(Pieces { pieces: received, digests: MemoryBody::new(bytes.clone()) });
    let put = Put { body, ..put_request("key", Bytes::new()) };
    let objects = lake.objects.clone();
    let upload = tokio::spawn(async move { objects.put(put).await });
    begin(&pieces, &bytes).await;
    lake.move_rank(group.id, 2, lake.spare(group.id)).await;
    drain(&mut lake.healer()).await;
    assert_eq!(lake.group(group.id).former, [], "nothing is there yet");
    pieces.send(bytes.slice(BEGUN..)).await.expect("it reads");
    drop(pieces);
    upload.await.expect("no panic").expect("five of six");
    lake.objects.settle().await;
    assert_eq!(lake.cluster.stored(old).await.len(), 1, "on a disk where nobody looks for it");

    let mut repairer = lake.repairer();
    drain(&mut repairer).await;
    assert_eq!(repairer.status().0, 1, "{}", repairer.status().1);
    lake.cluster.clock().advance(DAYS_MS);
    let mut sweeper = lake.sweeper();
    drain(&mut sweeper).await;
    assert_eq!(lake.whole().await, Ok(1));
    assert_eq!(get(&lake.objects, "key").await.expect("readable"), bytes);
}

/// The same, but the move has not ended: what the old disk was given is brought to the new one at
/// once, before the healer comes to the group.
#[tokio::test]
async fn a_write_in_flight_is_completed_on_the_new_member() {
    let lake = Lake::new(8, 1).await;
    let group = lake.only_group();
    let bytes = content(1, (9 << 20) + 7);
    let (pieces, received) = mpsc::channel(1);
    let body = Box::new(Pieces { pieces: received, digests: MemoryBody::new(bytes.clone()) });
    let put = Put { body, ..put_request("key", Bytes::new()) };
    let objects = lake.objects.clone();
    let upload = tokio::spawn(async move { objects.put(put).await });
    begin(&pieces, &bytes).await;
    let new = lake.spare(group.id);
    lake.move_rank(group.id, 2, new).await;
    pieces.send(bytes.slice(BEGUN..)).await.expect("it reads");
    drop(pieces);
    upload.await.expect("no panic").expect("six of six");
    lake.objects.settle().await;
    assert_eq!(lake.cluster.stored(new).await.len(), 0);
    drain(&mut lake.repairer()).await;
    assert_eq!(lake.cluster.stored(new).await.len(), 1);
    drain(&mut lake.healer()).await;
    assert_eq!(lake.whole().await, Ok(1));
    assert_eq!(get(&lake.objects, "key").await.expect("readable"), bytes);
}

/// So many disks are let go while a body comes that the write cannot be acknowledged: it says so.
#[tokio::test]
async fn a_write_whose_group_has_left_it_is_not_acknowledged() {
    let lake = Lake::new(8, 1).await;
    let group = lake.only_group();
    let bytes = content(1, 40 << 20);
    let (pieces, received) = mpsc::channel(1);
    let body = Box::new(Pieces { pieces: received, digests: MemoryBody::new(bytes.clone()) });
    let put = Put { body, ..put_request("key", Bytes::new()) };
    let objects = lake.objects.clone();
    let upload = tokio::spawn(async move { objects.put(put).await });
    begin(&pieces, &bytes).await;
    for rank in [2, 3] {
        lake.move_rank(group.id, rank, lake.spare(group.id)).await;
    }
    drain(&mut lake.healer()).await;
    assert_eq!(lake.group(group.id).former, []);
    // May end before all is sent.
    let _ = pieces.send(bytes.slice(BEGUN..)).await;
    drop(pieces);
    let refused = upload.await.expect("no panic");
    let error = refused.expect_err("four of six").to_string();
    assert!(error.contains("left the placement group"), "{error}");
    lake.objects.settle().await;
    assert_eq!(lake.cluster.stored_in_all().await.0, 0, "nothing is left behind");
}

/// Disks come back by themselves; what they may have missed is looked at.
#[tokio::test]
async fn a_disk_that_comes_back_is_looked_at() {
    let lake = Lake::new(8, 1).await;
    lake.fill("key", &SIZES).await;
    let group = lake.only_group();
    let mut healer = lake.healer();
    drain(&mut healer).await;
    lake.cluster.report_down(group.disks[1], true);
    drain(&mut healer).await;
    assert!(healer.progress().last_round.is_none(), "nothing was to be done");
    // Somebody restored an old copy of its folder.
    lake.cluster.store(group.disks[1]).wipe();
    lake.cluster.report_down(group.disks[1], false);
    drain(&mut healer).await;
    assert_eq!(counted(&healer, "missing"), 5);
    assert_eq!(lake.whole().await, Ok(5));
}

/// As the worker runs in a process: it wakes by itself when a rank moves.
#[tokio::test(start_paused = true)]
async fn it_begins_within_seconds() {
    let lake = Lake::new(8, 1).await;
    lake.fill("key", &SIZES).await;
    let workers = repair::Workers::new(100);
    workers.spawn(lake.healer());
    tokio::time::sleep(Duration::from_secs(60)).await;
    let group = lake.only_group();
    let began = tokio::time::Instant::now();
    lake.move_rank(group.id, 2, lake.spare(group.id)).await;
    while lake.whole().await.is_err() {
        assert!(began.elapsed() < Duration::from_secs(30), "{:?}", workers.list());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    workers.shutdown().await;
}
