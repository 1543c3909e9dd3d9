//! Versioning of a bucket, and how requests and answers name versions.
//!
//! AWS: "Retaining multiple versions of objects with S3 Versioning" in the user guide.

use metastore::api::index::BucketChange;
use objects::Error;
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
}
