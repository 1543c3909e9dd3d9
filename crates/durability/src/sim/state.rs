//! Disks and the members of groups: who is lost, and who takes its place.

use std::collections::BTreeMap;

use placement::{DiskSite, Domain, PlacementError};
use types::{DiskId, ErasurePolicy, NodeId};

use super::Settings;

/// One member of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) group: usize,
    pub(super) rank: usize,
}

/// What a failure did.
#[derive(Debug, Default)]
pub(super) struct Failure {
    /// Members whose repair onto this disk has to begin anew.
    pub(super) interrupted: Vec<Member>,
    /// Groups that have no member to spare any more.
    pub(super) critical: Vec<usize>,
    /// Groups that were lost.
    pub(super) ended: Vec<usize>,
}

/// The cluster at one moment. Disks and nodes are numbered from 0.
pub(super) struct State {
    pub(super) policy: ErasurePolicy,
    domain: Domain,
    seed: u64,
    sites: Vec<DiskSite>,
    nodes: Vec<Vec<usize>>,
    node_of: Vec<usize>,
    /// The groups at the start: members go home when their disk was replaced.
    plan: Vec<Vec<DiskId>>,
    /// Where each member is, or is being restored, or was if it waits.
    groups: Vec<Vec<DiskId>>,
    /// Bit r: rank r is lost.
    lost: Vec<u32>,
    /// Lost for good, and not whole again since.
    ended: Vec<bool>,
    members: Vec<Vec<Member>>,
    alive: Vec<bool>,
    live: Vec<DiskSite>,
    pub(super) lost_members: usize,
    pub(super) ended_groups: usize,
    pub(super) critical_groups: usize,
}

impl State {
    pub(super) fn new(settings: &Settings, seed: u64) -> Result<Self, PlacementError> {
        let plan = settings.plan(seed)?;
        let mut numbers: BTreeMap<NodeId, usize> = BTreeMap::new();
        for site in &settings.sites {
            let next = numbers.len();
            numbers.entry(site.node).or_insert(next);
        }
        // Disks are numbered by their place in `sites`; placement is asked with these numbers.
        let index: BTreeMap<DiskId, u32> =
            settings.sites.iter().map(|site| site.id).zip(0..).collect();
        let plan: Vec<Vec<DiskId>> = plan
            .into_iter()
            .map(|group| group.into_iter().map(|disk| DiskId(index[&disk])).collect())
            .collect();
        let sites: Vec<DiskSite> = settings
            .sites
            .iter()
            .zip(0..)
            .map(|(site, number)| DiskSite { id: DiskId(number), ..site.clone() })
            .collect();
        let node_of: Vec<usize> = sites.iter().map(|site| numbers[&site.node]).collect();
        let mut nodes = vec![Vec::new(); numbers.len()];
        for (disk, node) in node_of.iter().enumerate() {
            nodes[*node].push(disk);
        }
        let mut state = Self {
            policy: settings.policy,
            domain: settings.assumptions.domain,
            seed,
            live: sites.clone(),
            alive: vec![true; sites.len()],
            members: vec![Vec::new(); sites.len()],
            sites,
            nodes,
            node_of,
            groups: plan.clone(),
            lost: vec![0; plan.len()],
            ended: vec![false; plan.len()],
            plan,
            lost_members: 0,
            ended_groups: 0,
            critical_groups: 0,
        };
        state.go_home();
        Ok(state)
    }

    /// Every member back to where it was planned, every disk alive: a new cycle.
    pub(super) fn go_home(&mut self) {
        assert!(self.is_whole(), "only a whole cluster goes back to its plan");
        self.groups.clone_from(&self.plan);
        self.members.iter_mut().for_each(Vec::clear);
        for (group, disks) in self.groups.iter().enumerate() {
            for (rank, disk) in disks.iter().enumerate() {
                self.members[disk.0 as usize].push(Member { group, rank });
            }
        }
    }

    /// Whether nothing is lost and every disk is alive.
    pub(super) fn is_whole(&self) -> bool {
        self.lost_members == 0 && self.live.len() == self.sites.len()
    }

    pub(super) fn groups(&self) -> usize {
        self.groups.len()
    }

    pub(super) fn disks(&self) -> usize {
        self.sites.len()
    }

    pub(super) fn live_disks(&self) -> usize {
        self.live.len()
    }

    /// The live disk at this place of an arbitrary, reproducible order.
    pub(super) fn live_disk(&self, index: usize) -> usize {
        self.live[index].id.0 as usize
    }

    pub(super) fn is_alive(&self, disk: usize) -> bool {
        self.alive[disk]
    }

    pub(super) fn node_count(&self) -> usize {
        self.nodes.len()
    }

    pub(super) fn disks_of_node(&self, node: usize) -> &[usize] {
        &self.nodes[node]
    }

    pub(super) fn node_of(&self, disk: usize) -> usize {
        self.node_of[disk]
    }

    /// The nodes of each rack.
    pub(super) fn racks(&self) -> Vec<Vec<usize>> {
        let mut racks: BTreeMap<(&str, &str), Vec<usize>> = BTreeMap::new();
        for (node, disks) in self.nodes.iter().enumerate() {
            let site = &self.sites[disks[0]];
            racks.entry((&site.zone, &site.rack)).or_default().push(node);
        }
        racks.into_values().collect()
    }

    pub(super) fn disk_of(&self, member: Member) -> usize {
        self.groups[member.group][member.rank].0 as usize
    }

    pub(super) fn members_of(&self, disk: usize) -> &[Member] {
        &self.members[disk]
    }

    pub(super) fn lost_in(&self, group: usize) -> usize {
        self.lost[group].count_ones() as usize
    }

    pub(super) fn is_ended(&self, group: usize) -> bool {
        self.ended[group]
    }

    /// The disks of the members that are there.
    pub(super) fn survivors(&self, group: usize) -> impl Iterator<Item = usize> + '_ {
        let lost = self.lost[group];
        self.groups[group]
            .iter()
            .enumerate()
            .filter(move |(rank, _)| lost & (1 << rank) == 0)
            .map(|(_, disk)| disk.0 as usize)
    }

    /// A disk dies with all that is on it.
    pub(super) fn fail(&mut self, disk: usize) -> Failure {
        assert!(self.alive[disk], "a dead disk does not die");
        self.alive[disk] = false;
        self.live.retain(|site| site.id.0 as usize != disk);
        let mut failure = Failure::default();
        for member in &self.members[disk] {
            let lost = &mut self.lost[member.group];
            if *lost & (1 << member.rank) != 0 {
                failure.interrupted.push(*member);
                continue;
            }
            *lost |= 1 << member.rank;
            self.lost_members += 1;
            if self.ended[member.group] {
                continue;
            }
            let count = lost.count_ones() as usize;
            if count == self.policy.m() {
                self.critical_groups += 1;
                failure.critical.push(member.group);
            } else if count > self.policy.m() {
                self.critical_groups -= 1;
                self.ended[member.group] = true;
                self.ended_groups += 1;
                failure.ended.push(member.group);
            }
        }
        failure
    }

    /// Chooses who takes the place of a member whose disk is dead, by the real placer. `false` if
    /// nobody may.
    pub(super) fn substitute(&mut self, member: Member) -> bool {
        let old = self.disk_of(member);
        let chosen = placement::substitute(
            &self.live,
            &self.groups,
            member.group,
            member.rank,
            self.policy,
            self.domain,
            self.seed,
        );
        let Ok(new) = chosen else { return false };
        self.members[old].retain(|other| *other != member);
        self.place(member, new);
        true
    }

    fn place(&mut self, member: Member, disk: DiskId) {
        self.groups[member.group][member.rank] = disk;
        self.members[disk.0 as usize].push(member);
    }

    /// The member is there again. Returns whether its group, which had been lost, is whole.
    pub(super) fn restore(&mut self, member: Member) -> bool {
        let Member { group, rank } = member;
        assert!(self.lost[group] & (1 << rank) != 0, "only lost members are restored");
        if !self.ended[group] && self.lost_in(group) == self.policy.m() {
            self.critical_groups -= 1;
        }
        self.lost[group] &= !(1 << rank);
        self.lost_members -= 1;
        let home = self.plan[group][rank];
        if self.alive[home.0 as usize] {
            self.move_home(member);
        }
        let whole_again = self.ended[group] && self.lost[group] == 0;
        if whole_again {
            self.ended[group] = false;
            self.ended_groups -= 1;
        }
        whole_again
    }

    /// A new, empty disk. Members that are planned for it move to it, without being lost on the
    /// way: the copy is made before the source goes.
    pub(super) fn replace(&mut self, disk: usize) {
        assert!(!self.alive[disk], "only a dead disk is replaced");
        self.alive[disk] = true;
        self.live.push(self.sites[disk].clone());
        for group in 0..self.plan.len() {
            let planned = self.plan[group].iter().position(|home| home.0 as usize == disk);
            if let Some(rank) = planned
                && self.lost[group] & (1 << rank) == 0
            {
                self.move_home(Member { group, rank });
            }
        }
    }

    /// Unless it is there, or another member is in the failure domain meanwhile.
    fn move_home(&mut self, member: Member) {
        let home = self.plan[member.group][member.rank];
        let now = self.groups[member.group][member.rank];
        let in_the_way = |(rank, disk): (usize, &DiskId)| {
            rank != member.rank
                && (*disk == home || self.domain != Domain::Disk && self.same_node(*disk, home))
        };
        if now == home || self.groups[member.group].iter().enumerate().any(in_the_way) {
            return;
        }
        self.members[now.0 as usize].retain(|other| *other != member);
        self.place(member, home);
    }

    fn same_node(&self, a: DiskId, b: DiskId) -> bool {
        self.node_of[a.0 as usize] == self.node_of[b.0 as usize]
    }
}
