//! The keys of a disk's rows, byte by byte. All integers are big-endian, so that
//! keys sort as the numbers do.
//!
//! ```text
//! records        | blob id            16 B | rank  1 B |        one row a shard
//! small, large   | sequence            8 B | stripe 4 B |       one row a chunk
//! default        | "magic"             5 B |                    what this database is
//!                | "sequence"          8 B |                    the next free sequence
//!                | "usage/"  6 B | bucket    8 B |              bytes by age, see usage.rs
//! ```
//!
//! A shard gets its sequence when it begins and no sequence is ever used twice, so
//! chunks arrive in (almost) ascending key order and compaction moves files instead
//! of rewriting them. The blob id would do that too, but only as long as all
//! gateways' clocks agree.

use types::{BlobId, ShardId};

/// Column family of the shards' records.
pub(crate) const RECORDS: &str = "records";
/// Column family of the chunks of at most [`SMALL_CHUNK_BYTES_MAX`], kept in the LSM tree.
pub(crate) const SMALL: &str = "small";
/// Column family of all other chunks, kept in blob files.
pub(crate) const LARGE: &str = "large";

/// The longest chunk that lives in the LSM tree. Part of the format: it decides where
/// a chunk is looked for.
pub(crate) const SMALL_CHUNK_BYTES_MAX: usize = 4096;

/// Key of the row that says what this database is.
pub(crate) const MAGIC: &[u8] = b"magic";
/// Its value: the name and the version of the whole layout.
pub(crate) const MAGIC_VALUE: &[u8] = b"shardlake-shards\x01";
/// Key of the row with the next free sequence (u64).
pub(crate) const SEQUENCE: &[u8] = b"sequence";

const USAGE: &[u8; 6] = b"usage/";

const RECORD_BYTES: usize = 16 + 1;
const CHUNK_BYTES: usize = 8 + 4;
const USAGE_BYTES: usize = USAGE.len() + 8;

/// Key of a shard's record.
pub(crate) fn record(shard: ShardId) -> [u8; RECORD_BYTES] {
    let mut key = [0; RECORD_BYTES];
    key[..16].copy_from_slice(shard.blob.as_bytes());
    key[16] = shard.rank;
    key
}

/// The shard of a record's key; `None` if it has another length.
pub(crate) fn shard_of(key: &[u8]) -> Option<ShardId> {
    let key: &[u8; RECORD_BYTES] = key.try_into().ok()?;
    let (blob, rank) = key.split_first_chunk::<16>()?;
    Some(ShardId { blob: BlobId::from_bytes(*blob), rank: rank[0] })
}

/// Key of a chunk.
pub(crate) fn chunk(sequence: u64, stripe: u32) -> [u8; CHUNK_BYTES] {
    let mut key = [0; CHUNK_BYTES];
    key[..8].copy_from_slice(&sequence.to_be_bytes());
    key[8..].copy_from_slice(&stripe.to_be_bytes());
    key
}

/// The column family of a chunk of this length.
pub(crate) fn chunk_family(bytes: usize) -> &'static str {
    if bytes <= SMALL_CHUNK_BYTES_MAX { SMALL } else { LARGE }
}

/// Key of a usage row.
pub(crate) fn usage(bucket: u64) -> [u8; USAGE_BYTES] {
    let mut key = [0; USAGE_BYTES];
    key[..USAGE.len()].copy_from_slice(USAGE);
    key[USAGE.len()..].copy_from_slice(&bucket.to_be_bytes());
    key
}

/// First possible usage key, to scan from.
pub(crate) fn usage_start() -> &'static [u8] {
    USAGE
}

/// The bucket of a usage row's key; `None` if it is another row's.
pub(crate) fn bucket_of(key: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(key.strip_prefix(USAGE)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden() {
        let shard = ShardId { blob: BlobId::from_bytes(*b"0123456789abcdef"), rank: 5 };
        assert_eq!(&record(shard), b"0123456789abcdef\x05");
        assert_eq!(shard_of(&record(shard)), Some(shard));
        assert_eq!(
            chunk(0x0102_0304_0506_0708, 0x0a0b_0c0d),
            *b"\x01\x02\x03\x04\x05\x06\x07\x08\x0a\x0b\x0c\x0d"
        );
        assert_eq!(usage(258), *b"usage/\0\0\0\0\0\0\x01\x02");
        assert_eq!(bucket_of(&usage(258)), Some(258));
        assert_eq!((MAGIC, SEQUENCE), (&b"magic"[..], &b"sequence"[..]));
        assert_eq!(MAGIC_VALUE, b"shardlake-shards\x01");
        assert_eq!((RECORDS, SMALL, LARGE), ("records", "small", "large"));
        assert_eq!((chunk_family(4096), chunk_family(4097)), (SMALL, LARGE));
    }

    #[test]
    fn keys_sort_as_what_they_name() {
        let shard = |blob, rank| ShardId { blob: BlobId::from_bytes([blob; 16]), rank };
        let shards = [shard(0, 255), shard(1, 0), shard(1, 9), shard(2, 0), shard(255, 0)];
        assert!(shards.is_sorted() && shards.map(record).is_sorted());
        let chunks = [(0, u32::MAX), (1, 0), (1, 256), (255, 0), (256, 0), (u64::MAX, 0)];
        assert!(chunks.map(|(sequence, stripe)| chunk(sequence, stripe)).is_sorted());
    }

    #[test]
    fn foreign_keys_are_not_misread() {
        assert_eq!(shard_of(b"short"), None);
        assert_eq!(bucket_of(MAGIC), None);
        assert_eq!(bucket_of(b"usage/\0\0"), None);
    }
}
