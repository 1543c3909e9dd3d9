//! Rules as XML has them, there and back.

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
fn transitions_come_back() {
    let class = |name: &'static str| Some(TransitionStorageClass::from_static(name));
    let step = |days, name| Transition {
        days: Some(days),
        storage_class: class(name),
        ..Default::default()
    };
    let given = LifecycleRule {
        expiration: Some(LifecycleExpiration { days: Some(400), ..Default::default() }),
        noncurrent_version_expiration: None,
        transitions: Some(vec![step(30, "STANDARD_IA"), step(90, "GLACIER")]),
        noncurrent_version_transitions: Some(vec![NoncurrentVersionTransition {
            newer_noncurrent_versions: Some(3),
            noncurrent_days: Some(0),
            storage_class: class("DEEP_ARCHIVE"),
        }]),
        ..rule(LifecycleRuleFilter { prefix: Some("p".to_owned()), ..Default::default() })
    };
    let mut mixed = given.clone();
    mixed.transitions.as_mut().expect("two").reverse();
    for sent in [given.clone(), mixed] {
        let stored = parse(vec![sent]).expect("valid");
        assert_eq!(stored.check(), Ok(()));
        let shown: Vec<_> = stored.rules.into_iter().map(show).collect();
        assert_eq!(shown, std::slice::from_ref(&given));
    }
    for minimum in [TransitionMinimum::AllClasses, TransitionMinimum::VariesByClass] {
        let shown = show_minimum(minimum);
        assert_eq!(parse_minimum(Some(&shown)).expect("ours"), minimum);
    }
}

#[test]
fn what_is_refused() {
    let code =
        |rule: LifecycleRule| parse(vec![rule]).expect_err("refused").code().as_str().to_owned();
    let plain = || rule(LifecycleRuleFilter::default());
    for (days, name) in [(Some(1), "OUTPOSTS"), (None, "GLACIER"), (Some(-1), "GLACIER")] {
        let transitions = Some(vec![Transition {
            days,
            storage_class: Some(TransitionStorageClass::from_static(name)),
            ..Default::default()
        }]);
        let expected = if days == Some(-1) { "InvalidArgument" } else { "MalformedXML" };
        assert_eq!(code(LifecycleRule { transitions, ..plain() }), expected, "{name}");
    }
    let nothing_kept = Some(NoncurrentVersionExpiration {
        noncurrent_days: Some(1),
        newer_noncurrent_versions: Some(0),
    });
    let rule_of = LifecycleRule { noncurrent_version_expiration: nothing_kept, ..plain() };
    assert_eq!(code(rule_of), "InvalidArgument");
    let unknown = TransitionDefaultMinimumObjectSize::from_static("none");
    assert!(parse_minimum(Some(&unknown)).is_err());
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
