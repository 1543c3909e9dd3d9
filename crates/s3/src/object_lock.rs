//! Object lock: what a bucket locks by default, retention and legal hold of versions.
//!
//! AWS: "Locking objects with Object Lock" in the user guide; codes and texts as S3 answers
//! them. The index partition decides what a lock allows; nothing here does. No digest of the
//! body is required, but one that comes is verified.

use http::HeaderMap;
use metastore::api::index::{BucketChange, ObjectUpdate, Origin};
use objects::Error;
use s3s::{S3Error, S3ErrorCode, S3Request, S3Response, S3Result, dto::*};
use time::OffsetDateTime;
use types::{
    BucketLock, DefaultRetention as BucketDefault, ObjectLock, Period, Retention, RetentionMode,
    UnixMillis,
};

use crate::{
    api::Api,
    delete_marker::{of_read, of_update},
    errors::{from_objects, invalid_argument},
    versioning::named,
};

/// The longest default retention: 100 years of 365 days.
const DAYS_MAX: u32 = 36_500;
/// See [`DAYS_MAX`].
const YEARS_MAX: u32 = 100;

fn malformed() -> S3Error {
    S3Error::new(S3ErrorCode::MalformedXML)
}

fn mode_of(text: &str) -> Option<RetentionMode> {
    match text {
        ObjectLockMode::GOVERNANCE => Some(RetentionMode::Governance),
        ObjectLockMode::COMPLIANCE => Some(RetentionMode::Compliance),
        _ => None,
    }
}

/// A mode as documents and headers write it.
pub(crate) fn mode_name(mode: RetentionMode) -> &'static str {
    match mode {
        RetentionMode::Governance => ObjectLockMode::GOVERNANCE,
        RetentionMode::Compliance => ObjectLockMode::COMPLIANCE,
    }
}

/// A legal hold as documents and headers write it.
pub(crate) fn hold_name(hold: bool) -> &'static str {
    if hold { ObjectLockLegalHoldStatus::ON } else { ObjectLockLegalHoldStatus::OFF }
}

fn hold_of(text: &str) -> Option<bool> {
    match text {
        ObjectLockLegalHoldStatus::ON => Some(true),
        ObjectLockLegalHoldStatus::OFF => Some(false),
        _ => None,
    }
}

/// A retention's end as answers show it: to the millisecond, for nobody may be told that it
/// is earlier than it is.
pub(crate) fn until(time: UnixMillis) -> Timestamp {
    let nanos = i128::from(time.0) * 1_000_000;
    OffsetDateTime::from_unix_timestamp_nanos(nanos).unwrap_or(OffsetDateTime::UNIX_EPOCH).into()
}

/// The end that a request asks for.
fn future(time: Timestamp, now: UnixMillis) -> S3Result<UnixMillis> {
    let nanos = OffsetDateTime::from(time).unix_timestamp_nanos();
    match u64::try_from(nanos / 1_000_000) {
        Ok(millis) if millis > now.0 => Ok(UnixMillis(millis)),
        _ => Err(invalid_argument("The retain until date must be in the future!")),
    }
}

/// The `x-amz-object-lock-*` headers of a PUT, a copy or a new upload.
pub(crate) fn of_headers(headers: &HeaderMap, now: UnixMillis) -> S3Result<ObjectLock> {
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    let legal_hold = match text("x-amz-object-lock-legal-hold") {
        None => None,
        Some(status) => Some(
            hold_of(status)
                .ok_or_else(|| invalid_argument("Legal Hold must be either of 'ON' or 'OFF'"))?,
        ),
    };
    let mode = text("x-amz-object-lock-mode");
    let retention = match (mode, text("x-amz-object-lock-retain-until-date")) {
        (None, None) => None,
        (Some(mode), Some(date)) => {
            let mode =
                mode_of(mode).ok_or_else(|| invalid_argument("Unknown wormMode directive."))?;
            let date = Timestamp::parse(TimestampFormat::DateTime, date).map_err(|_| {
                invalid_argument("The retain until date must be provided in ISO 8601 format")
            })?;
            Some(Retention { mode, until: future(date, now)? })
        }
        _ => {
            return Err(invalid_argument(
                "x-amz-object-lock-retain-until-date and x-amz-object-lock-mode must both be \
                 supplied",
            ));
        }
    };
    Ok(ObjectLock { retention, legal_hold })
}

/// Whether a governance retention may be bypassed: root may, if it says so. S3 refuses the
/// header where it means nothing.
pub(crate) async fn bypass(api: &Api, bucket: &str, asked: Option<bool>) -> S3Result<bool> {
    let Some(asked) = asked else { return Ok(false) };
    let settings = api.objects.bucket_settings(bucket).await.map_err(from_objects)?;
    if settings.lock.is_none() {
        return Err(invalid_argument(
            "x-amz-bypass-governance-retention is only applicable to Object Lock enabled buckets.",
        ));
    }
    Ok(asked)
}

/// What the configuration of a bucket asks for.
fn parse(configuration: Option<ObjectLockConfiguration>) -> S3Result<BucketLock> {
    let configuration = configuration.ok_or_else(malformed)?;
    let enabled = configuration.object_lock_enabled.as_ref().map(ObjectLockEnabled::as_str);
    if enabled != Some(ObjectLockEnabled::ENABLED) {
        return Err(malformed());
    }
    let Some(rule) = configuration.rule else { return Ok(BucketLock { default: None }) };
    let retention = rule.default_retention.ok_or_else(malformed)?;
    let mode = retention.mode.as_ref().map(ObjectLockRetentionMode::as_str);
    let mode = mode.and_then(mode_of).ok_or_else(malformed)?;
    let period = match (retention.days, retention.years) {
        (Some(days), None) => Period::Days(within(days, DAYS_MAX)?),
        (None, Some(years)) => Period::Years(within(years, YEARS_MAX)?),
        _ => return Err(malformed()),
    };
    Ok(BucketLock { default: Some(BucketDefault { mode, period }) })
}

fn within(asked: i32, max: u32) -> S3Result<u32> {
    match u32::try_from(asked) {
        Err(_) | Ok(0) => {
            Err(invalid_argument("Default retention period must be a positive integer value."))
        }
        Ok(asked) if asked > max => Err(invalid_argument("Default retention period too large.")),
        Ok(asked) => Ok(asked),
    }
}

/// `PUT /bucket?object-lock`: gives the bucket object lock, or changes its default.
pub(crate) async fn put_object_lock_configuration(
    api: &Api,
    request: S3Request<PutObjectLockConfigurationInput>,
) -> S3Result<S3Response<PutObjectLockConfigurationOutput>> {
    let input = request.input;
    let lock = parse(input.object_lock_configuration)?;
    let change = BucketChange::Lock(lock);
    api.objects.configure_bucket(&input.bucket, change).await.map_err(|error| match error {
        Error::BucketState => S3Error::with_message(
            S3ErrorCode::InvalidBucketState,
            "Versioning must be 'Enabled' on the bucket to apply a Object Lock configuration",
        ),
        error => from_objects(error),
    })?;
    Ok(S3Response::new(PutObjectLockConfigurationOutput::default()))
}

/// `GET /bucket?object-lock`.
pub(crate) async fn get_object_lock_configuration(
    api: &Api,
    request: S3Request<GetObjectLockConfigurationInput>,
) -> S3Result<S3Response<GetObjectLockConfigurationOutput>> {
    let settings = api.objects.bucket_settings(&request.input.bucket).await;
    let Some(lock) = settings.map_err(from_objects)?.lock else {
        return Err(S3Error::with_message(
            S3ErrorCode::ObjectLockConfigurationNotFoundError,
            "Object Lock configuration does not exist for this bucket",
        ));
    };
    let rule = lock.default.map(|default| {
        let (days, years) = match default.period {
            Period::Days(days) => (Some(days), None),
            Period::Years(years) => (None, Some(years)),
        };
        // Both are under 2^31: `within` has checked them.
        let number = |count: Option<u32>| count.map(|count| count as i32);
        ObjectLockRule {
            default_retention: Some(DefaultRetention {
                days: number(days),
                mode: Some(ObjectLockRetentionMode::from_static(mode_name(default.mode))),
                years: number(years),
            }),
        }
    });
    Ok(S3Response::new(GetObjectLockConfigurationOutput {
        object_lock_configuration: Some(ObjectLockConfiguration {
            object_lock_enabled: Some(ObjectLockEnabled::from_static(ObjectLockEnabled::ENABLED)),
            rule,
        }),
    }))
}

/// `PUT /bucket/key?retention`. An empty document removes the retention.
pub(crate) async fn put_object_retention(
    api: &Api,
    request: S3Request<PutObjectRetentionInput>,
) -> S3Result<S3Response<PutObjectRetentionOutput>> {
    let input = request.input;
    let version = named(input.version_id.as_deref())?;
    let asked = input.retention.ok_or_else(malformed)?;
    let to = match (asked.mode, asked.retain_until_date) {
        (None, None) => None,
        (Some(mode), Some(date)) => {
            let mode = mode_of(mode.as_str()).ok_or_else(malformed)?;
            Some(Retention { mode, until: future(date, api.clock_now())? })
        }
        _ => return Err(malformed()),
    };
    let bypass_governance = input.bypass_governance_retention.unwrap_or(false);
    let update = ObjectUpdate::Retention { to, bypass_governance };
    let updated =
        api.objects.update(&input.bucket, &input.key, version, update, Origin::default()).await;
    updated.map_err(|error| of_update(error, version))?;
    Ok(S3Response::new(PutObjectRetentionOutput::default()))
}

/// `PUT /bucket/key?legal-hold`.
pub(crate) async fn put_object_legal_hold(
    api: &Api,
    request: S3Request<PutObjectLegalHoldInput>,
) -> S3Result<S3Response<PutObjectLegalHoldOutput>> {
    let input = request.input;
    let version = named(input.version_id.as_deref())?;
    let status = input.legal_hold.and_then(|hold| hold.status).ok_or_else(malformed)?;
    let update = ObjectUpdate::LegalHold(hold_of(status.as_str()).ok_or_else(malformed)?);
    let updated =
        api.objects.update(&input.bucket, &input.key, version, update, Origin::default()).await;
    updated.map_err(|error| of_update(error, version))?;
    Ok(S3Response::new(PutObjectLegalHoldOutput::default()))
}

/// The lock of a version, in a bucket that has object lock.
async fn lock_of(
    api: &Api,
    bucket: &str,
    key: &str,
    version_id: Option<&str>,
) -> S3Result<ObjectLock> {
    let version = named(version_id)?;
    let settings = api.objects.bucket_settings(bucket).await.map_err(from_objects)?;
    if settings.lock.is_none() {
        return Err(from_objects(Error::NoLock));
    }
    let head = api.objects.head(bucket, key, version).await;
    Ok(head.map_err(|error| of_read(error, version))?.attributes.lock)
}

fn no_lock_of_version() -> S3Error {
    S3Error::with_message(
        S3ErrorCode::NoSuchObjectLockConfiguration,
        "The specified object does not have a ObjectLock configuration",
    )
}

/// `GET /bucket/key?retention`.
pub(crate) async fn get_object_retention(
    api: &Api,
    request: S3Request<GetObjectRetentionInput>,
) -> S3Result<S3Response<GetObjectRetentionOutput>> {
    let input = request.input;
    let lock = lock_of(api, &input.bucket, &input.key, input.version_id.as_deref()).await?;
    let retention = lock.retention.ok_or_else(no_lock_of_version)?;
    Ok(S3Response::new(GetObjectRetentionOutput {
        retention: Some(ObjectLockRetention {
            mode: Some(ObjectLockRetentionMode::from_static(mode_name(retention.mode))),
            retain_until_date: Some(until(retention.until)),
        }),
    }))
}

/// `GET /bucket/key?legal-hold`.
pub(crate) async fn get_object_legal_hold(
    api: &Api,
    request: S3Request<GetObjectLegalHoldInput>,
) -> S3Result<S3Response<GetObjectLegalHoldOutput>> {
    let input = request.input;
    let lock = lock_of(api, &input.bucket, &input.key, input.version_id.as_deref()).await?;
    let hold = lock.legal_hold.ok_or_else(no_lock_of_version)?;
    Ok(S3Response::new(GetObjectLegalHoldOutput {
        legal_hold: Some(ObjectLockLegalHold {
            status: Some(ObjectLockLegalHoldStatus::from_static(hold_name(hold))),
        }),
    }))
}

#[cfg(test)]
mod tests;
