//! What is simulated.

use placement::{DiskSite, Domain, PlacementError};
use types::{DiskId, ErasurePolicy, NodeId};

use crate::{
    Assumptions, HOURS_PER_YEAR, RepairTime,
    formula::{Chain, Concurrency},
};

/// How long disks live. The mean is a year divided by the failures per disk and year.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Lifetime {
    /// Failures at a constant rate.
    Exponential,
    /// A Weibull distribution: with a shape under 1, young disks fail more often.
    Weibull {
        /// The shape parameter.
        shape: f64,
    },
}

/// What repairs have to themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contention {
    /// Each failed disk is repaired in the time that it takes alone, whatever else is under way:
    /// what the formula assumes.
    None,
    /// Disks share their bandwidth equally among the repairs that need them. Those of the groups
    /// with the most lost members go first: others wait for a disk that such a one uses.
    Shared,
}

/// Where a burst strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// One rack, each as likely.
    Rack,
    /// All nodes.
    Cluster,
}

/// Nodes that go away together, as in a power cut.
#[derive(Clone, Debug, PartialEq)]
pub struct Burst {
    /// Bursts per year, of the whole cluster.
    pub per_year: f64,
    /// Where it strikes.
    pub scope: Scope,
    /// How long its nodes do not answer, in hours.
    pub outage_hours: f64,
    /// The share of these nodes that never come back: all their disks are lost.
    pub lost_node_share: f64,
    /// The disks are lost at any time in this window, in seconds.
    pub window_s: f64,
}

/// A cluster and what happens to it.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The policy of all groups.
    pub policy: ErasurePolicy,
    /// The disks.
    pub sites: Vec<DiskSite>,
    /// Groups that a disk is in.
    pub permutations: usize,
    /// Bytes on each disk.
    pub bytes_per_disk: f64,
    /// Rates and times. `replacement_hours` is at least `detection_hours`.
    pub assumptions: Assumptions,
    /// How long disks live.
    pub lifetime: Lifetime,
    /// What repairs have to themselves.
    pub contention: Contention,
    /// Correlated failures.
    pub bursts: Vec<Burst>,
    /// Times that a node does not answer for a while, per node and year. Nothing is repaired for
    /// them, but repairs that need the node wait.
    pub outages_per_node_year: f64,
    /// The mean length of such a time, in hours; exponential.
    pub outage_mean_hours: f64,
}

impl Settings {
    /// `nodes` nodes of `disks` disks each, in `racks` racks in turn, 16 TB a disk, without bursts
    /// and outages, lifetimes exponential, bandwidth shared.
    pub fn new(policy: ErasurePolicy, racks: u32, nodes: u32, disks: u32) -> Self {
        let rack = |node: u32| {
            if racks > 1 { format!("r{}", node % racks) } else { String::new() }
        };
        let sites: Vec<DiskSite> = (0..nodes * disks)
            .map(|index| DiskSite {
                id: DiskId(index + 1),
                node: NodeId(u64::from(index / disks) + 1),
                rack: rack(index / disks),
                zone: String::new(),
            })
            .collect();
        Self {
            policy,
            permutations: placement::permutations(sites.len(), policy),
            sites,
            bytes_per_disk: 16e12,
            assumptions: Assumptions::default(),
            lifetime: Lifetime::Exponential,
            contention: Contention::Shared,
            bursts: Vec::new(),
            outages_per_node_year: 0.0,
            outage_mean_hours: 0.5,
        }
    }

    /// The groups at the start.
    pub fn plan(&self, seed: u64) -> Result<Vec<Vec<DiskId>>, PlacementError> {
        placement::plan(&self.sites, self.policy, self.permutations, self.assumptions.domain, seed)
    }

    /// Whether a failure domain is free when one is lost, so that repairs need not wait for a new
    /// disk.
    pub fn has_spare(&self) -> bool {
        has_spare(&self.sites, self.policy, self.assumptions.domain)
    }

    /// How long the repair of each disk takes alone, by the groups that it is in.
    pub(crate) fn repair_times(&self, groups: &[Vec<DiskId>], spare: bool) -> Vec<RepairTime> {
        let bytes = self.bytes_per_disk / self.permutations as f64;
        let targets = self.sites.len() - 1;
        let time = |site: &DiskSite| {
            let of_disk: Vec<_> = groups.iter().filter(|group| group.contains(&site.id)).collect();
            let rates = &self.assumptions;
            RepairTime::in_groups(self.policy, site.id, &of_disk, targets, bytes, spare, rates)
        };
        self.sites.iter().map(time).collect()
    }

    /// The mean repair time of a disk: what the formula is given.
    pub fn mean_repair_time(&self, groups: &[Vec<DiskId>]) -> RepairTime {
        let times = self.repair_times(groups, self.has_spare());
        let mean =
            |part: fn(&RepairTime) -> f64| times.iter().map(part).sum::<f64>() / times.len() as f64;
        RepairTime {
            wait_hours: mean(|time| time.wait_hours),
            transfer_hours: mean(|time| time.transfer_hours),
            one_disk_hours: mean(|time| time.one_disk_hours),
            spare: self.has_spare(),
        }
    }

    /// What the formula says about these settings with these groups.
    pub fn chain(&self, groups: &[Vec<DiskId>]) -> Chain {
        let time = self.mean_repair_time(groups);
        let rate = self.assumptions.failures_per_disk_year;
        match self.contention {
            Contention::None => Chain::new(self.policy, rate, time.hours(), Concurrency::Parallel),
            Contention::Shared => {
                let disks = self.sites.len() as f64;
                let groups_per_disk = (groups.len() * self.policy.n()) as f64 / disks;
                Chain::shared(self.policy, rate, time, disks, groups_per_disk)
            }
        }
    }

    /// The rate at which one disk fails, per hour.
    pub(crate) fn failures_per_hour(&self) -> f64 {
        self.assumptions.failures_per_disk_year / HOURS_PER_YEAR
    }
}

/// Whether `sites` have more failure domains than a group needs.
pub(crate) fn has_spare(sites: &[DiskSite], policy: ErasurePolicy, domain: Domain) -> bool {
    let mut domains: Vec<(&str, &str, u64)> = sites
        .iter()
        .map(|site| match domain {
            Domain::Disk => ("", "", u64::from(site.id.0)),
            Domain::Node => ("", "", site.node.0),
            Domain::Rack => (site.zone.as_str(), site.rack.as_str(), 0),
        })
        .collect();
    domains.sort_unstable();
    domains.dedup();
    domains.len() > policy.n()
}
