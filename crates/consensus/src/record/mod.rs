//! What values look like on disk and, for entries, on the wire between replicas.
//!
//! Every value is an envelope around a [postcard](https://postcard.jamesmunns.com) body:
//!
//! ```text
//! 0      version u8 (1)
//! 1..5   CRC-32C (Castagnoli) over key ‖ body, little-endian
//! 5..    body, postcard
//! ```
//!
//! The key is under the checksum, so that a value that ended up at another key is found
//! out too. RocksDB has checksums of its own; these also cover what memory and our own
//! code do to the bytes.

pub(crate) mod body;
pub(crate) mod entry;
pub(crate) mod position;
pub(crate) mod state;

use crc_fast::{CrcAlgorithm, Digest};
use serde::{Serialize, de::DeserializeOwned};

/// Version of every envelope that this build writes, and the only one that it reads.
pub(crate) const VERSION: u8 = 1;
const HEADER_BYTES: usize = 5;

/// A stored value that cannot be trusted or read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RecordError {
    #[error("record is shorter than its header")]
    Short,
    #[error("record has version {0}, this build reads version {VERSION}: upgrade shardlake")]
    Version(u8),
    #[error("record fails its checksum")]
    Checksum,
    #[error("record does not decode: {0}")]
    Decode(String),
}

/// The envelope of `body` at `key`.
pub(crate) fn seal<T: Serialize>(key: &[u8], body: &T) -> Vec<u8> {
    let mut record = postcard::to_extend(body, vec![0; HEADER_BYTES])
        .expect("writing to a Vec cannot fail and the bodies have known lengths");
    record[0] = VERSION;
    let checksum = checksum(key, &record[HEADER_BYTES..]);
    record[1..HEADER_BYTES].copy_from_slice(&checksum);
    record
}

/// The body of an envelope at `key`.
pub(crate) fn open<T: DeserializeOwned>(key: &[u8], record: &[u8]) -> Result<T, RecordError> {
    if record.len() < HEADER_BYTES {
        return Err(RecordError::Short);
    }
    let (header, body) = record.split_at(HEADER_BYTES);
    if header[0] != VERSION {
        return Err(RecordError::Version(header[0]));
    }
    if header[1..] != checksum(key, body) {
        return Err(RecordError::Checksum);
    }
    let (value, rest) =
        postcard::take_from_bytes(body).map_err(|error| RecordError::Decode(error.to_string()))?;
    match rest.is_empty() {
        true => Ok(value),
        false => Err(RecordError::Decode(format!("{} bytes are left over", rest.len()))),
    }
}

fn checksum(key: &[u8], body: &[u8]) -> [u8; 4] {
    let mut digest = Digest::new(CrcAlgorithm::Crc32Iscsi);
    digest.update(key);
    digest.update(body);
    u32::try_from(digest.finalize()).expect("a CRC-32 has 32 bits").to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flipped_bit_is_noticed() {
        let sealed = seal(b"key", &(7_u64, "text".to_owned()));
        assert_eq!(open::<(u64, String)>(b"key", &sealed), Ok((7, "text".to_owned())));
        for bit in 0..sealed.len() * 8 {
            let mut bad = sealed.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(open::<(u64, String)>(b"key", &bad).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn a_value_at_another_key_is_noticed() {
        let sealed = seal(b"key", &1_u8);
        assert_eq!(open::<u8>(b"kez", &sealed), Err(RecordError::Checksum));
        assert_eq!(open::<u8>(b"key", &sealed[..4]), Err(RecordError::Short));
    }

    #[test]
    fn a_newer_version_is_named() {
        let mut sealed = seal(b"key", &1_u8);
        sealed[0] = 2;
        assert_eq!(open::<u8>(b"key", &sealed), Err(RecordError::Version(2)));
    }
}
