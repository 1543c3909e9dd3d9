//! What the root group means.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use types::{
    BucketId, ClusterMap, Disk, DiskId, DiskState, DiskUuid, Epoch, FeatureLevel, Former,
    InstanceId, Node, NodeId, PgId, PlacementGroup, Role, StorageClasses, UnixMillis,
};

use crate::{
    api::{
        RootAnswer as A, RootCommand as C, RootQuery as Q, RootView as V,
        root::{
            BUCKET_CONFIG_BYTES_MAX, Bucket, ConfigKind, META_VOTERS_MAX, MetaChange, MetaMembers,
        },
    },
    root::{CONFIGURED_NODE_MAX, query::CONFIG_PAGE_BYTES_MAX},
};

/// The root group as maps. The fields are its whole state.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs, reason = "the names and types say it")]
pub struct RootModel {
    pub bootstrapped: Option<C>,
    pub nodes: BTreeMap<NodeId, Node>,
    pub disks: BTreeMap<DiskId, Disk>,
    pub groups: BTreeMap<PgId, PlacementGroup>,
    pub buckets: BTreeMap<String, Bucket>,
    pub cursors: BTreeMap<String, Bytes>,
    pub configs: BTreeMap<(BucketId, ConfigKind, String), Bytes>,
    pub data_nodes_made: u64,
    pub epoch: u64,
    /// `None`: those of the policy.
    pub classes: Option<StorageClasses>,
    /// `None`: that of the bootstrap.
    pub level: Option<FeatureLevel>,
    /// `None`: those of the foundation.
    pub members: Option<MetaMembers>,
    pub removed_nodes: BTreeSet<NodeId>,
    pub removed_instances: BTreeSet<InstanceId>,
    pub removed_uuids: BTreeSet<DiskUuid>,
}

impl RootModel {
    /// Applies a command at a time. The text of a refusal is not part of the model.
    pub fn apply(&mut self, now: UnixMillis, command: &C) -> A {
        let before = (self.bootstrapped.clone(), self.nodes.clone(), self.disks.clone());
        let (groups, classes, level) = (self.groups.clone(), self.classes(), self.level());
        let answer = self.change(now, command);
        let after = (self.bootstrapped.clone(), self.nodes.clone(), self.disks.clone());
        if before != after
            || groups != self.groups
            || classes != self.classes()
            || level != self.level()
        {
            self.epoch += 1;
        }
        answer
    }

    fn change(&mut self, now: UnixMillis, command: &C) -> A {
        let no = || A::Refused(String::new());
        match command {
            // The level is that of the first time: it may have been raised since.
            C::Bootstrap { cluster, policy, partitions, .. } => match &self.bootstrapped {
                Some(C::Bootstrap { cluster: c, policy: p, partitions: all, .. }) => {
                    if (c, p, all) == (cluster, policy, partitions) { A::Done } else { no() }
                }
                Some(_) => unreachable!("only a bootstrap is kept"),
                None => {
                    let mut groups: Vec<_> = partitions.iter().map(|p| p.group).collect();
                    groups.push(types::GroupId::ROOT);
                    groups.sort();
                    let distinct = groups.windows(2).all(|pair| pair[0] != pair[1]);
                    let joined =
                        partitions.windows(2).all(|p| p[0].end.as_ref() == Some(&p[1].start));
                    let forward =
                        partitions.iter().all(|p| p.end.as_ref().is_none_or(|e| *e > p.start));
                    let whole = partitions.first().is_some_and(|first| first.start.is_empty())
                        && partitions.last().is_some_and(|last| last.end.is_none());
                    if !(distinct && joined && forward && whole) {
                        return no();
                    }
                    self.bootstrapped = Some(command.clone());
                    A::Done
                }
            },
            C::RegisterNode { id, instance, role, address, location, level } => {
                if self.level().is_some_and(|used| !level.serves(used))
                    || self.removed_instances.contains(instance)
                {
                    return no();
                }
                let known = self.nodes.values().find(|node| node.instance == *instance);
                let (role, instance) = (*role, *instance);
                let id = match (known, id) {
                    (Some(known), Some(id)) if known.id != *id => return no(),
                    (Some(known), _) if known.role != role => return no(),
                    (Some(known), _) => known.id,
                    (None, Some(id)) => {
                        let free = !self.nodes.contains_key(id) && !self.removed_nodes.contains(id);
                        if !free || role == Role::Data || id.0 == 0 || id.0 > CONFIGURED_NODE_MAX {
                            return no();
                        }
                        *id
                    }
                    (None, None) if role == Role::Meta => return no(),
                    (None, None) => {
                        self.data_nodes_made += 1;
                        NodeId(CONFIGURED_NODE_MAX + self.data_nodes_made)
                    }
                };
                let (address, location) = (address.clone(), location.clone());
                self.nodes
                    .insert(id, Node { id, instance, role, address, location, level: *level });
                A::Node(id)
            }
            C::RegisterDisk { uuid, node, capacity_bytes, class } => {
                if !self.nodes.contains_key(node) || self.removed_uuids.contains(uuid) {
                    return no();
                }
                let known = self.disks.values().find(|disk| disk.uuid == *uuid);
                let made = self.disks.len() + self.removed_uuids.len();
                let id = known.map_or(DiskId(made as u32 + 1), |disk| disk.id);
                let state = known.map_or(DiskState::In, |disk| disk.state);
                let (uuid, node, capacity_bytes, class) = (*uuid, *node, *capacity_bytes, *class);
                let disk = Disk { id, uuid, node, capacity_bytes, state, class };
                self.disks.insert(id, disk);
                A::Disk(id)
            }
            C::SetStorageClasses { classes } => {
                if self.bootstrapped.is_none() || !classes.is_complete() {
                    return no();
                }
                self.classes = Some(classes.clone());
                A::Done
            }
            C::FinaliseLevel { level } => {
                let Some(used) = self.level() else { return no() };
                if used == *level {
                    return A::Done;
                }
                if level.0 != used.0 + 1 || self.nodes.values().any(|n| !n.level.serves(*level)) {
                    return no();
                }
                self.level = Some(*level);
                A::Done
            }
            C::SetDiskState { disk, state, epoch } => {
                let current = Epoch(self.epoch);
                match self.disks.get_mut(disk) {
                    Some(disk) if disk.state == *state => A::Done,
                    Some(disk) if current == *epoch => {
                        disk.state = *state;
                        A::Done
                    }
                    _ => no(),
                }
            }
            C::MoveMember { group, epoch, rank, to } => {
                let is_in = self.disks.get(to).is_some_and(|disk| disk.state == DiskState::In);
                let Some(group) = self.groups.get_mut(group) else { return no() };
                if group.epoch != *epoch || !is_in || !can_move(group, *rank, *to) {
                    return no();
                }
                move_rank(group, *rank, *to);
                A::Done
            }
            C::ReplaceDisk { old, new, epoch } => {
                let state = |disk| self.disks.get(disk).map(|disk| disk.state);
                let (Some(old_state), Some(new_state)) = (state(old), state(new)) else {
                    return no();
                };
                let mut groups: Vec<(u8, &mut PlacementGroup)> = self
                    .groups
                    .values_mut()
                    .filter_map(|group| Some((group.disks.iter().position(|d| d == old)?, group)))
                    .map(|(rank, group)| (rank as u8, group))
                    .collect();
                // Groups of which the new disk may hold another rank are left to the planner.
                let all = groups.len();
                groups.retain(|(rank, group)| {
                    let former = Former { rank: *rank, disk: *new };
                    !group.names(*new) || group.former.contains(&former)
                });
                let is_all = groups.len() == all;
                let was_done = match old_state {
                    DiskState::In => false,
                    DiskState::Draining => !is_all,
                    DiskState::Out => true,
                };
                if groups.is_empty() && was_done {
                    return A::Done;
                }
                if self.epoch != epoch.0 || new_state != DiskState::In || old == new {
                    return no();
                }
                if !groups.iter().all(|(rank, group)| can_move(group, *rank, *new)) {
                    return no();
                }
                groups.iter_mut().for_each(|(rank, group)| move_rank(group, *rank, *new));
                let state = if is_all { DiskState::Out } else { DiskState::Draining };
                self.disks.entry(*old).and_modify(|disk| disk.state = state);
                A::Done
            }
            C::EndMove { group, epoch, rank, disk } => {
                let Some(group) = self.groups.get_mut(group) else { return no() };
                let former = Former { rank: *rank, disk: *disk };
                if !group.former.contains(&former) {
                    return A::Done;
                }
                if group.epoch != *epoch {
                    return no();
                }
                group.former.retain(|known| *known != former);
                group.epoch.0 += 1;
                A::Done
            }
            C::RemoveDisk { disk } => {
                let Some(row) = self.disks.get(disk) else { return A::Done };
                if row.state != DiskState::Out || self.groups.values().any(|g| g.names(*disk)) {
                    return no();
                }
                self.removed_uuids.insert(row.uuid);
                self.disks.remove(disk);
                A::Done
            }
            C::RemoveNode { node } => {
                let Some(row) = self.nodes.get(node) else { return A::Done };
                if row.role == Role::Meta || self.disks.values().any(|disk| disk.node == *node) {
                    return no();
                }
                self.removed_instances.insert(row.instance);
                self.removed_nodes.insert(*node);
                self.nodes.remove(node);
                A::Done
            }
            C::BeginMetaChange { change, voters } => {
                use MetaChange::{Add, Remove};
                let node = change.node();
                if self.nodes.get(&node).is_none_or(|node| node.role != Role::Meta) {
                    return no();
                }
                let (voters, current) = match &self.members {
                    Some(members) => {
                        let idle = members.change.is_none();
                        if idle && members.voters != *voters {
                            return no();
                        }
                        (members.voters.clone(), members.change)
                    }
                    None => (voters.clone(), None),
                };
                let allowed = current.is_none() || current == Some(Add(node));
                let (voters, change) = match *change {
                    change if current == Some(change) => return A::Done,
                    Add(_) if !allowed || voters.contains(&node) => return no(),
                    Add(_) if voters.len() >= META_VOTERS_MAX => return no(),
                    Remove(_) if !allowed || voters.iter().eq([&node]) => return no(),
                    Add(node) => (&voters | &BTreeSet::from([node]), Add(node)),
                    Remove(node) => (&voters - &BTreeSet::from([node]), Remove(node)),
                };
                self.members = Some(MetaMembers { voters, change: Some(change) });
                A::Done
            }
            C::EndMetaChange { change } => {
                let Some(members) = &mut self.members else { return A::Done };
                if members.change != Some(*change) {
                    return A::Done;
                }
                members.change = None;
                if let MetaChange::Remove(node) = change
                    && let Some(row) = self.nodes.remove(node)
                {
                    self.removed_instances.insert(row.instance);
                    self.removed_nodes.insert(*node);
                }
                A::Done
            }
            C::CreateGroups { policy, class, groups, existing } => {
                let known = self
                    .groups
                    .values()
                    .filter(|group| (group.policy, group.class) == (*policy, *class))
                    .count();
                let taken = known != *existing as usize;
                let good = |members: &Vec<DiskId>| {
                    let mut sorted = members.clone();
                    sorted.sort();
                    sorted.dedup();
                    sorted.len() == policy.n()
                        && members.len() == policy.n()
                        && members.iter().all(|disk| self.disks.contains_key(disk))
                };
                if self.bootstrapped.is_none()
                    || taken
                    || groups.is_empty()
                    || !groups.iter().all(good)
                {
                    return no();
                }
                for disks in groups {
                    let id = PgId(self.groups.len() as u32 + 1);
                    let (epoch, policy, class) = (Epoch(1), *policy, *class);
                    let disks = disks.clone();
                    self.groups.insert(
                        id,
                        PlacementGroup { id, epoch, policy, class, disks, former: Vec::new() },
                    );
                }
                A::Done
            }
            C::CreateBucket { name, id, initial } => {
                if self.bootstrapped.is_none() {
                    return no();
                }
                if let Some(known) = self.buckets.get(name) {
                    return A::Bucket(known.clone());
                }
                if self.buckets.values().any(|bucket| bucket.id == *id) {
                    return no();
                }
                let (id, initial, created) = (*id, *initial, now);
                let bucket = Bucket { id, name: name.clone(), created, deleting: false, initial };
                self.buckets.insert(name.clone(), bucket.clone());
                A::Bucket(bucket)
            }
            C::SaveCursor { worker, cursor } => {
                if worker.len() > 64 || cursor.len() > 8192 {
                    return no();
                }
                self.cursors.insert(worker.clone(), cursor.clone());
                A::Done
            }
            C::SetBucketConfig { id, kind, name, value } => {
                let of = (*id, *kind, name.clone());
                let long = value.as_ref().is_some_and(|v| v.len() > BUCKET_CONFIG_BYTES_MAX);
                if long || name.len() > 64 {
                    return no();
                }
                if !self.buckets.values().any(|bucket| bucket.id == *id && !bucket.deleting) {
                    return A::NoSuchBucket;
                }
                self.configs.remove(&of);
                self.configs.extend(value.clone().map(|value| (of, value)));
                A::Done
            }
            C::BeginDeleteBucket { name } => match self.buckets.get_mut(name) {
                None => A::NoSuchBucket,
                Some(bucket) => {
                    bucket.deleting = true;
                    A::Bucket(bucket.clone())
                }
            },
            C::FinishDeleteBucket { id } => {
                match self.buckets.values().find(|bucket| bucket.id == *id).cloned() {
                    Some(bucket) if !bucket.deleting => return no(),
                    Some(bucket) => {
                        self.buckets.remove(&bucket.name);
                        self.configs.retain(|(of, ..), _| of != id);
                    }
                    None => {}
                }
                A::Done
            }
            C::CancelDeleteBucket { id } => {
                match self.buckets.values_mut().find(|bucket| bucket.id == *id) {
                    None => A::NoSuchBucket,
                    Some(bucket) => {
                        bucket.deleting = false;
                        A::Done
                    }
                }
            }
        }
    }

    fn level(&self) -> Option<FeatureLevel> {
        let Some(C::Bootstrap { level, .. }) = &self.bootstrapped else { return None };
        Some(self.level.unwrap_or(*level))
    }

    fn classes(&self) -> Option<StorageClasses> {
        let Some(C::Bootstrap { policy, .. }) = &self.bootstrapped else { return None };
        Some(self.classes.clone().unwrap_or_else(|| StorageClasses::new(*policy)))
    }

    /// Answers a query.
    pub fn query(&self, query: &Q) -> V {
        match query {
            Q::Map => {
                let Some(C::Bootstrap { cluster, policy, partitions, .. }) = &self.bootstrapped
                else {
                    return V::Map(None);
                };
                V::Map(Some(Box::new(ClusterMap {
                    cluster: *cluster,
                    epoch: Epoch(self.epoch),
                    level: self.level().expect("bootstrapped"),
                    policy: *policy,
                    classes: self.classes().expect("bootstrapped"),
                    nodes: self.nodes.clone(),
                    disks: self.disks.clone(),
                    groups: self.groups.clone(),
                    partitions: partitions.clone(),
                    down: Default::default(),
                    used_bytes: Default::default(),
                })))
            }
            Q::MetaMembers => V::MetaMembers(self.members.clone()),
            Q::Bucket { name } => V::Bucket(self.buckets.get(name).cloned()),
            Q::Cursor { worker } => V::Cursor(self.cursors.get(worker).cloned()),
            Q::BucketConfigs { id, kind, after, limit } => {
                let mut configs: Vec<(String, Bytes)> = Vec::new();
                for ((_, _, name), value) in self.configs.iter().filter(|((of, which, name), _)| {
                    of == id && which == kind && after.as_ref().is_none_or(|after| name > after)
                }) {
                    let bytes: usize = configs.iter().map(|(_, value)| value.len()).sum();
                    let limit = (*limit).clamp(1, 100) as usize;
                    if configs.len() == limit || bytes >= CONFIG_PAGE_BYTES_MAX {
                        return V::BucketConfigs { configs, truncated: true };
                    }
                    configs.push((name.clone(), value.clone()));
                }
                V::BucketConfigs { configs, truncated: false }
            }
            Q::Buckets { prefix, after, limit } => {
                let mut buckets: Vec<_> = self
                    .buckets
                    .values()
                    .filter(|b| !b.deleting && b.name.starts_with(prefix))
                    .filter(|b| after.as_ref().is_none_or(|after| b.name > *after))
                    .cloned()
                    .collect();
                let limit = (*limit).clamp(1, 10_000) as usize;
                let truncated = buckets.len() > limit;
                buckets.truncate(limit);
                V::Buckets { buckets, truncated }
            }
            Q::Workers => V::Workers(None),
        }
    }
}

fn can_move(group: &PlacementGroup, rank: u8, to: DiskId) -> bool {
    let rank_of = |disk| group.former.iter().find(|f| f.disk == disk).map(|f| f.rank);
    let former = group.former.len() - usize::from(rank_of(to) == Some(rank));
    usize::from(rank) < group.disks.len()
        && !group.disks.contains(&to)
        && rank_of(to).is_none_or(|other| other == rank)
        && former < PlacementGroup::FORMER_MAX
}

fn move_rank(group: &mut PlacementGroup, rank: u8, to: DiskId) {
    group.former.retain(|former| former.disk != to);
    let member = std::mem::replace(&mut group.disks[usize::from(rank)], to);
    group.former.push(Former { rank, disk: member });
    group.epoch.0 += 1;
}
