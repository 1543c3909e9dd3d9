//! openraft's log storage on the node's store: votes, entries and positions of one
//! group. Every change goes through the writer thread and is on disk when the call
//! returns, except the committed position, which is only a hint.

use std::{fmt::Debug, io, ops::Bound, ops::RangeBounds, sync::Arc, time::Duration};

use openraft::{
    AnyError, EntryPayload, ErrorSubject, ErrorVerb, LogState, OptionalSend, RaftLogReader,
    StorageIOError,
    storage::{LogFlushed, RaftLogStorage},
};
use platform::planted;
use types::GroupId;

use crate::{
    error::StoreError,
    keys,
    raft_types::{Entry, LogId, StorageError, TypeConfig, Vote},
    record::{entry, position},
    rows::Rows,
    store::{Op, Store, Writer},
};

/// Bytes of entries in one AppendEntries call; one entry is sent however large it is, so
/// a call carries less than twice this.
const SEND_BYTES_MAX: usize = 1 << 20;

/// How often a purge looks whether the rows have come far enough, and for how long: a
/// snapshot is made current by one write, so that this long means that it never will be.
const COVERED_LOOK: Duration = Duration::from_millis(2);
const COVERED_MAX: Duration = Duration::from_secs(60);

/// The log of one group.
#[derive(Clone)]
pub(crate) struct LogStore {
    group: GroupId,
    store: Arc<Store>,
    writer: Arc<Writer>,
    /// What must cover an entry before it is purged.
    rows: Option<Arc<Rows>>,
}

impl LogStore {
    /// A log whose entries may be purged at any time.
    #[cfg(test)]
    pub(crate) fn new(group: GroupId, store: Arc<Store>, writer: Arc<Writer>) -> Self {
        Self { group, store, writer, rows: None }
    }

    /// The log of which `rows` are made.
    pub(crate) fn of(rows: Arc<Rows>, writer: Arc<Writer>) -> Self {
        Self { group: rows.group, store: Arc::clone(&rows.store), writer, rows: Some(rows) }
    }

    /// Waits until the rows hold everything up to `log_id`. openraft has a received snapshot
    /// installed by a task of its own and purges the log before it at once: after a crash
    /// between the two, entries would be in neither.
    async fn covered(&self, log_id: LogId) -> Result<(), StoreError> {
        let Some(rows) = &self.rows else { return Ok(()) };
        let covered = async {
            while rows.state().applied < Some(log_id) {
                self.store.check()?;
                tokio::time::sleep(COVERED_LOOK).await;
            }
            Ok(())
        };
        tokio::time::timeout(COVERED_MAX, covered).await.unwrap_or_else(|_| {
            Err(StoreError(format!("entries up to {log_id} are to be purged but not applied")))
        })
    }

    /// Entries from `from` up to, not including, `to`, in order and without holes. Stops
    /// after the entry with which `bytes_max` is reached.
    fn read(&self, from: u64, to: u64, bytes_max: usize) -> Result<Vec<Entry>, StoreError> {
        self.store.check()?;
        if from >= to {
            return Ok(Vec::new());
        }
        let (first, end) = (keys::log(self.group, from), keys::log(self.group, to));
        let rows = self.store.engine().scan(keys::LOG, &first, &end);
        let (mut entries, mut bytes) = (Vec::<Entry>::new(), 0);
        for row in rows {
            let (key, record) = row?;
            let index = keys::log_index(&key)
                .ok_or_else(|| StoreError("a raft log key has the wrong length".into()))?;
            if let Some(last) = entries.last()
                && last.log_id.index + 1 != index
            {
                let last = last.log_id.index;
                return Err(StoreError(format!("raft log has a hole between {last} and {index}")));
            }
            entries.push(self.decode(index, &record)?);
            bytes += record.len();
            if bytes >= bytes_max {
                break;
            }
        }
        Ok(entries)
    }

    fn decode(&self, index: u64, record: &[u8]) -> Result<Entry, StoreError> {
        entry::decode(self.group, index, record).map_err(|error| {
            StoreError(format!(
                "raft log entry {index} of group {} is damaged ({error}): rebuild this node under a new id",
                self.group
            ))
        })
    }

    fn last(&self) -> Result<Option<LogId>, StoreError> {
        self.store.check()?;
        let (first, end) = (keys::log(self.group, 0), keys::log_end(self.group));
        let last = self.store.engine().last(keys::LOG, &first, &end)?;
        let Some((key, record)) = last else { return Ok(None) };
        let index = keys::log_index(&key)
            .ok_or_else(|| StoreError("a raft log key has the wrong length".into()))?;
        Ok(Some(self.decode(index, &record)?.log_id))
    }

    fn position(&self, key: &[u8]) -> Result<Option<LogId>, StoreError> {
        match self.store.get(keys::META, key)? {
            Some(record) => Ok(Some(position::decode_log_id(key, &record)?)),
            None => Ok(None),
        }
    }

    fn vote(&self) -> Result<Option<Vote>, StoreError> {
        let first = self.store.get(keys::META, &keys::vote(self.group, 0))?;
        let second = self.store.get(keys::META, &keys::vote(self.group, 1))?;
        Ok(position::decode_vote(self.group, [first.as_deref(), second.as_deref()])?)
    }
}

/// What openraft wants to know about a failed call.
pub(crate) fn failure(
    subject: ErrorSubject<u64>,
    verb: ErrorVerb,
) -> impl FnOnce(StoreError) -> StorageError {
    move |error| StorageIOError::new(subject, verb, AnyError::new(&error)).into()
}

impl RaftLogReader<TypeConfig> for LogStore {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> Result<Vec<Entry>, StorageError> {
        let from = match range.start_bound() {
            Bound::Included(index) => *index,
            Bound::Excluded(index) => index.saturating_add(1),
            Bound::Unbounded => 0,
        };
        let to = match range.end_bound() {
            Bound::Included(index) => index.saturating_add(1),
            Bound::Excluded(index) => *index,
            Bound::Unbounded => u64::MAX,
        };
        self.read(from, to, usize::MAX).map_err(failure(ErrorSubject::Logs, ErrorVerb::Read))
    }

    async fn limited_get_log_entries(
        &mut self,
        start: u64,
        end: u64,
    ) -> Result<Vec<Entry>, StorageError> {
        self.read(start, end, SEND_BYTES_MAX).map_err(failure(ErrorSubject::Logs, ErrorVerb::Read))
    }
}

impl RaftLogStorage<TypeConfig> for LogStore {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<TypeConfig>, StorageError> {
        let error = || failure(ErrorSubject::Logs, ErrorVerb::Read);
        let purged = self.position(&keys::purged(self.group)).map_err(error())?;
        let last = self.last().map_err(error())?;
        Ok(LogState { last_purged_log_id: purged, last_log_id: last.or(purged) })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), StorageError> {
        let ops = position::encode_vote(self.group, *vote).map(|(key, value)| Op::Put {
            family: keys::META,
            key,
            value: value.into(),
        });
        if planted("vote-without-fsync") {
            let written = self.store.write("writing the vote", ops.into());
            return written.map_err(failure(ErrorSubject::Vote, ErrorVerb::Write));
        }
        let done = self.writer.submit(ops.into()).await;
        done.map_err(failure(ErrorSubject::Vote, ErrorVerb::Write))
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, StorageError> {
        self.vote().map_err(failure(ErrorSubject::Vote, ErrorVerb::Read))
    }

    /// Not synced: after a crash it only saves waiting for the leader's word, and reads
    /// wait for an entry of this process anyway.
    async fn save_committed(&mut self, committed: Option<LogId>) -> Result<(), StorageError> {
        let Some(committed) = committed else { return Ok(()) };
        let key = keys::committed(self.group);
        let value = position::encode_log_id(&key, committed).into();
        let put = Op::Put { family: keys::META, key, value };
        let written = self.store.write("writing the committed position", vec![put]);
        written.map_err(failure(ErrorSubject::Store, ErrorVerb::Write))
    }

    async fn read_committed(&mut self) -> Result<Option<LogId>, StorageError> {
        let committed = self.position(&keys::committed(self.group));
        committed.map_err(failure(ErrorSubject::Store, ErrorVerb::Read))
    }

    async fn append<I>(
        &mut self,
        entries: I,
        callback: LogFlushed<TypeConfig>,
    ) -> Result<(), StorageError>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let mut ops = Vec::new();
        for entry in entries {
            if let EntryPayload::Normal(batch) = &entry.payload {
                batch.appended.set();
            }
            ops.push(Op::Put {
                family: keys::LOG,
                key: keys::log(self.group, entry.log_id.index).to_vec(),
                value: entry::encode(self.group, &entry).into(),
            });
        }
        match self.writer.submit(ops).await {
            Ok(()) => {
                callback.log_io_completed(Ok(()));
                Ok(())
            }
            Err(error) => {
                callback.log_io_completed(Err(io::Error::other(error.clone())));
                Err(failure(ErrorSubject::Logs, ErrorVerb::Write)(error))
            }
        }
    }

    async fn truncate(&mut self, log_id: LogId) -> Result<(), StorageError> {
        // One batch, so there is no order in which a hole could appear.
        let op = Op::DeleteRange {
            family: keys::LOG,
            from: keys::log(self.group, log_id.index).to_vec(),
            to: keys::log_end(self.group),
        };
        if planted("misorder-truncate") {
            let writer = Arc::clone(&self.writer);
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(50)).await;
                writer.submit(vec![op]).await
            });
            return Ok(());
        }
        let done = self.writer.submit(vec![op]).await;
        done.map_err(failure(ErrorSubject::Log(log_id), ErrorVerb::Delete))
    }

    async fn purge(&mut self, log_id: LogId) -> Result<(), StorageError> {
        let error = || failure(ErrorSubject::Log(log_id), ErrorVerb::Delete);
        self.covered(log_id).await.map_err(error())?;
        let key = keys::purged(self.group);
        let value = position::encode_log_id(&key, log_id).into();
        let ops = vec![
            Op::DeleteRange {
                family: keys::LOG,
                from: keys::log(self.group, 0).to_vec(),
                to: keys::log(self.group, log_id.index.saturating_add(1)).to_vec(),
            },
            Op::Put { family: keys::META, key, value },
        ];
        self.writer.submit(ops).await.map_err(error())
    }
}

#[cfg(test)]
mod tests {
    use openraft::{CommittedLeaderId, storage::RaftLogStorageExt};

    use super::*;
    use crate::store::MemoryDisk;

    const GROUP: GroupId = GroupId(6);

    fn entry(index: u64) -> Entry {
        let log_id = LogId::new(CommittedLeaderId::new(1, 1), index);
        Entry { log_id, payload: EntryPayload::Blank }
    }

    async fn log_of(entries: u64) -> (tempfile::TempDir, LogStore) {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), Arc::new(|_: &str| {})).unwrap();
        let writer = Arc::new(Writer::start(Arc::clone(&store)).unwrap());
        let mut log = LogStore::new(GROUP, store, writer);
        log.blocking_append((0..entries).map(entry)).await.unwrap();
        (dir, log)
    }

    #[tokio::test]
    async fn a_damaged_entry_is_an_error_and_not_the_end_of_the_log() {
        let (_dir, mut log) = log_of(5).await;
        let key = keys::log(GROUP, 2).to_vec();
        let mut record = log.store.get(keys::LOG, &key).unwrap().unwrap().to_vec();
        *record.last_mut().unwrap() ^= 1;
        let put = Op::Put { family: keys::LOG, key, value: record.into() };
        log.store.engine().write(vec![put]).unwrap();
        assert_eq!(log.try_get_log_entries(0..2).await.unwrap().len(), 2);
        let error = log.try_get_log_entries(0..5).await.unwrap_err().to_string();
        assert!(error.contains("entry 2 of group g6 is damaged"), "{error}");
    }

    #[tokio::test]
    async fn a_hole_is_an_error() {
        let (_dir, mut log) = log_of(5).await;
        let delete = Op::Delete { family: keys::LOG, key: keys::log(GROUP, 2).to_vec() };
        log.store.engine().write(vec![delete]).unwrap();
        let error = log.try_get_log_entries(0..5).await.unwrap_err().to_string();
        assert!(error.contains("hole between 1 and 3"), "{error}");
    }

    /// A crash before the snapshot is current must find the log as it was.
    #[tokio::test]
    async fn nothing_is_purged_before_the_rows_hold_it() {
        let (_dir, log) = log_of(5).await;
        let rows = Arc::new(Rows::open(GROUP, Arc::clone(&log.store)).unwrap());
        let mut log = LogStore::of(Arc::clone(&rows), Arc::clone(&log.writer));
        let (mut reader, writer) = (log.clone(), Arc::clone(&log.writer));
        let upto = entry(3).log_id;
        let mut purge = std::pin::pin!(log.purge(upto));
        for _ in 0..10 {
            assert!(futures::poll!(&mut purge).is_pending());
            writer.submit(Vec::new()).await.unwrap();
        }
        assert_eq!(reader.get_log_state().await.unwrap().last_purged_log_id, None);
        assert_eq!(reader.try_get_log_entries(0..5).await.unwrap().len(), 5);

        rows.set_state(crate::record::state::State { applied: Some(upto), ..rows.state() });
        purge.await.unwrap();
        assert_eq!(reader.get_log_state().await.unwrap().last_purged_log_id, Some(upto));
        assert_eq!(reader.try_get_log_entries(0..5).await.unwrap().len(), 1);
    }

    /// Who has voted must not vote again in the term, and what was acknowledged to a leader is there.
    #[tokio::test]
    async fn votes_and_entries_outlive_a_power_cut() {
        let disk = MemoryDisk::default();
        let store = Store::in_memory(disk.clone(), Arc::new(|_: &str| {}));
        let writer = Arc::new(Writer::start(Arc::clone(&store)).unwrap());
        let mut log = LogStore::new(GROUP, store, writer);
        let vote = Vote::new(7, 3);
        log.save_vote(&vote).await.unwrap();
        disk.crash(0);
        assert_eq!(log.read_vote().await.unwrap(), Some(vote));
        log.blocking_append((0..3).map(entry)).await.unwrap();
        disk.crash(0);
        assert_eq!(log.try_get_log_entries(0..3).await.unwrap().len(), 3);
    }

    #[tokio::test]
    async fn what_one_call_sends_is_bounded() {
        let (_dir, mut log) = log_of(0).await;
        let large = |index| {
            let commands = vec![vec![7; 400 << 10].into()];
            let batch = crate::raft_types::Batch { commands, ..Default::default() };
            Entry { payload: EntryPayload::Normal(batch), ..entry(index) }
        };
        log.blocking_append((0..10).map(large)).await.unwrap();
        assert_eq!(log.limited_get_log_entries(0, 10).await.unwrap().len(), 3);
        assert_eq!(log.limited_get_log_entries(9, 10).await.unwrap().len(), 1);
    }
}
