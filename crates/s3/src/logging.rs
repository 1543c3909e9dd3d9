//! PutBucketLogging and GetBucketLogging: where a bucket's access log goes.

use metastore::api::root::ConfigKind;
use s3s::{S3Error, S3ErrorCode, S3Request, S3Response, S3Result, dto::*};

use crate::{
    access_log::{Layout, Setting},
    api::Api,
    errors::{custom, from_objects, not_implemented},
};

/// `PUT /bucket?logging`: an empty status turns it off.
pub(crate) async fn put_bucket_logging(
    api: &Api,
    request: S3Request<PutBucketLoggingInput>,
) -> S3Result<S3Response<PutBucketLoggingOutput>> {
    let input = request.input;
    let value = match input.bucket_logging_status.logging_enabled {
        None => None,
        Some(asked) => Some(setting(api, asked).await?.encode().into()),
    };
    api.objects
        .set_bucket_config(&input.bucket, ConfigKind::Logging, value)
        .await
        .map_err(from_objects)?;
    Ok(S3Response::new(PutBucketLoggingOutput::default()))
}

async fn setting(api: &Api, asked: LoggingEnabled) -> S3Result<Setting> {
    if asked.target_grants.is_some_and(|grants| !grants.is_empty()) {
        return Err(not_implemented("TargetGrants of an access log"));
    }
    match api.objects.bucket(&asked.target_bucket).await {
        Ok(_) => {}
        Err(objects::Error::NoSuchBucket(_)) => {
            return Err(custom(
                "InvalidTargetBucketForLogging",
                http::StatusCode::BAD_REQUEST,
                "The target bucket for logging does not exist.",
            ));
        }
        Err(error) => return Err(from_objects(error)),
    }
    let layout = match asked.target_object_key_format {
        None => Layout::Simple,
        Some(TargetObjectKeyFormat { partitioned_prefix: Some(by), simple_prefix: None }) => {
            match by.partition_date_source.as_ref().map(PartitionDateSource::as_str) {
                None | Some(PartitionDateSource::DELIVERY_TIME) => Layout::ByDelivery,
                Some(PartitionDateSource::EVENT_TIME) => Layout::ByEvent,
                Some(_) => return Err(S3Error::new(S3ErrorCode::MalformedXML)),
            }
        }
        Some(TargetObjectKeyFormat { partitioned_prefix: None, .. }) => Layout::Simple,
        Some(_) => return Err(S3Error::new(S3ErrorCode::MalformedXML)),
    };
    Ok(Setting { bucket: asked.target_bucket, prefix: asked.target_prefix, layout })
}

/// `GET /bucket?logging`.
pub(crate) async fn get_bucket_logging(
    api: &Api,
    request: S3Request<GetBucketLoggingInput>,
) -> S3Result<S3Response<GetBucketLoggingOutput>> {
    let stored = api
        .objects
        .bucket_config(&request.input.bucket, ConfigKind::Logging)
        .await
        .map_err(from_objects)?;
    let logging_enabled = match stored {
        None => None,
        Some(stored) => Some(show(Setting::decode(&stored).ok_or_else(|| {
            from_objects(objects::Error::Internal(
                "a bucket's logging setting was written by a newer version".to_owned(),
            ))
        })?)),
    };
    Ok(S3Response::new(GetBucketLoggingOutput { logging_enabled }))
}

fn show(setting: Setting) -> LoggingEnabled {
    let by = |source| TargetObjectKeyFormat {
        partitioned_prefix: Some(PartitionedPrefix {
            partition_date_source: Some(PartitionDateSource::from_static(source)),
        }),
        simple_prefix: None,
    };
    LoggingEnabled {
        target_bucket: setting.bucket,
        target_grants: None,
        target_object_key_format: match setting.layout {
            Layout::Simple => None,
            Layout::ByDelivery => Some(by(PartitionDateSource::DELIVERY_TIME)),
            Layout::ByEvent => Some(by(PartitionDateSource::EVENT_TIME)),
        },
        target_prefix: setting.prefix,
    }
}
