//! A share of the nodes vanishes at once: how likely is it that some group is lost?
//!
//! This is where fixed groups beat random placement. With few groups, hardly any choice of lost
//! nodes hits `m + 1` members of one; with as many combinations as there are stripes, nearly every
//! choice does. (Each loses less then. The expected bytes are the same; the frequency is not.)

use placement::{DiskSite, Domain, PlacementError};
use rand::{SeedableRng, rngs::SmallRng, seq::index};
use types::{DiskId, ErasurePolicy, NodeId};

use crate::acknowledge::choose;

/// The probability that a group of `n` of `nodes` nodes has more than `m` among `vanished` nodes:
/// the tail of the hypergeometric distribution.
pub fn group_loss(policy: ErasurePolicy, nodes: usize, vanished: usize) -> f64 {
    let n = policy.n();
    assert!(n <= nodes && vanished <= nodes, "groups and losses are parts of the cluster");
    (policy.m() + 1..=n.min(vanished))
        .filter(|lost| n - lost <= nodes - vanished)
        .map(|lost| {
            // C(n, lost) C(nodes - n, vanished - lost) / C(nodes, vanished), factor by factor.
            let hit: f64 = (0..lost).map(|i| (vanished - i) as f64 / (nodes - i) as f64).product();
            let missed: f64 = (0..n - lost)
                .map(|i| (nodes - vanished - i) as f64 / (nodes - lost - i) as f64)
                .product();
            choose(n, lost) * hit * missed
        })
        .sum()
}

/// The probability that at least one of `groups` groups is lost, taken as independent.
pub fn any_loss(policy: ErasurePolicy, nodes: usize, vanished: usize, groups: f64) -> f64 {
    -(groups * (-group_loss(policy, nodes, vanished)).ln_1p()).exp_m1()
}

/// The same by experiment: how many of `trials` random choices of `vanished` nodes lose a group of
/// [`placement::plan`] over `nodes` nodes of one disk each. Returns also the number of groups.
pub fn trials_with_loss(
    policy: ErasurePolicy,
    nodes: u32,
    vanished: usize,
    permutations: usize,
    trials: usize,
    seed: u64,
) -> Result<(usize, usize), PlacementError> {
    let sites: Vec<DiskSite> = (1..=nodes).map(site).collect();
    let groups = placement::plan(&sites, policy, permutations, Domain::Node, seed)?;
    let mut groups_of = vec![Vec::new(); nodes as usize];
    for (group, members) in groups.iter().enumerate() {
        for disk in members {
            groups_of[disk.0 as usize - 1].push(group);
        }
    }
    let mut random = SmallRng::seed_from_u64(seed);
    let mut lost_members = vec![0usize; groups.len()];
    let mut with_loss = 0;
    for _ in 0..trials {
        let gone = index::sample(&mut random, nodes as usize, vanished);
        let mut loss = false;
        for group in gone.iter().flat_map(|node| &groups_of[node]) {
            lost_members[*group] += 1;
            loss |= lost_members[*group] > policy.m();
        }
        with_loss += usize::from(loss);
        for group in gone.iter().flat_map(|node| &groups_of[node]) {
            lost_members[*group] = 0;
        }
    }
    Ok((with_loss, groups.len()))
}

/// Disk `number` on the node of that number, without rack.
fn site(number: u32) -> DiskSite {
    DiskSite {
        id: DiskId(number),
        node: NodeId(u64::from(number)),
        rack: String::new(),
        zone: String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(k: u8, m: u8) -> ErasurePolicy {
        ErasurePolicy::new(k, m).expect("valid")
    }

    /// All choices counted: 3 of 7 nodes vanish, groups of 4 that survive one loss.
    #[test]
    fn the_tail_is_what_counting_gives() {
        let (mut lost, mut all) = (0, 0);
        for gone in 0u32..1 << 7 {
            if gone.count_ones() == 3 {
                all += 1;
                lost += u32::from((gone & 0b1111).count_ones() > 1);
            }
        }
        let expected = f64::from(lost) / f64::from(all);
        assert!((group_loss(policy(3, 1), 7, 3) - expected).abs() < 1e-12);
        assert_eq!(group_loss(policy(3, 1), 7, 1), 0.0);
        assert!((group_loss(policy(3, 1), 7, 7) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn more_groups_are_lost_more_often() {
        let any = |groups| any_loss(policy(6, 3), 1000, 10, groups);
        assert!(any(1e3) < any(1e4) && any(1e7) > 0.99 && any(1e7) <= 1.0);
    }

    /// The real placer's groups behave as independent ones: a twentieth apart at most.
    #[test]
    fn groups_of_the_placer_are_lost_as_often_as_the_tail_says() {
        let trials = 60_000;
        let (with_loss, groups) =
            trials_with_loss(policy(4, 2), 100, 8, 4, trials, 5).expect("enough nodes");
        let measured = with_loss as f64 / trials as f64;
        let expected = any_loss(policy(4, 2), 100, 8, groups as f64);
        assert!((measured / expected - 1.0).abs() < 0.05, "{measured} {expected} {groups}");
    }
}
