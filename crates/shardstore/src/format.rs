//! What makes a folder a disk of this cluster: `format.json`, and the lock on it.
//!
//! ```json
//! { "magic": "shardlake-disk", "version": 1, "cluster": "…", "disk_uuid": "…", "disk_id": 3 }
//! ```
//!
//! ```text
//! DIR/format.json      present = the disk is in use
//! DIR/format.json.new  being written; with no format.json: the first start was interrupted
//! DIR/db/              the database
//! ```
//!
//! A disk is begun in this order: `format.json.new` (synced), the database, then the
//! rename to `format.json`. So a format file vouches for a database, and a database
//! that is missing next to it is a loss that must not be papered over.
//! The lock is an advisory one on the folder itself and goes with the process.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use types::{ClusterId, DiskId, DiskUuid};

/// Name of the format file.
pub const FORMAT_FILE: &str = "format.json";
const FORMAT_FILE_NEW: &str = "format.json.new";
/// Folder of the database.
pub(crate) const DB_DIR: &str = "db";

const MAGIC: &str = "shardlake-disk";
const VERSION: u32 = 1;

/// Why a folder is not opened as a disk. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum FormatError {
    /// The folder cannot be read or written.
    #[error("cannot {action} {path}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// Another process has it open.
    #[error("{0} is in use by another process: stop it first, or give this one another folder")]
    Locked(PathBuf),
    /// It has files but no format file.
    #[error("{0} is not empty and is not a Shardlake disk: give an empty folder")]
    NotEmpty(PathBuf),
    /// It has a database but no format file.
    #[error(
        "{0} holds a Shardlake database but its format.json is missing: restore the file, or \
         empty the folder to use it as a new disk"
    )]
    FormatMissing(PathBuf),
    /// It has a format file but no database.
    #[error(
        "{0} is a Shardlake disk but its database is missing (is the right volume mounted?): \
         restore it, or empty the folder to use it as a new disk"
    )]
    DatabaseMissing(PathBuf),
    /// The format file is not one.
    #[error("{path} is not a Shardlake format file ({reason}): restore it")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// It was written by a newer release.
    #[error(
        "{path} has format version {version}, but this release reads up to {VERSION}: install a \
         newer release"
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: u32,
    },
    /// It belongs to another cluster.
    #[error("{path} belongs to cluster {found}, not to {expected}: give a disk of this cluster")]
    ForeignCluster {
        /// The folder.
        path: PathBuf,
        /// Its cluster.
        found: ClusterId,
        /// Ours.
        expected: ClusterId,
    },
    /// It is another disk than the one that is known here.
    #[error("{path} holds disk {found}, but {expected} is expected here: mount the right one")]
    OtherDisk {
        /// The folder.
        path: PathBuf,
        /// The disk in it.
        found: String,
        /// The disk that should be.
        expected: String,
    },
}

/// Which disk a folder is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Format {
    /// The cluster that it belongs to.
    pub cluster: ClusterId,
    /// What the disk calls itself.
    pub disk_uuid: DiskUuid,
    /// What the cluster calls it; `None` until it is registered.
    pub disk_id: Option<DiskId>,
}

/// The file as it is written.
#[derive(Serialize, Deserialize)]
struct FormatFile {
    magic: String,
    version: u32,
    cluster: ClusterId,
    disk_uuid: DiskUuid,
    disk_id: Option<DiskId>,
}

/// What is read first, so that a newer file is told from a broken one.
#[derive(Deserialize)]
struct FormatHead {
    magic: String,
    version: u32,
}

impl Format {
    /// The format of the disk in `dir`; `None` if the folder is missing, empty, or was
    /// begun but never finished. Takes no lock.
    pub fn read(dir: &Path) -> Result<Option<Self>, FormatError> {
        let path = dir.join(FORMAT_FILE);
        match fs::read(&path) {
            Ok(bytes) => Self::parse(&path, &bytes).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                check_unused(dir)?;
                Ok(None)
            }
            Err(source) => Err(FormatError::Io { action: "read", path, source }),
        }
    }

    fn parse(path: &Path, bytes: &[u8]) -> Result<Self, FormatError> {
        let unreadable = |reason: String| FormatError::Unreadable { path: path.into(), reason };
        let head: FormatHead =
            serde_json::from_slice(bytes).map_err(|error| unreadable(error.to_string()))?;
        if head.magic != MAGIC {
            return Err(unreadable(format!("its magic is {:?}", head.magic)));
        }
        if head.version > VERSION {
            return Err(FormatError::Newer { path: path.into(), version: head.version });
        }
        let file: FormatFile =
            serde_json::from_slice(bytes).map_err(|error| unreadable(error.to_string()))?;
        Ok(Self { cluster: file.cluster, disk_uuid: file.disk_uuid, disk_id: file.disk_id })
    }

    fn render(&self) -> Vec<u8> {
        let file = FormatFile {
            magic: MAGIC.to_owned(),
            version: VERSION,
            cluster: self.cluster,
            disk_uuid: self.disk_uuid,
            disk_id: self.disk_id,
        };
        let mut bytes = serde_json::to_vec_pretty(&file).expect("no maps, no foreign types");
        bytes.push(b'\n');
        bytes
    }

    /// Writes the file that [`Format::finish`] puts in place.
    pub(crate) fn begin(&self, dir: &Path) -> Result<(), FormatError> {
        let path = dir.join(FORMAT_FILE_NEW);
        let write = || -> io::Result<()> {
            let mut file = File::create(&path)?;
            file.write_all(&self.render())?;
            file.sync_all()?;
            File::open(dir)?.sync_all()
        };
        write().map_err(|source| FormatError::Io { action: "write", path: path.clone(), source })
    }

    /// From now on the folder is this disk.
    pub(crate) fn finish(dir: &Path) -> Result<(), FormatError> {
        let path = dir.join(FORMAT_FILE);
        let rename = || -> io::Result<()> {
            fs::rename(dir.join(FORMAT_FILE_NEW), &path)?;
            File::open(dir)?.sync_all()
        };
        rename().map_err(|source| FormatError::Io { action: "write", path: path.clone(), source })
    }

    /// Replaces the file of a disk that is in use.
    pub(crate) fn replace(&self, dir: &Path) -> Result<(), FormatError> {
        self.begin(dir)?;
        Self::finish(dir)
    }

    /// Refuses a disk of another cluster, or another disk than the expected one.
    pub(crate) fn check(
        &self,
        dir: &Path,
        cluster: ClusterId,
        uuid: Option<DiskUuid>,
        id: Option<DiskId>,
    ) -> Result<(), FormatError> {
        if self.cluster != cluster {
            return Err(FormatError::ForeignCluster {
                path: dir.into(),
                found: self.cluster,
                expected: cluster,
            });
        }
        let other = |found: String, expected: String| {
            Err(FormatError::OtherDisk { path: dir.into(), found, expected })
        };
        match (uuid, self.disk_id, id) {
            (Some(uuid), ..) if uuid != self.disk_uuid => {
                other(self.disk_uuid.to_string(), uuid.to_string())
            }
            (_, Some(found), Some(expected)) if found != expected => {
                other(found.to_string(), expected.to_string())
            }
            _ => Ok(()),
        }
    }
}

/// Refuses a folder without format file that somebody else uses.
fn check_unused(dir: &Path) -> Result<(), FormatError> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(FormatError::Io { action: "read", path: dir.into(), source }),
    };
    let (mut begun, mut database, mut foreign) = (false, false, false);
    for entry in entries {
        let entry =
            entry.map_err(|source| FormatError::Io { action: "read", path: dir.into(), source })?;
        match entry.file_name().to_str() {
            Some(FORMAT_FILE_NEW) => begun = true,
            Some(DB_DIR) => database = true,
            // What mkfs leaves on an empty volume.
            Some("lost+found") => {}
            _ => foreign = true,
        }
    }
    if foreign && !database {
        return Err(FormatError::NotEmpty(dir.into()));
    }
    if foreign || (database && !begun) {
        return Err(FormatError::FormatMissing(dir.into()));
    }
    Ok(())
}

/// Holds a disk's folder against other processes until it is dropped.
#[derive(Debug)]
pub(crate) struct Lock {
    _dir: File,
}

impl Lock {
    /// Locks `dir`, which must exist.
    pub(crate) fn take(dir: &Path) -> Result<Self, FormatError> {
        let failed = |source| FormatError::Io { action: "lock", path: dir.into(), source };
        let file = File::open(dir).map_err(failed)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self { _dir: file }),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(FormatError::Locked(dir.into())),
            Err(errno) => Err(failed(errno.into())),
        }
    }
}

#[cfg(test)]
mod tests;
