//! The message that a target receives: the form of Amazon EventBridge.
//!
//! AWS: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html>. Beyond it, every
//! message has a sequencer, a renamed object has the reason `RenameObject`, and what was not asked
//! for by a request has no `request-id`.

use metastore::api::index::{Event, EventKind, Reason};
use serde::Serialize;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use types::{GroupId, UnixMillis};
use uuid::Uuid;

use crate::Bucket;

/// A message, ready to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The event's id: always the same for the same event, so that a receiver can tell that it
    /// comes again.
    pub id: String,
    /// JSON.
    pub body: Vec<u8>,
}

/// Who asked for what was done in the background.
const SERVICE: &str = "s3.amazonaws.com";

/// Who asked for what nobody signed.
const ANONYMOUS: &str = "anonymous";

/// The MD5 of no bytes: on AWS the entity tag of a delete marker.
const EMPTY_ETAG: &str = "d41d8cd98f00b204e9800998ecf8427e";

/// The last second that RFC 3339 can write.
const SECONDS_MAX: u64 = 253_402_300_799;

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Envelope<'a> {
    version: &'static str,
    id: &'a str,
    detail_type: &'static str,
    source: &'static str,
    account: &'a str,
    time: String,
    region: &'a str,
    resources: [String; 1],
    detail: Detail<'a>,
}

#[derive(Serialize, Default)]
#[serde(rename_all = "kebab-case")]
struct Detail<'a> {
    version: &'static str,
    event_version: &'static str,
    bucket: Name<'a>,
    object: Object<'a>,
    #[serde(skip_serializing_if = "str::is_empty")]
    request_id: &'a str,
    requester: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    source_ip_address: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deletion_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    restore_expiry_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source_storage_class: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    destination_storage_class: Option<&'static str>,
}

#[derive(Serialize, Default)]
struct Name<'a> {
    name: &'a str,
}

#[derive(Serialize, Default)]
#[serde(rename_all = "kebab-case")]
struct Object<'a> {
    key: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    etag: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version_id: Option<String>,
    sequencer: String,
}

impl Message {
    /// The message about an event of a partition.
    pub fn new(bucket: &Bucket, partition: GroupId, event: &Event) -> Self {
        let id = id(partition, event);
        let envelope = Envelope {
            version: "0",
            id: &id,
            detail_type: detail_type(event.kind),
            source: "aws.s3",
            account: &bucket.account,
            time: rfc3339(event.at),
            region: &bucket.region,
            resources: [format!("arn:aws:s3:::{}", bucket.name)],
            detail: detail(bucket, event),
        };
        let body = serde_json::to_vec(&envelope).expect("text and numbers are JSON");
        Self { id, body }
    }
}

/// A UUID of version 8 from what no other event has: event numbers are unique in a partition, and
/// the ids of buckets are random, so that two clusters do not give the same.
fn id(partition: GroupId, event: &Event) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&event.bucket.0.to_be_bytes());
    hasher.update(&partition.0.to_be_bytes());
    hasher.update(&event.number.to_be_bytes());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    let id: Uuid = uuid::Builder::from_custom_bytes(bytes).into_uuid();
    id.to_string()
}

fn detail_type(kind: EventKind) -> &'static str {
    match kind {
        EventKind::Created => "Object Created",
        EventKind::Deleted | EventKind::MarkerCreated => "Object Deleted",
        EventKind::TagsSet => "Object Tags Added",
        EventKind::TagsRemoved => "Object Tags Deleted",
        EventKind::ClassChanged(_) => "Object Storage Class Changed",
        EventKind::RestoreBegun => "Object Restore Initiated",
        EventKind::RestoreCompleted(_) => "Object Restore Completed",
        EventKind::RestoreExpired => "Object Restore Expired",
    }
}

fn detail<'a>(bucket: &'a Bucket, event: &'a Event) -> Detail<'a> {
    let etag = event.etag.map(|etag| etag.to_string());
    let object = Object {
        key: &event.key,
        version_id: event.version.map(|version| version.to_string()),
        // Numbers of a key grow with its events, and all have as many digits.
        sequencer: format!("{:016x}", event.number),
        ..Object::default()
    };
    let sized = Object { size: Some(event.size), etag: etag.clone(), ..object };
    let detail = Detail {
        version: "0",
        event_version: "1.1",
        bucket: Name { name: &bucket.name },
        request_id: &event.origin.request_id,
        requester: requester(event),
        source_ip_address: event.origin.source_ip.map(|ip| ip.to_canonical().to_string()),
        ..Detail::default()
    };
    let source_storage_class = Some(event.class.as_str());
    match event.kind {
        EventKind::Created => {
            Detail { object: sized, reason: Some(creation(event.origin.reason)), ..detail }
        }
        // "Some object attributes (such as etag and size) are present only when a delete marker is
        // created."
        EventKind::Deleted => Detail {
            object: Object { size: None, etag: None, ..sized },
            reason: Some(deletion(event.origin.reason)),
            deletion_type: Some("Permanently Deleted"),
            ..detail
        },
        EventKind::MarkerCreated => Detail {
            object: Object { size: None, etag: Some(EMPTY_ETAG.to_owned()), ..sized },
            reason: Some(deletion(event.origin.reason)),
            deletion_type: Some("Delete Marker Created"),
            ..detail
        },
        EventKind::TagsSet | EventKind::TagsRemoved => {
            Detail { object: Object { size: None, ..sized }, ..detail }
        }
        EventKind::ClassChanged(to) => {
            Detail { object: sized, destination_storage_class: Some(to.as_str()), ..detail }
        }
        EventKind::RestoreBegun => Detail { object: sized, source_storage_class, ..detail },
        EventKind::RestoreCompleted(until) => Detail {
            object: sized,
            restore_expiry_time: Some(rfc3339(until)),
            source_storage_class,
            ..detail
        },
        EventKind::RestoreExpired => Detail { object: sized, ..detail },
    }
}

fn creation(reason: Reason) -> &'static str {
    match reason {
        Reason::PostObject => "POST Object",
        Reason::CopyObject => "CopyObject",
        Reason::CompleteMultipartUpload => "CompleteMultipartUpload",
        Reason::RenameObject => "RenameObject",
        _ => "PutObject",
    }
}

fn deletion(reason: Reason) -> &'static str {
    match reason {
        Reason::LifecycleExpiration => "Lifecycle Expiration",
        Reason::RenameObject => "RenameObject",
        _ => "DeleteObject",
    }
}

fn requester(event: &Event) -> &str {
    match event.origin.requester.as_str() {
        "" if event.origin.request_id.is_empty() => SERVICE,
        "" => ANONYMOUS,
        access_key => access_key,
    }
}

/// In whole seconds, as AWS has it.
fn rfc3339(at: UnixMillis) -> String {
    let seconds = i64::try_from((at.0 / 1000).min(SECONDS_MAX)).unwrap_or_default();
    let time = OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    time.format(&Rfc3339).expect("years of four digits can be written")
}

#[cfg(test)]
mod tests;
