//! Deleting: without a version the key's current object goes out of sight, with one that
//! version goes for good.
//! AWS: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/DeletingObjectVersions.html>.

use consensus::KvError;
use types::{Condition, Version, Versioning};

use super::{
    Apply, refusal,
    versions::{self, Found, New, Place},
};
use crate::api::IndexAnswer;

impl Apply<'_> {
    pub(super) fn delete_current(
        &mut self,
        at: Place<'_>,
        condition: &Condition,
        bypass_governance: bool,
    ) -> Result<IndexAnswer, KvError> {
        let current = versions::current(self.rows, at.bucket, at.key)?;
        if let Some(refusal) = refusal(condition, current.as_ref()) {
            return Ok(refusal);
        }
        let existed = current.is_some();
        let (new, version) = match at.settings.versioning {
            Versioning::Off => (New::Nothing, None),
            Versioning::Enabled => {
                let id = self.next_version_id()?;
                (New::Marker(id), Some(Version::Id(id)))
            }
            Versioning::Suspended => (New::Marker(self.next_version_id()?), Some(Version::Null)),
        };
        if let Some(refusal) = self.replace_current(at, current, &new, bypass_governance)? {
            return Ok(refusal);
        }
        Ok(IndexAnswer::Deleted { existed, version, marker: version.is_some() })
    }

    pub(super) fn delete_version(
        &mut self,
        at: Place<'_>,
        version: Version,
        condition: &Condition,
        bypass_governance: bool,
    ) -> Result<IndexAnswer, KvError> {
        let found = versions::find(self.rows, at, Some(version))?;
        let object = found.as_ref().and_then(Found::object);
        let marker = match &found {
            Some(Found::Version(id, row)) if row.object().is_none() => Some(*id),
            _ => None,
        };
        let exactly_the_marker = marker
            .is_some_and(|id| matches!(condition, Condition::Match(asked) if asked.is_exactly(id)));
        if let Some(refusal) = refusal(condition, object)
            && !exactly_the_marker
        {
            return Ok(refusal);
        }
        if object
            .is_some_and(|head| head.attributes.lock.forbids_delete(self.now, bypass_governance))
        {
            return Ok(IndexAnswer::Locked);
        }
        if let Some(found) = &found {
            self.remove(at, found)?;
        }
        let (existed, marker) = (found.is_some(), marker.is_some());
        Ok(IndexAnswer::Deleted { existed, version: Some(version), marker })
    }
}
