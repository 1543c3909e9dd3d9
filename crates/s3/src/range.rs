//! The `Range` header before the protocol library sees it.
//!
//! AWS serves one range. It ignores a header that is malformed or lists several ranges and
//! sends the whole object (RFC 9110, 14.2: "A server MAY ignore the Range header field"),
//! where the library answers 400. A range that begins past the end stays 416.

use http::{HeaderMap, HeaderValue, Uri, header};

use crate::text;

/// No object is longer: larger numbers mean the same.
const POSITION_MAX: u64 = i64::MAX as u64;

/// What becomes of the header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It stays, or there is none.
    Keep,
    /// The same range as the library can read it.
    Replace(HeaderValue),
    /// It is taken off.
    Ignore,
}

impl Verdict {
    /// Of a read's headers.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let mut values = headers.get_all(header::RANGE).iter();
        let Some(value) = values.next() else { return Self::Keep };
        if values.next().is_some() {
            return Self::Ignore;
        }
        let Some(canonical) = value.to_str().ok().and_then(canonical) else { return Self::Ignore };
        if canonical.as_bytes() == value.as_bytes() {
            return Self::Keep;
        }
        HeaderValue::try_from(canonical).map_or(Self::Ignore, Self::Replace)
    }

    /// Changes the headers.
    pub(crate) fn apply(self, headers: &mut HeaderMap) {
        match self {
            Self::Keep => {}
            Self::Replace(value) => {
                headers.insert(header::RANGE, value);
            }
            Self::Ignore => {
                headers.remove(header::RANGE);
            }
        }
    }
}

/// Whether a signature covers the header: then it cannot be changed under it.
pub(crate) fn is_signed(headers: &HeaderMap, uri: &Uri) -> bool {
    let lists = |names: &str| names.split(';').any(|name| name.eq_ignore_ascii_case("range"));
    let authorization = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let in_header = authorization
        .and_then(|value| value.split_once("SignedHeaders="))
        .and_then(|(_, rest)| rest.split([',', ' ']).next());
    let query = uri.query().unwrap_or_default();
    let in_query = query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .find(|(name, _)| name.eq_ignore_ascii_case("X-Amz-SignedHeaders"))
        .and_then(|(_, value)| text::url_decode(value));
    in_header.is_some_and(lists) || in_query.is_some_and(|names| lists(&names))
}

/// The parameters of a presigned address that are about its signature.
const OF_SIGNATURE: [&str; 7] = [
    "X-Amz-Algorithm",
    "X-Amz-Credential",
    "X-Amz-Date",
    "X-Amz-Expires",
    "X-Amz-Security-Token",
    "X-Amz-Signature",
    "X-Amz-SignedHeaders",
];

/// The same address without its signature.
pub(crate) fn unsigned(uri: &Uri) -> Uri {
    let query = uri.query().unwrap_or_default();
    let of_signature = |pair: &&str| {
        let name = pair.split('=').next().unwrap_or_default();
        OF_SIGNATURE.iter().any(|known| known.eq_ignore_ascii_case(name))
    };
    let rest: Vec<&str> = query.split('&').filter(|pair| !of_signature(pair)).collect();
    let target = format!("{}?{}", uri.path(), rest.join("&"));
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = target.trim_end_matches('?').parse().ok();
    Uri::from_parts(parts).expect("a part of an address is one")
}

/// One range as `bytes=first-last`, `bytes=first-` or `bytes=-length`; `None` if it is none.
fn canonical(text: &str) -> Option<String> {
    let (unit, range) = text.split_once('=')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    let (first, last) = range.trim().split_once('-')?;
    match (first, last) {
        ("", length) => Some(format!("bytes=-{}", position(length)?)),
        (first, "") => Some(format!("bytes={}-", position(first)?)),
        (first, last) => {
            let (first, last) = (position(first)?, position(last)?);
            (first <= last).then(|| format!("bytes={first}-{last}"))
        }
    }
}

fn position(digits: &str) -> Option<u64> {
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // Digits that do not fit are a larger number than any position.
    Some(digits.parse().unwrap_or(u64::MAX).min(POSITION_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(values: &[&str]) -> Verdict {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::RANGE, HeaderValue::from_str(value).expect("printable"));
        }
        Verdict::of(&headers)
    }

    #[test]
    fn one_good_range_is_kept() {
        assert_eq!(verdict(&[]), Verdict::Keep);
        for good in ["bytes=0-0", "bytes=5-", "bytes=-7", "bytes=-0", "bytes=100-200"] {
            assert_eq!(verdict(&[good]), Verdict::Keep, "{good}");
        }
    }

    #[test]
    fn what_the_library_cannot_read_is_said_otherwise() {
        for (from, to) in [
            ("Bytes=1-2", "bytes=1-2"),
            ("bytes= 1-2 ", "bytes=1-2"),
            ("bytes=007-010", "bytes=7-10"),
            ("bytes=0-99999999999999999999999", "bytes=0-9223372036854775807"),
            ("bytes=99999999999999999999999-", "bytes=9223372036854775807-"),
            ("bytes=-18446744073709551615", "bytes=-9223372036854775807"),
        ] {
            let expected = HeaderValue::from_str(to).expect("printable");
            assert_eq!(verdict(&[from]), Verdict::Replace(expected), "{from}");
            assert!(s3s::dto::Range::parse(to).is_ok(), "{to}");
        }
    }

    #[test]
    fn everything_else_is_ignored() {
        for bad in [
            "",
            "bytes",
            "bytes=",
            "bytes=-",
            "bytes=a-b",
            "bytes=5",
            "bytes=2-1",
            "bytes=+1-2",
            "bytes=1 -2",
            "bytes=0-1,3-4",
            "bytes=0-1, -5",
            "chunks=0-1",
            "bytes=0--1",
            "0-1",
        ] {
            assert_eq!(verdict(&[bad]), Verdict::Ignore, "{bad:?}");
        }
        assert_eq!(verdict(&["bytes=0-1", "bytes=3-4"]), Verdict::Ignore);
        let mut headers = HeaderMap::new();
        headers.insert(header::RANGE, HeaderValue::from_bytes(b"bytes=\xff").expect("opaque"));
        let verdict = Verdict::of(&headers);
        verdict.apply(&mut headers);
        assert!(headers.is_empty());
    }

    #[test]
    fn signed_ranges_are_known() {
        let mut headers = HeaderMap::new();
        let plain = Uri::from_static("/b/k");
        assert!(!is_signed(&headers, &plain));
        for (names, signed) in [("host;x-amz-date", false), ("host;range", true)] {
            let value =
                format!("AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders={names}, Signature=0");
            headers.insert(header::AUTHORIZATION, value.parse().expect("printable"));
            assert_eq!(is_signed(&headers, &plain), signed, "{names}");
        }
        let presigned = Uri::from_static("/b/k?a=1&X-Amz-SignedHeaders=host%3BRange&X-Amz-Date=2");
        assert!(is_signed(&HeaderMap::new(), &presigned));
        assert_eq!(unsigned(&presigned), Uri::from_static("/b/k?a=1"));
        assert_eq!(unsigned(&Uri::from_static("/b/k?X-Amz-Date=2")), plain);
        assert_eq!(unsigned(&Uri::from_static("http://h/b?x-amz-date=2&b")), "http://h/b?b");
    }
}
