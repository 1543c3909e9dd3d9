//! What a request may ask for and we do not do: refused by name, so that nobody believes
//! that an object is encrypted, locked or public when it is not.

use http::{HeaderMap, StatusCode, Uri};
use s3s::{S3Error, S3ErrorCode, S3Result};

use crate::{
    Settings,
    errors::{custom, invalid_argument, not_implemented},
    tagging::form_decode,
};

/// A header that means a feature, and the values that ask for nothing we lack.
struct Feature {
    /// The name, or its beginning if it ends with `*`.
    header: &'static str,
    harmless: &'static [&'static str],
}

const fn refused(header: &'static str) -> Feature {
    Feature { header, harmless: &[] }
}

const FEATURES: [Feature; 13] = [
    refused("x-amz-server-side-encryption*"),
    refused("x-amz-copy-source-server-side-encryption*"),
    // One account owns everything, and there are no other readers.
    Feature { header: "x-amz-acl", harmless: &["private", "bucket-owner-full-control"] },
    refused("x-amz-grant-*"),
    Feature { header: "x-amz-object-ownership", harmless: &["BucketOwnerEnforced"] },
    refused("x-amz-object-lock-event-hold*"),
    refused("x-amz-bucket-object-lock-token"),
    refused("x-amz-request-payer"),
    refused("x-amz-mfa"),
    refused("x-amz-write-offset-bytes"),
    refused("x-amz-annotation-directive"),
    refused("x-amz-if-match-initiated-time"),
    Feature { header: "x-amz-bucket-namespace", harmless: &["global"] },
];

/// Headers that are obeyed, but would be ignored as a parameter of a presigned URL: what they
/// guard would be lost. Those that describe an object are obeyed in both places.
const HEADERS_ONLY: [&str; 6] = [
    "x-amz-if-match-",
    "x-amz-bypass-governance-retention",
    "x-amz-copy-source",
    "x-amz-rename-source",
    "x-amz-client-token",
    "x-amz-bucket-object-lock-enabled",
];

/// Operations on an object that take no `versionId`. AWS refuses one too.
const WITHOUT_VERSION: [&str; 9] = [
    "PutObject",
    "CopyObject",
    "RenameObject",
    "CreateMultipartUpload",
    "UploadPart",
    "UploadPartCopy",
    "CompleteMultipartUpload",
    "AbortMultipartUpload",
    "ListParts",
];

impl Feature {
    fn is(&self, name: &str) -> bool {
        match self.header.strip_suffix('*') {
            Some(beginning) => name.starts_with(beginning),
            None => name == self.header,
        }
    }
}

/// 501 with the name of the first header that asks for something we lack. Presigned URLs
/// carry such headers as parameters.
pub(crate) fn refuse(headers: &HeaderMap, uri: &Uri, settings: &Settings) -> S3Result {
    for (name, value) in headers {
        refuse_one(name.as_str(), value.to_str().unwrap_or_default(), settings)?;
    }
    for pair in uri.query().unwrap_or_default().split('&') {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let name = form_decode(name).unwrap_or_default().to_ascii_lowercase();
        if HEADERS_ONLY.iter().any(|start| name.starts_with(start)) {
            return Err(not_implemented(format!("{name} as a parameter instead of a header")));
        }
        refuse_one(&name, &form_decode(value).unwrap_or_default(), settings)?;
    }
    Ok(())
}

fn refuse_one(name: &str, value: &str, settings: &Settings) -> S3Result {
    if !name.starts_with("x-amz-") {
        return Ok(());
    }
    if let Some(feature) = FEATURES.iter().find(|feature| feature.is(name))
        && !feature.harmless.contains(&value)
    {
        return Err(not_implemented(match feature.harmless {
            [] => format!("The header {name}"),
            _ => format!("The header {name} with value {value:?}"),
        }));
    }
    match name {
        "x-amz-expected-bucket-owner" | "x-amz-source-expected-bucket-owner"
            if value != settings.account =>
        {
            Err(S3Error::with_message(
                S3ErrorCode::AccessDenied,
                format!("The bucket does not belong to the account that {name} names."),
            ))
        }
        "x-amz-security-token" => Err(invalid_token()),
        _ => Ok(()),
    }
}

/// 400 for a `versionId` that the operation would ignore.
pub(crate) fn refuse_version(operation: &str, uri: &Uri) -> S3Result {
    let mut names = uri.query().unwrap_or_default().split('&').map(|pair| pair.split('=').next());
    if WITHOUT_VERSION.contains(&operation) && names.any(|name| name == Some("versionId")) {
        return Err(invalid_argument("This operation does not accept a version-id."));
    }
    Ok(())
}

fn invalid_token() -> S3Error {
    custom(
        "InvalidToken",
        StatusCode::BAD_REQUEST,
        "The provided token is malformed or otherwise invalid: this server gives out no session \
         tokens. Unset AWS_SESSION_TOKEN.",
    )
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn check(name: &'static str, value: &str) -> Result<(), (String, String)> {
        let mut headers = HeaderMap::new();
        headers.insert(name, HeaderValue::from_str(value).expect("printable"));
        refuse(&headers, &Uri::from_static("/b/k"), &Settings::default()).map_err(|error| {
            (error.code().as_str().to_owned(), error.message().unwrap_or_default().to_owned())
        })
    }

    #[test]
    fn features_are_refused_by_name() {
        for (name, value) in [
            ("x-amz-server-side-encryption", "AES256"),
            ("x-amz-server-side-encryption-customer-key", "k"),
            ("x-amz-copy-source-server-side-encryption-customer-key", "k"),
            ("x-amz-acl", "public-read"),
            ("x-amz-grant-read", "id=1"),
            ("x-amz-object-lock-event-hold", "ON"),
            ("x-amz-bucket-object-lock-token", "t"),
            ("x-amz-mfa", "serial 123456"),
            ("x-amz-request-payer", "requester"),
            ("x-amz-object-ownership", "ObjectWriter"),
        ] {
            let (code, message) = check(name, value).expect_err(name);
            assert_eq!(code, "NotImplemented", "{name}");
            assert!(message.contains(name), "{message}");
        }
    }

    #[test]
    fn what_asks_for_nothing_passes() {
        for (name, value) in [
            ("x-amz-acl", "private"),
            ("x-amz-acl", "bucket-owner-full-control"),
            ("x-amz-storage-class", "GLACIER"),
            ("x-amz-bucket-object-lock-enabled", "true"),
            ("x-amz-object-lock-mode", "COMPLIANCE"),
            ("x-amz-tagging", "a=b"),
            ("x-amz-expected-bucket-owner", "000000000000"),
            ("x-amz-meta-acl", "public-read"),
            ("x-amz-date", "20260101T000000Z"),
        ] {
            assert_eq!(check(name, value), Ok(()), "{name}");
        }
        assert_eq!(check("x-amz-expected-bucket-owner", "1").expect_err("other").0, "AccessDenied");
        assert_eq!(check("x-amz-security-token", "t").expect_err("token").0, "InvalidToken");
    }

    #[test]
    fn presigned_parameters_are_headers() {
        for (uri, code) in [
            ("/b/k?X-Amz-Date=1&x-amz-acl=private", None),
            ("/b/k?x-amz-acl=public-read", Some("NotImplemented")),
            ("/b/k?x-amz-server-side-encryption=AES256", Some("NotImplemented")),
            ("/b/k?X-Amz%2DMfa=1", Some("NotImplemented")),
            ("/b/k?X-Amz-Security-Token=t", Some("InvalidToken")),
            ("/b/k?x-amz-tagging=a%3Db&x-amz-meta-a=b", None),
            ("/b/k?x-amz-if-match-size=3", Some("NotImplemented")),
            ("/b/k?x-amz-copy-source=b%2Fk", Some("NotImplemented")),
            ("/b/k?x-amz-expected-bucket-owner=1", Some("AccessDenied")),
        ] {
            let refusal = refuse(&HeaderMap::new(), &Uri::from_static(uri), &Settings::default());
            let found = refusal.err().map(|error| error.code().as_str().to_owned());
            assert_eq!(found.as_deref(), code, "{uri}");
        }
    }

    #[test]
    fn version_ids_are_taken_or_refused() {
        for (operation, uri, fine) in [
            ("GetObject", "/b/k?versionId=null&x=1", true),
            ("PutObjectTagging", "/b/k?tagging&versionId=1", true),
            ("PutObject", "/b/k?x=1", true),
            ("PutObject", "/b/k?x=1&versionId=abc", false),
            ("UploadPart", "/b/k?partNumber=1&versionId=null", false),
        ] {
            let uri = Uri::from_static(uri);
            assert_eq!(refuse_version(operation, &uri).is_ok(), fine, "{operation} {uri}");
        }
    }
}
