//! What a request may ask for and we do not do: refused by name, so that nobody believes
//! that an object is encrypted, locked or public when it is not.

use http::{HeaderMap, StatusCode, Uri};
use s3s::{S3Error, S3ErrorCode, S3Result};

use crate::{
    Settings,
    errors::{custom, not_implemented},
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

const FEATURES: [Feature; 20] = [
    refused("x-amz-server-side-encryption*"),
    refused("x-amz-copy-source-server-side-encryption*"),
    // One account owns everything, and there are no other readers.
    Feature { header: "x-amz-acl", harmless: &["private", "bucket-owner-full-control"] },
    refused("x-amz-grant-*"),
    Feature { header: "x-amz-object-ownership", harmless: &["BucketOwnerEnforced"] },
    refused("x-amz-object-lock-*"),
    Feature { header: "x-amz-bucket-object-lock-enabled", harmless: &["false", "False"] },
    Feature { header: "x-amz-bypass-governance-retention", harmless: &["false", "False"] },
    refused("x-amz-tagging"),
    // Objects have no tags: copying them and replacing them by none is the same.
    Feature { header: "x-amz-tagging-directive", harmless: &["COPY", "REPLACE"] },
    refused("x-amz-website-redirect-location"),
    Feature { header: "x-amz-storage-class", harmless: &["STANDARD"] },
    refused("x-amz-request-payer"),
    refused("x-amz-mfa"),
    refused("x-amz-write-offset-bytes"),
    Feature { header: "x-amz-annotation-directive", harmless: &[] },
    refused("x-amz-if-match-last-modified-time"),
    refused("x-amz-if-match-size"),
    refused("x-amz-if-match-initiated-time"),
    Feature { header: "x-amz-bucket-namespace", harmless: &["global"] },
];

impl Feature {
    fn is(&self, name: &str) -> bool {
        match self.header.strip_suffix('*') {
            Some(beginning) => name.starts_with(beginning),
            None => name == self.header,
        }
    }
}

/// 501 with the name of the first header (or parameter) that asks for something we lack.
pub(crate) fn refuse(headers: &HeaderMap, uri: &Uri, settings: &Settings) -> S3Result {
    for (name, value) in headers {
        let name = name.as_str();
        if !name.starts_with("x-amz-") {
            continue;
        }
        let value = value.to_str().unwrap_or_default();
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
                return Err(S3Error::with_message(
                    S3ErrorCode::AccessDenied,
                    format!("The bucket does not belong to the account that {name} names."),
                ));
            }
            "x-amz-security-token" => return Err(invalid_token()),
            _ => {}
        }
    }
    for pair in uri.query().unwrap_or_default().split('&') {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        match name {
            // Objects are not versioned: the one version there is is called null.
            "versionId" if value != "null" => {
                return Err(not_implemented("The parameter versionId"));
            }
            "x-amz-security-token" | "X-Amz-Security-Token" => return Err(invalid_token()),
            _ => {}
        }
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
            ("x-amz-object-lock-mode", "COMPLIANCE"),
            ("x-amz-bucket-object-lock-enabled", "true"),
            ("x-amz-tagging", "a=b"),
            ("x-amz-website-redirect-location", "/x"),
            ("x-amz-storage-class", "GLACIER"),
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
            ("x-amz-storage-class", "STANDARD"),
            ("x-amz-bucket-object-lock-enabled", "false"),
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
    fn versions_are_refused_but_for_null() {
        let check = |uri: &'static str| {
            refuse(&HeaderMap::new(), &Uri::from_static(uri), &Settings::default())
        };
        assert!(check("/b/k?versionId=null&x=1").is_ok());
        assert!(check("/b/k?x=1&versionId=abc").is_err());
    }
}
