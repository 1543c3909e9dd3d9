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
use types::GroupId;

use self::view::{Source, View};
use crate::{
    KvError, KvRead,
    error::StoreError,
    keys,
    record::state::State,
    store::{Op, Reader, Store},
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
    /// Held while rows are changed; false once the replica is shut down. openraft does not
    /// wait for its applying task, and a replica that is started again must not race it.
    pub(crate) gate: Arc<tokio::sync::Mutex<bool>>,
}

impl Rows {
    /// Reads the state row and removes rows of snapshots that were never finished.
    pub(crate) fn open(group: GroupId, store: Arc<Store>) -> Result<Self, StoreError> {
        let state = store.state(group, None)?;
        let current = keys::row_prefix(group, state.incarnation);
        let family = keys::ROWS;
        let from = keys::row_prefix(group, 1).to_vec();
        let before = Op::DeleteRange { family, from, to: current.to_vec() };
        let (from, to) = (keys::after_prefix(current), keys::after_group(group));
        let after = Op::DeleteRange { family, from, to };
        store.engine().write(vec![before, after])?;
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
            gate: Arc::new(tokio::sync::Mutex::new(true)),
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

    /// Ends all changes, after the one under way.
    pub(crate) async fn close(&self) {
        *self.gate.lock().await = false;
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
        let (family, to) = (keys::ROWS, keys::after_prefix(prefix));
        self.store.check()?;
        self.store.engine().write(vec![Op::DeleteRange { family, from: prefix.to_vec(), to }])
    }

    /// Runs `visit` on the rows as they are now.
    pub(crate) fn view(
        &self,
        visit: &mut dyn FnMut(&dyn KvRead) -> Result<(), KvError>,
    ) -> Result<(), KvError> {
        self.store.check()?;
        let before = self.flips.load(Ordering::SeqCst);
        let incarnation = self.state.lock().incarnation;
        let snapshot = self.store.engine().snapshot();
        let unchanged = self.flips.load(Ordering::SeqCst) == before && before.is_multiple_of(2);
        let incarnation = match unchanged {
            true => incarnation,
            false => self.store.state(self.group, Some(&*snapshot))?.incarnation,
        };
        visit(&self.at(&*snapshot, incarnation))
    }

    /// The rows of an incarnation in a snapshot of the database.
    pub(crate) fn at<'a>(&'a self, snapshot: &'a dyn Reader, incarnation: u32) -> View<'a> {
        View::new(
            &self.store,
            Source::Snapshot(snapshot),
            keys::row_prefix(self.group, incarnation),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::state;

    const GROUP: GroupId = GroupId(4);

    fn put(store: &Store, incarnation: u32, value: &[u8]) {
        let key = [keys::row_prefix(GROUP, incarnation).as_slice(), b"key"].concat();
        write(store, key, value.to_vec());
    }

    fn write(store: &Store, key: Vec<u8>, value: Vec<u8>) {
        let put = Op::Put { family: keys::ROWS, key, value: value.into() };
        store.engine().write(vec![put]).unwrap();
    }

    fn has(store: &Store, incarnation: u32) -> bool {
        let key = [keys::row_prefix(GROUP, incarnation).as_slice(), b"key"].concat();
        store.get(keys::ROWS, &key).unwrap().is_some()
    }

    #[test]
    fn rows_of_unfinished_and_replaced_snapshots_are_removed_at_open() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), Arc::new(|_: &str| {})).unwrap();
        for incarnation in [1, 2, 3, 4, u32::MAX] {
            put(&store, incarnation, b"value");
        }
        let state = State { incarnation: 3, ..State::default() };
        let row = state::encode(GROUP, &state);
        write(&store, keys::state(GROUP).to_vec(), row);

        let rows = Rows::open(GROUP, Arc::clone(&store)).unwrap();
        assert_eq!(rows.state(), state);
        for incarnation in [1, 2, 4, u32::MAX] {
            assert!(!has(&store, incarnation), "incarnation {incarnation}");
        }
        assert!(has(&store, 3));
        assert_eq!(rows.take_incarnation().unwrap(), 4);
        assert_eq!(rows.take_incarnation().unwrap(), 5);
        assert_eq!(Rows::open(GROUP, store).unwrap().state(), state);
    }

    #[test]
    fn a_view_during_a_flip_asks_the_state_row() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), Arc::new(|_: &str| {})).unwrap();
        let rows = Rows::open(GROUP, Arc::clone(&store)).unwrap();
        put(&store, 2, b"new");
        let seen = || {
            let mut seen = None;
            rows.view(&mut |kv| {
                seen = kv.get(b"key")?;
                Ok(())
            })
            .unwrap();
            seen
        };
        assert_eq!(seen(), None);
        rows.begin_flip();
        let state = State { incarnation: 2, ..State::default() };
        let row = state::encode(GROUP, &state);
        write(&store, keys::state(GROUP).to_vec(), row);
        assert_eq!(seen().as_deref(), Some(&b"new"[..]), "before the process knows");
        rows.set_state(state);
        rows.end_flip();
        assert_eq!(seen().as_deref(), Some(&b"new"[..]));
    }
}
