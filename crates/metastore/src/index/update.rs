//! Changing what is said about a version: tags, retention, legal hold. Its bytes, its id and
//! its time stay.

use consensus::KvError;
use types::Version;

use super::{
    Apply,
    versions::{self, Found, Place},
};
use crate::{
    api::{IndexAnswer, index::ObjectUpdate},
    keys::index,
    rows::{self, VersionRow},
};

impl Apply<'_> {
    pub(super) fn update_object(
        &mut self,
        at: Place<'_>,
        version: Option<Version>,
        update: &ObjectUpdate,
    ) -> Result<IndexAnswer, KvError> {
        let of_lock = !matches!(update, ObjectUpdate::Tags(_));
        if of_lock && at.settings.lock.is_none() {
            return Ok(IndexAnswer::NoLock);
        }
        let (is_current, mut head) = match versions::find(self.rows, at, version)? {
            Some(Found::Current(head)) => (true, head),
            Some(Found::Version(_, VersionRow::Object(head))) => (false, *head),
            Some(Found::Version(id, marker @ VersionRow::Marker { .. })) => {
                return Ok(IndexAnswer::DeleteMarker { version: marker.name(id) });
            }
            None if version.is_some() => return Ok(IndexAnswer::NoSuchVersion),
            None => return Ok(IndexAnswer::NoSuchKey),
        };
        match update {
            ObjectUpdate::Tags(tags) => head.attributes.tags.clone_from(tags),
            ObjectUpdate::Retention { to, bypass_governance } => {
                if !head.attributes.lock.allows_retention(*to, self.now, *bypass_governance) {
                    return Ok(IndexAnswer::Locked);
                }
                head.attributes.lock.retention = *to;
            }
            ObjectUpdate::LegalHold(hold) => head.attributes.lock.legal_hold = Some(*hold),
            ObjectUpdate::Class { .. } | ObjectUpdate::Restore { .. } => {
                return Ok(IndexAnswer::NotArchived);
            }
        }
        if is_current {
            rows::put(self.rows, &index::head(at.bucket, at.key), &head);
        } else {
            let row = VersionRow::Object(Box::new(head.clone()));
            self.set_other(at, head.version, &row);
        }
        Ok(IndexAnswer::Object(Box::new(head)))
    }
}
