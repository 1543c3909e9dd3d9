use metastore::api::index::Origin;
use types::{BucketId, ETag, StorageClass, Version, VersionId};

use super::*;

fn bucket() -> Bucket {
    Bucket {
        name: "lake".to_owned(),
        region: "us-east-1".to_owned(),
        account: "000000000000".to_owned(),
    }
}

fn event(kind: EventKind, reason: Reason) -> Event {
    Event {
        number: 0x1f,
        // 2026-01-02T03:04:05.678Z
        at: UnixMillis(1_767_323_045_678),
        bucket: BucketId(7),
        key: "a b/\"ü\"".to_owned(),
        kind,
        version: Some(Version::Id(VersionId { at: UnixMillis(1), number: 2 })),
        size: 5,
        etag: Some(ETag { md5: [0xab; 16], parts: 3 }),
        class: StorageClass::Glacier,
        origin: Origin {
            reason,
            request_id: "REQ1".to_owned(),
            requester: "root".to_owned(),
            source_ip: Some("::ffff:10.0.0.1".parse().expect("an address")),
        },
    }
}

/// What a message says between the first `"detail-type"` and the end; the rest is the same in all.
fn text(event: &Event) -> String {
    let message = Message::new(&bucket(), GroupId(3), event);
    String::from_utf8(message.body).expect("JSON is UTF-8")
}

const ID: &str = "bd22d448-bb11-8d05-97dd-d7f98a766ec0";

fn golden(detail_type: &str, object: &str, rest: &str) -> String {
    format!(r#"{{"version":"0","id":"{ID}","detail-type":"{detail_type}","source":"aws.s3","#)
        + r#""account":"000000000000","time":"2026-01-02T03:04:05Z","region":"us-east-1","#
        + r#""resources":["arn:aws:s3:::lake"],"detail":{"version":"0","event-version":"1.1","#
        + r#""bucket":{"name":"lake"},"object":{"key":"a b/\"ü\"","#
        + object
        + r#""version-id":"00000000000000010000000000000002","sequencer":"000000000000001f"},"#
        + rest
        + "}}"
}

const TAGGED: &str = r#""etag":"abababababababababababababababab-3","#;
const SIZED: &str = r#""size":5,"etag":"abababababababababababababababab-3","#;
const MARKER: &str = r#""etag":"d41d8cd98f00b204e9800998ecf8427e","#;
const REQUEST: &str = r#""request-id":"REQ1","requester":"root","source-ip-address":"10.0.0.1""#;
const SERVICE_REST: &str = r#""requester":"s3.amazonaws.com""#;

#[test]
fn what_requests_do() {
    for (kind, reason, detail_type, object, rest) in [
        (EventKind::Created, Reason::PutObject, "Object Created", SIZED, r#""reason":"PutObject""#),
        (
            EventKind::Created,
            Reason::PostObject,
            "Object Created",
            SIZED,
            r#""reason":"POST Object""#,
        ),
        (
            EventKind::Created,
            Reason::CopyObject,
            "Object Created",
            SIZED,
            r#""reason":"CopyObject""#,
        ),
        (
            EventKind::Created,
            Reason::CompleteMultipartUpload,
            "Object Created",
            SIZED,
            r#""reason":"CompleteMultipartUpload""#,
        ),
        (
            EventKind::Created,
            Reason::RenameObject,
            "Object Created",
            SIZED,
            r#""reason":"RenameObject""#,
        ),
        (
            EventKind::Deleted,
            Reason::DeleteObject,
            "Object Deleted",
            "",
            r#""reason":"DeleteObject","deletion-type":"Permanently Deleted""#,
        ),
        (
            EventKind::Deleted,
            Reason::RenameObject,
            "Object Deleted",
            "",
            r#""reason":"RenameObject","deletion-type":"Permanently Deleted""#,
        ),
        (
            EventKind::MarkerCreated,
            Reason::DeleteObject,
            "Object Deleted",
            MARKER,
            r#""reason":"DeleteObject","deletion-type":"Delete Marker Created""#,
        ),
        (
            EventKind::RestoreBegun,
            Reason::RestoreObject,
            "Object Restore Initiated",
            SIZED,
            r#""source-storage-class":"GLACIER""#,
        ),
    ] {
        let rest = format!("{REQUEST},{rest}");
        assert_eq!(text(&event(kind, reason)), golden(detail_type, object, &rest), "{kind:?}");
    }
    for (kind, reason, detail_type) in [
        (EventKind::TagsSet, Reason::PutObjectTagging, "Object Tags Added"),
        (EventKind::TagsRemoved, Reason::DeleteObjectTagging, "Object Tags Deleted"),
    ] {
        assert_eq!(text(&event(kind, reason)), golden(detail_type, TAGGED, REQUEST), "{kind:?}");
    }
}

#[test]
fn what_happens_in_the_background() {
    let day = UnixMillis(1_767_398_400_000);
    for (kind, reason, detail_type, object, rest) in [
        (
            EventKind::Deleted,
            Reason::LifecycleExpiration,
            "Object Deleted",
            "",
            r#","reason":"Lifecycle Expiration","deletion-type":"Permanently Deleted""#,
        ),
        (
            EventKind::MarkerCreated,
            Reason::LifecycleExpiration,
            "Object Deleted",
            MARKER,
            r#","reason":"Lifecycle Expiration","deletion-type":"Delete Marker Created""#,
        ),
        (
            EventKind::ClassChanged(StorageClass::DeepArchive),
            Reason::LifecycleTransition,
            "Object Storage Class Changed",
            SIZED,
            r#","destination-storage-class":"DEEP_ARCHIVE""#,
        ),
        (
            EventKind::RestoreCompleted(day),
            Reason::RestoreObject,
            "Object Restore Completed",
            SIZED,
            r#","restore-expiry-time":"2026-01-03T00:00:00Z","source-storage-class":"GLACIER""#,
        ),
        (EventKind::RestoreExpired, Reason::RestoreObject, "Object Restore Expired", SIZED, ""),
    ] {
        let origin = Origin { reason, ..Origin::default() };
        let event = Event { origin, ..event(kind, reason) };
        let rest = format!("{SERVICE_REST}{rest}");
        assert_eq!(text(&event), golden(detail_type, object, &rest), "{kind:?}");
    }
}

#[test]
fn what_is_left_out_and_what_is_bounded() {
    let mut event = event(EventKind::RestoreCompleted(UnixMillis(u64::MAX)), Reason::PutObject);
    event.version = None;
    event.origin.requester = String::new();
    let text = text(&event);
    assert!(!text.contains("version-id"), "{text}");
    assert!(text.contains(r#""requester":"anonymous""#), "{text}");
    assert!(text.contains(r#""restore-expiry-time":"9999-12-31T23:59:59Z""#), "{text}");
    event.version = Some(Version::Null);
    let message = Message::new(&bucket(), GroupId(3), &event);
    assert!(String::from_utf8_lossy(&message.body).contains(r#""version-id":"null""#));
}

#[test]
fn ids_are_of_one_event_and_sequencers_are_in_order() {
    let event = event(EventKind::Created, Reason::PutObject);
    let id = |partition, event: &Event| Message::new(&bucket(), GroupId(partition), event).id;
    assert_eq!(id(3, &event), ID);
    let next = Event { number: event.number + 1, ..event.clone() };
    let elsewhere = Event { bucket: BucketId(8), ..event.clone() };
    let ids = [id(3, &event), id(4, &event), id(3, &next), id(3, &elsewhere)];
    assert_eq!(ids.iter().collect::<std::collections::BTreeSet<_>>().len(), ids.len());
    let sequencer = |number| detail(&bucket(), &Event { number, ..event.clone() }).object.sequencer;
    let sequencers = [0, 9, 10, 0xff, 0x100, u64::MAX].map(sequencer);
    assert!(sequencers.is_sorted(), "{sequencers:?}");
}
