//! The seam between a state machine and what keeps its rows: ordered keys, point
//! reads, range scans, and writes that become visible to later commands of the
//! same batch. RocksDB is one form, [`MemoryKv`] the other; one suite checks both.

use std::{collections::BTreeMap, ops::Bound};

use bytes::Bytes;

/// A read that failed: the disk did, or a checksum did. The group must stop.
#[derive(Debug, Clone, thiserror::Error)]
#[error("metadata store: {0}")]
pub struct KvError(pub String);

/// A row.
pub type Row = (Bytes, Bytes);

/// Ordered rows, read side.
pub trait KvRead {
    /// The value of a key.
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, KvError>;

    /// Rows with `from <= key`, and `key < to` if there is a `to`, in ascending key order.
    /// Lazy: a caller that stops early pays only for what it read.
    fn scan<'a>(
        &'a self,
        from: &[u8],
        to: Option<&[u8]>,
    ) -> Box<dyn Iterator<Item = Result<Row, KvError>> + 'a>;
}

/// Ordered rows, write side. Reads see the writes before them.
pub trait KvWrite: KvRead {
    /// Sets a row.
    fn put(&mut self, key: &[u8], value: &[u8]);

    /// Removes a row; no error if it is not there.
    fn delete(&mut self, key: &[u8]);
}

/// Rows in memory: for tests, and the reference that the RocksDB form is held to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemoryKv(BTreeMap<Vec<u8>, Bytes>);

impl MemoryKv {
    /// Number of rows.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl KvRead for MemoryKv {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, KvError> {
        Ok(self.0.get(key).cloned())
    }

    fn scan<'a>(
        &'a self,
        from: &[u8],
        to: Option<&[u8]>,
    ) -> Box<dyn Iterator<Item = Result<Row, KvError>> + 'a> {
        if to.is_some_and(|to| to <= from) {
            return Box::new(std::iter::empty());
        }
        let upper = to.map_or(Bound::Unbounded, |to| Bound::Excluded(to.to_vec()));
        Box::new(
            self.0
                .range((Bound::Included(from.to_vec()), upper))
                .map(|(key, value)| Ok((Bytes::copy_from_slice(key), value.clone()))),
        )
    }
}

impl KvWrite for MemoryKv {
    fn put(&mut self, key: &[u8], value: &[u8]) {
        self.0.insert(key.to_vec(), Bytes::copy_from_slice(value));
    }

    fn delete(&mut self, key: &[u8]) {
        self.0.remove(key);
    }
}
