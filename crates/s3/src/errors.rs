//! One place that turns what went wrong into an AWS error code, status and sentence.
//!
//! Codes and texts: the list of error codes in the Amazon S3 API reference.

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use objects::{BodyError, Error};
use s3s::{S3Error, S3ErrorCode};

use crate::{delete_marker, storage_class, text};

/// An error with an AWS code that s3s has no name for.
pub(crate) fn custom(
    code: &'static str,
    status: StatusCode,
    message: impl Into<std::borrow::Cow<'static, str>>,
) -> S3Error {
    let mut error = S3Error::with_message(S3ErrorCode::Custom(code.into()), message);
    error.set_status_code(status);
    error
}

/// The response header in which an error carries more elements for its XML; it is taken off again
/// (`response::complete_error`).
pub(crate) const ELEMENTS: HeaderName = HeaderName::from_static("x-shardlake-error-elements");

/// The error with more elements in its XML, as AWS has them for some codes.
pub(crate) fn with_elements(mut error: S3Error, elements: &[(&str, &str)]) -> S3Error {
    let xml: String = elements
        .iter()
        .map(|(name, text)| format!("<{name}>{}</{name}>", text::escape_html(text)))
        .collect();
    // A text that no header can carry is left out: it only explains.
    if let Ok(value) = HeaderValue::from_bytes(xml.as_bytes()) {
        let mut headers = error.headers().cloned().unwrap_or_default();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/xml"));
        headers.insert(ELEMENTS, value);
        error.set_headers(headers);
    }
    error
}

/// 501: we would have to ignore what the request asks for.
pub(crate) fn not_implemented(what: impl std::fmt::Display) -> S3Error {
    S3Error::with_message(
        S3ErrorCode::NotImplemented,
        format!("{what} is not implemented by this server, and is refused rather than ignored"),
    )
}

/// 500: bytes that this server, or a newer one, stored.
pub(crate) fn unreadable(what: &str) -> S3Error {
    let reason = format!("stored {what} cannot be read: a newer version may have written it");
    from_objects(Error::Internal(reason))
}

/// 400 with code `InvalidArgument`.
pub(crate) fn invalid_argument(message: impl Into<std::borrow::Cow<'static, str>>) -> S3Error {
    S3Error::with_message(S3ErrorCode::InvalidArgument, message)
}

/// 400 with code `InvalidRequest`.
pub(crate) fn invalid_request(message: impl Into<std::borrow::Cow<'static, str>>) -> S3Error {
    S3Error::with_message(S3ErrorCode::InvalidRequest, message)
}

/// The AWS form of an error of the object layer. Logs what somebody must look at, once.
pub(crate) fn from_objects(error: Error) -> S3Error {
    let with = |code, message: &'static str| S3Error::with_message(code, message);
    match error {
        Error::NoSuchBucket(_) => {
            with(S3ErrorCode::NoSuchBucket, "The specified bucket does not exist.")
        }
        Error::BucketExists(_) => with(
            S3ErrorCode::BucketAlreadyOwnedByYou,
            "Your previous request to create the named bucket succeeded and you already own it.",
        ),
        Error::BucketNotEmpty(_) => with(
            S3ErrorCode::BucketNotEmpty,
            "The bucket you tried to delete is not empty: delete its objects, all their versions \
             and delete markers, and abort its multipart uploads first.",
        ),
        Error::NoSuchKey => with(S3ErrorCode::NoSuchKey, "The specified key does not exist."),
        Error::NoSuchVersion => {
            with(S3ErrorCode::NoSuchVersion, "The specified version does not exist.")
        }
        Error::DeleteMarker { version, modified } => delete_marker::named(version, modified),
        Error::Locked => with(
            S3ErrorCode::AccessDenied,
            "Access Denied because object protected by object lock.",
        ),
        Error::NoLock => invalid_request("Bucket is missing Object Lock Configuration"),
        Error::BucketState => with(
            S3ErrorCode::InvalidBucketState,
            "The request is not valid for the current state of the bucket.",
        ),
        Error::BucketVersioned => not_implemented(
            "Renaming an object in a bucket whose versioning was ever enabled (AWS renames only in \
             directory buckets, which have no versions; copy the object and delete it instead)",
        ),
        Error::Archived | Error::NotArchived => storage_class::invalid_state(),
        Error::RestoreInProgress(_) => {
            with(S3ErrorCode::RestoreAlreadyInProgress, "Object restore is already in progress")
        }
        Error::NoSuchUpload => with(
            S3ErrorCode::NoSuchUpload,
            "The specified upload does not exist. The upload ID may be invalid, or the upload may \
             have been aborted or completed.",
        ),
        Error::PreconditionFailed => with(
            S3ErrorCode::PreconditionFailed,
            "At least one of the pre-conditions you specified did not hold.",
        ),
        Error::InvalidPart { number } => S3Error::with_message(
            S3ErrorCode::InvalidPart,
            format!(
                "Part {number} could not be found, or its entity tag or checksum does not match \
                 the one given."
            ),
        ),
        Error::PartTooSmall { number, size } => S3Error::with_message(
            S3ErrorCode::EntityTooSmall,
            format!(
                "Your proposed upload is smaller than the minimum allowed size: part {number} has \
                 {size} bytes, all parts but the last need 5242880."
            ),
        ),
        Error::SizeMismatch { actual } => invalid_request(format!(
            "The provided 'x-amz-mp-object-size' header does not match the size of the parts \
             together: {actual}."
        )),
        Error::ChecksumMismatch => with(
            S3ErrorCode::BadDigest,
            "The checksum you specified did not match the calculated checksum.",
        ),
        Error::ConfigTooLarge { limit_bytes } => custom(
            "MaxMessageLengthExceeded",
            StatusCode::BAD_REQUEST,
            format!(
                "Your request was too large: the configuration is stored in at most {limit_bytes} bytes."
            ),
        ),
        Error::InvalidRange { size } => invalid_range(size),
        Error::Body(error) => from_body(error),
        Error::Replaced => with(
            S3ErrorCode::ServiceUnavailable,
            "The object is being replaced again and again while it is read. Please try again.",
        ),
        Error::Unavailable(reason) => {
            tracing::warn!(%reason, "answered 503");
            S3Error::with_message(S3ErrorCode::ServiceUnavailable, reason)
        }
        Error::Unreadable(reason) => {
            tracing::error!(%reason, "an object cannot be read");
            S3Error::with_message(S3ErrorCode::ServiceUnavailable, reason)
        }
        Error::Internal(reason) => {
            tracing::error!(%reason, "internal error");
            with(
                S3ErrorCode::InternalError,
                "We encountered an internal error. Please try again. The server's log has the \
                 reason under this request id.",
            )
        }
    }
}

/// 416, with the size in `Content-Range` as RFC 9110 asks.
pub(crate) fn invalid_range(size: u64) -> S3Error {
    let mut error = S3Error::with_message(
        S3ErrorCode::InvalidRange,
        format!("The requested range is not satisfiable: the object has {size} bytes."),
    );
    error.set_status_code(StatusCode::RANGE_NOT_SATISFIABLE);
    let mut headers = HeaderMap::new();
    let value = HeaderValue::from_str(&format!("bytes */{size}")).expect("digits are printable");
    headers.insert(header::CONTENT_RANGE, value);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/xml"));
    error.set_headers(headers);
    error
}

/// The names under which [`BodyError::Mismatch`] says what did not match.
pub(crate) const CONTENT_MD5: &str = "Content-MD5";
/// See [`CONTENT_MD5`].
pub(crate) const PAYLOAD_SHA256: &str = "x-amz-content-sha256";

/// The AWS form of what was wrong with a body.
pub(crate) fn from_body(error: BodyError) -> S3Error {
    match error {
        BodyError::Incomplete(reason) => S3Error::with_message(
            S3ErrorCode::IncompleteBody,
            format!(
                "You did not provide the number of bytes specified by the Content-Length HTTP \
                 header: {reason}."
            ),
        ),
        BodyError::TooLarge { limit_bytes } => S3Error::with_message(
            S3ErrorCode::EntityTooLarge,
            format!(
                "Your proposed upload exceeds the maximum allowed size of {limit_bytes} bytes: \
                 use a multipart upload."
            ),
        ),
        BodyError::Mismatch { algorithm: CONTENT_MD5 } => S3Error::with_message(
            S3ErrorCode::BadDigest,
            "The Content-MD5 you specified did not match what we received.",
        ),
        BodyError::Mismatch { algorithm: PAYLOAD_SHA256 } => custom(
            "XAmzContentSHA256Mismatch",
            StatusCode::BAD_REQUEST,
            "The provided 'x-amz-content-sha256' header does not match what was computed.",
        ),
        BodyError::Mismatch { algorithm } => S3Error::with_message(
            S3ErrorCode::BadDigest,
            format!("The {algorithm} you specified did not match the calculated checksum."),
        ),
        BodyError::Protocol { code, message } => {
            let code = code.parse::<S3ErrorCode>().expect("every text is a code");
            let known = code.status_code().is_some();
            let mut error = S3Error::with_message(code, message);
            if !known {
                error.set_status_code(StatusCode::BAD_REQUEST);
            }
            error
        }
    }
}

/// The same error on its way through the object layer, which knows no AWS codes.
pub(crate) fn into_body(error: &S3Error) -> BodyError {
    BodyError::Protocol {
        code: error.code().as_str().to_owned(),
        message: error.message().unwrap_or("The request body is not valid.").to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use types::{Restore, UnixMillis, Version};

    use super::*;

    #[test]
    fn codes_and_statuses() {
        for (error, code, status) in [
            (Error::NoSuchBucket("b".into()), "NoSuchBucket", 404),
            (Error::BucketExists("b".into()), "BucketAlreadyOwnedByYou", 409),
            (Error::BucketNotEmpty("b".into()), "BucketNotEmpty", 409),
            (Error::NoSuchKey, "NoSuchKey", 404),
            (Error::NoSuchVersion, "NoSuchVersion", 404),
            (
                Error::DeleteMarker { version: Version::Null, modified: UnixMillis(1) },
                "MethodNotAllowed",
                405,
            ),
            (Error::Locked, "AccessDenied", 403),
            (Error::NoLock, "InvalidRequest", 400),
            (Error::BucketState, "InvalidBucketState", 409),
            (Error::Replaced, "ServiceUnavailable", 503),
            (Error::BucketVersioned, "NotImplemented", 501),
            (Error::Archived, "InvalidObjectState", 403),
            (Error::NotArchived, "InvalidObjectState", 403),
            (
                Error::RestoreInProgress(Restore { ready: UnixMillis(1), expires: UnixMillis(2) }),
                "RestoreAlreadyInProgress",
                409,
            ),
            (Error::NoSuchUpload, "NoSuchUpload", 404),
            (Error::PreconditionFailed, "PreconditionFailed", 412),
            (Error::InvalidPart { number: 3 }, "InvalidPart", 400),
            (Error::PartTooSmall { number: 3, size: 1 }, "EntityTooSmall", 400),
            (Error::SizeMismatch { actual: 7 }, "InvalidRequest", 400),
            (Error::ChecksumMismatch, "BadDigest", 400),
            (Error::ConfigTooLarge { limit_bytes: 7 }, "MaxMessageLengthExceeded", 400),
            (Error::InvalidRange { size: 7 }, "InvalidRange", 416),
            (Error::Body(BodyError::Incomplete("x".into())), "IncompleteBody", 400),
            (Error::Body(BodyError::TooLarge { limit_bytes: 5 }), "EntityTooLarge", 400),
            (Error::Body(BodyError::Mismatch { algorithm: "CRC32" }), "BadDigest", 400),
            (
                Error::Body(BodyError::Mismatch { algorithm: PAYLOAD_SHA256 }),
                "XAmzContentSHA256Mismatch",
                400,
            ),
            (Error::Unavailable("no group".into()), "ServiceUnavailable", 503),
            (Error::Unreadable("lost".into()), "ServiceUnavailable", 503),
            (Error::Internal("secret path".into()), "InternalError", 500),
        ] {
            let text = format!("{error:?}");
            let error = from_objects(error);
            assert_eq!(error.code().as_str(), code, "{text}");
            assert_eq!(error.status_code().map(|status| status.as_u16()), Some(status), "{text}");
            assert!(!error.message().unwrap_or_default().contains("secret"), "{text}");
        }
    }

    #[test]
    fn the_reason_of_a_503_reaches_the_client() {
        let error = from_objects(Error::Unavailable("no group can keep 5 of 6 shards".into()));
        assert_eq!(error.message(), Some("no group can keep 5 of 6 shards"));
    }

    #[test]
    fn codes_survive_the_object_layer() {
        for code in [S3ErrorCode::SignatureDoesNotMatch, S3ErrorCode::BadDigest] {
            let there = into_body(&S3Error::with_message(code.clone(), "why"));
            let back = from_body(there);
            assert_eq!((back.code(), back.message()), (&code, Some("why")));
        }
        let there = into_body(&custom("MalformedTrailerError", StatusCode::BAD_REQUEST, "why"));
        let back = from_body(there);
        assert_eq!(back.code().as_str(), "MalformedTrailerError");
        assert_eq!(back.status_code(), Some(StatusCode::BAD_REQUEST));
    }
}
