//! What is refused, and in which words.

use types::{
    ClusterId, DiskUuid, Epoch, FeatureLevel, Former, InstanceId, Location, Node, PgId,
    StorageClasses,
};

use super::*;

const TIB: u64 = 1 << 40;

/// 4+2 over nodes of one disk each, in so many racks, with the groups of a new cluster. Each disk is
/// half full.
fn cluster(nodes: u32, racks: u32) -> ClusterMap {
    let policy = ErasurePolicy::new(4, 2).expect("valid");
    let mut map = ClusterMap {
        cluster: ClusterId::from_bytes([0; 16]),
        epoch: Epoch(1),
        level: FeatureLevel::OURS,
        policy,
        classes: StorageClasses::new(policy),
        nodes: BTreeMap::new(),
        disks: BTreeMap::new(),
        groups: BTreeMap::new(),
        partitions: Vec::new(),
        down: BTreeSet::new(),
        used_bytes: BTreeMap::new(),
    };
    for id in 1..=nodes {
        add(&mut map, id, u64::from(id), racks);
        map.used_bytes.insert(DiskId(id), TIB / 2);
    }
    let all = sites(&map, map.disks.values());
    let groups = placement::plan(&all, policy, 8, Domain::Node, 1).expect("fits");
    for (id, disks) in (1..).map(PgId).zip(groups) {
        let (epoch, class, former) = (Epoch(1), DiskClass::Hot, Vec::new());
        map.groups.insert(id, PlacementGroup { id, epoch, policy, class, disks, former });
    }
    map
}

/// A disk of a data node.
fn add(map: &mut ClusterMap, id: u32, node: u64, racks: u32) {
    let node = NodeId(node);
    let rack = if racks > 1 { format!("r{}", node.0 % u64::from(racks)) } else { String::new() };
    map.nodes.entry(node).or_insert(Node {
        id: node,
        instance: InstanceId::from_bytes([0; 16]),
        role: Role::Data,
        address: String::new(),
        location: Location { zone: String::new(), rack },
        level: FeatureLevel::OURS,
    });
    let (id, uuid) = (DiskId(id), DiskUuid::from_bytes([0; 16]));
    let (state, class) = (DiskState::In, DiskClass::Hot);
    map.disks.insert(id, Disk { id, uuid, node, capacity_bytes: TIB, state, class });
}

fn set(map: &mut ClusterMap, disk: u32, state: DiskState) {
    map.disks.get_mut(&DiskId(disk)).expect("a disk of the test").state = state;
}

fn drained(map: &ClusterMap, disks: &[u32]) -> Result<(), Refusal> {
    drain(map, Domain::Node, &disks.iter().copied().map(DiskId).collect())
}

fn text<T: std::fmt::Debug>(result: Result<T, Refusal>, words: &[&str]) {
    let error = result.expect_err("refused").to_string();
    for word in words {
        assert!(error.contains(word), "{error} does not say {word}");
    }
}

#[test]
fn a_disk_may_go_while_others_can_take_its_place() {
    let mut map = cluster(8, 1);
    assert_eq!(drained(&map, &[3]), Ok(()));
    // What is being emptied already may be said again; beside another one it is too much.
    set(&mut map, 3, DiskState::Draining);
    assert_eq!(drained(&map, &[3]), Ok(()));
    text(drained(&map, &[4]), &["disk d3", "is being emptied already", "wait"]);
    // All disks of a node at once are one step: at most one of each group moves at a time.
    assert_eq!(drained(&map, &[3, 4]), Ok(()));
    set(&mut map, 3, DiskState::Out);
    text(drained(&map, &[4]), &["disk d3", "is out and has not been replaced yet"]);
    text(drained(&map, &[99]), &["no disk d99"]);
}

#[test]
fn promises_are_kept_and_the_refusal_says_how() {
    let six = cluster(6, 1);
    text(drained(&six, &[1]), &["rs-4-2 needs 6 nodes", "there are 5", "before this one goes"]);
    let mut full = cluster(7, 1);
    full.used_bytes.values_mut().for_each(|used| *used = TIB / 100 * 80);
    text(drained(&full, &[1]), &["do not fit", "hot disks", "a tenth to spare"]);
    // Three racks of two nodes each survive the loss of a rack; two racks and a half would not.
    let racks = cluster(6, 3);
    let rule = Rule::of(&sites(&racks, racks.disks.values()), racks.policy, Domain::Node);
    assert!(rule.expect("fits").survives_rack());
    let mut more = racks;
    add(&mut more, 7, 7, 3);
    add(&mut more, 8, 10, 3);
    text(drained(&more, &[2]), &["would not survive the loss of a whole rack", "in another rack"]);
}

#[test]
fn no_second_shard_of_a_stripe_is_at_stake() {
    let mut map = cluster(9, 1);
    map.down.insert(DiskId(2));
    text(drained(&map, &[1]), &["disk d2", "cannot be read now", "bring the disk back"]);
    // The dead one may go: that is what brings its shards back.
    assert_eq!(drained(&map, &[2]), Ok(()));
    // Rank 0 is being rebuilt: its disk is gone, the new member is not whole yet.
    map.down.clear();
    let group = map.groups.get_mut(&PgId(1)).expect("there");
    let gone = DiskId(77);
    group.former.push(Former { rank: 0, disk: gone });
    let other = group.disks[1].0;
    text(drained(&map, &[other]), &["placement group pg1", "cannot be read now"]);
    // It is being copied from a disk that answers: nothing is at stake.
    let spare = map.disks.keys().find(|disk| !map.groups[&PgId(1)].disks.contains(disk));
    let spare = *spare.expect("nine disks");
    map.groups.get_mut(&PgId(1)).expect("there").former[0].disk = spare;
    assert_eq!(drained(&map, &[other]), Ok(()));
}

#[test]
fn a_rank_without_a_substitute_is_named() {
    // Seven nodes, but the only one that is not in the group does not answer.
    let mut map = cluster(7, 1);
    map.groups.retain(|id, _| *id == PgId(1));
    let members = map.groups[&PgId(1)].disks.clone();
    let spare = *map.disks.keys().find(|disk| !members.contains(disk)).expect("seven disks");
    map.down.insert(spare);
    text(drained(&map, &[members[0].0]), &["no other disk can take rank 0 of placement group pg1"]);
}

#[test]
fn only_what_is_out_and_empty_is_forgotten() {
    let mut map = cluster(8, 1);
    text(remove_disk(&map, DiskId(1)), &["disk d1 is in", "drain it first"]);
    set(&mut map, 1, DiskState::Draining);
    text(remove_disk(&map, DiskId(1)), &["is being emptied", "placement groups that are left"]);
    set(&mut map, 1, DiskState::Out);
    text(remove_disk(&map, DiskId(1)), &["may still hold shards of", "wait"]);
    text(remove_node(&map, NodeId(1)), &["may still hold shards of"]);
    map.groups.retain(|_, group| !group.disks.contains(&DiskId(1)));
    assert_eq!(remove_disk(&map, DiskId(1)), Ok(()));
    assert_eq!(remove_node(&map, NodeId(1)), Ok(vec![DiskId(1)]));
    map.groups.values_mut().next().expect("some").former =
        vec![Former { rank: 2, disk: DiskId(1) }];
    text(remove_disk(&map, DiskId(1)), &["shards of 1 placement groups"]);
    text(remove_node(&map, NodeId(2)), &["disk d2 is in"]);
    map.nodes.get_mut(&NodeId(3)).expect("there").role = Role::Meta;
    text(remove_node(&map, NodeId(3)), &["keeps metadata", "meta remove"]);
    text(remove_node(&map, NodeId(50)), &["no node n50"]);
    map.disks.remove(&DiskId(4));
    assert_eq!(remove_node(&map, NodeId(4)), Ok(Vec::new()));
    text(disks_of(&map, NodeId(4)), &["has no disks"]);
}

#[test]
fn a_new_disk_takes_the_place_of_an_old_one() {
    let (old, new) = (DiskId(1), DiskId(20));
    let mut map = cluster(6, 1);
    let replace = |map: &ClusterMap| replace_disk(map, Domain::Node, old, new);
    text(replace(&map), &["no disk d20"]);
    add(&mut map, 20, 1, 1);
    assert_eq!(replace(&map), Ok(false), "another disk of the same node");
    text(replace_disk(&map, Domain::Node, old, old), &["its own place"]);

    let mut elsewhere = cluster(8, 1);
    add(&mut elsewhere, 20, 2, 1);
    text(replace(&elsewhere), &["cannot take the place of d1", "same node"]);
    let mut small = map.clone();
    small.disks.get_mut(&new).expect("there").capacity_bytes = TIB / 2;
    text(replace(&small), &["choose a larger disk", "drain d1 instead"]);
    let mut cold = map.clone();
    cold.disks.get_mut(&new).expect("there").class = DiskClass::Cold;
    text(replace(&cold), &["d20 is cold", "d1 is hot"]);
    let mut silent = map.clone();
    silent.down.insert(new);
    text(replace(&silent), &["does not answer", "start its node"]);
    let mut leaving = map.clone();
    set(&mut leaving, 20, DiskState::Draining);
    text(replace(&leaving), &["d20 is being emptied"]);
    let mut another = map.clone();
    another.down.insert(DiskId(3));
    text(replace(&another), &["disk d3", "cannot be read now"]);
    another.down.insert(old);
    assert_eq!(replace(&another), Ok(false), "the old one is dead too: the sooner the better");

    set(&mut map, 1, DiskState::Out);
    assert_eq!(replace(&map), Ok(false), "it was drained, and its ranks are still there");
    for group in map.groups.values_mut() {
        group.disks.iter_mut().filter(|disk| **disk == old).for_each(|disk| *disk = new);
    }
    assert_eq!(replace(&map), Ok(true));
}

/// A new disk is given ranks at once. While they are on their way, and after, a disk may go or be replaced:
/// what the new one cannot take moves elsewhere.
#[test]
fn ranks_that_a_new_disk_was_given_are_no_obstacle() {
    let (old, new, given) = (DiskId(1), DiskId(7), DiskId(2));
    let mut map = cluster(6, 1);
    add(&mut map, 7, 7, 1);
    let group = map.groups.values_mut().next().expect("eight");
    let rank = group.disks.iter().position(|disk| *disk == given).expect("in all groups");
    group.disks[rank] = new;
    group.former.push(Former { rank: u8::try_from(rank).expect("of six"), disk: given });
    assert_eq!(drained(&map, &[1]), Ok(()));
    assert_eq!(replace_disk(&map, Domain::Node, old, new), Ok(false));
    map.groups.values_mut().for_each(|group| group.former.clear());
    assert_eq!(replace_disk(&map, Domain::Node, old, new), Ok(false));

    // Nobody is left who could take that one rank.
    set(&mut map, given.0, DiskState::Out);
    text(replace_disk(&map, Domain::Node, old, new), &["no other disk can take", "group"]);
}
