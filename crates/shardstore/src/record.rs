//! What is stored about a shard next to its chunks.
//!
//! ```text
//! | version 1 B = 1 | postcard of v1::Record |
//! ```
//!
//! A call that adds chunks rewrites the record, so it must not grow with the shard:
//! chunk lengths are stored as runs, and all chunks of a shard but the last have the
//! same length. Digests are with the chunks.

use proto::shards::{ShardEntry, ShardState};
use serde::{Deserialize, Serialize};
use types::{BucketId, ShardId, UnixMillis, UploadId, WriteIntent};

/// The version that is written.
const VERSION: u8 = 1;

/// Some consecutive chunks of one length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    /// Length of each chunk.
    pub(crate) bytes: u32,
    /// How many.
    pub(crate) chunks: u32,
}

/// A shard, without the content of its chunks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) intent: WriteIntent,
    pub(crate) state: ShardState,
    pub(crate) sealed: bool,
    /// Under which its chunks are stored.
    pub(crate) sequence: u64,
    pub(crate) runs: Vec<Run>,
}

impl Record {
    /// A shard that begins.
    pub(crate) fn new(intent: WriteIntent, sequence: u64) -> Self {
        Self { intent, state: ShardState::Pending, sealed: false, sequence, runs: Vec::new() }
    }

    /// Number of chunks.
    pub(crate) fn stripes(&self) -> u32 {
        self.runs.iter().map(|run| run.chunks).sum()
    }

    /// Bytes of all chunks.
    pub(crate) fn bytes(&self) -> u64 {
        self.runs.iter().map(|run| u64::from(run.bytes) * u64::from(run.chunks)).sum()
    }

    /// Length of the chunk of a stripe.
    pub(crate) fn chunk_bytes(&self, stripe: u32) -> Option<usize> {
        let mut rest = stripe;
        for run in &self.runs {
            if rest < run.chunks {
                return Some(run.bytes as usize);
            }
            rest -= run.chunks;
        }
        None
    }

    /// Adds the next chunk.
    pub(crate) fn push(&mut self, bytes: u32) {
        match self.runs.last_mut() {
            Some(run) if run.bytes == bytes => run.chunks += 1,
            _ => self.runs.push(Run { bytes, chunks: 1 }),
        }
    }

    /// As an inventory lists it.
    pub(crate) fn entry(self, shard: ShardId) -> ShardEntry {
        ShardEntry {
            shard,
            state: self.state,
            stripes: self.sealed.then(|| self.stripes()),
            bytes: self.bytes(),
            intent: self.intent,
        }
    }

    /// The row's value.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let record = v1::Record {
            bucket: self.intent.bucket.0,
            key: self.intent.key.clone(),
            part: self.intent.part.map(|(upload, number)| (*upload.as_bytes(), number)),
            deadline_ms: self.intent.deadline.0,
            confirmed: self.state == ShardState::Confirmed,
            sealed: self.sealed,
            sequence: self.sequence,
            runs: self.runs.iter().map(|run| (run.bytes, run.chunks)).collect(),
        };
        postcard::to_extend(&record, vec![VERSION]).expect("a Vec takes whatever is serialized")
    }

    /// Reads a row's value; says what is wrong with it if it cannot.
    pub(crate) fn decode(value: &[u8]) -> Result<Self, String> {
        match value.split_first() {
            Some((&VERSION, body)) => {
                let (record, rest) = postcard::take_from_bytes::<v1::Record>(body)
                    .map_err(|error| format!("its record cannot be read: {error}"))?;
                if !rest.is_empty() {
                    return Err(format!("its record has {} bytes too many", rest.len()));
                }
                Self::from_v1(record)
            }
            Some((version, _)) => Err(format!("its record has the unknown version {version}")),
            None => Err("its record is empty".to_owned()),
        }
    }

    fn from_v1(record: v1::Record) -> Result<Self, String> {
        let runs: Vec<Run> =
            record.runs.into_iter().map(|(bytes, chunks)| Run { bytes, chunks }).collect();
        let stripes = runs.iter().try_fold(0u32, |sum, run| sum.checked_add(run.chunks)).is_some();
        if !stripes || runs.iter().any(|run| run.chunks == 0) {
            return Err("its record counts an impossible number of chunks".to_owned());
        }
        Ok(Self {
            intent: WriteIntent {
                bucket: BucketId(record.bucket),
                key: record.key,
                part: record.part.map(|(id, number)| (UploadId::from_bytes(id), number)),
                deadline: UnixMillis(record.deadline_ms),
            },
            state: if record.confirmed { ShardState::Confirmed } else { ShardState::Pending },
            sealed: record.sealed,
            sequence: record.sequence,
            runs,
        })
    }
}

/// As written since the first release. The order of the fields is the format.
mod v1 {
    use super::{Deserialize, Serialize};

    #[derive(Serialize, Deserialize)]
    pub(super) struct Record {
        pub(super) bucket: u64,
        pub(super) key: String,
        pub(super) part: Option<([u8; 16], u16)>,
        pub(super) deadline_ms: u64,
        pub(super) confirmed: bool,
        pub(super) sealed: bool,
        pub(super) sequence: u64,
        pub(super) runs: Vec<(u32, u32)>,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record {
        let mut record = Record::new(
            WriteIntent {
                bucket: BucketId(300),
                key: "a/b".to_owned(),
                part: Some((UploadId::from_bytes([9; 16]), 2)),
                deadline: UnixMillis(5),
            },
            7,
        );
        for bytes in [1 << 20, 1 << 20, 100] {
            record.push(bytes);
        }
        record.sealed = true;
        record
    }

    /// The bytes of version 1, for ever.
    #[test]
    fn golden() {
        let mut expected = vec![1]; // version
        expected.extend([0xac, 0x02]); // bucket 300
        expected.extend([3, b'a', b'/', b'b']);
        expected.push(1); // a part: upload, number
        expected.extend([9; 16]);
        expected.push(2);
        expected.push(5); // deadline
        expected.push(0); // confirmed
        expected.push(1); // sealed
        expected.push(7); // sequence
        expected.extend([2, 0x80, 0x80, 0x40, 2, 100, 1]); // runs: 2 of 1 MiB, 1 of 100
        assert_eq!(record().encode(), expected);
        assert_eq!(Record::decode(&expected), Ok(record()));
    }

    #[test]
    fn lengths_are_found_by_stripe() {
        let record = record();
        assert_eq!((record.stripes(), record.bytes()), (3, (2 << 20) + 100));
        assert_eq!(record.chunk_bytes(0), Some(1 << 20));
        assert_eq!(record.chunk_bytes(1), Some(1 << 20));
        assert_eq!(record.chunk_bytes(2), Some(100));
        assert_eq!(record.chunk_bytes(3), None);
    }

    #[test]
    fn damaged_values_are_refused() {
        let good = record().encode();
        assert!(Record::decode(&[]).is_err());
        assert!(Record::decode(&[2, 0, 0]).expect_err("newer").contains("version 2"));
        for length in 1..good.len() {
            assert!(Record::decode(&good[..length]).is_err(), "cut at {length}");
        }
        assert!(Record::decode(&[&good[..], &[0]].concat()).is_err());
        let mut absurd = record();
        absurd.runs = vec![Run { bytes: 1, chunks: u32::MAX }, Run { bytes: 2, chunks: 1 }];
        assert!(Record::decode(&absurd.encode()).is_err());
    }
}
