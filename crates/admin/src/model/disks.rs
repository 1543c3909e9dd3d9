//! Changes of disks and nodes.

use serde::{Deserialize, Serialize};

/// A folder that a running data node is to open as a disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddDisk {
    /// The node that is meant, so that a wrong endpoint is noticed; may be left out.
    #[serde(default)]
    pub node: Option<u64>,
    /// The folder, an absolute path on the node. `shardlake dev` may be left to choose.
    #[serde(default)]
    pub path: Option<String>,
    /// What the disk is for: `hot` (if left out), `warm` or `cold`.
    #[serde(default)]
    pub class: Option<String>,
}

/// What is to become of a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskChange {
    /// It is emptied; then it is out.
    Drain,
    /// It takes part again.
    Undrain,
    /// It is forgotten.
    Remove,
    /// Another one takes its place in every group.
    Replace {
        /// The other one.
        with: u32,
    },
}

/// What is to become of a data node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeChange {
    /// All its disks are emptied; then they are out.
    Drain,
    /// It is forgotten, with its disks.
    Remove,
}

/// A disk that a node has opened, registered, and serves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddedDisk {
    /// Its id.
    pub disk: u32,
    /// The node that serves it.
    pub node: u64,
    /// Its folder.
    pub path: String,
    /// What it is for.
    pub class: String,
}
