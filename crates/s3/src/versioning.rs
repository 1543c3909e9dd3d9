//! Versioning of a bucket, and how requests and answers name versions.
//!
//! AWS: "Retaining multiple versions of objects with S3 Versioning" in the user guide.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use metastore::api::index::BucketChange;
use objects::{Error, Objects};
use s3s::{S3Error, S3ErrorCode, S3Request, S3Response, S3Result, dto::*};
use types::{ObjectHead, Version, Versioning};

use crate::{
    api::Api,
    errors::{from_objects, invalid_argument, not_implemented},
};

/// The version that `versionId` names; `None` if there is no such parameter.
pub(crate) fn named(version_id: Option<&str>) -> S3Result<Option<Version>> {
    match version_id {
        None => Ok(None),
        Some("") => Err(invalid_argument("Version id cannot be the empty string")),
        Some(text) => {
            text.parse().map(Some).map_err(|_| invalid_argument("Invalid version id specified"))
        }
    }
}

/// What a write's answer calls the version that it made. As on AWS nothing while versioning is
/// off or suspended: the caller has no need of a name for the null version.
pub(crate) fn of_write(head: &ObjectHead) -> Option<String> {
    (!head.null).then(|| head.version.to_string())
}

/// What a read's answer calls the version. Nothing in buckets that were never versioned.
pub(crate) async fn of_read(
    api: &Api,
    bucket: &str,
    head: &ObjectHead,
) -> S3Result<Option<String>> {
    if head.null && !api.versioned.contains(&api.objects, bucket).await? {
        return Ok(None);
    }
    Ok(Some(head.name().to_string()))
}

/// How long an answer of the index is good for.
const KNOWN_MS: u64 = 1000;

/// Buckets that are known; at the bound all are forgotten.
const KNOWN_MAX: usize = 10_000;

/// Which buckets are or were versioned. Only the header of null versions depends on it, so an
/// answer may be [`KNOWN_MS`] old and every read is spared a question.
#[derive(Default)]
pub(crate) struct VersionedBuckets(Mutex<HashMap<String, (bool, u64)>>);

impl VersionedBuckets {
    async fn contains(&self, objects: &Objects, bucket: &str) -> S3Result<bool> {
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

    fn set(&self, bucket: &str, versioned: bool, now_ms: u64) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= KNOWN_MAX {
            known.clear();
        }
        known.insert(bucket.to_owned(), (versioned, now_ms));
    }
}

/// `PUT /bucket?versioning`.
pub(crate) async fn put_bucket_versioning(
    api: &Api,
    request: S3Request<PutBucketVersioningInput>,
) -> S3Result<S3Response<PutBucketVersioningOutput>> {
    let PutBucketVersioningInput { bucket, versioning_configuration: asked, .. } = request.input;
    match asked.mfa_delete.as_ref().map(MFADelete::as_str) {
        // What holds anyhow.
        None | Some(MFADelete::DISABLED) => {}
        Some(MFADelete::ENABLED) => return Err(not_implemented("MfaDelete")),
        Some(_) => return Err(S3Error::new(S3ErrorCode::MalformedXML)),
    }
    let versioning = match asked.status.as_ref().map(BucketVersioningStatus::as_str) {
        Some(BucketVersioningStatus::ENABLED) => Versioning::Enabled,
        Some(BucketVersioningStatus::SUSPENDED) => Versioning::Suspended,
        Some(_) => return Err(S3Error::new(S3ErrorCode::MalformedXML)),
        None => {
            return Err(S3Error::with_message(
                S3ErrorCode::IllegalVersioningConfigurationException,
                "The Versioning element must be specified",
            ));
        }
    };
    let change = BucketChange::Versioning(versioning);
    api.objects.configure_bucket(&bucket, change).await.map_err(|error| match error {
        Error::BucketState => S3Error::with_message(
            S3ErrorCode::InvalidBucketState,
            "An Object Lock configuration is present on this bucket, so the versioning state \
             cannot be changed.",
        ),
        error => from_objects(error),
    })?;
    api.versioned.set(&bucket, true, api.objects.clock().now_ms());
    Ok(S3Response::new(PutBucketVersioningOutput {}))
}

/// `GET /bucket?versioning`: without a status if the bucket was never versioned.
pub(crate) async fn get_bucket_versioning(
    api: &Api,
    request: S3Request<GetBucketVersioningInput>,
) -> S3Result<S3Response<GetBucketVersioningOutput>> {
    let settings = api.objects.bucket_settings(&request.input.bucket).await;
    let status = match settings.map_err(from_objects)?.versioning {
        Versioning::Off => None,
        Versioning::Enabled => Some(BucketVersioningStatus::ENABLED),
        Versioning::Suspended => Some(BucketVersioningStatus::SUSPENDED),
    };
    Ok(S3Response::new(GetBucketVersioningOutput {
        status: status.map(BucketVersioningStatus::from_static),
        mfa_delete: None,
    }))
}

#[cfg(test)]
mod tests {
    use types::{UnixMillis, VersionId};

    use super::*;

    #[test]
    fn version_ids() {
        let id = VersionId { at: UnixMillis(7), number: 9 };
        assert_eq!(named(None).expect("valid"), None);
        assert_eq!(named(Some("null")).expect("valid"), Some(Version::Null));
        assert_eq!(named(Some(&id.to_string())).expect("valid"), Some(Version::Id(id)));
        for (bad, message) in
            [("", "Version id cannot be the empty string"), ("abc", "Invalid version id specified")]
        {
            let error = named(Some(bad)).expect_err("refused");
            assert_eq!(error.code(), &S3ErrorCode::InvalidArgument);
            assert_eq!(error.message(), Some(message));
        }
    }

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
