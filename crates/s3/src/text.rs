//! Text forms: times, percent-encoding, entity tags, opaque tokens.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use s3s::{
    S3Error, S3Result,
    dto::{self, Timestamp, TimestampFormat},
};
use time::OffsetDateTime;
use types::{ETag, UnixMillis};

use crate::errors::invalid_argument;

/// The time in whole seconds, as S3 shows it everywhere: a head, a listing and a copy
/// then agree on when an object was modified.
pub(crate) fn timestamp(time: UnixMillis) -> Timestamp {
    let seconds = i64::try_from(time.0 / 1000).unwrap_or(i64::MAX);
    OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH).into()
}

/// As in `Last-Modified`.
pub(crate) fn http_date(time: UnixMillis) -> String {
    let mut text = Vec::new();
    match timestamp(time).format(TimestampFormat::HttpDate, &mut text) {
        Ok(()) => String::from_utf8_lossy(&text).into_owned(),
        Err(_) => String::new(),
    }
}

/// The entity tag as s3s wants it.
pub(crate) fn etag(etag: ETag) -> dto::ETag {
    dto::ETag::Strong(etag.to_string())
}

/// Percent-encoding of `encoding-type=url`: everything but unreserved characters and `/`.
pub(crate) fn url_encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'/' => {
                encoded.push(char::from(byte));
            }
            _ => {
                encoded.push('%');
                encoded.push_str(&hex::encode_upper([byte]));
            }
        }
    }
    encoded
}

/// The text that a path's percent-encoding means; `None` if it is not UTF-8 or not encoded so.
pub(crate) fn url_decode(text: &str) -> Option<String> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let digits = [rest.next()?, rest.next()?];
        let mut value = [0u8];
        hex::decode_to_slice(digits, &mut value).ok()?;
        decoded.push(value[0]);
    }
    String::from_utf8(decoded).ok()
}

/// Whether a bucket may be called so: 3 to 63 letters, digits, dots and hyphens.
pub(crate) fn is_bucket_name(text: &str) -> bool {
    let good =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-".contains(&byte);
    (3..=63).contains(&text.len()) && text.bytes().all(good)
}

/// The text in HTML and XML, in an element or an attribute.
pub(crate) fn escape_html(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c if c.is_control() => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

/// The text of an XML element that we wrote.
pub(crate) fn unescape_xml(text: &str) -> String {
    let known = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"), ("&amp;", "&")];
    known.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}

/// Whether XML 1.0 can carry the text unchanged: no control characters but tab and line
/// feed (a carriage return is read back as a line feed), no noncharacters.
pub(crate) fn fits_xml(text: &str) -> bool {
    text.chars().all(|c| match c {
        '\t' | '\n' => true,
        '\u{fffe}' | '\u{ffff}' => false,
        c => c >= ' ',
    })
}

/// Refuses a key that the answer would have to repeat and XML cannot carry.
pub(crate) fn require_xml(key: &str) -> S3Result {
    if fits_xml(key) {
        return Ok(());
    }
    Err(invalid_argument("The key has control characters that the XML of the answer cannot carry."))
}

/// Keys have 1 to 1024 bytes. For keys that come in XML or headers; s3s has checked those
/// in the path.
pub(crate) fn check_key(key: &str) -> Result<(), S3Error> {
    match key.len() {
        0 => Err(invalid_argument("The object key must not be empty.")),
        1..=1024 => Ok(()),
        _ => Err(S3Error::new(s3s::S3ErrorCode::KeyTooLongError)),
    }
}

/// An opaque continuation token: a kind and a text.
pub(crate) fn token(kind: u8, text: &str) -> String {
    let mut bytes = vec![TOKEN_VERSION, kind];
    bytes.extend_from_slice(text.as_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

/// What [`token`] wrote.
pub(crate) fn parse_token(token: &str) -> S3Result<(u8, String)> {
    let invalid = || invalid_argument("The continuation token provided is incorrect.");
    let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| invalid())?;
    match bytes.as_slice() {
        [TOKEN_VERSION, kind, text @ ..] => {
            Ok((*kind, String::from_utf8(text.to_vec()).map_err(|_| invalid())?))
        }
        _ => Err(invalid()),
    }
}

/// First byte of every token, so that a later form can be told apart.
const TOKEN_VERSION: u8 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_cut_to_seconds() {
        assert_eq!(http_date(UnixMillis(1_700_000_000_999)), "Tue, 14 Nov 2023 22:13:20 GMT");
    }

    #[test]
    fn url_encoding_keeps_slashes() {
        assert_eq!(url_encode("a b/c+d%ü\u{1}"), "a%20b/c%2Bd%25%C3%BC%01");
    }

    #[test]
    fn url_decoding() {
        for text in ["", "a b/c+d%ü\u{1}", "🦈"] {
            assert_eq!(url_decode(&url_encode(text)).as_deref(), Some(text));
        }
        assert_eq!(url_decode("a+b").as_deref(), Some("a+b"), "a plus in a path is one");
        for bad in ["%", "%4", "%zz", "%ff", "a%"] {
            assert_eq!(url_decode(bad), None, "{bad}");
        }
    }

    #[test]
    fn bucket_names() {
        for good in ["abc", "my.dotted-bucket.1", &"x".repeat(63)] {
            assert!(is_bucket_name(good), "{good}");
        }
        for bad in ["", "ab", "Abc", "a/b", "a_b", "a b", &"x".repeat(64)] {
            assert!(!is_bucket_name(bad), "{bad}");
        }
    }

    #[test]
    fn markup_is_only_text() {
        let text = "<a href=\"x\">'&'</a>";
        let escaped = escape_html(text);
        assert_eq!(escaped, "&lt;a href=&quot;x&quot;&gt;&#39;&amp;&#39;&lt;/a&gt;");
        assert_eq!(escape_html("a\r\nb"), "a\u{fffd}\u{fffd}b");
        assert_eq!(unescape_xml("&amp;lt; &lt;b&gt; &quot;&apos;"), "&lt; <b> \"'");
    }

    #[test]
    fn tokens_round_trip_and_garbage_is_refused() {
        for text in ["", "a/b", "ü\u{1}"] {
            assert_eq!(parse_token(&token(7, text)).expect("valid"), (7, text.to_owned()));
        }
        for bad in ["", "!", "AA", "a/b", &URL_SAFE_NO_PAD.encode([9, 1, b'x'])] {
            assert!(parse_token(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_xml_carries() {
        assert!(fits_xml("a b/ü\t\n🦈"));
        for bad in ["\u{0}", "\u{1}", "\r", "\u{1f}", "\u{ffff}"] {
            assert!(!fits_xml(bad), "{bad:?}");
        }
    }
}
