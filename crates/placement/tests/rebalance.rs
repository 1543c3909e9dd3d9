//! The planner of moves keeps its promises: the rule holds after every move, what must move goes first,
//! new disks get their share and no byte moves without need, and a cluster that is even stays as it is.

use std::collections::{BTreeMap, BTreeSet};

use placement::{
    DiskSite, Domain, Load, Place, PlacementError, Rebalancing, Rule, permutations, plan,
    rebalance, skew,
};
use proptest::prelude::*;
use types::{DiskId, ErasurePolicy, Former, NodeId, PgId};

const TIB: u64 = 1 << 40;
const GIB: u64 = 1 << 30;

fn policy(k: u8, m: u8) -> ErasurePolicy {
    ErasurePolicy::new(k, m).expect("valid")
}

/// A disk of a node; nodes are spread over so many racks.
fn place(id: u32, node: u32, racks: u32, capacity_bytes: u64) -> Place {
    let rack = if racks < 2 { String::new() } else { format!("r{}", node % racks) };
    let site =
        DiskSite { id: DiskId(id), node: NodeId(u64::from(node)), rack, zone: String::new() };
    Place { site, capacity_bytes, used_bytes: 0, takes: true }
}

/// `nodes` nodes of `disks` equal disks each.
fn places(nodes: u32, disks: u32, racks: u32) -> Vec<Place> {
    let id = |node, disk| node * disks + disk + 1;
    (0..nodes)
        .flat_map(|node| (0..disks).map(move |disk| (id(node, disk), node)))
        .map(|(id, node)| place(id, node, racks, TIB))
        .collect()
}

fn sites(places: &[Place]) -> Vec<DiskSite> {
    places.iter().map(|place| place.site.clone()).collect()
}

/// The groups of a new cluster; `bytes` says how much each has, in turn.
fn loads(places: &[Place], policy: ErasurePolicy, domain: Domain, bytes: &[u64]) -> Vec<Load> {
    let permutations = permutations(places.len(), policy);
    let groups = plan(&sites(places), policy, permutations, domain, 7).expect("fits");
    let load = |(number, disks): (usize, Vec<DiskId>)| Load {
        id: PgId(number as u32 + 1),
        policy,
        disks,
        former: Vec::new(),
        shard_bytes: bytes[number % bytes.len()],
        leaving: BTreeSet::new(),
        margin: policy.m() as i64,
    };
    groups.into_iter().enumerate().map(load).collect()
}

/// The ranks of these disks must move.
fn leave(groups: &mut [Load], disks: &[DiskId]) {
    for group in groups {
        let ranks = (0u8..).zip(&group.disks).filter(|(_, disk)| disks.contains(disk));
        group.leaving = ranks.map(|(rank, _)| rank).collect();
    }
}

fn used(groups: &[Load]) -> BTreeMap<DiskId, u64> {
    let mut used = BTreeMap::new();
    for group in groups {
        for disk in &group.disks {
            *used.entry(*disk).or_default() += group.shard_bytes;
        }
    }
    used
}

fn skew_of(places: &[Place], groups: &[Load]) -> f64 {
    let used = used(groups);
    let taking = places.iter().filter(|place| place.takes);
    skew(taking.map(|it| (used.get(&it.site.id).copied().unwrap_or(0), it.capacity_bytes)))
}

/// Does the moves one by one and holds each to the rule as it is written in the documentation.
fn follow(places: &[Place], groups: &mut [Load], domain: Domain, plan: &Rebalancing) {
    let by_id: BTreeMap<DiskId, &Place> = places.iter().map(|it| (it.site.id, it)).collect();
    let taking: Vec<Place> = places.iter().filter(|place| place.takes).cloned().collect();
    let mut moved = BTreeSet::new();
    let mut evening = false;
    for it in &plan.moves {
        let group = groups.iter_mut().find(|group| group.id == it.group).expect("a known group");
        assert!(moved.insert((it.group, it.rank)), "no rank moves twice");
        assert!(!(evening && it.must), "what must move goes first");
        evening |= !it.must;
        assert_eq!(it.must, group.leaving.remove(&it.rank));
        assert_eq!(group.disks[usize::from(it.rank)], it.from);
        assert_eq!(it.bytes, group.shard_bytes);
        assert!(by_id[&it.to].takes && !group.disks.contains(&it.to), "{it:?}");
        group.disks[usize::from(it.rank)] = it.to;
        let rule = Rule::of(&sites(&taking), group.policy, domain).expect("something moved");
        let to = &by_id[&it.to].site;
        let staying = (0u8..).zip(&group.disks).filter(|(rank, _)| !group.leaving.contains(rank));
        let others: Vec<&DiskSite> =
            staying.filter_map(|(_, disk)| Some(&by_id.get(disk)?.site)).collect();
        let in_node = others.iter().filter(|site| site.node == to.node).count();
        let in_rack =
            others.iter().filter(|site| (&site.zone, &site.rack) == (&to.zone, &to.rack)).count();
        assert!(in_node <= rule.node_limit && in_rack <= rule.rack_limit, "{it:?}");
    }
}

/// Nothing is to be done any more.
fn settled(places: &[Place], groups: &[Load], domain: Domain) -> bool {
    rebalance(places, groups, domain, true) == Rebalancing::default()
}

fn bytes_strategy(spread_per_cent: u64) -> impl Strategy<Value = Vec<u64>> {
    let least = GIB * (100 - spread_per_cent) / 100;
    prop::collection::vec(least..=GIB * (100 + spread_per_cent) / 100, 60..90)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Nodes are added to an even cluster: they get their share, nobody else gets anything, and the
    /// disks are equally full.
    #[test]
    fn new_disks_get_their_share_and_no_more(
        nodes in 6u32..13, disks in 1u32..4, added in 1u32..4, bytes in bytes_strategy(10),
    ) {
        let (policy, domain) = (policy(4, 2), Domain::Node);
        let mut all = places(nodes, disks, 1);
        let mut groups = loads(&all, policy, domain, &bytes);
        let begin = rebalance(&all, &groups, domain, true);
        follow(&all, &mut groups, domain, &begin);
        let before = used(&groups);
        let grown = places(nodes + added, disks, 1);
        let new: BTreeSet<DiskId> = grown[all.len()..].iter().map(|it| it.site.id).collect();
        let share = before.values().sum::<u64>() / grown.len() as u64 * new.len() as u64;
        all = grown;
        let plan = rebalance(&all, &groups, domain, true);
        follow(&all, &mut groups, domain, &plan);
        let elsewhere: u64 =
            plan.moves.iter().filter(|it| !new.contains(&it.to)).map(|it| it.bytes).sum();
        // What was unequal before, within its limits, may be evened out on the way.
        prop_assert!(elsewhere * 50 <= before.values().sum::<u64>(), "{elsewhere} of {share}");
        let moved = plan.bytes() - elsewhere;
        // Ranks move whole: each new disk may have half a rank more than its share.
        let largest = groups.iter().map(|group| group.shard_bytes).max().unwrap_or(0);
        let more = (share / 25).max(new.len() as u64 * largest / 2);
        prop_assert!(moved <= share + more && moved >= share - share / 10, "{moved} of {share}");
        // A disk that has few ranks cannot be within half a rank of the mean.
        let grain = all.len() as f64 / (groups.len() * policy.n()) as f64;
        let skew = skew_of(&all, &groups);
        prop_assert!(skew < 0.05_f64.max(0.7 * grain), "{skew} with grains of {grain}");
        prop_assert!(settled(&all, &groups, domain));
    }

    /// A node is emptied: only its bytes move, they are spread over the others.
    #[test]
    fn a_leaving_disk_is_emptied_and_nothing_else_moves(
        nodes in 8u32..14, disks in 1u32..4, gone in 0u32..8, bytes in bytes_strategy(5),
    ) {
        let (policy, domain) = (policy(4, 2), Domain::Node);
        let mut all = places(nodes, disks, 1);
        let mut groups = loads(&all, policy, domain, &bytes);
        let begin = rebalance(&all, &groups, domain, true);
        follow(&all, &mut groups, domain, &begin);
        let leaving: Vec<DiskId> = all
            .iter_mut()
            .filter(|place| place.site.node == NodeId(u64::from(gone)))
            .map(|place| {
                place.takes = false;
                place.site.id
            })
            .collect();
        let held = used(&groups);
        let minimum: u64 = leaving.iter().filter_map(|disk| held.get(disk)).sum();
        leave(&mut groups, &leaving);
        let plan = rebalance(&all, &groups, domain, true);
        prop_assert_eq!(&plan.stuck, &[]);
        follow(&all, &mut groups, domain, &plan);
        prop_assert!(groups.iter().all(|group| group.leaving.is_empty()));
        let must: u64 = plan.moves.iter().filter(|it| it.must).map(|it| it.bytes).sum();
        prop_assert_eq!(must, minimum);
        prop_assert!(plan.bytes() - must <= minimum / 10, "{} for {minimum}", plan.bytes());
        prop_assert!(skew_of(&all, &groups) < 0.05, "{}", skew_of(&all, &groups));
        prop_assert!(settled(&all, &groups, domain));
    }

    /// Whatever the cluster: the rule holds after every move, what is leaving moves or is said to be
    /// stuck, and plans come to an end.
    #[test]
    fn the_rule_holds_after_every_move(
        nodes in 6u32..16, disks in 1u32..4, racks in 1u32..7,
        sizes in prop::collection::vec(1u64..8, 16..40),
        bytes in prop::collection::vec(0..4 * GIB, 5..90),
        domain in prop_oneof![Just(Domain::Disk), Just(Domain::Node)],
        leaving in prop::collection::vec(0usize..100, 0..4),
        idle in prop::option::of(0usize..100),
        wide: bool,
    ) {
        let policy = if wide { policy(8, 4) } else { policy(4, 2) };
        let mut all = places(nodes, disks, racks);
        for (place, size) in all.iter_mut().zip(sizes.iter().cycle()) {
            place.capacity_bytes = TIB * size;
        }
        prop_assume!(Rule::of(&sites(&all), policy, domain).is_ok());
        let mut groups = loads(&all, policy, domain, &bytes);
        let leaving: Vec<usize> = leaving.iter().map(|it| it % all.len()).collect();
        for place in leaving.iter().copied().chain(idle.map(|it| it % all.len())) {
            all[place].takes = false;
        }
        let ids: Vec<DiskId> = leaving.iter().map(|it| all[*it].site.id).collect();
        leave(&mut groups, &ids);
        let must = groups.iter().map(|group| group.leaving.len()).sum::<usize>();
        let before = skew_of(&all, &groups);
        let plan = rebalance(&all, &groups, domain, true);
        prop_assert_eq!(plan.moves.iter().filter(|it| it.must).count() + plan.stuck.len(), must);
        follow(&all, &mut groups, domain, &plan);
        if must == 0 && !plan.moves.is_empty() {
            let after = skew_of(&all, &groups);
            prop_assert!(after <= before + 1e-9, "{before} became {after}");
        }
        // Where capacities and groups differ wildly, a plan may find more once all is done that was
        // planned before; not much, and not for ever.
        let mut more = 0;
        for round in 0.. {
            let again = rebalance(&all, &groups, domain, true);
            prop_assert!(again.moves.iter().all(|it| !it.must));
            if again.moves.is_empty() {
                break;
            }
            prop_assert!(round < 5);
            more += again.bytes();
            follow(&all, &mut groups, domain, &again);
        }
        prop_assert!(more <= plan.bytes() / 5 + 4 * GIB, "{more} after {}", plan.bytes());
    }

    /// The order in which disks and groups are told does not matter.
    #[test]
    fn every_leader_comes_to_the_same_moves(bytes in bytes_strategy(90), added in 1u32..4) {
        let groups = loads(&places(7, 2, 1), policy(4, 2), Domain::Node, &bytes);
        let mut all = places(7 + added, 2, 1);
        let plan = rebalance(&all, &groups, Domain::Node, true);
        all.reverse();
        prop_assert_eq!(rebalance(&all, &groups, Domain::Node, true), plan);
    }
}

#[test]
fn six_nodes_become_nine_and_six_again() {
    let (policy, domain) = (policy(4, 2), Domain::Node);
    let mut groups = loads(&places(6, 1, 1), policy, domain, &[GIB]);
    assert_eq!(groups.len(), 64);
    let mut all = places(9, 1, 1);
    let plan = rebalance(&all, &groups, domain, true);
    follow(&all, &mut groups, domain, &plan);
    // A third of 384 GiB.
    assert!((122..=129).contains(&(plan.bytes() / GIB)), "{}", plan.bytes() / GIB);
    assert!(skew_of(&all, &groups) < 0.05);
    let mut back = Vec::new();
    for gone in 6..9 {
        all[gone].takes = false;
        leave(&mut groups, &[all[gone].site.id]);
        let plan = rebalance(&all, &groups, domain, true);
        assert_eq!(plan.stuck, []);
        follow(&all, &mut groups, domain, &plan);
        back.push(plan.moves.iter().fold((0, 0), |(must, even), it| {
            (must + usize::from(it.must), even + usize::from(!it.must))
        }));
    }
    // 43 + 48 + 55: what each of them has when its turn comes.
    let moves: usize = back.iter().map(|(must, even)| must + even).sum();
    assert!((140..=152).contains(&moves), "{back:?}");
    assert!(skew_of(&all, &groups) < 0.05);
}

/// A young cluster: some groups hold much, most hold little or nothing yet, those of another policy nothing.
/// The new disks get their share of the bytes, and of what will be written.
#[test]
fn groups_of_unequal_size_are_spread_by_bytes_and_by_number() {
    let bytes: Vec<u64> =
        (0..64).map(|number| [0, 1, 2, 3, 5, 8, 40, 1][number % 8] * GIB / 8).collect();
    let (policy, domain) = (policy(4, 2), Domain::Node);
    let mut groups = loads(&places(6, 1, 1), policy, domain, &bytes);
    let other = ErasurePolicy::new(3, 2).expect("valid");
    let empty = loads(&places(6, 1, 1), other, domain, &[0]);
    groups.extend((1000..).map(PgId).zip(empty).map(|(id, load)| Load { id, ..load }));
    let grown = places(9, 1, 1);
    let plan = rebalance(&grown, &groups, domain, true);
    follow(&grown, &mut groups, domain, &plan);
    assert!(skew_of(&grown, &groups) < 0.05, "{:?}", used(&groups));
    for policy in [policy, other] {
        let mut ranks: BTreeMap<DiskId, usize> = BTreeMap::new();
        let of_policy = groups.iter().filter(|group| group.policy == policy);
        of_policy.flat_map(|group| &group.disks).for_each(|disk| {
            *ranks.entry(*disk).or_default() += 1;
        });
        let mean = ranks.values().sum::<usize>() as f64 / 9.0;
        let is_near = |count: &usize| (*count as f64 / mean - 1.0).abs() < 0.15;
        assert!(ranks.len() == 9 && ranks.values().all(is_near), "{policy}: {ranks:?}");
    }
}

#[test]
fn the_most_endangered_groups_go_first() {
    let mut groups = loads(&places(8, 1, 1), policy(4, 2), Domain::Node, &[GIB]);
    let mut all = places(8, 1, 1);
    all[0].takes = false;
    leave(&mut groups, &[DiskId(1)]);
    for (number, group) in groups.iter_mut().enumerate() {
        group.margin = 2 - number as i64 % 3;
    }
    let plan = rebalance(&all, &groups, Domain::Node, false);
    let margins: Vec<i64> = plan
        .moves
        .iter()
        .map(|it| groups.iter().find(|group| group.id == it.group).expect("known").margin)
        .collect();
    assert!(margins.is_sorted() && margins.len() > 30, "{margins:?}");
}

#[test]
fn a_rank_goes_back_to_where_its_shards_still_are() {
    let all = places(8, 1, 1);
    let mut groups = loads(&all, policy(4, 2), Domain::Node, &[GIB]);
    let group = &mut groups[0];
    let spare: Vec<DiskId> =
        all.iter().map(|it| it.site.id).filter(|id| !group.disks.contains(id)).collect();
    // Rank 3 came from one spare disk, rank 4 from the other, which therefore cannot take rank 3.
    group.former = vec![Former { rank: 4, disk: spare[0] }, Former { rank: 3, disk: spare[1] }];
    group.leaving = BTreeSet::from([3]);
    let plan = rebalance(&all, &groups, Domain::Node, false);
    assert_eq!(plan.moves.iter().map(|it| it.to).collect::<Vec<_>>(), [spare[1]]);
    groups[0].former.pop();
    let gone = std::mem::replace(&mut groups[0].disks[0], spare[1]);
    let others: Vec<Place> = all.into_iter().filter(|it| it.site.id != gone).collect();
    let plan = rebalance(&others, &groups[..1], Domain::Node, false);
    assert_eq!((plan.moves.len(), plan.stuck.len()), (0, 1), "{plan:?}");
}

#[test]
fn full_disks_take_nothing_and_too_few_disks_are_said() {
    let mut all = places(7, 1, 1);
    let mut groups = loads(&all[..6], policy(4, 2), Domain::Node, &[GIB]);
    leave(&mut groups, &[DiskId(1)]);
    all[0].takes = false;
    let plan = rebalance(&all, &groups, Domain::Node, true);
    assert_eq!((plan.moves.len(), plan.stuck.len()), (64, 0));
    assert!(plan.moves.iter().all(|it| it.to == DiskId(7)));

    all[6].used_bytes = TIB / 100 * 90 - 10 * GIB;
    let plan = rebalance(&all, &groups, Domain::Node, true);
    assert_eq!((plan.moves.len(), plan.stuck.len()), (9, 55), "9 times 1 GiB and some fit");

    let plan = rebalance(&all[..6], &groups, Domain::Node, true);
    let error = &plan.stuck[0].error;
    assert!(matches!(error, PlacementError::NotEnoughDomains { available: 5, .. }), "{error}");
    assert_eq!((plan.moves.len(), plan.stuck.len()), (0, 64));
}

/// A large new disk beside small ones, on one node of several: the rule lets it take only what the node's
/// other disks have.
#[test]
fn the_rule_goes_before_evenness() {
    let mut all = places(6, 2, 1);
    let mut groups = loads(&all, policy(4, 2), Domain::Node, &[GIB]);
    all.push(place(99, 0, 1, TIB));
    let plan = rebalance(&all, &groups, Domain::Node, true);
    follow(&all, &mut groups, Domain::Node, &plan);
    assert!(!plan.moves.is_empty());
    assert!(plan.moves.iter().all(|it| it.to == DiskId(99) && it.from.0 <= 2), "{plan:?}");
    let used = used(&groups);
    let node: Vec<u64> = [1, 2, 99].map(|id| used[&DiskId(id)] / GIB).to_vec();
    assert!(node.iter().all(|gib| (20..=23).contains(gib)), "{node:?}");
    assert!(settled(&all, &groups, Domain::Node));
}

/// Nothing is stored yet: a new disk takes part in what will be.
#[test]
fn an_empty_cluster_is_evened_out_by_its_groups() {
    let mut groups = loads(&places(6, 1, 1), policy(4, 2), Domain::Node, &[0]);
    let all = places(8, 1, 1);
    let plan = rebalance(&all, &groups, Domain::Node, true);
    follow(&all, &mut groups, Domain::Node, &plan);
    assert_eq!(plan.bytes(), 0);
    for place in &all {
        let uses = groups.iter().filter(|group| group.disks.contains(&place.site.id)).count();
        assert!((46..=50).contains(&uses), "{uses}");
    }
}
