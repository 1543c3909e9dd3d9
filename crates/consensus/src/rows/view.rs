//! Reading the rows of one incarnation, from the database or from a snapshot of it.

use bytes::Bytes;
use rocksdb::{Direction, IteratorMode, ReadOptions};

use crate::{
    KvError, KvRead, Row, keys,
    keys::ROW_PREFIX_BYTES,
    store::{DbSnapshot, Store},
};

/// Where rows are read from.
#[derive(Clone, Copy)]
pub(crate) enum Source<'a> {
    /// The newest data.
    Now,
    /// A point in time.
    Snapshot(&'a DbSnapshot<'a>),
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
        let mut options = ReadOptions::default();
        options.set_iterate_upper_bound(match to {
            Some(to) => self.key(to),
            None => keys::after_prefix(self.prefix),
        });
        let start = self.key(from);
        let mode = IteratorMode::From(&start, Direction::Forward);
        let family = self.store.family(keys::ROWS);
        let rows = match self.source {
            Source::Now => self.store.db.iterator_cf_opt(&family, options, mode),
            Source::Snapshot(snapshot) => snapshot.iterator_cf_opt(&family, options, mode),
        };
        Box::new(rows.map(|row| {
            let (key, value) = row.map_err(|error| KvError(error.to_string()))?;
            Ok((Bytes::from(key).slice(ROW_PREFIX_BYTES..), Bytes::from(value)))
        }))
    }
}

impl KvRead for View<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, KvError> {
        self.store.check()?;
        let (family, key) = (self.store.family(keys::ROWS), self.key(key));
        let value = match self.source {
            Source::Now => self.store.db.get_cf(&family, key),
            Source::Snapshot(snapshot) => snapshot.get_cf(&family, key),
        };
        Ok(value.map_err(|error| KvError(error.to_string()))?.map(Bytes::from))
    }

    fn scan<'b>(
        &'b self,
        from: &[u8],
        to: Option<&[u8]>,
    ) -> Box<dyn Iterator<Item = Result<Row, KvError>> + 'b> {
        self.rows(from, to)
    }
}
