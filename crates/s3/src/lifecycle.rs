//! Lifecycle rules of a bucket, as requests and answers write them. `repair::lifecycle` does what
//! they say.

use ::lifecycle::{
    Calendar, Filter, Invalid, Lifecycle, NoncurrentExpiration, NoncurrentTransition, Rule, State,
    Subject, TransitionMinimum, When,
};
use metastore::api::root::ConfigKind;
use s3s::{S3Error, S3ErrorCode, S3Request, S3Response, S3Result, dto::*};
use time::OffsetDateTime;
use types::{ObjectHead, UnixMillis};

use crate::{
    api::Api,
    errors::{custom, from_objects, invalid_argument},
    text,
};

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
        class: Some(head.attributes.class),
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
    let minimum = parse_minimum(input.transition_default_minimum_object_size.as_ref())?;
    let Some(configuration) = input.lifecycle_configuration else {
        return Err(S3Error::new(S3ErrorCode::MalformedXML));
    };
    let rules = Lifecycle { minimum, ..parse(configuration.rules)? };
    rules.check().map_err(invalid)?;
    api.objects
        .set_bucket_config(&input.bucket, ConfigKind::Lifecycle, Some(rules.encode().into()))
        .await
        .map_err(from_objects)?;
    Ok(S3Response::new(PutBucketLifecycleConfigurationOutput {
        transition_default_minimum_object_size: Some(show_minimum(minimum)),
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
        transition_default_minimum_object_size: Some(show_minimum(rules.minimum)),
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

fn parse_minimum(
    given: Option<&TransitionDefaultMinimumObjectSize>,
) -> S3Result<TransitionMinimum> {
    let Some(given) = given else { return Ok(TransitionMinimum::default()) };
    [TransitionMinimum::AllClasses, TransitionMinimum::VariesByClass]
        .into_iter()
        .find(|minimum| minimum.as_str() == given.as_str())
        .ok_or_else(|| {
            invalid_argument(
                "x-amz-transition-default-minimum-object-size must be all_storage_classes_128K or \
                 varies_by_storage_class.",
            )
        })
}

fn show_minimum(minimum: TransitionMinimum) -> TransitionDefaultMinimumObjectSize {
    TransitionDefaultMinimumObjectSize::from_static(minimum.as_str())
}

/// The rules as a request has them, of the default minimum; a rule without an id gets one.
fn parse(given: LifecycleRules) -> S3Result<Lifecycle> {
    let mut rules = Vec::with_capacity(given.len());
    for (number, rule) in given.into_iter().enumerate() {
        rules.push(parse_rule(number, rule)?);
    }
    Ok(Lifecycle { rules, ..Lifecycle::default() })
}

fn parse_rule(number: usize, rule: LifecycleRule) -> S3Result<Rule> {
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
                keep: kept(given.newer_noncurrent_versions)?,
            })
        })
        .transpose()?;
    let abort_uploads_days = rule
        .abort_incomplete_multipart_upload
        .map(|given| days(given.days_after_initiation.unwrap_or(0)))
        .transpose()?;
    let transitions = rule.transitions.unwrap_or_default().into_iter().map(parse_transition);
    let mut transitions = transitions.collect::<S3Result<Vec<_>>>()?;
    transitions.sort_by_key(|transition| transition.to);
    let noncurrent_transitions = rule.noncurrent_version_transitions.unwrap_or_default();
    let noncurrent_transitions = noncurrent_transitions.into_iter().map(parse_noncurrent);
    let mut noncurrent_transitions = noncurrent_transitions.collect::<S3Result<Vec<_>>>()?;
    noncurrent_transitions.sort_by_key(|transition| transition.to);
    Ok(Rule {
        id: rule.id.filter(|id| !id.is_empty()).unwrap_or_else(|| format!("rule-{number}")),
        enabled,
        bare_prefix,
        filter,
        expiration,
        expired_markers,
        noncurrent,
        abort_uploads_days,
        transitions,
        noncurrent_transitions,
    })
}

fn parse_transition(given: Transition) -> S3Result<::lifecycle::Transition> {
    let when = match (given.days, given.date) {
        (Some(number), None) => When::Days(days(number)?),
        (None, Some(date)) => When::Date(millis(date)?),
        _ => return Err(S3Error::new(S3ErrorCode::MalformedXML)),
    };
    Ok(::lifecycle::Transition { when, to: class(given.storage_class)? })
}

fn parse_noncurrent(given: NoncurrentVersionTransition) -> S3Result<NoncurrentTransition> {
    let Some(number) = given.noncurrent_days else {
        return Err(S3Error::new(S3ErrorCode::MalformedXML));
    };
    Ok(NoncurrentTransition {
        days: days(number)?,
        keep: kept(given.newer_noncurrent_versions)?,
        to: class(given.storage_class)?,
    })
}

/// No schema has the name of another one.
fn class(given: Option<TransitionStorageClass>) -> S3Result<types::StorageClass> {
    given
        .and_then(|name| name.as_str().parse().ok())
        .ok_or_else(|| S3Error::new(S3ErrorCode::MalformedXML))
}

fn days(given: i32) -> S3Result<u32> {
    u32::try_from(given)
        .map_err(|_| invalid_argument("Numbers in lifecycle rules must not be negative."))
}

/// How many newer versions stay: none if it is not said. Zero says nothing, and is refused.
fn kept(given: Option<i32>) -> S3Result<u32> {
    match given {
        None => Ok(0),
        Some(number) if number > 0 => days(number),
        Some(_) => Err(invalid_argument("'NewerNoncurrentVersions' must be a positive integer.")),
    }
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
        noncurrent_version_transitions: some(rule.noncurrent_transitions.into_iter().map(
            |transition| NoncurrentVersionTransition {
                newer_noncurrent_versions: (transition.keep > 0).then(|| signed(transition.keep)),
                noncurrent_days: Some(signed(transition.days)),
                storage_class: Some(TransitionStorageClass::from_static(transition.to.as_str())),
            },
        )),
        prefix,
        status: ExpirationStatus::from_static(if rule.enabled {
            ExpirationStatus::ENABLED
        } else {
            ExpirationStatus::DISABLED
        }),
        transitions: some(rule.transitions.into_iter().map(|transition| {
            let mut shown = Transition {
                storage_class: Some(TransitionStorageClass::from_static(transition.to.as_str())),
                ..Default::default()
            };
            match transition.when {
                When::Days(days) => shown.days = Some(signed(days)),
                When::Date(date) => shown.date = Some(text::timestamp(date)),
            }
            shown
        })),
    }
}

/// `None` if there are none, as a request without them has it.
fn some<T>(items: impl Iterator<Item = T>) -> Option<Vec<T>> {
    Some(items.collect()).filter(|items: &Vec<T>| !items.is_empty())
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
mod tests;
