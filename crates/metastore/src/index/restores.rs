//! Restores of archived objects. A restore is written into the object when it is asked for;
//! readers compare its times with their clock. What happens at those times, an event and the
//! end, is brought about by the clock: each has a `Q` row, which is met by the first command
//! that comes then. AWS: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_RestoreObject.html>.
//!
//! A `Q` row says when to look at which version, and nothing else: what is to be done then is
//! seen from the restore that the version has by that time. The `NEXT_DUE` row has a time before
//! which there is none, so that a command for which nothing is due costs one read.

use consensus::{KvError, KvRead};
use types::{BucketId, ObjectHead, Restore, UnixMillis, VersionId};

use super::{
    Apply,
    events::Subject,
    versions::{self, Place},
};
use crate::{
    api::{
        IndexAnswer, IndexView,
        index::{EventKind, Origin, Reason},
    },
    keys::{self, index},
    rows::{self, Marker},
};

/// `Q` rows that one command settles at most.
const DUE_MAX: usize = 100;

/// What a request to restore asks for, see [`crate::api::index::ObjectUpdate::Restore`].
#[derive(Clone, Copy)]
pub(super) struct Asked {
    pub(super) ready_after_ms: u64,
    pub(super) readable_ms: u64,
    pub(super) day_ms: u64,
}

impl Asked {
    /// The end of the day that is `readable_ms` after `from`; the end of time if there is none.
    fn expiry(self, from: UnixMillis) -> UnixMillis {
        let end = from.plus(self.readable_ms).0;
        UnixMillis(end.checked_next_multiple_of(self.day_ms.max(1)).unwrap_or(u64::MAX))
    }
}

impl Apply<'_> {
    /// Gives an archived object its restore, or says why it has none. The caller writes the
    /// object.
    pub(super) fn restore(
        &mut self,
        at: Place<'_>,
        head: &mut ObjectHead,
        asked: Asked,
        origin: &Origin,
    ) -> Result<Option<IndexAnswer>, KvError> {
        if !head.attributes.class.is_archive() {
            return Ok(Some(IndexAnswer::NotArchived));
        }
        let version = head.version;
        if let Some(current) = head.restore
            && current.is_readable(self.now)
        {
            let expires = asked.expiry(self.now);
            self.rows.delete(&index::due(current.expires, at.bucket, at.key, version));
            self.look_again(expires, at, version)?;
            head.restore = Some(Restore { ready: current.ready, expires });
            return Ok(None);
        }
        let ready = self.now.plus(asked.ready_after_ms);
        if let Some(current) = head.restore
            && current.is_ongoing(self.now)
            && current.ready <= ready
        {
            return Ok(Some(IndexAnswer::RestoreInProgress(current)));
        }
        self.forget_restore(at.bucket, at.key, head);
        let restore = Restore { ready, expires: asked.expiry(ready) };
        head.restore = Some(restore);
        self.note_event(at, EventKind::RestoreBegun, &Subject::object(head), origin)?;
        self.look_again(restore.expires, at, version)?;
        if restore.is_ongoing(self.now) {
            self.look_again(ready, at, version)
        } else {
            self.note_completed(at, head, restore)
        }
        .map(|()| None)
    }

    /// Nothing happens to the version any more at the times of its restore.
    pub(super) fn forget_restore(&mut self, bucket: BucketId, key: &str, head: &ObjectHead) {
        if let Some(Restore { ready, expires }) = head.restore {
            self.rows.delete(&index::due(ready, bucket, key, head.version));
            self.rows.delete(&index::due(expires, bucket, key, head.version));
        }
    }

    fn look_again(
        &mut self,
        when: UnixMillis,
        at: Place<'_>,
        version: VersionId,
    ) -> Result<(), KvError> {
        let next: Option<UnixMillis> = rows::get(self.rows, index::NEXT_DUE)?;
        if next.is_none_or(|next| when < next) {
            rows::put(self.rows, index::NEXT_DUE, &when);
        }
        rows::put(self.rows, &index::due(when, at.bucket, at.key, version), &Marker);
        Ok(())
    }

    /// Does what is due by now; the oldest [`DUE_MAX`] at most.
    pub(super) fn settle_due(&mut self) -> Result<(), KvError> {
        let first: Option<UnixMillis> = rows::get(self.rows, index::NEXT_DUE)?;
        let Some(first) = first.filter(|first| *first <= self.now) else { return Ok(()) };
        let (mut due, mut next) = (Vec::new(), None);
        for row in self.rows.scan(&index::due_since(first), Some(b"R")) {
            let row = index::of_due(&row?.0)?;
            if row.0 > self.now || due.len() == DUE_MAX {
                next = Some(row.0);
                break;
            }
            due.push(row);
        }
        match next {
            Some(next) => rows::put(self.rows, index::NEXT_DUE, &next),
            None => self.rows.delete(index::NEXT_DUE),
        }
        for (when, bucket, key, version) in due {
            self.rows.delete(&index::due(when, bucket, &key, version));
            // A bucket that is not open (any more) has no versions.
            if let Ok(settings) = self.open_gate(bucket)? {
                self.settle(Place { bucket, key: &key, settings }, version, when)?;
            }
        }
        Ok(())
    }

    fn settle(
        &mut self,
        at: Place<'_>,
        version: VersionId,
        when: UnixMillis,
    ) -> Result<(), KvError> {
        let Some(mut object) = versions::object_with_id(self.rows, at.bucket, at.key, version)?
        else {
            return Ok(());
        };
        let Some(restore) = object.head.restore else { return Ok(()) };
        if restore.ready == when {
            self.note_completed(at, &object.head, restore)?;
        }
        if restore.expires == when {
            object.head.restore = None;
            self.rewrite(at, &object);
            let subject = Subject::object(&object.head);
            self.note_event(at, EventKind::RestoreExpired, &subject, &by_the_clock())?;
        }
        Ok(())
    }

    fn note_completed(
        &mut self,
        at: Place<'_>,
        head: &ObjectHead,
        restore: Restore,
    ) -> Result<(), KvError> {
        let kind = EventKind::RestoreCompleted(restore.expires);
        self.note_event(at, kind, &Subject::object(head), &by_the_clock())
    }
}

/// Nobody asks for what the clock brings about.
fn by_the_clock() -> Origin {
    Origin { reason: Reason::RestoreObject, ..Origin::default() }
}

/// Whether something is due by `now`.
pub(super) fn due(rows: &dyn KvRead, now: UnixMillis) -> Result<IndexView, KvError> {
    let first: Option<UnixMillis> = rows::get(rows, index::NEXT_DUE)?;
    let Some(first) = first.filter(|first| *first <= now) else {
        return Ok(IndexView::Due(false));
    };
    let to = keys::successor(&index::due_since(now));
    let row = rows.scan(&index::due_since(first), to.as_deref()).next().transpose()?;
    Ok(IndexView::Due(row.is_some()))
}
