//! What a user says about an object in headers, kept and given back as it was sent.

use std::{borrow::Cow, collections::BTreeMap};

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri};
use s3s::{S3Error, S3ErrorCode, S3Result};
use types::{Attributes, UnixMillis};

use crate::{
    errors::{custom, invalid_argument, invalid_request},
    object_lock, storage_class, tagging,
};

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

/// Where a website sends who asks for the object.
pub(crate) const REDIRECT: &str = "x-amz-website-redirect-location";

/// Bytes of [`REDIRECT`].
const REDIRECT_BYTES_MAX: usize = 2048;

const TAGGING: &str = "x-amz-tagging";

/// What AWS answers for an object that was put without a content type.
const DEFAULT_CONTENT_TYPE: &str = "binary/octet-stream";

/// Everything that a PUT or a new upload says about the object to be: metadata, tags, lock,
/// storage class.
pub(crate) fn of_new_object(
    headers: &HeaderMap,
    uri: &Uri,
    now: UnixMillis,
) -> S3Result<Attributes> {
    let headers = with_hoisted(headers, uri)?;
    let mut attributes = of_headers(&headers)?;
    attributes.tags = tags_of_headers(&headers)?;
    attributes.lock = object_lock::of_headers(&headers, now)?;
    attributes.class = storage_class::of_headers(&headers)?;
    Ok(attributes)
}

/// The tags of `x-amz-tagging`.
pub(crate) fn tags_of_headers(headers: &HeaderMap) -> S3Result<BTreeMap<String, String>> {
    match headers.get(TAGGING) {
        None => Ok(BTreeMap::new()),
        Some(value) => tagging::of_header(readable(TAGGING, value)?),
    }
}

/// Where the request says that a website sends who asks for the object.
pub(crate) fn redirect_of_headers(headers: &HeaderMap) -> S3Result<Option<String>> {
    let Some(value) = headers.get(REDIRECT) else { return Ok(None) };
    let target = readable(REDIRECT, value)?;
    check_redirect(target)?;
    Ok(Some(target.to_owned()))
}

/// The headers, with those that a presigned URL carries as parameters: clients move
/// `x-amz-*` headers there, and S3 obeys them there too. A header wins.
pub(crate) fn with_hoisted<'a>(headers: &'a HeaderMap, uri: &Uri) -> S3Result<Cow<'a, HeaderMap>> {
    let mut all = Cow::Borrowed(headers);
    for pair in uri.query().unwrap_or_default().split('&') {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let name = tagging::form_decode(name).unwrap_or_default().to_ascii_lowercase();
        let kept = [REDIRECT, TAGGING, storage_class::HEADER].contains(&name.as_str())
            || name.starts_with(USER_PREFIX)
            || name.starts_with("x-amz-object-lock-");
        if !kept || headers.contains_key(&name) {
            continue;
        }
        let value = tagging::form_decode(value).map(HeaderValue::try_from);
        let (Ok(name), Some(Ok(value))) = (HeaderName::try_from(&name), value) else {
            return Err(invalid_argument(format!("The parameter {name} is no header value.")));
        };
        all.to_mut().append(name, value);
    }
    Ok(all)
}

/// The metadata that a PUT, a copy with directive REPLACE or a new upload gives.
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
    if let Some(target) = redirect_of_headers(headers)? {
        attributes.system.insert(REDIRECT.to_owned(), target);
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

/// "Configuring a webpage redirect" in the user guide.
fn check_redirect(target: &str) -> S3Result {
    let refused =
        |message: String| Err(custom("InvalidRedirectLocation", StatusCode::BAD_REQUEST, message));
    if !["/", "http://", "https://"].iter().any(|start| target.starts_with(start)) {
        return refused(
            "The website redirect location must have a prefix of 'http://' or 'https://' or '/'."
                .to_owned(),
        );
    }
    if target.len() > REDIRECT_BYTES_MAX {
        return refused(format!(
            "The length of website redirect location cannot exceed {REDIRECT_BYTES_MAX} bytes."
        ));
    }
    Ok(())
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
            (REDIRECT, b"/elsewhere"),
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
    fn redirects_are_checked() {
        let long = format!("/{}", "x".repeat(REDIRECT_BYTES_MAX));
        for bad in ["elsewhere", "", "ftp://x/y", &long] {
            let error = of_headers(&headers(&[(REDIRECT, bad.as_bytes())])).expect_err("refused");
            assert_eq!(error.code().as_str(), "InvalidRedirectLocation", "{bad}");
        }
        for good in ["/x", "http://x/y", "https://x/y", &long[..REDIRECT_BYTES_MAX]] {
            assert!(of_headers(&headers(&[(REDIRECT, good.as_bytes())])).is_ok(), "{good}");
        }
    }

    #[test]
    fn presigned_parameters_are_obeyed() {
        let sent = headers(&[("x-amz-meta-a", b"header")]);
        let uri = Uri::from_static(
            "/b/k?X-Amz-Date=1&x-amz-meta-a=query&x-amz-meta-b=%C3%BC+1&x-amz-tagging=t%3D1&\
             x-amz-object-lock-legal-hold=ON&x-amz-acl=private&X-Amz-Storage-Class=GLACIER",
        );
        let found = of_new_object(&sent, &uri, UnixMillis(0)).expect("valid");
        let pairs = |map: &BTreeMap<String, String>| {
            map.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>()
        };
        assert_eq!(pairs(&found.user), ["a=header", "b=ü 1"]);
        assert_eq!(pairs(&found.tags), ["t=1"]);
        assert_eq!(found.lock.legal_hold, Some(true));
        assert_eq!(found.class, types::StorageClass::Glacier);
        let bad = Uri::from_static("/b/k?x-amz-meta-a=%0A");
        assert!(of_new_object(&HeaderMap::new(), &bad, UnixMillis(0)).is_err());
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
