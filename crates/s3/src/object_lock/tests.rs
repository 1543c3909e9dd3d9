//! Documents and headers of object lock, as tables.

use http::HeaderValue;

use super::*;

const NOW: UnixMillis = UnixMillis(1_700_000_000_000);

fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    pairs
        .iter()
        .map(|(name, value)| (http::HeaderName::from_static(name), HeaderValue::from_static(value)))
        .collect()
}

const MODE: &str = "x-amz-object-lock-mode";
const UNTIL: &str = "x-amz-object-lock-retain-until-date";
const HOLD: &str = "x-amz-object-lock-legal-hold";

#[test]
fn locks_of_headers() {
    let until = |mode| Some(Retention { mode, until: UnixMillis(1_800_000_000_500) });
    let date = "2027-01-15T08:00:00.5Z";
    for (sent, retention, legal_hold) in [
        (vec![], None, None),
        (vec![(HOLD, "ON")], None, Some(true)),
        (vec![(HOLD, "OFF")], None, Some(false)),
        (vec![(MODE, "GOVERNANCE"), (UNTIL, date)], until(RetentionMode::Governance), None),
        (
            vec![(MODE, "COMPLIANCE"), (UNTIL, date), (HOLD, "ON")],
            until(RetentionMode::Compliance),
            Some(true),
        ),
    ] {
        let lock = of_headers(&headers(&sent), NOW).expect("valid");
        assert_eq!(lock, ObjectLock { retention, legal_hold }, "{sent:?}");
    }
}

#[test]
fn headers_that_are_refused() {
    for (sent, message) in [
        (vec![(MODE, "GOVERNANCE")], "must both be supplied"),
        (vec![(UNTIL, "2027-01-15T08:00:00Z")], "must both be supplied"),
        (vec![(MODE, "governance"), (UNTIL, "2027-01-15T08:00:00Z")], "wormMode"),
        (vec![(MODE, "GOVERNANCE"), (UNTIL, "tomorrow")], "ISO 8601"),
        (vec![(MODE, "GOVERNANCE"), (UNTIL, "2023-01-15T08:00:00Z")], "in the future"),
        (vec![(MODE, "GOVERNANCE"), (UNTIL, "1900-01-15T08:00:00Z")], "in the future"),
        (vec![(HOLD, "on")], "'ON' or 'OFF'"),
    ] {
        let error = of_headers(&headers(&sent), NOW).expect_err("refused");
        assert_eq!(error.code(), &S3ErrorCode::InvalidArgument, "{sent:?}");
        assert!(error.message().unwrap_or_default().contains(message), "{sent:?}: {error:?}");
    }
}

/// Mode, days and years.
type Written = (Option<&'static str>, Option<i32>, Option<i32>);

fn configuration(
    enabled: &'static str,
    rule: Option<Option<Written>>,
) -> Option<ObjectLockConfiguration> {
    Some(ObjectLockConfiguration {
        object_lock_enabled: Some(ObjectLockEnabled::from_static(enabled)),
        rule: rule.map(|retention| ObjectLockRule {
            default_retention: retention.map(|(mode, days, years)| DefaultRetention {
                days,
                mode: mode.map(ObjectLockRetentionMode::from_static),
                years,
            }),
        }),
    })
}

#[test]
fn configurations() {
    use RetentionMode::{Compliance, Governance};
    let default = |mode, period| Some(BucketDefault { mode, period });
    let rule = |mode, days, years| Some(Some((Some(mode), days, years)));
    for (asked, expected) in [
        (configuration("Enabled", None), Ok(None)),
        (
            configuration("Enabled", rule("GOVERNANCE", Some(1), None)),
            Ok(default(Governance, Period::Days(1))),
        ),
        (
            configuration("Enabled", rule("COMPLIANCE", None, Some(100))),
            Ok(default(Compliance, Period::Years(100))),
        ),
        (None, Err("MalformedXML")),
        (configuration("Disabled", None), Err("MalformedXML")),
        (configuration("Enabled", Some(None)), Err("MalformedXML")),
        (configuration("Enabled", Some(Some((None, Some(1), None)))), Err("MalformedXML")),
        (configuration("Enabled", rule("governance", Some(1), None)), Err("MalformedXML")),
        (configuration("Enabled", rule("GOVERNANCE", None, None)), Err("MalformedXML")),
        (configuration("Enabled", rule("GOVERNANCE", Some(1), Some(1))), Err("MalformedXML")),
        (configuration("Enabled", rule("GOVERNANCE", Some(0), None)), Err("InvalidArgument")),
        (configuration("Enabled", rule("GOVERNANCE", None, Some(-1))), Err("InvalidArgument")),
        (configuration("Enabled", rule("GOVERNANCE", Some(36_501), None)), Err("InvalidArgument")),
        (configuration("Enabled", rule("GOVERNANCE", None, Some(101))), Err("InvalidArgument")),
    ] {
        let text = format!("{asked:?}");
        let found = parse(asked).map(|lock| lock.default);
        match (found, expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{text}"),
            (Err(error), Err(code)) => assert_eq!(error.code().as_str(), code, "{text}"),
            (found, _) => panic!("{text}: {found:?}"),
        }
    }
}

#[test]
fn ends_are_shown_to_the_millisecond() {
    let end = UnixMillis(1_800_000_000_123);
    assert_eq!(future(until(end), NOW).expect("in the future"), end);
}
