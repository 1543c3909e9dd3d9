//! Deleting: without a version the key's current object goes out of sight, with one that
//! version goes for good.
//! AWS: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/DeletingObjectVersions.html>.

use consensus::KvError;
use types::{Condition, ObjectHead, Version, Versioning};

use super::{
    Apply,
    events::Subject,
    refusal,
    versions::{self, Found, New, Place},
};
use crate::api::{
    IndexAnswer,
    index::{EventKind, Origin},
};

/// What a deletion asks for, apart from what it is about.
pub(super) struct Deletion<'a> {
    pub(super) condition: &'a Condition,
    pub(super) bypass_governance: bool,
    pub(super) origin: &'a Origin,
}

impl Apply<'_> {
    pub(super) fn delete_current(
        &mut self,
        at: Place<'_>,
        asked: &Deletion<'_>,
    ) -> Result<IndexAnswer, KvError> {
        let current = versions::current(self.rows, at.bucket, at.key)?;
        if let Some(refusal) = refusal(asked.condition, current.as_ref()) {
            return Ok(refusal);
        }
        let existed = current.is_some();
        let gone = current.as_ref().map(Subject::object);
        let (new, version) = match at.settings.versioning {
            Versioning::Off => (New::Nothing, None),
            Versioning::Enabled => {
                let id = self.next_version_id()?;
                (New::Marker(id), Some(Version::Id(id)))
            }
            Versioning::Suspended => (New::Marker(self.next_version_id()?), Some(Version::Null)),
        };
        if let Some(refusal) = self.replace_current(at, current, &new, asked.bypass_governance)? {
            return Ok(refusal);
        }
        match (version, gone) {
            (Some(marker), _) => {
                let subject = Subject::marker(marker);
                self.note_event(at, EventKind::MarkerCreated, &subject, asked.origin)?;
            }
            (None, Some(object)) => {
                self.note_event(at, EventKind::Deleted, &object, asked.origin)?;
            }
            (None, None) => {}
        }
        Ok(IndexAnswer::Deleted { existed, version, marker: version.is_some() })
    }

    pub(super) fn delete_version(
        &mut self,
        at: Place<'_>,
        version: Version,
        asked: &Deletion<'_>,
    ) -> Result<IndexAnswer, KvError> {
        let found = versions::find(self.rows, at, Some(version))?;
        let object = found.as_ref().and_then(Found::object);
        let marker = match &found {
            Some(Found::Version(id, row)) if row.object().is_none() => Some(*id),
            _ => None,
        };
        let exactly_the_marker = marker
            .is_some_and(|id| matches!(asked.condition, Condition::Match(it) if it.is_exactly(id)));
        if let Some(refusal) = refusal(asked.condition, object)
            && !exactly_the_marker
        {
            return Ok(refusal);
        }
        let forbids = |head: &ObjectHead| {
            head.attributes.lock.forbids_delete(self.now, asked.bypass_governance)
        };
        if object.is_some_and(forbids) {
            return Ok(IndexAnswer::Locked);
        }
        if let Some(found) = &found {
            let gone = object.map_or_else(|| Subject::marker(version), Subject::object);
            self.remove(at, found)?;
            self.note_event(at, EventKind::Deleted, &gone, asked.origin)?;
        }
        let (existed, marker) = (found.is_some(), marker.is_some());
        Ok(IndexAnswer::Deleted { existed, version: Some(version), marker })
    }
}
