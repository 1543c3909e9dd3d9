//! Objects: what a key names, apart from its bytes.

use std::{collections::BTreeMap, fmt};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{BlobRef, ObjectLock, Restore, StorageClass, UnixMillis, UploadId, Version, VersionId};

/// An entity tag: the MD5 of the bytes, or for a multipart object the MD5 of
/// its parts' MD5s with their number.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ETag {
    /// The MD5.
    pub md5: [u8; 16],
    /// Number of parts of a multipart object; 0 for an object put in one piece.
    pub parts: u16,
}

impl fmt::Display for ETag {
    /// Lower-case hexadecimal without quotes, with `-N` for a multipart object.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.md5 {
            write!(f, "{byte:02x}")?;
        }
        if self.parts > 0 {
            write!(f, "-{}", self.parts)?;
        }
        Ok(())
    }
}

impl fmt::Debug for ETag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The checksum algorithms of the S3 model that can be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names say it")]
pub enum ChecksumAlgorithm {
    Crc32,
    Crc32c,
    Crc64Nvme,
    Sha1,
    Sha256,
    Sha512,
    Md5,
    XxHash64,
    XxHash3,
    XxHash128,
}

/// Whether a multipart object's checksum covers its bytes or its parts' checksums.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ChecksumKind {
    /// Over the whole object's bytes.
    FullObject,
    /// Over the parts' checksums in part order; written with `-N`.
    Composite,
}

/// A checksum that the client sent or asked for, verified before the object was committed.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Checksum {
    /// The algorithm.
    pub algorithm: ChecksumAlgorithm,
    /// Over what.
    pub kind: ChecksumKind,
    /// The value: 4, 8, 16, 20, 32 or 64 bytes, big-endian as in the header.
    pub value: Vec<u8>,
    /// Number of parts for [`ChecksumKind::Composite`], else 0.
    pub parts: u16,
}

/// What must hold of the key's current object for a write to be applied.
/// Decided inside the index partition's state machine, nowhere else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
pub enum Condition {
    /// Nothing.
    #[default]
    None,
    /// `If-None-Match: *`: the key has no object.
    Absent,
    /// The key has an object, and all of this holds of it.
    Match(Match),
}

/// What must hold of an object; at least that there is one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct Match {
    /// `If-Match`: its entity tag as unquoted text; `*` is every tag.
    pub etag: Option<String>,
    /// It is this very version: for whoever decided by what it read before.
    pub version: Option<VersionId>,
    /// `x-amz-if-match-size`: its bytes.
    pub size: Option<u64>,
    /// `x-amz-if-match-last-modified-time`: its time, in whole seconds since the epoch.
    pub modified_s: Option<u64>,
}

impl Match {
    /// Whether it is about this very version and nothing else, so that it may hold of a delete
    /// marker too, where there is no object.
    pub fn is_exactly(&self, version: VersionId) -> bool {
        *self == Self { version: Some(version), ..Self::default() }
    }

    /// Whether it holds of the object.
    pub fn holds(&self, object: &ObjectHead) -> bool {
        let same_tag = |tag: &String| tag == "*" || *tag == object.etag.to_string();
        self.etag.as_ref().is_none_or(same_tag)
            && self.version.is_none_or(|version| version == object.version)
            && self.size.is_none_or(|size| size == object.size)
            && self.modified_s.is_none_or(|seconds| seconds == object.modified.0 / 1000)
    }
}

/// Where an object's bytes are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Content {
    /// In the row itself; at most [`INLINE_BYTES_MAX`].
    Inline(Bytes),
    /// One erasure-coded blob.
    Blob(BlobRef),
    /// The part rows of a completed upload, in ascending part number.
    Parts {
        /// The upload whose part rows the object adopted.
        upload: UploadId,
        /// Number of parts.
        count: u16,
    },
}

/// Objects up to this size live in their metadata row.
pub const INLINE_BYTES_MAX: usize = 4096;

/// What the user said about an object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct Attributes {
    /// System metadata by lower-case header name: `content-type`,
    /// `cache-control`, `content-disposition`, `content-encoding`,
    /// `content-language`, `expires`, `x-amz-website-redirect-location`.
    pub system: BTreeMap<String, String>,
    /// User metadata by lower-case name without `x-amz-meta-`.
    pub user: BTreeMap<String, String>,
    /// Tags; at most 10.
    pub tags: BTreeMap<String, String>,
    /// What keeps the version from being deleted. In a new version without a retention the
    /// bucket's default one is filled in at apply.
    pub lock: ObjectLock,
    /// Its storage class. Objects up to [`INLINE_BYTES_MAX`] are kept the same way in all of them.
    pub class: StorageClass,
}

/// A version of a key that is an object: everything but the bytes of large ones.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectHead {
    /// Which version it is; set by the state machine.
    pub version: VersionId,
    /// Whether clients call the version `null`.
    pub null: bool,
    /// Bytes of the object.
    pub size: u64,
    /// Entity tag.
    pub etag: ETag,
    /// When the version was made; set by the state machine, monotonic a partition.
    pub modified: UnixMillis,
    /// What the user said about it.
    pub attributes: Attributes,
    /// The stored checksum, if any.
    pub checksum: Option<Checksum>,
    /// Where the bytes are.
    pub content: Content,
    /// Of an archived object: what became of the last request to restore it.
    pub restore: Option<Restore>,
}

impl ObjectHead {
    /// What clients call the version.
    pub fn name(&self) -> Version {
        if self.null { Version::Null } else { Version::Id(self.version) }
    }

    /// Whether its bytes can be read at `now`: archived ones only while they are restored.
    pub fn is_readable(&self, now: UnixMillis) -> bool {
        !self.attributes.class.is_archive()
            || self.restore.is_some_and(|restore| restore.is_readable(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn etag_text() {
        let mut etag = ETag { md5: [0xab; 16], parts: 0 };
        assert_eq!(etag.to_string(), "ab".repeat(16));
        etag.parts = 12;
        assert_eq!(etag.to_string(), format!("{}-12", "ab".repeat(16)));
    }
}
