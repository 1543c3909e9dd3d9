//! The same object layer over the cluster crate's own clients: deadlines, suspicion,
//! routing and retries are the real ones here, only Raft, network and RocksDB are not.

use std::sync::Arc;

use cluster::memory::{DiskFault, MemoryCluster};
use objects::{Error, Objects, Settings};
use proto::shards::ShardState;
use types::BucketSettings;

use crate::support::{BUCKET, blob_of, content, get, put};

async fn six() -> (Arc<MemoryCluster>, Objects) {
    let cluster = Arc::new(MemoryCluster::new("rs-4-2".parse().expect("valid"), 6));
    let settings = Settings::default();
    let objects = Objects::new(cluster.clone(), cluster.clone(), cluster.clock(), settings);
    objects.create_bucket(BUCKET, BucketSettings::default()).await.expect("the name is free");
    (cluster, objects)
}

#[tokio::test(start_paused = true)]
async fn every_kind_of_disk_fault_leaves_reads_and_one_loss_leaves_writes() {
    let (cluster, objects) = six().await;
    let disks = cluster.disks();
    let old = content(1, 5 << 20);
    put(&objects, "old", &old).await.expect("all disks are up");
    for fault in [
        DiskFault::Unreachable,
        DiskFault::Hangs,
        DiskFault::AnswerLost,
        DiskFault::Failed,
        DiskFault::NoSpace,
        DiskFault::Busy,
    ] {
        cluster.set_fault(disks[2], Some(fault));
        for size in [10, 100_000, 9 << 20] {
            let bytes = content(size as u64, size);
            put(&objects, "new", &bytes).await.unwrap_or_else(|e| panic!("{fault:?}: {e}"));
            assert_eq!(get(&objects, "new").await.expect("readable"), bytes, "{fault:?}");
        }
        cluster.set_fault(disks[5], Some(fault));
        assert_eq!(get(&objects, "old").await.expect("readable"), old, "{fault:?}");
        let refused = put(&objects, "refused", &content(1, 100_000)).await;
        assert!(matches!(refused, Err(Error::Unavailable(_))), "{fault:?}: {refused:?}");
        put(&objects, "inline", &content(1, 10)).await.expect("needs no disk");
        cluster.set_fault(disks[2], None);
        cluster.set_fault(disks[5], None);
    }
    put(&objects, "new", &old).await.expect("all disks are up again");
}

#[tokio::test(start_paused = true)]
async fn what_is_committed_is_confirmed_and_metadata_without_a_leader_is_unavailable() {
    let (cluster, objects) = six().await;
    let bytes = content(1, 100_000);
    let blob = blob_of(&put(&objects, "key", &bytes).await.expect("up"));
    objects.settle().await;
    for disk in cluster.disks() {
        let stored = cluster.stored(disk).await;
        assert_eq!(stored.len(), 1);
        assert_eq!((stored[0].shard.blob, stored[0].state), (blob.id, ShardState::Confirmed));
    }
    cluster.set_metadata_available(false);
    let refused = put(&objects, "other", &bytes).await;
    assert!(matches!(refused, Err(Error::Unavailable(_))), "{refused:?}");
    cluster.set_metadata_available(true);
    objects.settle().await;
    assert_eq!(cluster.stored_in_all().await.0, 6, "nothing is left of the refused write");
    assert_eq!(get(&objects, "key").await.expect("there"), bytes);
}
