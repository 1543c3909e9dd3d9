//! A chunk as it is stored.
//!
//! ```text
//! | version 1 B = 1 | digest 32 B | bytes ... |
//! ```
//!
//! The digest covers the bytes and their place ([`types::digest`]); it is compared
//! with the bytes each time they leave, so the checksums of the layers below are a
//! second line only. It stands before the bytes so that a reader can compare digests
//! without touching them.

use bytes::Bytes;
use proto::shards::Chunk;
use types::{ChunkDigest, ShardId};

use crate::Error;

const VERSION: u8 = 1;
const HEADER_BYTES: usize = 1 + 32;

/// Writes a chunk's value into `buffer`, in place of what was there.
pub(crate) fn encode(chunk: &Chunk, buffer: &mut Vec<u8>) {
    buffer.clear();
    buffer.reserve(HEADER_BYTES + chunk.bytes.len());
    buffer.push(VERSION);
    buffer.extend_from_slice(&chunk.digest.0);
    buffer.extend_from_slice(&chunk.bytes);
}

/// The digest and the bytes of a value; `None` if it is not one of this version.
fn split(value: &[u8]) -> Option<(ChunkDigest, &[u8])> {
    let (header, bytes) = value.split_first_chunk::<HEADER_BYTES>()?;
    let (&[version], digest) = header.split_first_chunk::<1>()?;
    let digest = <[u8; 32]>::try_from(digest).ok()?;
    (version == VERSION).then_some((ChunkDigest(digest), bytes))
}

/// The digest that a value claims, unchecked: to compare a repeated call with.
pub(crate) fn digest(value: &[u8]) -> Option<ChunkDigest> {
    Some(split(value)?.0)
}

/// The chunk of a value, copied and checked.
pub(crate) fn decode(shard: ShardId, stripe: u32, value: &[u8]) -> Result<Chunk, Error> {
    let corrupt = || Error::Corrupt { shard, what: format!("chunk {stripe}") };
    let (digest, bytes) = split(value).ok_or_else(corrupt)?;
    // The copy is checked, not the original: it is what leaves.
    let bytes = Bytes::copy_from_slice(bytes);
    if ChunkDigest::of(shard, stripe, &bytes) != digest && !platform::planted("unchecked-read") {
        return Err(corrupt());
    }
    Ok(Chunk { bytes, digest })
}

#[cfg(test)]
mod tests {
    use types::BlobId;

    use super::*;

    fn shard() -> ShardId {
        ShardId { blob: BlobId::from_bytes([0; 16]), rank: 3 }
    }

    fn value() -> Vec<u8> {
        let bytes = Bytes::from_static(b"shardlake");
        let digest = ChunkDigest::of(shard(), 5, &bytes);
        let mut value = vec![0xff; 3];
        encode(&Chunk { bytes, digest }, &mut value);
        value
    }

    #[test]
    fn golden() {
        let digest = ChunkDigest::of(shard(), 5, b"shardlake");
        assert_eq!(value(), [&[1][..], &digest.0, b"shardlake"].concat());
        assert_eq!(decode(shard(), 5, &value()).expect("intact").bytes, "shardlake");
        assert_eq!(super::digest(&value()), Some(digest));
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_found() {
        let good = value();
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(decode(shard(), 5, &bad).is_err(), "bit {bit}");
        }
        for length in 0..good.len() {
            assert!(decode(shard(), 5, &good[..length]).is_err(), "cut at {length}");
        }
        assert!(decode(shard(), 4, &good).is_err(), "another stripe");
    }
}
