//! The merge against a model that knows all disks at once.

use std::collections::BTreeSet;

use proptest::prelude::*;
use types::{BucketId, DiskClass, Epoch, ErasurePolicy, Former, UnixMillis};

use super::*;

/// A shard of the model: blob, rank, disk, sealed.
type Shard = (u8, u8, u32, bool);

const GROUP: PgId = PgId(7);

fn group() -> PlacementGroup {
    PlacementGroup {
        id: GROUP,
        epoch: Epoch(3),
        policy: ErasurePolicy::new(2, 1).expect("valid"),
        class: DiskClass::Hot,
        disks: vec![DiskId(1), DiskId(2), DiskId(3)],
        former: vec![
            Former { rank: 0, disk: DiskId(4) },
            Former { rank: 2, disk: DiskId(5) },
            Former { rank: 0, disk: DiskId(6) },
        ],
    }
}

fn blob_id(group: u32, blob: u8) -> BlobId {
    BlobId::new(PgId(group), UnixMillis(5), [0, 0, 0, 0, 0, blob])
}

fn entry(group: u32, (blob, rank, _, sealed): Shard) -> ShardEntry {
    ShardEntry {
        shard: ShardId { blob: blob_id(group, blob), rank },
        state: if sealed { ShardState::Confirmed } else { ShardState::Pending },
        intent: WriteIntent {
            bucket: BucketId(1),
            key: format!("{blob}-{sealed}"),
            part: None,
            deadline: UnixMillis(9),
        },
        stripes: sealed.then_some(1),
        bytes: 10,
    }
}

/// The page of a disk that holds these shards, and others of the groups before and behind.
fn page(shards: &[Shard], disk: DiskId, after: Option<ShardId>, limit: u32) -> Vec<ShardEntry> {
    let others = |group: u32| (0..3).map(move |blob| entry(group, (blob, 1, 0, true)));
    let own = shards.iter().filter(|shard| shard.2 == disk.0).map(|shard| entry(GROUP.0, *shard));
    let mut all: Vec<ShardEntry> = others(6).chain(own).chain(others(8)).collect();
    all.sort_by_key(|entry| entry.shard);
    all.into_iter()
        .filter(|entry| after.is_none_or(|after| entry.shard > after))
        .take(limit as usize)
        .collect()
}

fn shards() -> impl Strategy<Value = Vec<Shard>> {
    let shard = (any::<u8>(), 0u8..3, 1u32..8, any::<bool>());
    let unique = |shards: Vec<Shard>| {
        let mut known = BTreeSet::new();
        shards.into_iter().filter(|shard| known.insert((shard.0, shard.1, shard.2))).collect()
    };
    prop::collection::vec(shard, 0..600).prop_map(unique)
}

proptest! {
    #[test]
    fn page_by_page_shows_what_all_disks_hold(
        shards in shards(),
        silent in prop::collection::btree_set(1u32..8, 0..3),
        limit in 4u32..40,
    ) {
        let group = group();
        let silent: Vec<DiskId> = silent.into_iter().map(DiskId).collect();
        // Of one disk that the group does not name there is nothing to be seen.
        let disks = holders(&group);
        prop_assert_eq!(&disks, &(1..=6).map(DiskId).collect::<Vec<_>>());

        let mut found: BTreeMap<BlobId, Vec<Seen>> = BTreeMap::new();
        let mut after = None;
        loop {
            let pages = disks.iter().map(|disk| {
                let answers = !silent.contains(disk);
                let entries = answers.then(|| page(&shards, *disk, from(GROUP, after), limit));
                Page { disk: *disk, entries }
            });
            let merged = merge(GROUP, pages.collect(), limit);
            for holding in merged.holdings {
                prop_assert!(after.is_none_or(|after| holding.blob > after));
                let sealed = holding.seen.iter().any(|seen| seen.stripes.is_some());
                prop_assert!(holding.intent.key.ends_with(&sealed.to_string()));
                prop_assert!(found.insert(holding.blob, holding.seen).is_none(), "each blob once");
            }
            match merged.next {
                Some(next) => {
                    prop_assert!(after.is_none_or(|after| next > after), "it gets on");
                    after = Some(next);
                }
                None => break,
            }
        }

        let mut expected: BTreeMap<BlobId, Vec<Seen>> = BTreeMap::new();
        for (blob, rank, disk, sealed) in shards {
            if disks.contains(&DiskId(disk)) && !silent.contains(&DiskId(disk)) {
                expected.entry(blob_id(GROUP.0, blob)).or_default().push(Seen {
                    disk: DiskId(disk),
                    rank,
                    stripes: sealed.then_some(1),
                    bytes: 10,
                    is_confirmed: sealed,
                });
            }
        }
        expected.values_mut().for_each(|seen| seen.sort_unstable());
        prop_assert_eq!(&found, &expected);

        for (blob, seen) in expected {
            let intent = entry(7, (0, 0, 0, true)).intent;
            let findings = Findings::new(&group, &Holding { blob, intent, seen: seen.clone() }, &silent);
            for (rank, member) in (0u8..).zip(&findings.members) {
                let disk = group.disks[usize::from(rank)];
                let at = seen.iter().find(|seen| seen.disk == disk && seen.rank == rank);
                let expected = match at {
                    _ if silent.contains(&disk) => AtMember::Unknown,
                    Some(Seen { stripes: Some(stripes), .. }) => AtMember::Sealed(*stripes),
                    _ => AtMember::Missing,
                };
                prop_assert_eq!(*member, expected);
            }
            let was_member = |seen: &&Seen| matches!((seen.rank, seen.disk.0), (0, 4 | 6) | (2, 5));
            let is_member = |seen: &Seen| u32::from(seen.rank) + 1 == seen.disk.0;
            let former: Vec<Seen> = seen.iter().filter(was_member).copied().collect();
            let strays: Vec<Seen> =
                seen.iter().filter(|seen| !was_member(seen) && !is_member(seen)).copied().collect();
            prop_assert_eq!(&findings.former, &former);
            prop_assert_eq!(&findings.strays, &strays);
            let whole = findings.members.iter().all(|member| *member != AtMember::Missing);
            prop_assert_eq!(findings.is_clean(), whole && former.is_empty() && strays.is_empty());
        }
    }
}

#[test]
fn the_first_group_begins_with_the_first_shard() {
    assert_eq!(from(PgId(0), None), None);
    let before = from(PgId(1), None).expect("group 0 is before");
    assert_eq!((before.blob.group(), before.rank), (PgId(0), u8::MAX));
    assert!(before.blob < blob_id(1, 0));
}
