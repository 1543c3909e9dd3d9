//! Putting and deleting objects.

use consensus::KvError;
use types::{BlobRef, BucketId, Condition, Content, ObjectHead, UnixMillis, UploadId, WriteIntent};

use super::{Apply, refusal};
use crate::{
    api::{
        IndexAnswer, IndexCommand,
        index::{Data, RepairRow},
    },
    keys::index as keys,
    rows,
};

/// The object that a `PutObject` makes at `modified`.
pub(crate) fn head_of(command: &IndexCommand, modified: UnixMillis) -> Option<ObjectHead> {
    let IndexCommand::PutObject { size, etag, attributes, checksum, data, .. } = command else {
        return None;
    };
    Some(ObjectHead {
        size: *size,
        etag: *etag,
        modified,
        attributes: attributes.clone(),
        checksum: checksum.clone(),
        content: match data {
            Data::Inline(bytes) => Content::Inline(bytes.clone()),
            Data::Blob { blob, .. } => Content::Blob(blob.clone()),
        },
    })
}

impl Apply<'_> {
    pub(super) fn head(&self, bucket: BucketId, key: &str) -> Result<Option<ObjectHead>, KvError> {
        rows::get(self.rows, &keys::head(bucket, key))
    }

    pub(super) fn put_object(
        &mut self,
        bucket: BucketId,
        key: &str,
        condition: &Condition,
        data: &Data,
        deadline: UnixMillis,
        head: ObjectHead,
    ) -> Result<IndexAnswer, KvError> {
        let current = self.head(bucket, key)?;
        if let Some(refusal) = refusal(condition, current.as_ref()) {
            return Ok(refusal);
        }
        if let Some(replaced) = current {
            self.bury_object(bucket, key, &replaced, data_blob(data))?;
        }
        self.note_missing(bucket, key, None, deadline, data);
        rows::put(self.rows, &keys::head(bucket, key), &head);
        Ok(IndexAnswer::Object(Box::new(head)))
    }

    pub(super) fn delete_object(
        &mut self,
        bucket: BucketId,
        key: &str,
        condition: &Condition,
    ) -> Result<IndexAnswer, KvError> {
        let current = self.head(bucket, key)?;
        if let Some(refusal) = refusal(condition, current.as_ref()) {
            return Ok(refusal);
        }
        let Some(deleted) = current else { return Ok(IndexAnswer::Deleted { existed: false }) };
        self.bury_object(bucket, key, &deleted, None)?;
        self.rows.delete(&keys::head(bucket, key));
        Ok(IndexAnswer::Deleted { existed: true })
    }

    /// Turns an object's bytes into garbage. `kept` is the blob that the key names from now
    /// on: if a caller repeats a put under a new write id, its own bytes must not die.
    pub(super) fn bury_object(
        &mut self,
        bucket: BucketId,
        key: &str,
        object: &ObjectHead,
        kept: Option<&BlobRef>,
    ) -> Result<(), KvError> {
        match &object.content {
            Content::Inline(_) => Ok(()),
            Content::Blob(blob) if kept.is_some_and(|kept| kept.id == blob.id) => Ok(()),
            Content::Blob(blob) => self.bury_blob(blob, self.now),
            Content::Parts { upload, .. } => self.bury_upload(bucket, key, *upload),
        }
    }

    /// Queues the missing ranks of a new blob for repair.
    pub(super) fn note_missing(
        &mut self,
        bucket: BucketId,
        key: &str,
        part: Option<(UploadId, u16)>,
        deadline: UnixMillis,
        data: &Data,
    ) {
        let Data::Blob { blob, missing } = data else { return };
        if missing.is_empty() {
            return;
        }
        let intent = WriteIntent { bucket, key: key.to_owned(), part, deadline };
        let row = RepairRow { blob: blob.clone(), missing: missing.clone(), intent };
        rows::put(self.rows, &keys::repair(blob.id), &row);
    }
}

/// The blob of new data, if it is not inline.
pub(super) fn data_blob(data: &Data) -> Option<&BlobRef> {
    match data {
        Data::Inline(_) => None,
        Data::Blob { blob, .. } => Some(blob),
    }
}
