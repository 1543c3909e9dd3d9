//! Which group a request goes to, by the cluster map.

use types::{BucketId, ClusterMap, Epoch, GroupId};

/// What a request is about. Resolved anew after every refresh of the map.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Route<'a> {
    /// The root group. It is not in the directory and has no epoch.
    Root,
    /// The partition that holds (bucket, key).
    Key(BucketId, &'a str),
    /// A partition by its group.
    Group(GroupId),
}

impl Route<'_> {
    /// The group and its epoch; `None` if the map has no such partition.
    pub(crate) fn resolve(self, map: &ClusterMap) -> Option<(GroupId, Epoch)> {
        let partition = match self {
            Route::Root => return Some((GroupId::ROOT, Epoch(0))),
            Route::Key(bucket, key) => map.partition(bucket, key),
            Route::Group(group) => map.partitions.iter().find(|other| other.group == group),
        };
        partition.map(|partition| (partition.group, partition.epoch))
    }
}
