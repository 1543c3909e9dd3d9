//! A group's rows at one point in time, ready to be sent.
//!
//! A RocksDB snapshot borrows its database, so it lives on a thread that owns both, for
//! as long as the handle does. In a simulation there are no threads, and the few rows are cut
//! into frames at once.

use std::{
    fmt,
    sync::{Arc, mpsc as thread_mpsc},
};

use bytes::Bytes;
use futures::{StreamExt, stream, stream::BoxStream};
use proto::{RpcError, RpcErrorKind};
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;

use super::frame::Cutter;
use crate::{KvRead, error::StoreError, record::state::State, rows::Rows};

/// Frames that wait for the network. At the bound the thread waits: a slow follower costs
/// this much memory and a pinned view.
const WAITING_MAX: usize = 4;

type Frames = mpsc::Sender<Result<Bytes, RpcError>>;

/// A point-in-time view of a group's rows. Dropping it ends the view.
pub(crate) struct Outgoing {
    state: State,
    content: Content,
}

enum Content {
    /// The thread that owns the view.
    Thread(thread_mpsc::Sender<Frames>),
    /// All of it.
    Cut(Vec<Bytes>),
}

impl Outgoing {
    /// The rows as they are now.
    pub(crate) async fn open(rows: Arc<Rows>) -> Result<Self, StoreError> {
        if rows.store.memory().is_some() {
            return Self::cut(&rows);
        }
        let (requests, receiver) = thread_mpsc::channel();
        let (ready, state) = oneshot::channel();
        std::thread::Builder::new()
            .name("raft-snapshot".into())
            .spawn(move || serve(&rows, ready, &receiver))
            .map_err(|error| StoreError(format!("no thread for a snapshot: {error}")))?;
        let died = || StoreError("the snapshot thread died".into());
        let state = state.await.map_err(|_| died())??;
        Ok(Self { state, content: Content::Thread(requests) })
    }

    fn cut(rows: &Rows) -> Result<Self, StoreError> {
        let snapshot = rows.store.engine().snapshot();
        let state = rows.store.state(rows.group, Some(&*snapshot))?;
        let view = rows.at(&*snapshot, state.incarnation);
        let (mut cutter, mut frames) = (Cutter::new(), Vec::new());
        for row in view.scan(b"", None) {
            let (key, value) = row.map_err(|error| StoreError(error.to_string()))?;
            frames.extend(cutter.row(&key, &value));
        }
        frames.extend(cutter.end());
        Ok(Self { state, content: Content::Cut(frames) })
    }

    /// How far the rows have come.
    pub(crate) fn state(&self) -> &State {
        &self.state
    }

    /// The content as frames.
    pub(crate) fn frames(&self) -> BoxStream<'static, Result<Bytes, RpcError>> {
        let requests = match &self.content {
            Content::Thread(requests) => requests,
            Content::Cut(frames) => return stream::iter(frames.clone()).map(Ok).boxed(),
        };
        let (frames, stream) = mpsc::channel(WAITING_MAX);
        // If the thread has died the stream ends without its end frame, which the receiver
        // takes for what it is.
        let _ = requests.send(frames);
        ReceiverStream::new(stream).boxed()
    }
}

impl fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outgoing").field("state", &self.state).finish_non_exhaustive()
    }
}

fn serve(
    rows: &Rows,
    ready: oneshot::Sender<Result<State, StoreError>>,
    requests: &thread_mpsc::Receiver<Frames>,
) {
    let snapshot = rows.store.engine().snapshot();
    let state = rows.store.state(rows.group, Some(&*snapshot));
    let incarnation = state.as_ref().map_or(0, |state| state.incarnation);
    let usable = state.is_ok();
    if ready.send(state).is_err() || !usable {
        return;
    }
    let view = rows.at(&*snapshot, incarnation);
    while let Ok(frames) = requests.recv() {
        send(&view, &frames);
    }
}

fn send(view: &dyn KvRead, frames: &Frames) {
    let mut cutter = Cutter::new();
    for row in view.scan(b"", None) {
        let full = match row {
            Ok((key, value)) => cutter.row(&key, &value),
            Err(error) => {
                let error = RpcError::new(RpcErrorKind::Failed, error.to_string());
                let _ = frames.blocking_send(Err(error));
                return;
            }
        };
        for frame in full {
            if frames.blocking_send(Ok(frame)).is_err() {
                return; // The receiver gave up.
            }
        }
    }
    for frame in cutter.end() {
        if frames.blocking_send(Ok(frame)).is_err() {
            return;
        }
    }
}
