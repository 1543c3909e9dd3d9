//! One host: restart rules, halting, group commit, identity of peers.

#![allow(clippy::unwrap_used, reason = "a test that fails may panic")]

mod common;

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bytes::Bytes;
use common::{Cluster, Fabric, GROUP, TestNode, cluster_id, eventually, instance, within};
use consensus::{ConsensusGroup, Error, RaftTimings, StartError};
use proto::{
    RpcErrorKind,
    raft::{RaftAddress, RaftService},
};
use types::{ClusterId, InstanceId, NodeId};

async fn single(timings: RaftTimings) -> Cluster {
    Cluster::start(1, 1, timings).await
}

/// With timers that would take minutes, a lone voter must not use them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lone_voter_leads_at_once() {
    let slow = RaftTimings {
        heartbeat: Duration::from_secs(100),
        election_min: Duration::from_secs(500),
        election_max: Duration::from_secs(1000),
        ..RaftTimings::default()
    };
    let mut cluster = single(slow).await;
    cluster.put("a", "1").await;
    cluster.stop().await;
    cluster.nodes[0].start().await;
    cluster.put("a", "2").await;
    assert_eq!(cluster.nodes[0].rows()["a"], "2");
    cluster.stop().await;
}

/// What is on disk while a node runs is what kill -9 leaves; a copy of it stands for that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_depends_on_a_clean_stop() {
    let mut cluster = single(RaftTimings::for_tests()).await;
    for number in 0..50 {
        cluster.put(&format!("k{number:02}"), "v").await;
    }
    let fabric = Arc::new(Fabric::default());
    let mut killed = TestNode::new(1, RaftTimings::for_tests(), &fabric);
    for entry in walk(cluster.nodes[0].dir.path()) {
        let to = killed.dir.path().join(entry.strip_prefix(cluster.nodes[0].dir.path()).unwrap());
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(&entry, to).unwrap();
    }
    killed.start().await;
    let killed_group = killed.group().clone();
    within("a barrier", async { while killed_group.read_barrier().await.is_err() {} }).await;
    assert_eq!(killed.rows(), cluster.nodes[0].rows());
    assert_eq!(killed.rows().len(), 50);
    killed.stop().await;
    cluster.stop().await;
}

fn walk(dir: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => files.extend(walk(&path)),
            false => files.push(path),
        }
    }
    files
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restarted_node_commits_its_own_entry_before_it_serves_reads() {
    let mut cluster = single(RaftTimings::for_tests()).await;
    cluster.put("a", "1").await;
    let before = cluster.nodes[0].group().status().last_log_index;
    cluster.stop().await;
    cluster.nodes[0].start().await;

    // openraft resumes as leader without an election, hence without an entry.
    eventually("leadership", || cluster.nodes[0].leads()).await;
    let group = cluster.nodes[0].group().clone();
    assert_eq!(group.status().last_log_index, before);
    group.read_barrier().await.unwrap();
    assert_eq!(group.status().applied_index, before + 1, "its own entry");
    group.read_barrier().await.unwrap();
    assert_eq!(group.status().applied_index, before + 1, "once is enough");
    assert_eq!(cluster.nodes[0].rows()["a"], "1");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn initializing_again_changes_nothing() {
    let mut cluster = single(RaftTimings::for_tests()).await;
    let host = cluster.nodes[0].host().clone();
    let others = BTreeMap::from([(NodeId(1), "x".into()), (NodeId(2), "y".into())]);
    host.initialize(GROUP, others).await.unwrap();
    assert_eq!(cluster.nodes[0].group().status().voters, [NodeId(1)].into());
    let again = host.start_group(GROUP, Arc::new(common::TextMachine)).await;
    assert!(matches!(again, Err(StartError::Running(GROUP))));
    drop((again, host));
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_command_halts_the_group_for_good() {
    let mut cluster = single(RaftTimings::for_tests()).await;
    cluster.put("a", "1").await;
    let node = &cluster.nodes[0];
    let halted = node.group().propose(Bytes::from_static(b"from-the-future")).await;
    assert!(
        matches!(halted, Err(Error::UnknownOutcome { .. } | Error::Stopped { .. })),
        "{halted:?}"
    );
    eventually("the alarm", || !node.fatal.lock().is_empty()).await;
    let reason = node.group().status().stopped.unwrap();
    assert!(reason.contains("unknown command from-the-future"), "{reason}");
    assert!(matches!(node.put("a", "2").await, Err(Error::Stopped { .. })));
    assert!(matches!(node.group().read_barrier().await, Err(Error::Stopped { .. })));
    assert_eq!(*node.fatal.lock(), [reason], "told once");

    // The entry is committed: this version can never go past it.
    cluster.stop().await;
    let host = within("the folder", cluster.nodes[0].open()).await;
    let restarted = host.start_group(GROUP, Arc::new(common::TextMachine)).await;
    if let Ok(group) = &restarted {
        eventually("the group to halt again", || group.status().stopped.is_some()).await;
        assert!(group.propose(Bytes::from_static(b"now")).await.is_err());
    }
    drop(restarted);
    host.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_clients_share_few_fsyncs() {
    const CLIENTS: u64 = 64;
    const EACH: u64 = 50;
    let mut cluster = single(RaftTimings::for_tests()).await;
    let before = cluster.nodes[0].host().fsyncs();
    let mut clients = Vec::new();
    for client in 0..CLIENTS {
        let group = cluster.nodes[0].group().clone();
        clients.push(tokio::spawn(async move {
            for number in 0..EACH {
                let command = format!("put c{client:02}-{number:02} v");
                group.propose(command.into()).await.unwrap();
            }
        }));
    }
    for client in clients {
        client.await.unwrap();
    }
    let fsyncs = cluster.nodes[0].host().fsyncs() - before;
    assert!(fsyncs > 0);
    assert!(fsyncs * 8 < CLIENTS * EACH, "{fsyncs} fsyncs for {} proposals", CLIENTS * EACH);
    assert_eq!(cluster.nodes[0].rows().len() as u64, CLIENTS * EACH);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_clock_of_commands_never_goes_back() {
    let mut cluster = single(RaftTimings::for_tests()).await;
    for (clock, seen) in [(5_000, "5000"), (3_000, "5000"), (6_000, "6000")] {
        cluster.nodes[0].clock.0.store(clock, Ordering::SeqCst);
        let now = cluster.nodes[0].group().propose(Bytes::from_static(b"now")).await.unwrap();
        assert_eq!(now, seen);
    }
    cluster.nodes[0].clock.0.store(1, Ordering::SeqCst);
    cluster.stop().await;
    cluster.nodes[0].start().await;
    cluster.leader().await;
    let now = cluster.nodes[0].group().propose(Bytes::from_static(b"now")).await.unwrap();
    assert_eq!(now, "6000");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_may_be_started_again_in_the_same_process() {
    let mut cluster = single(RaftTimings::for_tests()).await;
    let host = cluster.nodes[0].host().clone();
    let mut group = cluster.nodes[0].group().clone();
    for round in 0..5 {
        let mut clients = Vec::new();
        for number in 0..20 {
            let group = group.clone();
            let command = format!("put r{round}-{number:02} v");
            clients.push(tokio::spawn(async move { group.propose(command.into()).await }));
        }
        clients.pop().unwrap().await.unwrap().unwrap();
        group.shutdown().await;
        let mut acknowledged = 1;
        for client in clients {
            acknowledged += usize::from(client.await.unwrap().is_ok());
        }
        let stopped = group.propose(Bytes::from_static(b"now")).await;
        assert!(matches!(stopped, Err(Error::Stopped { .. })), "{stopped:?}");
        group = host.start_group(GROUP, Arc::new(common::TextMachine)).await.unwrap();
        within("a barrier", async { while group.read_barrier().await.is_err() {} }).await;
        let mut rows = 0;
        let prefix = format!("r{round}-");
        let end = format!("r{round}.");
        group
            .view(&mut |kv| {
                rows = kv.scan(prefix.as_bytes(), Some(end.as_bytes())).count();
                Ok(())
            })
            .unwrap();
        assert!(rows >= acknowledged, "{rows} rows, {acknowledged} acknowledged");
    }
    drop((group, host));
    assert!(cluster.nodes[0].fatal.lock().is_empty());
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_above_one_mebibyte_is_refused() {
    let mut cluster = single(RaftTimings::for_tests()).await;
    let group = cluster.nodes[0].group().clone();
    let command = |bytes: usize| Bytes::from(format!("pad {}", "x".repeat(bytes - 4)));
    group.propose(command(1 << 20)).await.unwrap();
    let refused = group.propose(command((1 << 20) + 1)).await;
    assert!(matches!(refused, Err(Error::Invalid { .. })), "{refused:?}");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_are_refused_also_after_a_restart() {
    let fabric = Arc::new(Fabric::default());
    let mut node = TestNode::new(1, RaftTimings::for_tests(), &fabric);
    node.start().await;
    let good = RaftAddress {
        cluster: cluster_id(),
        group: GROUP,
        from: NodeId(2),
        from_instance: instance(NodeId(2)),
        to: NodeId(1),
    };
    // A valid vote request for term 0 of node 2: answered, not granted, no trace.
    let ask = Bytes::from_static(&[1, 0, 0, 2, 0, 0]);
    node.host().vote(good, ask.clone()).await.unwrap();

    let other_instance = InstanceId::from_bytes([0xee; 16]);
    for _ in 0..2 {
        for bad in [
            RaftAddress { cluster: ClusterId::from_bytes([8; 16]), ..good },
            RaftAddress { to: NodeId(3), ..good },
            RaftAddress { from: NodeId(1), ..good },
            RaftAddress { from_instance: other_instance, ..good },
        ] {
            let error = node.host().vote(bad, ask.clone()).await.unwrap_err();
            assert_eq!(error.kind, RpcErrorKind::Refused, "{error}");
            let error = node.host().append(bad, ask.clone()).await.unwrap_err();
            assert_eq!(error.kind, RpcErrorKind::Refused, "{error}");
        }
        let elsewhere = RaftAddress { group: types::GroupId(9), ..good };
        let error = node.host().vote(elsewhere, ask.clone()).await.unwrap_err();
        assert_eq!(error.kind, RpcErrorKind::NotFound);
        node.host().vote(good, ask.clone()).await.unwrap();
        node.stop().await;
        node.start().await;
    }
    node.stop().await;
}

/// A process that is told to stop while it starts drops what it has: no reason to abort.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_is_dropped_has_not_failed() {
    let mut cluster = single(RaftTimings::for_tests()).await;
    cluster.put("a", "1").await;
    cluster.nodes[0].abandon();
    // Opens once everything of before has ended.
    cluster.nodes[0].start().await;
    assert!(cluster.nodes[0].fatal.lock().is_empty(), "{:?}", cluster.nodes[0].fatal.lock());
    cluster.leader().await;
    assert_eq!(cluster.nodes[0].rows()["a"], "1");
    cluster.stop().await;
}
