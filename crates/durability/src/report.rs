//! The figures of a real cluster, from its map: what `shardlake durability` prints.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use placement::DiskSite;
use types::{ClusterMap, DiskClass, DiskId, DiskState, ErasurePolicy, PlacementGroup};

use crate::{
    Assumptions, RepairTime,
    formula::{Chain, cluster_annual_loss, longest_repair_hours, probability},
    sim::settings::has_spare,
    table::{Table, hours, nines, small},
};

/// The nines that the product speaks of when it says "eleven nines".
const GOAL_NINES: f64 = 11.0;

/// The groups of one policy and disk class.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// How they are encoded.
    pub policy: ErasurePolicy,
    /// What their disks are for.
    pub class: DiskClass,
    /// How many there are.
    pub groups: usize,
    /// How many of them have a member that is down or out now. The figures are for whole groups.
    pub not_whole: usize,
    /// Disks in these groups.
    pub disks: usize,
    /// The least number of other disks that share these groups with one of the disks.
    pub scatter_least: usize,
    /// The same on average.
    pub scatter_mean: f64,
    /// The repair of the disk that takes longest.
    pub repair: RepairTime,
    /// The probability that one group is lost within a year: what an object of one blob risks.
    pub group_annual_loss: f64,
    /// At most the probability that any of them is lost within a year.
    pub cluster_annual_loss: f64,
    /// Blobs that latent errors cost a year, in all groups together.
    pub latent_losses_per_year: f64,
    /// The longest repair time with which a group keeps eleven nines, by the textbook's formula
    /// without shared bandwidth; `None` if none does.
    pub longest_repair_hours: Option<f64>,
}

/// The figures of a cluster.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// One for each policy and class that has groups.
    pub rows: Vec<Row>,
    /// What they rest on.
    pub assumptions: Assumptions,
}

/// Computes the figures from the groups, disks and used bytes of the map. Failures are independent;
/// bursts are the simulator's part.
pub fn report(map: &ClusterMap, assumptions: &Assumptions) -> Report {
    let mut kinds: BTreeMap<(DiskClass, ErasurePolicy), Vec<&PlacementGroup>> = BTreeMap::new();
    let mut groups_of: BTreeMap<DiskId, usize> = BTreeMap::new();
    for group in map.groups.values() {
        kinds.entry((group.class, group.policy)).or_default().push(group);
        for disk in &group.disks {
            *groups_of.entry(*disk).or_default() += 1;
        }
    }
    let kinds: Vec<Kind<'_>> = kinds
        .into_iter()
        .map(|((class, policy), groups)| {
            Kind::new(map, assumptions, class, policy, groups, &groups_of)
        })
        .collect();
    // A disk that is in groups of several kinds repairs them all with the same bandwidth.
    let mut transfer_hours: BTreeMap<DiskId, f64> = BTreeMap::new();
    for kind in &kinds {
        for (disk, time) in &kind.repairs {
            *transfer_hours.entry(*disk).or_default() += time.transfer_hours;
        }
    }
    let rows =
        kinds.iter().map(|kind| kind.row(map, assumptions, &transfer_hours, &groups_of)).collect();
    Report { rows, assumptions: assumptions.clone() }
}

/// The groups of one policy and class, and the repair of each of their disks by itself.
struct Kind<'a> {
    policy: ErasurePolicy,
    class: DiskClass,
    groups: Vec<&'a PlacementGroup>,
    repairs: BTreeMap<DiskId, RepairTime>,
    scatter: BTreeMap<DiskId, usize>,
}

impl<'a> Kind<'a> {
    fn new(
        map: &ClusterMap,
        assumptions: &Assumptions,
        class: DiskClass,
        policy: ErasurePolicy,
        groups: Vec<&'a PlacementGroup>,
        groups_of: &BTreeMap<DiskId, usize>,
    ) -> Self {
        let mut by_disk: BTreeMap<DiskId, Vec<&'a [DiskId]>> = BTreeMap::new();
        for group in &groups {
            for disk in &group.disks {
                by_disk.entry(*disk).or_default().push(&group.disks);
            }
        }
        let sites = sites(map, by_disk.keys());
        let spare = has_spare(&sites, policy, assumptions.domain);
        let targets = sites.len().saturating_sub(1).max(1);
        let mut repairs = BTreeMap::new();
        let mut scatter = BTreeMap::new();
        for (disk, groups) in &by_disk {
            let all = groups_of.get(disk).copied().unwrap_or(1) as f64;
            let bytes = bytes_on(map, assumptions, *disk) / all;
            let time =
                RepairTime::in_groups(policy, *disk, groups, targets, bytes, spare, assumptions);
            repairs.insert(*disk, time);
            scatter.insert(*disk, placement::scatter_width(groups, *disk));
        }
        Self { policy, class, groups, repairs, scatter }
    }

    fn row(
        &self,
        map: &ClusterMap,
        assumptions: &Assumptions,
        transfer_hours: &BTreeMap<DiskId, f64>,
        groups_of: &BTreeMap<DiskId, usize>,
    ) -> Row {
        let with_others = |(disk, time): (&DiskId, &RepairTime)| RepairTime {
            transfer_hours: transfer_hours.get(disk).copied().unwrap_or(time.transfer_hours),
            ..*time
        };
        let repair = self
            .repairs
            .iter()
            .map(with_others)
            .max_by(|a, b| a.hours().total_cmp(&b.hours()))
            .expect("a group has members");
        let disks = self.repairs.len();
        let groups = self.groups.len();
        let groups_per_disk = (groups * self.policy.n()) as f64 / disks as f64;
        let rate = assumptions.failures_per_disk_year;
        let chain = Chain::shared(self.policy, rate, repair, disks as f64, groups_per_disk);
        let all_groups: usize = self.repairs.keys().filter_map(|disk| groups_of.get(disk)).sum();
        let latent = assumptions.latent_errors_per_disk_year * disks as f64 / all_groups as f64;
        let latent = chain.latent_losses_per_year(latent, assumptions.scrub_interval_hours);
        let group_annual_loss = chain.annual_loss();
        let is_short = |group: &&&PlacementGroup| map.healthy_members(group) < self.policy.n();
        Row {
            policy: self.policy,
            class: self.class,
            groups,
            not_whole: self.groups.iter().filter(is_short).count(),
            disks,
            scatter_least: self.scatter.values().copied().min().unwrap_or(0),
            scatter_mean: self.scatter.values().sum::<usize>() as f64 / disks as f64,
            repair,
            group_annual_loss,
            cluster_annual_loss: cluster_annual_loss(group_annual_loss, groups as f64),
            latent_losses_per_year: latent * groups as f64,
            longest_repair_hours: longest_repair_hours(self.policy, rate, GOAL_NINES),
        }
    }
}

/// The disks in the groups of a kind.
pub(crate) fn members_of(
    map: &ClusterMap,
    policy: ErasurePolicy,
    class: DiskClass,
) -> BTreeSet<DiskId> {
    let of_the_kind = |group: &&PlacementGroup| (group.policy, group.class) == (policy, class);
    map.groups.values().filter(of_the_kind).flat_map(|group| group.disks.iter().copied()).collect()
}

/// The disks that may take a member's place: those in use, of the classes that the members have.
pub(crate) fn sites<'a>(
    map: &ClusterMap,
    members: impl Iterator<Item = &'a DiskId>,
) -> Vec<DiskSite> {
    let classes: Vec<DiskClass> =
        members.filter_map(|disk| map.disks.get(disk)).map(|disk| disk.class).collect();
    map.disks
        .values()
        .filter(|disk| disk.state == DiskState::In && classes.contains(&disk.class))
        .filter_map(|disk| {
            let location = &map.nodes.get(&disk.node)?.location;
            Some(DiskSite {
                id: disk.id,
                node: disk.node,
                rack: location.rack.clone(),
                zone: location.zone.clone(),
            })
        })
        .collect()
}

/// Bytes of a disk: those assumed, else those reported, else all that it can hold.
pub(crate) fn bytes_on(map: &ClusterMap, assumptions: &Assumptions, disk: DiskId) -> f64 {
    let reported = || map.used_bytes.get(&disk).copied();
    let capacity = || map.disks.get(&disk).map_or(0, |disk| disk.capacity_bytes);
    assumptions.bytes_per_disk.unwrap_or_else(|| reported().unwrap_or_else(capacity) as f64)
}

impl fmt::Display for Report {
    /// The table, what it rests on, and what it leaves out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new([
            "policy",
            "class",
            "groups",
            "disks",
            "scatter",
            "repair",
            "nines: blob",
            "nines: cluster",
            "latent a year",
            "11 nines need",
        ]);
        for row in &self.rows {
            table.row([
                row.policy.to_string(),
                row.class.to_string(),
                row.groups.to_string(),
                row.disks.to_string(),
                format!("{}-{:.0}", row.scatter_least, row.scatter_mean),
                hours(row.repair.hours()),
                nines(row.group_annual_loss),
                nines(row.cluster_annual_loss),
                small(probability(row.latent_losses_per_year)),
                row.longest_repair_hours.map_or("-".to_owned(), hours),
            ]);
        }
        writeln!(f, "{table}")?;
        for row in &self.rows {
            let name = format!("{} on {} disks", row.policy, row.class);
            if row.not_whole > 0 {
                writeln!(
                    f,
                    "{name}: {} of {} groups are short of members now; the figures are for whole groups.",
                    row.not_whole, row.groups
                )?;
            }
            if !row.repair.spare {
                writeln!(
                    f,
                    "{name}: no failure domain is free, so a repair waits for the new disk; one more \
                     {} takes that away.",
                    self.assumptions.domain
                )?;
            }
        }
        let given = &self.assumptions;
        writeln!(
            f,
            "Assumed: {} % of disks fail a year, independently; {} MB/s of each disk for repair; {} until a \
             disk is given up; {} until a new one is there; {} latent errors a disk and year, all bytes read \
             every {}; members of lost disks are moved to others as soon as that.",
            given.failures_per_disk_year * 100.0,
            given.repair_mb_per_s,
            hours(given.detection_hours),
            hours(given.replacement_hours),
            given.latent_errors_per_disk_year,
            hours(given.scrub_interval_hours),
        )?;
        writeln!(
            f,
            "Not in these figures: failures that come together (power, firmware, one bad batch), mistakes, \
             software bugs. docs/durability.md says what is known of those."
        )
    }
}
