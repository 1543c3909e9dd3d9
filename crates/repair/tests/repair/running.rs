//! All workers as they run in a process.

use std::time::Duration;

use repair::{Settings, WorkerState, start};

use crate::support::{TestCluster, content, delete, put};

/// On paused time: the workers wake by themselves, do their work and stop when told to.
#[tokio::test(start_paused = true)]
async fn the_workers_run_by_themselves() {
    let (cluster, objects) = TestCluster::six().await;
    let down = cluster.disk(0).0;
    cluster.take_down(down);
    put(&objects, "kept", &content(1, 100_000)).await.expect("five of six");
    put(&objects, "gone", &content(1, 100_000)).await.expect("five of six");
    delete(&objects, "gone").await.expect("deleted");
    let workers = start(&objects, &Settings::default());
    cluster.bring_up(down);
    cluster.clock.advance(3601 * 1000);
    let done = async {
        loop {
            let done: u64 = workers.list().iter().map(|worker| worker.done).sum();
            if done >= 2 && cluster.shard_count().await == 6 {
                return;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(600), done).await.expect("repaired and collected");
    let list = workers.list();
    let names: Vec<_> = list.iter().map(|worker| worker.name).collect();
    assert_eq!(
        names,
        [
            "events",
            "garbage",
            "heal",
            "inventory",
            "lifecycle",
            "orphans",
            "rebalance",
            "reencode",
            "repair",
            "restores",
            "scrub"
        ]
    );
    assert!(list.iter().all(|worker| worker.state != WorkerState::BackingOff), "{list:?}");
    workers.shutdown().await;
}
