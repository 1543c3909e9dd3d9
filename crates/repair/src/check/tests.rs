//! Placement rules on maps that no cluster in memory has: several disks a node, racks.

use std::collections::{BTreeMap, BTreeSet};

use placement::Domain;
use types::{
    ClusterId, ClusterMap, Disk, DiskClass, DiskId, DiskState, DiskUuid, Epoch, ErasurePolicy,
    FeatureLevel, Former, InstanceId, Location, Node, NodeId, PgId, PlacementGroup, Role,
    StorageClasses,
};

use super::groups::placement;

/// Disk `d` is on node `d`, in rack `d / 2`; a group of 2+1 for each of these members.
fn map(disks: u32, groups: &[[u32; 3]]) -> ClusterMap {
    let policy = ErasurePolicy::new(2, 1).expect("valid");
    let node = |id: u32| Node {
        id: NodeId(u64::from(id)),
        instance: InstanceId::from_bytes([0; 16]),
        role: Role::Data,
        address: String::new(),
        location: Location { zone: String::new(), rack: format!("r{}", id / 2) },
        level: FeatureLevel::OURS,
    };
    let disk = |id: u32| Disk {
        id: DiskId(id),
        uuid: DiskUuid::from_bytes([0; 16]),
        node: NodeId(u64::from(id)),
        capacity_bytes: 1,
        state: DiskState::In,
        class: DiskClass::Hot,
    };
    let group = |(number, members): (usize, &[u32; 3])| {
        let id = PgId(number as u32 + 1);
        let disks = members.map(DiskId).to_vec();
        let (epoch, class, former) = (Epoch(1), DiskClass::Hot, Vec::new());
        (id, PlacementGroup { id, epoch, policy, class, disks, former })
    };
    ClusterMap {
        cluster: ClusterId::from_bytes([0; 16]),
        epoch: Epoch(1),
        level: FeatureLevel::OURS,
        policy,
        classes: StorageClasses::new(policy),
        nodes: (0..disks).map(|id| (NodeId(u64::from(id)), node(id))).collect(),
        disks: (0..disks).map(|id| (DiskId(id), disk(id))).collect(),
        groups: groups.iter().enumerate().map(group).collect(),
        partitions: Vec::new(),
        down: BTreeSet::new(),
        used_bytes: BTreeMap::new(),
    }
}

#[test]
fn groups_are_counted_by_what_serves() {
    let mut map = map(6, &[[0, 2, 4], [1, 3, 5], [0, 3, 4], [1, 2, 5]]);
    map.down = [DiskId(0), DiskId(4)].into();
    map.disks.get_mut(&DiskId(5)).expect("there").state = DiskState::Draining;
    map.groups.get_mut(&PgId(4)).expect("there").former = vec![Former { rank: 0, disk: DiskId(3) }];
    let silent = BTreeMap::from([(DiskId(3), "no answer".to_owned())]);
    let found = placement(&map, &silent, Domain::Node);
    assert_eq!((found.groups, found.whole, found.short, found.unreadable), (4, 1, 1, 2));
    assert_eq!((found.moving, found.leaving, found.violating), (1, 2, 0));
}

#[test]
fn members_that_share_a_domain_are_violations() {
    let none = BTreeMap::new();
    // Racks are r0 (0, 1), r1 (2, 3), r2 (4, 5): three of three, so each may hold one member.
    let groups = [[0, 2, 4], [0, 1, 4], [3, 3, 5]];
    let found = placement(&map(6, &groups), &none, Domain::Node);
    assert_eq!(
        found.violations,
        ["pg2 has 2 members in rack \"r0\", where 1 may be", "pg3 has disk d3 in 2 ranks"]
    );
    assert_eq!(found.violating, 2);
    // With two racks nothing better is possible.
    let found = placement(&map(4, &[[0, 1, 2], [1, 2, 3]]), &none, Domain::Node);
    assert_eq!(found.violations, Vec::<String>::new());
    // The same disks on two nodes: three nodes are needed for a domain of nodes, none for one of disks.
    let mut narrow = map(4, &[[0, 1, 2]]);
    for disk in [1, 3] {
        narrow.disks.get_mut(&DiskId(disk)).expect("there").node = NodeId(u64::from(disk) - 1);
    }
    let found = placement(&narrow, &none, Domain::Node);
    assert_eq!(found.violations, ["pg1 has 2 members on node 0, where 1 may be"]);
    assert_eq!(placement(&narrow, &none, Domain::Disk).violating, 0);
}
