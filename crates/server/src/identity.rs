//! `node.json`: what a node's folder belongs to. A folder without it must be
//! empty; a folder of another cluster or node is refused.
//!
//! Node ids are never reused: the file holds a random *instance*, the root group
//! records it, and a node that comes back with an empty folder (a new instance)
//! under an old id is refused, because its lost votes could elect two leaders.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{ErrorKind, Write},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use types::{ClusterId, InstanceId, NodeId};
use uuid::Uuid;

use crate::error::UserError;

const MAGIC: &str = "shardlake node";
const VERSION: u32 = 1;

/// What a node's folder belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Identity {
    magic: String,
    version: u32,
    /// `dev`, `meta` or `data`.
    pub(crate) role: String,
    /// The cluster.
    pub(crate) cluster: ClusterId,
    /// This folder.
    pub(crate) instance: InstanceId,
    /// The node's id, once it has one.
    pub(crate) node: Option<NodeId>,
    /// What was fixed when the cluster was made: policy, partitions, disks.
    pub(crate) fixed: Fixed,
    /// The metadata nodes that the cluster was founded with and their addresses; on the one that
    /// founded it. It forms the groups of these, whatever the configuration says later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) founders: Option<BTreeMap<NodeId, String>>,
    /// Whether a metadata node has opened its groups. From then on it may have voted: it must not
    /// go on without what it has voted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) opened: bool,
}

/// What every version of the file begins with.
#[derive(Deserialize)]
struct Head {
    magic: String,
    version: u32,
}

/// Settings that cannot change after the cluster is made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Fixed {
    /// Erasure policy of `dev`; cluster nodes keep the root group's.
    pub(crate) policy: String,
    /// Index partitions.
    pub(crate) partitions: u32,
    /// Disks of `dev`; 0 elsewhere.
    pub(crate) disks: u32,
}

impl Identity {
    /// A new folder's identity.
    pub(crate) fn new(role: &str, cluster: ClusterId, node: Option<NodeId>, fixed: Fixed) -> Self {
        Self {
            magic: MAGIC.into(),
            version: VERSION,
            role: role.into(),
            cluster,
            instance: InstanceId(Uuid::new_v4()),
            node,
            fixed,
            founders: None,
            opened: false,
        }
    }

    /// Reads the identity of `folder`; `None` if the folder is empty or not there.
    pub(crate) fn read(folder: &Path, role: &str) -> Result<Option<Self>, UserError> {
        let path = Self::path(folder);
        let shown = path.display();
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Self::refuse_foreign_files(folder).map(|()| None);
            }
            Err(error) => return Err(UserError::new(format!("{shown}: {error}"))),
        };
        let damaged = |error| UserError::new(format!("{shown} is damaged: {error}"));
        // Before the fields, of which a newer version may have others.
        let Head { magic, version } = serde_json::from_str(&text).map_err(damaged)?;
        if magic != MAGIC || version > VERSION {
            return Err(UserError::new(format!(
                "{shown} was written by a newer version of shardlake (format {version}, this build \
                 knows up to {VERSION}); start that version"
            )));
        }
        let identity: Self = serde_json::from_str(&text).map_err(damaged)?;
        if identity.role != role {
            return Err(UserError::new(format!(
                "{} belongs to a node of role {:?}, not {role:?}; give this one a folder of its own",
                folder.display(),
                identity.role
            )));
        }
        Ok(Some(identity))
    }

    /// A folder without `node.json` may hold nothing but dot files and our credentials.
    fn refuse_foreign_files(folder: &Path) -> Result<(), UserError> {
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(UserError::new(format!("{}: {error}", folder.display()))),
        };
        for entry in entries {
            let entry =
                entry.map_err(|error| UserError::new(format!("{}: {error}", folder.display())))?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let harmless =
                name.starts_with('.') || name == "credentials.json" || name == "lost+found";
            if !harmless {
                return Err(UserError::new(format!(
                    "{} is not a shardlake folder and not empty (it holds {name:?}); name an \
                     empty or new folder",
                    folder.display()
                )));
            }
        }
        Ok(())
    }

    /// Writes the file so that a crash leaves the old one or the new one.
    pub(crate) fn write(&self, folder: &Path) -> Result<(), UserError> {
        let failed =
            |error: std::io::Error| UserError::new(format!("{}: {error}", folder.display()));
        platform::folder::create_durably(folder).map_err(failed)?;
        let text = serde_json::to_string_pretty(self).expect("plain data");
        let temporary = folder.join(".node.json.new");
        let mut file = File::create(&temporary).map_err(failed)?;
        file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(failed)?;
        fs::rename(&temporary, Self::path(folder)).map_err(failed)?;
        platform::folder::sync(folder).map_err(failed)
    }

    fn path(folder: &Path) -> PathBuf {
        folder.join("node.json")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity() -> Identity {
        let fixed = Fixed { policy: "rs-4-2".into(), partitions: 4, disks: 6 };
        Identity::new("dev", ClusterId(Uuid::from_u128(1)), Some(NodeId(1)), fixed)
    }

    #[test]
    fn round_trip_and_refusals() {
        let dir = tempfile::tempdir().expect("a folder");
        let folder = dir.path();
        assert_eq!(Identity::read(&folder.join("new"), "dev").expect("fine"), None);
        assert_eq!(Identity::read(folder, "dev").expect("empty is fine"), None);
        identity().write(folder).expect("written");
        let read = Identity::read(folder, "dev").expect("fine").expect("there");
        assert_eq!(read.cluster, identity().cluster);
        let error = Identity::read(folder, "meta").expect_err("another role").to_string();
        assert!(error.contains("role \"dev\""), "{error}");
        fs::write(folder.join("node.json"), "{").expect("damaged");
        assert!(Identity::read(folder, "dev").is_err());
    }

    #[test]
    fn a_folder_with_other_files_is_refused() {
        let dir = tempfile::tempdir().expect("a folder");
        fs::write(dir.path().join("thesis.doc"), "words").expect("written");
        let error = Identity::read(dir.path(), "dev").expect_err("foreign").to_string();
        assert!(error.contains("thesis.doc"), "{error}");
    }

    #[test]
    fn a_newer_file_is_refused_with_what_to_do() {
        let dir = tempfile::tempdir().expect("a folder");
        let newer = r#"{"magic":"shardlake node","version":2,"novelty":true}"#;
        fs::write(dir.path().join("node.json"), newer).expect("written");
        let error = Identity::read(dir.path(), "dev").expect_err("newer").to_string();
        assert!(error.contains("newer version of shardlake (format 2"), "{error}");
    }

    /// The file as version 1 wrote it opens for ever.
    #[test]
    fn golden() {
        let text = r#"{"magic":"shardlake node","version":1,"role":"meta",
            "cluster":"0193f3a2-0000-7000-8000-000000000001",
            "instance":"0193f3a2-0000-7000-8000-000000000002","node":2,
            "fixed":{"policy":"rs-4-2","partitions":16,"disks":0}}"#;
        let identity: Identity = serde_json::from_str(text).expect("version 1");
        assert_eq!(identity.node, Some(NodeId(2)));
        let again: serde_json::Value =
            serde_json::from_str(&serde_json::to_string(&identity).expect("json")).expect("json");
        assert_eq!(again, serde_json::from_str::<serde_json::Value>(text).expect("json"));
    }
}
