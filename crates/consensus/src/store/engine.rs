//! What keeps a node's rows: ordered keys in column families, atomic batches that are visible at
//! once and durable later, and one call that makes durable whatever was written before.
//!
//! Two forms, one conformance test: [`Rocks`](super::rocks::Rocks) for real, and
//! [`MemoryDisk`](super::MemoryDisk) for the simulator, which keeps apart what was written from
//! what was synced.

use std::time::Duration;

use bytes::Bytes;

use crate::error::StoreError;

/// One change.
#[derive(Clone, Debug)]
pub(crate) enum Op {
    /// Sets a value.
    Put { family: &'static str, key: Vec<u8>, value: Bytes },
    /// Removes a key; no error if it is not there.
    Delete { family: &'static str, key: Vec<u8> },
    /// Removes `from <= key < to`.
    DeleteRange { family: &'static str, from: Vec<u8>, to: Vec<u8> },
}

impl Op {
    /// About what it weighs in the log.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Op::Put { key, value, .. } => key.len() + value.len(),
            Op::Delete { key, .. } => key.len(),
            Op::DeleteRange { from, to, .. } => from.len() + to.len(),
        }
    }
}

/// A key and its value.
pub(crate) type Pair = (Bytes, Bytes);

/// Pairs in ascending order of their keys.
pub(crate) type Pairs<'a> = Box<dyn Iterator<Item = Result<Pair, StoreError>> + 'a>;

/// The newest data, or a point in time.
pub(crate) trait Reader {
    /// The value of a key.
    fn get(&self, family: &'static str, key: &[u8]) -> Result<Option<Bytes>, StoreError>;

    /// Pairs with `from <= key < to`. Lazy.
    fn scan<'a>(&'a self, family: &'static str, from: &[u8], to: &[u8]) -> Pairs<'a>;
}

/// A node's rows.
pub(crate) trait Engine: Reader + Send + Sync {
    /// The last pair with `from <= key < to`.
    fn last(
        &self,
        family: &'static str,
        from: &[u8],
        to: &[u8],
    ) -> Result<Option<Pair>, StoreError>;

    /// The data as it is now, whatever is written later.
    fn snapshot(&self) -> Box<dyn Reader + '_>;

    /// Writes all or nothing, in order; visible when it returns, durable after a later
    /// [`Engine::commit`]. A crash keeps a beginning of what was written, batch by batch.
    fn write(&self, ops: Vec<Op>) -> Result<(), StoreError>;

    /// Writes, and makes durable everything that was written before by anybody. Answers how long
    /// the disk took.
    fn commit(&self, ops: Vec<Op>) -> Result<Duration, StoreError>;

    /// The orderly end.
    fn close(&self) -> Result<(), StoreError>;
}
