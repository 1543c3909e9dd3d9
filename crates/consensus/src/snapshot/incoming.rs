//! Rows received from a leader, written under an incarnation that is not current yet.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use futures::{Stream, StreamExt};
use proto::{RpcError, RpcErrorKind};

use super::frame::{Joiner, OwnedRow};
use crate::{error::StoreError, keys, rows::Rows, store::Op};

/// A received snapshot. Dropping it before it is installed removes its rows.
pub(crate) struct Incoming {
    rows: Arc<Rows>,
    incarnation: u32,
    clock_ms: u64,
    installed: bool,
}

impl Incoming {
    /// Receives the whole content, not synced yet: installing syncs it.
    pub(crate) async fn receive<S>(
        rows: Arc<Rows>,
        clock_ms: u64,
        mut frames: S,
    ) -> Result<Self, RpcError>
    where
        S: Stream<Item = Result<Bytes, RpcError>> + Unpin,
    {
        let incarnation = rows.take_incarnation().map_err(failed)?;
        let incoming = Self { rows, incarnation, clock_ms, installed: false };
        let mut joiner = Joiner::new();
        while let Some(frame) = frames.next().await {
            let received = joiner
                .frame(&frame?)
                .map_err(|error| RpcError::new(RpcErrorKind::Corrupt, error.to_string()))?;
            incoming.write(received).await.map_err(failed)?;
        }
        match joiner.complete() {
            true => Ok(incoming),
            false => Err(RpcError::new(RpcErrorKind::Corrupt, "snapshot stream has no end")),
        }
    }

    /// Which rows these are.
    pub(crate) fn incarnation(&self) -> u32 {
        self.incarnation
    }

    /// The sender's clock at its last command.
    pub(crate) fn clock_ms(&self) -> u64 {
        self.clock_ms
    }

    /// The rows have become current.
    pub(crate) fn installed(mut self) {
        self.installed = true;
    }

    async fn write(&self, received: Vec<OwnedRow>) -> Result<(), StoreError> {
        if received.is_empty() {
            return Ok(());
        }
        let store = Arc::clone(&self.rows.store);
        let prefix = keys::row_prefix(self.rows.group, self.incarnation);
        let put = move |(key, value): OwnedRow| Op::Put {
            family: keys::ROWS,
            key: [prefix.as_slice(), &key].concat(),
            value: value.into(),
        };
        let write = move || {
            store.write("writing a received snapshot", received.into_iter().map(put).collect())
        };
        let written = platform::off_thread(write).await;
        written.map_err(|error| StoreError(format!("writing a snapshot panicked: {error}")))?
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        if self.installed {
            return;
        }
        if let Err(error) = self.rows.discard(self.incarnation) {
            // They are removed when the group is opened again.
            tracing::warn!(group = %self.rows.group, %error, "rows of an unused snapshot remain");
        }
    }
}

impl fmt::Debug for Incoming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Incoming").field("incarnation", &self.incarnation).finish_non_exhaustive()
    }
}

fn failed(error: StoreError) -> RpcError {
    RpcError::new(RpcErrorKind::Failed, error.0)
}
