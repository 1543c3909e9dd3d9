//! How far background workers have come, so that a walk over a whole cluster goes on where it
//! was, on whatever node.

use bytes::Bytes;
use consensus::{KvError, KvRead};

use super::{Apply, refused};
use crate::{
    api::{
        RootAnswer, RootView,
        root::{CONFIG_NAME_BYTES_MAX, CURSOR_BYTES_MAX},
    },
    keys::root,
    rows::{self, CursorRow},
};

impl Apply<'_> {
    pub(super) fn save_cursor(
        &mut self,
        worker: &str,
        cursor: &Bytes,
    ) -> Result<RootAnswer, KvError> {
        if worker.len() > CONFIG_NAME_BYTES_MAX {
            return refused(format!("a worker's name has at most {CONFIG_NAME_BYTES_MAX} bytes"));
        }
        if cursor.len() > CURSOR_BYTES_MAX {
            return refused(format!("a worker's cursor has at most {CURSOR_BYTES_MAX} bytes"));
        }
        rows::put(self.rows, &root::cursor(worker), &CursorRow(cursor.clone()));
        Ok(RootAnswer::Done)
    }
}

pub(super) fn cursor(rows: &dyn KvRead, worker: &str) -> Result<RootView, KvError> {
    let row: Option<CursorRow> = rows::get(rows, &root::cursor(worker))?;
    Ok(RootView::Cursor(row.map(|row| row.0)))
}
