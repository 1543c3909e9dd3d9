//! The figures of a cluster from its map.

use std::collections::{BTreeMap, BTreeSet};

use durability::{Assumptions, report, sampled, sim::Settings};
use types::{
    ClusterId, ClusterMap, Disk, DiskClass, DiskId, DiskState, DiskUuid, Epoch, ErasurePolicy,
    FeatureLevel, InstanceId, Location, Node, PgId, PlacementGroup, Role, StorageClasses,
};

fn policy(k: u8, m: u8) -> ErasurePolicy {
    ErasurePolicy::new(k, m).expect("valid")
}

/// One disk a node, 8 TB used of 16, groups of the placer for each of `policies`.
fn map(nodes: u32, policies: &[(ErasurePolicy, DiskClass)]) -> ClusterMap {
    let mut map = ClusterMap {
        cluster: ClusterId::from_bytes([0; 16]),
        epoch: Epoch(1),
        level: FeatureLevel::OURS,
        policy: policies[0].0,
        classes: StorageClasses::new(policies[0].0),
        nodes: BTreeMap::new(),
        disks: BTreeMap::new(),
        groups: BTreeMap::new(),
        partitions: Vec::new(),
        down: BTreeSet::new(),
        used_bytes: BTreeMap::new(),
    };
    for (policy, class) in policies {
        let settings = Settings::new(*policy, 1, nodes, 1);
        for site in &settings.sites {
            let node = Node {
                id: site.node,
                instance: InstanceId::from_bytes([0; 16]),
                role: Role::Data,
                address: String::new(),
                location: Location::default(),
                level: FeatureLevel::OURS,
            };
            let disk = Disk {
                id: site.id,
                uuid: DiskUuid::from_bytes([0; 16]),
                node: site.node,
                capacity_bytes: 16_000_000_000_000,
                state: DiskState::In,
                class: DiskClass::Hot,
            };
            map.nodes.insert(node.id, node);
            map.disks.insert(disk.id, disk);
            map.used_bytes.insert(site.id, 8_000_000_000_000);
        }
        for disks in settings.plan(1).expect("enough nodes") {
            let id = PgId(map.groups.len() as u32 + 1);
            let (policy, class) = (*policy, *class);
            map.groups.insert(
                id,
                PlacementGroup { id, epoch: Epoch(1), policy, class, disks, former: Vec::new() },
            );
        }
    }
    map
}

#[test]
fn a_row_is_what_the_formula_says_of_its_groups() {
    let map = map(12, &[(policy(6, 3), DiskClass::Hot)]);
    let assumptions = Assumptions::default();
    let report = report(&map, &assumptions);
    let [row] = &report.rows[..] else { panic!("one policy, one row: {report:?}") };
    assert_eq!((row.groups, row.disks, row.not_whole), (85, 12, 0));
    assert_eq!((row.scatter_least, row.scatter_mean), (11, 11.0));
    assert!(row.repair.spare);
    // The slowest disk is at least the mean, and not twice as slow.
    let mut settings = Settings::new(policy(6, 3), 1, 12, 1);
    settings.bytes_per_disk = 8e12;
    let mean = settings.mean_repair_time(&settings.plan(1).expect("enough nodes")).hours();
    assert!((mean..2.0 * mean).contains(&row.repair.hours()), "{mean} {row:?}");
    assert!(row.group_annual_loss > 0.0 && row.cluster_annual_loss > row.group_annual_loss);
    let text = report.to_string();
    assert!(text.contains("| rs-6-3 | hot ") && text.contains("4 % of disks fail"), "{text}");
    assert!(!text.contains("short of members") && !text.contains("no failure domain"), "{text}");
}

#[test]
fn what_is_wrong_with_the_cluster_is_said() {
    let mut map = map(6, &[(policy(4, 2), DiskClass::Hot)]);
    map.down.insert(DiskId(1));
    let report = report(&map, &Assumptions::default());
    let row = &report.rows[0];
    assert_eq!((row.not_whole, row.groups), (64, 64), "every group has all six");
    assert!(!row.repair.spare && row.repair.wait_hours == 48.0);
    let text = report.to_string();
    assert!(text.contains("64 of 64 groups are short of members"), "{text}");
    assert!(text.contains("one more node takes that away"), "{text}");
}

/// A disk in groups of two policies repairs both with the same bandwidth, each half of its bytes.
#[test]
fn policies_that_share_disks_share_their_bandwidth() {
    let hot = (policy(4, 2), DiskClass::Hot);
    let alone = report(&map(12, &[hot]), &Assumptions::default());
    let both = report(&map(12, &[hot, (policy(4, 2), DiskClass::Cold)]), &Assumptions::default());
    assert_eq!(both.rows.len(), 2);
    for row in &both.rows {
        let ratio = row.repair.transfer_hours / alone.rows[0].repair.transfer_hours;
        assert!((0.9..1.1).contains(&ratio), "as many bytes as before: {ratio}");
    }
}

#[test]
fn bytes_are_those_assumed_or_used_or_the_capacity() {
    let map_used = map(12, &[(policy(4, 2), DiskClass::Hot)]);
    let mut map_unknown = map_used.clone();
    map_unknown.used_bytes.clear();
    let transfer = |map: &ClusterMap, bytes_per_disk| {
        let assumptions = Assumptions { bytes_per_disk, ..Assumptions::default() };
        report(map, &assumptions).rows[0].repair.transfer_hours
    };
    let used = transfer(&map_used, None);
    assert!((transfer(&map_unknown, None) / used - 2.0).abs() < 1e-9);
    assert!((transfer(&map_used, Some(4e12)) / used - 0.5).abs() < 1e-9);
}

/// The disks are the real ones, so formula and simulator speak of the same cluster.
#[test]
fn the_simulator_is_given_the_cluster_as_it_is() {
    let map = map(12, &[(policy(2, 1), DiskClass::Hot)]);
    let assumptions = Assumptions {
        failures_per_disk_year: 0.5,
        bytes_per_disk: Some(4e12),
        ..Default::default()
    };
    let settings = sampled::settings(&map, &assumptions, policy(2, 1), DiskClass::Hot);
    assert_eq!((settings.sites.len(), settings.bytes_per_disk), (12, 4e12));
    assert_eq!(settings.permutations, map.groups.len() * 3 / 12);
    let report = report(&map, &assumptions);
    let samples = sampled::sample(&map, &report, 4000, 1);
    let [sample] = &samples[..] else { panic!("one policy, one row: {samples:?}") };
    let simulated = sample.simulated.clone().expect("enough nodes");
    let ratio = simulated.mean / sample.formula;
    assert!((0.6..1.4).contains(&ratio), "{ratio}: {sample:?}");
    let text = sampled::table(&samples).to_string();
    assert!(text.contains("| rs-2-1 | hot ") && text.contains(" ± "), "{text}");
}

#[test]
fn what_the_placer_cannot_do_is_said() {
    let mut map = map(6, &[(policy(4, 2), DiskClass::Hot)]);
    map.disks.get_mut(&DiskId(1)).expect("there").state = DiskState::Out;
    let report = report(&map, &Assumptions::default());
    let samples = sampled::sample(&map, &report, 100, 1);
    assert!(samples[0].simulated.is_err());
    assert!(sampled::table(&samples).to_string().contains("6"), "{}", sampled::table(&samples));
}

#[test]
fn a_cluster_without_groups_has_no_rows() {
    let mut map = map(12, &[(policy(4, 2), DiskClass::Hot)]);
    map.groups.clear();
    assert!(report(&map, &Assumptions::default()).rows.is_empty());
}
