//! What index partitions must know of a bucket to decide its writes.

use serde::{Deserialize, Serialize};

use crate::DefaultRetention;

/// Whether a bucket keeps what is replaced and deleted.
/// AWS: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/Versioning.html>.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, Default)]
pub enum Versioning {
    /// Never versioned: a key has one object.
    #[default]
    Off,
    /// Every write makes a version.
    Enabled,
    /// Versions stay; writes make and replace the null version.
    Suspended,
}

/// Object lock of a bucket. Once there, it stays, and versioning stays enabled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, Default)]
pub struct BucketLock {
    /// For new versions that bring no retention of their own.
    pub default: Option<DefaultRetention>,
}

/// The part of a bucket's configuration that decides writes. It lives in the bucket's gate,
/// where each write is applied, so that it holds for every write that is acknowledged after
/// its change was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, Default)]
pub struct BucketSettings {
    /// Versioning.
    pub versioning: Versioning,
    /// Object lock, if the bucket has it.
    pub lock: Option<BucketLock>,
    /// Whether changes of its objects are written down as events.
    pub events: bool,
}
