//! Answers to root queries from rows; pure functions.

use std::collections::{BTreeMap, BTreeSet};

use consensus::{KvError, KvRead};
use types::{BucketId, ClusterMap, Disk, Epoch, Node, NodeId, Partition, PlacementGroup};

use super::cursors;
use crate::{
    api::{
        RootQuery, RootView,
        root::{ConfigKind, MetaMembers},
    },
    keys::{self, root},
    rows::{self, BucketRow, ClusterRow, ConfigRow, RowValue},
};

/// Buckets of a page at most: as many as AWS lists at once (`MaxBuckets`, ListBuckets).
pub const BUCKETS_PAGE_MAX: u32 = 10_000;

/// Documents of a bucket's configuration of a page at most.
pub const CONFIGS_PAGE_MAX: u32 = 100;

/// A page of documents ends once it has so many bytes, so that it fits into a message.
pub const CONFIG_PAGE_BYTES_MAX: usize = 4 << 20;

/// The answer to a query, without the leader's soft state.
pub fn evaluate(rows: &dyn KvRead, query: &RootQuery) -> Result<RootView, KvError> {
    match query {
        RootQuery::Map => Ok(RootView::Map(map(rows)?.map(Box::new))),
        RootQuery::MetaMembers => Ok(RootView::MetaMembers(meta_members(rows)?)),
        RootQuery::Bucket { name } => {
            let row: Option<BucketRow> = rows::get(rows, &root::bucket(name))?;
            Ok(RootView::Bucket(row.map(|row| row.with(name.clone()))))
        }
        RootQuery::Cursor { worker } => cursors::cursor(rows, worker),
        RootQuery::BucketConfigs { id, kind, after, limit } => {
            let limit = (*limit).clamp(1, CONFIGS_PAGE_MAX) as usize;
            configs(rows, *id, *kind, after.as_deref(), limit)
        }
        RootQuery::Buckets { prefix, after, limit } => {
            let limit = (*limit).clamp(1, BUCKETS_PAGE_MAX) as usize;
            buckets(rows, prefix, after.as_deref(), limit)
        }
        RootQuery::Workers => Ok(RootView::Workers(None)),
    }
}

fn all<T: RowValue>(rows: &dyn KvRead, prefix: &[u8]) -> Result<Vec<T>, KvError> {
    let end = keys::successor(prefix);
    rows.scan(prefix, end.as_deref()).map(|row| T::decode(&row?.1)).collect()
}

/// The partition directory in the order of the ranges.
pub fn partitions(rows: &dyn KvRead) -> Result<Vec<Partition>, KvError> {
    all(rows, root::PARTITIONS)
}

/// The epoch of the cluster map; zero before there is one.
pub fn epoch(rows: &dyn KvRead) -> Result<Epoch, KvError> {
    Ok(rows::get(rows, root::EPOCH)?.unwrap_or_default())
}

/// The cluster's identity, once bootstrapped.
pub fn cluster(rows: &dyn KvRead) -> Result<Option<ClusterRow>, KvError> {
    rows::get(rows, root::CLUSTER)
}

/// A node.
pub fn node(rows: &dyn KvRead, node: NodeId) -> Result<Option<Node>, KvError> {
    rows::get(rows, &root::node(node))
}

/// Who votes in the metadata groups, once anybody was added or removed.
pub fn meta_members(rows: &dyn KvRead) -> Result<Option<MetaMembers>, KvError> {
    rows::get(rows, root::META_MEMBERS)
}

/// Whether a node ever had this id, also if it was removed since.
pub(super) fn was_used(rows: &dyn KvRead, node: NodeId) -> Result<bool, KvError> {
    Ok(all::<NodeId>(rows, root::INSTANCES)?.contains(&node))
}

pub(super) fn nodes(rows: &dyn KvRead) -> Result<Vec<Node>, KvError> {
    all(rows, root::NODES)
}

pub(super) fn disks(rows: &dyn KvRead) -> Result<Vec<Disk>, KvError> {
    all(rows, root::DISKS)
}

pub(super) fn groups(rows: &dyn KvRead) -> Result<Vec<PlacementGroup>, KvError> {
    all(rows, root::GROUPS)
}

fn map(rows: &dyn KvRead) -> Result<Option<ClusterMap>, KvError> {
    let Some(ClusterRow { cluster, policy, classes, level }) = cluster(rows)? else {
        return Ok(None);
    };
    Ok(Some(ClusterMap {
        cluster,
        epoch: epoch(rows)?,
        level,
        policy,
        classes,
        nodes: all::<Node>(rows, root::NODES)?.into_iter().map(|node| (node.id, node)).collect(),
        disks: all::<Disk>(rows, root::DISKS)?.into_iter().map(|disk| (disk.id, disk)).collect(),
        groups: groups(rows)?.into_iter().map(|group| (group.id, group)).collect(),
        partitions: partitions(rows)?,
        down: BTreeSet::new(),
        used_bytes: BTreeMap::new(),
    }))
}

fn buckets(
    rows: &dyn KvRead,
    prefix: &str,
    after: Option<&str>,
    limit: usize,
) -> Result<RootView, KvError> {
    let mut from = root::bucket(prefix);
    let end = keys::successor(&from);
    if let Some(after) = after {
        let mut next = root::bucket(after);
        next.push(0);
        from = from.max(next);
    }
    let mut buckets = Vec::new();
    for row in rows.scan(&from, end.as_deref()) {
        let (key, value) = row?;
        let row = BucketRow::decode(&value)?;
        if row.deleting {
            continue;
        }
        if buckets.len() == limit {
            return Ok(RootView::Buckets { buckets, truncated: true });
        }
        let name = std::str::from_utf8(&key[1..])
            .map_err(|_| KvError(format!("bucket row with the name {key:02x?}")))?;
        buckets.push(row.with(name.to_owned()));
    }
    Ok(RootView::Buckets { buckets, truncated: false })
}

fn configs(
    rows: &dyn KvRead,
    id: BucketId,
    kind: ConfigKind,
    after: Option<&str>,
    limit: usize,
) -> Result<RootView, KvError> {
    let all = root::config(id, kind, "");
    let end = keys::successor(&all);
    let from = match after {
        None => all,
        Some(after) => {
            let mut next = root::config(id, kind, after);
            next.push(0);
            next
        }
    };
    let mut configs: Vec<(String, bytes::Bytes)> = Vec::new();
    let mut bytes = 0;
    for row in rows.scan(&from, end.as_deref()) {
        let (key, value) = row?;
        if configs.len() == limit || bytes >= CONFIG_PAGE_BYTES_MAX {
            return Ok(RootView::BucketConfigs { configs, truncated: true });
        }
        let ConfigRow(value) = ConfigRow::decode(&value)?;
        bytes += value.len();
        configs.push((root::name_of_config(&key)?.to_owned(), value));
    }
    Ok(RootView::BucketConfigs { configs, truncated: false })
}
