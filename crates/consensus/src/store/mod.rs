//! One RocksDB per node, shared by all of its groups, and what happens when it fails.

mod options;
mod writer;

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use parking_lot::Mutex;
use platform::folder;
use rocksdb::{
    BoundColumnFamily, DBRecoveryMode, DBWithThreadMode, ErrorKind, MultiThreaded,
    SnapshotWithThreadMode, WriteBatch, WriteOptions,
};
use types::GroupId;
use waltail::{Mark, Verdict, judge};

pub(crate) use self::writer::{Op, Writer};
use crate::{
    error::{OpenError, StoreError},
    format, keys,
    record::state::{self, State},
    settings::OnFatal,
};

pub(crate) type Db = DBWithThreadMode<MultiThreaded>;
pub(crate) type DbSnapshot<'a> = SnapshotWithThreadMode<'a, Db>;

/// A node's RocksDB.
pub(crate) struct Store {
    pub(crate) db: Db,
    /// The log is on the disk up to this sequence number.
    synced: AtomicU64,
    poison: Mutex<Option<String>>,
    reported: AtomicBool,
    on_fatal: OnFatal,
}

impl Store {
    /// Opens or makes the RocksDB in `dir/db`. Blocking.
    pub(crate) fn open(dir: &Path, on_fatal: OnFatal) -> Result<Arc<Self>, OpenError> {
        let path = dir.join(format::DATABASE);
        folder::create_durably(&path)
            .map_err(|error| OpenError::Io { dir: path.clone(), error })?;
        let failed = |reason| OpenError::Store { dir: path.clone(), reason };
        let db = open(&path).map_err(|error| failed(error.to_string()))?;
        let synced = db.latest_sequence_number();
        let store = Self {
            db,
            // Opening has moved into tables whatever the logs had.
            synced: AtomicU64::new(synced),
            poison: Mutex::new(None),
            reported: AtomicBool::new(false),
            on_fatal,
        };
        store.bear_witness().map_err(|error| failed(error.to_string()))?;
        Ok(Arc::new(store))
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
        self.check()?;
        self.sync()?;
        let mut batch = WriteBatch::default();
        batch.put_log_data(self.mark().encode());
        self.db.write_opt(batch, &WriteOptions::default())?;
        self.sync()
    }

    /// A column family of [`keys`].
    pub(crate) fn family(&self, name: &str) -> Arc<BoundColumnFamily<'_>> {
        self.db.cf_handle(name).expect("every family of `keys` is made when the store opens")
    }

    /// A value; fails for ever once a write has failed.
    pub(crate) fn get(&self, family: &str, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.check()?;
        Ok(self.db.get_cf(&self.family(family), key)?)
    }

    /// The state row of a group, as `snapshot` or the newest data has it.
    pub(crate) fn state(
        &self,
        group: GroupId,
        snapshot: Option<&DbSnapshot<'_>>,
    ) -> Result<State, StoreError> {
        self.check()?;
        let (family, key) = (self.family(keys::ROWS), keys::state(group));
        let row = match snapshot {
            Some(snapshot) => snapshot.get_pinned_cf(&family, key)?,
            None => self.db.get_pinned_cf(&family, key)?,
        };
        match row {
            Some(row) => Ok(state::decode(group, &row)?),
            None => Ok(State::default()),
        }
    }

    /// Whether the store may still be used.
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        match self.failed() {
            Some(reason) => Err(StoreError(reason)),
            None => Ok(()),
        }
    }

    /// Why the store may not be used any more.
    pub(crate) fn failed(&self) -> Option<String> {
        self.poison.lock().clone()
    }

    /// Ends all use of the store, by every group, and tells the process.
    pub(crate) fn fail(&self, reason: String) {
        self.poison.lock().get_or_insert_with(|| reason.clone());
        self.report(&reason);
    }

    /// Tells the process that it must stop; only the first time.
    pub(crate) fn report(&self, reason: &str) {
        if !self.reported.swap(true, Ordering::SeqCst) {
            tracing::error!(reason, "this node's raft replica stops");
            (self.on_fatal)(reason);
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn after_a_failure_nothing_works_and_the_process_is_told_once() {
        let dir = tempfile::tempdir().unwrap();
        let told = Arc::new(Mutex::new(Vec::new()));
        let tell = Arc::clone(&told);
        let on_fatal: OnFatal = Arc::new(move |reason| tell.lock().push(reason.to_owned()));
        let store = Store::open(dir.path(), on_fatal).unwrap();
        let writer = Writer::start(Arc::clone(&store)).unwrap();
        let put =
            || vec![Op::Put { family: keys::META, key: b"key".to_vec(), value: b"value".to_vec() }];
        writer.submit(put()).await.unwrap();
        assert_eq!(writer.syncs(), 1);
        assert!(store.get(keys::META, b"key").unwrap().is_some());

        store.fail("fsync failed".into());
        store.fail("again".into());
        assert!(writer.submit(put()).await.is_err(), "a later write could only seem to succeed");
        assert_eq!(writer.syncs(), 1);
        assert!(store.get(keys::META, b"key").is_err());
        assert!(store.state(GroupId(1), None).is_err());
        assert_eq!(*told.lock(), ["fsync failed"]);
        tokio::task::spawn_blocking(move || writer.stop()).await.unwrap();
    }
}
