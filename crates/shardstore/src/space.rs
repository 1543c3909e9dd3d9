//! How much room a file system has: a seam, so that tests can fill a disk at will.

use std::{io, path::Path};

/// Answers how much room is left.
pub trait Space: Send + Sync + 'static {
    /// Bytes that an unprivileged process may still write below `dir`.
    fn available_bytes(&self, dir: &Path) -> io::Result<u64>;
}

/// Asks the file system.
#[derive(Clone, Copy, Debug, Default)]
pub struct FileSystemSpace;

impl Space for FileSystemSpace {
    fn available_bytes(&self, dir: &Path) -> io::Result<u64> {
        let stat = rustix::fs::statvfs(dir)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }
}
