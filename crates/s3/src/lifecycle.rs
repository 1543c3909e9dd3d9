//! Lifecycle rules of a bucket. What expires runs (`repair::lifecycle`); transitions between
//! storage classes do not exist here, so a rule that asks for one is refused.

use ::lifecycle::{
    Calendar, Filter, Invalid, Lifecycle, NoncurrentExpiration, Rule, State, Subject, When,
};
use metastore::api::root::ConfigKind;
use s3s::{S3Error, S3ErrorCode, S3Request, S3Response, S3Result, dto::*};
use time::OffsetDateTime;
use types::{ObjectHead, UnixMillis};

use crate::{
    api::Api,
    errors::{custom, from_objects, invalid_argument, not_implemented},
    text,
};

/// What AWS says since transitions of small objects have to be asked for.
const MINIMUM: &str = TransitionDefaultMinimumObjectSize::ALL_STORAGE_CLASSES_128K;

/// `x-amz-expiration`: when rules will end the current object of a key, and which one first.
pub(crate) async fn expiration(
    api: &Api,
    bucket: &str,
    key: &str,
    head: &ObjectHead,
) -> Option<Expiration> {
    // A header that cannot be told now is left out: the answer itself is there.
    let stored = api.objects.bucket_config_known(bucket, ConfigKind::Lifecycle).await.ok()??;
    let rules = Lifecycle::decode(&stored).ok()?;
    let subject = Subject {
        key,
        size: head.size,
        tags: &head.attributes.tags,
        made: head.modified,
        state: State::Current,
    };
    let calendar = Calendar::with_day_ms(api.settings.lifecycle_day_ms);
    let (end, rule) = rules.expiry(&subject, calendar)?;
    let (end, rule) = (text::http_date(end), text::url_encode(rule));
    Some(format!("expiry-date=\"{end}\", rule-id=\"{rule}\""))
}

/// `PUT /bucket?lifecycle`: replaces all rules.
pub(crate) async fn put_bucket_lifecycle_configuration(
    api: &Api,
    request: S3Request<PutBucketLifecycleConfigurationInput>,
) -> S3Result<S3Response<PutBucketLifecycleConfigurationOutput>> {
    let input = request.input;
    if input.transition_default_minimum_object_size.is_some_and(|it| it.as_str() != MINIMUM) {
        return Err(not_implemented(
            "The header x-amz-transition-default-minimum-object-size with another value than \
             all_storage_classes_128K",
        ));
    }
    let Some(configuration) = input.lifecycle_configuration else {
        return Err(S3Error::new(S3ErrorCode::MalformedXML));
    };
    let rules = parse(configuration.rules)?;
    rules.check().map_err(invalid)?;
    api.objects
        .set_bucket_config(&input.bucket, ConfigKind::Lifecycle, Some(rules.encode().into()))
        .await
        .map_err(from_objects)?;
    Ok(S3Response::new(PutBucketLifecycleConfigurationOutput {
        transition_default_minimum_object_size: Some(
            TransitionDefaultMinimumObjectSize::from_static(MINIMUM),
        ),
    }))
}

/// `GET /bucket?lifecycle`.
pub(crate) async fn get_bucket_lifecycle_configuration(
    api: &Api,
    request: S3Request<GetBucketLifecycleConfigurationInput>,
) -> S3Result<S3Response<GetBucketLifecycleConfigurationOutput>> {
    let stored = api
        .objects
        .bucket_config(&request.input.bucket, ConfigKind::Lifecycle)
        .await
        .map_err(from_objects)?;
    let Some(stored) = stored else {
        return Err(custom(
            "NoSuchLifecycleConfiguration",
            http::StatusCode::NOT_FOUND,
            "The lifecycle configuration does not exist.",
        ));
    };
    let rules = Lifecycle::decode(&stored).map_err(unreadable)?;
    Ok(S3Response::new(GetBucketLifecycleConfigurationOutput {
        rules: Some(rules.rules.into_iter().map(show).collect()),
        transition_default_minimum_object_size: Some(
            TransitionDefaultMinimumObjectSize::from_static(MINIMUM),
        ),
    }))
}

/// `DELETE /bucket?lifecycle`.
pub(crate) async fn delete_bucket_lifecycle(
    api: &Api,
    request: S3Request<DeleteBucketLifecycleInput>,
) -> S3Result<S3Response<DeleteBucketLifecycleOutput>> {
    api.objects
        .set_bucket_config(&request.input.bucket, ConfigKind::Lifecycle, None)
        .await
        .map_err(from_objects)?;
    Ok(S3Response::new(DeleteBucketLifecycleOutput {}))
}

fn invalid(error: Invalid) -> S3Error {
    match error {
        Invalid::Malformed(message) => S3Error::with_message(S3ErrorCode::MalformedXML, message),
        Invalid::Argument(message) => invalid_argument(message),
    }
}

fn unreadable(error: ::lifecycle::rule::Unreadable) -> S3Error {
    from_objects(objects::Error::Internal(error.to_string()))
}

/// The rules as a request has them; a rule without an id gets one.
fn parse(given: LifecycleRules) -> S3Result<Lifecycle> {
    let mut rules = Vec::with_capacity(given.len());
    for (number, rule) in given.into_iter().enumerate() {
        rules.push(parse_rule(number, rule)?);
    }
    Ok(Lifecycle { rules })
}

fn parse_rule(number: usize, rule: LifecycleRule) -> S3Result<Rule> {
    if !rule.transitions.unwrap_or_default().is_empty()
        || !rule.noncurrent_version_transitions.unwrap_or_default().is_empty()
    {
        return Err(not_implemented("A lifecycle rule with a Transition"));
    }
    let enabled = match rule.status.as_str() {
        ExpirationStatus::ENABLED => true,
        ExpirationStatus::DISABLED => false,
        _ => return Err(S3Error::new(S3ErrorCode::MalformedXML)),
    };
    let (bare_prefix, filter) = match (rule.prefix, rule.filter) {
        (None, Some(filter)) => (false, parse_filter(filter)?),
        (Some(prefix), None) => (true, Filter { prefix, ..Filter::default() }),
        // One of the two, AWS says.
        _ => return Err(S3Error::new(S3ErrorCode::MalformedXML)),
    };
    let (expiration, expired_markers) = match rule.expiration {
        None => (None, false),
        Some(expiration) => parse_expiration(expiration)?,
    };
    let noncurrent = rule
        .noncurrent_version_expiration
        .map(|given| {
            Ok::<_, S3Error>(NoncurrentExpiration {
                days: days(given.noncurrent_days.unwrap_or(0))?,
                keep: days(given.newer_noncurrent_versions.unwrap_or(0))?,
            })
        })
        .transpose()?;
    let abort_uploads_days = rule
        .abort_incomplete_multipart_upload
        .map(|given| days(given.days_after_initiation.unwrap_or(0)))
        .transpose()?;
    Ok(Rule {
        id: rule.id.filter(|id| !id.is_empty()).unwrap_or_else(|| format!("rule-{number}")),
        enabled,
        bare_prefix,
        filter,
        expiration,
        expired_markers,
        noncurrent,
        abort_uploads_days,
    })
}

fn days(given: i32) -> S3Result<u32> {
    u32::try_from(given)
        .map_err(|_| invalid_argument("Numbers in lifecycle rules must not be negative."))
}

fn parse_expiration(given: LifecycleExpiration) -> S3Result<(Option<When>, bool)> {
    let when = match (given.days, given.date) {
        (None, None) => None,
        (Some(number), None) => Some(When::Days(days(number)?)),
        (None, Some(date)) => Some(When::Date(millis(date)?)),
        (Some(_), Some(_)) => return Err(S3Error::new(S3ErrorCode::MalformedXML)),
    };
    match (when, given.expired_object_delete_marker) {
        (None, None) => Err(S3Error::new(S3ErrorCode::MalformedXML)),
        (when, marker) => Ok((when, marker.unwrap_or(false))),
    }
}

fn millis(date: Timestamp) -> S3Result<UnixMillis> {
    let date: OffsetDateTime = date.into();
    u64::try_from(date.unix_timestamp_nanos() / 1_000_000)
        .map(UnixMillis)
        .map_err(|_| invalid_argument("'Date' must not be before 1970."))
}

fn parse_filter(given: LifecycleRuleFilter) -> S3Result<Filter> {
    let LifecycleRuleFilter {
        and,
        object_size_greater_than,
        object_size_less_than,
        prefix,
        tag,
        ..
    } = given;
    let single = [
        object_size_greater_than.is_some(),
        object_size_less_than.is_some(),
        prefix.is_some(),
        tag.is_some(),
        and.is_some(),
    ];
    if single.iter().filter(|there| **there).count() > 1 {
        return Err(S3Error::with_message(
            S3ErrorCode::MalformedXML,
            "A filter has one condition: put several of them into And.",
        ));
    }
    let (prefix, tags, larger, smaller) = match and {
        Some(and) => (
            and.prefix,
            and.tags.unwrap_or_default(),
            and.object_size_greater_than,
            and.object_size_less_than,
        ),
        None => {
            (prefix, tag.into_iter().collect(), object_size_greater_than, object_size_less_than)
        }
    };
    let mut filter = Filter {
        prefix: prefix.unwrap_or_default(),
        larger_than: larger.map(bytes).transpose()?,
        smaller_than: smaller.map(bytes).transpose()?,
        ..Filter::default()
    };
    for tag in tags {
        let (Some(key), Some(value)) = (tag.key, tag.value) else {
            return Err(S3Error::new(S3ErrorCode::MalformedXML));
        };
        if filter.tags.insert(key, value).is_some() {
            return Err(invalid_argument("Duplicate Tag Keys are not allowed."));
        }
    }
    Ok(filter)
}

fn bytes(given: i64) -> S3Result<u64> {
    u64::try_from(given).map_err(|_| invalid_argument("Object sizes must not be negative."))
}

/// A rule as an answer has it.
fn show(rule: Rule) -> LifecycleRule {
    let (prefix, filter) = if rule.bare_prefix {
        (Some(rule.filter.prefix), None)
    } else {
        (None, Some(show_filter(rule.filter)))
    };
    let expiration = (rule.expiration.is_some() || rule.expired_markers).then(|| {
        let mut shown = LifecycleExpiration::default();
        match rule.expiration {
            Some(When::Days(days)) => shown.days = Some(signed(days)),
            Some(When::Date(date)) => shown.date = Some(text::timestamp(date)),
            None => shown.expired_object_delete_marker = Some(true),
        }
        shown
    });
    LifecycleRule {
        abort_incomplete_multipart_upload: rule.abort_uploads_days.map(|days| {
            AbortIncompleteMultipartUpload { days_after_initiation: Some(signed(days)) }
        }),
        expiration,
        filter,
        id: Some(rule.id),
        noncurrent_version_expiration: rule.noncurrent.map(|it| NoncurrentVersionExpiration {
            newer_noncurrent_versions: (it.keep > 0).then(|| signed(it.keep)),
            noncurrent_days: Some(signed(it.days)),
        }),
        noncurrent_version_transitions: None,
        prefix,
        status: ExpirationStatus::from_static(if rule.enabled {
            ExpirationStatus::ENABLED
        } else {
            ExpirationStatus::DISABLED
        }),
        transitions: None,
    }
}

fn show_filter(filter: Filter) -> LifecycleRuleFilter {
    let Filter { prefix, tags, larger_than, smaller_than } = filter;
    let prefix = Some(prefix).filter(|prefix| !prefix.is_empty());
    let mut tags: Vec<Tag> =
        tags.into_iter().map(|(key, value)| Tag { key: Some(key), value: Some(value) }).collect();
    let (larger, smaller) = (larger_than.map(size), smaller_than.map(size));
    let conditions = tags.len()
        + usize::from(prefix.is_some())
        + usize::from(larger.is_some())
        + usize::from(smaller.is_some());
    let mut shown = LifecycleRuleFilter::default();
    match conditions {
        0 => shown.prefix = Some(String::new()),
        1 => {
            shown.prefix = prefix;
            shown.tag = tags.pop();
            shown.object_size_greater_than = larger;
            shown.object_size_less_than = smaller;
        }
        _ => {
            shown.and = Some(LifecycleRuleAndOperator {
                object_size_greater_than: larger,
                object_size_less_than: smaller,
                prefix,
                tags: Some(tags).filter(|tags| !tags.is_empty()),
            });
        }
    }
    shown
}

fn signed(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

fn size(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(key: &str) -> Tag {
        Tag { key: Some(key.to_owned()), value: Some("v".to_owned()) }
    }

    fn rule(filter: LifecycleRuleFilter) -> LifecycleRule {
        LifecycleRule {
            abort_incomplete_multipart_upload: None,
            expiration: Some(LifecycleExpiration { days: Some(3), ..Default::default() }),
            filter: Some(filter),
            id: Some("r".to_owned()),
            noncurrent_version_expiration: Some(NoncurrentVersionExpiration {
                newer_noncurrent_versions: Some(2),
                noncurrent_days: Some(1),
            }),
            noncurrent_version_transitions: None,
            prefix: None,
            status: ExpirationStatus::from_static(ExpirationStatus::ENABLED),
            transitions: None,
        }
    }

    #[test]
    fn what_is_put_is_what_is_got() {
        for filter in [
            LifecycleRuleFilter { prefix: Some(String::new()), ..Default::default() },
            LifecycleRuleFilter { prefix: Some("p/".to_owned()), ..Default::default() },
            LifecycleRuleFilter { tag: Some(tag("a")), ..Default::default() },
            LifecycleRuleFilter { object_size_greater_than: Some(5), ..Default::default() },
            LifecycleRuleFilter {
                and: Some(LifecycleRuleAndOperator {
                    object_size_greater_than: None,
                    object_size_less_than: Some(9),
                    prefix: Some("p".to_owned()),
                    tags: Some(vec![tag("a"), tag("b")]),
                }),
                ..Default::default()
            },
        ] {
            let given = rule(filter);
            let stored = parse(vec![given.clone()]).expect("valid");
            assert_eq!(stored.check(), Ok(()));
            let shown: Vec<_> = stored.rules.into_iter().map(show).collect();
            assert_eq!(shown, [given]);
        }
    }

    #[test]
    fn what_is_refused() {
        let code = |rule: LifecycleRule| {
            parse(vec![rule]).expect_err("refused").code().as_str().to_owned()
        };
        let plain = || rule(LifecycleRuleFilter::default());
        let transitions = Some(vec![Transition {
            days: Some(1),
            storage_class: Some(TransitionStorageClass::from_static("GLACIER")),
            ..Default::default()
        }]);
        assert_eq!(code(LifecycleRule { transitions, ..plain() }), "NotImplemented");
        assert_eq!(code(LifecycleRule { filter: None, ..plain() }), "MalformedXML");
        let two = LifecycleRuleFilter {
            prefix: Some("p".to_owned()),
            tag: Some(tag("a")),
            ..Default::default()
        };
        assert_eq!(code(rule(two)), "MalformedXML");
        let negative = Some(LifecycleExpiration { days: Some(-1), ..Default::default() });
        assert_eq!(code(LifecycleRule { expiration: negative, ..plain() }), "InvalidArgument");
        let empty = Some(LifecycleExpiration::default());
        assert_eq!(code(LifecycleRule { expiration: empty, ..plain() }), "MalformedXML");
    }
}
