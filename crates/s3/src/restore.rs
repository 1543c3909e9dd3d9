//! RestoreObject: makes an archived object readable for some days.
//!
//! AWS: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_RestoreObject.html>. The bytes are
//! readable where they lie; how long a restore takes is a setting, so that what works here works
//! there.

use http::StatusCode;
use metastore::api::index::{ObjectUpdate, Reason};
use s3s::{S3Error, S3ErrorCode, S3Request, S3Response, S3Result, dto::*};
use types::StorageClass;

use crate::{
    api::Api,
    delete_marker,
    errors::{from_objects, invalid_argument, not_implemented, with_elements},
    origin,
    response::OwnStatus,
    settings::RestoreTiers,
    storage_class, versioning,
};

/// So many days at most: two centuries, so that their end is a date.
const DAYS_MAX: i32 = 73_000;

/// How fast a restore is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Speed {
    Expedited,
    Standard,
    Bulk,
}

impl Speed {
    fn of(tier: Option<&Tier>) -> S3Result<Self> {
        match tier.map(Tier::as_str) {
            None | Some(Tier::STANDARD) => Ok(Self::Standard),
            Some(Tier::EXPEDITED) => Ok(Self::Expedited),
            Some(Tier::BULK) => Ok(Self::Bulk),
            Some(_) => Err(S3Error::new(S3ErrorCode::MalformedXML)),
        }
    }
}

/// What a request asks for.
#[derive(Debug, PartialEq, Eq)]
struct Asked {
    days: u64,
    speed: Speed,
}

impl Asked {
    fn of(request: Option<RestoreRequest>) -> S3Result<Self> {
        let malformed = || S3Error::new(S3ErrorCode::MalformedXML);
        let request = request.ok_or_else(malformed)?;
        if request.type_.is_some()
            || request.select_parameters.is_some()
            || request.output_location.is_some()
        {
            return Err(not_implemented("A restore of type SELECT"));
        }
        if request.description.is_some() {
            return Err(not_implemented("The Description of a restore"));
        }
        let tier = match (request.glacier_job_parameters, request.tier) {
            (Some(_), Some(_)) => return Err(malformed()),
            (Some(parameters), None) => Some(parameters.tier),
            (None, tier) => tier,
        };
        let days = request.days.ok_or_else(malformed)?;
        if !(1..=DAYS_MAX).contains(&days) {
            return Err(invalid_argument(format!("Days must be between 1 and {DAYS_MAX}")));
        }
        Ok(Self { days: u64::from(days.unsigned_abs()), speed: Speed::of(tier.as_ref())? })
    }

    /// In how many milliseconds an object of the class becomes readable.
    fn ready_after_ms(&self, class: StorageClass, tiers: &RestoreTiers) -> S3Result<u64> {
        let after = match (class, self.speed) {
            (StorageClass::Glacier, Speed::Expedited) => tiers.expedited,
            (StorageClass::Glacier, Speed::Standard) => tiers.standard,
            (StorageClass::Glacier, Speed::Bulk) => tiers.bulk,
            (StorageClass::DeepArchive, Speed::Standard) => tiers.deep_standard,
            (StorageClass::DeepArchive, Speed::Bulk) => tiers.deep_bulk,
            (StorageClass::DeepArchive, Speed::Expedited) => {
                return Err(invalid_argument(
                    "Retrieval option is not supported by this storage class",
                ));
            }
            (class, _) => {
                let elements = [("StorageClass", class.as_str())];
                return Err(with_elements(storage_class::invalid_state(), &elements));
            }
        };
        Ok(u64::try_from(after.as_millis()).unwrap_or(u64::MAX))
    }
}

/// `POST /bucket/key?restore`: 202 if a restore begins, 200 if the object is restored and its end
/// is moved.
pub(crate) async fn restore_object(
    api: &Api,
    request: S3Request<RestoreObjectInput>,
) -> S3Result<S3Response<RestoreObjectOutput>> {
    let origin = origin::of(&request, Reason::RestoreObject);
    let input = request.input;
    let asked = Asked::of(input.restore_request)?;
    let version = versioning::named(input.version_id.as_deref())?;
    let failed = |error| delete_marker::of_update(error, version);
    let head = api.objects.head(&input.bucket, &input.key, version).await.map_err(failed)?;
    let class = head.attributes.class;
    let ready_after_ms = asked.ready_after_ms(class, &api.settings.restore_tiers)?;
    let day_ms = api.settings.lifecycle_day_ms.max(1);
    let update = ObjectUpdate::Restore {
        ready_after_ms,
        readable_ms: day_ms.saturating_mul(asked.days),
        day_ms,
    };
    // The version that was looked at: the time depends on its class.
    let looked_at = Some(head.name());
    api.objects
        .update(&input.bucket, &input.key, looked_at, update, origin)
        .await
        .map_err(from_objects)?;
    let now = api.clock_now();
    let status = match head.restore.is_some_and(|it| it.is_readable(now)) {
        true => StatusCode::OK,
        false => StatusCode::ACCEPTED,
    };
    let mut response = S3Response::new(RestoreObjectOutput::default());
    response.extensions.insert(OwnStatus(status));
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(days: Option<i32>, tier: Option<&'static str>) -> S3Result<Asked> {
        let tier = tier.map(Tier::from_static);
        let glacier_job_parameters = tier.map(|tier| GlacierJobParameters { tier });
        Asked::of(Some(RestoreRequest { days, glacier_job_parameters, ..Default::default() }))
    }

    #[test]
    fn requests_are_read() {
        let standard = Asked { days: 3, speed: Speed::Standard };
        assert_eq!(asked(Some(3), None).expect("valid"), standard);
        assert_eq!(asked(Some(3), Some("Standard")).expect("valid"), standard);
        let code =
            |result: S3Result<Asked>| result.expect_err("refused").code().as_str().to_owned();
        assert_eq!(code(asked(None, None)), "MalformedXML");
        assert_eq!(code(asked(Some(0), None)), "InvalidArgument");
        assert_eq!(code(asked(Some(i32::MAX), None)), "InvalidArgument");
        assert_eq!(code(asked(Some(1), Some("Fast"))), "MalformedXML");
        assert_eq!(code(Asked::of(None)), "MalformedXML");
        let with = |request| Asked::of(Some(RestoreRequest { days: Some(1), ..request }));
        let select = RestoreRequestType::from_static(RestoreRequestType::SELECT);
        let select = RestoreRequest { type_: Some(select), ..Default::default() };
        assert_eq!(code(with(select)), "NotImplemented");
        let elsewhere = OutputLocation::default();
        let elsewhere = RestoreRequest { output_location: Some(elsewhere), ..Default::default() };
        assert_eq!(code(with(elsewhere)), "NotImplemented");
    }

    #[test]
    fn each_tier_of_each_archive_has_its_time() {
        let tiers = RestoreTiers::default();
        let minutes_of = |tier: &'static str, class| {
            let asked = asked(Some(1), Some(tier)).expect("valid");
            asked.ready_after_ms(class, &tiers).map(|ms| ms / 60_000)
        };
        use StorageClass::{DeepArchive, Glacier, GlacierIr, Standard};
        for (tier, class, minutes) in [
            ("Expedited", Glacier, 1),
            ("Standard", Glacier, 4 * 60),
            ("Bulk", Glacier, 10 * 60),
            ("Standard", DeepArchive, 12 * 60),
            ("Bulk", DeepArchive, 48 * 60),
        ] {
            assert_eq!(minutes_of(tier, class).expect("archived"), minutes, "{tier} {class}");
        }
        for (class, code) in [
            (DeepArchive, "InvalidArgument"),
            (Standard, "InvalidObjectState"),
            (GlacierIr, "InvalidObjectState"),
        ] {
            let error = minutes_of("Expedited", class).expect_err("refused");
            assert_eq!(error.code().as_str(), code, "{class}");
        }
    }
}
