//! Reading the rows of one incarnation, from the database or from a snapshot of it.

use bytes::Bytes;

use crate::{
    KvError, KvRead, Row, keys,
    keys::ROW_PREFIX_BYTES,
    store::{Reader, Store},
};

/// Where rows are read from.
#[derive(Clone, Copy)]
pub(crate) enum Source<'a> {
    /// The newest data.
    Now,
    /// A point in time.
    Snapshot(&'a dyn Reader),
}

/// The rows behind one prefix.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    store: &'a Store,
    source: Source<'a>,
    prefix: [u8; ROW_PREFIX_BYTES],
}

impl<'a> View<'a> {
    pub(crate) fn new(
        store: &'a Store,
        source: Source<'a>,
        prefix: [u8; ROW_PREFIX_BYTES],
    ) -> Self {
        Self { store, source, prefix }
    }

    fn reader(&self) -> &'a dyn Reader {
        match self.source {
            Source::Now => self.store.engine(),
            Source::Snapshot(snapshot) => snapshot,
        }
    }

    /// The whole key of a row.
    pub(crate) fn key(&self, row: &[u8]) -> Vec<u8> {
        [self.prefix.as_slice(), row].concat()
    }

    /// [`KvRead::scan`] whose iterator does not borrow the view itself.
    pub(crate) fn rows(
        self,
        from: &[u8],
        to: Option<&[u8]>,
    ) -> Box<dyn Iterator<Item = Result<Row, KvError>> + 'a> {
        if to.is_some_and(|to| to <= from) {
            return Box::new(std::iter::empty());
        }
        if let Err(error) = self.store.check() {
            return Box::new(std::iter::once(Err(error.into())));
        }
        let end = match to {
            Some(to) => self.key(to),
            None => keys::after_prefix(self.prefix),
        };
        let rows = self.reader().scan(keys::ROWS, &self.key(from), &end);
        Box::new(rows.map(|row| {
            let (key, value) = row?;
            Ok((key.slice(ROW_PREFIX_BYTES..), value))
        }))
    }
}

impl KvRead for View<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, KvError> {
        self.store.check()?;
        Ok(self.reader().get(keys::ROWS, &self.key(key))?)
    }

    fn scan<'b>(
        &'b self,
        from: &[u8],
        to: Option<&[u8]>,
    ) -> Box<dyn Iterator<Item = Result<Row, KvError>> + 'b> {
        self.rows(from, to)
    }
}
