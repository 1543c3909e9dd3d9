//! openraft's state machine over a group's [`StateMachine`]: applies committed entries to
//! the rows, and takes and installs snapshots.
//!
//! Applying writes rows, applied position, membership and clock in one batch that is not
//! synced: the log is, so after a crash the entries are applied again from where the
//! state row stands.

use std::sync::Arc;

use bytes::Bytes;
use openraft::{
    EntryPayload, ErrorSubject, ErrorVerb, OptionalSend, RaftSnapshotBuilder, Snapshot,
    storage::RaftStateMachine,
};
use parking_lot::Mutex;
use tokio::sync::OwnedMutexGuard;
use types::UnixMillis;

use crate::{
    ApplyContext, StateMachine,
    error::StoreError,
    keys,
    log::failure,
    metrics,
    raft_types::{
        Batch, Entry, LogId, Replies, SnapshotMeta, StorageError, StoredMembership, TypeConfig,
    },
    record::state::{self, State},
    rows::{Rows, overlay::Overlay},
    snapshot::{Incoming, Outgoing, SnapshotData},
    store::{Op, Writer},
};

/// Changes held in memory before they are written, at the end of an entry.
const OVERLAY_BYTES_MAX: usize = 8 << 20;

/// Applies the log of one group.
#[derive(Clone)]
pub(crate) struct Machine {
    rows: Arc<Rows>,
    writer: Arc<Writer>,
    machine: Arc<dyn StateMachine>,
    /// Why a command could not be applied.
    halted: Arc<Mutex<Option<String>>>,
}

impl Machine {
    pub(crate) fn new(
        rows: Arc<Rows>,
        writer: Arc<Writer>,
        machine: Arc<dyn StateMachine>,
        halted: Arc<Mutex<Option<String>>>,
    ) -> Self {
        Self { rows, writer, machine, halted }
    }

    /// Applies entries, while `gate` is held; blocking.
    fn apply_all(
        &self,
        gate: OwnedMutexGuard<bool>,
        entries: Vec<Entry>,
    ) -> Result<Vec<Replies>, StoreError> {
        if !*gate {
            return Err(closed());
        }
        self.rows.store.check()?;
        let mut state = self.rows.state();
        let prefix = keys::row_prefix(self.rows.group, state.incarnation);
        let mut overlay = Overlay::new(&self.rows.store, prefix);
        let mut replies = Vec::with_capacity(entries.len());
        for entry in entries {
            let reply = match entry.payload {
                EntryPayload::Blank => Replies::default(),
                EntryPayload::Normal(batch) => {
                    self.apply_batch(&mut overlay, &mut state, entry.log_id.index, &batch)?
                }
                EntryPayload::Membership(membership) => {
                    state.membership = StoredMembership::new(Some(entry.log_id), membership);
                    Replies::default()
                }
            };
            replies.push(reply);
            state.applied = Some(entry.log_id);
            if overlay.bytes() >= OVERLAY_BYTES_MAX {
                self.write(&mut overlay, &state)?;
            }
        }
        self.write(&mut overlay, &state)?;
        Ok(replies)
    }

    fn apply_batch(
        &self,
        overlay: &mut Overlay<'_>,
        state: &mut State,
        index: u64,
        batch: &Batch,
    ) -> Result<Replies, StoreError> {
        state.clock_ms = state.clock_ms.max(batch.now_ms);
        let context = ApplyContext { index, now: UnixMillis(state.clock_ms) };
        let apply = |command: &Bytes| self.machine.apply(overlay, context, command);
        match batch.commands.iter().map(apply).collect() {
            Ok(replies) => Ok(Replies(replies)),
            Err(halt) => {
                let group = self.rows.group;
                let reason = format!("group {group} halts at entry {index}: {halt}");
                self.halted.lock().get_or_insert_with(|| reason.clone());
                Err(StoreError(reason))
            }
        }
    }

    fn write(&self, overlay: &mut Overlay<'_>, state: &State) -> Result<(), StoreError> {
        let mut ops = overlay.drain();
        ops.push(Op::Put {
            family: keys::ROWS,
            key: keys::state(self.rows.group).to_vec(),
            value: state::encode(self.rows.group, state).into(),
        });
        self.rows.store.write("writing rows", ops)?;
        self.rows.set_state(state.clone());
        Ok(())
    }

    /// Makes received rows current, durably.
    async fn flip(&self, meta: &SnapshotMeta, incoming: Incoming) -> Result<(), StoreError> {
        let old = self.rows.state();
        let state = State {
            applied: meta.last_log_id,
            membership: meta.last_membership.clone(),
            incarnation: incoming.incarnation(),
            clock_ms: incoming.clock_ms().max(old.clock_ms),
        };
        let group = self.rows.group;
        let replaced = keys::row_prefix(group, old.incarnation);
        let ops = vec![
            Op::Put {
                family: keys::ROWS,
                key: keys::state(group).to_vec(),
                value: state::encode(group, &state).into(),
            },
            Op::DeleteRange {
                family: keys::ROWS,
                from: replaced.to_vec(),
                to: keys::after_prefix(replaced),
            },
        ];
        let open = self.rows.gate.lock().await;
        if !*open {
            return Err(closed());
        }
        self.rows.begin_flip();
        // From here on the rows may be current, so nobody may remove them: if the write
        // fails they stay until the group is opened again.
        incoming.installed();
        let written = self.writer.submit(ops).await;
        if written.is_ok() {
            self.rows.set_state(state);
            metrics::snapshot(group, "installed");
        }
        self.rows.end_flip();
        written
    }
}

/// The replica was shut down; another may own the rows now.
fn closed() -> StoreError {
    StoreError("the replica was shut down".into())
}

impl RaftStateMachine<TypeConfig> for Machine {
    type SnapshotBuilder = Builder;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, StoredMembership), StorageError> {
        let state = self.rows.state();
        Ok((state.applied, state.membership))
    }

    async fn apply<I>(&mut self, entries: I) -> Result<Vec<Replies>, StorageError>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let entries: Vec<Entry> = entries.into_iter().collect();
        let machine = self.clone();
        let gate = Arc::clone(&self.rows.gate).lock_owned().await;
        let applied = platform::off_thread(move || machine.apply_all(gate, entries)).await;
        applied
            .unwrap_or_else(|error| Err(StoreError(format!("applying panicked: {error}"))))
            .map_err(failure(ErrorSubject::StateMachine, ErrorVerb::Write))
    }

    async fn get_snapshot_builder(&mut self) -> Builder {
        Builder { state: self.rows.state(), writer: Arc::clone(&self.writer) }
    }

    async fn begin_receiving_snapshot(&mut self) -> Result<Box<SnapshotData>, StorageError> {
        Ok(Box::new(SnapshotData::Noted))
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMeta,
        snapshot: Box<SnapshotData>,
    ) -> Result<(), StorageError> {
        let error = || failure(ErrorSubject::Snapshot(Some(meta.signature())), ErrorVerb::Write);
        let incoming = match *snapshot {
            SnapshotData::Incoming(incoming) => incoming,
            SnapshotData::Outgoing(source) => {
                let rows = Arc::clone(&self.rows);
                let clock_ms = source.state().clock_ms;
                Incoming::receive(rows, clock_ms, source.frames())
                    .await
                    .map_err(|failed| error()(StoreError(failed.message)))?
            }
            SnapshotData::Noted => {
                return Err(error()(StoreError("a snapshot without content".into())));
            }
        };
        self.flip(meta, incoming).await.map_err(error())
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot<TypeConfig>>, StorageError> {
        if self.rows.state().applied.is_none() {
            return Ok(None);
        }
        let outgoing = Outgoing::open(Arc::clone(&self.rows))
            .await
            .map_err(failure(ErrorSubject::Snapshot(None), ErrorVerb::Read))?;
        let meta = outgoing.state().snapshot_meta();
        Ok(Some(Snapshot { meta, snapshot: Box::new(SnapshotData::Outgoing(outgoing)) }))
    }
}

/// Notes how far the rows have come.
pub(crate) struct Builder {
    state: State,
    writer: Arc<Writer>,
}

impl RaftSnapshotBuilder<TypeConfig> for Builder {
    /// Makes the rows durable, so that the log before them may go.
    async fn build_snapshot(&mut self) -> Result<Snapshot<TypeConfig>, StorageError> {
        let synced = self.writer.submit(Vec::new()).await;
        synced.map_err(failure(ErrorSubject::Snapshot(None), ErrorVerb::Write))?;
        let meta = self.state.snapshot_meta();
        Ok(Snapshot { meta, snapshot: Box::new(SnapshotData::Noted) })
    }
}
