//! How RocksDB is set up: bounded memory, background work that leaves the disk to the
//! log, and a write-ahead log that is never shortened without proof.

use rocksdb::{
    BlockBasedOptions, Cache, ColumnFamilyDescriptor, DBCompressionType, DBRecoveryMode, LogLevel,
    Options,
};

use crate::keys;

const MIB: usize = 1 << 20;
/// Blocks, indexes and filters of all groups.
const CACHE_BYTES: usize = 96 * MIB;
/// Memtables of all families together; above it RocksDB flushes the largest.
const MEMTABLES_BYTES: usize = 128 * MIB;
/// Flush and compaction together, per second, so that an fsync of the log is not queued
/// behind them: a late fsync is a missed heartbeat.
const BACKGROUND_BYTES_PER_S: i64 = 128 << 20;

/// The database's options and its families.
pub(super) fn all(tail: DBRecoveryMode) -> (Options, Vec<ColumnFamilyDescriptor>) {
    let cache = Cache::new_lru_cache(CACHE_BYTES);
    let families = vec![
        ColumnFamilyDescriptor::new("default", family(&cache, MIB, false)),
        // Entries are written once, read soon and purged in ranges: no filters.
        ColumnFamilyDescriptor::new(keys::LOG, family(&cache, 32 * MIB, false)),
        ColumnFamilyDescriptor::new(keys::META, family(&cache, 4 * MIB, true)),
        ColumnFamilyDescriptor::new(keys::ROWS, family(&cache, 32 * MIB, true)),
    ];
    (database(tail), families)
}

fn database(tail: DBRecoveryMode) -> Options {
    let mut options = Options::default();
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    options.set_paranoid_checks(true);
    options.set_wal_recovery_mode(tail);
    options.set_track_and_verify_wals_in_manifest(true);
    options.set_max_total_wal_size(256 * MIB as u64);
    options.set_db_write_buffer_size(MEMTABLES_BYTES);
    options.set_max_background_jobs(2);
    options.set_ratelimiter(BACKGROUND_BYTES_PER_S, 100_000, 10);
    options.set_bytes_per_sync(MIB as u64);
    options.set_max_open_files(512);
    options.set_keep_log_file_num(4);
    options.set_max_log_file_size(8 * MIB);
    options.set_log_level(LogLevel::Warn);
    options
}

fn family(cache: &Cache, memtable_bytes: usize, filter: bool) -> Options {
    let mut table = BlockBasedOptions::default();
    table.set_block_cache(cache);
    table.set_block_size(16 << 10);
    table.set_cache_index_and_filter_blocks(true);
    table.set_pin_l0_filter_and_index_blocks_in_cache(true);
    table.set_format_version(5);
    if filter {
        table.set_bloom_filter(10.0, false);
        table.set_whole_key_filtering(true);
    }
    let mut options = Options::default();
    options.set_block_based_table_factory(&table);
    options.set_write_buffer_size(memtable_bytes);
    options.set_max_write_buffer_number(3);
    options.set_compression_type(DBCompressionType::Lz4);
    options.set_level_compaction_dynamic_level_bytes(true);
    options.set_target_file_size_base(32 * MIB as u64);
    options
}
