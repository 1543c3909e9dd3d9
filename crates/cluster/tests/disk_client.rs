//! The disk client against data nodes that fail on demand. Time is paused.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use cluster::{
    DiskDeadlines, DiskFault, MemoryCluster, MemorySettings, Metadata, ShardError, Shards,
};
use proto::shards::{Chunk, PutChunks, ShardState};
use tokio::time::Instant;
use types::{
    BlobId, BucketId, ChunkDigest, DiskId, ErasurePolicy, ShardId, UnixMillis, WriteIntent,
};

fn cluster() -> MemoryCluster {
    let policy = ErasurePolicy::new(4, 2).expect("valid");
    MemoryCluster::with(MemorySettings {
        deadlines: DiskDeadlines::default(),
        ..MemorySettings::new(policy, 6)
    })
}

fn shard(rank: u8) -> ShardId {
    ShardId { blob: BlobId::from_bytes([7; 16]), rank }
}

fn put(shard: ShardId, length: usize) -> PutChunks {
    let bytes = Bytes::from(vec![3; length]);
    let digest = ChunkDigest::of(shard, 0, &bytes);
    let (bucket, deadline) = (BucketId(1), UnixMillis(u64::MAX));
    PutChunks {
        shard,
        intent: WriteIntent { bucket, key: "key".into(), part: None, deadline },
        first_stripe: 0,
        chunks: vec![Chunk { bytes, digest }],
        seal: true,
    }
}

const DISK: DiskId = DiskId(1);

#[tokio::test(start_paused = true)]
async fn shards_go_to_their_disk_and_back() {
    let cluster = cluster();
    assert_eq!(cluster.disks().len(), 6);
    assert_eq!(cluster.disks()[0], DISK);
    cluster.put(DISK, put(shard(0), 1000)).await.expect("stored");
    let chunk = cluster.read(DISK, shard(0), 0).await.expect("there");
    assert_eq!(chunk.bytes, vec![3; 1000]);
    cluster.confirm(DISK, vec![shard(0)]).await.expect("confirmed");
    let page = cluster.inventory(DISK, None, 10).await.expect("listed");
    assert_eq!(page, cluster.stored(DISK).await);
    assert_eq!((page[0].shard, page[0].state), (shard(0), ShardState::Confirmed));
    assert_eq!(cluster.stored_in_all().await, (1, 1000));
    assert_eq!(cluster.map().used_bytes[&DISK], 1000);
    assert_eq!(cluster.stat(DISK).await.expect("figures").used_bytes, 1000);

    let absent = ShardError::NotFound { disk: DiskId(2), shard: shard(0) };
    assert_eq!(cluster.read(DiskId(2), shard(0), 0).await, Err(absent));
    cluster.delete(DISK, vec![shard(0)]).await.expect("deleted");
    assert_eq!(cluster.stored_in_all().await, (0, 0));
}

#[tokio::test(start_paused = true)]
async fn errors_say_what_the_caller_does_next() {
    let cluster = cluster();
    let unavailable = |error| matches!(error, Err(ShardError::Unavailable { disk: DISK, .. }));
    let failed = |error| matches!(error, Err(ShardError::Failed { disk: DISK, .. }));
    let put = || cluster.put(DISK, put(shard(0), 10));
    for (fault, up) in [
        (DiskFault::Unreachable, false),
        (DiskFault::AnswerLost, false),
        (DiskFault::Hangs, false),
        (DiskFault::Busy, true),
    ] {
        cluster.set_fault(DISK, Some(fault));
        assert!(unavailable(put().await), "{fault:?}");
        assert_eq!(cluster.likely_up(DISK), up, "{fault:?}");
        cluster.set_fault(DISK, None);
        assert!(cluster.likely_up(DISK), "{fault:?} ended");
    }
    cluster.set_fault(DISK, Some(DiskFault::Failed));
    assert!(failed(put().await));
    assert!(!cluster.likely_up(DISK));
    cluster.set_fault(DISK, Some(DiskFault::NoSpace));
    assert_eq!(put().await, Err(ShardError::NoSpace(DISK)));
    cluster.set_fault(DISK, None);
    cluster.fail_puts(DISK, DiskFault::NoSpace, 1);
    assert_eq!(put().await, Err(ShardError::NoSpace(DISK)));
    put().await.expect("only one put failed");

    let nowhere = DiskId(99);
    let error = cluster.stat(nowhere).await.expect_err("no such disk");
    assert!(matches!(error, ShardError::Unavailable { disk, .. } if disk == nowhere));
    assert!(!cluster.likely_up(nowhere));
}

#[tokio::test(start_paused = true)]
async fn every_class_of_call_has_its_deadline() {
    let cluster = cluster();
    cluster.set_fault(DISK, Some(DiskFault::Hangs));
    let seconds = |began: Instant| began.elapsed().as_secs();
    let began = Instant::now();
    cluster.put(DISK, put(shard(0), 10)).await.expect_err("hangs");
    assert_eq!(seconds(began), 30);
    let began = Instant::now();
    cluster.read(DISK, shard(0), 0).await.expect_err("hangs");
    assert_eq!(seconds(began), 10);
    let began = Instant::now();
    cluster.confirm(DISK, vec![]).await.expect_err("hangs");
    assert_eq!(seconds(began), 10);
    let began = Instant::now();
    cluster.delete(DISK, vec![]).await.expect_err("hangs");
    assert_eq!(seconds(began), 10);
    let began = Instant::now();
    cluster.stat(DISK).await.expect_err("hangs");
    assert_eq!(seconds(began), 2);
}

#[tokio::test(start_paused = true)]
async fn corrupt_chunks_never_get_through() {
    let cluster = cluster();
    cluster.put(DISK, put(shard(0), 1000)).await.expect("stored");
    assert!(cluster.corrupt(DISK, shard(0), 0));
    let corrupt = ShardError::Corrupt { disk: DISK, shard: shard(0) };
    assert_eq!(cluster.read(DISK, shard(0), 0).await, Err(corrupt), "the node's own check");
    assert!(cluster.likely_up(DISK), "one bad chunk is no bad disk");
    assert!(!cluster.corrupt(DISK, shard(5), 0), "no such shard");

    cluster.put(DISK, put(shard(1), 1000)).await.expect("stored");
    cluster.set_fault(DISK, Some(DiskFault::WrongBytes));
    let corrupt = ShardError::Corrupt { disk: DISK, shard: shard(1) };
    assert_eq!(cluster.read(DISK, shard(1), 0).await, Err(corrupt), "our own check");
    cluster.set_fault(DISK, None);
    cluster.read(DISK, shard(1), 0).await.expect("it was wrong on the way only");
}

#[tokio::test(start_paused = true)]
async fn a_disk_is_left_alone_then_probed_then_trusted() {
    let cluster = Arc::new(cluster());
    cluster.set_fault(DISK, Some(DiskFault::Unreachable));
    let began = Instant::now();
    // Calls that fail together count once.
    for _ in 0..20 {
        cluster.stat(DISK).await.expect_err("down");
    }
    assert!(!cluster.likely_up(DISK));
    assert!(cluster.likely_up(DiskId(2)));

    // Probes come after 1, 2, 4, 8, 10 and 10 seconds: at 1, 3, 7, 15, 25 and 35.
    tokio::time::sleep_until(began + Duration::from_millis(15_500)).await;
    cluster.heal_quietly(DISK);
    tokio::time::sleep_until(began + Duration::from_millis(24_900)).await;
    assert!(!cluster.likely_up(DISK), "not probed again yet");
    tokio::time::sleep_until(began + Duration::from_millis(25_100)).await;
    assert!(cluster.likely_up(DISK), "the probe has found it");

    // The next outage begins with the short pause again.
    cluster.set_fault(DISK, Some(DiskFault::Unreachable));
    let began = Instant::now();
    cluster.stat(DISK).await.expect_err("down");
    cluster.heal_quietly(DISK);
    tokio::time::sleep_until(began + Duration::from_millis(1100)).await;
    assert!(cluster.likely_up(DISK));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_succeeds_ends_the_suspicion() {
    let cluster = cluster();
    cluster.set_fault(DISK, Some(DiskFault::Unreachable));
    cluster.stat(DISK).await.expect_err("down");
    cluster.heal_quietly(DISK);
    assert!(!cluster.likely_up(DISK));
    cluster.stat(DISK).await.expect("up");
    assert!(cluster.likely_up(DISK));
}

#[tokio::test(start_paused = true)]
async fn what_the_map_says_counts_too() {
    let cluster = cluster();
    cluster.report_down(DISK, true);
    assert!(!cluster.likely_up(DISK));
    assert!(cluster.map().down.contains(&DISK));
    cluster.report_down(DISK, false);
    assert!(cluster.likely_up(DISK));
}
