//! [`MapCache`]: this process's copy of the cluster map.
//!
//! The copy may be stale; whoever is routed wrongly by it is told so (`StaleEpoch`)
//! and asks for a new one. It is never kept on disk.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use tokio::sync::{Notify, watch};
use types::{ClusterId, ClusterMap, Epoch, ErasurePolicy, FeatureLevel, StorageClasses};

/// The newest known cluster map. Reading it is one short lock and no copy.
#[derive(Debug)]
pub struct MapCache {
    current: watch::Sender<Arc<ClusterMap>>,
    wanted: Notify,
}

impl MapCache {
    /// A cache that starts with this map.
    pub fn new(map: ClusterMap) -> Self {
        Self { current: watch::Sender::new(Arc::new(map)), wanted: Notify::new() }
    }

    /// A cache that knows nothing yet: epoch 0, no nodes, no partitions.
    pub fn unknown() -> Self {
        let policy = ErasurePolicy::new(1, 1).expect("1 + 1 is a valid policy");
        Self::new(ClusterMap {
            cluster: ClusterId::from_bytes([0; 16]),
            epoch: Epoch(0),
            level: FeatureLevel::OURS,
            policy,
            classes: StorageClasses::new(policy),
            nodes: BTreeMap::new(),
            disks: BTreeMap::new(),
            groups: BTreeMap::new(),
            partitions: Vec::new(),
            down: BTreeSet::new(),
            used_bytes: BTreeMap::new(),
        })
    }

    /// The newest known map.
    pub fn get(&self) -> Arc<ClusterMap> {
        self.current.borrow().clone()
    }

    /// Takes a map that was fetched just now. An older epoch than the known one is ignored;
    /// the same epoch brings newer soft state. Answers whether it was taken.
    pub fn offer(&self, map: ClusterMap) -> bool {
        self.current.send_if_modified(|current| {
            if map.epoch < current.epoch || **current == map {
                return false;
            }
            *current = Arc::new(map);
            true
        })
    }

    /// Sees every change from now on (several quick ones may show as one).
    pub fn subscribe(&self) -> watch::Receiver<Arc<ClusterMap>> {
        self.current.subscribe()
    }

    /// Says that the map turned out to be stale: the refresh loop fetches a new one at once.
    pub fn want_newer(&self) {
        self.wanted.notify_one();
    }

    /// Resolves when somebody wants a newer map.
    pub(crate) async fn newer_wanted(&self) {
        self.wanted.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use types::DiskId;

    use super::*;

    fn map(epoch: u64, down: u32) -> ClusterMap {
        let mut map = (*MapCache::unknown().get()).clone();
        map.epoch = Epoch(epoch);
        map.down.insert(DiskId(down));
        map
    }

    #[test]
    fn never_goes_back() {
        let cache = MapCache::unknown();
        assert_eq!(cache.get().epoch, Epoch(0));
        assert!(cache.offer(map(5, 1)));
        assert!(!cache.offer(map(4, 2)), "older");
        assert_eq!(*cache.get(), map(5, 1));
        assert!(!cache.offer(map(5, 1)), "the same");
        assert!(cache.offer(map(5, 2)), "newer soft state");
        assert_eq!(*cache.get(), map(5, 2));
        assert!(cache.offer(map(6, 2)));
        assert_eq!(cache.get().epoch, Epoch(6));
    }
}
