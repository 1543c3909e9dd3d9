//! The digest of a chunk: BLAKE3 over its bytes **and its place**.
//!
//! ```text
//! digest = BLAKE3( chunk bytes ‖ blob id (16) ‖ rank (u8) ‖ stripe (u32 LE) )
//! ```
//!
//! The place goes last so that the chunk stays aligned to BLAKE3's blocks. With
//! it, a chunk that is intact but belongs elsewhere (a misdirected write, a
//! wrong offset) fails the check just as a flipped bit does.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ShardId;

/// 32 bytes that prove a chunk's content and place.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ChunkDigest(pub [u8; 32]);

impl ChunkDigest {
    /// The digest of `bytes` as the chunk of `shard` in stripe number `stripe`.
    pub fn of(shard: ShardId, stripe: u32, bytes: &[u8]) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(bytes);
        Self::finish(hasher, shard, stripe)
    }

    /// Completes a hasher that has already seen the chunk's bytes, for callers
    /// that hash tile by tile while the tile is in cache.
    pub fn finish(mut hasher: blake3::Hasher, shard: ShardId, stripe: u32) -> Self {
        hasher.update(shard.blob.as_bytes());
        hasher.update(&[shard.rank]);
        hasher.update(&stripe.to_le_bytes());
        Self(*hasher.finalize().as_bytes())
    }
}

impl fmt::Debug for ChunkDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in &self.0[..8] {
            write!(f, "{byte:02x}")?;
        }
        f.write_str("..")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::BlobId;

    #[test]
    fn the_place_is_part_of_the_digest() {
        let shard = |blob, rank| ShardId { blob: BlobId::from_bytes([blob; 16]), rank };
        let digest = ChunkDigest::of(shard(1, 0), 0, b"chunk");
        assert_eq!(digest, ChunkDigest::of(shard(1, 0), 0, b"chunk"));
        assert_ne!(digest, ChunkDigest::of(shard(2, 0), 0, b"chunk"));
        assert_ne!(digest, ChunkDigest::of(shard(1, 1), 0, b"chunk"));
        assert_ne!(digest, ChunkDigest::of(shard(1, 0), 1, b"chunk"));
        assert_ne!(digest, ChunkDigest::of(shard(1, 0), 0, b"chunk "));
    }

    /// Golden value: the digest is a format. It may never change for blobs already written.
    #[test]
    fn golden() {
        let shard = ShardId { blob: BlobId::from_bytes([7; 16]), rank: 3 };
        let mut expected = blake3::Hasher::new();
        expected.update(b"shardlake");
        expected.update(&[7; 16]);
        expected.update(&[3]);
        expected.update(&[5, 0, 0, 0]);
        assert_eq!(ChunkDigest::of(shard, 5, b"shardlake").0, *expected.finalize().as_bytes());
    }
}
