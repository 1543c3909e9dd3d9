//! What is refused before the protocol library looks at a request, because its own answer would
//! not tell the client what to do.

use http::{HeaderMap, header};
use s3s::{S3Error, S3ErrorCode, S3Result};

use crate::errors::invalid_argument;

/// The code after which clients look for `<Region>` and sign again.
pub(crate) const REGION_CODE: &str = "AuthorizationHeaderMalformed";

/// Refuses a payload hash that is none, and a region that no AWS region could be.
pub(crate) fn refuse(headers: &HeaderMap, region: &str) -> S3Result {
    payload(headers)?;
    scope_region(headers, region)
}

/// `x-amz-content-sha256`: a hash, or one of the words that stand for none.
fn payload(headers: &HeaderMap) -> S3Result {
    let Some(value) = headers.get("x-amz-content-sha256") else { return Ok(()) };
    let value = value.as_bytes();
    let hash = value.len() == 64 && value.iter().all(u8::is_ascii_hexdigit);
    if hash || value == b"UNSIGNED-PAYLOAD" || value.starts_with(b"STREAMING-") {
        return Ok(());
    }
    Err(invalid_argument(
        "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-UNSIGNED-PAYLOAD-TRAILER, \
         STREAMING-AWS4-HMAC-SHA256-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER or a \
         valid sha256 value.",
    ))
}

/// Signatures of any region are accepted; s3cmd's default, `US`, is not the name of one. It
/// signs again with the region that the answer names.
fn scope_region(headers: &HeaderMap, expected: &str) -> S3Result {
    let value = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let scope = value.and_then(|value| value.split_once("Credential=")).map(|(_, scope)| scope);
    let Some(region) = scope.and_then(|scope| scope.split('/').nth(2)) else { return Ok(()) };
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if !region.is_empty() && region.bytes().all(plain) {
        return Ok(());
    }
    let shown: String = region.chars().filter(char::is_ascii_alphanumeric).take(32).collect();
    Err(S3Error::with_message(
        S3ErrorCode::AuthorizationHeaderMalformed,
        format!(
            "The authorization header is malformed; the region '{shown}' is wrong; expecting \
             '{expected}'"
        ),
    ))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn code(name: &'static str, value: &str) -> Option<String> {
        let mut headers = HeaderMap::new();
        headers.insert(name, HeaderValue::from_str(value).expect("printable"));
        refuse(&headers, "us-east-1").err().map(|error| error.code().as_str().to_owned())
    }

    #[test]
    fn payload_hashes() {
        for good in [&"a0".repeat(32), "UNSIGNED-PAYLOAD", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"] {
            assert_eq!(code("x-amz-content-sha256", good), None, "{good}");
        }
        for bad in ["nonsense", "", &"a0".repeat(31), &"g0".repeat(32)] {
            let refused = code("x-amz-content-sha256", bad);
            assert_eq!(refused.as_deref(), Some("InvalidArgument"), "{bad}");
        }
    }

    #[test]
    fn regions() {
        let of = |region: &str| {
            let scope = format!("Credential=AK/20261123/{region}/s3/aws4_request");
            code("authorization", &format!("AWS4-HMAC-SHA256 {scope}, SignedHeaders=host"))
        };
        assert_eq!(of("eu-central-1"), None);
        assert_eq!(code("authorization", "AWS AK:signature"), None, "s3s says it");
        for bad in ["US", "", "us_east"] {
            assert_eq!(of(bad).as_deref(), Some(REGION_CODE), "{bad}");
        }
    }
}
