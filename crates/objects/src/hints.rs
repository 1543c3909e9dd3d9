//! Read repair: a reader that meets a missing or corrupt shard says so, and reads on. So does a
//! write whose placement group changed meanwhile.

use types::{BlobRef, BucketId, UnixMillis, UploadId, WriteIntent};

use crate::{Objects, metrics};

/// Hints that wait at most; further ones are dropped and counted. The scrub finds them again.
pub(crate) const HINTS_MAX: usize = 1024;

/// A shard that a reader found missing or corrupt, or that may have been written to a disk that its
/// rank had just left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepairHint {
    /// The blob.
    pub blob: BlobRef,
    /// The rank of the bad shard.
    pub rank: u8,
    /// What the blob was written for. The deadline is the time at which the version was made:
    /// the index looks for versions that are not later, and answers for good.
    pub intent: WriteIntent,
}

/// Whose bytes are being read: what a hint needs to say.
#[derive(Clone, Debug)]
pub(crate) struct Reading {
    pub(crate) bucket: BucketId,
    pub(crate) key: String,
    /// When the version was made.
    pub(crate) made: UnixMillis,
}

impl Reading {
    pub(crate) fn intent(&self, part: Option<(UploadId, u16)>) -> WriteIntent {
        WriteIntent { bucket: self.bucket, key: self.key.clone(), part, deadline: self.made }
    }
}

impl Objects {
    pub(crate) fn hint(&self, hint: RepairHint) {
        if self.inner.hints.try_send(hint).is_err() {
            metrics::hint_dropped();
        }
    }
}
