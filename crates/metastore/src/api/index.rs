//! Index partitions: keys, uploads, garbage.
//!
//! Every command on a key names its bucket's id. A bucket has a **gate** row in
//! the partition: absent until [`IndexCommand::OpenBucket`], then open, then
//! sealed for ever ([`IndexCommand::SealBucket`]); ids are never reused. Commands
//! and queries on a bucket without an open gate answer `BucketNotOpen` or
//! `BucketSealed`, and the caller asks the root group what became of the name. The gate
//! holds the bucket's [`BucketSettings`], which every write of its keys obeys.
//!
//! **Versions.** A key names its *current* version: the last one made that is still there. If
//! that is an object it is what GET and LIST see; if it is a delete marker the key seems
//! empty. Conditions are about the current object.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use types::{
    Attributes, BlobId, BlobRef, BucketId, BucketLock, BucketSettings, Checksum, ChecksumAlgorithm,
    ChecksumKind, Condition, ETag, ObjectHead, ObjectLock, Restore, Retention, StorageClass,
    UnixMillis, UploadId, Version, VersionId, Versioning, WriteId, WriteIntent,
};

/// The bytes of an object put in one piece, or of a part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Data {
    /// In the row; at most [`types::INLINE_BYTES_MAX`].
    Inline(Bytes),
    /// In an erasure-coded blob.
    Blob {
        /// Where.
        blob: BlobRef,
        /// Ranks that were not durable when the write was proposed; at most
        /// `n - write_quorum` of them. They are queued for repair in the same entry.
        missing: Vec<u8>,
    },
}

/// What a part row says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// 1 to 10,000.
    pub number: u16,
    /// Bytes.
    pub size: u64,
    /// MD5 of the bytes: the part's entity tag.
    pub md5: [u8; 16],
    /// The part's checksum, if the upload has an algorithm or the client sent one.
    pub checksum: Option<Checksum>,
    /// When it was applied; whatever the proposer put here is overwritten.
    pub modified: UnixMillis,
    /// Where the bytes are. In a stored row `missing` is empty.
    pub data: Data,
}

/// What an upload row says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upload {
    /// The upload.
    pub id: UploadId,
    /// The key that it will make.
    pub key: String,
    /// When it began; set at apply.
    pub initiated: UnixMillis,
    /// Attributes of the object to be.
    pub attributes: Attributes,
    /// The checksum algorithm and kind asked for at creation.
    pub checksum: Option<(ChecksumAlgorithm, ChecksumKind)>,
}

/// A change of an index partition. `write` makes retries harmless: a command whose
/// write id was applied within the last 15 minutes gets the first answer again. Not
/// remembered are `BucketNotOpen` (open the gate and propose again, with the same id),
/// `BucketSealed` and `DeadlinePassed` (they stay true).
///
/// Commands with a write id and without a deadline (`ConfigureBucket`, `DeleteObject`,
/// `UpdateObject`, `CreateUpload`, `CompleteUpload`, `AbortUpload`) also answer `DeadlinePassed`:
/// when they were not applied yet and their write id was made, as a UUID of version 7 says, more
/// than [`WRITE_AGE_MS_MAX`](crate::index::WRITE_AGE_MS_MAX) before the partition's clock. A
/// duplicate that comes after its write was forgotten can therefore never be applied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum IndexCommand {
    /// Opens the gate of a bucket. Open (whatever its settings): `Done`. Sealed: `BucketSealed`.
    OpenBucket {
        /// The bucket.
        bucket: BucketId,
        /// What it begins with.
        settings: BucketSettings,
    },
    /// Changes the settings of an open gate. Answer: `Done`, `BucketState`.
    ConfigureBucket {
        /// The bucket.
        bucket: BucketId,
        /// What changes.
        change: BucketChange,
        /// Of this attempt.
        write: WriteId,
    },
    /// Seals the gate if the bucket has neither versions (delete markers among them) nor
    /// uploads (`NotEmpty`).
    /// An absent gate is sealed too. Repeatable.
    SealBucket {
        /// The bucket.
        bucket: BucketId,
    },
    /// Makes `data` the current version of the key. Where versioning is enabled the version
    /// before stays. Otherwise the new version is the null version, and the bytes of the null
    /// version that it replaces become garbage in the same entry. Answer: `Object`; `NoLock`
    /// if it brings a retention or legal hold and the bucket has no object lock.
    PutObject {
        /// The bucket.
        bucket: BucketId,
        /// The key.
        key: String,
        /// Decided here.
        condition: Condition,
        /// Bytes of the object.
        size: u64,
        /// Entity tag.
        etag: ETag,
        /// What the user said about it.
        attributes: Attributes,
        /// Verified checksum.
        checksum: Option<Checksum>,
        /// Where the bytes are.
        data: Data,
        /// The key that goes in the same entry, if this is a renaming.
        renamed: Option<Renamed>,
        /// Who asked for it, and how.
        origin: Origin,
        /// Of this attempt; the same for its retries.
        write: WriteId,
        /// Refused (`DeadlinePassed`) once the partition's clock is past it.
        deadline: UnixMillis,
    },
    /// Without a version: removes the current object (never versioned), or makes a delete
    /// marker (enabled: a new version; suspended: in place of the null version). With one:
    /// removes that version for good, or answers `Locked`; the latest one left becomes current.
    /// Answer: `Deleted`, also if there was none (but `NoSuchKey` for `Condition::Match`).
    DeleteObject {
        /// The bucket.
        bucket: BucketId,
        /// The key.
        key: String,
        /// The version to remove.
        version: Option<Version>,
        /// Decided here: of the named version, or of the current one. A delete marker that is
        /// removed by name fulfils a `Match` that names its id and asks for nothing else.
        condition: Condition,
        /// Whether a governance retention is no hindrance: the caller has the permission.
        bypass_governance: bool,
        /// Who asked for it, and how.
        origin: Origin,
        /// Of this attempt.
        write: WriteId,
    },
    /// Changes what is said about a version, not its bytes. Answer: `Object`; `NoSuchKey`,
    /// `NoSuchVersion`, `DeleteMarker`, `Locked`, `NoLock`, `ConditionFailed` (another version
    /// than the one that the update is about), `NotArchived`, `RestoreInProgress`.
    UpdateObject {
        /// The bucket.
        bucket: BucketId,
        /// The key.
        key: String,
        /// The version; the current one if `None`.
        version: Option<Version>,
        /// What changes.
        update: ObjectUpdate,
        /// Who asked for it, and how.
        origin: Origin,
        /// Of this attempt.
        write: WriteId,
    },
    /// Puts another blob with the same content in the place of one: encoded in another way, or in
    /// another placement group. The old one becomes garbage in the same entry. Answer: `Done`;
    /// `Moved` if the version or the part is not there (any more) or has another blob;
    /// `DeadlinePassed`.
    ReplaceBlob {
        /// The bucket.
        bucket: BucketId,
        /// The key.
        key: String,
        /// The version that has the blob.
        version: VersionId,
        /// For an object of parts: its upload, and the number of the part's row.
        part: Option<(UploadId, u16)>,
        /// What is there now.
        old: BlobId,
        /// What takes its place; its content has as many bytes.
        new: BlobRef,
        /// Ranks of `new` that are not durable yet; queued for repair as by a put.
        missing: Vec<u8>,
        /// Of this attempt.
        write: WriteId,
        /// Refused once the partition's clock is past it.
        deadline: UnixMillis,
    },
    /// Begins a multipart upload. Answer: `Done`; `NoLock` as for a put.
    CreateUpload {
        /// The bucket.
        bucket: BucketId,
        /// `initiated` is overwritten at apply.
        upload: Upload,
        /// Of this attempt.
        write: WriteId,
    },
    /// Sets a part; a part of the same number is replaced and its bytes become garbage.
    /// Answer: `Done`, `NoSuchUpload`, `DeadlinePassed`.
    PutPart {
        /// The bucket.
        bucket: BucketId,
        /// The key.
        key: String,
        /// The upload.
        upload: UploadId,
        /// The part.
        part: Part,
        /// Of this attempt.
        write: WriteId,
        /// Refused once the partition's clock is past it.
        deadline: UnixMillis,
    },
    /// Makes the upload's listed parts the current version, as a put does. Parts keep their
    /// rows; the parts that are not listed become garbage. Answer: `Object`; `NoSuchUpload` (but
    /// `Object` if the key's current object came from this very upload: a repeated
    /// completion); `InvalidPart`; `PartTooSmall`; the answers of a failed condition.
    CompleteUpload {
        /// The bucket.
        bucket: BucketId,
        /// The key.
        key: String,
        /// The upload.
        upload: UploadId,
        /// Decided here.
        condition: Condition,
        /// Number and MD5 of each part, in strictly ascending number; 1 to 10,000.
        parts: Vec<(u16, [u8; 16])>,
        /// Entity tag, computed by the proposer from `parts`.
        etag: ETag,
        /// Checksum of the object, computed by the proposer from the parts' checksums.
        checksum: Option<Checksum>,
        /// If the client named the object's size: it must be the parts' sum (`SizeMismatch`).
        size: Option<u64>,
        /// The key that goes in the same entry, if this is a renaming.
        renamed: Option<Renamed>,
        /// Who asked for it, and how.
        origin: Origin,
        /// Of this attempt.
        write: WriteId,
    },
    /// Gives an upload up; its parts become garbage. Answer: `Done` or `NoSuchUpload`.
    AbortUpload {
        /// The bucket.
        bucket: BucketId,
        /// The key.
        key: String,
        /// The upload.
        upload: UploadId,
        /// Of this attempt.
        write: WriteId,
    },
    /// The bytes of these garbage rows are gone: remove the rows. At most 1,000.
    Collected {
        /// As [`IndexView::Garbage`] named them.
        rows: Vec<GarbageId>,
    },
    /// Expands a garbage row of kind [`Garbage::Upload`]: up to 1,000 of its part rows turn
    /// into garbage blobs; the row goes when no part row is left. Answer: `Done`.
    ExpandGarbage {
        /// The row.
        row: GarbageId,
    },
    /// The missing ranks of a blob are durable now: remove its repair row.
    Repaired {
        /// The blob.
        blob: BlobId,
    },
    /// Events up to this number have been delivered, or given up: remove their rows; at most
    /// 1,000 of them. Answer: `Done`.
    EventsDelivered {
        /// The last one.
        through: u64,
    },
    /// Does nothing but move the partition's clock. What is due then happens with this command as
    /// with any other: up to 100 restores become ready or end.
    Tick,
}

/// The key whose object becomes that of another key of the same partition. The new object keeps
/// the tags that the old one has when the entry is applied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Renamed {
    /// The key that is no more afterwards.
    pub from: String,
    /// Its object must still be this one (`SourceChanged` else).
    pub version: VersionId,
}

/// Who asked for a change: what its events say about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct Origin {
    /// By which operation.
    pub reason: Reason,
    /// The request's id; empty for background work.
    pub request_id: String,
    /// The access key that signed it; empty for anonymous requests and background work.
    pub requester: String,
    /// Where it came from.
    pub source_ip: Option<std::net::IpAddr>,
}

/// The operation that changed an object.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default,
)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Reason {
    #[default]
    PutObject,
    PostObject,
    CopyObject,
    CompleteMultipartUpload,
    RenameObject,
    DeleteObject,
    LifecycleExpiration,
    LifecycleTransition,
    PutObjectTagging,
    DeleteObjectTagging,
    RestoreObject,
}

/// What happened to a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum EventKind {
    /// It was made and is current.
    Created,
    /// It was removed for good.
    Deleted,
    /// It is a delete marker that was made.
    MarkerCreated,
    /// All its tags were set.
    TagsSet,
    /// All its tags were removed.
    TagsRemoved,
    /// It is in another storage class now.
    ClassChanged(StorageClass),
    /// Its restore was asked for.
    RestoreBegun,
    /// It can be read until then.
    RestoreCompleted(UnixMillis),
    /// It cannot be read any more.
    RestoreExpired,
}

/// A change of an object in a bucket whose settings ask for events. The row is written in the
/// entry that makes the change. A key's events are in the order of their numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Unique in the partition; only grows.
    pub number: u64,
    /// The partition's clock.
    pub at: UnixMillis,
    /// The bucket.
    pub bucket: BucketId,
    /// The key.
    pub key: String,
    /// What happened.
    pub kind: EventKind,
    /// The version that it is about; `None` where clients are told none.
    pub version: Option<Version>,
    /// Bytes of the object; 0 for a delete marker.
    pub size: u64,
    /// Its entity tag, if it is an object.
    pub etag: Option<ETag>,
    /// Its storage class (before a change of it).
    pub class: StorageClass,
    /// Who asked for it.
    pub origin: Origin,
}

/// A change of a bucket's settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum BucketChange {
    /// Enables or suspends versioning (`Off` is `BucketState`: there is no way back). A bucket
    /// with object lock cannot be suspended: `BucketState`.
    Versioning(Versioning),
    /// Gives the bucket object lock or changes its default retention. `BucketState` unless
    /// versioning is enabled.
    Lock(BucketLock),
    /// Whether changes of its objects are written down as events.
    Events(bool),
}

/// A change of what is said about a version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ObjectUpdate {
    /// All its tags.
    Tags(BTreeMap<String, String>),
    /// Its retention. `Locked` if the present one forbids it; `NoLock` without object lock.
    Retention {
        /// The new one.
        to: Option<Retention>,
        /// Whether a governance retention is no hindrance.
        bypass_governance: bool,
    },
    /// Its legal hold. `NoLock` without object lock.
    LegalHold(bool),
    /// Its storage class, after all its blobs were replaced. A restore is over then.
    Class {
        /// The new one.
        to: StorageClass,
        /// The very version that was looked at: `ConditionFailed` for another one.
        version: VersionId,
    },
    /// Restores an archived object (`NotArchived` for another one). While a restore is ongoing,
    /// only one that ends sooner takes its place (`RestoreInProgress` else); one that is readable
    /// stays so, and its end is moved.
    Restore {
        /// From the entry's time until it can be read, in milliseconds.
        ready_after_ms: u64,
        /// From then on until it cannot, in milliseconds; then moved to the end of that day.
        readable_ms: u64,
        /// The length of a day in milliseconds; at least 1.
        day_ms: u64,
    },
}

/// What an index command did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum IndexAnswer {
    /// Done.
    Done,
    /// The object that is current now, or that was updated.
    Object(Box<ObjectHead>),
    /// Deleted.
    Deleted {
        /// Whether there was an object, or the named version.
        existed: bool,
        /// The delete marker that was made, or the version that was removed by name.
        version: Option<Version>,
        /// Whether `version` is a delete marker.
        marker: bool,
    },
    /// The bucket has no gate here (yet): ask the root group.
    BucketNotOpen,
    /// The bucket was deleted: ask the root group what the name means now.
    BucketSealed,
    /// The bucket holds versions or uploads.
    NotEmpty,
    /// The bucket's versioning and object lock do not allow this.
    BucketState,
    /// The bucket has no object lock.
    NoLock,
    /// A retention or a legal hold forbids it.
    Locked,
    /// The version is not in an archive.
    NotArchived,
    /// Its restore is under way.
    RestoreInProgress(Restore),
    /// The version, or its blob, is not what was to be replaced.
    Moved,
    /// The object that was to be renamed is another one by now.
    SourceChanged,
    /// `If-Match` on a key without an object, or an update of one: 404.
    NoSuchKey,
    /// The key has no such version.
    NoSuchVersion,
    /// The version is a delete marker.
    DeleteMarker {
        /// Its name.
        version: Version,
    },
    /// The condition does not hold: 412.
    ConditionFailed,
    /// The write came too late; its shards will be swept. Nothing was changed.
    DeadlinePassed,
    /// Unknown, completed or aborted upload.
    NoSuchUpload,
    /// A listed part is not there or has another MD5.
    InvalidPart {
        /// The first such part.
        number: u16,
    },
    /// A part other than the last has less than 5 MiB.
    PartTooSmall {
        /// The first such part.
        number: u16,
        /// Its size in bytes.
        size: u64,
    },
    /// The parts do not add up to the size that the client named.
    SizeMismatch {
        /// Their sum in bytes.
        actual: u64,
    },
}

/// Names a garbage row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct GarbageId {
    /// When the bytes lost their last reference.
    pub since: UnixMillis,
    /// A number that is unique in the partition.
    pub number: u64,
}

/// Bytes without a reference.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Garbage {
    /// A blob.
    Blob(BlobRef),
    /// All part rows of an upload and their blobs: see [`IndexCommand::ExpandGarbage`].
    Upload {
        /// The bucket.
        bucket: BucketId,
        /// The key.
        key: String,
        /// The upload.
        upload: UploadId,
    },
}

/// A blob that was acknowledged with ranks missing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepairRow {
    /// The blob.
    pub blob: BlobRef,
    /// The ranks to write.
    pub missing: Vec<u8>,
    /// What it was written for.
    pub intent: WriteIntent,
}

/// A consecutive piece of an object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment {
    /// The part's number.
    pub number: u16,
    /// Where it begins in the object.
    pub offset: u64,
    /// Bytes.
    pub size: u64,
    /// Where the bytes are.
    pub data: Data,
}

/// A part of a multipart object. An object's parts are numbered without gaps, whatever
/// numbers they were uploaded under: clients read parts 1 to `x-amz-mp-parts-count`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedPart {
    /// Its place in the object, from 1.
    pub number: u16,
    /// Where it begins in the object.
    pub offset: u64,
    /// Bytes.
    pub size: u64,
    /// Its checksum.
    pub checksum: Option<Checksum>,
}

/// Where a listing goes on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ListAfter {
    /// After this key (`start-after`, marker, or the last key of the page before). With a
    /// delimiter it hides a common prefix only if the key is at or beyond the end of it.
    Key(String),
    /// After everything that starts with this common prefix.
    Prefix(String),
}

/// An object as a listing shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedObject {
    /// The key.
    pub key: String,
    /// Bytes.
    pub size: u64,
    /// Entity tag.
    pub etag: ETag,
    /// When it was applied.
    pub modified: UnixMillis,
    /// Algorithm and kind of its checksum.
    pub checksum: Option<(ChecksumAlgorithm, ChecksumKind)>,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// Its storage class.
    pub class: StorageClass,
    /// Its restore, if it is archived.
    pub restore: Option<Restore>,
    /// What keeps it from being deleted.
    pub lock: ObjectLock,
}

/// A version as a listing shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ListedVersion {
    /// An object.
    Object(ListedObject),
    /// A delete marker.
    Marker {
        /// The key.
        key: String,
        /// When it was made.
        modified: UnixMillis,
    },
}

impl ListedVersion {
    /// The key that it is a version of.
    pub fn key(&self) -> &str {
        match self {
            Self::Object(object) => &object.key,
            Self::Marker { key, .. } => key,
        }
    }
}

/// One line of a listing of versions; lines come in key order, and the latest version first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum VersionEntry {
    /// A version.
    Version {
        /// Its place among the versions of its key.
        id: VersionId,
        /// Whether its name is `null`.
        null: bool,
        /// Whether it is the current one.
        latest: bool,
        /// What it is.
        what: ListedVersion,
    },
    /// All keys that start with this, up to and including the delimiter.
    CommonPrefix(String),
}

/// Where a listing of versions goes on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum VersionsAfter {
    /// After all versions of this key; as [`ListAfter::Key`] with a delimiter.
    Key(String),
    /// After this version of this key: older ones, then the next key. The version need not
    /// be there (any more).
    Version(String, VersionId),
    /// After the null version of this key; if it has none, after all its versions.
    Null(String),
    /// After everything that starts with this common prefix.
    Prefix(String),
}

/// One line of a listing; lines come in key order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ListEntry {
    /// An object.
    Object(ListedObject),
    /// All keys that start with this, up to and including the delimiter.
    CommonPrefix(String),
}

/// A question to an index partition. Answers about a bucket can also be
/// [`IndexView::BucketNotOpen`] and [`IndexView::BucketSealed`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum IndexQuery {
    /// The bucket's settings. Answer: `Settings`.
    Settings {
        /// The bucket.
        bucket: BucketId,
    },
    /// The current object, or a version. Answer: `Object`, `Marker`.
    Head {
        /// The bucket.
        bucket: BucketId,
        /// The key.
        key: String,
        /// The version; the current one if `None`.
        version: Option<Version>,
    },
    /// The pieces of a multipart object that a byte range touches. Answer: `Segments`;
    /// `NoSuchUpload` if the version is gone: begin again with `Head`.
    Segments {
        /// The bucket.
        bucket: BucketId,
        /// The key.
        key: String,
        /// The version, as its head names it.
        version: VersionId,
        /// From the object's content.
        upload: UploadId,
        /// First byte.
        start: u64,
        /// Byte after the last.
        end: u64,
    },
    /// A page of the bucket. Answer: `Page`.
    List {
        /// The bucket.
        bucket: BucketId,
        /// Only keys that start with it.
        prefix: String,
        /// Groups keys into common prefixes.
        delimiter: Option<String>,
        /// Where the page begins.
        after: Option<ListAfter>,
        /// Lines at most; 1 to 1,000.
        limit: u32,
    },
    /// A page of the parts of a multipart object, numbered by their place. Answer:
    /// `ObjectParts`; `NoSuchUpload` as for `Segments`.
    ObjectParts {
        /// The bucket.
        bucket: BucketId,
        /// The key.
        key: String,
        /// The version, as its head names it.
        version: VersionId,
        /// From the object's content.
        upload: UploadId,
        /// Only numbers above it.
        after: u16,
        /// At most so many; 1 to 10,000.
        limit: u32,
    },
    /// A page of the bucket's versions. Answer: `Versions`.
    Versions {
        /// The bucket.
        bucket: BucketId,
        /// Only keys that start with it.
        prefix: String,
        /// Groups keys into common prefixes.
        delimiter: Option<String>,
        /// Where the page begins.
        after: Option<VersionsAfter>,
        /// Lines at most; 1 to 1,000.
        limit: u32,
    },
    /// An upload. Answer: `Upload`.
    Upload {
        /// The bucket.
        bucket: BucketId,
        /// The key.
        key: String,
        /// The upload.
        upload: UploadId,
    },
    /// Uploads in progress in the order of (key, upload id). Answer: `Uploads`.
    Uploads {
        /// The bucket.
        bucket: BucketId,
        /// Only keys that start with it.
        prefix: String,
        /// Groups keys into common prefixes.
        delimiter: Option<String>,
        /// After this key; with an upload id: after this upload of this key. A common prefix
        /// of this very listing without an upload id: after everything under it.
        after: Option<(String, Option<UploadId>)>,
        /// Lines at most; 1 to 1,000.
        limit: u32,
    },
    /// Parts of an upload in progress in ascending number. Answer: `Parts`, `NoSuchUpload`.
    Parts {
        /// The bucket.
        bucket: BucketId,
        /// The key.
        key: String,
        /// The upload.
        upload: UploadId,
        /// Only numbers above it.
        after: u16,
        /// At most so many; 1 to 10,000.
        limit: u32,
    },
    /// Whether a pending blob is referenced, by any version, for good. Answer: `Settled`.
    Settled {
        /// The blob.
        blob: BlobId,
        /// What it was written for.
        intent: WriteIntent,
    },
    /// Which blobs are referenced, by any version, for good, as [`IndexQuery::Settled`] for many.
    /// Answer: `Blobs`. All of one partition.
    Blobs {
        /// The blobs and what they were written for; 1 to [`ASKED_MAX`].
        asked: Vec<(BlobId, WriteIntent)>,
    },
    /// All blobs that are referenced in a partition. Answer: `Referenced`.
    Referenced {
        /// Where the page begins, as the one before says; `None` at the beginning.
        after: Option<Bytes>,
        /// At most so many; 1 to 1,000.
        limit: u32,
    },
    /// The oldest garbage. Answer: `Garbage`.
    Garbage {
        /// Only rows older than this.
        before: UnixMillis,
        /// Only rows after it.
        after: Option<GarbageId>,
        /// At most so many; 1 to 1,000.
        limit: u32,
    },
    /// The oldest events. Answer: `Events`.
    Events {
        /// Only numbers above it.
        after: Option<u64>,
        /// At most so many; 1 to 1,000.
        limit: u32,
    },
    /// Whether something waits for the clock to be moved: a restore that is to begin or to end by
    /// then. Answer: `Due`.
    Due {
        /// The present, as the asker knows it.
        now: UnixMillis,
    },
    /// Blobs with missing ranks, in the order of their ids. Answer: `Repairs`.
    Repairs {
        /// Only blobs after it.
        after: Option<BlobId>,
        /// At most so many; 1 to 1,000.
        limit: u32,
    },
}

/// Blobs that one [`IndexQuery::Blobs`] may name.
pub const ASKED_MAX: usize = 1000;

/// What the index says about a blob.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reference {
    /// It is an object's or a part's.
    Referenced(BlobRef),
    /// Nothing references it, nor ever will again.
    Unreferenced,
    /// The write's deadline is not past on the partition's clock, so it may still commit.
    Undecided,
}

/// A blob and what references it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReferencedBlob {
    /// The blob.
    pub blob: BlobRef,
    /// What an inventory would say of it: bucket, key, part, and as the deadline the time at
    /// which the version or part was made.
    pub intent: WriteIntent,
}

/// The answer to an index query.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum IndexView {
    /// The object; `None`: no such key or version.
    Object(Option<Box<ObjectHead>>),
    /// The version is a delete marker.
    Marker {
        /// Its name.
        version: Version,
        /// When it was made.
        modified: UnixMillis,
    },
    /// The bucket's settings.
    Settings(BucketSettings),
    /// Parts of an object, in ascending number, without the bytes of inline ones, and whether
    /// more follow.
    ObjectParts {
        /// The parts.
        parts: Vec<ListedPart>,
        /// Whether more follow.
        truncated: bool,
    },
    /// A page of versions.
    Versions {
        /// In the order of (key, latest first).
        entries: Vec<VersionEntry>,
        /// Where the next page begins; `None` at the end.
        next: Option<VersionsAfter>,
    },
    /// In ascending offset, covering the range.
    Segments(Vec<Segment>),
    /// A page.
    Page {
        /// In key order.
        entries: Vec<ListEntry>,
        /// Where the next page begins; `None` at the end.
        next: Option<ListAfter>,
    },
    /// The upload.
    Upload(Option<Box<Upload>>),
    /// Uploads, then common prefixes, and whether more follow.
    Uploads {
        /// In the order of (key, upload id).
        uploads: Vec<Upload>,
        /// In order.
        prefixes: Vec<String>,
        /// Where the next page begins; `None` at the end.
        next: Option<(String, Option<UploadId>)>,
    },
    /// Parts, and whether more follow.
    Parts {
        /// The upload.
        upload: Box<Upload>,
        /// In ascending number.
        parts: Vec<Part>,
        /// Whether more follow.
        truncated: bool,
    },
    /// No such upload in progress.
    NoSuchUpload,
    /// Whether the index references the blob. `None`: the write's deadline is not past on
    /// the partition's clock, so it may still commit: ask again later.
    Settled(Option<bool>),
    /// In the order of the question.
    Blobs(Vec<Reference>),
    /// A page of the blobs of a partition.
    Referenced {
        /// In the order of the rows. A blob comes once for each version or part that has it.
        blobs: Vec<ReferencedBlob>,
        /// Where the next page begins; `None` at the end.
        next: Option<Bytes>,
    },
    /// Garbage, oldest first.
    Garbage(Vec<(GarbageId, Garbage)>),
    /// Repairs.
    Repairs(Vec<RepairRow>),
    /// Events, oldest first.
    Events(Vec<Event>),
    /// Whether a [`IndexCommand::Tick`] is due.
    Due(bool),
    /// The bucket has no gate here (yet): ask the root group.
    BucketNotOpen,
    /// The bucket was deleted: ask the root group what the name means now.
    BucketSealed,
}
