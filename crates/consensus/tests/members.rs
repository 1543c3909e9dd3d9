//! Who is in a group: growing, shrinking, replacing every member, changes that are cut off
//! half-way, and leaders that hand over.

#![allow(clippy::unwrap_used, reason = "a test that fails may panic")]
#![allow(clippy::print_stdout, reason = "figures")]

mod common;

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use common::{Cluster, add_learner, eventually, ids, within};
use consensus::{ConsensusGroup, Error, RaftTimings};
use types::NodeId;

/// Sets the voters, whoever leads; one call may hit a change of leaders.
async fn set_voters(cluster: &Cluster, voters: BTreeSet<NodeId>) {
    within("the voters to change", async {
        loop {
            let leader = cluster.leader().await;
            let group = cluster.nodes[leader].group().clone();
            if group.change_membership(voters.clone()).await.is_ok() {
                return;
            }
        }
    })
    .await;
    let leader = cluster.leader().await;
    let status = cluster.nodes[leader].group().status();
    assert_eq!(status.voters, voters);
    assert!(!status.changing && status.learners.is_empty(), "{status:?}");
}

async fn rows_on(cluster: &Cluster, ids: &[u64], rows: usize) {
    for id in ids {
        let index = usize::try_from(*id).unwrap() - 1;
        eventually("all rows", || cluster.nodes[index].rows().len() == rows).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_grows_to_five_and_every_first_member_is_replaced() {
    let mut cluster = Cluster::start(6, 1, RaftTimings::for_tests()).await;
    let mut voters = ids([1]);
    for id in 2..=5 {
        cluster.put(&format!("k{id}"), "1").await;
        add_learner(&cluster, id).await;
        voters.insert(NodeId(id));
        set_voters(&cluster, voters.clone()).await;
    }
    // Two of five may be missing.
    let leader = cluster.leader().await;
    let gone = [(leader + 1) % 5, (leader + 2) % 5];
    for index in gone {
        cluster.nodes[index].stop().await;
    }
    cluster.put("with-two-down", "1").await;
    for index in gone {
        cluster.nodes[index].start().await;
    }
    // Out with the first three, the leader included, one at a time.
    add_learner(&cluster, 6).await;
    voters.insert(NodeId(6));
    set_voters(&cluster, voters.clone()).await;
    for id in 1..=3 {
        let leader = cluster.leader().await;
        if cluster.nodes[leader].id == NodeId(id) {
            let group = cluster.nodes[leader].group().clone();
            within("a hand-over", group.hand_over()).await.unwrap();
        }
        voters.remove(&NodeId(id));
        set_voters(&cluster, voters.clone()).await;
        cluster.nodes[usize::try_from(id).unwrap() - 1].stop().await;
        cluster.put(&format!("without-{id}"), "1").await;
    }
    assert_eq!(voters, ids([4, 5, 6]));
    rows_on(&cluster, &[4, 5, 6], 8).await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_removes_itself_leaves_a_group_that_works() {
    let mut cluster = Cluster::start(3, 3, RaftTimings::for_tests()).await;
    cluster.put("a", "1").await;
    let leader = cluster.leader().await;
    let gone = cluster.nodes[leader].id;
    let mut voters = ids([1, 2, 3]);
    voters.remove(&gone);
    let group = cluster.nodes[leader].group().clone();
    within("the change", group.change_membership(voters.clone())).await.unwrap();
    eventually("it to step down", || !cluster.nodes[leader].leads()).await;
    let write = cluster.nodes[leader].put("b", "1").await;
    assert!(matches!(write, Err(Error::NotLeader { .. })), "{write:?}");
    cluster.put("c", "1").await;
    let new = cluster.leader().await;
    assert_eq!(cluster.nodes[new].group().status().voters, voters);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_joins_by_snapshot_gets_a_vote() {
    let timings = RaftTimings { snapshot_every: 40, logs_to_keep: 5, ..RaftTimings::for_tests() };
    let mut cluster = Cluster::start(3, 2, timings).await;
    for number in 0..150 {
        cluster.put(&format!("k{number:03}"), "1").await;
    }
    let leader = cluster.leader().await;
    eventually("a snapshot", || cluster.nodes[leader].group().status().snapshot_index > 100).await;
    add_learner(&cluster, 3).await;
    set_voters(&cluster, ids([1, 2, 3])).await;
    assert!(cluster.nodes[2].group().status().snapshot_index > 100, "the log before is gone");
    // Its vote counts, and what it has is complete.
    let leader = cluster.leader().await;
    let other = usize::from(leader == 0);
    let gone = if leader == 2 { other } else { leader };
    cluster.nodes[gone].stop().await;
    cluster.put("later", "1").await;
    rows_on(&cluster, &[3], 151).await;
    cluster.stop().await;
}

/// The first step of a change takes a majority of the old and of the new voters. Whoever drives it
/// may be gone when it is committed: the second step is then the next caller's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_that_is_cut_off_half_way_is_completed_by_the_next_call() {
    let mut cluster = Cluster::start(3, 1, RaftTimings::for_tests()).await;
    cluster.put("a", "1").await;
    add_learner(&cluster, 2).await;
    add_learner(&cluster, 3).await;
    let fabric = cluster.nodes[0].fabric.clone();
    fabric.cut(NodeId(2));
    fabric.cut(NodeId(3));
    let group = cluster.nodes[0].group().clone();
    let change = group.change_membership(ids([1, 2, 3]));
    let cut_off = tokio::time::timeout(Duration::from_millis(300), change).await;
    assert!(cut_off.is_err(), "the new voters cannot have agreed");
    drop(group);
    fabric.heal(NodeId(2));
    fabric.heal(NodeId(3));
    // A crash of the leader, too: the half-done change is in the log of its successor.
    eventually("the first step", || {
        cluster.nodes[1].group().status().changing && cluster.nodes[2].group().status().changing
    })
    .await;
    cluster.nodes[0].stop().await;
    cluster.nodes[0].start().await;
    set_voters(&cluster, ids([1, 2, 3])).await;
    cluster.put("b", "1").await;
    rows_on(&cluster, &[1, 2, 3], 2).await;

    // And one that is given up: back to where it was.
    fabric.cut(NodeId(3));
    set_voters(&cluster, ids([1, 2])).await;
    fabric.heal(NodeId(3));
    cluster.put("c", "1").await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_learner_that_is_given_up_is_forgotten() {
    let mut cluster = Cluster::start(2, 1, RaftTimings::for_tests()).await;
    cluster.put("a", "1").await;
    cluster.nodes[1].stop().await;
    let group = cluster.nodes[0].group().clone();
    within("a learner", group.add_learner(NodeId(2), "node-2".into())).await.unwrap();
    assert_eq!(group.status().learners.get(&NodeId(2)), Some(&0), "it is not there");
    set_voters(&cluster, ids([1])).await;
    cluster.put("b", "1").await;
    cluster.stop().await;
}

/// Hands over under load, several times, and prints for how long nobody could write.
async fn hand_over_under_load(voters: u64) {
    let mut cluster = Cluster::start(voters, voters, RaftTimings::for_tests()).await;
    cluster.put("warm", "1").await;
    let groups: Vec<_> = cluster.nodes.iter().map(|node| node.group().clone()).collect();
    let (stop, written) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let (ended, count, writers) = (stop.clone(), written.clone(), groups.clone());
    // One writer that follows what it is told, as the metadata client does.
    let writer = tokio::spawn(async move {
        let (mut at, mut number, mut longest) = (0, 0u64, Duration::ZERO);
        let (mut last, mut lost) = (Instant::now(), Vec::new());
        while !ended.load(Ordering::SeqCst) {
            match writers[at].propose(format!("put n{number:06} 1").into()).await {
                Ok(_) => {
                    longest = longest.max(last.elapsed());
                    last = Instant::now();
                    number += 1;
                    count.store(number, Ordering::SeqCst);
                }
                Err(Error::NotLeader { leader, .. }) => {
                    at = leader.map_or((at + 1) % writers.len(), |id| (id.0 - 1) as usize);
                    tokio::task::yield_now().await;
                }
                Err(error) => lost.push(error),
            }
        }
        (number, longest, lost)
    });
    for _ in 0..6 {
        let before = written.load(Ordering::SeqCst);
        eventually("some writes", || written.load(Ordering::SeqCst) > before + 20).await;
        let leader = cluster.leader().await;
        let term = cluster.nodes[leader].group().status().term;
        let began = Instant::now();
        within("a hand-over", groups[leader].hand_over()).await.unwrap();
        println!("{voters} voters: handed over in {:?}", began.elapsed());
        eventually("another leader", || {
            let mut others = cluster.nodes.iter().enumerate();
            others.any(|(index, node)| index != leader && node.leads())
        })
        .await;
        assert!(cluster.nodes[leader].group().status().term > term);
    }
    stop.store(true, Ordering::SeqCst);
    let (number, longest, lost) = within("the writer", writer).await.unwrap();
    println!("{voters} voters: {number} writes, longest pause {longest:?}, {} unknown", lost.len());
    // What was under way was answered before the leader let go.
    assert!(lost.is_empty(), "{lost:?}");
    let leader = cluster.leader().await;
    assert_eq!(cluster.nodes[leader].rows().len() as u64, number + 1);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_hand_over_under_load() {
    hand_over_under_load(3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hand_over_under_load() {
    hand_over_under_load(2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_hand_over_under_load() {
    hand_over_under_load(5).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_leaves_is_not_chosen() {
    let mut cluster = Cluster::start(3, 3, RaftTimings::for_tests()).await;
    cluster.put("a", "1").await;
    let first = cluster.leader().await;
    within("the first to leave", cluster.nodes[first].host().leave()).await;
    let second = cluster.leader().await;
    assert_ne!(first, second);
    // The only one left is the third.
    within("the second to leave", cluster.nodes[second].host().leave()).await;
    let third = cluster.leader().await;
    assert_eq!(third, 3 - first - second);
    // There is nobody to hand over to: it goes on.
    let alone = within("a refusal", cluster.nodes[third].group().hand_over()).await;
    assert!(matches!(alone, Err(Error::NoQuorum { .. })), "{alone:?}");
    cluster.put("b", "1").await;
    cluster.stop().await;
}
