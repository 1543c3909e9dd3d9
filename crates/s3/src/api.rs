//! What every operation works with.

use objects::Objects;
use s3s::dto::*;
use sha2::{Digest, Sha256};
use types::UnixMillis;

use crate::{Settings, rename::Renames, text, versioned_buckets::VersionedBuckets};

/// What every operation works with.
pub(crate) struct Api {
    pub(crate) objects: Objects,
    pub(crate) settings: Settings,
    pub(crate) versioned: VersionedBuckets,
    pub(crate) renames: Renames,
}

impl Api {
    /// The owner of everything: its canonical id is derived from the account.
    pub(crate) fn owner(&self) -> Owner {
        Owner {
            id: Some(hex::encode(Sha256::digest(self.settings.account.as_bytes()))),
            display_name: None,
        }
    }

    /// Now.
    pub(crate) fn clock_now(&self) -> UnixMillis {
        UnixMillis(self.objects.clock().now_ms())
    }

    /// Now, in whole seconds: for answers that carry a time nobody stored.
    pub(crate) fn now(&self) -> Timestamp {
        text::timestamp(self.clock_now())
    }

    /// The same as whoever began an upload.
    pub(crate) fn initiator(&self) -> Initiator {
        let Owner { id, display_name } = self.owner();
        Initiator { id, display_name }
    }
}
