//! The rows of one group's state machine in the shared RocksDB: how they are read
//! ([`view`]), changed while entries are applied ([`overlay`]), and which incarnation of
//! them is current ([`Rows`]).

pub(crate) mod overlay;
pub(crate) mod view;

use std::sync::{
    Arc,
    atomic::{AtomicU32, AtomicU64, Ordering},
};

use parking_lot::Mutex;
use rocksdb::{WriteBatch, WriteOptions};
use types::GroupId;

use self::view::{Source, View};
use crate::{
    KvError, KvRead,
    error::StoreError,
    keys,
    record::state::State,
    store::{DbSnapshot, Store},
};

/// What one process knows about the rows of one group.
pub(crate) struct Rows {
    pub(crate) group: GroupId,
    pub(crate) store: Arc<Store>,
    state: Mutex<State>,
    /// The next incarnation to hand out; never one that was used before.
    next_incarnation: AtomicU32,
    /// Odd while a snapshot is being made current: then only the state row knows which
    /// incarnation a view must read.
    flips: AtomicU64,
}

impl Rows {
    /// Reads the state row and removes rows of snapshots that were never finished.
    pub(crate) fn open(group: GroupId, store: Arc<Store>) -> Result<Self, StoreError> {
        let state = store.state(group, None)?;
        let current = keys::row_prefix(group, state.incarnation);
        let family = store.family(keys::ROWS);
        let mut batch = WriteBatch::default();
        batch.delete_range_cf(&family, keys::row_prefix(group, 1).as_slice(), &current);
        let (from, to) = (keys::after_prefix(current), keys::after_group(group));
        batch.delete_range_cf(&family, &from, &to);
        store.db.write_opt(batch, &WriteOptions::default())?;
        drop(family);
        let next = state
            .incarnation
            .checked_add(1)
            .ok_or_else(|| StoreError("the group has used up its incarnations".into()))?;
        Ok(Self {
            group,
            store,
            state: Mutex::new(state),
            next_incarnation: AtomicU32::new(next),
            flips: AtomicU64::new(0),
        })
    }

    /// How far the rows have come.
    pub(crate) fn state(&self) -> State {
        self.state.lock().clone()
    }

    /// Notes what was just written to the state row.
    pub(crate) fn set_state(&self, state: State) {
        *self.state.lock() = state;
    }

    /// An incarnation that was never used.
    pub(crate) fn take_incarnation(&self) -> Result<u32, StoreError> {
        self.next_incarnation
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |next| next.checked_add(1))
            .map_err(|_| StoreError("the group has used up its incarnations".into()))
    }

    /// Between this and [`Rows::end_flip`] views ask the state row which rows to read.
    pub(crate) fn begin_flip(&self) {
        self.flips.fetch_add(1, Ordering::SeqCst);
    }

    /// See [`Rows::begin_flip`].
    pub(crate) fn end_flip(&self) {
        self.flips.fetch_add(1, Ordering::SeqCst);
    }

    /// Removes the rows of an incarnation that will not become current.
    pub(crate) fn discard(&self, incarnation: u32) -> Result<(), StoreError> {
        assert_ne!(incarnation, self.state.lock().incarnation, "current rows are never discarded");
        let prefix = keys::row_prefix(self.group, incarnation);
        let (family, end) = (self.store.family(keys::ROWS), keys::after_prefix(prefix));
        let mut batch = WriteBatch::default();
        batch.delete_range_cf(&family, prefix.as_slice(), &end);
        self.store.check()?;
        Ok(self.store.db.write_opt(batch, &WriteOptions::default())?)
    }

    /// Runs `visit` on the rows as they are now.
    pub(crate) fn view(
        &self,
        visit: &mut dyn FnMut(&dyn KvRead) -> Result<(), KvError>,
    ) -> Result<(), KvError> {
        self.store.check()?;
        let before = self.flips.load(Ordering::SeqCst);
        let incarnation = self.state.lock().incarnation;
        let snapshot = self.store.db.snapshot();
        let unchanged = self.flips.load(Ordering::SeqCst) == before && before % 2 == 0;
        let incarnation = match unchanged {
            true => incarnation,
            false => self.store.state(self.group, Some(&snapshot))?.incarnation,
        };
        visit(&self.at(&snapshot, incarnation))
    }

    /// The rows of an incarnation in a snapshot of the database.
    pub(crate) fn at<'a>(&'a self, snapshot: &'a DbSnapshot<'a>, incarnation: u32) -> View<'a> {
        View::new(
            &self.store,
            Source::Snapshot(snapshot),
            keys::row_prefix(self.group, incarnation),
        )
    }
}
