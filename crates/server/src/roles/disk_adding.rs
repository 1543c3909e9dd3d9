//! Disks that come and go while the node runs: an operator names a folder, the node formats or opens it,
//! remembers it, registers it and serves it. A disk that the cluster has forgotten is closed.

use std::{
    collections::BTreeMap,
    path::{Component, Path, PathBuf},
    sync::Arc,
};

use admin::{
    Refused,
    model::{AddDisk, AddedDisk},
};
use cluster::MetadataClient;
use parking_lot::Mutex;
use shardstore::{DataNode, RocksStore, ShardStore};
use tokio_util::sync::CancellationToken;
use types::{ClusterId, DiskClass, DiskId, NodeId};

use super::data_part::{self, DataPart};
use crate::{added_disks::AddedDisks, error::UserError};

/// Disks that one node serves at most: as many as one report to the leader may name.
const DISKS_MAX: usize = metastore::heartbeat::REPORT_DISKS_MAX;

/// What a running node needs to open more disks.
pub(crate) struct DiskAdding {
    node: NodeId,
    cluster: ClusterId,
    service: Arc<DataNode>,
    metadata: Arc<MetadataClient>,
    /// The folder below which disks are made when nobody names one (`shardlake dev`).
    chooses_below: Option<PathBuf>,
    state: tokio::sync::Mutex<Folders>,
}

/// The folders of this node's disks.
struct Folders {
    added: AddedDisks,
    /// Every folder that is or was open since the start.
    open: BTreeMap<PathBuf, Option<DiskId>>,
}

impl DiskAdding {
    /// For the node of `data`, whose disks are in `folders`.
    pub(crate) fn new(
        data: &DataPart,
        folders: &[(PathBuf, DiskClass)],
        added: AddedDisks,
        cluster: ClusterId,
        metadata: Arc<MetadataClient>,
        chooses_below: Option<PathBuf>,
    ) -> Arc<Self> {
        let id_of = |folder: &PathBuf| data.folders.get(folder).copied();
        let open = folders.iter().map(|(folder, _)| (absolute(folder), id_of(folder))).collect();
        Arc::new(Self {
            node: data.node,
            cluster,
            service: data.service.clone(),
            metadata,
            chooses_below: chooses_below.as_deref().map(absolute),
            state: tokio::sync::Mutex::new(Folders { added, open }),
        })
    }

    /// Opens a folder as a disk. Goes on to its end even if the asker does not wait.
    pub(crate) async fn add(self: &Arc<Self>, request: AddDisk) -> Result<AddedDisk, Refused> {
        let this = self.clone();
        let adding = tokio::spawn(async move { this.add_now(request).await });
        adding.await.map_err(|error| Refused::Unavailable(format!("adding a disk: {error}")))?
    }

    async fn add_now(&self, request: AddDisk) -> Result<AddedDisk, Refused> {
        if let Some(node) = request.node.filter(|node| *node != self.node.0) {
            return Err(Refused::Conflict(format!(
                "this is node {}, not node {node}: name the admin endpoint of node {node} with \
                 --endpoint",
                self.node.0
            )));
        }
        let class: DiskClass = match &request.class {
            Some(class) => class
                .parse()
                .map_err(|error: String| Refused::Invalid(format!("the class: {error}")))?,
            None => DiskClass::default(),
        };
        // One at a time: two requests may name the same folder.
        let mut folders = self.state.lock().await;
        let path = match &request.path {
            Some(path) => checked(Path::new(path), &folders.open)?,
            None => self.choose(&folders.open)?,
        };
        if self.service.disks().len() >= DISKS_MAX {
            return Err(Refused::Conflict(format!("this node serves {DISKS_MAX} disks already")));
        }
        let disk = self.open(&mut folders, &path, class).await?;
        tracing::info!(%disk, path = %path.display(), %class, "a disk was added");
        Ok(AddedDisk {
            disk: disk.0,
            node: self.node.0,
            path: path.display().to_string(),
            class: class.to_string(),
        })
    }

    /// The next `disk-N` that is not taken.
    fn choose(&self, open: &BTreeMap<PathBuf, Option<DiskId>>) -> Result<PathBuf, Refused> {
        let Some(below) = &self.chooses_below else {
            return Err(Refused::Invalid(
                "name the disk's folder, as an absolute path on the node".to_owned(),
            ));
        };
        // One more number than there are disks is not taken by any of them; folders that lie there
        // from before are passed over, DISKS_MAX of them at most.
        (0..2 * DISKS_MAX)
            .map(|number| below.join(format!("disk-{number}")))
            .find(|path| !open.contains_key(path) && matches!(path.try_exists(), Ok(false)))
            .ok_or_else(|| {
                Refused::Conflict(format!("{} has no room for one more disk", below.display()))
            })
    }

    /// In this order: what is remembered is on disk, and what the cluster knows is remembered. A crash
    /// in between leaves a disk that the next start registers.
    async fn open(
        &self,
        folders: &mut Folders,
        path: &Path,
        class: DiskClass,
    ) -> Result<DiskId, Refused> {
        let (folder, cluster) = (path.to_owned(), self.cluster);
        let opening = move || data_part::open_new_disk(&folder, cluster);
        let store = tokio::task::spawn_blocking(opening)
            .await
            .map_err(|error| Refused::Unavailable(format!("opening a disk: {error}")))?
            .map_err(refused)?;
        let registered = match folders.added.remember(path, class) {
            Ok(()) => self.register(&store, class).await,
            Err(error) => Err(refused(error)),
        };
        match registered {
            Ok(disk) => {
                self.service.add(disk, store);
                folders.open.insert(path.to_owned(), Some(disk));
                Ok(disk)
            }
            Err(reason) => {
                // As if nothing had been asked for, but for the format of the folder.
                let forgotten = folders.added.forget(path);
                if let Err(error) = store.close().await {
                    tracing::warn!(%error, path = %path.display(), "closing a disk");
                }
                forgotten.map_err(refused)?;
                Err(reason)
            }
        }
    }

    async fn register(&self, store: &RocksStore, class: DiskClass) -> Result<DiskId, Refused> {
        match data_part::register_disk_now(store, self.node, class, &self.metadata).await {
            Ok(Ok(disk)) => Ok(disk),
            Ok(Err(reason)) => Err(Refused::Conflict(reason)),
            Err(error) => Err(Refused::Unavailable(format!("{error:#}"))),
        }
    }

    /// Closes the disks that the cluster has forgotten, until `stop`.
    pub(crate) fn follow_removals(self: &Arc<Self>, stop: CancellationToken) {
        let this = self.clone();
        tokio::spawn(async move {
            let mut maps = this.metadata.map_cache().subscribe();
            // A disk that was just registered may be missing in the map of before.
            let seen: Mutex<std::collections::BTreeSet<DiskId>> = Mutex::default();
            while let Some(Ok(())) = stop.run_until_cancelled(maps.changed()).await {
                let map = maps.borrow_and_update().clone();
                let mut gone = Vec::new();
                for disk in this.service.disks() {
                    let mut seen = seen.lock();
                    if map.disks.contains_key(&disk) {
                        seen.insert(disk);
                    } else if seen.remove(&disk) {
                        gone.push(disk);
                    }
                }
                for disk in gone {
                    this.remove(disk).await;
                }
            }
        });
    }

    async fn remove(&self, disk: DiskId) {
        let store = self.service.store(disk);
        self.service.remove(disk);
        let mut folders = self.state.lock().await;
        let open = &folders.open;
        let path = open.iter().find(|(_, id)| **id == Some(disk)).map(|(path, _)| path.clone());
        if let Some(path) = path {
            folders.open.remove(&path);
            if let Err(error) = folders.added.forget(&path) {
                tracing::warn!(%error, %disk, "a removed disk stays on this node's list");
            }
        }
        if let Some(store) = store
            && let Err(error) = store.close().await
        {
            tracing::warn!(%error, %disk, "closing a removed disk");
        }
        tracing::info!(%disk, "a disk was removed from the cluster, and is closed");
    }
}

/// A folder of the configuration may be named relative to the working folder, which stays.
fn absolute(folder: &Path) -> PathBuf {
    std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned())
}

/// The path without what makes two names of one folder; refused where it cannot be a disk's.
fn checked(path: &Path, open: &BTreeMap<PathBuf, Option<DiskId>>) -> Result<PathBuf, Refused> {
    let shown = path.display();
    if !path.is_absolute() || path.components().any(|part| part == Component::ParentDir) {
        return Err(Refused::Invalid(format!(
            "{shown}: name the disk's folder as an absolute path on the node, without `..`"
        )));
    }
    let path: PathBuf = path.components().collect();
    if path.parent().is_none() {
        return Err(Refused::Invalid("/: a disk needs a folder of its own".to_owned()));
    }
    for known in open.keys() {
        if *known == path {
            return Err(Refused::Conflict(format!("{shown} is a disk of this node already")));
        }
        if known.starts_with(&path) || path.starts_with(known) {
            let known = known.display();
            return Err(Refused::Conflict(format!(
                "{shown} and {known}, a disk, lie in each other"
            )));
        }
    }
    Ok(path)
}

fn refused(error: UserError) -> Refused {
    Refused::Conflict(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_that_cannot_be_a_new_disk_are_refused() {
        let open = BTreeMap::from([(PathBuf::from("/srv/d1"), Some(DiskId(1)))]);
        for (path, said) in [
            ("srv/d2", "absolute path"),
            ("", "absolute path"),
            ("/srv/../d2", "without `..`"),
            ("/", "folder of its own"),
            ("/srv/d1", "is a disk of this node already"),
            ("/srv//d1/", "is a disk of this node already"),
            ("/srv/d1/below", "lie in each other"),
            ("/srv", "lie in each other"),
        ] {
            match checked(Path::new(path), &open) {
                Err(Refused::Invalid(reason) | Refused::Conflict(reason)) => {
                    assert!(reason.contains(said), "{path}: {reason}");
                }
                other => panic!("{path}: {other:?}"),
            }
        }
        let fine = checked(Path::new("/srv//d2/"), &open).expect("free");
        assert_eq!(fine, Path::new("/srv/d2"));
    }
}
