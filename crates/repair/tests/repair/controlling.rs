//! What operators say to workers outlives the process that ran them, and is obeyed by the next.

use std::{sync::Arc, time::Duration};

use repair::{Obeyed, Settings, WorkerState, WorkerStatus, Workers, control, start};
use types::UnixMillis;

use crate::support::{TestCluster, content, delete, put};

/// Waits on paused time until the condition holds of a worker.
async fn until(
    workers: &Workers,
    name: &str,
    condition: impl Fn(&WorkerStatus) -> bool,
) -> WorkerStatus {
    let holds = async {
        loop {
            let list = workers.list();
            let status = list.into_iter().find(|worker| worker.name == name);
            match status {
                Some(status) if condition(&status) => return status,
                _ => tokio::time::sleep(Duration::from_secs(1)).await,
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(600), holds).await.expect("in time")
}

#[tokio::test(start_paused = true)]
async fn a_held_worker_does_nothing_until_it_is_let_go_on_whatever_node_runs_it() {
    let (cluster, objects) = TestCluster::six().await;
    let metadata = objects.metadata().clone();
    let at = UnixMillis(1);
    control::hold(&*metadata, "garbage", true, at).await.expect("said");
    control::throttle(&*metadata, "garbage", 250, at).await.expect("said");
    put(&objects, "gone", &content(1, 100_000)).await.expect("up");
    delete(&objects, "gone").await.expect("deleted");
    cluster.clock.advance(3601 * 1000);

    for node in 1..=2 {
        let workers = start(&objects, &Settings::default());
        let held = until(&workers, "garbage", |it| it.state == WorkerState::Cancelled).await;
        assert_eq!((held.throttle_percent, held.done), (250, 0), "on node {node}");
        let other = until(&workers, "orphans", |it| it.state == WorkerState::Idle).await;
        assert_eq!(other.throttle_percent, Settings::default().throttle_percent);
        // Rounds of the others pass, the held one stays where it is.
        tokio::time::sleep(Duration::from_secs(300)).await;
        assert_eq!(cluster.shard_count().await, 6, "nothing was collected on node {node}");
        workers.shutdown().await;
    }

    let workers = start(&objects, &Settings::default());
    until(&workers, "garbage", |it| it.state == WorkerState::Cancelled).await;
    // In the same millisecond as before: the bell is as it was.
    control::hold(&*metadata, "garbage", false, at).await.expect("said");
    let done = until(&workers, "garbage", |it| it.done == 1).await;
    assert_eq!(done.throttle_percent, 250);
    assert_eq!(cluster.shard_count().await, 0);
    let later = UnixMillis(2);
    control::throttle(&*metadata, "orphans", 0, later).await.expect("said");
    // It waits six hours for work, and shows it at once.
    let waits = until(&workers, "orphans", |it| it.throttle_percent == 0).await;
    assert_eq!(waits.state, WorkerState::Idle);
    workers.shutdown().await;
}

/// Workers must not begin before it is known whether they are held.
#[tokio::test(start_paused = true)]
async fn nothing_begins_while_what_was_said_is_not_known() {
    let (cluster, objects) = TestCluster::six().await;
    put(&objects, "gone", &content(1, 100_000)).await.expect("up");
    delete(&objects, "gone").await.expect("deleted");
    cluster.clock.advance(3601 * 1000);
    let silent = Arc::new(crate::silent::SilentRoot::new(cluster.clone()));
    let workers = Workers::obeying(0, Obeyed::new(silent.clone()));
    workers.spawn(repair::GarbageCollector::new(objects.clone(), Settings::default()));
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(cluster.shard_count().await, 6);
    let waits = until(&workers, "garbage", |_| true).await;
    assert_eq!((waits.state, waits.done), (WorkerState::Idle, 0));
    control::hold(&*cluster, "garbage", true, UnixMillis(1)).await.expect("said");
    silent.speak();
    until(&workers, "garbage", |it| it.state == WorkerState::Cancelled).await;
    assert_eq!(cluster.shard_count().await, 6, "it is held from the first moment");
    control::hold(&*cluster, "garbage", false, UnixMillis(2)).await.expect("said");
    until(&workers, "garbage", |it| it.done == 1).await;
    workers.shutdown().await;
}
