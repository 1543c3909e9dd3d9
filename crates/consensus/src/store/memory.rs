//! [`Engine`] in memory, for the simulator: a disk that outlives the node on it, and that keeps
//! apart what was written from what was synced, so that a crash can lose the difference.
//!
//! A write is visible at once. [`MemoryDisk::crash`] takes back, newest first, the batches that no
//! sync has covered: as after a power cut, a beginning of them may survive, batch by batch, for
//! RocksDB's log is cut at the first batch that is torn.

use std::{collections::BTreeMap, ops::Bound, sync::Arc, time::Duration};

use bytes::Bytes;
use parking_lot::Mutex;
use platform::planted;

use super::engine::{Engine, Op, Pair, Pairs, Reader};
use crate::{error::StoreError, format::Owner};

/// A family's pairs. Shared with snapshots; copied when it changes under one.
type Family = Arc<BTreeMap<Vec<u8>, Bytes>>;

/// What a batch replaced, in the order of its changes.
type Undo = Vec<(&'static str, Vec<u8>, Option<Bytes>)>;

#[derive(Default)]
struct State {
    families: BTreeMap<&'static str, Family>,
    /// Batches that no sync has covered, the oldest first.
    unsynced: Vec<Undo>,
    /// Batches written since the disk was made.
    written: u64,
    owner: Option<Owner>,
    sync_delay: Duration,
    failing_syncs: u32,
    syncs: u64,
}

impl State {
    fn apply(&mut self, ops: Vec<Op>) {
        let mut undo = Undo::new();
        for op in ops {
            match op {
                Op::Put { family, key, value } => {
                    let old = self.family(family).insert(key.clone(), value);
                    undo.push((family, key, old));
                }
                Op::Delete { family, key } => {
                    let old = self.family(family).remove(&key);
                    undo.push((family, key, old));
                }
                Op::DeleteRange { family, from, to } => {
                    let pairs = self.family(family);
                    let gone: Vec<Vec<u8>> = match from < to {
                        true => pairs.range(from..to).map(|(key, _)| key.clone()).collect(),
                        false => Vec::new(),
                    };
                    for key in gone {
                        let old = pairs.remove(&key);
                        undo.push((family, key, old));
                    }
                }
            }
        }
        self.unsynced.push(undo);
        self.written += 1;
    }

    fn family(&mut self, name: &'static str) -> &mut BTreeMap<Vec<u8>, Bytes> {
        Arc::make_mut(self.families.entry(name).or_default())
    }

    /// Takes back the newest batch.
    fn undo(&mut self, batch: Undo) {
        for (family, key, old) in batch.into_iter().rev() {
            match old {
                Some(old) => self.family(family).insert(key, old),
                None => self.family(family).remove(&key),
            };
        }
    }

    /// Covers every batch up to this number.
    fn synced(&mut self, upto: u64) {
        let first = self.written - self.unsynced.len() as u64;
        let covered = usize::try_from(upto.saturating_sub(first)).unwrap_or(usize::MAX);
        self.unsynced.drain(..covered.min(self.unsynced.len()));
    }
}

/// A disk in memory for one node's Raft state. Clones share it: the simulator keeps one and
/// "restarts" the node on it.
#[derive(Clone, Default)]
pub struct MemoryDisk(Arc<Mutex<State>>);

impl MemoryDisk {
    /// The power fails: of the batches that were written and not synced only the first `kept`
    /// survive.
    pub fn crash(&self, kept: usize) {
        let mut state = self.0.lock();
        while state.unsynced.len() > kept {
            let batch = state.unsynced.pop().expect("it is longer than `kept`");
            state.undo(batch);
            state.written -= 1;
        }
        state.unsynced.clear();
    }

    /// Batches that were written and that no sync has covered.
    pub fn unsynced(&self) -> usize {
        self.0.lock().unsynced.len()
    }

    /// How long a sync takes from now on, of simulated time.
    pub fn set_sync_delay(&self, delay: Duration) {
        self.0.lock().sync_delay = delay;
    }

    /// The next so many syncs fail. A node that meets one stops.
    pub fn fail_syncs(&self, count: u32) {
        self.0.lock().failing_syncs = count;
    }

    /// How often it was synced.
    pub fn syncs(&self) -> u64 {
        self.0.lock().syncs
    }

    /// Notes whose disk it is. False: it is another's.
    pub(crate) fn claim(&self, owner: Owner) -> bool {
        *self.0.lock().owner.get_or_insert(owner) == owner
    }

    /// [`Engine::commit`] that takes its time without holding the thread. Every batch that was
    /// written before the sync began is covered.
    pub(crate) async fn commit_slowly(&self, ops: Vec<Op>) -> Result<Duration, StoreError> {
        let (written, delay) = {
            let mut state = self.0.lock();
            state.apply(ops);
            (state.written, state.sync_delay)
        };
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        self.finish_sync(written)?;
        Ok(delay)
    }

    fn finish_sync(&self, upto: u64) -> Result<(), StoreError> {
        if planted("skip-log-fsync") {
            return Ok(());
        }
        let mut state = self.0.lock();
        if state.failing_syncs > 0 {
            state.failing_syncs -= 1;
            return Err(StoreError("fsync failed: input/output error".into()));
        }
        state.syncs += 1;
        state.synced(upto);
        Ok(())
    }

    fn pairs(&self, family: &'static str) -> Family {
        self.0.lock().families.get(family).cloned().unwrap_or_default()
    }
}

fn scan(
    pairs: Family,
    from: &[u8],
    to: &[u8],
) -> impl Iterator<Item = Result<Pair, StoreError>> + use<> {
    let mut from = Bound::Included(from.to_vec());
    let to = to.to_vec();
    std::iter::from_fn(move || {
        let start = match &from {
            Bound::Included(key) | Bound::Excluded(key) => key,
            Bound::Unbounded => return None,
        };
        if *start >= to {
            return None;
        }
        let range = (from.clone(), Bound::Excluded(to.clone()));
        let (key, value) = pairs.range::<Vec<u8>, _>(range).next()?;
        from = Bound::Excluded(key.clone());
        Some(Ok((Bytes::copy_from_slice(key), value.clone())))
    })
}

impl Reader for MemoryDisk {
    fn get(&self, family: &'static str, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        Ok(self.0.lock().families.get(family).and_then(|pairs| pairs.get(key).cloned()))
    }

    fn scan<'a>(&'a self, family: &'static str, from: &[u8], to: &[u8]) -> Pairs<'a> {
        Box::new(scan(self.pairs(family), from, to))
    }
}

impl Engine for MemoryDisk {
    fn last(
        &self,
        family: &'static str,
        from: &[u8],
        to: &[u8],
    ) -> Result<Option<Pair>, StoreError> {
        if from >= to {
            return Ok(None);
        }
        let pairs = self.pairs(family);
        let last = pairs.range(from.to_vec()..to.to_vec()).next_back();
        Ok(last.map(|(key, value)| (Bytes::copy_from_slice(key), value.clone())))
    }

    fn snapshot(&self) -> Box<dyn Reader + '_> {
        Box::new(MemorySnapshot(self.0.lock().families.clone()))
    }

    fn write(&self, ops: Vec<Op>) -> Result<(), StoreError> {
        self.0.lock().apply(ops);
        Ok(())
    }

    fn commit(&self, ops: Vec<Op>) -> Result<Duration, StoreError> {
        let written = {
            let mut state = self.0.lock();
            state.apply(ops);
            state.written
        };
        self.finish_sync(written)?;
        Ok(Duration::ZERO)
    }

    fn close(&self) -> Result<(), StoreError> {
        let written = self.0.lock().written;
        self.finish_sync(written)
    }
}

struct MemorySnapshot(BTreeMap<&'static str, Family>);

impl Reader for MemorySnapshot {
    fn get(&self, family: &'static str, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        Ok(self.0.get(family).and_then(|pairs| pairs.get(key).cloned()))
    }

    fn scan<'a>(&'a self, family: &'static str, from: &[u8], to: &[u8]) -> Pairs<'a> {
        Box::new(scan(self.0.get(family).cloned().unwrap_or_default(), from, to))
    }
}
