//! Why a host did not open or a group did not start, and what a failed store says.

use std::{io, path::PathBuf};

use types::{ClusterId, GroupId, InstanceId, NodeId};

/// Why a host did not open. Each is one sentence that says what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The folder holds something else.
    #[error("{} holds files that are not shardlake's Raft state: choose an empty folder", .dir.display())]
    Foreign {
        /// The folder.
        dir: PathBuf,
    },
    /// Another version of shardlake wrote it.
    #[error(
        "{} has layout version {found}, this build knows {known}: start the shardlake version that wrote it",
        .dir.display()
    )]
    Version {
        /// The folder.
        dir: PathBuf,
        /// Version found.
        found: u32,
        /// Version that this build reads and writes.
        known: u32,
    },
    /// Its format file is damaged.
    #[error(
        "{} has a damaged format file: rebuild this node under a new node id in an empty folder",
        .dir.display()
    )]
    Damaged {
        /// The folder.
        dir: PathBuf,
    },
    /// Its database is gone.
    #[error(
        "{} has lost its database: rebuild this node under a new node id in an empty folder",
        .dir.display()
    )]
    Emptied {
        /// The folder.
        dir: PathBuf,
    },
    /// It belongs to another cluster, node or instance.
    #[error(
        "{} belongs to node {node} (instance {instance}) of cluster {cluster}: start it as that node or choose another folder",
        .dir.display()
    )]
    Owner {
        /// The folder.
        dir: PathBuf,
        /// Cluster that it belongs to.
        cluster: ClusterId,
        /// Node that it belongs to.
        node: NodeId,
        /// Its instance.
        instance: InstanceId,
    },
    /// The folder cannot be used.
    #[error("{} cannot be used: {error}", .dir.display())]
    Io {
        /// The folder.
        dir: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// RocksDB does not open: another process has it, or its files are damaged.
    #[error("the Raft store in {} does not open: {reason}", .dir.display())]
    Store {
        /// The folder.
        dir: PathBuf,
        /// What RocksDB said.
        reason: String,
    },
}

/// Why a group did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// It runs already.
    #[error("group {0} is already started")]
    Running(GroupId),
    /// The timings do not fit each other.
    #[error("Raft timings are wrong: {0}")]
    Timings(String),
    /// Its log or state cannot be read.
    #[error("group {group} does not start: {reason}")]
    Failed {
        /// The group.
        group: GroupId,
        /// What happened.
        reason: String,
    },
}

/// The store failed. After a failed write or fsync it stays failed: a second fsync may
/// report success for pages that the kernel has dropped.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct StoreError(pub(crate) String);

impl From<rocksdb::Error> for StoreError {
    fn from(error: rocksdb::Error) -> Self {
        Self(format!("RocksDB: {error}"))
    }
}

impl From<crate::record::RecordError> for StoreError {
    fn from(error: crate::record::RecordError) -> Self {
        Self(error.to_string())
    }
}

impl From<StoreError> for crate::KvError {
    fn from(error: StoreError) -> Self {
        crate::KvError(error.0)
    }
}
