//! The steps of a change against groups that follow them at once, and what is refused.

use types::{Epoch, FeatureLevel, InstanceId, Location, Node, Partition};

use super::*;
use crate::presplit;

fn ids(ids: &[u64]) -> BTreeSet<NodeId> {
    ids.iter().copied().map(NodeId).collect()
}

fn status(group: u32, leader: u64, voters: &[u64]) -> Status {
    Status {
        group: GroupId(group),
        node: NodeId(leader),
        term: 3,
        leader: Some(NodeId(leader)),
        last_log_index: 1000,
        applied_index: 1000,
        snapshot_index: 0,
        voters: ids(voters),
        learners: BTreeMap::new(),
        changing: false,
        stopped: None,
    }
}

/// The group after a step.
fn take(status: &mut Status, step: &Step) {
    match step {
        Step::Settled => {}
        Step::AddLearner(node) => drop(status.learners.insert(*node, 0)),
        Step::CatchingUp(node, behind) => {
            *status.learners.get_mut(node).expect("it follows") += behind.div_ceil(2);
        }
        Step::SetVoters(voters) => {
            status.voters = voters.clone();
            status.changing = false;
            status.learners.clear();
        }
        Step::HandOver => {
            let others = status.voters.iter().find(|voter| **voter != status.node);
            status.node = *others.expect("another voter");
            status.leader = Some(status.node);
        }
    }
}

/// Steps until the group is settled, each change of voters by one.
fn settle(mut status: Status, wanted: &[u64]) -> (Status, Vec<Step>) {
    let wanted = ids(wanted);
    let mut steps = Vec::new();
    loop {
        let before = status.voters.clone();
        let step = next(&status, &wanted);
        if step == Step::Settled {
            assert_eq!(status.voters, wanted);
            return (status, steps);
        }
        take(&mut status, &step);
        let changed = before.symmetric_difference(&status.voters).count();
        assert!(changed <= 1, "{before:?} became {:?} at once", status.voters);
        assert!(!status.voters.is_empty());
        steps.push(step);
        assert!(steps.len() < 100, "{steps:?}");
    }
}

#[test]
fn a_node_learns_before_it_votes() {
    let (_, steps) = settle(status(1, 2, &[1, 2, 3]), &[1, 2, 3, 4]);
    assert_eq!(steps[0], Step::AddLearner(NodeId(4)));
    assert_eq!(steps[1], Step::CatchingUp(NodeId(4), 1000));
    assert_eq!(steps.last(), Some(&Step::SetVoters(ids(&[1, 2, 3, 4]))));
}

#[test]
fn a_leader_that_goes_hands_over_first() {
    let (_, steps) = settle(status(1, 2, &[1, 2, 3, 4]), &[1, 3, 4]);
    assert_eq!(steps, [Step::HandOver, Step::SetVoters(ids(&[1, 3, 4]))]);
    let (_, steps) = settle(status(1, 1, &[1, 2, 3, 4]), &[1, 3, 4]);
    assert_eq!(steps, [Step::SetVoters(ids(&[1, 3, 4]))]);
}

#[test]
fn what_was_left_half_done_or_given_up_is_cleared_up() {
    // Half-way to four, which is still wanted, or not any more.
    for wanted in [&[1, 2, 3, 4][..], &[1, 2, 3]] {
        let half = Status { changing: true, ..status(1, 1, &[1, 2, 3, 4]) };
        let (_, steps) = settle(half, wanted);
        assert_eq!(steps, [Step::SetVoters(ids(wanted))]);
    }
    let learners = BTreeMap::from([(NodeId(4), 7)]);
    let (after, _) = settle(Status { learners, ..status(1, 1, &[1, 2, 3]) }, &[1, 2, 3]);
    assert!(after.learners.is_empty());
}

#[test]
fn a_group_never_loses_its_last_voter() {
    assert_eq!(next(&status(1, 1, &[1]), &ids(&[])), Step::Settled);
    let half = Status { changing: true, ..status(1, 1, &[1, 2]) };
    assert_eq!(next(&half, &ids(&[7])), Step::Settled);
}

/// Metadata nodes 1 to `nodes`, and two groups.
fn map(nodes: u64) -> ClusterMap {
    let policy = types::ErasurePolicy::new(4, 2).expect("valid");
    let node = |id| Node {
        id: NodeId(id),
        instance: InstanceId::from_bytes([1; 16]),
        role: Role::Meta,
        address: format!("meta-{id}:7000"),
        location: Location::default(),
        level: FeatureLevel::OURS,
    };
    ClusterMap {
        cluster: types::ClusterId::from_bytes([1; 16]),
        epoch: Epoch(1),
        level: FeatureLevel::OURS,
        policy,
        classes: types::StorageClasses::new(policy),
        nodes: (1..=nodes).map(|id| (NodeId(id), node(id))).collect(),
        disks: BTreeMap::new(),
        groups: BTreeMap::new(),
        partitions: presplit(1) as Vec<Partition>,
        down: BTreeSet::new(),
        used_bytes: BTreeMap::new(),
    }
}

/// What the nodes of `alive` answer, of which the first leads both groups.
fn answers(alive: &[u64], voters: &[u64]) -> BTreeMap<NodeId, NodeStatus> {
    let leader = Some(NodeId(alive[0]));
    let replica = |group, id| Status { leader, ..status(group, id, voters) };
    alive.iter().map(|id| (NodeId(*id), vec![replica(0, *id), replica(1, *id)])).collect()
}

fn members(voters: &[u64]) -> MetaMembers {
    MetaMembers { voters: ids(voters), change: None }
}

#[test]
fn a_change_is_complete_when_every_leader_says_so() {
    let map = map(4);
    let mut statuses = answers(&[1, 2, 3, 4], &[1, 2, 3, 4]);
    assert!(is_complete(&map, &statuses, &ids(&[1, 2, 3, 4])));
    assert!(!is_complete(&map, &statuses, &ids(&[1, 2, 3])));
    // Group 1 has no leader that answers, or one whose term is over says something else.
    let removed = statuses.get_mut(&NodeId(1)).expect("there").pop();
    assert!(!is_complete(&map, &statuses, &ids(&[1, 2, 3, 4])));
    let old = Status { term: 2, voters: ids(&[1, 2, 3]), ..status(1, 3, &[]) };
    statuses.get_mut(&NodeId(3)).expect("there").push(old);
    statuses.get_mut(&NodeId(1)).expect("there").extend(removed);
    assert!(is_complete(&map, &statuses, &ids(&[1, 2, 3, 4])));
    assert_eq!(voters(&statuses), Some(ids(&[1, 2, 3, 4])));
    assert_eq!(standing(&leaders(&statuses), NodeId(1)).leads, 2);
}

#[test]
fn what_would_break_a_promise_is_refused() {
    let why = |result: Result<(), String>| result.expect_err("refused");
    let three = members(&[1, 2, 3]);
    // Adding.
    let map4 = map(4);
    may_add(&map4, &answers(&[1, 2, 3, 4], &[1, 2, 3]), &three, NodeId(4)).expect("fine");
    may_add(&map4, &answers(&[1, 2, 4], &[1, 2, 3]), &three, NodeId(4)).expect("a replacement");
    let silent = may_add(&map4, &answers(&[1, 2, 3], &[1, 2, 3]), &three, NodeId(4));
    assert!(why(silent).contains("meta-4:7000"));
    let unknown = may_add(&map4, &answers(&[1, 2, 3], &[1, 2, 3]), &three, NodeId(5));
    assert!(why(unknown).contains("start it first"));
    let too_few = may_add(&map4, &answers(&[1, 4], &[1, 2, 3]), &three, NodeId(4));
    assert!(why(too_few).contains("start n2, n3 first"));
    // Removing.
    let four = members(&[1, 2, 3, 4]);
    let all = answers(&[1, 2, 3, 4], &[1, 2, 3, 4]);
    may_remove(&map4, &all, &four, NodeId(1), false).expect("fine");
    let one_down = answers(&[1, 2, 3], &[1, 2, 3, 4]);
    may_remove(&map4, &one_down, &four, NodeId(4), false).expect("the one that is down");
    for force in [false, true] {
        let trap = may_remove(&map4, &one_down, &four, NodeId(1), force);
        assert!(why(trap).contains("works and n4 does not"));
        let two_down = may_remove(&map4, &answers(&[1, 2], &[]), &four, NodeId(3), force);
        assert!(two_down.is_ok(), "two of three that stay are enough");
        let dead = may_remove(&map4, &answers(&[1], &[]), &four, NodeId(4), force);
        assert!(why(dead).contains("2 are needed and only 1 answer"));
    }
    let all = answers(&[1, 2, 3], &[1, 2, 3]);
    let unsafe_ = may_remove(&map(3), &all, &three, NodeId(1), false);
    assert!(why(unsafe_).contains("--force"));
    may_remove(&map(3), &all, &three, NodeId(1), true).expect("as they say");
    let last = may_remove(&map(1), &answers(&[1], &[1]), &members(&[1]), NodeId(1), true);
    assert!(why(last).contains("the only one"));
    may_remove(&map4, &all, &three, NodeId(4), false).expect("it has no vote");
    assert!(may_remove(&map4, &all, &three, NodeId(9), false).is_err());
}
