//! Three hosts in one process: replication, loss of the leader, snapshots, first members.

#![allow(clippy::unwrap_used, reason = "a test that fails may panic")]

mod common;

use std::time::Duration;

use common::{Cluster, GROUP, add_learner, eventually, ids, within};
use consensus::{ConsensusGroup, Error, RaftTimings};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledged_commands_survive_the_loss_of_the_leader() {
    let mut cluster = Cluster::start(3, 3, RaftTimings::for_tests()).await;
    for number in 0..20 {
        cluster.put(&format!("k{number:02}"), "before").await;
    }
    let old = cluster.leader().await;
    cluster.nodes[old].stop().await;

    let new = cluster.leader().await;
    assert_ne!(new, old);
    assert_eq!(cluster.nodes[new].rows().len(), 20, "read after the barrier");
    cluster.put("k00", "after").await;

    cluster.nodes[old].start().await;
    eventually("the old leader to catch up", || {
        cluster.nodes[old].rows().get("k00").is_some_and(|value| value == "after")
    })
    .await;
    assert_eq!(cluster.nodes[old].rows(), cluster.nodes[new].rows());
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_of_all_keeps_what_was_acknowledged() {
    let mut cluster = Cluster::start(3, 3, RaftTimings::for_tests()).await;
    for number in 0..30 {
        cluster.put(&format!("k{number:02}"), &format!("v{number}")).await;
    }
    let before = cluster.nodes[cluster.leader().await].rows();
    assert_eq!(before.len(), 30);
    for _ in 0..2 {
        cluster.stop().await;
        for node in &mut cluster.nodes {
            node.start().await;
        }
        let leader = cluster.leader().await;
        assert_eq!(cluster.nodes[leader].rows(), before);
    }
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_missed_everything_gets_a_snapshot() {
    let timings = RaftTimings { snapshot_every: 40, logs_to_keep: 5, ..RaftTimings::for_tests() };
    let mut cluster = Cluster::start(3, 2, timings).await;
    // Values above a frame's size, too.
    let large = "x".repeat(700 << 10);
    for number in 0..3 {
        cluster.put(&format!("large{number}"), &large).await;
    }
    for number in 0..200 {
        cluster.put(&format!("k{number:03}"), &format!("v{number}")).await;
    }
    let leader = cluster.leader().await;
    eventually("a snapshot", || cluster.nodes[leader].group().status().snapshot_index > 100).await;

    add_learner(&cluster, 3).await;
    let expected = cluster.nodes[leader].rows();
    assert_eq!(expected.len(), 203);
    eventually("the same rows", || cluster.nodes[2].rows() == expected).await;
    let learner = cluster.nodes[2].group().status();
    assert!(learner.snapshot_index > 100, "the log before is gone: {learner:?}");

    // What it received is durable and complete after a restart, and it goes on from there.
    cluster.nodes[2].stop().await;
    cluster.nodes[2].start().await;
    eventually("the rows after a restart", || cluster.nodes[2].rows() == expected).await;
    cluster.put("later", "1").await;
    eventually("a later command", || cluster.nodes[2].rows().contains_key("later")).await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_far_behind_is_replaced_by_a_snapshot() {
    let timings = RaftTimings { snapshot_every: 20, logs_to_keep: 2, ..RaftTimings::for_tests() };
    let mut cluster = Cluster::start(3, 3, timings).await;
    cluster.put("old", "1").await;
    let leader = cluster.leader().await;
    let behind = (leader + 1) % 3;
    let (node, fabric) = (cluster.nodes[behind].id, cluster.nodes[0].fabric.clone());
    eventually("the first row", || cluster.nodes[behind].rows().contains_key("old")).await;
    let applied = cluster.nodes[behind].group().status().applied_index;
    fabric.cut(node);
    for number in 0..100 {
        cluster.put(&format!("k{number}"), "2").await;
    }
    cluster.put("old", "3").await;
    eventually("a snapshot beyond the follower", || {
        let leader =
            cluster.nodes.iter().find(|node| node.id != cluster.nodes[behind].id && node.leads());
        leader.is_some_and(|leader| leader.group().status().snapshot_index > applied + 10)
    })
    .await;
    fabric.heal(node);
    eventually("the same rows", || {
        let rows = cluster.nodes[behind].rows();
        rows.len() == 101 && rows["old"] == "3"
    })
    .await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_voter_becomes_three_and_two() {
    let mut cluster = Cluster::start(3, 1, RaftTimings::for_tests()).await;
    cluster.put("a", "1").await;
    let group = cluster.nodes[0].group().clone();

    let stranger = within("a refusal", group.change_membership(ids([1, 2]))).await;
    assert!(matches!(stranger, Err(Error::Invalid { .. })), "{stranger:?}");
    for id in [2, 3] {
        add_learner(&cluster, id).await;
    }
    within("three voters", group.change_membership(ids([1, 2, 3]))).await.unwrap();
    assert_eq!(group.status().voters, ids([1, 2, 3]));

    // Now any one may go.
    cluster.nodes[0].stop().await;
    cluster.put("b", "2").await;
    let leader = cluster.leader().await;
    let group = cluster.nodes[leader].group().clone();
    within("two voters", group.change_membership(ids([2, 3]))).await.unwrap();
    assert_eq!(group.status().voters, ids([2, 3]));
    assert_eq!(cluster.nodes[leader].rows().len(), 2);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_is_cut_off_serves_nothing() {
    let timings = RaftTimings { request: Duration::from_millis(1500), ..RaftTimings::for_tests() };
    let mut cluster = Cluster::start(3, 3, timings).await;
    cluster.put("a", "1").await;
    let old = cluster.leader().await;
    let (node, fabric) = (cluster.nodes[old].id, cluster.nodes[0].fabric.clone());
    fabric.cut(node);

    let group = cluster.nodes[old].group().clone();
    let read = group.read_barrier().await;
    assert!(matches!(read, Err(Error::NoQuorum { group: GROUP })), "{read:?}");
    // The entry is in its log, so nobody can say that it will not be committed.
    let write = cluster.nodes[old].put("a", "2").await;
    assert!(matches!(write, Err(Error::UnknownOutcome { .. })), "{write:?}");

    // What waits is bounded: 64 MiB, then the group is busy.
    let mut waiting = Vec::new();
    for _ in 0..80 {
        let group = group.clone();
        let command = format!("pad {}", "x".repeat((1 << 20) - 4));
        waiting.push(tokio::spawn(async move { group.propose(command.into()).await }));
    }
    let mut busy = 0;
    for outcome in waiting {
        match outcome.await.unwrap() {
            Err(Error::Busy { .. }) => busy += 1,
            Err(Error::UnknownOutcome { .. }) => {}
            other => panic!("{other:?}"),
        }
    }
    assert!((15..80).contains(&busy), "{busy} of 80 were refused");

    eventually("another leader", || {
        cluster.nodes.iter().any(|other| other.id != node && other.leads())
    })
    .await;
    let new = (0..3).find(|index| *index != old && cluster.nodes[*index].leads()).unwrap();
    within("a write", cluster.nodes[new].put("a", "3")).await.unwrap();
    fabric.heal(node);
    eventually("the old leader to follow", || cluster.nodes[old].rows()["a"] == "3").await;
    let read = group.read_barrier().await;
    assert!(matches!(read, Err(Error::NotLeader { .. })), "{read:?}");
    let write = cluster.nodes[old].put("a", "4").await;
    assert!(matches!(write, Err(Error::NotLeader { .. })), "{write:?}");
    cluster.stop().await;
}

/// Found by the one-way partitions of jepsen: a leader whose heartbeats arrived and that heard nobody led for
/// as long as that lasted, and nothing could be written.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_hears_nobody_is_replaced() {
    let mut cluster = Cluster::start(3, 3, RaftTimings::for_tests()).await;
    cluster.put("a", "1").await;
    let old = cluster.leader().await;
    let (node, fabric) = (cluster.nodes[old].id, cluster.nodes[0].fabric.clone());
    fabric.deafen(node);
    eventually("another leader", || {
        cluster.nodes.iter().any(|other| other.id != node && other.leads())
    })
    .await;
    let new = (0..3).find(|index| *index != old && cluster.nodes[*index].leads()).unwrap();
    within("a write", cluster.nodes[new].put("a", "2")).await.unwrap();
    cluster.stop().await;
}
