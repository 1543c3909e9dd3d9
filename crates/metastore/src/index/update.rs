//! Changing what is said about a version: tags, retention, legal hold, storage class, restore.
//! Its bytes, its id and its time stay.

use consensus::KvError;
use types::Version;

use super::{
    Apply,
    events::Subject,
    restores::Asked,
    versions::{self, Found, Located, Place},
};
use crate::{
    api::{
        IndexAnswer,
        index::{EventKind, ObjectUpdate, Origin},
    },
    rows::VersionRow,
};

impl Apply<'_> {
    pub(super) fn update_object(
        &mut self,
        at: Place<'_>,
        version: Option<Version>,
        update: &ObjectUpdate,
        origin: &Origin,
    ) -> Result<IndexAnswer, KvError> {
        use ObjectUpdate as U;
        let of_lock = matches!(update, U::Retention { .. } | U::LegalHold(_));
        if of_lock && at.settings.lock.is_none() {
            return Ok(IndexAnswer::NoLock);
        }
        let mut object = match versions::find(self.rows, at, version)? {
            Some(Found::Current(head)) => Located { head: *head, is_current: true },
            Some(Found::Version(_, VersionRow::Object(head))) => {
                Located { head: *head, is_current: false }
            }
            Some(Found::Version(id, marker @ VersionRow::Marker { .. })) => {
                return Ok(IndexAnswer::DeleteMarker { version: marker.name(id) });
            }
            None if version.is_some() => return Ok(IndexAnswer::NoSuchVersion),
            None => return Ok(IndexAnswer::NoSuchKey),
        };
        let head = &mut object.head;
        match update {
            U::Tags(tags) => {
                head.attributes.tags.clone_from(tags);
                let kind = match tags.is_empty() {
                    true => EventKind::TagsRemoved,
                    false => EventKind::TagsSet,
                };
                self.note_event(at, kind, &Subject::object(head), origin)?;
            }
            U::Retention { to, bypass_governance } => {
                if !head.attributes.lock.allows_retention(*to, self.now, *bypass_governance) {
                    return Ok(IndexAnswer::Locked);
                }
                head.attributes.lock.retention = *to;
            }
            U::LegalHold(hold) => head.attributes.lock.legal_hold = Some(*hold),
            U::Class { version, .. } if head.version != *version => {
                return Ok(IndexAnswer::ConditionFailed);
            }
            U::Class { to, .. } => {
                // The event tells of the class before.
                let kind = EventKind::ClassChanged(*to);
                self.note_event(at, kind, &Subject::object(head), origin)?;
                self.forget_restore(at.bucket, at.key, head);
                head.restore = None;
                head.attributes.class = *to;
            }
            U::Restore { ready_after_ms, readable_ms, day_ms } => {
                let (ready_after_ms, readable_ms) = (*ready_after_ms, *readable_ms);
                let asked = Asked { ready_after_ms, readable_ms, day_ms: *day_ms };
                if let Some(refusal) = self.restore(at, head, asked, origin)? {
                    return Ok(refusal);
                }
            }
        }
        self.rewrite(at, &object);
        Ok(IndexAnswer::Object(Box::new(object.head)))
    }
}
