//! Disks that are down, slow, full or lying, and metadata that does not answer.

use std::{collections::BTreeSet, sync::atomic::Ordering, time::Duration};

use cluster::Metadata;
use metastore::api::{IndexQuery, IndexView, RootAnswer, RootCommand, index::RepairRow};
use objects::{Error, Objects};
use shardstore::memory::WriteFault;
use types::{BucketId, BucketSettings, Condition, DiskId, ShardId};

use crate::support::{BUCKET, CommandFault, TestCluster, blob_of, content, delete, get, put};

const MIB: usize = 1 << 20;

async fn repairs(cluster: &TestCluster) -> Vec<RepairRow> {
    let mut rows = Vec::new();
    for group in cluster.groups() {
        let query = IndexQuery::Repairs { after: None, limit: 1000 };
        match cluster.partition_query(group, query).await {
            Ok(IndexView::Repairs(more)) => rows.extend(more),
            other => panic!("{other:?}"),
        }
    }
    rows
}

#[tokio::test]
async fn any_two_disks_may_be_down_at_a_read() {
    let (cluster, objects) = TestCluster::six().await;
    let small = content(1, 100_000);
    let large = content(2, 9 * MIB);
    put(&objects, "small", &small).await.expect("up");
    put(&objects, "large", &large).await.expect("up");
    let disks: Vec<DiskId> = cluster.disks.keys().copied().collect();
    for known in [false, true] {
        for (index, first) in disks.iter().enumerate() {
            for second in &disks[index + 1..] {
                for disk in [first, second] {
                    cluster.take_down(*disk);
                    cluster.disks[disk].suspected.store(known, Ordering::SeqCst);
                }
                assert_eq!(get(&objects, "small").await.expect("readable"), small);
                assert_eq!(get(&objects, "large").await.expect("readable"), large);
                cluster.bring_up(*first);
                cluster.bring_up(*second);
            }
        }
    }
    for disk in &disks[..3] {
        cluster.take_down(*disk);
    }
    let Err(Error::Unreadable(reason)) = get(&objects, "small").await else {
        panic!("three of six are gone")
    };
    for disk in &disks[..3] {
        assert!(reason.contains(&disk.to_string()), "{reason}");
    }
    assert!(reason.contains("needs 4 of 6 shards, and only 3"), "{reason}");
    // A disk that the client believes down is tried before giving up.
    cluster.bring_up(disks[0]);
    cluster.disks[&disks[0]].suspected.store(true, Ordering::SeqCst);
    assert_eq!(get(&objects, "small").await.expect("readable"), small);
}

#[tokio::test]
async fn one_disk_down_at_a_write_is_recorded_as_missing() {
    for (size, known) in [(100_000, false), (100_000, true), (20 * MIB, false)] {
        let (cluster, objects) = TestCluster::six().await;
        let (down, disk) = cluster.disk(2);
        cluster.take_down(down);
        disk.suspected.store(known, Ordering::SeqCst);
        let bytes = content(1, size);
        let blob = blob_of(&put(&objects, "key", &bytes).await.expect("five of six"));
        let rank = cluster.group_disks(blob.pg).iter().position(|d| *d == down).expect("member");
        let rows = repairs(&cluster).await;
        assert_eq!(rows.len(), 1);
        assert_eq!((rows[0].blob.clone(), rows[0].missing.clone()), (blob, vec![rank as u8]));
        assert_eq!(get(&objects, "key").await.expect("readable"), bytes);
    }
}

#[tokio::test]
async fn two_disks_down_at_a_write_is_refused_with_the_reason_and_leaves_nothing() {
    for size in [100_000, 5 * MIB, 20 * MIB] {
        for known in [false, true] {
            let (cluster, objects) = TestCluster::six().await;
            let down = [cluster.disk(1).0, cluster.disk(3).0];
            for disk in down {
                cluster.take_down(disk);
                cluster.disks[&disk].suspected.store(known, Ordering::SeqCst);
            }
            let Err(Error::Unavailable(reason)) = put(&objects, "key", &content(1, size)).await
            else {
                panic!("a weaker acknowledgement")
            };
            assert_eq!(
                reason,
                format!(
                    "no placement group{} can keep 5 of 6 shards: disks {}, {} do not answer",
                    // Before anything is written the class is known to be what finds no group.
                    if known { " for STANDARD" } else { "" },
                    down[0],
                    down[1]
                ),
            );
            objects.settle().await;
            assert_eq!(cluster.shard_count().await, 0);
            assert_eq!(get(&objects, "key").await, Err(Error::NoSuchKey));
        }
    }
}

/// Twelve disks in rotating groups of six: some groups avoid the two that fail.
#[tokio::test]
async fn a_group_that_fails_is_left_for_another() {
    let settings = objects::Settings::default;
    let (cluster, objects) = TestCluster::with_objects("rs-4-2", 18, settings()).await;
    for number in [0, 1] {
        cluster.take_down(cluster.disk(number).0);
    }
    let mut written = 0;
    for number in 0..24u64 {
        let bytes = content(number, if number % 2 == 0 { 100_000 } else { 6 * MIB });
        let key = format!("key-{number}");
        match put(&objects, &key, &bytes).await {
            Ok(_) => {
                assert_eq!(get(&objects, &key).await.expect("readable"), bytes);
                written += 1;
            }
            // Three random groups may all have both disks; that is what the answer says.
            Err(Error::Unavailable(_)) => {}
            Err(other) => panic!("{other}"),
        }
    }
    assert!(written >= 22, "{written}");
    objects.settle().await;
    let blobs: BTreeSet<_> =
        cluster.shards().await.into_iter().map(|(_, entry)| entry.shard.blob).collect();
    assert_eq!(blobs.len(), written, "what was left behind in other groups is deleted");
}

#[tokio::test]
async fn a_full_disk_is_a_missing_rank_and_two_are_a_refusal() {
    let (cluster, objects) = TestCluster::six().await;
    cluster.disk(0).1.store.fail_next_write(WriteFault::NoSpace);
    put(&objects, "key", &content(1, 100_000)).await.expect("five of six");
    assert_eq!(repairs(&cluster).await.len(), 1);
    // Confirmations are writes too; and three groups are tried, each cleaned up.
    objects.settle().await;
    for _ in 0..20 {
        cluster.disk(0).1.store.fail_next_write(WriteFault::NoSpace);
        cluster.disk(4).1.store.fail_next_write(WriteFault::NoSpace);
    }
    let refused = put(&objects, "other", &content(1, 100_000)).await;
    let Err(Error::Unavailable(reason)) = refused else { panic!("{refused:?}") };
    assert!(reason.contains("full"), "{reason}");
}

async fn corrupt(cluster: &TestCluster, blob: &types::BlobRef, rank: u8, stripe: u32) {
    let disk = cluster.group_disks(blob.pg)[usize::from(rank)];
    let shard = ShardId { blob: blob.id, rank };
    assert!(cluster.disks[&disk].store.flip_bit(shard, stripe, 12_345));
}

#[tokio::test]
async fn corrupt_chunks_give_right_bytes_and_a_hint() {
    let (cluster, objects) = TestCluster::six().await;
    let mut hints = objects.repairs().expect("not taken");
    assert!(objects.repairs().is_none(), "one queue, one worker");
    let bytes = content(1, 9 * MIB);
    let blob = blob_of(&put(&objects, "key", &bytes).await.expect("up"));
    corrupt(&cluster, &blob, 2, 1).await;
    corrupt(&cluster, &blob, 3, 1).await;
    assert_eq!(get(&objects, "key").await.expect("readable"), bytes);
    let mut ranks = Vec::new();
    while let Ok(hint) = hints.try_recv() {
        assert_eq!(hint.blob, blob);
        assert_eq!((hint.intent.key.as_str(), hint.intent.part), ("key", None));
        ranks.push(hint.rank);
    }
    ranks.sort_unstable();
    assert_eq!(ranks, [2, 3]);

    corrupt(&cluster, &blob, 5, 1).await;
    let unreadable = get(&objects, "key").await;
    let Err(Error::Unreadable(reason)) = unreadable else { panic!("{unreadable:?}") };
    assert!(reason.contains("corrupt"), "{reason}");
}

#[tokio::test]
async fn a_shard_that_is_gone_gives_a_hint() {
    let (cluster, objects) = TestCluster::six().await;
    let mut hints = objects.repairs().expect("not taken");
    let bytes = content(1, 100_000);
    let blob = blob_of(&put(&objects, "key", &bytes).await.expect("up"));
    let disk = cluster.group_disks(blob.pg)[0];
    cluster.disks[&disk].store.wipe();
    assert_eq!(get(&objects, "key").await.expect("readable"), bytes);
    assert_eq!(hints.try_recv().expect("a hint").rank, 0);
}

async fn check_left_nothing(cluster: &TestCluster, objects: &Objects) {
    objects.settle().await;
    assert_eq!(cluster.shard_count().await, 0);
    assert_eq!(get(objects, "key").await, Err(Error::NoSuchKey));
}

#[tokio::test]
async fn a_commit_that_surely_failed_leaves_no_shards() {
    let (cluster, objects) = TestCluster::six().await;
    for size in [10, 100_000, 5 * MIB] {
        cluster.command_faults.lock().push_back(CommandFault::Unavailable);
        let refused = put(&objects, "key", &content(1, size)).await;
        assert!(matches!(refused, Err(Error::Unavailable(_))), "{refused:?}");
        check_left_nothing(&cluster, &objects).await;
    }
}

/// The commit may have happened: deleting the shards would lose an object.
#[tokio::test]
async fn an_unknown_outcome_keeps_the_shards() {
    let (cluster, objects) = TestCluster::six().await;
    let bytes = content(1, 100_000);
    cluster.command_faults.lock().push_back(CommandFault::UnknownApplied);
    let unknown = put(&objects, "applied", &bytes).await;
    assert!(matches!(unknown, Err(Error::Internal(_))), "{unknown:?}");
    objects.settle().await;
    assert_eq!(get(&objects, "applied").await.expect("it was applied"), bytes);

    cluster.command_faults.lock().push_back(CommandFault::UnknownLost);
    let unknown = put(&objects, "lost", &bytes).await;
    assert!(matches!(unknown, Err(Error::Internal(_))), "{unknown:?}");
    objects.settle().await;
    assert_eq!(cluster.shard_count().await, 12, "the sweep decides about the second six");
}

/// A crash came between a bucket's creation and its gate, so the first proposal is refused.
/// A duplicate of it (the client asks several nodes) arrives after the gate was opened: the
/// second proposal must be known as the same write, or it meets itself.
#[tokio::test]
async fn a_late_duplicate_of_a_refused_proposal_is_the_same_write() {
    let cluster = TestCluster::new("rs-4-2", 6);
    let objects = cluster.objects(objects::Settings::default());
    let id = BucketId(u64::MAX / 3);
    let initial = BucketSettings::default();
    let create = RootCommand::CreateBucket { name: BUCKET.into(), id, initial };
    let created = cluster.root(create).await;
    assert!(matches!(created, Ok(RootAnswer::Bucket(_))), "{created:?}");
    cluster.command_faults.lock().push_back(CommandFault::ArrivesAgain);
    let bytes = content(1, 100_000);
    let request = crate::support::put_request("key", bytes.clone());
    let request = objects::request::Put { condition: Condition::Absent, ..request };
    objects.put(request).await.expect("there was no such key before");
    objects.settle().await;
    assert_eq!(cluster.shard_count().await, 6);
    assert_eq!(get(&objects, "key").await.expect("readable"), bytes);
}

/// The index forgets a write id after 15 minutes. A duplicate that stood still somewhere for
/// longer must not reference bytes again that are garbage since.
#[tokio::test]
async fn a_duplicate_that_comes_when_its_id_is_forgotten_is_refused() {
    let (cluster, objects) = TestCluster::six().await;
    for size in [10, 100_000] {
        cluster.command_faults.lock().push_back(CommandFault::ArrivesAgain);
        put(&objects, "key", &content(1, size)).await.expect("up");
        delete(&objects, "key").await.expect("deleted");
        let garbage = cluster.garbage();
        cluster.clock.advance(metastore::index::REMEMBERED_MS + 60_000);
        // The duplicate arrives just before this one.
        put(&objects, "other", &content(2, 10)).await.expect("up");
        assert_eq!(get(&objects, "key").await, Err(Error::NoSuchKey), "{size}");
        assert_eq!(cluster.garbage(), garbage, "{size}");
    }
}

#[tokio::test]
async fn a_write_that_took_too_long_is_refused() {
    let settings = objects::Settings { write_deadline_ms: 1000, ..Default::default() };
    let (cluster, objects) = TestCluster::with_objects("rs-4-2", 6, settings).await;
    let blocked = cluster.command_faults.lock().is_empty();
    assert!(blocked);
    // The clock jumps while the shards are being written.
    let shared = cluster.clone();
    let request = SlowBody { cluster: shared, bytes: Some(content(1, 100_000)) };
    let put = objects::request::Put {
        body: Box::new(request),
        ..crate::support::put_request("key", bytes::Bytes::new())
    };
    let refused = objects.put(put).await;
    assert!(matches!(refused, Err(Error::Unavailable(_))), "{refused:?}");
    check_left_nothing(&cluster, &objects).await;
}

struct SlowBody {
    cluster: std::sync::Arc<TestCluster>,
    bytes: Option<bytes::Bytes>,
}

#[async_trait::async_trait]
impl objects::ObjectBody for SlowBody {
    fn size_hint(&self) -> Option<u64> {
        None
    }

    async fn next(&mut self) -> Option<Result<bytes::Bytes, objects::BodyError>> {
        self.cluster.clock.advance(2000);
        self.bytes.take().map(Ok)
    }

    fn finish(&mut self) -> Result<objects::BodyDigests, objects::BodyError> {
        Ok(objects::BodyDigests { md5: [0; 16], checksum: None })
    }
}

/// On paused time: a slow disk must cost a read only the hedge's delay.
#[tokio::test(start_paused = true)]
async fn a_slow_disk_is_hedged_within_the_budget() {
    let (cluster, objects) = TestCluster::six().await;
    let bytes = content(1, 100_000);
    let blob = blob_of(&put(&objects, "key", &bytes).await.expect("up"));
    let slow = cluster.group_disks(blob.pg)[1];
    cluster.disks[&slow].read_ms.store(1500, Ordering::SeqCst);
    let timed = async || {
        let began = tokio::time::Instant::now();
        assert_eq!(get(&objects, "key").await.expect("readable"), bytes);
        began.elapsed()
    };
    assert!(timed().await < Duration::from_millis(100));
    let mut slow_reads = 0;
    for _ in 0..60 {
        slow_reads += u32::from(timed().await > Duration::from_secs(1));
    }
    // One of four chunks is slow: hedging each time would be a quarter of the reads.
    assert!(slow_reads > 10, "{slow_reads}: the budget bounds the hedges");
    assert!(slow_reads < 45, "{slow_reads}: hedges go on within the budget");

    // A disk that hangs is a failure, and costs no budget.
    cluster.disks[&slow].read_ms.store(100_000, Ordering::SeqCst);
    for _ in 0..20 {
        assert!(timed().await < Duration::from_millis(2100));
    }
}

/// On paused time: a disk that hangs costs a write the grace, not the disk's own time.
#[tokio::test(start_paused = true)]
async fn a_slow_disk_does_not_hold_up_a_write() {
    let (cluster, objects) = TestCluster::six().await;
    let confirmed = async |key: &str| {
        objects.settle().await;
        let blob = blob_of(&objects.head(BUCKET, key, None).await.expect("there"));
        let of_blob = |(_, entry): &&(DiskId, proto::shards::ShardEntry)| {
            entry.shard.blob == blob.id && entry.state == proto::shards::ShardState::Confirmed
        };
        cluster.shards().await.iter().filter(of_blob).count()
    };
    for (key, put_ms, size, limit_s, shards) in [
        ("late", 4000, 100_000, 1, 6),
        ("hangs", 60_000, 100_000, 1, 5),
        ("hangs-large", 60_000, 40 * MIB, 10, 5),
    ] {
        cluster.disk(3).1.put_ms.store(put_ms, Ordering::SeqCst);
        let bytes = content(1, size);
        let began = tokio::time::Instant::now();
        put(&objects, key, &bytes).await.expect("five of six");
        assert!(began.elapsed() < Duration::from_secs(limit_s), "{:?}", began.elapsed());
        assert_eq!(get(&objects, key).await.expect("readable"), bytes);
        assert_eq!(confirmed(key).await, shards, "{key}");
        assert!(began.elapsed() < Duration::from_secs(2 * limit_s + 6), "{:?}", began.elapsed());
        assert_eq!(objects.write_buffer_bytes().0, 0, "{key}: its memory is free again");
    }
    assert_eq!(repairs(&cluster).await.len(), 3);
}
