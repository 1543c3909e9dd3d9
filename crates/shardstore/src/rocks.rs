//! The shards of one disk in one RocksDB: the plain form. Records and chunks go through
//! the log in one batch ([`writer`]), small chunks stay in the LSM tree, large ones go to
//! blob files ([`crate::keys`]), and what is deleted is compacted away ([`reclaim`]).

mod books;
mod database;
mod group;
mod reclaim;
mod writer;

use std::{
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use async_trait::async_trait;
use parking_lot::{Mutex, RwLock};
use platform::{Clock, folder};
use proto::shards::{Chunk, DiskStat, PutChunks, ShardEntry};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot},
    task,
};
use types::{DiskId, DiskUuid, ShardId, UnixMillis};

use self::{
    books::Books,
    database::{Database, Fault},
    reclaim::Reclaimer,
    writer::{Call, Work},
};
use crate::{
    Error, Settings, ShardStore, chunk_value,
    format::{DB_DIR, Format, FormatError, Lock},
    keys,
    metrics::StoreMetrics,
    record::Record,
    settings::Memory,
    store::INVENTORY_MAX,
    verify,
};

/// Chunk bytes up to which a put's digests are checked on the caller's own thread.
const VERIFY_INLINE_BYTES: usize = 64 << 10;
/// Room beside what is in the log for opening a database that ran out of it.
const REOPEN_BYTES: u64 = 16 << 20;
/// The queue's bytes are counted in this unit.
const QUEUE_UNIT_BYTES: usize = 1024;

/// Why a disk could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The folder is not this disk.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// The database is damaged, or was written by a newer release.
    #[error(
        "the database of disk {dir} is damaged ({reason}): if this release is not older than \
         the one that wrote it, empty the folder and let the cluster rebuild the disk"
    )]
    Damaged {
        /// The disk's folder.
        dir: PathBuf,
        /// What RocksDB says.
        reason: String,
    },
    /// The database cannot be read or written.
    #[error("the database of disk {dir} cannot be opened: {reason}")]
    Failed {
        /// The disk's folder.
        dir: PathBuf,
        /// What went wrong.
        reason: String,
    },
}

/// One disk. Dropping it finishes what was accepted and lets go of the disk a little
/// later; [`ShardStore::close`] waits for that.
pub struct RocksStore {
    inner: Arc<Inner>,
    queue: mpsc::Sender<Call>,
    queue_bytes: Arc<Semaphore>,
    queue_units: u32,
}

/// What callers and threads share.
pub(crate) struct Inner {
    dir: PathBuf,
    settings: Settings,
    memory: Memory,
    clock: Arc<dyn Clock>,
    /// `None` once it is closed.
    database: RwLock<Option<Database>>,
    /// Goes after the database.
    lock: Mutex<Option<Lock>>,
    format: Mutex<Format>,
    books: Mutex<Books>,
    /// Whether RocksDB itself ran out of space: somebody else used up our reserve.
    full: AtomicBool,
    /// Why no more is written, until the disk is opened again.
    failure: Mutex<Option<String>>,
    reclaimer: Reclaimer,
    metrics: StoreMetrics,
}

impl RocksStore {
    /// Opens the disk in the folder `dir`, or makes one there if the folder is missing or
    /// empty. Blocks: reads the log, which is bounded.
    pub fn open(dir: &Path, settings: Settings, clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        create_dir(dir)?;
        let lock = Lock::take(dir)?;
        let memory = settings.memory.clone().unwrap_or_else(|| Memory::new(16 << 20, 64 << 20));
        let (format, database, books) = open_database(dir, &settings, &memory)?;

        let label =
            format.disk_id.map_or_else(|| format.disk_uuid.to_string(), |id| id.to_string());
        let queue_units = u32::try_from(settings.queue_bytes.div_ceil(QUEUE_UNIT_BYTES))
            .unwrap_or(u32::MAX)
            .max(1);
        let (queue, receiver) = mpsc::channel(settings.queue_calls.max(1));
        let garbage = books.garbage_bytes();
        let inner = Arc::new(Inner {
            dir: dir.into(),
            memory,
            clock,
            full: AtomicBool::new(false),
            database: RwLock::new(Some(database)),
            lock: Mutex::new(Some(lock)),
            format: Mutex::new(format),
            books: Mutex::new(books),
            failure: Mutex::new(None),
            reclaimer: Reclaimer::default(),
            metrics: StoreMetrics::new(&label),
            settings,
        });
        if garbage >= inner.settings.reclaim_bytes_min {
            inner.reclaimer.wake(false);
        }
        // The reclaimer first: if the second thread cannot be had, it is told to end.
        spawn(&inner, format!("reclaim-{label}"), reclaim::run)?;
        spawn(&inner, format!("shards-{label}"), move |inner| writer::run(inner, receiver))
            .inspect_err(|_| inner.reclaimer.close())?;
        let queue_bytes = Arc::new(Semaphore::new(queue_units as usize));
        Ok(Self { inner, queue, queue_bytes, queue_units })
    }

    /// What the disk calls itself.
    pub fn disk_uuid(&self) -> DiskUuid {
        self.inner.format.lock().disk_uuid
    }

    /// What the cluster calls it; `None` until [`RocksStore::set_disk_id`].
    pub fn disk_id(&self) -> Option<DiskId> {
        self.inner.format.lock().disk_id
    }

    /// Writes down the id that the cluster gave the disk. Refused if it has another.
    pub fn set_disk_id(&self, id: DiskId) -> Result<(), FormatError> {
        let mut format = self.inner.format.lock();
        format.check(&self.inner.dir, format.cluster, None, Some(id))?;
        if format.disk_id.is_none() {
            let known = Format { disk_id: Some(id), ..*format };
            known.replace(&self.inner.dir)?;
            *format = known;
        }
        Ok(())
    }

    /// Gives back the bytes of everything that is deleted now, without rests, and returns
    /// how many chunk bytes that were. Happens by itself in the background, when it is
    /// worth it.
    pub async fn reclaim(&self) -> Result<u64, Error> {
        let inner = Arc::clone(&self.inner);
        blocking(move || reclaim::pass(&inner, 0.0, false)).await
    }

    async fn call(&self, work: Work, bytes: usize) -> Result<(), Error> {
        let closed = || Error::Unavailable("it is closed".to_owned());
        let permit = self.admit(bytes).await;
        let (answer, answered) = oneshot::channel();
        let call = Call { work, answer, _permit: permit };
        self.queue.send(call).await.map_err(|_| closed())?;
        answered.await.map_err(|_| closed())?
    }

    /// Waits for room in the queue. A call that is larger than the queue gets all of it.
    async fn admit(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let units = u32::try_from(bytes.div_ceil(QUEUE_UNIT_BYTES)).unwrap_or(u32::MAX);
        let units = units.min(self.queue_units);
        if units == 0 {
            return None;
        }
        let permit = Arc::clone(&self.queue_bytes).acquire_many_owned(units).await;
        Some(permit.expect("the queue's semaphore is never closed"))
    }
}

impl Drop for RocksStore {
    fn drop(&mut self) {
        // The writer ends when the queue's last sender is gone, which is ours.
        self.inner.reclaimer.close();
    }
}

/// Makes the folder if need be, so that it outlasts a power cut.
fn create_dir(dir: &Path) -> Result<(), FormatError> {
    folder::create_durably(dir).map_err(|source| FormatError::Io {
        action: "create",
        path: dir.into(),
        source,
    })
}

/// Reads or makes the format file and the database that it vouches for.
fn open_database(
    dir: &Path,
    settings: &Settings,
    memory: &Memory,
) -> Result<(Format, Database, Books), OpenError> {
    let failed = |fault| match fault {
        Fault::Corrupt(reason) => OpenError::Damaged { dir: dir.into(), reason },
        Fault::Io(reason) => OpenError::Failed { dir: dir.into(), reason },
        Fault::NoSpace => OpenError::Failed {
            dir: dir.into(),
            reason: "the disk is full: make some room first".to_owned(),
        },
    };
    let path = dir.join(DB_DIR);
    let Some(mut format) = Format::read(dir)? else {
        let format = Format {
            cluster: settings.cluster,
            disk_uuid: settings.new_disk_uuid,
            disk_id: settings.disk_id,
        };
        format.check(dir, settings.cluster, settings.expected_disk_uuid, settings.disk_id)?;
        format.begin(dir)?;
        let database = Database::open(&path, true, memory).map_err(failed)?;
        Books::create(&database).map_err(failed)?;
        Format::finish(dir)?;
        return Ok((format, database, Books::default()));
    };
    format.check(dir, settings.cluster, settings.expected_disk_uuid, settings.disk_id)?;
    let missing = path.join("CURRENT").try_exists().map(|there| !there);
    if missing.map_err(|source| FormatError::Io { action: "read", path: path.clone(), source })? {
        return Err(FormatError::DatabaseMissing(dir.into()).into());
    }
    let database = Database::open(&path, false, memory).map_err(failed)?;
    let books = Books::load(&database).map_err(failed)?.ok_or_else(|| OpenError::Damaged {
        dir: dir.into(),
        reason: "it has no magic".to_owned(),
    })?;
    if format.disk_id.is_none() && settings.disk_id.is_some() {
        format.disk_id = settings.disk_id;
        format.replace(dir)?;
    }
    Ok((format, database, books))
}

fn spawn(
    inner: &Arc<Inner>,
    name: String,
    run: impl FnOnce(&Arc<Inner>) + Send + 'static,
) -> Result<(), OpenError> {
    let shared = Arc::clone(inner);
    thread::Builder::new().name(name).spawn(move || run(&shared)).map(drop).map_err(|error| {
        OpenError::Failed {
            dir: inner.dir.clone(),
            reason: format!("cannot start a thread: {error}"),
        }
    })
}

impl Inner {
    fn with_database<T>(
        &self,
        run: impl FnOnce(&Database) -> Result<T, Error>,
    ) -> Result<T, Error> {
        match self.database.read().as_ref() {
            Some(database) => run(database),
            None => Err(Error::Unavailable("it is closed".to_owned())),
        }
    }

    /// Closes the database and unlocks the folder.
    fn let_go(&self) {
        self.reclaimer.close();
        if self.is_full()
            && let Some(database) = self.database.read().as_ref()
        {
            database.cancel();
        }
        if let Some(database) = self.database.write().take()
            && self.failure().is_none()
            && let Err(fault) = database.bear_witness()
        {
            tracing::debug!(?fault, "the log ends without a witness");
        }
        drop(self.lock.lock().take());
    }

    fn is_full(&self) -> bool {
        self.full.load(Ordering::SeqCst)
    }

    /// Opens the database again if it ran out of space and there is some now. Reads wait
    /// meanwhile. If it runs out once more while it is opened, it stays closed until the
    /// next call that writes comes by.
    fn leave_full(&self) {
        if !self.is_full() || self.failure().is_some() {
            return;
        }
        let unflushed =
            self.database.read().as_ref().map_or(0, |database| database.unflushed_bytes());
        let available = self.settings.space.available_bytes(&self.dir).unwrap_or(0);
        if available < unflushed.saturating_add(REOPEN_BYTES) {
            return;
        }
        // Whoever holds the database while it waits for background work lets go of it.
        if let Some(database) = self.database.read().as_ref() {
            database.cancel();
        }
        let mut database = self.database.write();
        drop(database.take());
        match Database::open(&self.dir.join(DB_DIR), false, &self.memory) {
            Ok(opened) => {
                *database = Some(opened);
                self.full.store(false, Ordering::SeqCst);
                tracing::info!(dir = %self.dir.display(), "the disk has room again");
            }
            Err(Fault::NoSpace) => {
                tracing::warn!(dir = %self.dir.display(), "the disk is still full");
            }
            Err(Fault::Corrupt(reason) | Fault::Io(reason)) => {
                drop(database);
                self.fail(&reason);
            }
        }
    }

    fn failure(&self) -> Option<String> {
        self.failure.lock().clone()
    }

    /// Takes no more writes from now on; the first reason stays.
    fn fail(&self, reason: &str) {
        let mut failure = self.failure.lock();
        if failure.is_none() {
            tracing::error!(dir = %self.dir.display(), reason, "disk failed; no more writes");
            *failure = Some(reason.to_owned());
        }
    }

    /// What puts may fill: what is left when everything accepted is in its place.
    fn room_bytes(&self, database: &Database) -> io::Result<u64> {
        let available = self.settings.space.available_bytes(&self.dir)?;
        let taken = database.unflushed_bytes().saturating_add(self.settings.free_reserve_bytes);
        Ok(available.saturating_sub(taken))
    }

    fn read(&self, shard: ShardId, stripe: u32) -> Result<Chunk, Error> {
        self.with_database(|database| {
            let missing = Error::NotFound { shard, stripe };
            let record = group::load(database, shard)?.filter(|record| record.sealed);
            let Some(record) = record else { return Err(missing) };
            let Some(bytes) = record.chunk_bytes(stripe) else { return Err(missing) };
            let key = keys::chunk(record.sequence, stripe);
            let corrupt =
                |why: &str| Error::Corrupt { shard, what: format!("chunk {stripe}{why}") };
            match database.get(keys::chunk_family(bytes), &key) {
                Ok(Some(value)) => {
                    let chunk = chunk_value::decode(shard, stripe, &value)?;
                    if chunk.bytes.len() == bytes { Ok(chunk) } else { Err(corrupt("")) }
                }
                // Between the two reads a delete may have come.
                Ok(None) => match group::load(database, shard)? {
                    Some(now) if now.sequence == record.sequence => Err(corrupt(", lost,")),
                    _ => Err(missing),
                },
                Err(Fault::Corrupt(reason)) => Err(corrupt(&format!(" ({reason})"))),
                Err(fault) => Err(fault.into()),
            }
        })
    }

    fn inventory(&self, after: Option<ShardId>, limit: u32) -> Result<Vec<ShardEntry>, Error> {
        let mut from = Vec::new();
        if let Some(after) = after {
            from.extend_from_slice(&keys::record(after));
            // The least key behind it.
            from.push(0);
        }
        self.with_database(|database| {
            database
                .scan(keys::RECORDS, &from)
                .take(limit.min(INVENTORY_MAX) as usize)
                .map(|row| {
                    let (key, value) = row?;
                    let damaged = |reason: &str| Error::Damaged(format!("{key:02x?}: {reason}"));
                    let shard = keys::shard_of(&key).ok_or_else(|| damaged("no record's key"))?;
                    let record = Record::decode(&value).map_err(|reason| damaged(&reason))?;
                    Ok(record.entry(shard))
                })
                .collect()
        })
    }

    fn stat(&self) -> Result<DiskStat, Error> {
        self.with_database(|database| {
            let used_bytes = database.used_bytes();
            let room = self.room_bytes(database);
            let failure = self.failure();
            let room_bytes = *room.as_ref().unwrap_or(&0);
            Ok(DiskStat {
                // What is on the file system beside us is not ours to fill.
                capacity_bytes: used_bytes.saturating_add(room_bytes),
                used_bytes,
                writable: failure.is_none() && !self.is_full() && room_bytes > 0,
                readable: true,
                at: UnixMillis(self.clock.now_ms()),
            })
        })
    }
}

/// Runs what reads the disk where it does not hold up others.
async fn blocking<T: Send + 'static>(
    run: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    match task::spawn_blocking(run).await {
        Ok(result) => result,
        Err(error) => Err(Error::Unavailable(format!("the call was stopped: {error}"))),
    }
}

#[async_trait]
impl ShardStore for RocksStore {
    async fn put(&self, put: PutChunks) -> Result<(), Error> {
        let bytes: usize = put.chunks.iter().map(|chunk| chunk.bytes.len()).sum();
        let put = if bytes <= VERIFY_INLINE_BYTES {
            verify::put(&put)?;
            put
        } else {
            blocking(move || verify::put(&put).map(|()| put)).await?
        };
        self.call(Work::Put(put), bytes).await
    }

    async fn confirm(&self, shards: Vec<ShardId>) -> Result<(), Error> {
        verify::shards(&shards)?;
        self.call(Work::Confirm(shards), 0).await
    }

    async fn read(&self, shard: ShardId, stripe: u32) -> Result<Chunk, Error> {
        let inner = Arc::clone(&self.inner);
        blocking(move || inner.read(shard, stripe)).await
    }

    async fn delete(&self, shards: Vec<ShardId>) -> Result<(), Error> {
        verify::shards(&shards)?;
        self.call(Work::Delete(shards), 0).await
    }

    async fn inventory(
        &self,
        after: Option<ShardId>,
        limit: u32,
    ) -> Result<Vec<ShardEntry>, Error> {
        let inner = Arc::clone(&self.inner);
        blocking(move || inner.inventory(after, limit)).await
    }

    async fn stat(&self) -> Result<DiskStat, Error> {
        let inner = Arc::clone(&self.inner);
        blocking(move || inner.stat()).await
    }

    async fn sync(&self) -> Result<(), Error> {
        self.call(Work::Sync, 0).await
    }

    async fn close(&self) -> Result<(), Error> {
        match self.call(Work::Close, 0).await {
            Err(Error::Unavailable(_)) => Ok(()),
            result => result,
        }
    }
}

#[cfg(test)]
mod tests;
