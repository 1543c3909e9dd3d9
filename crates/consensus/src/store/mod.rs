//! One store per node, shared by all of its groups, and what happens when it fails.

mod engine;
mod memory;
mod options;
mod rocks;
mod writer;

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;
use parking_lot::Mutex;
use platform::folder;
use types::GroupId;

pub use self::memory::MemoryDisk;
use self::rocks::Rocks;
pub(crate) use self::{
    engine::{Engine, Op, Reader},
    writer::Writer,
};
use crate::{
    error::{OpenError, StoreError},
    format, keys,
    record::state::{self, State},
    settings::OnFatal,
};

/// Where the rows are.
enum Kind {
    Rocks(Rocks),
    Memory(MemoryDisk),
}

/// A node's rows, until they fail.
pub(crate) struct Store {
    kind: Kind,
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
        let rocks = Rocks::open(&path)
            .map_err(|error| OpenError::Store { dir: path, reason: error.to_string() })?;
        Ok(Self::over(Kind::Rocks(rocks), on_fatal))
    }

    /// A store on a simulated disk.
    pub(crate) fn in_memory(disk: MemoryDisk, on_fatal: OnFatal) -> Arc<Self> {
        Self::over(Kind::Memory(disk), on_fatal)
    }

    fn over(kind: Kind, on_fatal: OnFatal) -> Arc<Self> {
        let (poison, reported) = (Mutex::new(None), AtomicBool::new(false));
        Arc::new(Self { kind, poison, reported, on_fatal })
    }

    /// What reads and writes. Callers [`check`](Self::check) first.
    pub(crate) fn engine(&self) -> &dyn Engine {
        match &self.kind {
            Kind::Rocks(rocks) => rocks,
            Kind::Memory(disk) => disk,
        }
    }

    /// The simulated disk, if it is one: nothing may leave the thread then.
    pub(crate) fn memory(&self) -> Option<&MemoryDisk> {
        match &self.kind {
            Kind::Rocks(_) => None,
            Kind::Memory(disk) => Some(disk),
        }
    }

    /// The orderly end.
    pub(crate) fn close(&self) -> Result<(), StoreError> {
        self.check()?;
        self.engine().close()
    }

    /// A value; fails for ever once a write has failed.
    pub(crate) fn get(
        &self,
        family: &'static str,
        key: &[u8],
    ) -> Result<Option<Bytes>, StoreError> {
        self.check()?;
        self.engine().get(family, key)
    }

    /// Writes, not synced; after a failure nothing works any more. `what` is in the reason.
    pub(crate) fn write(&self, what: &str, ops: Vec<Op>) -> Result<(), StoreError> {
        self.check()?;
        self.engine().write(ops).inspect_err(|error| self.fail(format!("{what} failed: {error}")))
    }

    /// The state row of a group, as `snapshot` or the newest data has it.
    pub(crate) fn state(
        &self,
        group: GroupId,
        snapshot: Option<&dyn Reader>,
    ) -> Result<State, StoreError> {
        self.check()?;
        let key = keys::state(group);
        let row = match snapshot {
            Some(snapshot) => snapshot.get(keys::ROWS, &key)?,
            None => self.engine().get(keys::ROWS, &key)?,
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

#[cfg(test)]
mod conformance;
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
        let put = || {
            vec![Op::Put {
                family: keys::META,
                key: b"key".to_vec(),
                value: Bytes::from_static(b"value"),
            }]
        };
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
