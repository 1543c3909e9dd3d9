//! [`Engine`] on RocksDB, and how a database is opened after a power cut.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use platform::planted;
use rocksdb::{
    BoundColumnFamily, DBRecoveryMode, DBWithThreadMode, Direction, ErrorKind, IteratorMode,
    MultiThreaded, ReadOptions, SnapshotWithThreadMode, WriteBatch, WriteOptions,
};
use waltail::{Mark, Verdict, judge};

use super::{
    engine::{Engine, Op, Pair, Pairs, Reader},
    options,
};
use crate::error::StoreError;

type Db = DBWithThreadMode<MultiThreaded>;

/// A database in a folder.
pub(crate) struct Rocks {
    db: Db,
    /// The log is on the disk up to this sequence number.
    synced: AtomicU64,
}

impl Rocks {
    /// Opens or makes the database. Blocking: reads the write-ahead log.
    pub(crate) fn open(path: &Path) -> Result<Self, StoreError> {
        let db = open(path)?;
        // Opening has moved into tables whatever the logs had.
        let synced = AtomicU64::new(db.latest_sequence_number());
        let rocks = Self { db, synced };
        rocks.bear_witness()?;
        Ok(rocks)
    }

    /// What the next batch of the writer begins with.
    fn mark(&self) -> Mark {
        Mark { synced: self.synced.load(Ordering::SeqCst) }
    }

    /// Makes everything durable that was written before.
    fn sync(&self) -> Result<(), StoreError> {
        let written = self.db.latest_sequence_number();
        self.db.flush_wal(true)?;
        self.synced.fetch_max(written, Ordering::SeqCst);
        Ok(())
    }

    /// Lets the log say that all of it is durable: at an orderly end, so that damage of the last
    /// commit is not taken for a torn write; at the beginning, so that a new log can be told from
    /// those that it follows.
    fn bear_witness(&self) -> Result<(), StoreError> {
        self.sync()?;
        let mut batch = WriteBatch::default();
        batch.put_log_data(self.mark().encode());
        self.db.write_opt(batch, &WriteOptions::default())?;
        self.sync()
    }

    fn family(&self, name: &str) -> Arc<BoundColumnFamily<'_>> {
        self.db.cf_handle(name).expect("every family of `keys` is made when the store opens")
    }

    fn fill(&self, batch: &mut WriteBatch, ops: &[Op]) {
        let mut current: Option<(&'static str, Arc<BoundColumnFamily<'_>>)> = None;
        for op in ops {
            let name = match op {
                Op::Put { family, .. }
                | Op::Delete { family, .. }
                | Op::DeleteRange { family, .. } => *family,
            };
            // Batches have long runs of one family.
            let family = match &current {
                Some((known, family)) if *known == name => family,
                _ => &current.insert((name, self.family(name))).1,
            };
            match op {
                Op::Put { key, value, .. } => batch.put_cf(family, key, value),
                Op::Delete { key, .. } => batch.delete_cf(family, key),
                Op::DeleteRange { from, to, .. } => batch.delete_range_cf(family, from, to),
            }
        }
    }
}

/// From `from` on, up to but not including `to`.
fn range(to: &[u8]) -> ReadOptions {
    let mut options = ReadOptions::default();
    options.set_iterate_upper_bound(to);
    options
}

type RawPair = Result<(Box<[u8]>, Box<[u8]>), rocksdb::Error>;

fn pair(raw: RawPair) -> Result<Pair, StoreError> {
    let (key, value) = raw?;
    Ok((Bytes::from(key), Bytes::from(value)))
}

impl Reader for Rocks {
    fn get(&self, family: &'static str, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        Ok(self.db.get_cf(&self.family(family), key)?.map(Bytes::from))
    }

    fn scan<'a>(&'a self, family: &'static str, from: &[u8], to: &[u8]) -> Pairs<'a> {
        let mode = IteratorMode::From(from, Direction::Forward);
        Box::new(self.db.iterator_cf_opt(&self.family(family), range(to), mode).map(pair))
    }
}

impl Engine for Rocks {
    fn last(
        &self,
        family: &'static str,
        from: &[u8],
        to: &[u8],
    ) -> Result<Option<Pair>, StoreError> {
        let mut options = range(to);
        options.set_iterate_lower_bound(from);
        let family = self.family(family);
        let mut pairs = self.db.iterator_cf_opt(&family, options, IteratorMode::End);
        pairs.next().map(pair).transpose()
    }

    fn snapshot(&self) -> Box<dyn Reader + '_> {
        Box::new(RocksSnapshot { rocks: self, snapshot: self.db.snapshot() })
    }

    fn write(&self, ops: Vec<Op>) -> Result<(), StoreError> {
        let mut batch = WriteBatch::default();
        self.fill(&mut batch, &ops);
        Ok(self.db.write_opt(batch, &WriteOptions::default())?)
    }

    /// The batch is written without `sync` and the log is synced after it, not in one call:
    /// RocksDB then does not hold its write lock during the fsync, and applying goes on.
    fn commit(&self, ops: Vec<Op>) -> Result<Duration, StoreError> {
        let mut batch = WriteBatch::default();
        batch.put_log_data(self.mark().encode());
        self.fill(&mut batch, &ops);
        self.db.write_opt(batch, &WriteOptions::default())?;
        let started = Instant::now();
        if !planted("skip-log-fsync") {
            self.sync()?;
        }
        Ok(started.elapsed())
    }

    fn close(&self) -> Result<(), StoreError> {
        self.bear_witness()
    }
}

struct RocksSnapshot<'a> {
    rocks: &'a Rocks,
    snapshot: SnapshotWithThreadMode<'a, Db>,
}

impl Reader for RocksSnapshot<'_> {
    fn get(&self, family: &'static str, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        Ok(self.snapshot.get_cf(&self.rocks.family(family), key)?.map(Bytes::from))
    }

    fn scan<'a>(&'a self, family: &'static str, from: &[u8], to: &[u8]) -> Pairs<'a> {
        let mode = IteratorMode::From(from, Direction::Forward);
        let family = self.rocks.family(family);
        Box::new(self.snapshot.iterator_cf_opt(&family, range(to), mode).map(pair))
    }
}

/// Opens the database. What was being written when the power failed was never acknowledged and is
/// cut off. Damage before it means that acknowledged entries are gone: opening fails, and the node
/// has to be rebuilt under a new id.
fn open(path: &Path) -> Result<Db, rocksdb::Error> {
    let open = |tail| {
        let (options, families) = options::all(tail);
        Db::open_cf_descriptors(&options, path, families)
    };
    match open(DBRecoveryMode::TolerateCorruptedTailRecords) {
        Err(error) if error.kind() == ErrorKind::Corruption => match judge(path) {
            Ok(Verdict::Torn { file, offset }) => {
                let file = file.display();
                tracing::warn!(%file, offset, %error, "the log ends in a write that was cut off");
                open(DBRecoveryMode::PointInTime)
            }
            _ => Err(error),
        },
        opened => opened,
    }
}
