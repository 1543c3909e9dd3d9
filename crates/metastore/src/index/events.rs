//! Events: what changed in a bucket whose settings ask for them, written in the entry that made
//! the change. Whoever delivers them reads the oldest rows and says up to which they are done
//! with; until then they stay, also when the bucket is gone.

use consensus::{KvError, KvRead};
use types::{ETag, ObjectHead, StorageClass, Version, Versioning};

use super::{Apply, next_number, versions::Place};
use crate::{
    api::{
        IndexAnswer, IndexView,
        index::{Event, EventKind, Origin},
    },
    keys::index as keys,
    rows::{self, RowValue},
};

/// Rows that one `EventsDelivered` removes at most.
const DELIVERED_MAX: usize = 1000;

/// What an event says about its version.
pub(super) struct Subject {
    name: Version,
    size: u64,
    etag: Option<ETag>,
    class: StorageClass,
}

impl Subject {
    /// An object.
    pub(super) fn object(head: &ObjectHead) -> Self {
        let (size, etag, class) = (head.size, Some(head.etag), head.attributes.class);
        Self { name: head.name(), size, etag, class }
    }

    /// A delete marker.
    pub(super) fn marker(name: Version) -> Self {
        Self { name, size: 0, etag: None, class: StorageClass::default() }
    }
}

impl Apply<'_> {
    /// Writes an event down, if the bucket has them.
    pub(super) fn note_event(
        &mut self,
        at: Place<'_>,
        kind: EventKind,
        subject: &Subject,
        origin: &Origin,
    ) -> Result<(), KvError> {
        if !at.settings.events {
            return Ok(());
        }
        let number = next_number(self.rows, keys::NEXT_EVENT, &mut self.next_event)?;
        let event = Event {
            number,
            at: self.now,
            bucket: at.bucket,
            key: at.key.to_owned(),
            kind,
            version: (at.settings.versioning != Versioning::Off).then_some(subject.name),
            size: subject.size,
            etag: subject.etag,
            class: subject.class,
            origin: origin.clone(),
        };
        rows::put(self.rows, &keys::event(number), &event);
        Ok(())
    }

    pub(super) fn events_delivered(&mut self, through: u64) -> Result<IndexAnswer, KvError> {
        let from = first_after(removed(self.rows)?);
        let mut to = keys::event(through);
        to.push(0);
        if from >= to {
            return Ok(IndexAnswer::Done);
        }
        let done: Vec<_> = self
            .rows
            .scan(&from, Some(&to))
            .take(DELIVERED_MAX)
            .map(|row| row.and_then(|(key, _)| keys::number_of_event(&key)))
            .collect::<Result<_, _>>()?;
        for number in &done {
            self.rows.delete(&keys::event(*number));
        }
        if let Some(last) = done.last() {
            rows::put(self.rows, keys::EVENTS_REMOVED, last);
        }
        Ok(IndexAnswer::Done)
    }
}

/// The oldest events above a number.
pub(super) fn events(
    rows: &dyn KvRead,
    after: Option<u64>,
    limit: usize,
) -> Result<IndexView, KvError> {
    // From where the last removal ended, so that the scan does not walk over what is gone.
    let from = first_after(after.max(removed(rows)?));
    rows.scan(&from, Some(b"F"))
        .take(limit)
        .map(|row| Event::decode(&row?.1))
        .collect::<Result<_, KvError>>()
        .map(IndexView::Events)
}

fn removed(rows: &dyn KvRead) -> Result<Option<u64>, KvError> {
    rows::get(rows, keys::EVENTS_REMOVED)
}

/// Where the rows above a number begin.
fn first_after(number: Option<u64>) -> Vec<u8> {
    match number {
        None => keys::event(0),
        Some(number) => {
            let mut row = keys::event(number);
            row.push(0);
            row
        }
    }
}
