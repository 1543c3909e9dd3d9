//! Multipart uploads. A part has its own row from the moment it is uploaded; completing
//! writes one head that names the upload and leaves the listed part rows where they are.

use std::collections::BTreeMap;

use consensus::KvError;
use types::{
    Attributes, BucketId, BucketSettings, Checksum, Condition, Content, ETag, ObjectHead,
    UnixMillis, UploadId,
};

use super::{
    Apply, PART_BYTES_MIN,
    events::Subject,
    objects::{data_blob, lacks_lock},
    refusal,
    versions::{self, New, Place},
};
use crate::{
    api::{
        IndexAnswer,
        index::{Data, EventKind, Origin, Part, Renamed, Upload},
    },
    keys::{self, index},
    rows::{self, PartData, PartRow, RowValue, UploadRow},
};

/// What a completion asks for.
pub(super) struct Completion<'a> {
    pub(super) condition: &'a Condition,
    pub(super) parts: &'a [(u16, [u8; 16])],
    pub(super) etag: ETag,
    pub(super) checksum: Option<&'a Checksum>,
    pub(super) size: Option<u64>,
    pub(super) renamed: Option<&'a Renamed>,
    pub(super) origin: &'a Origin,
}

impl Apply<'_> {
    fn upload(
        &self,
        bucket: BucketId,
        key: &str,
        upload: UploadId,
    ) -> Result<Option<UploadRow>, KvError> {
        rows::get(self.rows, &index::upload(bucket, key, upload))
    }

    /// An upload id is never used twice: one that has part rows but no header was completed
    /// or aborted, and its parts must not be mixed with new ones.
    pub(super) fn create_upload(
        &mut self,
        bucket: BucketId,
        settings: BucketSettings,
        upload: &Upload,
    ) -> Result<IndexAnswer, KvError> {
        if lacks_lock(settings, upload.attributes.lock) {
            return Ok(IndexAnswer::NoLock);
        }
        if self.upload(bucket, &upload.key, upload.id)?.is_some() {
            return Ok(IndexAnswer::Done);
        }
        if rows::any(self.rows, &index::parts_of(bucket, &upload.key, upload.id))? {
            return Ok(IndexAnswer::NoSuchUpload);
        }
        let row = UploadRow {
            initiated: self.now,
            attributes: upload.attributes.clone(),
            checksum: upload.checksum,
        };
        rows::put(self.rows, &index::upload(bucket, &upload.key, upload.id), &row);
        Ok(IndexAnswer::Done)
    }

    pub(super) fn put_part(
        &mut self,
        at: Place<'_>,
        upload: UploadId,
        part: &Part,
        deadline: UnixMillis,
    ) -> Result<IndexAnswer, KvError> {
        let Place { bucket, key, .. } = at;
        if self.upload(bucket, key, upload)?.is_none() {
            return Ok(IndexAnswer::NoSuchUpload);
        }
        let row_key = index::part(bucket, key, upload, part.number);
        let replaced: Option<PartRow> = rows::get(self.rows, &row_key)?;
        if let Some(blob) = replaced.as_ref().and_then(PartRow::blob)
            && data_blob(&part.data).is_none_or(|new| new.id != blob.id)
        {
            self.bury_blob(blob, self.now)?;
        }
        self.note_missing(at, Some((upload, part.number)), deadline, &part.data);
        let row = PartRow {
            size: part.size,
            md5: part.md5,
            checksum: part.checksum.clone(),
            modified: self.now,
            data: match &part.data {
                Data::Inline(bytes) => PartData::Inline(bytes.clone()),
                Data::Blob { blob, .. } => PartData::Blob(blob.clone()),
            },
        };
        rows::put(self.rows, &row_key, &row);
        Ok(IndexAnswer::Done)
    }

    pub(super) fn complete_upload(
        &mut self,
        at: Place<'_>,
        upload: UploadId,
        completion: &Completion<'_>,
    ) -> Result<IndexAnswer, KvError> {
        let Place { bucket, key, settings } = at;
        let current = versions::current(self.rows, bucket, key)?;
        let Some(header) = self.upload(bucket, key, upload)? else {
            return Ok(match current {
                Some(head) if made_by(&head, upload) => IndexAnswer::Object(Box::new(head)),
                _ => IndexAnswer::NoSuchUpload,
            });
        };
        let mut parts = self.part_rows(bucket, key, upload)?;
        let size = match adopt(&mut parts, completion) {
            Ok(size) => size,
            Err(refusal) => return Ok(refusal),
        };
        let source = match self.source(at, completion.renamed)? {
            Ok(source) => source,
            Err(refusal) => return Ok(refusal),
        };
        if let Some(refusal) = refusal(completion.condition, current.as_ref()) {
            return Ok(refusal);
        }
        let count = u16::try_from(completion.parts.len())
            .expect("adopted parts have ascending u16 numbers, so at most 65,535 of them");
        let made = self.make_version(settings, header.attributes.lock)?;
        let mut head = ObjectHead {
            version: made.version,
            null: made.null,
            size,
            etag: completion.etag,
            modified: made.version.at,
            attributes: Attributes { lock: made.lock, ..header.attributes },
            checksum: completion.checksum.cloned(),
            content: Content::Parts { upload, count },
            restore: None,
        };
        if let Some(source) = &source {
            source.hand_over(&mut head);
        }
        if let Some(refusal) = self.replace_current(at, current, &New::Object(&head), false)? {
            return Ok(refusal);
        }
        // What `adopt` left over: moved out one by one, so that the part rows that stay are
        // exactly the object's.
        for (number, part) in &parts {
            if let Some(blob) = part.blob() {
                self.bury_blob(blob, self.now)?;
            }
            self.rows.delete(&index::part(bucket, key, upload, *number));
        }
        self.rows.delete(&index::upload(bucket, key, upload));
        self.note_event(at, EventKind::Created, &Subject::object(&head), completion.origin)?;
        if let Some(source) = source {
            self.remove_source(at, &source, &head, completion.origin)?;
        }
        Ok(IndexAnswer::Object(Box::new(head)))
    }

    pub(super) fn abort_upload(
        &mut self,
        bucket: BucketId,
        key: &str,
        upload: UploadId,
    ) -> Result<IndexAnswer, KvError> {
        if self.upload(bucket, key, upload)?.is_none() {
            return Ok(IndexAnswer::NoSuchUpload);
        }
        self.rows.delete(&index::upload(bucket, key, upload));
        if rows::any(self.rows, &index::parts_of(bucket, key, upload))? {
            self.bury_upload(bucket, key, upload)?;
        }
        Ok(IndexAnswer::Done)
    }

    fn part_rows(
        &self,
        bucket: BucketId,
        key: &str,
        upload: UploadId,
    ) -> Result<BTreeMap<u16, PartRow>, KvError> {
        let from = index::parts_of(bucket, key, upload);
        let to = keys::successor(&from);
        self.rows
            .scan(&from, to.as_deref())
            .map(|row| {
                let (key, value) = row?;
                Ok((index::number_of_part(&key)?, PartRow::decode(&value)?))
            })
            .collect()
    }
}

/// Whether the object came from this upload.
pub(super) fn made_by(head: &ObjectHead, upload: UploadId) -> bool {
    matches!(&head.content, Content::Parts { upload: from, .. } if *from == upload)
}

/// Takes the listed parts out of `parts` and adds up their sizes, or says what is wrong.
fn adopt(parts: &mut BTreeMap<u16, PartRow>, asked: &Completion<'_>) -> Result<u64, IndexAnswer> {
    let mut sum = 0u64;
    let mut small = None;
    let mut before = 0;
    let Some((last, _)) = asked.parts.last() else {
        return Err(IndexAnswer::InvalidPart { number: 0 });
    };
    for (number, md5) in asked.parts {
        // A number out of order finds its row taken; the service refuses it earlier.
        let part = parts.remove(number).filter(|part| part.md5 == *md5 && *number > before);
        let Some(part) = part else { return Err(IndexAnswer::InvalidPart { number: *number }) };
        if part.size < PART_BYTES_MIN && number != last && small.is_none() {
            small = Some(IndexAnswer::PartTooSmall { number: *number, size: part.size });
        }
        sum = sum.saturating_add(part.size);
        before = *number;
    }
    if let Some(small) = small {
        return Err(small);
    }
    match asked.size {
        Some(size) if size != sum => Err(IndexAnswer::SizeMismatch { actual: sum }),
        _ => Ok(sum),
    }
}
