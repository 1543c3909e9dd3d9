//! What callers of the object layer say and get. Bucket and key names have been
//! validated by the protocol layer.

use std::ops::Range;

use bytes::Bytes;
use futures::stream::BoxStream;
use metastore::api::index::{
    ListAfter, ListEntry, Origin, Part, Upload, VersionEntry, VersionsAfter,
};
use types::{
    Attributes, Checksum, ChecksumAlgorithm, ChecksumKind, Condition, ETag, ObjectHead, UploadId,
    Version,
};

use crate::{Error, ObjectBody};

/// A PUT of a whole object.
pub struct Put {
    /// The bucket's name.
    pub bucket: String,
    /// The key.
    pub key: String,
    /// Decided at commit.
    pub condition: Condition,
    /// What the user said about it. A retention or legal hold needs a bucket with object
    /// lock: `NoLock` else.
    pub attributes: Attributes,
    /// Who asked for it, and how: for events.
    pub origin: Origin,
    /// The bytes.
    pub body: Box<dyn ObjectBody>,
}

/// A renaming within a bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rename {
    /// The bucket's name.
    pub bucket: String,
    /// The key that the object has.
    pub from: String,
    /// The key that it gets.
    pub to: String,
    /// What must hold of the object at `from`; there must be one in any case.
    pub source_condition: Condition,
    /// What must hold of the object at `to`. Decided at commit.
    pub condition: Condition,
    /// Who asked for it, and how: for events.
    pub origin: Origin,
}

/// A deletion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delete {
    /// The bucket's name.
    pub bucket: String,
    /// The key.
    pub key: String,
    /// The version to remove for good. `None`: the current object goes, or where the bucket
    /// is versioned a delete marker hides it.
    pub version: Option<Version>,
    /// Decided at commit: of the named version, or of the current object.
    pub condition: Condition,
    /// Whether a governance retention is no hindrance: the caller has checked the permission.
    pub bypass_governance: bool,
    /// Who asked for it, and how: for events.
    pub origin: Origin,
}

/// What a deletion did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deleted {
    /// Whether there was an object, or the named version.
    pub existed: bool,
    /// The delete marker that was made, or the version that was removed by name.
    pub version: Option<Version>,
    /// Whether `version` is a delete marker.
    pub marker: bool,
}

/// A PUT of a part.
pub struct PutPart {
    /// The bucket's name.
    pub bucket: String,
    /// The key.
    pub key: String,
    /// The upload.
    pub upload: UploadId,
    /// 1 to 10,000.
    pub number: u16,
    /// The bytes.
    pub body: Box<dyn ObjectBody>,
}

/// The beginning of a multipart upload.
pub struct CreateUpload {
    /// The bucket's name.
    pub bucket: String,
    /// The key.
    pub key: String,
    /// Attributes of the object to be; a retention or legal hold as for [`Put`].
    pub attributes: Attributes,
    /// Checksum algorithm and kind, if asked for.
    pub checksum: Option<(ChecksumAlgorithm, ChecksumKind)>,
}

/// A part as the completion lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedPart {
    /// Its number.
    pub number: u16,
    /// Its MD5 as the client knows it; `None` if the client's tag is no MD5 (never matches).
    pub md5: Option<[u8; 16]>,
    /// Its checksum as the client knows it; must match if given.
    pub checksum: Option<Checksum>,
}

/// The completion of a multipart upload.
pub struct CompleteUpload {
    /// The bucket's name.
    pub bucket: String,
    /// The key.
    pub key: String,
    /// The upload.
    pub upload: UploadId,
    /// Decided at commit.
    pub condition: Condition,
    /// Strictly ascending; the protocol layer has checked the order.
    pub parts: Vec<ListedPart>,
    /// The object's checksum, computed by the protocol layer from the parts' stored ones
    /// and checked against what the client declared.
    pub checksum: Option<Checksum>,
    /// The object's size, if the client declared it.
    pub size: Option<u64>,
    /// Who asked for it, and how: for events.
    pub origin: Origin,
}

/// An object opened for reading.
pub struct ObjectReader {
    /// The object.
    pub head: ObjectHead,
    /// The bytes that will be sent: half open, inside the object.
    pub range: Range<u64>,
    /// Verified bytes. An error ends the stream; the bytes before it are right.
    pub stream: BoxStream<'static, Result<Bytes, Error>>,
}

/// The bytes that a reader wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RangeRequest {
    /// From the first to the last byte, both inclusive; the end may lie past the object.
    FromTo(u64, u64),
    /// From a byte to the end.
    From(u64),
    /// The last so many bytes.
    Last(u64),
}

/// A page of a listing.
pub struct Page {
    /// In key order.
    pub entries: Vec<ListEntry>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<ListAfter>,
}

/// A page of a listing of versions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionsPage {
    /// In key order, the latest version of a key first.
    pub entries: Vec<VersionEntry>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<VersionsAfter>,
}

/// A page of uploads in progress.
pub struct UploadsPage {
    /// In the order of (key, upload id).
    pub uploads: Vec<Upload>,
    /// In order.
    pub prefixes: Vec<String>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<(String, Option<UploadId>)>,
}

/// A page of the parts of an upload in progress.
pub struct PartsPage {
    /// The upload.
    pub upload: Upload,
    /// In ascending number.
    pub parts: Vec<Part>,
    /// Whether more follow.
    pub truncated: bool,
}

/// What a part upload answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartDone {
    /// The part's entity tag.
    pub etag: ETag,
    /// Its checksum.
    pub checksum: Option<Checksum>,
}
