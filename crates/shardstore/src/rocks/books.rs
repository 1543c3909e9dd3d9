//! The figures that the writer keeps beside the shards: the next free sequence, and
//! where the garbage is.

use std::collections::{BTreeMap, BTreeSet};

use rocksdb::WriteBatch;

use super::database::{Database, Fault};
use crate::{
    keys,
    usage::{self, Usage},
};

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Books {
    /// Only grows, also when a write fails: no sequence is ever used twice.
    pub(crate) next_sequence: u64,
    buckets: BTreeMap<u64, Usage>,
    /// Buckets whose row is not as `buckets` has it.
    unwritten: BTreeSet<u64>,
}

/// Change of one bucket by one commit.
pub(crate) type Changes = BTreeMap<u64, Usage>;

impl Books {
    /// Makes the rows of a new database.
    pub(crate) fn create(database: &Database) -> Result<(), Fault> {
        let mut batch = database.batch();
        batch.put(keys::MAGIC, keys::MAGIC_VALUE);
        batch.put(keys::SEQUENCE, 0u64.to_be_bytes());
        database.write(batch, true)
    }

    /// Reads the rows; `None` if the database has none.
    pub(crate) fn load(database: &Database) -> Result<Option<Self>, Fault> {
        let corrupt = |what: &str| Fault::Corrupt(format!("{what} cannot be read"));
        let family = rocksdb::DEFAULT_COLUMN_FAMILY_NAME;
        match database.get(family, keys::MAGIC)? {
            None => return Ok(None),
            Some(magic) if *magic == *keys::MAGIC_VALUE => {}
            Some(_) => return Err(corrupt("the layout's version")),
        }
        let sequence = database.get(family, keys::SEQUENCE)?;
        let sequence = sequence.as_deref().and_then(|value| <[u8; 8]>::try_from(value).ok());
        let next_sequence =
            u64::from_be_bytes(sequence.ok_or_else(|| corrupt("the next sequence"))?);
        let mut buckets = BTreeMap::new();
        for row in database.scan(family, keys::usage_start()) {
            let (key, value) = row?;
            let Some(bucket) = keys::bucket_of(&key) else { break };
            let usage = Usage::decode(&value).ok_or_else(|| corrupt("a usage row"))?;
            buckets.insert(bucket, usage);
        }
        Ok(Some(Self { next_sequence, buckets, unwritten: BTreeSet::new() }))
    }

    /// Takes a commit's changes over and adds the rows that change to its batch.
    pub(crate) fn apply(&mut self, next_sequence: u64, changes: &Changes, batch: &mut WriteBatch) {
        if next_sequence != self.next_sequence {
            self.next_sequence = next_sequence;
            batch.put(keys::SEQUENCE, next_sequence.to_be_bytes());
        }
        for (bucket, change) in changes {
            let usage = self.buckets.entry(*bucket).or_default();
            usage.written_bytes += change.written_bytes;
            usage.deleted_bytes += change.deleted_bytes;
            self.unwritten.insert(*bucket);
        }
        for bucket in std::mem::take(&mut self.unwritten) {
            match self.buckets.get(&bucket) {
                Some(usage) => batch.put(keys::usage(bucket), usage.encode()),
                None => batch.delete(keys::usage(bucket)),
            }
        }
    }

    /// `bytes` of a bucket's garbage are gone. The row follows with the next commit; if
    /// that never comes, the range is compacted once more, which does no harm.
    pub(crate) fn reclaimed(&mut self, bucket: u64, bytes: u64) {
        if let Some(usage) = self.buckets.get_mut(&bucket) {
            usage.written_bytes = usage.written_bytes.saturating_sub(bytes);
            usage.deleted_bytes = usage.deleted_bytes.saturating_sub(bytes);
            if *usage == Usage::default() {
                self.buckets.remove(&bucket);
            }
            self.unwritten.insert(bucket);
        }
    }

    /// Bytes of deleted chunks that still occupy the disk.
    pub(crate) fn garbage_bytes(&self) -> u64 {
        self.buckets.values().map(|usage| usage.deleted_bytes).sum()
    }

    /// The buckets with garbage of at least this share, in order.
    pub(crate) fn garbage(&self, ratio_min: f64) -> Vec<(u64, Usage)> {
        let worth = |usage: &Usage| {
            usage.deleted_bytes > 0
                && usage.deleted_bytes as f64 >= ratio_min * usage.written_bytes as f64
        };
        self.buckets
            .iter()
            .filter(|(_, usage)| worth(usage))
            .map(|(bucket, usage)| (*bucket, *usage))
            .collect()
    }
}

/// The change of the bucket of `sequence`.
pub(crate) fn change(changes: &mut Changes, sequence: u64) -> &mut Usage {
    changes.entry(usage::bucket(sequence)).or_default()
}
