//! Where the versions of a key lie, and every move between the places.
//!
//! 1. The *current* version of a key is the last one made that is still there. If it is an
//!    object, it lies in the key's `C` row; all other versions lie in `V` rows. So a `C` row
//!    is later than all `V` rows of its key, and where there is none the first `V` row, if
//!    there is one, is a delete marker.
//! 2. At most one version of a key is called `null`. The `O` row has its id if it lies in a
//!    `V` row, and else is not there.
//! 3. A never-versioned bucket has `C` rows only, and all are null versions.
//!
//! Reading a key or replacing its current version therefore costs a few rows, never a walk
//! over its versions.

use consensus::{KvError, KvRead};
use types::{
    BlobRef, BucketId, BucketSettings, Content, ObjectHead, ObjectLock, Retention, Version,
    VersionId, Versioning,
};

use super::{Apply, next_number};
use crate::{
    api::IndexAnswer,
    keys::{self, index},
    rows::{self, Made, RowValue, VersionRow},
};

/// A key of an open bucket.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) bucket: BucketId,
    pub(super) key: &'a str,
    /// What the gate says.
    pub(super) settings: BucketSettings,
}

/// A version where it was found.
pub(super) enum Found {
    /// In the `C` row.
    Current(Box<ObjectHead>),
    /// In a `V` row.
    Version(VersionId, VersionRow),
}

/// What a key's current version is replaced by.
pub(super) enum New<'a> {
    /// An object.
    Object(&'a ObjectHead),
    /// A delete marker.
    Marker(VersionId),
    /// Nothing: the bucket never was versioned.
    Nothing,
}

impl Found {
    /// The object, if it is one.
    pub(super) fn object(&self) -> Option<&ObjectHead> {
        match self {
            Self::Current(head) => Some(head),
            Self::Version(_, row) => row.object(),
        }
    }
}

/// An object and in which row it was found.
pub(super) struct Located {
    /// What it says.
    pub(super) head: ObjectHead,
    /// Whether it lies in the `C` row.
    pub(super) is_current: bool,
}

impl New<'_> {
    fn blob(&self) -> Option<&BlobRef> {
        match self {
            Self::Object(head) => blob_of(head),
            Self::Marker(_) | Self::Nothing => None,
        }
    }
}

/// The blob of an object that is one blob.
pub(super) fn blob_of(head: &ObjectHead) -> Option<&BlobRef> {
    match &head.content {
        Content::Blob(blob) => Some(blob),
        Content::Inline(_) | Content::Parts { .. } => None,
    }
}

/// The current object.
pub(super) fn current(
    rows: &dyn KvRead,
    bucket: BucketId,
    key: &str,
) -> Result<Option<ObjectHead>, KvError> {
    rows::get(rows, &index::head(bucket, key))
}

/// The latest version that is not the current object: one seek.
pub(super) fn latest_other(
    rows: &dyn KvRead,
    bucket: BucketId,
    key: &str,
) -> Result<Option<(VersionId, VersionRow)>, KvError> {
    let from = index::versions_of(bucket, key);
    let to = keys::successor(&from);
    let Some((row_key, value)) = rows.scan(&from, to.as_deref()).next().transpose()? else {
        return Ok(None);
    };
    Ok(Some((index::of_version(&row_key)?.1, VersionRow::decode(&value)?)))
}

/// The version that clients call so; without a name the current one.
pub(super) fn find(
    rows: &dyn KvRead,
    at: Place<'_>,
    version: Option<Version>,
) -> Result<Option<Found>, KvError> {
    let current = current(rows, at.bucket, at.key)?;
    match (version, current) {
        (None, Some(head)) => Ok(Some(Found::Current(Box::new(head)))),
        (Some(name), Some(head)) if head.name() == name => Ok(Some(Found::Current(Box::new(head)))),
        (None, None) if at.settings.versioning == Versioning::Off => Ok(None),
        (None, None) => {
            let latest = latest_other(rows, at.bucket, at.key)?;
            Ok(latest.map(|(id, row)| Found::Version(id, row)))
        }
        (Some(Version::Null), _) => {
            let null = null_elsewhere(rows, at.bucket, at.key)?;
            Ok(null.map(|(id, row)| Found::Version(id, row)))
        }
        (Some(Version::Id(id)), _) => {
            let row: Option<VersionRow> = rows::get(rows, &index::version(at.bucket, at.key, id))?;
            // The null version has an id too, but clients do not know it by that.
            Ok(row.filter(|row| !row.is_null()).map(|row| Found::Version(id, row)))
        }
    }
}

/// The object with this id, whatever clients call it.
pub(super) fn object_with_id(
    rows: &dyn KvRead,
    bucket: BucketId,
    key: &str,
    id: VersionId,
) -> Result<Option<Located>, KvError> {
    if let Some(head) = current(rows, bucket, key)?.filter(|head| head.version == id) {
        return Ok(Some(Located { head, is_current: true }));
    }
    let row: Option<VersionRow> = rows::get(rows, &index::version(bucket, key, id))?;
    Ok(match row {
        Some(VersionRow::Object(head)) => Some(Located { head: *head, is_current: false }),
        Some(VersionRow::Marker { .. }) | None => None,
    })
}

/// The id of the null version, if it lies in a `V` row.
pub(super) fn null_id(
    rows: &dyn KvRead,
    bucket: BucketId,
    key: &str,
) -> Result<Option<VersionId>, KvError> {
    rows::get(rows, &index::null_version(bucket, key))
}

fn null_elsewhere(
    rows: &dyn KvRead,
    bucket: BucketId,
    key: &str,
) -> Result<Option<(VersionId, VersionRow)>, KvError> {
    let Some(id) = null_id(rows, bucket, key)? else { return Ok(None) };
    let row = rows::get(rows, &index::version(bucket, key, id))?.ok_or_else(|| {
        KvError(format!("the null version of a key of bucket {bucket} is {id}, which has no row"))
    })?;
    Ok(Some((id, row)))
}

impl Apply<'_> {
    /// A new version in this bucket, with the lock that it asks for.
    pub(super) fn make_version(
        &mut self,
        settings: BucketSettings,
        mut lock: ObjectLock,
    ) -> Result<Made, KvError> {
        let version = self.next_version_id()?;
        if lock.retention.is_none()
            && let Some(default) = settings.lock.and_then(|lock| lock.default)
        {
            let until = default.period.after(version.at);
            lock.retention = Some(Retention { mode: default.mode, until });
        }
        Ok(Made { version, null: settings.versioning != Versioning::Enabled, lock })
    }

    /// The id of a new version. Numbers only grow, so it is later than all there are.
    pub(super) fn next_version_id(&mut self) -> Result<VersionId, KvError> {
        let number = next_number(self.rows, index::NEXT_VERSION, &mut self.next_version)?;
        Ok(VersionId { at: self.now, number })
    }

    /// Puts `new` in the place of the current object `old`; the one function that does it.
    /// Where versioning is enabled the old version stays, as a noncurrent one. Otherwise the
    /// new version is the null version: the one before it is removed, wherever it lies, and
    /// any other stays. An answer means that nothing was done.
    pub(super) fn replace_current(
        &mut self,
        at: Place<'_>,
        old: Option<ObjectHead>,
        new: &New<'_>,
        bypass_governance: bool,
    ) -> Result<Option<IndexAnswer>, KvError> {
        let kept = new.blob();
        let null = at.settings.versioning != Versioning::Enabled;
        let had_head = old.is_some();
        match old {
            Some(old) if null && old.null => {
                if old.attributes.lock.forbids_delete(self.now, bypass_governance) {
                    return Ok(Some(IndexAnswer::Locked));
                }
                self.bury_object(at.bucket, at.key, &old, kept)?;
            }
            old => {
                // Never versioned: no `V` row, so that there is nothing to look for.
                if at.settings.versioning == Versioning::Suspended
                    && let Some((id, row)) = null_elsewhere(self.rows, at.bucket, at.key)?
                {
                    if self.is_locked(&row, bypass_governance) {
                        return Ok(Some(IndexAnswer::Locked));
                    }
                    self.remove_other(at, id, &row, kept)?;
                }
                match old {
                    // This put repeats that of `old` under another write id: a blob belongs to
                    // one version.
                    Some(old) if kept.is_some() && blob_of(&old) == kept => {
                        self.forget_restore(at.bucket, at.key, &old);
                    }
                    Some(old) => {
                        self.set_other(at, old.version, &VersionRow::Object(Box::new(old)));
                    }
                    None => {}
                }
            }
        }
        match new {
            New::Object(head) => {
                rows::put(self.rows, &index::head(at.bucket, at.key), *head);
                return Ok(None);
            }
            New::Marker(id) => {
                self.set_other(at, *id, &VersionRow::Marker { null, modified: id.at });
            }
            New::Nothing => {}
        }
        if had_head {
            self.rows.delete(&index::head(at.bucket, at.key));
        }
        Ok(None)
    }

    /// Removes a version for good; the latest one that is left becomes current.
    pub(super) fn remove(&mut self, at: Place<'_>, found: &Found) -> Result<(), KvError> {
        match found {
            Found::Current(head) => {
                self.bury_object(at.bucket, at.key, head, None)?;
                self.rows.delete(&index::head(at.bucket, at.key));
            }
            Found::Version(id, row) => {
                self.remove_other(at, *id, row, None)?;
                if current(self.rows, at.bucket, at.key)?.is_some() {
                    return Ok(());
                }
            }
        }
        if let Some((id, row)) = latest_other(self.rows, at.bucket, at.key)?
            && let Some(head) = row.object()
        {
            self.delete_other(at, id, &row);
            rows::put(self.rows, &index::head(at.bucket, at.key), head);
        }
        Ok(())
    }

    /// Writes an object that says something else now back to its row.
    pub(super) fn rewrite(&mut self, at: Place<'_>, object: &Located) {
        let head = &object.head;
        if object.is_current {
            rows::put(self.rows, &index::head(at.bucket, at.key), head);
        } else {
            self.set_other(at, head.version, &VersionRow::Object(Box::new(head.clone())));
        }
    }

    /// Whether the version must not be removed now. Delete markers have no lock.
    pub(super) fn is_locked(&self, row: &VersionRow, bypass_governance: bool) -> bool {
        row.object()
            .is_some_and(|head| head.attributes.lock.forbids_delete(self.now, bypass_governance))
    }

    /// Writes a `V` row, and the `O` row if it is the null version.
    pub(super) fn set_other(&mut self, at: Place<'_>, id: VersionId, row: &VersionRow) {
        rows::put(self.rows, &index::version(at.bucket, at.key, id), row);
        if row.is_null() {
            rows::put(self.rows, &index::null_version(at.bucket, at.key), &id);
        }
    }

    fn delete_other(&mut self, at: Place<'_>, id: VersionId, row: &VersionRow) {
        self.rows.delete(&index::version(at.bucket, at.key, id));
        if row.is_null() {
            self.rows.delete(&index::null_version(at.bucket, at.key));
        }
    }

    fn remove_other(
        &mut self,
        at: Place<'_>,
        id: VersionId,
        row: &VersionRow,
        kept: Option<&BlobRef>,
    ) -> Result<(), KvError> {
        if let Some(head) = row.object() {
            self.bury_object(at.bucket, at.key, head, kept)?;
        }
        self.delete_other(at, id, row);
        Ok(())
    }
}
