//! What a user says about an object in headers, kept and given back as it was sent.

use http::{HeaderMap, HeaderName, HeaderValue};
use s3s::{S3Error, S3ErrorCode, S3Result};
use types::Attributes;

use crate::errors::{invalid_argument, invalid_request};

const USER_PREFIX: &str = "x-amz-meta-";

/// Names and values of user metadata together, in bytes ("Working with object metadata").
const USER_BYTES_MAX: usize = 2048;

/// System metadata that is kept.
const SYSTEM: [&str; 6] = [
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-type",
    "expires",
];

/// What AWS answers for an object that was put without a content type.
const DEFAULT_CONTENT_TYPE: &str = "binary/octet-stream";

/// The attributes that a PUT, a copy with directive REPLACE or a new upload gives.
pub(crate) fn of_headers(headers: &HeaderMap) -> S3Result<Attributes> {
    let mut attributes = Attributes::default();
    for name in SYSTEM {
        let Some(value) = headers.get(name) else { continue };
        let value = readable(name, value)?;
        let value = if name == "content-encoding" { without_chunked(value) } else { value.into() };
        if !value.is_empty() {
            attributes.system.insert(name.to_owned(), value);
        }
    }
    let mut user_bytes = 0;
    for (name, value) in headers {
        let Some(key) = name.as_str().strip_prefix(USER_PREFIX) else { continue };
        if key.is_empty() {
            continue;
        }
        user_bytes += key.len() + value.len();
        let value = readable(name.as_str(), value)?.to_owned();
        if attributes.user.insert(key.to_owned(), value).is_some() {
            return Err(invalid_request(format!("The header {name} was sent twice.")));
        }
    }
    if user_bytes > USER_BYTES_MAX {
        return Err(S3Error::with_message(
            S3ErrorCode::MetadataTooLarge,
            format!(
                "Your metadata headers have {user_bytes} bytes and exceed the maximum allowed \
                 metadata size of {USER_BYTES_MAX} bytes."
            ),
        ));
    }
    Ok(attributes)
}

fn readable<'a>(name: &str, value: &'a HeaderValue) -> S3Result<&'a str> {
    std::str::from_utf8(value.as_bytes())
        .map_err(|_| invalid_argument(format!("The header {name} is not UTF-8.")))
}

/// `aws-chunked` says how the request was sent, not what the object is.
fn without_chunked(value: &str) -> String {
    let codings = value.split(',').map(str::trim);
    let kept: Vec<&str> =
        codings.filter(|coding| !coding.eq_ignore_ascii_case("aws-chunked")).collect();
    if kept.len() == value.split(',').count() { value.to_owned() } else { kept.join(",") }
}

/// The response headers that give the attributes back.
pub(crate) fn to_headers(attributes: &Attributes) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let mut set = |name: String, value: &str| {
        // Both came from headers; a value that is none any more cannot be shown.
        if let (Ok(name), Ok(value)) =
            (HeaderName::try_from(name), HeaderValue::from_bytes(value.as_bytes()))
        {
            headers.insert(name, value);
        }
    };
    set("content-type".to_owned(), DEFAULT_CONTENT_TYPE);
    for (name, value) in &attributes.system {
        set(name.clone(), value);
    }
    for (key, value) in &attributes.user {
        set(format!("{USER_PREFIX}{key}"), value);
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &[u8])]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_bytes(value).expect("a header value"));
        }
        headers
    }

    #[test]
    fn what_is_sent_comes_back() {
        let sent = headers(&[
            ("content-type", b"text/csv"),
            ("content-encoding", b"gzip"),
            ("expires", b"Wed, 21 Oct 2015 07:28:00 GMT"),
            ("x-amz-meta-plain", b"a value"),
            ("x-amz-meta-encoded", b"=?UTF-8?B?w7w=?="),
            ("x-amz-meta-raw", "ü".as_bytes()),
            ("authorization", b"secret"),
        ]);
        let back = to_headers(&of_headers(&sent).expect("valid"));
        for (name, value) in &sent {
            let expected = (name != "authorization").then_some(value);
            assert_eq!(back.get(name), expected, "{name}");
        }
        let none = to_headers(&Attributes::default());
        assert_eq!(none.get("content-type").expect("a default"), DEFAULT_CONTENT_TYPE);
    }

    #[test]
    fn aws_chunked_is_not_stored() {
        for (sent, stored) in [
            ("aws-chunked", None),
            ("gzip,aws-chunked", Some("gzip")),
            ("aws-chunked, gzip, br", Some("gzip,br")),
            ("gzip, br", Some("gzip, br")),
            ("", None),
        ] {
            let attributes =
                of_headers(&headers(&[("content-encoding", sent.as_bytes())])).expect("valid");
            assert_eq!(attributes.system.get("content-encoding").map(String::as_str), stored);
        }
    }

    #[test]
    fn user_metadata_is_bounded() {
        let fits = vec![b'x'; USER_BYTES_MAX - 1];
        assert!(of_headers(&headers(&[("x-amz-meta-k", &fits)])).is_ok());
        let long = vec![b'x'; USER_BYTES_MAX];
        let error = of_headers(&headers(&[("x-amz-meta-k", &long)])).expect_err("too large");
        assert_eq!(error.code(), &S3ErrorCode::MetadataTooLarge);
    }
}
