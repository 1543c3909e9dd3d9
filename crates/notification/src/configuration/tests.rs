use metastore::api::index::{EventKind, Origin, Reason};
use proptest::prelude::*;
use types::{BucketId, StorageClass, UnixMillis};

use super::*;

#[test]
fn the_stored_form_is_fixed() {
    let configuration = |id: &str, destination, arn: &str, prefix: Option<&str>| Configuration {
        id: id.to_owned(),
        destination,
        arn: arn.to_owned(),
        events: vec!["s3:X".to_owned()],
        filter: Filter { prefix: prefix.map(str::to_owned), suffix: None },
    };
    let notification = Notification {
        bucket: Bucket { name: "b".into(), region: "r".into(), account: "a".into() },
        configurations: vec![
            configuration("q", Destination::Queue, "x:y", Some("p")),
            configuration("t", Destination::Topic, "z", None),
        ],
        event_bridge: true,
    };
    let golden = [
        1, // version
        1, b'b', 1, b'r', 1, b'a', // bucket
        2,    // configurations
        1, b'q', 0, 3, b'x', b':', b'y', 1, 4, b's', b'3', b':', b'X', 1, 1, b'p', 0, //
        1, b't', 1, 1, b'z', 1, 4, b's', b'3', b':', b'X', 0, 0, //
        1, // event_bridge
    ];
    assert_eq!(notification.encode(), golden);
    assert_eq!(Notification::decode(&golden), Ok(notification));
    let mut longer = golden.to_vec();
    longer.push(0);
    for bytes in [&[][..], &[2, 0], &golden[..9], &longer] {
        assert!(Notification::decode(bytes).is_err(), "{bytes:?}");
    }
}

fn event(kind: EventKind, reason: Reason, key: &str) -> Event {
    Event {
        number: 1,
        at: UnixMillis(1),
        bucket: BucketId(1),
        key: key.to_owned(),
        kind,
        version: None,
        size: 0,
        etag: None,
        class: StorageClass::Standard,
        origin: Origin { reason, ..Origin::default() },
    }
}

/// Every kind and reason, and the name as the user guide has it.
const NAMED: [(EventKind, Reason, &str); 17] = [
    (EventKind::Created, Reason::PutObject, "s3:ObjectCreated:Put"),
    (EventKind::Created, Reason::PostObject, "s3:ObjectCreated:Post"),
    (EventKind::Created, Reason::CopyObject, "s3:ObjectCreated:Copy"),
    (EventKind::Created, Reason::RenameObject, "s3:ObjectCreated:Copy"),
    (
        EventKind::Created,
        Reason::CompleteMultipartUpload,
        "s3:ObjectCreated:CompleteMultipartUpload",
    ),
    (EventKind::Deleted, Reason::DeleteObject, "s3:ObjectRemoved:Delete"),
    (EventKind::Deleted, Reason::RenameObject, "s3:ObjectRemoved:Delete"),
    (EventKind::Deleted, Reason::LifecycleExpiration, "s3:LifecycleExpiration:Delete"),
    (EventKind::MarkerCreated, Reason::DeleteObject, "s3:ObjectRemoved:DeleteMarkerCreated"),
    (
        EventKind::MarkerCreated,
        Reason::LifecycleExpiration,
        "s3:LifecycleExpiration:DeleteMarkerCreated",
    ),
    (EventKind::TagsSet, Reason::PutObjectTagging, "s3:ObjectTagging:Put"),
    (EventKind::TagsRemoved, Reason::DeleteObjectTagging, "s3:ObjectTagging:Delete"),
    (
        EventKind::ClassChanged(StorageClass::Glacier),
        Reason::LifecycleTransition,
        "s3:LifecycleTransition",
    ),
    (EventKind::RestoreBegun, Reason::RestoreObject, "s3:ObjectRestore:Post"),
    (
        EventKind::RestoreCompleted(UnixMillis(2)),
        Reason::RestoreObject,
        "s3:ObjectRestore:Completed",
    ),
    (EventKind::RestoreExpired, Reason::RestoreObject, "s3:ObjectRestore:Delete"),
    (EventKind::RestoreExpired, Reason::PutObject, "s3:ObjectRestore:Delete"),
];

#[test]
fn what_a_rule_of_the_lifecycle_ends_is_not_removed_by_somebody() {
    for (kind, reason, name) in NAMED {
        assert_eq!(EventName::of(&event(kind, reason, "k")).as_str(), name, "{kind:?} {reason:?}");
    }
}

/// Everything that a configuration can ask for.
const PATTERNS: [&str; 19] = [
    "s3:ObjectCreated:*",
    "s3:ObjectCreated:Put",
    "s3:ObjectCreated:Post",
    "s3:ObjectCreated:Copy",
    "s3:ObjectCreated:CompleteMultipartUpload",
    "s3:ObjectRemoved:*",
    "s3:ObjectRemoved:Delete",
    "s3:ObjectRemoved:DeleteMarkerCreated",
    "s3:ObjectRestore:*",
    "s3:ObjectRestore:Post",
    "s3:ObjectRestore:Completed",
    "s3:ObjectRestore:Delete",
    "s3:ObjectTagging:*",
    "s3:ObjectTagging:Put",
    "s3:ObjectTagging:Delete",
    "s3:LifecycleExpiration:*",
    "s3:LifecycleExpiration:Delete",
    "s3:LifecycleExpiration:DeleteMarkerCreated",
    "s3:LifecycleTransition",
];

fn configurations() -> impl Strategy<Value = Vec<Configuration>> {
    let one = (
        "[a-c]",
        proptest::collection::vec(proptest::sample::select(&PATTERNS[..]), 1..4),
        proptest::option::of("[xy]{0,2}"),
        proptest::option::of("[xy]{0,2}"),
    );
    let one = one.prop_map(|(target, events, prefix, suffix)| Configuration {
        id: String::new(),
        destination: Destination::Queue,
        arn: format!("arn:aws:sqs:r:a:{target}"),
        events: events.into_iter().map(str::to_owned).collect(),
        filter: Filter { prefix, suffix },
    });
    let many = proptest::collection::vec(one, 0..6);
    many.prop_map(|mut many| {
        for (number, configuration) in many.iter_mut().enumerate() {
            configuration.id = number.to_string();
        }
        many
    })
}

proptest! {
    /// Against the sentences of the user guide, word by word. A configuration that passes the
    /// checks moreover has at most one rule for each event and key.
    #[test]
    fn targets_are_those_whose_configuration_asks(
        configurations in configurations(),
        which in 0..NAMED.len(),
        key in "[xy]{0,4}",
        event_bridge: bool,
    ) {
        let (kind, reason, name) = NAMED[which];
        let (family, _) = name.rsplit_once(':').expect("every name has a colon");
        let asks = |configuration: &&Configuration| {
            let named = configuration.events.iter().any(|pattern| {
                pattern == name || *pattern == format!("{family}:*") && family != "s3"
            });
            let begins = configuration.filter.prefix.as_ref().is_none_or(|it| key.starts_with(it));
            let ends = configuration.filter.suffix.as_ref().is_none_or(|it| key.ends_with(it));
            named && begins && ends
        };
        let mut expected: Vec<&str> =
            configurations.iter().filter(asks).map(|it| &it.arn[16..]).collect();
        let rules = expected.len();
        if event_bridge {
            expected.push("eventbridge");
        }
        expected.sort_unstable();
        expected.dedup();
        let notification = Notification {
            configurations: configurations.clone(),
            event_bridge,
            ..Notification::default()
        };
        let found: Vec<&str> =
            notification.targets(&event(kind, reason, &key)).into_iter().collect();
        prop_assert_eq!(found, expected);
        if notification.check().is_ok() {
            prop_assert!(rules <= 1, "two rules for one event and key");
        }
    }
}
