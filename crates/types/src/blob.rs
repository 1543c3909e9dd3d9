//! Blobs: the bytes of one object version or part, and how they are cut.
//!
//! ```text
//! blob bytes   |<------- stripe 0 ------->|<------- stripe 1 ------->|<- last ->|
//!                k chunks of CHUNK_MAX      k chunks of CHUNK_MAX      k shorter chunks
//! shard r      = chunk r of stripe 0, chunk r of stripe 1, ..., chunk r of the last
//! ```
//!
//! All chunks of one stripe have the same length. In the last stripe it is
//! `ceil(rest / k)`; the data is padded with zeros up to `k` times that. Nothing
//! else is stored: the size of the blob alone gives every length ([`Layout`]).

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::{BlobId, BucketId, CodecId, ErasurePolicy, PgId, UnixMillis, UploadId};

/// One rank of one blob: what one disk holds of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ShardId {
    /// The blob.
    pub blob: BlobId,
    /// `0..k` are data, `k..n` coding.
    pub rank: u8,
}

/// Where a blob's bytes are and how to read them. Shard locations are not
/// stored: rank `r` is on the `r`-th disk of the placement group.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct BlobRef {
    /// The blob.
    pub id: BlobId,
    /// Its placement group.
    pub pg: PgId,
    /// Data and coding chunks.
    pub policy: ErasurePolicy,
    /// The code that made the coding chunks.
    pub codec: CodecId,
    /// Bytes of the blob as it is stored, without padding.
    pub size: u64,
    /// What those bytes are.
    pub encoding: Encoding,
}

/// What the bytes of a blob are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, Default)]
pub enum Encoding {
    /// The content itself.
    #[default]
    Plain,
    /// The content in zstd's seekable format: frames of [`Encoding::FRAME_BYTES`] of content (the
    /// last one less), then the table of their sizes.
    Zstd {
        /// Bytes of the content.
        content_bytes: u64,
    },
}

impl Encoding {
    /// Content of a frame, in bytes. Part of the format.
    pub const FRAME_BYTES: usize = 1 << 20;
}

impl BlobRef {
    /// Bytes of the content: what readers get.
    pub fn content_bytes(&self) -> u64 {
        match self.encoding {
            Encoding::Plain => self.size,
            Encoding::Zstd { content_bytes } => content_bytes,
        }
    }

    /// How this blob is cut.
    pub fn layout(&self) -> Layout {
        Layout::new(self.policy, self.size)
    }
}

/// The arithmetic of cutting `size` bytes into stripes and chunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    policy: ErasurePolicy,
    size: u64,
}

impl Layout {
    /// The longest chunk, in bytes. Part of the format.
    pub const CHUNK_MAX: usize = 1 << 20;

    /// The layout of a blob of `size` bytes.
    pub fn new(policy: ErasurePolicy, size: u64) -> Self {
        Self { policy, size }
    }

    /// The policy.
    pub fn policy(&self) -> ErasurePolicy {
        self.policy
    }

    /// Bytes of the blob.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Data bytes of a full stripe.
    pub fn stripe_bytes_max(&self) -> u64 {
        (self.policy.k() * Self::CHUNK_MAX) as u64
    }

    /// Number of stripes; zero for an empty blob.
    pub fn stripes(&self) -> u32 {
        u32::try_from(self.size.div_ceil(self.stripe_bytes_max()))
            .expect("a blob is at most 5 TiB, far under 2^32 stripes")
    }

    /// Data bytes of stripe `stripe`, without padding.
    pub fn stripe_bytes(&self, stripe: u32) -> usize {
        let start = u64::from(stripe) * self.stripe_bytes_max();
        let rest = self.size.saturating_sub(start).min(self.stripe_bytes_max());
        usize::try_from(rest).expect("a stripe is at most 32 MiB")
    }

    /// Length of each chunk of stripe `stripe`.
    pub fn chunk_bytes(&self, stripe: u32) -> usize {
        self.stripe_bytes(stripe).div_ceil(self.policy.k())
    }

    /// The stripes that the byte range (half open, inside the blob) touches.
    pub fn stripes_of(&self, bytes: &Range<u64>) -> Range<u32> {
        if bytes.is_empty() {
            return 0..0;
        }
        let number = |offset: u64| {
            u32::try_from(offset / self.stripe_bytes_max()).expect("far under 2^32 stripes")
        };
        number(bytes.start)..number(bytes.end - 1) + 1
    }

    /// Bytes that all `n` shards hold together, without the store's own overhead.
    pub fn stored_bytes(&self) -> u64 {
        let full = self.size / self.stripe_bytes_max();
        let rest = self.size % self.stripe_bytes_max();
        let n = self.policy.n() as u64;
        full * n * Self::CHUNK_MAX as u64 + n * rest.div_ceil(self.policy.k() as u64)
    }
}

/// Why a shard is being written: what the index will say once the write commits.
/// Stored with a pending shard, so that an orphan can be told from a shard whose
/// confirmation was lost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WriteIntent {
    /// The bucket that will reference the blob.
    pub bucket: BucketId,
    /// The object key.
    pub key: String,
    /// For a part: its upload and number.
    pub part: Option<(UploadId, u16)>,
    /// The index refuses to commit the write after this time.
    pub deadline: UnixMillis,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(size: u64) -> Layout {
        Layout::new(ErasurePolicy::new(4, 2).expect("valid"), size)
    }

    const MIB: u64 = 1 << 20;

    #[test]
    fn lengths_at_the_borders() {
        for (size, stripes, last_chunk) in [
            (0, 0, 0),
            (1, 1, 1),
            (5, 1, 2),
            (4 * MIB, 1, MIB as usize),
            (4 * MIB + 1, 2, 1),
            (10 * MIB, 3, MIB as usize / 2),
        ] {
            let layout = layout(size);
            assert_eq!(layout.stripes(), stripes, "{size}");
            assert_eq!(layout.chunk_bytes(stripes.saturating_sub(1)), last_chunk, "{size}");
            let sum: u64 = (0..stripes).map(|s| layout.stripe_bytes(s) as u64).sum();
            assert_eq!(sum, size);
            let stored: u64 = (0..stripes).map(|s| 6 * layout.chunk_bytes(s) as u64).sum();
            assert_eq!(stored, layout.stored_bytes());
        }
    }

    #[test]
    fn ranges_touch_only_their_stripes() {
        let layout = layout(10 * MIB);
        assert_eq!(layout.stripes_of(&(0..1)), 0..1);
        assert_eq!(layout.stripes_of(&(4 * MIB - 1..4 * MIB + 1)), 0..2);
        assert_eq!(layout.stripes_of(&(4 * MIB..8 * MIB)), 1..2);
        assert_eq!(layout.stripes_of(&(0..10 * MIB)), 0..3);
        assert_eq!(layout.stripes_of(&(7..7)), 0..0);
    }
}
