//! Placement keeps its promises on clusters of any shape: distinct disks, the failure-domain
//! rule, even use, a scatter width that grows with the permutations, and substitution that
//! moves one member only.

use std::collections::{BTreeMap, BTreeSet};

use placement::{DiskSite, Domain, PlacementError, Rule, plan, scatter_width, substitute};
use proptest::prelude::*;
use types::{DiskId, ErasurePolicy, NodeId};

fn policy(k: u8, m: u8) -> ErasurePolicy {
    ErasurePolicy::new(k, m).expect("valid")
}

/// Disks of a cluster: `racks[r][i]` is the number of disks of node `i` of rack `r`.
fn cluster(racks: &[Vec<usize>]) -> Vec<DiskSite> {
    let mut sites = Vec::new();
    let mut node = 0;
    for (rack, nodes) in racks.iter().enumerate() {
        for disks in nodes {
            node += 1;
            for _ in 0..*disks {
                sites.push(DiskSite {
                    id: DiskId(sites.len() as u32 + 1),
                    node: NodeId(node),
                    rack: if racks.len() == 1 { String::new() } else { format!("r{rack}") },
                    zone: String::new(),
                });
            }
        }
    }
    sites
}

fn nodes(count: usize, disks: usize) -> Vec<DiskSite> {
    cluster(&[vec![disks; count]])
}

fn uses(groups: &[Vec<DiskId>]) -> BTreeMap<DiskId, usize> {
    let mut uses = BTreeMap::new();
    for disk in groups.iter().flatten() {
        *uses.entry(*disk).or_default() += 1;
    }
    uses
}

/// The members that share a value of `key`, at most, over one group.
fn most_shared<K: Ord>(
    sites: &[DiskSite],
    group: &[DiskId],
    key: impl Fn(&DiskSite) -> K,
) -> usize {
    let mut shared: BTreeMap<K, usize> = BTreeMap::new();
    for disk in group {
        let site = sites.iter().find(|site| site.id == *disk).expect("a disk of the cluster");
        *shared.entry(key(site)).or_default() += 1;
    }
    shared.into_values().max().unwrap_or(0)
}

/// The rule of the documentation, written down a second time and without its module.
fn check_groups(sites: &[DiskSite], policy: ErasurePolicy, domain: Domain, groups: &[Vec<DiskId>]) {
    let racks: BTreeSet<&str> = sites.iter().map(|site| site.rack.as_str()).collect();
    let rule = Rule::of(sites, policy, domain).expect("there are groups");
    for group in groups {
        let distinct: BTreeSet<DiskId> = group.iter().copied().collect();
        assert_eq!((group.len(), distinct.len()), (policy.n(), policy.n()), "distinct disks");
        let in_node = most_shared(sites, group, |site| site.node);
        let in_rack = most_shared(sites, group, |site| site.rack.clone());
        match domain {
            Domain::Disk => assert!(in_node <= rule.node_limit),
            Domain::Node | Domain::Rack => assert_eq!(in_node, 1, "one shard a node"),
        }
        if domain == Domain::Rack || racks.len() >= policy.n() && domain == Domain::Node {
            assert_eq!(in_rack, 1, "one shard a rack");
        }
        assert!(in_rack <= rule.rack_limit);
        assert!(rule.survives_rack() == (rule.rack_limit <= policy.m()));
    }
}

#[test]
fn six_equal_nodes_have_sixteen_groups_of_all() {
    let sites = nodes(6, 1);
    let groups =
        plan(&sites, policy(4, 2), placement::PERMUTATIONS, Domain::Node, 1).expect("fits");
    assert_eq!(groups.len(), 16);
    assert!(uses(&groups).values().all(|uses| *uses == 16));
    let orders: BTreeSet<&Vec<DiskId>> = groups.iter().collect();
    assert!(orders.len() > 10, "ranks differ from group to group");
}

#[test]
fn racks_are_used_as_their_number_allows() {
    let limits = |racks: &[Vec<usize>], k, m, domain| {
        let rule = Rule::of(&cluster(racks), policy(k, m), domain).expect("fits");
        (rule.node_limit, rule.rack_limit)
    };
    assert_eq!(limits(&[vec![1; 6]], 4, 2, Domain::Node), (1, 6), "one rack: no rule");
    assert_eq!(limits(&[vec![1; 3], vec![1; 3]], 4, 2, Domain::Node), (1, 3), "best of two");
    assert_eq!(limits(&vec![vec![1; 2]; 3], 4, 2, Domain::Node), (1, 2), "survives a rack");
    assert_eq!(limits(&vec![vec![1; 9]; 5], 4, 2, Domain::Node), (1, 2), "survives a rack");
    assert_eq!(limits(&vec![vec![1; 2]; 6], 4, 2, Domain::Node), (1, 1), "one a rack");
    assert_eq!(limits(&vec![vec![4; 1]; 6], 4, 2, Domain::Rack), (1, 1));
    assert_eq!(limits(&[vec![6]], 4, 2, Domain::Disk), (6, 6), "one machine");
    assert_eq!(limits(&[vec![4; 3]], 4, 2, Domain::Disk), (2, 6), "survives a node");
    assert_eq!(limits(&[vec![4; 8]], 4, 2, Domain::Disk), (1, 6));
    let rule = Rule::of(&nodes(3, 4), policy(4, 2), Domain::Disk).expect("fits");
    assert!(rule.survives_node() && !rule.survives_rack());
}

#[test]
fn too_few_domains_are_counted_in_the_error() {
    let error = plan(&nodes(5, 4), policy(4, 2), 16, Domain::Node, 1).expect_err("five nodes");
    let text = error.to_string();
    assert!(text.contains("rs-4-2 needs 6 nodes") && text.contains("there are 5"), "{text}");
    for (domain, available) in [(Domain::Rack, 1), (Domain::Disk, 5), (Domain::Node, 5)] {
        let error = plan(&nodes(5, 1), policy(4, 2), 16, domain, 1).expect_err("five disks");
        let policy = policy(4, 2);
        let expected = PlacementError::NotEnoughDomains { policy, domain, needed: 6, available };
        assert_eq!(error, expected);
    }
    let none = plan(&[], policy(1, 1), 16, Domain::Disk, 1).expect_err("no disks");
    assert!(none.to_string().contains("there are 0"), "{none}");
    let none = plan(&nodes(6, 1), policy(4, 2), 0, Domain::Node, 1);
    assert_eq!(none, Err(PlacementError::NoPermutations));
    let mut twice = nodes(6, 1);
    twice.push(twice[3].clone());
    let refused = plan(&twice, policy(4, 2), 16, Domain::Node, 1);
    assert_eq!(refused, Err(PlacementError::DuplicateDisk(DiskId(4))));
}

#[test]
fn racks_of_the_same_name_in_two_zones_are_two_racks() {
    let mut sites = cluster(&[vec![1; 3], vec![1; 3]]);
    for (index, site) in sites.iter_mut().enumerate() {
        site.rack = format!("r{}", index % 3);
        site.zone = if index < 3 { "a".to_owned() } else { "b".to_owned() };
    }
    let groups = plan(&sites, policy(4, 2), 2, Domain::Rack, 1).expect("six racks");
    assert_eq!(groups.len(), 2);
}

#[test]
fn scatter_width_grows_with_the_permutations() {
    let sites = nodes(60, 2);
    let width = |permutations| {
        let groups = plan(&sites, policy(4, 2), permutations, Domain::Node, 7).expect("fits");
        let sum: usize = sites.iter().map(|site| scatter_width(&groups, site.id)).sum();
        sum / sites.len()
    };
    let widths = [1, 2, 4, 8, 16].map(width);
    assert!(widths[0] == 5 && widths.is_sorted_by(|a, b| a < b), "{widths:?}");
    // 16 groups of five others, few of them twice among 118 of other nodes.
    assert!(widths[4] > 50 && widths[4] <= 80, "{widths:?}");
}

#[test]
fn data_ranks_are_spread_like_all_ranks() {
    let sites = cluster(&[vec![4, 4, 1, 1, 1, 1, 1, 1]]);
    let groups = plan(&sites, policy(4, 2), 64, Domain::Node, 3).expect("fits");
    let in_all = groups.iter().filter(|group| group.iter().any(|disk| disk.0 <= 4)).count();
    let as_data = groups.iter().filter(|group| group[..4].iter().any(|disk| disk.0 <= 4)).count();
    let share = as_data as f64 / in_all as f64;
    assert!((0.5..0.83).contains(&share), "two thirds of the ranks are data: {share}");
}

/// Plans and substitutes are computed by state machines: they must never come out differently.
#[test]
fn golden() {
    let sites = cluster(&[vec![2, 1], vec![1, 1], vec![1, 1, 1]]);
    let groups = plan(&sites, policy(4, 2), 4, Domain::Node, 42).expect("fits");
    let numbers: Vec<Vec<u32>> =
        groups.iter().map(|group| group.iter().map(|disk| disk.0).collect()).collect();
    let expected = [[5, 2, 3, 4, 7, 6], [3, 4, 7, 5, 1, 8], [8, 3, 2, 4, 5, 6], [1, 8, 4, 6, 3, 5]];
    assert_eq!(numbers, expected);

    let sites = nodes(24, 1);
    let groups = plan(&sites, policy(4, 2), 1, Domain::Node, 42).expect("fits");
    let substitutes = (0..6).map(|rank| {
        substitute(&sites, &groups, 1, rank, policy(4, 2), Domain::Node, 42).expect("spares").0
    });
    assert_eq!(substitutes.collect::<Vec<u32>>(), [7, 3, 16, 3, 12, 24]);
}

#[test]
fn a_substitute_comes_from_the_least_used_disks_and_a_free_domain() {
    // Two spare nodes, one of them new: every replacement goes there until they are even.
    let mut sites = nodes(7, 1);
    let mut groups = plan(&sites, policy(4, 2), 16, Domain::Node, 5).expect("fits");
    let mut spare = sites[0].clone();
    (spare.id, spare.node) = (DiskId(99), NodeId(99));
    sites.push(spare);
    let lost = DiskId(1);
    sites.retain(|site| site.id != lost);
    for index in 0..groups.len() {
        if let Some(rank) = groups[index].iter().position(|disk| *disk == lost) {
            let new = substitute(&sites, &groups, index, rank, policy(4, 2), Domain::Node, 5)
                .expect("two spares");
            assert_eq!(new, DiskId(99), "it is in the fewest groups");
            groups[index][rank] = new;
        }
    }
    check_groups(&sites, policy(4, 2), Domain::Node, &groups);
}

#[test]
fn no_substitute_and_no_such_member_are_errors() {
    let sites = nodes(6, 2);
    let groups = plan(&sites, policy(4, 2), 1, Domain::Node, 5).expect("fits");
    // Rank 0's node is gone: what is left are the other disks of the other members' nodes.
    let gone = sites.iter().find(|site| site.id == groups[0][0]).expect("a member").node;
    let left: Vec<DiskSite> = sites.iter().filter(|site| site.node != gone).cloned().collect();
    let error = substitute(&left, &groups, 0, 0, policy(4, 2), Domain::Node, 5);
    let needs = PlacementError::NotEnoughDomains {
        policy: policy(4, 2),
        domain: Domain::Node,
        needed: 6,
        available: 5,
    };
    assert_eq!(error, Err(needs));
    // All nodes are there, but only one of its disks is: nobody may move elsewhere.
    let only: Vec<DiskSite> =
        sites.iter().filter(|site| groups[0].contains(&site.id)).cloned().collect();
    let error = substitute(&only, &groups, 0, 0, policy(4, 2), Domain::Node, 5);
    let none =
        PlacementError::NoSubstitute { rank: 0, disks: 6, spare_nodes: 0, domain: Domain::Node };
    assert_eq!(error, Err(none));
    for (group, rank) in [(2, 0), (0, 6)] {
        let error = substitute(&sites, &groups, group, rank, policy(4, 2), Domain::Node, 5);
        let expected = PlacementError::NoSuchMember { group, rank, groups: 2, members: 6 };
        assert_eq!(error, Err(expected));
    }
}

fn any_cluster() -> impl Strategy<Value = Vec<Vec<usize>>> {
    prop::collection::vec(prop::collection::vec(1usize..=4, 1..=6), 1..=8)
}

fn any_policy() -> impl Strategy<Value = ErasurePolicy> {
    prop_oneof![Just((4, 2)), Just((6, 3)), Just((8, 4)), Just((2, 1)), Just((1, 1))]
        .prop_map(|(k, m)| policy(k, m))
}

fn any_domain() -> impl Strategy<Value = Domain> {
    prop_oneof![Just(Domain::Disk), Just(Domain::Node), Just(Domain::Rack)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Whatever the cluster, a plan obeys the rule, is the same twice, whatever the order of
    /// the disks, and uses no disk more often than asked; or the cluster is too small.
    #[test]
    fn plans_obey_the_rule(
        racks in any_cluster(),
        policy in any_policy(),
        domain in any_domain(),
        permutations in 1usize..20,
        seed: u64,
    ) {
        let sites = cluster(&racks);
        match plan(&sites, policy, permutations, domain, seed) {
            Ok(groups) => {
                prop_assert!(!groups.is_empty());
                check_groups(&sites, policy, domain, &groups);
                prop_assert!(uses(&groups).values().all(|uses| *uses <= permutations));
                let backwards: Vec<DiskSite> = sites.iter().rev().cloned().collect();
                prop_assert_eq!(plan(&backwards, policy, permutations, domain, seed), Ok(groups));
            }
            Err(PlacementError::NotEnoughDomains { needed, available, .. }) => {
                let there = match domain {
                    Domain::Disk => sites.len(),
                    Domain::Node => racks.iter().map(Vec::len).sum(),
                    Domain::Rack => racks.len(),
                };
                prop_assert!(available == there && there < needed && needed == policy.n());
            }
            Err(other) => prop_assert!(false, "{other}"),
        }
    }

    /// On equal nodes all disks are in the same number of groups, but for the last round.
    #[test]
    fn equal_nodes_are_used_equally(
        count in 6usize..25,
        disks in 1usize..5,
        permutations in 1usize..20,
        seed: u64,
    ) {
        let sites = nodes(count, disks);
        let policy = policy(4, 2);
        let groups = plan(&sites, policy, permutations, Domain::Node, seed).expect("fits");
        let uses = uses(&groups);
        prop_assert_eq!(groups.len(), count * disks * permutations / policy.n());
        let least = sites.iter().map(|site| uses.get(&site.id).copied().unwrap_or(0)).min();
        prop_assert!(least >= Some(permutations - 1), "{uses:?}");
    }

    /// Disks are lost one after the other: each lost rank gets a substitute by the rule, every
    /// other member stays, and the substitutes are spread over the disks.
    #[test]
    fn substitution_moves_one_member(
        count in 9usize..16,
        disks in 1usize..4,
        lost in prop::collection::vec(0usize..1000, 1..3),
        seed: u64,
    ) {
        let (policy, domain) = (policy(4, 2), Domain::Node);
        let mut sites = nodes(count, disks);
        let mut groups = plan(&sites, policy, 16, domain, seed).expect("fits");
        for lost in lost {
            let lost = sites.remove(lost % sites.len()).id;
            for index in 0..groups.len() {
                let Some(rank) = groups[index].iter().position(|disk| *disk == lost) else {
                    continue;
                };
                let new = substitute(&sites, &groups, index, rank, policy, domain, seed);
                let again = substitute(&sites, &groups, index, rank, policy, domain, seed);
                prop_assert_eq!(&new, &again);
                groups[index][rank] = new.expect("at least one spare node");
            }
            prop_assert!(groups.iter().flatten().all(|disk| *disk != lost));
        }
        check_groups(&sites, policy, domain, &groups);
        // Each loss frees at most 16 places, spread over at least 8 disks.
        let uses = uses(&groups);
        prop_assert!(uses.values().all(|uses| *uses <= 16 + 2 * 16), "{uses:?}");
        let mean = groups.len() * 6 / sites.len();
        prop_assert!(uses.values().max() <= Some(&(mean + 6)), "{uses:?}");
    }
}
