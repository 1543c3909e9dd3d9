//! Shards in memory: the reference model that the RocksDB form is held to, and the
//! mock for everybody above, with faults on demand. Costs nothing to set up.
//!
//! It keeps apart what was written and what was synced, so that [`MemoryStore::crash`] can lose the
//! difference: the changes that no sync has covered are taken back, the newest first.

use std::{
    collections::{BTreeMap, VecDeque},
    ops::Bound,
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use platform::{Clock, SystemClock, planted};
use proto::shards::{Chunk, DiskStat, PutChunks, ShardEntry, ShardState};
use types::{ChunkDigest, ShardId, UnixMillis, WriteIntent};

use crate::{Error, ShardStore, store::INVENTORY_MAX, verify};

/// Bytes that a [`MemoryStore`] holds unless it is told otherwise.
pub const DEFAULT_CAPACITY_BYTES: u64 = 1 << 30;

/// A fault that [`MemoryStore::fail_next_write`] injects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteFault {
    /// The write finds no room; the next one may.
    NoSpace,
    /// The disk fails: this write and all later ones, until [`MemoryStore::heal`].
    Io,
}

#[derive(Clone, Debug)]
struct Shard {
    intent: WriteIntent,
    state: ShardState,
    chunks: Vec<Chunk>,
    sealed: bool,
}

impl Shard {
    fn bytes(&self) -> u64 {
        self.chunks.iter().map(|chunk| chunk.bytes.len() as u64).sum()
    }
}

#[derive(Debug, Default)]
struct State {
    shards: BTreeMap<ShardId, Shard>,
    used_bytes: u64,
    capacity_bytes: u64,
    faults: VecDeque<WriteFault>,
    failed: bool,
    unavailable: bool,
    closed: bool,
    delays: Delays,
    /// What the changes that no sync has covered replaced, the oldest first.
    unsynced: VecDeque<(ShardId, Option<Shard>)>,
    /// Changes since the disk was made.
    changes: u64,
}

/// How slow a disk is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delays {
    /// How long a read takes.
    pub read: Duration,
    /// How long a sync takes: of the call that seals a shard, and of a deletion.
    pub sync: Duration,
}

impl State {
    /// Notes what a shard was before a change of it.
    fn changing(&mut self, shard: ShardId) {
        let before = self.shards.get(&shard).cloned();
        self.unsynced.push_back((shard, before));
        self.changes += 1;
    }

    /// Everything up to this change is durable.
    fn synced(&mut self, upto: u64) {
        let first = self.changes - self.unsynced.len() as u64;
        let covered = usize::try_from(upto.saturating_sub(first)).unwrap_or(usize::MAX);
        self.unsynced.drain(..covered.min(self.unsynced.len()));
    }

    /// Takes back the newest change.
    fn undo(&mut self) {
        let Some((shard, before)) = self.unsynced.pop_back() else { return };
        self.changes -= 1;
        if let Some(before) = &before {
            self.used_bytes += before.bytes();
        }
        let after = match before {
            Some(before) => self.shards.insert(shard, before),
            None => self.shards.remove(&shard),
        };
        self.used_bytes -= after.map_or(0, |after| after.bytes());
    }

    fn reachable(&self) -> Result<(), Error> {
        if self.closed {
            return Err(Error::Unavailable("it is closed".to_owned()));
        }
        if self.unavailable {
            return Err(Error::Unavailable("by request of the test".to_owned()));
        }
        Ok(())
    }

    fn writable(&mut self) -> Result<(), Error> {
        self.reachable()?;
        if !self.failed {
            match self.faults.pop_front() {
                None => return Ok(()),
                Some(WriteFault::NoSpace) => return Err(Error::NoSpace),
                Some(WriteFault::Io) => self.failed = true,
            }
        }
        Err(Error::Failed("by request of the test".to_owned()))
    }
}

/// One disk in memory. Clones share it: keep one to inject faults, or to "restart" a
/// node on the same disk.
#[derive(Clone)]
pub struct MemoryStore {
    state: Arc<Mutex<State>>,
    clock: Arc<dyn Clock>,
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new(DEFAULT_CAPACITY_BYTES, Arc::new(SystemClock))
    }
}

impl MemoryStore {
    /// An empty disk that holds `capacity_bytes` of chunks.
    pub fn new(capacity_bytes: u64, clock: Arc<dyn Clock>) -> Self {
        let state = State { capacity_bytes, ..State::default() };
        Self { state: Arc::new(Mutex::new(state)), clock }
    }

    /// Makes the next write (put, confirm or delete) fail; calls queue up.
    pub fn fail_next_write(&self, fault: WriteFault) {
        self.state.lock().faults.push_back(fault);
    }

    /// Whether every call answers [`Error::Unavailable`].
    pub fn set_unavailable(&self, unavailable: bool) {
        self.state.lock().unavailable = unavailable;
    }

    /// Ends all faults and reopens the store if it was closed; what it holds stays.
    pub fn heal(&self) {
        let mut state = self.state.lock();
        state.faults.clear();
        state.failed = false;
        state.unavailable = false;
        state.closed = false;
    }

    /// Forgets every shard, as a disk that was replaced.
    pub fn wipe(&self) {
        let mut state = self.state.lock();
        state.shards.clear();
        state.unsynced.clear();
        state.used_bytes = 0;
    }

    /// Forgets a shard, as a disk that has lost a file. False if it was not there.
    pub fn forget(&self, shard: ShardId) -> bool {
        let mut state = self.state.lock();
        state.unsynced.retain(|(changed, _)| *changed != shard);
        let Some(gone) = state.shards.remove(&shard) else { return false };
        state.used_bytes -= gone.bytes();
        true
    }

    /// How slow it is from now on.
    pub fn set_delays(&self, delays: Delays) {
        self.state.lock().delays = delays;
    }

    /// Changes that no sync has covered.
    pub fn unsynced(&self) -> usize {
        self.state.lock().unsynced.len()
    }

    /// The power fails: of the changes that no sync has covered only the first `kept` survive. It
    /// works again as after a restart, its delays and its bad bits apart.
    pub fn crash(&self, kept: usize) {
        {
            let mut state = self.state.lock();
            while state.unsynced.len() > kept {
                state.undo();
            }
            state.unsynced.clear();
        }
        self.heal();
    }

    /// Whether a power cut now would leave this shard, sealed.
    pub fn is_durable(&self, shard: ShardId) -> bool {
        let state = self.state.lock();
        // The first of the changes that may be lost says what would be left.
        match state.unsynced.iter().find(|(changed, _)| *changed == shard) {
            Some((_, before)) => before.as_ref().is_some_and(|shard| shard.sealed),
            None => state.shards.get(&shard).is_some_and(|shard| shard.sealed),
        }
    }

    /// Whether every chunk of this shard is what was written; false if it is not there.
    pub fn is_intact(&self, id: ShardId) -> bool {
        let state = self.state.lock();
        let Some(shard) = state.shards.get(&id) else { return false };
        let good = |(stripe, chunk): (u32, &Chunk)| {
            ChunkDigest::of(id, stripe, &chunk.bytes) == chunk.digest
        };
        (0u32..).zip(&shard.chunks).all(good)
    }

    /// The shards that are there, sealed or not, durable or not.
    pub fn shards(&self) -> Vec<ShardId> {
        self.state.lock().shards.keys().copied().collect()
    }

    /// Makes durable what was written before, in the time that the disk takes.
    async fn finish_sync(&self) -> Result<(), Error> {
        let (upto, delay) = {
            let state = self.state.lock();
            (state.changes, state.delays.sync)
        };
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        if planted("skip-shard-fsync") {
            return Ok(());
        }
        let mut state = self.state.lock();
        if state.failed {
            return Err(Error::Failed("by request of the test".to_owned()));
        }
        state.synced(upto);
        Ok(())
    }

    /// Flips bit `bit` (counted from the chunk's first byte, modulo its length) of a
    /// stored chunk. False if there is no such chunk or it is empty.
    pub fn flip_bit(&self, shard: ShardId, stripe: u32, bit: usize) -> bool {
        let mut state = self.state.lock();
        let Some(chunk) =
            state.shards.get_mut(&shard).and_then(|shard| shard.chunks.get_mut(stripe as usize))
        else {
            return false;
        };
        let mut bytes = chunk.bytes.to_vec();
        if bytes.is_empty() {
            return false;
        }
        let bit = bit % (bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        chunk.bytes = Bytes::from(bytes);
        true
    }

    fn put_checked(&self, put: PutChunks) -> Result<(), Error> {
        let conflict = |reason| Err(Error::Conflict { shard: put.shard, reason });
        let mut state = self.state.lock();
        state.writable()?;
        let first = put.first_stripe as usize;
        let end = first + put.chunks.len();

        let shard = state.shards.get(&put.shard);
        let stored: &[Chunk] = shard.map_or(&[], |shard| &shard.chunks);
        if first > stored.len() {
            return conflict("a stripe before this call is missing");
        }
        let repeated = stored.len().min(end) - first;
        if stored[first..first + repeated]
            .iter()
            .zip(&put.chunks)
            .any(|(stored, sent)| stored.digest != sent.digest)
        {
            return conflict("other bytes are stored for a stripe of this call");
        }
        if let Some(shard) = shard {
            if shard.intent != put.intent {
                return conflict("it was begun with another intent");
            }
            if shard.sealed && end > stored.len() {
                return conflict("it is sealed");
            }
            if put.seal && end < stored.len() {
                return conflict("it already has stripes after this seal");
            }
        }

        let fresh = &put.chunks[repeated..];
        let bytes: u64 = fresh.iter().map(|chunk| chunk.bytes.len() as u64).sum();
        if state.used_bytes + bytes > state.capacity_bytes {
            return Err(Error::NoSpace);
        }
        state.changing(put.shard);
        state.used_bytes += bytes;
        let shard = state.shards.entry(put.shard).or_insert_with(|| Shard {
            intent: put.intent.clone(),
            state: ShardState::Pending,
            chunks: Vec::new(),
            sealed: false,
        });
        // Copied, as a disk would: the caller's buffer may be pooled.
        shard.chunks.extend(fresh.iter().map(|chunk| Chunk {
            bytes: Bytes::copy_from_slice(&chunk.bytes),
            digest: chunk.digest,
        }));
        shard.sealed |= put.seal;
        Ok(())
    }
}

#[async_trait]
impl ShardStore for MemoryStore {
    async fn put(&self, put: PutChunks) -> Result<(), Error> {
        self.state.lock().reachable()?;
        verify::put(&put)?;
        let seal = put.seal;
        self.put_checked(put)?;
        if seal { self.finish_sync().await } else { Ok(()) }
    }

    async fn confirm(&self, shards: Vec<ShardId>) -> Result<(), Error> {
        verify::shards(&shards)?;
        let mut state = self.state.lock();
        state.writable()?;
        for id in shards {
            if state.shards.get(&id).is_some_and(|shard| shard.state == ShardState::Pending) {
                state.changing(id);
            }
            if let Some(shard) = state.shards.get_mut(&id) {
                shard.state = ShardState::Confirmed;
            }
        }
        Ok(())
    }

    async fn read(&self, shard: ShardId, stripe: u32) -> Result<Chunk, Error> {
        let delay = self.state.lock().delays.read;
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        let chunk = {
            let state = self.state.lock();
            state.reachable()?;
            state
                .shards
                .get(&shard)
                .filter(|shard| shard.sealed)
                .and_then(|shard| shard.chunks.get(stripe as usize))
                .cloned()
                .ok_or(Error::NotFound { shard, stripe })?
        };
        if ChunkDigest::of(shard, stripe, &chunk.bytes) != chunk.digest
            && !planted("unchecked-read")
        {
            return Err(Error::Corrupt { shard, what: format!("chunk {stripe}") });
        }
        Ok(chunk)
    }

    async fn delete(&self, shards: Vec<ShardId>) -> Result<(), Error> {
        verify::shards(&shards)?;
        {
            let mut state = self.state.lock();
            state.writable()?;
            for shard in shards {
                state.changing(shard);
                if let Some(shard) = state.shards.remove(&shard) {
                    state.used_bytes -= shard.bytes();
                }
            }
        }
        self.finish_sync().await
    }

    async fn inventory(
        &self,
        after: Option<ShardId>,
        limit: u32,
    ) -> Result<Vec<ShardEntry>, Error> {
        let state = self.state.lock();
        state.reachable()?;
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        Ok(state
            .shards
            .range((from, Bound::Unbounded))
            .take(limit.min(INVENTORY_MAX) as usize)
            .map(|(id, shard)| ShardEntry {
                shard: *id,
                state: shard.state,
                intent: shard.intent.clone(),
                stripes: shard.sealed.then_some(
                    u32::try_from(shard.chunks.len()).expect("verify::put bounds the stripes"),
                ),
                bytes: shard.bytes(),
            })
            .collect())
    }

    async fn stat(&self) -> Result<DiskStat, Error> {
        let state = self.state.lock();
        state.reachable()?;
        Ok(DiskStat {
            capacity_bytes: state.capacity_bytes,
            used_bytes: state.used_bytes,
            writable: !state.failed && state.used_bytes < state.capacity_bytes,
            readable: true,
            at: UnixMillis(self.clock.now_ms()),
        })
    }

    async fn sync(&self) -> Result<(), Error> {
        {
            let state = self.state.lock();
            state.reachable()?;
            if state.failed {
                return Err(Error::Failed("by request of the test".to_owned()));
            }
        }
        self.finish_sync().await
    }

    async fn close(&self) -> Result<(), Error> {
        let mut state = self.state.lock();
        if !state.failed {
            state.unsynced.clear();
        }
        state.closed = true;
        Ok(())
    }
}
