//! Buckets: create, delete, head, list, location.

use bytes::Bytes;
use metastore::api::root::ConfigKind;
use s3s::{S3Error, S3ErrorCode, S3Request, S3Response, S3Result, dto::*};
use types::{BucketLock, BucketSettings, Versioning};

use crate::{
    api::Api,
    errors::{from_objects, invalid_argument, not_implemented},
    tagging, text,
};

/// Buckets of one page if the client names no number.
const PAGE_MAX: u32 = 10_000;

/// Token kind: a bucket name.
const AFTER_BUCKET: u8 = b'b';

/// `PUT /bucket`.
pub(crate) async fn create_bucket(
    api: &Api,
    request: S3Request<CreateBucketInput>,
) -> S3Result<S3Response<CreateBucketOutput>> {
    let input = request.input;
    let mut tags = None;
    if let Some(configuration) = input.create_bucket_configuration {
        if configuration.bucket.is_some() || configuration.location.is_some() {
            return Err(not_implemented("A directory bucket"));
        }
        tags = tagging::bucket_tags(configuration.tags.unwrap_or_default())?;
        if let Some(location) = &configuration.location_constraint
            && !location.as_str().is_empty()
            && location.as_str() != api.settings.region
        {
            return Err(S3Error::with_message(
                S3ErrorCode::InvalidLocationConstraint,
                format!(
                    "The specified location-constraint is not valid: this cluster is the region \
                     {}.",
                    api.settings.region
                ),
            ));
        }
    }
    let initial = match input.object_lock_enabled_for_bucket {
        // Object lock needs versions, so AWS enables them with it.
        Some(true) => BucketSettings {
            versioning: Versioning::Enabled,
            lock: Some(BucketLock::default()),
            events: false,
        },
        _ => BucketSettings::default(),
    };
    api.objects.create_bucket(&input.bucket, initial).await.map_err(from_objects)?;
    if tags.is_some() {
        tag_or_delete(api, &input.bucket, tags).await?;
    }
    Ok(S3Response::new(CreateBucketOutput {
        location: Some(format!("/{}", input.bucket)),
        ..Default::default()
    }))
}

/// Tags the bucket that this request has made. If that fails the bucket is deleted again, so that
/// the request can be repeated; only a crash in between leaves it without its tags.
async fn tag_or_delete(api: &Api, bucket: &str, tags: Option<Bytes>) -> S3Result {
    let tagged = api.objects.set_bucket_config(bucket, ConfigKind::Tagging, tags).await;
    let Err(error) = tagged else { return Ok(()) };
    // Not if somebody has put something into it meanwhile: then it is in use.
    if let Err(error) = api.objects.delete_bucket(bucket).await {
        tracing::warn!(%error, bucket, "a new bucket is left without the tags of its request");
    }
    Err(from_objects(error))
}

/// `DELETE /bucket`: only an empty one.
pub(crate) async fn delete_bucket(
    api: &Api,
    request: S3Request<DeleteBucketInput>,
) -> S3Result<S3Response<DeleteBucketOutput>> {
    api.objects.delete_bucket(&request.input.bucket).await.map_err(from_objects)?;
    Ok(S3Response::new(DeleteBucketOutput::default()))
}

/// `HEAD /bucket`.
pub(crate) async fn head_bucket(
    api: &Api,
    request: S3Request<HeadBucketInput>,
) -> S3Result<S3Response<HeadBucketOutput>> {
    api.objects.bucket(&request.input.bucket).await.map_err(from_objects)?;
    Ok(S3Response::new(HeadBucketOutput {
        bucket_region: Some(api.settings.region.clone()),
        ..Default::default()
    }))
}

/// `GET /bucket?location`: empty for us-east-1, as on AWS.
pub(crate) async fn get_bucket_location(
    api: &Api,
    request: S3Request<GetBucketLocationInput>,
) -> S3Result<S3Response<GetBucketLocationOutput>> {
    api.objects.bucket(&request.input.bucket).await.map_err(from_objects)?;
    let region = &api.settings.region;
    let location = (region != "us-east-1").then(|| region.clone().into());
    Ok(S3Response::new(GetBucketLocationOutput { location_constraint: location }))
}

/// `GET /`: in name order, in pages if `max-buckets` asks for them.
pub(crate) async fn list_buckets(
    api: &Api,
    request: S3Request<ListBucketsInput>,
) -> S3Result<S3Response<ListBucketsOutput>> {
    let input = request.input;
    let limit = match input.max_buckets {
        None => PAGE_MAX,
        Some(max) => {
            u32::try_from(max).ok().filter(|max| (1..=PAGE_MAX).contains(max)).ok_or_else(|| {
                invalid_argument(format!("max-buckets must be between 1 and {PAGE_MAX}."))
            })?
        }
    };
    let mut after = match input.continuation_token.as_deref() {
        None | Some("") => None,
        Some(token) => match text::parse_token(token)? {
            (AFTER_BUCKET, name) => Some(name),
            _ => return Err(invalid_argument("The continuation token provided is incorrect.")),
        },
    };
    let prefix = input.prefix.clone().unwrap_or_default();
    let elsewhere =
        input.bucket_region.as_ref().is_some_and(|region| *region != api.settings.region);
    let mut buckets = Vec::new();
    let mut more = !elsewhere;
    while more && (buckets.len() as u32) < limit {
        let rest = limit - buckets.len() as u32;
        let (page, truncated) = api
            .objects
            .buckets(&prefix, after.as_deref(), rest.min(1000))
            .await
            .map_err(from_objects)?;
        more = truncated && !page.is_empty();
        if let Some(last) = page.last() {
            after = Some(last.name.clone());
        }
        buckets.extend(page.into_iter().map(|bucket| Bucket {
            name: Some(bucket.name),
            creation_date: Some(text::timestamp(bucket.created)),
            bucket_region: Some(api.settings.region.clone()),
            bucket_arn: None,
        }));
    }
    let token = after.filter(|_| more).map(|name| text::token(AFTER_BUCKET, &name));
    Ok(S3Response::new(ListBucketsOutput {
        buckets: Some(buckets),
        continuation_token: token,
        owner: Some(api.owner()),
        prefix: input.prefix,
    }))
}
