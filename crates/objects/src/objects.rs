//! The object layer itself: what its operations share. Each verb has a file of its own.

use std::sync::Arc;

use cluster::{Metadata, Shards};
use parking_lot::Mutex;
use platform::Clock;
use tokio::sync::mpsc;
use types::{BlobId, BlobRef, DiskId, PgId, PlacementGroup, UnixMillis, UploadId, WriteId};
use uuid::Uuid;

use crate::{
    Error,
    background::Background,
    bucket_config::ConfigCache,
    buffer::{Budget, Pool},
    confirm::Confirmer,
    gate::BucketCache,
    hedge::ReadPacer,
    hints::{HINTS_MAX, RepairHint},
    lanes::Lanes,
    upload_class::UploadClasses,
};

/// Bounds of the object layer.
#[derive(Clone, Debug)]
pub struct Settings {
    /// A write must commit within this time of its beginning, in milliseconds.
    pub write_deadline_ms: u64,
    /// Bytes of stripe buffers that all requests together may hold: half of it for
    /// writes, half for reads.
    pub buffer_bytes_max: u64,
    /// The longest object or part of one PUT: 5 GiB as on AWS.
    pub put_bytes_max: u64,
    /// How long a gateway may trust its cached answers to "which id has this bucket name" and
    /// "what does this document of its configuration say", in milliseconds.
    pub bucket_cache_ms: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            write_deadline_ms: 6 * 3600 * 1000,
            buffer_bytes_max: 512 << 20,
            put_bytes_max: 5 << 30,
            bucket_cache_ms: 5000,
        }
    }
}

/// Full-stripe buffers that are kept for reuse while nobody needs them.
const POOLED_BUFFERS_MAX: usize = 16;

/// The object layer. Cheap to clone; all clones share caches and buffers.
#[derive(Clone)]
pub struct Objects {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    metadata: Arc<dyn Metadata>,
    shards: Arc<dyn Shards>,
    clock: Arc<dyn Clock>,
    settings: Settings,
    pub(crate) buckets: BucketCache,
    pub(crate) configs: ConfigCache,
    pub(crate) upload_classes: UploadClasses,
    pub(crate) write_budget: Arc<Budget>,
    pub(crate) read_budget: Arc<Budget>,
    pub(crate) pool: Arc<Pool>,
    pub(crate) background: Background,
    pub(crate) confirmer: Arc<Confirmer>,
    pub(crate) pacer: ReadPacer,
    pub(crate) lanes: Arc<Lanes>,
    pub(crate) hints: mpsc::Sender<RepairHint>,
    hints_receiver: Mutex<Option<mpsc::Receiver<RepairHint>>>,
}

impl Objects {
    /// The object layer over these.
    pub fn new(
        metadata: Arc<dyn Metadata>,
        shards: Arc<dyn Shards>,
        clock: Arc<dyn Clock>,
        settings: Settings,
    ) -> Self {
        let (hints, hints_receiver) = mpsc::channel(HINTS_MAX);
        let half = settings.buffer_bytes_max / 2;
        Self {
            inner: Arc::new(Inner {
                confirmer: Confirmer::new(Arc::clone(&shards)),
                metadata,
                shards,
                clock,
                buckets: BucketCache::default(),
                configs: ConfigCache::default(),
                upload_classes: UploadClasses::default(),
                write_budget: Budget::new("write", half),
                read_budget: Budget::new("read", half),
                pool: Pool::new(POOLED_BUFFERS_MAX),
                background: Background::new(),
                pacer: ReadPacer::new(),
                lanes: Arc::default(),
                hints,
                hints_receiver: Mutex::new(Some(hints_receiver)),
                settings,
            }),
        }
    }

    /// The metadata under this object layer.
    pub fn metadata(&self) -> &Arc<dyn Metadata> {
        &self.inner.metadata
    }

    /// The disks under this object layer.
    pub fn shards(&self) -> &Arc<dyn Shards> {
        &self.inner.shards
    }

    /// The clock of this object layer.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.inner.clock
    }

    /// The bounds of this object layer.
    pub fn settings(&self) -> &Settings {
        &self.inner.settings
    }

    /// Where readers say which shards they found missing or corrupt; for the repair
    /// worker. `None` after the first call: there is one queue. It holds 1,024 hints; while
    /// it is full (or was never taken and filled up) further hints are dropped and counted.
    pub fn repairs(&self) -> Option<mpsc::Receiver<RepairHint>> {
        self.inner.hints_receiver.lock().take()
    }

    /// Bytes of stripe buffers that writes hold now, and the most they ever held.
    pub fn write_buffer_bytes(&self) -> (u64, u64) {
        (self.inner.write_budget.in_use_bytes(), self.inner.write_budget.high_water_bytes())
    }

    /// Bytes of stripe buffers that reads hold now, and the most they ever held.
    pub fn read_buffer_bytes(&self) -> (u64, u64) {
        (self.inner.read_budget.in_use_bytes(), self.inner.read_budget.high_water_bytes())
    }

    /// Returns once the jobs that requests left behind (deleting what an abandoned write
    /// stored, confirming committed shards) are done: before the process ends, and in tests.
    pub async fn settle(&self) {
        self.inner.background.idle().await;
        self.inner.confirmer.idle().await;
    }

    /// The group that a blob lies in: the disk of each of its ranks. `Unavailable` if the cluster
    /// map known here does not have it.
    pub fn group_of(&self, blob: &BlobRef) -> Result<PlacementGroup, Error> {
        let id = blob.pg;
        let group = self.metadata().map().groups.get(&id).cloned().ok_or_else(|| {
            Error::Unavailable(format!("placement group {id} is not in the cluster map known here"))
        })?;
        if group.disks.len() != blob.policy.n() {
            return Err(Error::Internal(format!("placement group {id} does not fit {blob:?}")));
        }
        Ok(group)
    }

    pub(crate) fn likely_up(&self, disk: DiskId) -> bool {
        self.shards().likely_up(disk) && !self.metadata().map().down.contains(&disk)
    }

    /// A version 7 UUID by our own clock: later ones sort later.
    fn new_uuid(&self) -> Uuid {
        let random: [u8; 10] = rand::random();
        uuid::Builder::from_unix_timestamp_millis(self.clock().now_ms(), &random).into_uuid()
    }

    pub(crate) fn new_blob_id(&self, group: PgId) -> BlobId {
        BlobId::new(group, UnixMillis(self.clock().now_ms()), rand::random())
    }

    pub(crate) fn new_upload_id(&self) -> UploadId {
        UploadId(self.new_uuid())
    }

    pub(crate) fn new_write_id(&self) -> WriteId {
        WriteId(self.new_uuid())
    }
}
