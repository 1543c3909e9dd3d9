//! What a batch says about those before it.

/// How a mark begins.
pub(crate) const MAGIC: [u8; 8] = *b"SLsynced";

/// Where a mark begins in its record: behind sequence, count, tag and length.
pub(crate) const MARK_AT: usize = 12 + 2;

/// Everything up to `synced` is on the disk. Written as the first entry of a batch, as log data:
/// it is in the log only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// A sequence number of RocksDB.
    pub synced: u64,
}

impl Mark {
    /// Bytes of a mark.
    pub const BYTES: usize = 16;

    /// The mark as log data.
    pub fn encode(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..].copy_from_slice(&self.synced.to_le_bytes());
        bytes
    }

    /// The mark that this log data is, if it is one.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (magic, synced) = bytes.split_first_chunk::<8>()?;
        let synced = u64::from_le_bytes(synced.try_into().ok()?);
        (*magic == MAGIC).then_some(Self { synced })
    }
}

/// How a record, one batch of writes, begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// Sequence number of its first entry.
    pub(crate) sequence: u64,
    /// Entries that have a sequence number.
    pub(crate) count: u32,
    /// If its first entry is one.
    pub(crate) mark: Option<Mark>,
}

/// Bytes of a record that [`Head::parse`] wants to see.
pub(crate) const HEAD_BYTES: usize = MARK_AT + Mark::BYTES;

/// `kTypeLogData` of RocksDB's `dbformat.h`.
const LOG_DATA: u8 = 3;

impl Head {
    /// The head of a record of which these are the first bytes; none if it is too short to be one.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let (sequence, rest) = bytes.split_first_chunk::<8>()?;
        let (count, rest) = rest.split_first_chunk::<4>()?;
        // The length of a mark is one byte as a varint.
        let mark = match rest {
            [LOG_DATA, length, data @ ..] if usize::from(*length) == Mark::BYTES => {
                data.get(..Mark::BYTES).and_then(Mark::decode)
            }
            _ => None,
        };
        let (sequence, count) = (u64::from_le_bytes(*sequence), u32::from_le_bytes(*count));
        Some(Self { sequence, count, mark })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_bytes() {
        let mark = Mark { synced: 0x0102 };
        assert_eq!(&mark.encode(), b"SLsynced\x02\x01\0\0\0\0\0\0");
        assert_eq!(Mark::decode(&mark.encode()), Some(mark));
        assert_eq!(Mark::decode(b"SLsynced"), None);
        assert_eq!(Mark::decode(b"SLstored\x02\x01\0\0\0\0\0\0"), None);
    }

    #[test]
    fn heads() {
        let mut record = vec![7, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0];
        assert_eq!(Head::parse(&record[..11]), None);
        assert_eq!(Head::parse(&record), Some(Head { sequence: 7, count: 2, mark: None }));
        record.extend([LOG_DATA, 16]);
        record.extend(Mark { synced: 5 }.encode());
        let mark = Some(Mark { synced: 5 });
        assert_eq!(Head::parse(&record), Some(Head { sequence: 7, count: 2, mark }));
        record.truncate(record.len() - 1);
        assert_eq!(Head::parse(&record).and_then(|head| head.mark), None);
    }
}
