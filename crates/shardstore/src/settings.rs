//! What a RocksDB store is told when it is opened.

use std::sync::Arc;

use rocksdb::{Cache, WriteBufferManager};
use types::{ClusterId, DiskId, DiskUuid};

use crate::space::{FileSystemSpace, Space};

/// Memory for the stores of one process: a cache for blocks, and a bound on what waits
/// in write buffers. Clones share it.
#[derive(Clone)]
pub struct Memory {
    pub(crate) cache: Cache,
    pub(crate) buffers: WriteBufferManager,
}

impl Memory {
    /// `cache_bytes` of block cache, and about `buffer_bytes` of write buffers. At the
    /// bound the fullest store flushes; nobody is stalled for it.
    pub fn new(cache_bytes: usize, buffer_bytes: usize) -> Self {
        Self {
            cache: Cache::new_lru_cache(cache_bytes),
            buffers: WriteBufferManager::new_write_buffer_manager(buffer_bytes, false),
        }
    }
}

/// How a [`crate::RocksStore`] is opened. All bounds are a disk's.
#[derive(Clone)]
pub struct Settings {
    /// The cluster that the disk must belong to.
    pub cluster: ClusterId,
    /// What an empty folder is formatted as: make it at random.
    pub new_disk_uuid: DiskUuid,
    /// Refuse another disk than this, also an empty folder.
    pub expected_disk_uuid: Option<DiskUuid>,
    /// The disk's id if it is known. Refused if the disk has another, kept if it has none.
    pub disk_id: Option<DiskId>,
    /// Shared among stores; `None`: this store gets 16 MiB of cache and 64 MiB of buffers
    /// of its own.
    pub memory: Option<Memory>,
    /// Puts are refused when less than this would be left on the file system, so that deletes
    /// and compaction always find room. A step of reclaiming writes at most 256 MiB before
    /// it frees anything.
    pub free_reserve_bytes: u64,
    /// Calls that wait for the writer; further callers wait before they enter the queue.
    pub queue_calls: usize,
    /// Chunk bytes that wait for the writer; further callers wait.
    pub queue_bytes: usize,
    /// Garbage is reclaimed in the background from this much on.
    pub reclaim_bytes_min: u64,
    /// Background reclaiming leaves alone what is garbage to a smaller share than this
    /// (0 to 1): the rest of the shards around it would have to be written again.
    pub reclaim_ratio_min: f64,
    /// Where to ask for free space.
    pub space: Arc<dyn Space>,
}

impl Settings {
    /// Settings for a disk of `cluster`. An empty folder becomes disk `new_disk_uuid`.
    pub fn new(cluster: ClusterId, new_disk_uuid: DiskUuid) -> Self {
        Self {
            cluster,
            new_disk_uuid,
            expected_disk_uuid: None,
            disk_id: None,
            memory: None,
            free_reserve_bytes: 512 << 20,
            queue_calls: 1024,
            queue_bytes: 64 << 20,
            reclaim_bytes_min: 256 << 20,
            reclaim_ratio_min: 0.5,
            space: Arc::new(FileSystemSpace),
        }
    }
}
