//! Orphans: the index decides, and only after the write can no longer commit.

use objects::Error;
use proto::shards::ShardState;
use repair::{OrphanSweeper, Settings, Worker};

use crate::{
    drain,
    support::{CommandFault, TestCluster, content, get, put},
};

const HOUR_MS: u64 = 3600 * 1000;

/// Two writes whose outcome the gateway does not know: one was applied, one was not.
#[tokio::test]
async fn unknown_outcomes_are_settled_by_the_index() {
    let (cluster, objects) = TestCluster::six().await;
    let mut sweeper = OrphanSweeper::new(objects.clone(), Settings::default());
    let bytes = content(1, 100_000);
    for (key, fault) in
        [("applied", CommandFault::UnknownApplied), ("lost", CommandFault::UnknownLost)]
    {
        cluster.command_faults.lock().push_back(fault);
        let unknown = put(&objects, key, &bytes).await;
        assert!(matches!(unknown, Err(Error::Internal(_))), "{unknown:?}");
    }
    objects.settle().await;
    let pending = async || {
        let shards = cluster.shards().await;
        shards.iter().filter(|(_, shard)| shard.state == ShardState::Pending).count()
    };
    assert_eq!(pending().await, 12);

    // Deadline 6 h and grace 24 h: until then nothing may be touched.
    for _ in 0..29 {
        cluster.clock.advance(HOUR_MS);
        drain(&mut sweeper).await;
        assert_eq!(pending().await, 12);
    }
    cluster.clock.advance(2 * HOUR_MS);
    drain(&mut sweeper).await;
    assert_eq!(pending().await, 0);
    assert_eq!(cluster.shard_count().await, 6);
    assert_eq!(get(&objects, "applied").await.expect("confirmed"), bytes);
    assert_eq!(get(&objects, "lost").await, Err(Error::NoSuchKey));
    assert_eq!(sweeper.status().0, 12);
}

#[tokio::test]
async fn confirmed_shards_are_left_alone_and_a_silent_disk_is_left_out() {
    let (cluster, objects) = TestCluster::six().await;
    let mut sweeper = OrphanSweeper::new(objects.clone(), Settings::default());
    let bytes = content(1, 100_000);
    put(&objects, "key", &bytes).await.expect("up");
    objects.settle().await;
    cluster.command_faults.lock().push_back(CommandFault::UnknownLost);
    put(&objects, "lost", &bytes).await.expect_err("unknown");
    cluster.clock.advance(31 * HOUR_MS);
    let down = cluster.disk(0).0;
    cluster.take_down(down);
    drain(&mut sweeper).await;
    assert_eq!(cluster.shard_count().await, 7, "all but what the silent disk holds");
    assert!(sweeper.status().1.contains("1 disks did not answer"), "{}", sweeper.status().1);
    cluster.bring_up(down);
    drain(&mut sweeper).await;
    assert_eq!(cluster.shard_count().await, 6);
    assert_eq!(get(&objects, "key").await.expect("there"), bytes);
}
