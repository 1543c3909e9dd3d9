//! What an operation on objects can answer other than success. The S3 layer maps each
//! variant to one AWS code.

use cluster::MetadataError;
use types::{Restore, UnixMillis, Version};

use crate::BodyError;

/// A refused or failed operation; nothing half-done is visible.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No bucket of this name.
    #[error("bucket {0:?} does not exist")]
    NoSuchBucket(String),
    /// The name is taken (by the same owner: there is one account so far).
    #[error("bucket {0:?} already exists")]
    BucketExists(String),
    /// The bucket holds versions (delete markers among them) or uploads.
    #[error("bucket {0:?} is not empty")]
    BucketNotEmpty(String),
    /// No object of this key.
    #[error("the key does not exist")]
    NoSuchKey,
    /// The key has no such version.
    #[error("the key has no such version")]
    NoSuchVersion,
    /// What was asked for is a delete marker: the current version if none was named.
    #[error("version {version} is a delete marker")]
    DeleteMarker {
        /// Its name.
        version: Version,
        /// When it was made. Zero where only an update met it and it is the null version.
        modified: UnixMillis,
    },
    /// A retention or a legal hold forbids it.
    #[error("the version is locked by a retention period or a legal hold")]
    Locked,
    /// A retention or legal hold in a bucket that has no object lock.
    #[error("the bucket has no object lock: enable it before locking objects")]
    NoLock,
    /// The bucket's versioning and object lock do not allow this change of them.
    #[error("the bucket's versioning or object lock does not allow this change")]
    BucketState,
    /// Renaming an object of a bucket whose versioning was ever enabled.
    #[error("objects of a bucket with versions cannot be renamed: copy and delete them")]
    BucketVersioned,
    /// The object is in an archive and is not restored.
    #[error("the object is archived: restore it first")]
    Archived,
    /// The object to be restored is not in an archive.
    #[error("the object is not archived")]
    NotArchived,
    /// The object to be restored is being restored.
    #[error("the object is being restored already")]
    RestoreInProgress(Restore),
    /// A document of a bucket's configuration is too large.
    #[error("the document has more than {limit_bytes} bytes")]
    ConfigTooLarge {
        /// The limit.
        limit_bytes: usize,
    },
    /// A multipart object's version was removed between its head and its read: begin again at
    /// the head.
    #[error("the object was replaced while it was being opened")]
    Replaced,
    /// Unknown, completed or aborted upload.
    #[error("the upload does not exist; it may have been aborted or completed")]
    NoSuchUpload,
    /// A conditional write whose condition does not hold.
    #[error("a precondition does not hold")]
    PreconditionFailed,
    /// A listed part is not there or its entity tag differs.
    #[error("part {number} is not there or its entity tag differs")]
    InvalidPart {
        /// The first such part.
        number: u16,
    },
    /// A part other than the last has less than 5 MiB.
    #[error("part {number} has {size} bytes; all parts but the last need 5 MiB")]
    PartTooSmall {
        /// The first such part.
        number: u16,
        /// Its bytes.
        size: u64,
    },
    /// The parts do not add up to the declared object size.
    #[error("the parts have {actual} bytes together, which is not the declared size")]
    SizeMismatch {
        /// Their sum.
        actual: u64,
    },
    /// A checksum of the parts does not match the one declared at completion.
    #[error("the object's checksum does not match the declared one")]
    ChecksumMismatch,
    /// The requested range is outside the object.
    #[error("the range is outside the object's {size} bytes")]
    InvalidRange {
        /// Bytes of the object.
        size: u64,
    },
    /// The request's own body failed.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// No placement group can keep n - 1 shards, metadata has no quorum, or a bound is
    /// reached: the client should retry. 503 with the reason.
    #[error("{0}")]
    Unavailable(String),
    /// More shards are lost than the code can replace, right now.
    #[error("{0}")]
    Unreadable(String),
    /// The outcome is unknown or something broke; logged with its chain.
    #[error("{0}")]
    Internal(String),
}

/// What a failure of metadata means for a request: `Unavailable` if nothing was changed,
/// `Internal` if something may have been.
pub(crate) fn metadata_error(error: MetadataError) -> Error {
    match error {
        MetadataError::Unavailable(_) => Error::Unavailable(error.to_string()),
        MetadataError::Unknown(_) | MetadataError::Internal(_) => {
            Error::Internal(error.to_string())
        }
    }
}
