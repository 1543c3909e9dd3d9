//! The verdict on a blob, and the sums over all of them.

use std::collections::BTreeMap;

use placement::Domain;
use types::{BlobRef, ClusterMap, DiskId, ErasurePolicy, NodeId, ShardId, UnixMillis, WriteIntent};

use super::{
    Context,
    batch::Found,
    report::{
        DiskLine, FINDINGS_MAX, Finding, Margin, OneMore, Placement, Ranks, Read, Report, Shards,
    },
    walk::{LATER_MAX, is_named},
};

/// What is known of a rank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rank {
    /// The member has it.
    Home(DiskId),
    /// Only a former disk has it.
    Moving(DiskId),
    /// It is there and not right.
    Damaged,
    /// A disk that may have it did not answer.
    Silent,
    /// No disk that may have it does.
    Missing,
}

impl Rank {
    pub(super) fn disk(self) -> Option<DiskId> {
        match self {
            Rank::Home(disk) | Rank::Moving(disk) => Some(disk),
            _ => None,
        }
    }
}

/// What was found of every rank, by the map and the disks that did not answer.
pub(super) fn ranks(
    map: &ClusterMap,
    silent: &BTreeMap<DiskId, String>,
    blob: &BlobRef,
    found: Found,
) -> Vec<Rank> {
    let group = map.groups.get(&blob.pg);
    let n = u8::try_from(blob.policy.n()).expect("a policy has at most 32 chunks");
    (0..n)
        .map(|rank| {
            let Some(group) = group else { return Rank::Missing };
            let has = |bits: u32| bits & (1 << rank) != 0;
            let mut holders = group.holders(rank);
            let member = holders.next();
            let answers = |disk: &DiskId| !silent.contains_key(disk);
            if let Some(member) = member.filter(|disk| has(found.member) && answers(disk)) {
                return Rank::Home(member);
            }
            let mut others = group.holders(rank).skip(1);
            if let Some(former) = others.find(|disk| has(found.former) && answers(disk)) {
                return Rank::Moving(former);
            }
            if has(found.damaged) {
                Rank::Damaged
            } else if group.holders(rank).any(|disk| !answers(&disk)) {
                Rank::Silent
            } else {
                Rank::Missing
            }
        })
        .collect()
}

/// Sums over all blobs. Bounded by the number of disks, policies and findings.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) blobs: u64,
    bytes: u64,
    margins: BTreeMap<(ErasurePolicy, i32), (u64, u64)>,
    lost: u64,
    unreadable: u64,
    ranks: Ranks,
    pub(super) misplaced: Shards,
    /// Shards that were on a disk that does not hold their rank, to be looked at again.
    pub(super) misplaced_first: Vec<(DiskId, ShardId)>,
    pub(super) unreferenced: Shards,
    pub(super) in_flight: Shards,
    pub(super) read: Read,
    listed: BTreeMap<DiskId, Shards>,
    /// Readable blobs that the loss of this one would make unreadable.
    by_disk: BTreeMap<DiskId, u64>,
    by_node: BTreeMap<NodeId, u64>,
    by_rack: BTreeMap<(String, String), u64>,
    by_zone: BTreeMap<String, u64>,
    findings: Vec<Finding>,
    pub(super) too_much_changed: bool,
    pub(super) too_many_bad: bool,
}

impl Shards {
    pub(super) fn add(&mut self, bytes: u64) {
        self.shards += 1;
        self.bytes += bytes;
    }
}

impl Tally {
    /// A shard that an inventory listed.
    pub(super) fn listed(&mut self, disk: DiskId, bytes: u64) {
        self.listed.entry(disk).or_default().add(bytes);
    }

    /// A shard that seems to be on the wrong disk.
    pub(super) fn set_aside_misplaced(&mut self, disk: DiskId, shard: ShardId) {
        if self.misplaced_first.len() < LATER_MAX {
            self.misplaced_first.push((disk, shard));
        } else {
            self.too_much_changed = true;
        }
    }

    /// A blob with its final verdict.
    pub(super) fn blob(
        &mut self,
        map: &ClusterMap,
        blob: &BlobRef,
        intent: &WriteIntent,
        ranks: &[Rank],
    ) {
        let policy = blob.policy;
        let readable = ranks.iter().filter(|rank| rank.disk().is_some()).count();
        let silent = ranks.iter().filter(|rank| **rank == Rank::Silent).count();
        let margin = margin(readable, policy);
        self.blobs += 1;
        self.bytes += blob.size;
        let row = self.margins.entry((policy, margin)).or_default();
        *row = (row.0 + 1, row.1 + blob.size);
        if readable + silent < policy.k() {
            self.lost += 1;
        } else if readable < policy.k() {
            self.unreadable += 1;
        }
        for rank in ranks {
            match rank {
                Rank::Home(_) => {}
                Rank::Moving(_) => self.ranks.moving += 1,
                Rank::Damaged => self.ranks.damaged += 1,
                Rank::Silent => self.ranks.silent += 1,
                Rank::Missing => self.ranks.missing += 1,
            }
        }
        if readable < policy.n() && self.findings.len() < FINDINGS_MAX {
            self.findings.push(Finding {
                blob: blob.id,
                bucket: intent.bucket,
                key: intent.key.clone(),
                margin,
                what: describe(map, blob, ranks),
            });
        }
        if margin >= 0 {
            self.one_more(map, ranks, margin);
        }
    }

    /// Takes note of everything whose loss would make this blob unreadable.
    fn one_more(&mut self, map: &ClusterMap, ranks: &[Rank], margin: i32) {
        let disks: Vec<DiskId> = ranks.iter().filter_map(|rank| rank.disk()).collect();
        let fatal = |count: usize| i32::try_from(count).is_ok_and(|count| count > margin);
        for (disk, count) in counted(disks.iter().copied()) {
            if fatal(count) {
                *self.by_disk.entry(disk).or_default() += 1;
            }
        }
        let nodes = || disks.iter().filter_map(|disk| map.node_of(*disk));
        for (node, count) in counted(nodes().map(|node| node.id)) {
            if fatal(count) {
                *self.by_node.entry(node).or_default() += 1;
            }
        }
        for (rack, count) in counted(nodes().map(|node| (&node.location.zone, &node.location.rack)))
        {
            if fatal(count) {
                let (zone, rack) = (rack.0.clone(), rack.1.clone());
                *self.by_rack.entry((zone, rack)).or_default() += 1;
            }
        }
        for (zone, count) in counted(nodes().map(|node| &node.location.zone)) {
            if fatal(count) {
                *self.by_zone.entry(zone.clone()).or_default() += 1;
            }
        }
    }

    pub(super) fn report(
        self,
        context: &Context,
        map: &ClusterMap,
        placement: Placement,
        began: UnixMillis,
    ) -> Report {
        let one_more = self.one_more_lines(context, map);
        let margins = self.margins.iter().map(|((policy, margin), (blobs, bytes))| Margin {
            policy: policy.to_string(),
            margin: *margin,
            full: usize::try_from(*margin) == Ok(policy.m()),
            blobs: *blobs,
            bytes: *bytes,
        });
        let named = map.disks.keys().filter(|disk| {
            is_named(map, **disk)
                || self.listed.contains_key(disk)
                || context.silent.contains_key(disk)
        });
        let disks = named.map(|disk| {
            let listed = self.listed.get(disk).copied().unwrap_or_default();
            let error = context.silent.get(disk).cloned();
            DiskLine { disk: *disk, shards: listed.shards, bytes: listed.bytes, error }
        });
        let mut incomplete = Vec::new();
        if self.too_much_changed {
            incomplete.push(format!(
                "more than {LATER_MAX} blobs or shards changed during the check: run it again when \
                 less is going on"
            ));
        }
        if self.too_many_bad {
            incomplete.push("more shards are bad than can be kept in mind".to_owned());
        }
        Report {
            began,
            ended: context.now(),
            verified: context.settings.verify,
            blobs: self.blobs,
            bytes: self.bytes,
            margins: margins.collect(),
            lost: self.lost,
            unreadable: self.unreadable,
            ranks: self.ranks,
            misplaced: self.misplaced,
            unreferenced: self.unreferenced,
            in_flight: self.in_flight,
            read: context.settings.verify.then_some(self.read),
            placement,
            one_more,
            disks: disks.collect(),
            findings: self.findings,
            incomplete,
        }
    }

    fn one_more_lines(&self, context: &Context, map: &ClusterMap) -> Vec<OneMore> {
        let domain = context.settings.domain;
        let data = || map.disks.values().filter_map(|disk| map.nodes.get(&disk.node));
        let count = |set: std::collections::BTreeSet<String>| set.len() as u64;
        let nodes = count(data().map(|node| node.id.to_string()).collect());
        let racks =
            data().map(|node| rack_name(&node.location.zone, &node.location.rack)).collect();
        let racks = count(racks);
        let zones = count(data().map(|node| node.location.zone.clone()).collect());
        let disks = map.disks.len() as u64;
        let name = |zone: &String| if zone.is_empty() { "-".to_owned() } else { zone.clone() };
        let mut lines = vec![
            line("disk", disks, &self.by_disk, true, DiskId::to_string),
            line("node", nodes, &self.by_node, domain != Domain::Disk, NodeId::to_string),
        ];
        if racks > 1 {
            let promised = domain == Domain::Rack;
            let name = |(zone, rack): &(String, String)| rack_name(zone, rack);
            lines.push(line("rack", racks, &self.by_rack, promised, name));
        }
        if zones > 1 {
            lines.push(line("zone", zones, &self.by_zone, false, name));
        }
        lines
    }
}

fn rack_name(zone: &str, rack: &str) -> String {
    match (zone, rack) {
        ("", "") => "-".to_owned(),
        ("", rack) => rack.to_owned(),
        (zone, rack) => format!("{zone}/{rack}"),
    }
}

fn line<K>(
    kind: &str,
    units: u64,
    losses: &BTreeMap<K, u64>,
    promised: bool,
    name: impl Fn(&K) -> String,
) -> OneMore {
    let worst = losses.iter().max_by_key(|(_, blobs)| **blobs);
    OneMore {
        kind: kind.to_owned(),
        units,
        harmful: losses.len() as u64,
        worst: worst.map(|(unit, _)| name(unit)),
        blobs: worst.map_or(0, |(_, blobs)| *blobs),
        promised,
    }
}

fn counted<K: Ord>(keys: impl Iterator<Item = K>) -> BTreeMap<K, usize> {
    let mut counts = BTreeMap::new();
    for key in keys {
        *counts.entry(key).or_default() += 1;
    }
    counts
}

/// Readable ranks minus `k`.
fn margin(readable: usize, policy: ErasurePolicy) -> i32 {
    let signed = |count: usize| i32::try_from(count).expect("a policy has at most 32 chunks");
    signed(readable) - signed(policy.k())
}

/// `rank 3 is missing on d5, rank 4 is damaged on d6`
fn describe(map: &ClusterMap, blob: &BlobRef, ranks: &[Rank]) -> String {
    let Some(group) = map.groups.get(&blob.pg) else {
        return format!("there is no placement group {}", blob.pg);
    };
    let mut said = Vec::new();
    for (number, rank) in ranks.iter().enumerate() {
        let what = match rank {
            Rank::Home(_) | Rank::Moving(_) => continue,
            Rank::Damaged => "is damaged",
            Rank::Silent => "is on a silent disk",
            Rank::Missing => "is missing",
        };
        let disk = group.disks.get(number).map_or_else(|| "-".to_owned(), DiskId::to_string);
        said.push(format!("rank {number} {what} ({disk})"));
    }
    said.join(", ")
}
