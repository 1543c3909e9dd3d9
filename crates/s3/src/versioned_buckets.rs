//! Which buckets are or were versioned, for a second.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use objects::Objects;
use s3s::S3Result;
use types::Versioning;

use crate::errors::from_objects;

/// How long an answer of the index is good for.
const KNOWN_MS: u64 = 1000;

/// Buckets that are known; at the bound all are forgotten.
const KNOWN_MAX: usize = 10_000;

/// Which buckets are or were versioned. Only the header of null versions depends on it, so an
/// answer may be [`KNOWN_MS`] old and every read is spared a question.
#[derive(Default)]
pub(crate) struct VersionedBuckets(Mutex<HashMap<String, (bool, u64)>>);

impl VersionedBuckets {
    /// Whether the bucket is or was versioned.
    pub(crate) async fn contains(&self, objects: &Objects, bucket: &str) -> S3Result<bool> {
        let now_ms = objects.clock().now_ms();
        if let Some(known) = self.get(bucket, now_ms) {
            return Ok(known);
        }
        let settings = objects.bucket_settings(bucket).await.map_err(from_objects)?;
        let versioned = settings.versioning != Versioning::Off;
        self.set(bucket, versioned, now_ms);
        Ok(versioned)
    }

    fn get(&self, bucket: &str, now_ms: u64) -> Option<bool> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (versioned, since_ms) = known.get(bucket)?;
        (now_ms < since_ms.saturating_add(KNOWN_MS)).then_some(*versioned)
    }

    /// Notes what was just seen.
    pub(crate) fn set(&self, bucket: &str, versioned: bool, now_ms: u64) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= KNOWN_MAX {
            known.clear();
        }
        known.insert(bucket.to_owned(), (versioned, now_ms));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_of_buckets_ages_and_is_bounded() {
        let known = VersionedBuckets::default();
        known.set("a", true, 100);
        known.set("b", false, 100);
        assert_eq!(known.get("a", 100 + KNOWN_MS - 1), Some(true));
        assert_eq!(known.get("b", 100), Some(false));
        assert_eq!(known.get("a", 100 + KNOWN_MS), None);
        assert_eq!(known.get("c", 100), None);
        for number in 0..KNOWN_MAX {
            known.set(&number.to_string(), true, 100);
        }
        assert!(known.0.lock().expect("no panic").len() <= KNOWN_MAX);
        assert_eq!(known.get("a", 100), None, "dropped at the bound");
    }
}
