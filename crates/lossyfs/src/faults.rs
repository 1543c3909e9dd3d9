//! What can go wrong besides the power.

use serde::{Deserialize, Serialize};

/// Faults that stay until they are set anew. Paths are matched by a part of them: `.log`,
/// `MANIFEST`, `disk-3/`; the empty text matches every path.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Faults {
    /// So many calls of `fsync` fail with EIO, of files whose path contains `on`.
    pub fsync_errors: u32,
    /// So many reads fail with EIO, of files whose path contains `on`.
    pub read_errors: u32,
    /// So many writes fail with EIO, of files whose path contains `on`.
    pub write_errors: u32,
    /// Which files the errors are of.
    pub on: String,
    /// Each `fsync` takes so many milliseconds longer.
    pub fsync_delay_ms: u64,
    /// Each read and write takes so many milliseconds longer.
    pub io_delay_ms: u64,
    /// Whether every write that needs space fails with ENOSPC.
    pub full: bool,
}

impl Faults {
    /// Whether this call is one of the so many that fail, and counts it.
    pub fn strikes(count: &mut u32, on: &str, path: &str) -> bool {
        let strikes = *count > 0 && path.contains(on);
        if strikes {
            *count -= 1;
        }
        strikes
    }
}
