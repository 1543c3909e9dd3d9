//! Objects: what a key names, apart from its bytes.

use std::{collections::BTreeMap, fmt};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{BlobRef, UnixMillis, UploadId};

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
    /// The value: 4, 8, 20 or 32 bytes, big-endian as in the header.
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
    /// `If-Match`: the key has an object with this entity tag (unquoted text).
    /// `*` matches any object.
    Match(String),
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

/// The attributes of an object that the user gave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct Attributes {
    /// System metadata by lower-case header name: `content-type`,
    /// `cache-control`, `content-disposition`, `content-encoding`,
    /// `content-language`, `expires`.
    pub system: BTreeMap<String, String>,
    /// User metadata by lower-case name without `x-amz-meta-`.
    pub user: BTreeMap<String, String>,
}

/// The current version of a key: everything but the bytes of large objects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectHead {
    /// Bytes of the object.
    pub size: u64,
    /// Entity tag.
    pub etag: ETag,
    /// When the write was applied; set by the state machine, monotonic a partition.
    pub modified: UnixMillis,
    /// What the user said about it.
    pub attributes: Attributes,
    /// The stored checksum, if any.
    pub checksum: Option<Checksum>,
    /// Where the bytes are.
    pub content: Content,
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
