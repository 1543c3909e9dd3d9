//! What requests are told that meet a delete marker.
//!
//! AWS: "Working with delete markers" in the user guide, and GetObject: 404 for a current
//! delete marker, 405 with `Last-Modified` for one that is named by its version id.

use http::{HeaderMap, HeaderValue, header};
use objects::Error;
use s3s::{S3Error, S3ErrorCode};
use types::{UnixMillis, Version};

use crate::{
    errors::{from_objects, invalid_request, with_elements},
    text,
};

/// The error of a read of version `asked`, or of the current one.
pub(crate) fn of_read(error: Error, asked: Option<Version>) -> S3Error {
    match (error, asked) {
        (Error::DeleteMarker { version, .. }, None) => {
            let mut hidden = from_objects(Error::NoSuchKey);
            hidden.set_headers(headers(version));
            hidden
        }
        (error, _) => from_objects(error),
    }
}

/// The error of a change of version `asked`, or of the current one. What a marker hides is
/// not named: the request did not ask for it.
pub(crate) fn of_update(error: Error, asked: Option<Version>) -> S3Error {
    match (error, asked) {
        (Error::DeleteMarker { .. }, None) => not_allowed(HeaderMap::new()),
        (error, _) => from_objects(error),
    }
}

/// The error of a copy's source.
pub(crate) fn of_copy_source(error: Error, asked: Option<Version>) -> S3Error {
    match (error, asked) {
        (Error::DeleteMarker { .. }, Some(_)) => invalid_request(
            "The source of a copy request may not specifically refer to a delete marker by \
             version id.",
        ),
        (error, asked) => of_read(error, asked),
    }
}

/// 405: the named version is a delete marker, and all that can be done with it is to delete it.
pub(crate) fn named(version: Version, modified: UnixMillis) -> S3Error {
    let mut headers = headers(version);
    if modified > UnixMillis::default()
        && let Ok(modified) = HeaderValue::from_str(&text::http_date(modified))
    {
        headers.insert(header::LAST_MODIFIED, modified);
    }
    not_allowed(headers)
}

fn headers(version: Version) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert("x-amz-delete-marker", HeaderValue::from_static("true"));
    let version = HeaderValue::from_str(&version.to_string());
    headers.insert("x-amz-version-id", version.expect("hexadecimal or null"));
    headers
}

fn not_allowed(mut headers: HeaderMap) -> S3Error {
    headers.insert(header::ALLOW, HeaderValue::from_static("DELETE"));
    let mut error = S3Error::with_message(
        S3ErrorCode::MethodNotAllowed,
        "The specified method is not allowed against this resource.",
    );
    error.set_headers(headers);
    with_elements(error, &[("ResourceType", "DeleteMarker")])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_by_request_and_version() {
        let asked = Some(Version::Null);
        type Told = fn(Error, Option<Version>) -> S3Error;
        for (told, asked, code, status, marker, modified, allow) in [
            (of_read as Told, None, "NoSuchKey", 404, true, false, false),
            (of_read, asked, "MethodNotAllowed", 405, true, true, true),
            (of_update, None, "MethodNotAllowed", 405, false, false, true),
            (of_update, asked, "MethodNotAllowed", 405, true, true, true),
            (of_copy_source, None, "NoSuchKey", 404, true, false, false),
            (of_copy_source, asked, "InvalidRequest", 400, false, false, false),
        ] {
            let met = Error::DeleteMarker { version: Version::Null, modified: UnixMillis(1000) };
            let error = told(met, asked);
            assert_eq!(error.code().as_str(), code);
            assert_eq!(error.status_code().map(|status| status.as_u16()), Some(status), "{code}");
            let none = HeaderMap::new();
            let headers = error.headers().unwrap_or(&none);
            assert_eq!(headers.contains_key("x-amz-delete-marker"), marker, "{code} {asked:?}");
            assert_eq!(headers.contains_key("x-amz-version-id"), marker, "{code} {asked:?}");
            assert_eq!(headers.contains_key(header::LAST_MODIFIED), modified, "{code} {asked:?}");
            assert_eq!(headers.contains_key(header::ALLOW), allow, "{code} {asked:?}");
            let other = told(Error::NoSuchVersion, asked);
            assert_eq!(other.code(), &S3ErrorCode::NoSuchVersion);
        }
    }
}
