//! Which groups are made, when, and of which disks, over a root group in memory.

use std::collections::BTreeMap;

use platform::ManualClock;
use types::{
    ClusterId, Disk, DiskId, DiskUuid, FeatureLevel, InstanceId, Location, Node, NodeId, PgId,
    PlacementGroup, Role,
};

use super::*;
use crate::{LocalGroup, bootstrap, presplit};

const NODE: NodeId = NodeId(1);
const HOT: DiskClass = DiskClass::Hot;
const WARM: DiskClass = DiskClass::Warm;
const COLD: DiskClass = DiskClass::Cold;

fn policy(text: &str) -> ErasurePolicy {
    text.parse().expect("valid")
}

fn settings() -> ControllerSettings {
    ControllerSettings::new(1, Domain::Node)
}

fn overrides(
    class: StorageClass,
    said: ProfileOverride,
) -> BTreeMap<StorageClass, ProfileOverride> {
    BTreeMap::from([(class, said)])
}

/// A cluster of rs-2-1 with a node for each of these disks.
fn map(disks: &[(DiskClass, u32)]) -> ClusterMap {
    let classes = disks.iter().flat_map(|(class, count)| (0..*count).map(|_| *class));
    let numbered: Vec<(u32, DiskClass)> = (1..).zip(classes).collect();
    let node = |id: u32| Node {
        id: NodeId(u64::from(id)),
        instance: InstanceId::from_bytes([0; 16]),
        role: Role::Data,
        address: String::new(),
        location: Location::default(),
        level: FeatureLevel::OURS,
    };
    let disk = |id: u32, class| Disk {
        id: DiskId(id),
        uuid: DiskUuid::from_bytes([0; 16]),
        node: NodeId(u64::from(id)),
        capacity_bytes: 1000,
        state: DiskState::In,
        class,
    };
    let policy = policy("rs-2-1");
    ClusterMap {
        cluster: ClusterId::from_bytes([7; 16]),
        epoch: Epoch(1),
        level: FeatureLevel::OURS,
        policy,
        classes: StorageClasses::new(policy),
        nodes: numbered.iter().map(|(id, _)| (NodeId(u64::from(*id)), node(*id))).collect(),
        disks: numbered.iter().map(|(id, class)| (DiskId(*id), disk(*id, *class))).collect(),
        groups: BTreeMap::new(),
        partitions: Vec::new(),
        down: BTreeSet::new(),
        used_bytes: BTreeMap::new(),
    }
}

/// The sets of a plan in order; checks that each has only disks of its class.
fn sets(map: &ClusterMap, plan: &plan::Plan) -> Vec<(String, DiskClass)> {
    for set in &plan.create {
        assert!(!set.groups.is_empty());
        for disk in set.groups.iter().flatten() {
            assert_eq!(map.disks[disk].class, set.class);
        }
    }
    plan.create.iter().map(|set| (set.policy.to_string(), set.class)).collect()
}

fn plan_of(map: &ClusterMap, settings: &ControllerSettings) -> plan::Plan {
    plan::plan(map, settings, &BTreeSet::new()).expect("STANDARD has its disks")
}

#[test]
fn each_policy_and_class_of_disks_gets_its_groups_standard_first() {
    let map = map(&[(COLD, 4), (WARM, 4), (HOT, 4)]);
    let plan = plan_of(&map, &settings());
    let expected = [HOT, WARM, COLD].map(|class| ("rs-2-1".to_owned(), class));
    assert_eq!(sets(&map, &plan), expected);
    assert_eq!(plan.lacking, []);

    let mut thin = map;
    thin.policy = policy("rs-2-2");
    thin.classes = StorageClasses::new(thin.policy);
    let plan = plan_of(&thin, &settings());
    let expected =
        [("rs-2-2", HOT), ("rs-2-1", HOT), ("rs-2-2", WARM), ("rs-2-1", WARM), ("rs-2-2", COLD)];
    assert_eq!(sets(&thin, &plan), expected.map(|(text, class)| (text.to_owned(), class)));
}

#[test]
fn a_class_without_disks_gets_groups_of_the_next_hotter_one() {
    let mut map = map(&[(HOT, 12)]);
    let said = ProfileOverride { policy: Some(policy("rs-8-4")), ..Default::default() };
    map.classes = storage_classes(map.policy, &overrides(StorageClass::Glacier, said));
    let plan = plan_of(&map, &settings());
    let expected = ["rs-2-1", "rs-8-4"].map(|text| (text.to_owned(), HOT));
    assert_eq!(sets(&map, &plan), expected);
    assert_eq!(plan.lacking, [], "a missing class is no fault");

    // What is being emptied takes no new groups.
    let mut draining = map.clone();
    draining.disks.values_mut().take(6).for_each(|disk| disk.class = COLD);
    draining.disks.values_mut().take(6).for_each(|disk| disk.state = DiskState::Draining);
    let kinds = sets(&draining, &plan_of(&draining, &settings()));
    assert_eq!(kinds, [("rs-2-1".to_owned(), HOT)]);
}

#[test]
fn too_few_disks_are_said_once_a_set_and_hotter_ones_stand_in() {
    let map = map(&[(HOT, 3), (COLD, 2)]);
    let plan = plan_of(&map, &settings());
    assert_eq!(sets(&map, &plan), [("rs-2-1".to_owned(), HOT)]);
    let [lack] = plan.lacking.as_slice() else { panic!("{:?}", plan.lacking) };
    assert_eq!(lack.classes.len(), 3, "all archives share it");
    assert_eq!((lack.disks, lack.instead), (COLD, Some(HOT)));
    let text = lack.to_string();
    assert!(text.contains("cold disks for GLACIER_IR, GLACIER, DEEP_ARCHIVE"), "{text}");
    assert!(text.contains("needs 3 nodes") && text.contains("there are 2"), "{text}");

    // Nothing can stand in: the others are made all the same.
    let mut wide = map;
    let said = ProfileOverride { policy: Some(policy("rs-8-4")), ..Default::default() };
    wide.classes = storage_classes(wide.policy, &overrides(StorageClass::StandardIa, said));
    let plan = plan_of(&wide, &settings());
    assert_eq!(sets(&wide, &plan), [("rs-2-1".to_owned(), HOT)]);
    let lack = plan.lacking.iter().find(|lack| lack.disks == HOT).expect("rs-8-4 on hot disks");
    assert_eq!((lack.classes.as_slice(), lack.instead), (&[StorageClass::StandardIa][..], None));
    assert!(lack.to_string().ends_with("are refused"), "{lack}");
}

#[test]
fn nothing_is_made_before_standards_groups_can_be() {
    let map = map(&[(HOT, 2), (WARM, 4), (COLD, 4)]);
    let refused = plan::plan(&map, &settings(), &BTreeSet::new()).expect_err("two hot disks");
    assert!(refused.to_string().contains("there are 2"), "{refused}");
}

/// Adds the groups of a set to the map.
fn make(map: &mut ClusterMap, set: plan::GroupSet) {
    for disks in set.groups {
        let id = PgId(map.groups.len() as u32 + 1);
        let (epoch, former) = (Epoch(1), Vec::new());
        let (policy, class) = (set.policy, set.class);
        map.groups.insert(id, PlacementGroup { id, epoch, policy, class, disks, former });
    }
}

#[test]
fn what_is_there_is_not_made_again() {
    let mut map = map(&[(HOT, 4), (COLD, 4)]);
    let mut plan = plan_of(&map, &settings());
    assert_eq!(plan.create.len(), 2);
    make(&mut map, plan.create.pop().expect("the cold ones"));
    assert_eq!(map.groups.len(), 85, "64 permutations of four disks, in threes");
    assert_eq!(sets(&map, &plan_of(&map, &settings())), [("rs-2-1".to_owned(), HOT)]);
}

/// A set grows with its disks, but not with each of them: the ranks that are there move to new disks.
#[test]
fn a_set_is_filled_up_when_its_disks_have_become_twice_as_many() {
    let mut map = map(&[(HOT, 12)]);
    let later = map.disks.split_off(&DiskId(7));
    let first = plan_of(&map, &settings()).create.remove(0);
    assert_eq!((first.groups.len(), first.existing), (64, 0));
    make(&mut map, first);
    // As long as groups are made with 32 permutations and more, there are enough of them.
    map.disks.extend(later);
    assert!(plan_of(&map, &settings()).create.is_empty());
    let many = ControllerSettings { permutations: Some(32), ..settings() };
    let more = plan_of(&map, &many).create.remove(0);
    assert_eq!((more.groups.len(), more.existing), (64, 64), "128 in all");
    let old: Vec<_> = map.groups.values().map(|group| group.disks.clone()).collect();
    assert!(more.groups.iter().filter(|group| old.contains(group)).count() < 16, "others");
    make(&mut map, more);
    assert!(plan_of(&map, &many).create.is_empty());
    let unsettled = BTreeSet::from([HOT]);
    map.groups.split_off(&PgId(60));
    let plan = plan::plan(&map, &many, &unsettled).expect("STANDARD is served");
    assert!(plan.create.is_empty() && plan.lacking.is_empty(), "more disks may be coming");
}

#[test]
fn sets_are_shuffled_differently_and_every_leader_comes_to_the_same() {
    let map = map(&[(HOT, 12)]);
    let classes = [HOT, WARM, COLD];
    let policies = ["rs-2-1", "rs-1-2", "rs-4-2", "rs-4-1"].map(policy);
    let seeds: BTreeSet<u64> = policies
        .iter()
        .flat_map(|policy| classes.map(|class| plan::seed(&map, *policy, class)))
        .collect();
    assert_eq!(seeds.len(), policies.len() * classes.len());
    let mut id = [7; 16];
    id[0] = 8;
    let other = ClusterMap { cluster: ClusterId::from_bytes(id), ..map.clone() };
    assert_ne!(plan::seed(&map, policies[0], HOT), plan::seed(&other, policies[0], HOT));
    let groups = || plan_of(&map, &settings()).create.remove(0).groups;
    assert_eq!(groups(), groups());
}

#[test]
fn what_the_operator_leaves_out_stays() {
    let said = ProfileOverride { disks: Some(WARM), ..Default::default() };
    let classes = storage_classes(policy("rs-4-2"), &overrides(StorageClass::Glacier, said));
    let default = StorageClasses::new(policy("rs-4-2"));
    let (profile, before) =
        (classes.profile(StorageClass::Glacier), default.profile(StorageClass::Glacier));
    assert_eq!(profile, types::StorageProfile { disks: WARM, ..before });
    let others = |classes: &StorageClasses| {
        classes.iter().filter(|(class, _)| *class != StorageClass::Glacier).collect::<Vec<_>>()
    };
    assert_eq!(others(&classes), others(&default));
}

struct Root(Arc<MetaNode>);

impl Root {
    async fn new() -> Self {
        let clock = Arc::new(ManualClock::new(1_000_000));
        let root = Arc::new(LocalGroup::root(NODE, clock.clone()));
        let node = MetaNode::new(NODE, Default::default(), clock);
        node.host(root.clone());
        let cluster = ClusterId::from_bytes([7; 16]);
        bootstrap(root, cluster, policy("rs-2-1"), presplit(1)).await.expect("new");
        Self(Arc::new(node))
    }

    fn controller(&self, settings: ControllerSettings) -> Controller {
        Controller::new(self.0.clone(), settings)
    }

    async fn propose(&self, command: RootCommand) -> RootAnswer {
        let command = api::encode(&command);
        let answer = self.0.propose(GroupId::ROOT, Epoch(0), command).await.expect("leads");
        api::decode(&answer).expect("an answer")
    }

    /// A new data node with one disk.
    async fn register(&self, number: u8, class: DiskClass) {
        let node = RootCommand::RegisterNode {
            id: None,
            instance: InstanceId::from_bytes([number; 16]),
            role: Role::Data,
            address: String::from("data:1"),
            location: Location::default(),
            level: FeatureLevel::OURS,
        };
        let RootAnswer::Node(node) = self.propose(node).await else { panic!("refused") };
        let uuid = DiskUuid::from_bytes([number; 16]);
        let disk = RootCommand::RegisterDisk { uuid, node, capacity_bytes: 1000, class };
        assert!(matches!(self.propose(disk).await, RootAnswer::Disk(_)));
    }

    async fn map(&self) -> ClusterMap {
        let query = api::encode(&RootQuery::Map);
        let view = self.0.query(GroupId::ROOT, Epoch(0), query).await.expect("leads");
        match api::decode(&view).expect("a view") {
            RootView::Map(Some(map)) => *map,
            other => panic!("{other:?}"),
        }
    }

    async fn kinds(&self) -> BTreeSet<(String, DiskClass)> {
        let map = self.map().await;
        map.groups.values().map(|group| (group.policy.to_string(), group.class)).collect()
    }
}

#[tokio::test]
async fn profiles_follow_the_configuration_of_the_leader() {
    let root = Root::new().await;
    let said = ProfileOverride { compression: Some(Compression::None), ..Default::default() };
    let classes = overrides(StorageClass::Glacier, said);
    let configured = ControllerSettings { classes: classes.clone(), ..settings() };
    let controller = root.controller(configured);
    assert_eq!(controller.step().await.expect("steps"), Step::WaitingForDisks(0));
    let map = root.map().await;
    assert_eq!(map.classes, storage_classes(policy("rs-2-1"), &classes));
    assert_ne!(map.classes, StorageClasses::new(policy("rs-2-1")));
    controller.step().await.expect("steps");
    assert_eq!(root.map().await.epoch, map.epoch, "nothing is proposed again");
    // The next leader's configuration no longer says so.
    root.controller(settings()).step().await.expect("steps");
    assert_eq!(root.map().await.classes, StorageClasses::new(policy("rs-2-1")));
}

#[tokio::test(start_paused = true)]
async fn later_disks_are_used_once_no_more_of_them_come() {
    let root = Root::new().await;
    let controller = root.controller(ControllerSettings { initial_disks: 3, ..settings() });
    for number in 1..=3 {
        root.register(number, HOT).await;
    }
    assert!(matches!(controller.step().await.expect("steps"), Step::Created(_)));
    let hot = ("rs-2-1".to_owned(), HOT);
    assert_eq!(root.kinds().await, BTreeSet::from([hot.clone()]));
    assert_eq!(controller.step().await.expect("steps"), Step::Settled);

    for number in 4..=6 {
        root.register(number, COLD).await;
        assert_eq!(controller.step().await.expect("steps"), Step::Settled);
        tokio::time::advance(controller.settings.settle - Duration::from_millis(1)).await;
        assert_eq!(controller.step().await.expect("steps"), Step::Settled);
    }
    tokio::time::advance(Duration::from_millis(1)).await;
    assert!(matches!(controller.step().await.expect("steps"), Step::Created(_)));
    assert_eq!(root.kinds().await, BTreeSet::from([hot, ("rs-2-1".to_owned(), COLD)]));
    assert_eq!(controller.step().await.expect("steps"), Step::Settled);
}

#[tokio::test]
async fn what_is_lacking_does_not_hold_up_the_rest() {
    let root = Root::new().await;
    let said = ProfileOverride { policy: Some(policy("rs-8-4")), ..Default::default() };
    let controller = root.controller(ControllerSettings {
        classes: overrides(StorageClass::DeepArchive, said),
        ..settings()
    });
    for number in 1..=4 {
        root.register(number, HOT).await;
    }
    assert!(matches!(controller.step().await.expect("steps"), Step::Created(_)));
    assert_eq!(root.kinds().await, BTreeSet::from([("rs-2-1".to_owned(), HOT)]));
    // The first groups are there: the same disks must not change for a while.
    assert_eq!(controller.step().await.expect("steps"), Step::Settled);
    let controller = root
        .controller(ControllerSettings { settle: Duration::ZERO, ..controller.settings.clone() });
    let Step::Lacking(lacks) = controller.step().await.expect("steps") else { panic!("lacks") };
    let classes: Vec<_> = lacks.into_iter().map(|lack| lack.classes).collect();
    assert_eq!(classes, [[StorageClass::DeepArchive]]);
}

#[tokio::test]
async fn a_controller_without_announced_disks_makes_none() {
    let root = Root::new().await;
    for number in 1..=3 {
        root.register(number, HOT).await;
    }
    let none = root.controller(ControllerSettings { initial_disks: 0, ..settings() });
    assert_eq!(none.step().await.expect("steps"), Step::WaitingForDisks(3));
    assert!(matches!(root.controller(settings()).step().await, Ok(Step::Created(_))));
    assert_eq!(none.step().await.expect("steps"), Step::Settled);
}
