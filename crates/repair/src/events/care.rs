//! The care of one partition's events: cursors are read and saved, rows that everybody has passed
//! are removed.

use std::sync::Arc;

use bytes::Bytes;
use metastore::api::{IndexAnswer, IndexCommand, IndexQuery, IndexView};
use objects::Objects;
use types::GroupId;

use super::{NAME, webhook::Webhook};
use crate::{Error, saved};

/// The version of a cursor's stored form: this byte, then the number, big-endian.
const VERSION: u8 = 1;

/// What is to be done.
pub(super) struct Care {
    pub(super) objects: Objects,
    pub(super) webhooks: Arc<[Webhook]>,
    pub(super) group: GroupId,
    /// Whether cursors are to be read.
    pub(super) load: bool,
    /// Rows up to here are to be removed.
    pub(super) through: Option<u64>,
    /// Cursors to be saved, by the number of their target. Before rows are removed: what is not
    /// saved and has no rows left would be unknown.
    pub(super) save: Vec<(usize, u64)>,
}

/// What was found and done.
pub(super) struct Cared {
    /// One cursor a target, if they were to be read.
    pub(super) loaded: Option<Vec<Option<u64>>>,
    /// As [`Care::save`].
    pub(super) saved: Vec<(usize, u64)>,
    /// Whether rows are left.
    pub(super) rows: bool,
}

impl Care {
    pub(super) async fn take(self) -> Result<Cared, Error> {
        let loaded = if self.load { Some(self.read_cursors().await?) } else { None };
        for (number, cursor) in &self.save {
            self.save_cursor(*number, *cursor).await?;
        }
        let rows = self.remove_rows().await?;
        Ok(Cared { loaded, saved: self.save, rows })
    }

    fn cursor_name(&self, webhook: &Webhook) -> String {
        format!("{NAME}/{}/{}", self.group.0, webhook.target.name())
    }

    async fn read_cursors(&self) -> Result<Vec<Option<u64>>, Error> {
        let mut cursors = Vec::with_capacity(self.webhooks.len());
        for webhook in self.webhooks.iter() {
            let name = self.cursor_name(webhook);
            let saved = saved::read(&**self.objects.metadata(), &name).await?;
            cursors.push(saved.and_then(|it| decode(&it)));
        }
        Ok(cursors)
    }

    async fn save_cursor(&self, number: usize, cursor: u64) -> Result<(), Error> {
        let name = self.cursor_name(&self.webhooks[number]);
        saved::write(&**self.objects.metadata(), &name, encode(cursor)).await
    }

    /// Removes rows, as many at a time as one command does. True if others are left.
    async fn remove_rows(&self) -> Result<bool, Error> {
        let mut before = None;
        loop {
            let oldest = self.oldest_row().await?;
            let Some(through) = self.through.filter(|through| oldest <= Some(*through)) else {
                return Ok(oldest.is_some());
            };
            let Some(oldest) = oldest else { return Ok(false) };
            if before == Some(oldest) {
                return Err(Error::Unexpected(format!("the row of event {oldest} does not go")));
            }
            before = Some(oldest);
            let command = IndexCommand::EventsDelivered { through };
            match self.objects.metadata().partition(self.group, command).await? {
                IndexAnswer::Done => {}
                other => return Err(Error::answer(&other)),
            }
        }
    }

    async fn oldest_row(&self) -> Result<Option<u64>, Error> {
        let query = IndexQuery::Events { after: None, limit: 1 };
        match self.objects.metadata().partition_query(self.group, query).await? {
            IndexView::Events(events) => Ok(events.first().map(|event| event.number)),
            other => Err(Error::view(&other)),
        }
    }
}

fn encode(cursor: u64) -> Bytes {
    [&[VERSION][..], &cursor.to_be_bytes()].concat().into()
}

/// `None` for what another version wrote: events that still have rows are sent again.
fn decode(bytes: &[u8]) -> Option<u64> {
    match bytes.split_first() {
        Some((&VERSION, rest)) => Some(u64::from_be_bytes(rest.try_into().ok()?)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stored_form_is_fixed() {
        let golden = [1, 0, 0, 0, 0, 0, 0, 2, 3];
        assert_eq!(encode(0x203), &golden[..]);
        assert_eq!(decode(&golden), Some(0x203));
        for bytes in [&[][..], &[2, 0, 0, 0, 0, 0, 0, 2, 3], &golden[..8]] {
            assert_eq!(decode(bytes), None, "{bytes:?}");
        }
    }
}
