//! RocksDB as this crate uses it: its options with their reasons, and its errors in
//! our words. No other file names an option.

use std::{
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
};

use rocksdb::{
    BlockBasedOptions, BottommostLevelCompaction, ColumnFamily, ColumnFamilyDescriptor,
    CompactOptions, DBCompressionType, DBPinnableSlice, DBRecoveryMode, DBWithThreadMode,
    Direction, Env, ErrorKind, IteratorMode, LogLevel, Options, SingleThreaded, WriteBatch,
    WriteOptions, properties,
};
use waltail::{Mark, Verdict, judge};

use crate::{
    Error,
    keys::{LARGE, RECORDS, SMALL},
    settings::Memory,
};

const DEFAULT: &str = rocksdb::DEFAULT_COLUMN_FAMILY_NAME;
const FAMILIES: [&str; 4] = [DEFAULT, RECORDS, SMALL, LARGE];

/// Write buffers of the large chunks: two, so that one fills while the other is flushed.
const LARGE_BUFFER_BYTES: usize = 32 << 20;
const SMALL_BUFFER_BYTES: usize = 8 << 20;
const RECORDS_BUFFER_BYTES: usize = 4 << 20;
const DEFAULT_BUFFER_BYTES: usize = 1 << 20;
/// When the logs are longer than this, the family that holds on to the oldest is flushed.
const WAL_BYTES_MAX: u64 = 128 << 20;
/// Threads of the process that flush buffers, for all of its disks.
const FLUSH_THREADS: i32 = 8;
/// Threads of the process that compact.
const COMPACTION_THREADS: i32 = 4;
/// Table and blob files that are kept open.
const OPEN_FILES_MAX: i32 = 256;
/// A table of large chunks has some 60 bytes a chunk, and reclaiming rewrites the chunks
/// of whole tables: 64 KiB bound that to about 1,000 chunks.
const LARGE_TABLE_BYTES: u64 = 64 << 10;
/// A flush makes one blob file of at most a write buffer; reclaiming makes larger ones.
const BLOB_FILE_BYTES: u64 = 128 << 20;

/// What went wrong inside RocksDB, by what follows from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The file system is full. RocksDB has to be opened again once there is room: its own
    /// recovery may try for ever to end a flush that was under way.
    NoSpace,
    /// A checksum or a structure is wrong.
    Corrupt(String),
    /// Anything else: the disk cannot be trusted with writes any more.
    Io(String),
}

impl From<rocksdb::Error> for Fault {
    fn from(error: rocksdb::Error) -> Self {
        let kind = error.kind();
        let text = error.into_string();
        // RocksDB's text for the two sub-codes (no space, space limit) and the quota's errno.
        let full = ["No space left on device", "Space limit reached", "Disk quota exceeded"];
        if full.iter().any(|words| text.contains(words)) {
            Self::NoSpace
        } else if kind == rocksdb::ErrorKind::Corruption {
            Self::Corrupt(text)
        } else {
            Self::Io(text)
        }
    }
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::NoSpace => Self::NoSpace,
            Fault::Corrupt(reason) => Self::Damaged(reason),
            Fault::Io(reason) => Self::Failed(reason),
        }
    }
}

/// A key and its value.
pub(crate) type Row = (Box<[u8]>, Box<[u8]>);

/// An open database.
pub(crate) struct Database {
    db: DBWithThreadMode<SingleThreaded>,
    /// The log is on the disk up to this sequence number.
    synced: AtomicU64,
}

impl Database {
    /// Opens the database in `dir`; makes one if `create`. What was being written when the power
    /// failed was never acknowledged and is cut off; anything else that is wrong with the log is
    /// damage and does not pass for its end.
    pub(crate) fn open(dir: &Path, create: bool, memory: &Memory) -> Result<Self, Fault> {
        // The threads belong to the process. There are more than one disk uses, because a
        // flush that fails keeps its thread while it waits to be tried again.
        let mut env = Env::new()?;
        env.set_high_priority_background_threads(FLUSH_THREADS);
        env.set_low_priority_background_threads(COMPACTION_THREADS);
        let open = |tail| {
            let families = FAMILIES
                .map(|name| ColumnFamilyDescriptor::new(name, family_options(name, memory)));
            let options = database_options(create, memory, tail);
            DBWithThreadMode::open_cf_descriptors(&options, dir, families)
        };
        let db = match open(DBRecoveryMode::TolerateCorruptedTailRecords) {
            Err(error) if error.kind() == ErrorKind::Corruption => match judge(dir) {
                Ok(Verdict::Torn { file, offset }) => {
                    let file = file.display();
                    tracing::warn!(%file, offset, %error, "the log ends in a write that was cut off");
                    open(DBRecoveryMode::PointInTime)?
                }
                _ => return Err(error.into()),
            },
            opened => opened?,
        };
        // Opening has moved into tables whatever the logs had.
        let synced = AtomicU64::new(db.latest_sequence_number());
        let database = Self { db, synced };
        database.bear_witness()?;
        Ok(database)
    }

    /// An empty batch, which bears witness of what was durable before it.
    pub(crate) fn batch(&self) -> WriteBatch {
        let mut batch = WriteBatch::default();
        batch.put_log_data(Mark { synced: self.synced.load(Ordering::SeqCst) }.encode());
        batch
    }

    /// The handle that batches name a family by.
    pub(crate) fn family(&self, name: &str) -> &ColumnFamily {
        self.db.cf_handle(name).expect("every family was opened with the database")
    }

    /// A row's value, without copying it.
    pub(crate) fn get(
        &self,
        family: &str,
        key: &[u8],
    ) -> Result<Option<DBPinnableSlice<'_>>, Fault> {
        Ok(self.db.get_pinned_cf(self.family(family), key)?)
    }

    /// The rows of a family from `from` on, in order, for as long as the caller asks.
    pub(crate) fn scan(
        &self,
        family: &str,
        from: &[u8],
    ) -> impl Iterator<Item = Result<Row, Fault>> {
        self.db
            .iterator_cf(self.family(family), IteratorMode::From(from, Direction::Forward))
            .map(|row| Ok(row?))
    }

    /// Writes a batch, all or nothing; with `sync` it is durable on return, and so is
    /// every batch before it.
    pub(crate) fn write(&self, batch: WriteBatch, sync: bool) -> Result<(), Fault> {
        if batch.is_empty() {
            return if sync { self.sync() } else { Ok(()) };
        }
        let mut options = WriteOptions::default();
        options.set_sync(sync);
        self.db.write_opt(batch, &options)?;
        if sync {
            self.synced.fetch_max(self.db.latest_sequence_number(), Ordering::SeqCst);
        }
        Ok(())
    }

    /// Lets the log say that all of it is durable: at an orderly end, so that damage of the last
    /// commit is not taken for a torn write; at the beginning, so that a new log can be told from
    /// those that it follows.
    pub(crate) fn bear_witness(&self) -> Result<(), Fault> {
        self.sync()?;
        let mut options = WriteOptions::default();
        options.set_sync(true);
        Ok(self.db.write_opt(self.batch(), &options)?)
    }

    /// Makes every batch durable that was written before.
    pub(crate) fn sync(&self) -> Result<(), Fault> {
        let written = self.db.latest_sequence_number();
        self.db.flush_wal(true)?;
        self.synced.fetch_max(written, Ordering::SeqCst);
        Ok(())
    }

    /// Writes all buffers to tables and blob files, so that the log can go.
    pub(crate) fn flush(&self) -> Result<(), Fault> {
        for name in FAMILIES {
            self.db.flush_cf(self.family(name))?;
        }
        Ok(())
    }

    /// Whether compaction moves live chunks out of blob files.
    ///
    /// RocksDB would do so by the age of a file, which rewrites chunks although nothing
    /// was deleted (measured: 2.2 times the bytes); and its threshold looks at the share
    /// of garbage over *all* files and then only empties the oldest. So it is off, except
    /// while we compact the ranges that we know to be mostly garbage.
    pub(crate) fn collect_garbage(&self, on: bool) -> Result<(), Fault> {
        let cutoff = if on { "1.0" } else { "0.0" };
        let options = [("blob_garbage_collection_age_cutoff", cutoff)];
        Ok(self.db.set_options_cf(self.family(LARGE), &options)?)
    }

    /// Compacts the chunks of keys `from..to`. Deleted ones are gone afterwards.
    pub(crate) fn compact(&self, from: &[u8], to: &[u8]) -> Result<(), Fault> {
        let errors = || self.figure(DEFAULT, properties::BACKGROUND_ERRORS.as_str());
        let before = errors();
        let mut options = CompactOptions::default();
        options.set_exclusive_manual_compaction(false);
        options.set_bottommost_level_compaction(BottommostLevelCompaction::Force);
        for name in [SMALL, LARGE] {
            self.db.compact_range_cf_opt(self.family(name), Some(from), Some(to), &options);
        }
        // The binding does not hand on the outcome of a compaction.
        if errors() == before {
            Ok(())
        } else {
            Err(Fault::Io("a compaction failed, see the LOG file of the database".to_owned()))
        }
    }

    /// Ends flushes and compactions, also those that somebody waits for. After that the
    /// database is good for reading and closing only.
    pub(crate) fn cancel(&self) {
        self.db.cancel_all_background_work(false);
    }

    /// Bytes that are in the log only: they will be written once more.
    pub(crate) fn unflushed_bytes(&self) -> u64 {
        FAMILIES
            .map(|name| self.figure(name, properties::CUR_SIZE_ALL_MEM_TABLES.as_str()))
            .iter()
            .sum()
    }

    /// Bytes of all files; the buffers stand for the log.
    pub(crate) fn used_bytes(&self) -> u64 {
        let files = ["rocksdb.total-sst-files-size", "rocksdb.total-blob-file-size"];
        let figures = files.iter().chain(&["rocksdb.size-all-mem-tables"]);
        figures.flat_map(|figure| FAMILIES.map(|name| self.figure(name, figure))).sum()
    }

    fn figure(&self, family: &str, name: &str) -> u64 {
        self.db.property_int_value_cf(self.family(family), name).ok().flatten().unwrap_or(0)
    }
}

fn database_options(create: bool, memory: &Memory, tail: DBRecoveryMode) -> Options {
    let mut options = Options::default();
    options.create_if_missing(create);
    options.create_missing_column_families(create);
    options.set_paranoid_checks(true);
    options.set_wal_recovery_mode(tail);
    options.set_max_total_wal_size(WAL_BYTES_MAX);
    options.set_max_open_files(OPEN_FILES_MAX);
    options.set_write_buffer_manager(&memory.buffers);
    // Files reach the disk as they are written, instead of all at once at the fsync.
    options.set_bytes_per_sync(1 << 20);
    options.set_max_background_jobs(2);
    options.set_skip_stats_update_on_db_open(true);
    options.set_stats_dump_period_sec(0);
    options.set_keep_log_file_num(2);
    options.set_max_log_file_size(1 << 20);
    options.set_log_level(LogLevel::Warn);
    options
}

fn family_options(name: &str, memory: &Memory) -> Options {
    let mut table = BlockBasedOptions::default();
    table.set_block_cache(&memory.cache);
    table.set_cache_index_and_filter_blocks(true);
    if name == RECORDS {
        // Every new shard asks whether it is there already.
        table.set_bloom_filter(10.0, false);
    }

    let mut options = Options::default();
    options.set_block_based_table_factory(&table);
    options.set_max_write_buffer_number(2);
    // Chunks are erasure-coded bytes of who knows what; compressing them is the gateway's
    // affair.
    options.set_compression_type(DBCompressionType::None);
    match name {
        LARGE => {
            options.set_write_buffer_size(LARGE_BUFFER_BYTES);
            options.set_target_file_size_base(LARGE_TABLE_BYTES);
            options.set_enable_blob_files(true);
            options.set_min_blob_size(0);
            options.set_blob_file_size(BLOB_FILE_BYTES);
            options.set_blob_compression_type(DBCompressionType::None);
            options.set_enable_blob_gc(true);
            // Nothing is old enough; see `collect_garbage`.
            options.set_blob_gc_age_cutoff(0.0);
        }
        SMALL => options.set_write_buffer_size(SMALL_BUFFER_BYTES),
        RECORDS => {
            options.set_write_buffer_size(RECORDS_BUFFER_BYTES);
            options.set_compression_type(DBCompressionType::Lz4);
        }
        _ => options.set_write_buffer_size(DEFAULT_BUFFER_BYTES),
    }
    options
}
