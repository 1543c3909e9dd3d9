//! Storage classes as requests and answers name them, and what archived objects say of
//! themselves.
//!
//! AWS: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/storage-class-intro.html>.

use http::{HeaderMap, StatusCode};
use s3s::{S3Error, S3ErrorCode, S3Result, dto};
use types::{ObjectHead, Restore, StorageClass, UnixMillis};

use crate::{
    errors::{invalid_argument, with_elements},
    text,
};

/// The header that names a class.
pub(crate) const HEADER: &str = "x-amz-storage-class";

/// The class that a name means. AWS's other names (OUTPOSTS, SNOW, EXPRESS_ONEZONE, FSX_*) are
/// classes of stores that do not exist here.
pub(crate) fn parse(name: &str) -> S3Result<StorageClass> {
    name.parse().map_err(|_| {
        let message = "The storage class you specified is not valid";
        let mut error = S3Error::with_message(S3ErrorCode::InvalidStorageClass, message);
        error.set_status_code(StatusCode::BAD_REQUEST);
        with_elements(error, &[("StorageClassRequested", name)])
    })
}

/// The class that the headers of a write name: STANDARD if they name none.
pub(crate) fn of_headers(headers: &HeaderMap) -> S3Result<StorageClass> {
    match headers.get(HEADER) {
        None => Ok(StorageClass::default()),
        Some(value) => parse(&String::from_utf8_lossy(value.as_bytes())),
    }
}

/// The header of a GET's or HEAD's answer. AWS: "Amazon S3 returns this header for all objects
/// except for S3 Standard storage class objects."
pub(crate) fn header(class: StorageClass) -> Option<dto::StorageClass> {
    (class != StorageClass::Standard).then(|| dto::StorageClass::from_static(class.as_str()))
}

/// 403 unless the object's bytes can be read now.
pub(crate) fn require_readable(head: &ObjectHead, now: UnixMillis) -> S3Result {
    if head.is_readable(now) {
        return Ok(());
    }
    let class = head.attributes.class.as_str();
    Err(with_elements(invalid_state(), &[("StorageClass", class)]))
}

/// 403: the object's class does not allow what is asked for.
pub(crate) fn invalid_state() -> S3Error {
    let message = "The operation is not valid for the object's storage class";
    S3Error::with_message(S3ErrorCode::InvalidObjectState, message)
}

/// `x-amz-restore`: of an archived object whose restore was asked for, until it ends.
pub(crate) fn restore_header(restore: Option<Restore>, now: UnixMillis) -> Option<dto::Restore> {
    let restore = restore?;
    if restore.is_ongoing(now) {
        return Some("ongoing-request=\"true\"".to_owned());
    }
    restore.is_readable(now).then(|| {
        format!("ongoing-request=\"false\", expiry-date=\"{}\"", text::http_date(restore.expires))
    })
}

/// The same as listings say it.
pub(crate) fn restore_status(
    restore: Option<Restore>,
    now: UnixMillis,
) -> Option<dto::RestoreStatus> {
    let restore = restore?;
    let ongoing = restore.is_ongoing(now);
    (ongoing || restore.is_readable(now)).then(|| dto::RestoreStatus {
        is_restore_in_progress: Some(ongoing),
        restore_expiry_date: (!ongoing).then(|| text::timestamp(restore.expires)),
    })
}

/// Whether `x-amz-optional-object-attributes` asks a listing for [`restore_status`]: the only
/// one that there is.
pub(crate) fn asks_restore_status(
    asked: Option<&dto::OptionalObjectAttributesList>,
) -> S3Result<bool> {
    let Some(asked) = asked else { return Ok(false) };
    let names = asked.iter().flat_map(|value| value.as_str().split(','));
    let names: Vec<&str> = names.map(str::trim).filter(|name| !name.is_empty()).collect();
    if names.iter().any(|name| *name != dto::OptionalObjectAttributes::RESTORE_STATUS) {
        return Err(invalid_argument("Invalid attribute name specified"));
    }
    Ok(!names.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_parsed_or_refused() {
        for class in StorageClass::ALL {
            assert_eq!(parse(class.as_str()).expect("a class"), class);
            let shown = header(class).map(|it| it.as_str().to_owned());
            let expected = (class != StorageClass::Standard).then(|| class.to_string());
            assert_eq!(shown, expected);
        }
        for bad in ["OUTPOSTS", "SNOW", "EXPRESS_ONEZONE", "FSX_OPENZFS", "standard", "", "ü"] {
            let error = parse(bad).expect_err("no class of ours");
            assert_eq!(error.code().as_str(), "InvalidStorageClass", "{bad}");
            assert_eq!(error.status_code(), Some(StatusCode::BAD_REQUEST), "{bad}");
        }
        assert_eq!(of_headers(&HeaderMap::new()).expect("none"), StorageClass::Standard);
    }

    #[test]
    fn a_restore_is_shown_until_it_ends() {
        let restore = Some(Restore { ready: UnixMillis(10_000), expires: UnixMillis(20_000) });
        let shown = |at| restore_header(restore, UnixMillis(at));
        assert_eq!(restore_header(None, UnixMillis(0)), None);
        assert_eq!(shown(9_999).as_deref(), Some("ongoing-request=\"true\""));
        let done = "ongoing-request=\"false\", expiry-date=\"Thu, 01 Jan 1970 00:00:20 GMT\"";
        assert_eq!(shown(10_000).as_deref(), Some(done));
        assert_eq!(shown(20_000), None);
        let listed = |at| restore_status(restore, UnixMillis(at));
        assert_eq!(listed(0).and_then(|it| it.is_restore_in_progress), Some(true));
        assert!(listed(0).is_some_and(|it| it.restore_expiry_date.is_none()));
        let done = listed(19_999).expect("readable");
        assert_eq!(done.is_restore_in_progress, Some(false));
        assert_eq!(done.restore_expiry_date, Some(text::timestamp(UnixMillis(20_000))));
        assert!(listed(20_000).is_none());
    }

    #[test]
    fn optional_attributes_are_checked() {
        let list = |name: &'static str| vec![dto::OptionalObjectAttributes::from_static(name)];
        assert!(!asks_restore_status(None).expect("none"));
        assert!(asks_restore_status(Some(&list("RestoreStatus"))).expect("known"));
        assert!(asks_restore_status(Some(&list("RestoreStatus, Owner"))).is_err());
    }
}
