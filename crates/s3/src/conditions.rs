//! `If-Match`, `If-None-Match`, `If-Modified-Since`, `If-Unmodified-Since`: on reads and
//! copy sources decided here, on writes translated for the index partition to decide.

use http::{HeaderMap, HeaderValue, StatusCode, header};
use s3s::{
    S3Error, S3ErrorCode, S3Result,
    dto::{ETagCondition, Timestamp},
};
use time::OffsetDateTime;
use types::{Condition, Match, ObjectHead};

use crate::{
    errors::{invalid_argument, not_implemented},
    text,
};

/// The condition of a write.
///
/// As on AWS, `If-None-Match` takes only `*`, and not both may be there ("Add
/// preconditions to S3 operations" in the user guide).
pub(crate) fn of_write(
    if_match: Option<ETagCondition>,
    if_none_match: Option<ETagCondition>,
) -> S3Result<Condition> {
    match (if_match, if_none_match) {
        (None, None) => Ok(Condition::None),
        (None, Some(ETagCondition::Any)) => Ok(Condition::Absent),
        (None, Some(ETagCondition::ETag(_))) => {
            Err(not_implemented("If-None-Match with anything but * on a write"))
        }
        (Some(condition), None) => {
            Ok(Condition::Match(Match { etag: Some(tag(condition)), ..Match::default() }))
        }
        (Some(_), Some(_)) => Err(not_implemented("If-Match together with If-None-Match")),
    }
}

/// The condition of a deletion: all that is given must hold of the object.
pub(crate) fn of_delete(
    etag: Option<ETagCondition>,
    size: Option<i64>,
    modified: Option<Timestamp>,
) -> S3Result<Condition> {
    if etag.is_none() && size.is_none() && modified.is_none() {
        return Ok(Condition::None);
    }
    let size = match size.map(u64::try_from) {
        None => None,
        Some(Ok(size)) => Some(size),
        Some(Err(_)) => return Err(invalid_argument("The size to match must not be negative.")),
    };
    let modified_s = modified.as_ref().map(seconds);
    Ok(Condition::Match(Match { etag: etag.map(tag), version: None, size, modified_s }))
}

/// Whether the deletion of what is not there is fine. As AWS says of `x-amz-if-match-size` and
/// `x-amz-if-match-last-modified-time`; `If-Match` asks for an object.
pub(crate) fn allows_absence(condition: &Condition) -> bool {
    matches!(condition, Condition::Match(Match { etag: None, .. }))
}

fn tag(condition: ETagCondition) -> String {
    match condition {
        ETagCondition::Any => "*".to_owned(),
        ETagCondition::ETag(etag) => etag.into_value(),
    }
}

/// The four conditions of a read or of a copy's source.
#[derive(Default)]
pub(crate) struct ReadConditions {
    pub(crate) if_match: Option<ETagCondition>,
    pub(crate) if_none_match: Option<ETagCondition>,
    pub(crate) if_modified_since: Option<Timestamp>,
    pub(crate) if_unmodified_since: Option<Timestamp>,
}

/// The conditions of a GET's or HEAD's input.
macro_rules! read_conditions {
    ($input:expr) => {
        $crate::conditions::ReadConditions {
            if_match: $input.if_match,
            if_none_match: $input.if_none_match,
            if_modified_since: $input.if_modified_since,
            if_unmodified_since: $input.if_unmodified_since,
        }
    };
}
pub(crate) use read_conditions;

/// The conditions on the source in a copy's input.
macro_rules! source_conditions {
    ($input:expr) => {
        $crate::conditions::ReadConditions {
            if_match: $input.copy_source_if_match,
            if_none_match: $input.copy_source_if_none_match,
            if_modified_since: $input.copy_source_if_modified_since,
            if_unmodified_since: $input.copy_source_if_unmodified_since,
        }
    };
}
pub(crate) use source_conditions;

/// How a failed condition is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Failed {
    /// 412.
    Precondition,
    /// 304 on a read, 412 on a copy.
    NotModified,
}

impl ReadConditions {
    /// Whether nothing is asked.
    pub(crate) fn is_empty(&self) -> bool {
        self.if_match.is_none()
            && self.if_none_match.is_none()
            && self.if_modified_since.is_none()
            && self.if_unmodified_since.is_none()
    }

    /// 412 or 304 if a condition does not hold.
    pub(crate) fn check_read(&self, head: &ObjectHead) -> S3Result {
        match self.failed(head) {
            None => Ok(()),
            Some(Failed::Precondition) => Err(precondition_failed()),
            Some(Failed::NotModified) => Err(not_modified(head)),
        }
    }

    /// 412 if a condition on a copy's source does not hold.
    pub(crate) fn check_copy_source(&self, head: &ObjectHead) -> S3Result {
        match self.failed(head) {
            None => Ok(()),
            Some(_) => Err(precondition_failed()),
        }
    }

    /// In the order of RFC 9110, 13.2.2: an entity tag decides before a date does.
    fn failed(&self, head: &ObjectHead) -> Option<Failed> {
        let etag = head.etag.to_string();
        let modified = head.modified.0 / 1000;
        match (&self.if_match, &self.if_unmodified_since) {
            (Some(condition), _) if !matches(condition, &etag) => {
                return Some(Failed::Precondition);
            }
            (None, Some(time)) if modified > seconds(time) => return Some(Failed::Precondition),
            _ => {}
        }
        match (&self.if_none_match, &self.if_modified_since) {
            (Some(condition), _) if matches(condition, &etag) => Some(Failed::NotModified),
            (None, Some(time)) if modified <= seconds(time) => Some(Failed::NotModified),
            _ => None,
        }
    }
}

/// Whether one of the listed entity tags is the object's.
fn matches(condition: &ETagCondition, etag: &str) -> bool {
    match condition {
        ETagCondition::Any => true,
        // A list arrives as one value, its inner quotes still in it.
        ETagCondition::ETag(listed) => listed
            .value()
            .split(',')
            .any(|one| one.trim().trim_start_matches("W/").trim_matches('"') == etag),
    }
}

/// HTTP dates have seconds; the object's time is cut to them too.
fn seconds(time: &Timestamp) -> u64 {
    let time: OffsetDateTime = time.clone().into();
    u64::try_from(time.unix_timestamp()).unwrap_or(0)
}

pub(crate) fn precondition_failed() -> S3Error {
    S3Error::with_message(
        S3ErrorCode::PreconditionFailed,
        "At least one of the pre-conditions you specified did not hold.",
    )
}

/// 304 carries the validators (RFC 9110, 15.4.5) and no body.
fn not_modified(head: &ObjectHead) -> S3Error {
    let mut error = S3Error::new(S3ErrorCode::NotModified);
    error.set_status_code(StatusCode::NOT_MODIFIED);
    let mut headers = HeaderMap::new();
    let etag = HeaderValue::from_str(&format!("\"{}\"", head.etag));
    headers.insert(header::ETAG, etag.expect("hexadecimal is printable"));
    if let Ok(modified) = HeaderValue::from_str(&text::http_date(head.modified)) {
        headers.insert(header::LAST_MODIFIED, modified);
    }
    for name in ["cache-control", "expires"] {
        if let Some(value) = head.attributes.system.get(name)
            && let Ok(value) = HeaderValue::from_str(value)
        {
            headers.insert(name, value);
        }
    }
    error.set_headers(headers);
    error
}

#[cfg(test)]
mod tests {
    use s3s::dto::TimestampFormat;
    use types::{Attributes, Content, ETag, UnixMillis, VersionId};

    use super::*;

    /// Modified at 12:00:00.500; entity tag `aa..`.
    fn head() -> ObjectHead {
        ObjectHead {
            version: VersionId::default(),
            null: true,
            size: 0,
            etag: ETag { md5: [0xaa; 16], parts: 0 },
            modified: UnixMillis(1_700_000_000_500),
            attributes: Attributes::default(),
            checksum: None,
            content: Content::Inline(bytes::Bytes::new()),
            restore: None,
        }
    }

    fn tag(text: &str) -> Option<ETagCondition> {
        Some(text.parse().expect("an entity tag"))
    }

    fn at(seconds: i64) -> Option<Timestamp> {
        let text = seconds.to_string();
        Some(Timestamp::parse(TimestampFormat::EpochSeconds, &text).expect("a time"))
    }

    #[test]
    fn the_table_of_rfc_9110() {
        let same = format!("\"{}\"", "aa".repeat(16));
        let same = same.as_str();
        let listed = format!("\"other\", {same}");
        let before = 1_699_999_999;
        let exact = 1_700_000_000;
        use Failed::{NotModified, Precondition};
        for (if_match, if_none_match, modified_since, unmodified_since, expected) in [
            (None, None, None, None, None),
            (tag(same), None, None, None, None),
            (tag("*"), None, None, None, None),
            (tag(&listed), None, None, None, None),
            (tag("\"other\""), None, None, None, Some(Precondition)),
            // A matching entity tag wins over the date.
            (tag(same), None, None, at(before), None),
            (None, None, None, at(before), Some(Precondition)),
            (None, None, None, at(exact), None),
            (None, tag(same), None, None, Some(NotModified)),
            (None, tag("*"), None, None, Some(NotModified)),
            (None, tag(&listed), None, None, Some(NotModified)),
            (None, tag("\"other\""), None, None, None),
            // Another entity tag wins over the date.
            (None, tag("\"other\""), at(exact), None, None),
            (None, None, at(exact), None, Some(NotModified)),
            (None, None, at(before), None, None),
            (tag(same), tag(same), None, None, Some(NotModified)),
        ] {
            let conditions = ReadConditions {
                if_match,
                if_none_match,
                if_modified_since: modified_since,
                if_unmodified_since: unmodified_since,
            };
            assert_eq!(conditions.failed(&head()), expected);
        }
    }

    #[test]
    fn conditions_of_writes() {
        assert_eq!(of_write(None, None).expect("valid"), Condition::None);
        assert_eq!(of_write(None, tag("*")).expect("valid"), Condition::Absent);
        let text = "aa".repeat(16);
        let quoted = format!("\"{text}\"");
        let tagged = |etag: &str| {
            Condition::Match(Match { etag: Some(etag.to_owned()), ..Match::default() })
        };
        assert_eq!(of_write(tag(&quoted), None).expect("valid"), tagged(&text));
        assert_eq!(of_write(tag("*"), None).expect("valid"), tagged("*"));
        assert!(of_write(None, tag("\"x\"")).is_err());
        assert!(of_write(tag("*"), tag("*")).is_err());
    }

    #[test]
    fn conditions_of_deletions() {
        assert_eq!(of_delete(None, None, None).expect("valid"), Condition::None);
        for (etag, size, modified, expected, absence) in [
            (tag("\"t\""), None, None, (Some("t"), None, None), false),
            (None, Some(7), None, (None, Some(7), None), true),
            (None, None, at(5), (None, None, Some(5)), true),
            (tag("*"), Some(0), at(5), (Some("*"), Some(0), Some(5)), false),
        ] {
            let (etag_text, bytes, modified_s) = expected;
            let etag_text = etag_text.map(str::to_owned);
            let expected = Match { etag: etag_text, version: None, size: bytes, modified_s };
            let condition = of_delete(etag, size, modified).expect("valid");
            assert_eq!(allows_absence(&condition), absence, "{expected:?}");
            assert_eq!(condition, Condition::Match(expected));
        }
        assert!(!allows_absence(&Condition::None));
        assert!(of_delete(None, Some(-1), None).is_err());
    }
}
