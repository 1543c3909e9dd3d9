//! Replacing a blob by another one with the same content: the version, its id, its time and its
//! lock stay, so that nothing that a client sees changes.

use consensus::KvError;
use types::{BlobId, BlobRef, Content, UnixMillis, UploadId, VersionId};

use super::{
    Apply,
    uploads::made_by,
    versions::{self, Located, Place},
};
use crate::{
    api::IndexAnswer,
    keys::index,
    rows::{self, PartData, PartRow},
};

/// What a `ReplaceBlob` asks for.
pub(super) struct Replacement<'a> {
    pub(super) version: VersionId,
    pub(super) part: Option<(UploadId, u16)>,
    pub(super) old: BlobId,
    pub(super) new: &'a BlobRef,
    pub(super) missing: &'a [u8],
    pub(super) deadline: UnixMillis,
}

impl Replacement<'_> {
    /// Whether the new blob may take the place of this one.
    fn fits(&self, blob: &BlobRef) -> bool {
        blob.id == self.old
            && blob.id != self.new.id
            && blob.content_bytes() == self.new.content_bytes()
    }
}

impl Apply<'_> {
    pub(super) fn replace_blob(
        &mut self,
        at: Place<'_>,
        asked: &Replacement<'_>,
    ) -> Result<IndexAnswer, KvError> {
        if self.now > asked.deadline {
            return Ok(IndexAnswer::DeadlinePassed);
        }
        let Some(mut object) =
            versions::object_with_id(self.rows, at.bucket, at.key, asked.version)?
        else {
            return Ok(IndexAnswer::Moved);
        };
        let old = match asked.part {
            None => self.replace_in_object(at, &mut object, asked),
            Some((upload, _)) if !made_by(&object.head, upload) => None,
            Some(part) => self.replace_in_part(at, part, asked)?,
        };
        let Some(old) = old else { return Ok(IndexAnswer::Moved) };
        self.bury_blob(&old, self.now)?;
        self.note_missing_ranks(at, asked.part, asked.deadline, asked.new, asked.missing);
        Ok(IndexAnswer::Done)
    }

    /// The blob that an object had until now.
    fn replace_in_object(
        &mut self,
        at: Place<'_>,
        object: &mut Located,
        asked: &Replacement<'_>,
    ) -> Option<BlobRef> {
        let Content::Blob(blob) = &mut object.head.content else { return None };
        if !asked.fits(blob) {
            return None;
        }
        let old = std::mem::replace(blob, asked.new.clone());
        self.rewrite(at, object);
        Some(old)
    }

    /// The blob that a part had until now. The row's time stays: the question whether the part
    /// is referenced relies on no version of it being earlier.
    fn replace_in_part(
        &mut self,
        at: Place<'_>,
        (upload, number): (UploadId, u16),
        asked: &Replacement<'_>,
    ) -> Result<Option<BlobRef>, KvError> {
        let row_key = index::part(at.bucket, at.key, upload, number);
        let Some(mut row) = rows::get::<PartRow>(self.rows, &row_key)? else { return Ok(None) };
        match &mut row.data {
            PartData::Blob(blob) if asked.fits(blob) => {
                let old = std::mem::replace(blob, asked.new.clone());
                rows::put(self.rows, &row_key, &row);
                Ok(Some(old))
            }
            PartData::Blob(_) | PartData::Inline(_) => Ok(None),
        }
    }
}
