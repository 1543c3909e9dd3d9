//! How many chunk bytes were written and deleted, by age, so that reclaiming knows
//! where the garbage is.
//!
//! Shards are counted in buckets of consecutive sequences. One row a bucket:
//!
//! ```text
//! "usage/" ‖ bucket  ->  | version 1 B = 1 | written u64 BE | deleted u64 BE |
//! ```
//!
//! Rows are written in the batch that stores or deletes the chunks. They decide only
//! when to reclaim, never what.

/// Shards a bucket. Part of the format.
const BUCKET_SHARDS: u64 = 256;
const VERSION: u8 = 1;

/// The bucket of a sequence.
pub(crate) fn bucket(sequence: u64) -> u64 {
    sequence / BUCKET_SHARDS
}

/// First sequence of a bucket.
pub(crate) fn first_sequence(bucket: u64) -> u64 {
    bucket.saturating_mul(BUCKET_SHARDS)
}

/// Chunk bytes of one bucket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    /// Stored, whether or not deleted since; less what was reclaimed.
    pub(crate) written_bytes: u64,
    /// Deleted and not reclaimed yet.
    pub(crate) deleted_bytes: u64,
}

impl Usage {
    pub(crate) fn encode(self) -> [u8; 17] {
        let mut value = [VERSION; 17];
        value[1..9].copy_from_slice(&self.written_bytes.to_be_bytes());
        value[9..].copy_from_slice(&self.deleted_bytes.to_be_bytes());
        value
    }

    pub(crate) fn decode(value: &[u8]) -> Option<Self> {
        let (&version, rest) = value.split_first()?;
        let (written, deleted) = rest.split_first_chunk::<8>()?;
        (version == VERSION).then_some(Self {
            written_bytes: u64::from_be_bytes(*written),
            deleted_bytes: u64::from_be_bytes(deleted.try_into().ok()?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden() {
        let usage = Usage { written_bytes: 258, deleted_bytes: 3 };
        let expected = *b"\x01\0\0\0\0\0\0\x01\x02\0\0\0\0\0\0\0\x03";
        assert_eq!(usage.encode(), expected);
        assert_eq!(Usage::decode(&expected), Some(usage));
        assert_eq!(Usage::decode(&expected[..16]), None);
        assert_eq!(Usage::decode(&[&[2][..], &expected[1..]].concat()), None);
        assert_eq!((bucket(255), bucket(256), first_sequence(1)), (0, 1, 256));
    }
}
