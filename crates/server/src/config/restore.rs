//! `[restore]`: how long it takes until an archived object can be read.

use std::time::Duration;

use s3::RestoreTiers;
use serde::{Deserialize, Serialize};

/// `[restore]`, in seconds. The first three are of GLACIER, the others of DEEP_ARCHIVE.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RestoreSection {
    /// Tier Expedited.
    pub(crate) expedited_s: u64,
    /// Tier Standard.
    pub(crate) standard_s: u64,
    /// Tier Bulk.
    pub(crate) bulk_s: u64,
    /// Tier Standard.
    pub(crate) deep_standard_s: u64,
    /// Tier Bulk.
    pub(crate) deep_bulk_s: u64,
}

impl RestoreSection {
    /// The same time for every restore.
    pub(crate) fn all(seconds: u64) -> Self {
        Self {
            expedited_s: seconds,
            standard_s: seconds,
            bulk_s: seconds,
            deep_standard_s: seconds,
            deep_bulk_s: seconds,
        }
    }

    /// As the protocol layer is told them.
    pub(crate) fn tiers(&self) -> RestoreTiers {
        RestoreTiers {
            expedited: Duration::from_secs(self.expedited_s),
            standard: Duration::from_secs(self.standard_s),
            bulk: Duration::from_secs(self.bulk_s),
            deep_standard: Duration::from_secs(self.deep_standard_s),
            deep_bulk: Duration::from_secs(self.deep_bulk_s),
        }
    }
}

impl Default for RestoreSection {
    fn default() -> Self {
        let tiers = RestoreTiers::default();
        Self {
            expedited_s: tiers.expedited.as_secs(),
            standard_s: tiers.standard.as_secs(),
            bulk_s: tiers.bulk.as_secs(),
            deep_standard_s: tiers.deep_standard.as_secs(),
            deep_bulk_s: tiers.deep_bulk.as_secs(),
        }
    }
}
