//! Identity, nodes, disks and placement groups.

use std::collections::BTreeSet;

use consensus::KvError;
use types::{
    ClusterId, Disk, DiskClass, DiskId, DiskState, DiskUuid, Epoch, ErasurePolicy, FeatureLevel,
    InstanceId, Location, Node, NodeId, Partition, PgId, PlacementGroup, Role, StorageClasses,
};

use super::{Apply, query, refused};
use crate::{
    api::RootAnswer,
    keys::root as keys,
    rows::{self, ClusterRow},
};

/// The highest id that a metadata node may be configured with. Data nodes are numbered
/// above it, so that neither can take the other's.
pub const CONFIGURED_NODE_MAX: u64 = 1000;

impl Apply<'_> {
    pub(super) fn bootstrap(
        &mut self,
        cluster: ClusterId,
        policy: ErasurePolicy,
        partitions: &[Partition],
        level: FeatureLevel,
    ) -> Result<RootAnswer, KvError> {
        if let Some(known) = rows::get::<ClusterRow>(self.rows, keys::CLUSTER)? {
            if known.cluster != cluster {
                return refused(format!(
                    "this metadata belongs to cluster {}, not to {cluster}",
                    known.cluster
                ));
            }
            if known.policy != policy {
                return refused(format!(
                    "the cluster was made with policy {} and cannot be made again with {policy}",
                    known.policy
                ));
            }
            if query::partitions(self.rows)? != partitions {
                return refused("the cluster was made with other partitions");
            }
            return Ok(RootAnswer::Done);
        }
        if let Some(flaw) = flaw_of(partitions) {
            return refused(flaw);
        }
        let classes = StorageClasses::new(policy);
        rows::put(self.rows, keys::CLUSTER, &ClusterRow { cluster, policy, classes, level });
        for partition in partitions {
            rows::put(self.rows, &keys::partition(&partition.start), partition);
        }
        self.raise_epoch()?;
        Ok(RootAnswer::Done)
    }

    pub(super) fn register_node(
        &mut self,
        id: Option<NodeId>,
        instance: InstanceId,
        role: Role,
        address: &str,
        location: &Location,
        level: FeatureLevel,
    ) -> Result<RootAnswer, KvError> {
        if let Some(ClusterRow { level: used, .. }) = rows::get(self.rows, keys::CLUSTER)?
            && !level.serves(used)
        {
            return refused(format!(
                "the cluster is at feature level {}, this software knows level {} and can be part of \
                 clusters of level {} and {0}",
                used.0,
                level.0,
                level.0.saturating_sub(1),
            ));
        }
        let known: Option<NodeId> = rows::get(self.rows, &keys::instance(instance))?;
        let id = match (id, known) {
            (Some(id), Some(known)) if id != known => {
                return refused(format!(
                    "this data folder belongs to node {known}, but it is configured as {id}"
                ));
            }
            (_, Some(known)) => known,
            (Some(id), None) => {
                if let Some(taken) = rows::get::<Node>(self.rows, &keys::node(id))? {
                    return refused(format!(
                        "node id {id} belongs to the node at {} with another data folder: \
                         a wiped node must come back under a new id",
                        taken.address
                    ));
                }
                if query::was_used(self.rows, id)? {
                    return refused(format!(
                        "node id {id} belonged to a node that was removed, and ids are never used \
                         again: start this one with an empty folder under a new id"
                    ));
                }
                if role == Role::Data {
                    return refused(format!(
                        "node {id} is not known: data nodes are given their id"
                    ));
                }
                if !(1..=CONFIGURED_NODE_MAX).contains(&id.0) {
                    return refused(format!(
                        "the id of a metadata node must be from 1 to {CONFIGURED_NODE_MAX}"
                    ));
                }
                id
            }
            (None, None) if role == Role::Meta => {
                return refused("a metadata node must be configured with its id");
            }
            (None, None) => NodeId(self.next(keys::LAST_NODE, CONFIGURED_NODE_MAX + 1)?),
        };
        let node = Node {
            id,
            instance,
            role,
            address: address.to_owned(),
            location: location.clone(),
            level,
        };
        let before: Option<Node> = rows::get(self.rows, &keys::node(id))?;
        if before.is_none() && known.is_some() {
            return refused(format!(
                "node {id} was removed from the cluster: empty its data folder to let it join as a \
                 new one{}",
                if role == Role::Meta { ", under a new id" } else { "" }
            ));
        }
        if let Some(before) = &before
            && before.role != role
        {
            return refused(format!("node {id} is registered with another role"));
        }
        if before.as_ref() != Some(&node) {
            rows::put(self.rows, &keys::node(id), &node);
            rows::put(self.rows, &keys::instance(instance), &id);
            self.raise_epoch()?;
        }
        Ok(RootAnswer::Node(id))
    }

    pub(super) fn register_disk(
        &mut self,
        uuid: DiskUuid,
        node: NodeId,
        capacity_bytes: u64,
        class: DiskClass,
    ) -> Result<RootAnswer, KvError> {
        if rows::get::<Node>(self.rows, &keys::node(node))?.is_none() {
            return refused(format!("node {node} is not registered"));
        }
        let known = rows::get::<DiskId>(self.rows, &keys::uuid(uuid))?;
        let new = known.is_none();
        let id = match known {
            Some(id) => id,
            None => {
                let Ok(id) = u32::try_from(self.next(keys::LAST_DISK, 1)?) else {
                    return refused("there are no disk ids left");
                };
                rows::put(self.rows, &keys::uuid(uuid), &DiskId(id));
                DiskId(id)
            }
        };
        let before: Option<Disk> = rows::get(self.rows, &keys::disk(id))?;
        if before.is_none() && !new {
            return refused(format!(
                "disk {id} was removed from the cluster: empty its folder to let it join as a new one"
            ));
        }
        let state = before.as_ref().map_or(DiskState::In, |disk| disk.state);
        let disk = Disk { id, uuid, node, capacity_bytes, state, class };
        if before.as_ref() != Some(&disk) {
            rows::put(self.rows, &keys::disk(id), &disk);
            self.raise_epoch()?;
        }
        Ok(RootAnswer::Disk(id))
    }

    pub(super) fn set_storage_classes(
        &mut self,
        classes: &StorageClasses,
    ) -> Result<RootAnswer, KvError> {
        let Some(row) = rows::get::<ClusterRow>(self.rows, keys::CLUSTER)? else {
            return refused("the cluster has no identity yet");
        };
        if !classes.is_complete() {
            return refused("every storage class needs a profile");
        }
        if row.classes != *classes {
            let row = ClusterRow { classes: classes.clone(), ..row };
            rows::put(self.rows, keys::CLUSTER, &row);
            self.raise_epoch()?;
        }
        Ok(RootAnswer::Done)
    }

    pub(super) fn create_groups(
        &mut self,
        policy: ErasurePolicy,
        class: DiskClass,
        groups: &[Vec<DiskId>],
        existing: u32,
    ) -> Result<RootAnswer, KvError> {
        if rows::get::<ClusterRow>(self.rows, keys::CLUSTER)?.is_none() {
            return refused("the cluster has no identity yet");
        }
        if groups.is_empty() {
            return refused("there is no group to create");
        }
        let of_the_set = |group: &&PlacementGroup| (group.policy, group.class) == (policy, class);
        let known = query::groups(self.rows)?.iter().filter(of_the_set).count();
        if u32::try_from(known) != Ok(existing) {
            return refused(format!(
                "policy {policy} has {known} {class} placement groups, not {existing}"
            ));
        }
        for members in groups {
            if members.len() != policy.n() {
                return refused(format!(
                    "a group of policy {policy} needs {} disks, not {}",
                    policy.n(),
                    members.len()
                ));
            }
            if members.iter().collect::<BTreeSet<_>>().len() != members.len() {
                return refused(format!("a disk is twice in the group {members:?}"));
            }
            for disk in members {
                if rows::get::<Disk>(self.rows, &keys::disk(*disk))?.is_none() {
                    return refused(format!("disk {disk} is not registered"));
                }
            }
        }
        for members in groups {
            let Ok(id) = u32::try_from(self.next(keys::LAST_GROUP, 1)?).map(PgId) else {
                return refused("there are no placement group ids left");
            };
            let disks = members.clone();
            let group =
                PlacementGroup { id, epoch: Epoch(1), policy, class, disks, former: Vec::new() };
            rows::put(self.rows, &keys::group(id), &group);
        }
        self.raise_epoch()?;
        Ok(RootAnswer::Done)
    }
}

/// What is wrong with a partition directory: it must cover every position exactly once,
/// each range with a group of its own that is not the root group.
pub(crate) fn flaw_of(partitions: &[Partition]) -> Option<String> {
    let mut groups = BTreeSet::new();
    let mut at: Option<&[u8]> = Some(&[]);
    for partition in partitions {
        if partition.group == types::GroupId::ROOT || !groups.insert(partition.group) {
            return Some(format!("group {} cannot hold this partition too", partition.group));
        }
        if at != Some(partition.start.as_slice())
            || partition.end.as_ref().is_some_and(|end| *end <= partition.start)
        {
            return Some("the partitions are not in order or leave gaps".to_owned());
        }
        at = partition.end.as_deref();
    }
    (at.is_some() || partitions.is_empty())
        .then(|| "the last partition does not reach the end".to_owned())
}
