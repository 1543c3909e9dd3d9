//! The root state machine against its model: 5,000 random sequences.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::collections::BTreeMap;

use bytes::Bytes;
use consensus::{ApplyContext, MemoryKv, StateMachine};
use metastore::{
    RootMachine,
    api::{
        self, RootAnswer, RootCommand, RootQuery, RootView,
        root::{BUCKET_CONFIG_BYTES_MAX, CURSOR_BYTES_MAX, ConfigKind, MetaChange},
    },
    model::RootModel,
    presplit,
    root::evaluate,
};
use proptest::{prelude::*, strategy::ValueTree};
use types::{
    BucketId, ClusterId, Compression, DiskClass, DiskId, DiskState, DiskUuid, Epoch, ErasurePolicy,
    FeatureLevel, Former, GroupId, InstanceId, Location, NodeId, PgId, PlacementGroup, Role,
    StorageClass, StorageClasses, StorageProfile, UnixMillis,
};

const KINDS: [ConfigKind; 3] = [ConfigKind::Tagging, ConfigKind::Cors, ConfigKind::Website];
const CONFIGS: [&str; 4] = ["", "a", "ab", "b"];
const NAMES: [&str; 5] = ["abc", "abcd", "abc-1", "zzz", "b.c"];

/// The state says which epochs a command has to name to be taken.
fn command(dice: [u8; 6], model: &RootModel) -> RootCommand {
    let [kind, a, b, c, d, e] = dice;
    // Mostly an epoch that is right, sometimes one that has passed or is yet to come.
    let epoch = |known: u64| match e % 8 {
        0 => Epoch(known.saturating_sub(1)),
        1 => Epoch(known + 1),
        _ => Epoch(known),
    };
    let group = PgId(u32::from(b % 4));
    let known = model.groups.get(&group);
    let group_epoch = epoch(known.map_or(1, |known| known.epoch.0));
    let disk = DiskId(u32::from(c % 7));
    let name = NAMES[usize::from(a) % NAMES.len()].to_owned();
    let id = BucketId(u64::from(b % 6));
    let policy = if e % 4 == 0 { ErasurePolicy::new(2, 1) } else { ErasurePolicy::new(1, 1) };
    let policy = policy.unwrap();
    match kind % 36 {
        0 => {
            let mut partitions = presplit(u16::from(b % 3) + 1);
            match c % 16 {
                0 => partitions.reverse(),
                1 => partitions[0].group = GroupId::ROOT,
                2 => partitions.clear(),
                3 => partitions.last_mut().unwrap().end = Some(vec![0xff; 9]),
                4 => partitions[0].start = vec![1],
                5 if partitions.len() > 1 => partitions[1].group = partitions[0].group,
                _ => {}
            }
            let cluster = ClusterId::from_bytes([u8::from(d % 4 == 0); 16]);
            let level = FeatureLevel(1 + u32::from(e.is_multiple_of(16)));
            RootCommand::Bootstrap { cluster, policy, partitions, level }
        }
        1..=3 => RootCommand::RegisterNode {
            id: (c % 2 == 0).then_some(NodeId([0, 1, 2, 3, 1000, 1001, 1002][usize::from(d) % 7])),
            instance: InstanceId::from_bytes([a % 6; 16]),
            role: if b % 2 == 0 { Role::Meta } else { Role::Data },
            address: format!("host-{}:9", e % 2),
            location: Location { zone: String::new(), rack: format!("r{}", e % 3) },
            level: FeatureLevel(1 + u32::from(e / 3 % 3)),
        },
        4..=6 => RootCommand::RegisterDisk {
            uuid: DiskUuid::from_bytes([a % 7; 16]),
            node: NodeId([1, 2, 1001, 1002][usize::from(b) % 4]),
            capacity_bytes: u64::from(c % 2),
            class: [DiskClass::Hot, DiskClass::Warm, DiskClass::Cold][usize::from(d) % 3],
        },
        7 | 16 => {
            let class = [DiskClass::Hot, DiskClass::Warm, DiskClass::Cold][usize::from(d) % 3];
            let of_the_set =
                |group: &&PlacementGroup| (group.policy, group.class) == (policy, class);
            let known = model.groups.values().filter(of_the_set).count() as u32;
            let groups = (0..b % 3).map(|n| {
                let disk = |rank| DiskId((u32::from(c) + u32::from(n) + rank * u32::from(d)) % 7);
                (0..policy.n() as u32).map(disk).collect()
            });
            let (groups, existing) = (groups.collect(), known + u32::from(a.is_multiple_of(8)));
            RootCommand::CreateGroups { policy, groups, class, existing }
        }
        18 | 19 => RootCommand::SetDiskState {
            disk,
            state: [DiskState::In, DiskState::Draining, DiskState::Out][usize::from(d) % 3],
            epoch: epoch(model.epoch),
        },
        20..=24 => RootCommand::MoveMember { group, epoch: group_epoch, rank: d % 4, to: disk },
        25 | 26 => match known.and_then(|known| known.former.get(usize::from(a % 4))) {
            Some(Former { rank, disk }) if !d.is_multiple_of(8) => {
                RootCommand::EndMove { group, epoch: group_epoch, rank: *rank, disk: *disk }
            }
            _ => RootCommand::EndMove { group, epoch: group_epoch, rank: d % 4, disk },
        },
        30 | 31 => RootCommand::ReplaceDisk {
            old: disk,
            new: DiskId(u32::from(d % 7)),
            epoch: epoch(model.epoch),
        },
        32..=34 => {
            let node = NodeId([1, 2, 3, 1001][usize::from(b) % 4]);
            let change = [MetaChange::Add(node), MetaChange::Remove(node)][usize::from(c % 2)];
            let known = model.members.as_ref().map(|members| members.voters.clone());
            let mut voters = known.unwrap_or_else(|| [NodeId(1), NodeId(2)].into());
            if e.is_multiple_of(8) {
                voters.insert(NodeId(9));
            }
            RootCommand::BeginMetaChange { change, voters }
        }
        35 => {
            let known = model.members.as_ref().and_then(|members| members.change);
            let other = MetaChange::Add(NodeId(u64::from(b % 4)));
            let change = known.filter(|_| !e.is_multiple_of(8)).unwrap_or(other);
            RootCommand::EndMetaChange { change }
        }
        27 => RootCommand::RemoveDisk { disk },
        28 => RootCommand::RemoveNode { node: NodeId([1, 2, 1001, 1002][usize::from(b) % 4]) },
        29 => RootCommand::FinaliseLevel { level: FeatureLevel(u32::from(b % 4)) },
        8 | 9 => RootCommand::CreateBucket { name, id, initial: common::settings(c) },
        17 => {
            let mut classes = StorageClasses::new(policy);
            let disks = [DiskClass::Hot, DiskClass::Cold][usize::from(d) % 2];
            let compression = Compression::Zstd;
            let class = StorageClass::ALL[usize::from(c) % 8];
            classes.set(class, StorageProfile { policy, disks, compression });
            if b.is_multiple_of(8) {
                // Decoding does not check that every class is there.
                let some: BTreeMap<_, _> = classes.iter().skip(1).collect();
                classes = api::decode(&api::encode(&some)).unwrap();
            }
            RootCommand::SetStorageClasses { classes }
        }
        10 => RootCommand::BeginDeleteBucket { name },
        11 => RootCommand::FinishDeleteBucket { id },
        12 => RootCommand::CancelDeleteBucket { id },
        13 => RootCommand::SaveCursor {
            worker: if d == 0 { "w".repeat(65) } else { name },
            cursor: vec![c; if e == 0 { CURSOR_BYTES_MAX + 1 } else { usize::from(e) }].into(),
        },
        _ => RootCommand::SetBucketConfig {
            id,
            kind: KINDS[usize::from(c) % 3],
            name: if d == 0 { "n".repeat(65) } else { CONFIGS[usize::from(d) % 4].to_owned() },
            value: (e % 4 != 0).then(|| {
                let bytes = if e == 255 { BUCKET_CONFIG_BYTES_MAX + 1 } else { usize::from(e) };
                Bytes::from(vec![e; bytes])
            }),
        },
    }
}

fn bootstrap() -> RootCommand {
    RootCommand::Bootstrap {
        cluster: ClusterId::from_bytes([0; 16]),
        policy: ErasurePolicy::new(1, 1).unwrap(),
        partitions: presplit(2),
        level: FeatureLevel(1),
    }
}

/// A small cluster, so that not every sequence has to make one first.
fn prologue() -> Vec<RootCommand> {
    let node = |number: u8| RootCommand::RegisterNode {
        id: None,
        instance: InstanceId::from_bytes([number; 16]),
        role: Role::Data,
        address: "host:9".to_owned(),
        location: Location::default(),
        level: FeatureLevel(2),
    };
    let disk = |number: u8| RootCommand::RegisterDisk {
        uuid: DiskUuid::from_bytes([number; 16]),
        node: NodeId(1001 + u64::from(number % 2)),
        capacity_bytes: 1,
        class: DiskClass::Hot,
    };
    let groups = RootCommand::CreateGroups {
        policy: ErasurePolicy::new(2, 1).unwrap(),
        class: DiskClass::Hot,
        groups: [[1, 2, 3], [4, 3, 2]].map(|disks| disks.map(DiskId).to_vec()).to_vec(),
        existing: 0,
    };
    let meta = |number: u8| RootCommand::RegisterNode {
        id: Some(NodeId(number.into())),
        instance: InstanceId::from_bytes([number + 1; 16]),
        role: Role::Meta,
        address: "meta:9".to_owned(),
        location: Location::default(),
        level: FeatureLevel(2),
    };
    let nodes = (0..2).map(node).chain((1..=3).map(meta));
    [bootstrap()].into_iter().chain(nodes).chain((0..6).map(disk)).chain([groups]).collect()
}

fn query([kind, a, b, c]: [u8; 4]) -> RootQuery {
    let name = |dice: u8| NAMES[usize::from(dice) % NAMES.len()].to_owned();
    match kind % 7 {
        0 => RootQuery::Map,
        6 => RootQuery::MetaMembers,
        1 => RootQuery::Bucket { name: name(a) },
        2 => RootQuery::Cursor { worker: name(a) },
        3 | 4 => RootQuery::BucketConfigs {
            id: BucketId(u64::from(a % 6)),
            kind: KINDS[usize::from(b) % 3],
            after: c.is_multiple_of(2).then(|| CONFIGS[usize::from(c / 2) % 4].to_owned()),
            limit: u32::from(c % 3),
        },
        _ => RootQuery::Buckets {
            prefix: ["", "a", "abc", "x"][usize::from(a) % 4].to_owned(),
            after: (b % 2 == 0).then(|| name(b / 2)),
            limit: u32::from(c % 4),
        },
    }
}

fn refusal() -> RootAnswer {
    RootAnswer::Refused(String::new())
}

/// The words of a refusal are for people; the model does not know them.
fn wordless(answer: RootAnswer) -> RootAnswer {
    match answer {
        RootAnswer::Refused(reason) => {
            assert!(reason.is_empty() || reason.len() > 10, "{reason:?}");
            refusal()
        }
        answer => answer,
    }
}

fn cases() -> ProptestConfig {
    ProptestConfig { cases: 5000, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn answers_and_views_are_the_models(
        steps in prop::collection::vec(any::<([u8; 6], [u8; 4])>(), 1..60),
        prologue in prop_oneof![
            Just(Vec::new()), Just(vec![bootstrap()]), Just(prologue()), Just(prologue()),
        ],
    ) {
        let mut rows = MemoryKv::default();
        let mut model = RootModel::default();
        let mut prologue = prologue.into_iter();
        let mut dice = steps.iter().map(|(dice, _)| *dice);
        for number in 0.. {
            let command = prologue.next().or_else(|| Some(command(dice.next()?, &model)));
            let Some(command) = command else { break };
            let now = UnixMillis(number as u64 * 10);
            let context = ApplyContext { index: number as u64, now };
            let answer = RootMachine.apply(&mut rows, context, &api::encode(&command)).unwrap();
            let answer: RootAnswer = api::decode(&answer).unwrap();
            prop_assert_eq!(wordless(answer.clone()), model.apply(now, &command), "{:?}", command);
            // Everything may come twice: the second time nothing changes, not even the epoch.
            // (Only groups and moves are refused then: they have been made.)
            let before = rows.clone();
            let again = RootMachine.apply(&mut rows, context, &api::encode(&command)).unwrap();
            let again: RootAnswer = api::decode(&again).unwrap();
            let fresh = matches!(command, RootCommand::RegisterNode { id: None, role: Role::Data, .. });
            let once = matches!(
                command,
                RootCommand::CreateGroups { .. } | RootCommand::MoveMember { .. }
            );
            if once {
                prop_assert_eq!(wordless(again), refusal(), "{:?}", command);
            } else {
                prop_assert_eq!(again, answer, "{:?}", command);
            }
            prop_assert!(before == rows, "{:?} {}", command, fresh);
            for query in [query(steps[number % steps.len()].1), RootQuery::Map] {
                prop_assert_eq!(evaluate(&rows, &query).unwrap(), model.query(&query), "{:?}", query);
            }
        }
    }

    #[test]
    fn any_bytes_halt_or_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let mut rows = MemoryKv::default();
        let context = ApplyContext { index: 9, now: UnixMillis(1) };
        let known = api::decode::<RootCommand>(&bytes).is_ok();
        prop_assert_eq!(RootMachine.apply(&mut rows, context, &bytes).is_ok(), known);
    }
}

/// The dice change the map in every way: without that the test above would hold little.
#[test]
fn the_dice_reach_every_change_of_members() {
    let mut seen = BTreeMap::<String, usize>::new();
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let steps = prop::collection::vec(any::<[u8; 6]>(), 20..60);
    for _ in 0..3000 {
        let mut model = RootModel::default();
        for command in prologue() {
            model.apply(UnixMillis(0), &command);
        }
        for dice in steps.new_tree(&mut runner).unwrap().current() {
            let command = command(dice, &model);
            let epoch = model.epoch;
            let answer = format!("{:?}", model.apply(UnixMillis(0), &command));
            let command = format!("{command:?}");
            let [command, answer] = [&command, &answer]
                .map(|text| text.split(|c: char| !c.is_alphanumeric()).next().unwrap().to_owned());
            let changed = if epoch == model.epoch { "" } else { ", changed" };
            *seen.entry(format!("{command}: {answer}{changed}")).or_default() += 1;
            for group in model.groups.values() {
                *seen.entry(format!("{} former", group.former.len())).or_default() += 1;
            }
        }
    }
    let commands =
        ["FinaliseLevel", "SetDiskState", "EndMove", "ReplaceDisk", "RemoveDisk", "RemoveNode"];
    let expected = commands
        .into_iter()
        .flat_map(|it| ["Done", "Done, changed", "Refused"].map(|answer| format!("{it}: {answer}")))
        .chain(["MoveMember: Done, changed", "MoveMember: Refused"].map(str::to_owned))
        .chain(["CreateGroups: Done, changed", "3 former"].map(str::to_owned))
        .chain(["BeginMetaChange: Done", "BeginMetaChange: Refused"].map(str::to_owned))
        .chain(["EndMetaChange: Done", "EndMetaChange: Done, changed"].map(str::to_owned));
    let missing: Vec<_> =
        expected.filter(|name| seen.get(name).copied().unwrap_or(0) < 10).collect();
    assert!(missing.is_empty(), "{missing:?} are too seldom in {seen:#?}");
}

/// Documents of any size fit into an answer: a page ends by their bytes too.
#[test]
fn a_page_of_documents_has_bounded_bytes() {
    let mut rows = MemoryKv::default();
    let mut apply = |command: &RootCommand| {
        let context = ApplyContext { index: 1, now: UnixMillis(1) };
        let answer = RootMachine.apply(&mut rows, context, &api::encode(command)).unwrap();
        api::decode::<RootAnswer>(&answer).unwrap()
    };
    let (id, kind) = (BucketId(1), ConfigKind::Cors);
    let policy = ErasurePolicy::new(1, 1).unwrap();
    let (cluster, partitions) = (ClusterId::from_bytes([0; 16]), presplit(1));
    apply(&RootCommand::Bootstrap { cluster, policy, partitions, level: FeatureLevel(1) });
    let initial = Default::default();
    apply(&RootCommand::CreateBucket { name: "docs".into(), id, initial });
    for number in 0..12 {
        let (name, value) = (format!("{number:02}"), vec![1; BUCKET_CONFIG_BYTES_MAX]);
        let set = RootCommand::SetBucketConfig { id, kind, name, value: Some(value.into()) };
        assert_eq!(apply(&set), RootAnswer::Done);
    }
    let mut pages = Vec::new();
    let mut after = None;
    loop {
        let query = RootQuery::BucketConfigs { id, kind, after, limit: 100 };
        let RootView::BucketConfigs { configs, truncated } = evaluate(&rows, &query).unwrap()
        else {
            panic!("documents")
        };
        pages.push(configs.len());
        after = configs.last().map(|(name, _)| name.clone());
        if !truncated {
            break;
        }
    }
    assert_eq!(pages, [5, 5, 2]);
}

/// The kinds of documents are part of row keys: their numbers may not change.
#[test]
fn numbers_of_config_kinds() {
    use ConfigKind as K;
    let kinds =
        [K::Tagging, K::Cors, K::Website, K::Lifecycle, K::Logging, K::Notification, K::Inventory];
    assert_eq!(kinds.map(|kind| kind as u8), [1, 2, 3, 4, 5, 6, 7]);
}
