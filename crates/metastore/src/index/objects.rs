//! Putting objects, and what becomes of their bytes.

use consensus::KvError;
use types::{
    Attributes, BlobRef, BucketId, BucketSettings, Condition, Content, ObjectHead, ObjectLock,
    UnixMillis, UploadId, WriteIntent,
};

use super::{
    Apply,
    events::Subject,
    refusal,
    versions::{self, New, Place},
};
use crate::{
    api::{
        IndexAnswer, IndexCommand,
        index::{Data, EventKind, RepairRow},
    },
    keys::index as keys,
    rows::{self, Made},
};

/// The object that a `PutObject` makes.
pub(crate) fn head_of(command: &IndexCommand, made: Made) -> Option<ObjectHead> {
    let IndexCommand::PutObject { size, etag, attributes, checksum, data, .. } = command else {
        return None;
    };
    Some(ObjectHead {
        version: made.version,
        null: made.null,
        size: *size,
        etag: *etag,
        modified: made.version.at,
        attributes: Attributes { lock: made.lock, ..attributes.clone() },
        checksum: checksum.clone(),
        content: match data {
            Data::Inline(bytes) => Content::Inline(bytes.clone()),
            Data::Blob { blob, .. } => Content::Blob(blob.clone()),
        },
        restore: None,
    })
}

/// Whether the lock that is asked for needs one that the bucket does not have.
pub(super) fn lacks_lock(settings: BucketSettings, lock: ObjectLock) -> bool {
    settings.lock.is_none() && lock != ObjectLock::default()
}

impl Apply<'_> {
    pub(super) fn put_object(
        &mut self,
        at: Place<'_>,
        condition: &Condition,
        command: &IndexCommand,
    ) -> Result<IndexAnswer, KvError> {
        let IndexCommand::PutObject { attributes, data, renamed, origin, deadline, .. } = command
        else {
            unreachable!("called for PutObject only")
        };
        if self.now > *deadline && !platform::planted("ignore-deadline") {
            return Ok(IndexAnswer::DeadlinePassed);
        }
        if lacks_lock(at.settings, attributes.lock) {
            return Ok(IndexAnswer::NoLock);
        }
        let source = match self.source(at, renamed.as_ref())? {
            Ok(source) => source,
            Err(refusal) => return Ok(refusal),
        };
        let current = versions::current(self.rows, at.bucket, at.key)?;
        if let Some(refusal) = refusal(condition, current.as_ref()) {
            return Ok(refusal);
        }
        let made = self.make_version(at.settings, attributes.lock)?;
        let mut head = head_of(command, made).expect("this is a PutObject");
        if let Some(source) = &source {
            source.hand_over(&mut head);
        }
        if let Some(refusal) = self.replace_current(at, current, &New::Object(&head), false)? {
            return Ok(refusal);
        }
        self.note_missing(at, None, *deadline, data);
        self.note_event(at, EventKind::Created, &Subject::object(&head), origin)?;
        if let Some(source) = source {
            self.remove_source(at, &source, &head, origin)?;
        }
        Ok(IndexAnswer::Object(Box::new(head)))
    }

    /// Turns the bytes of an object that goes into garbage. `kept` is the blob that the key names from now
    /// on: if a caller repeats a put under another write id, its own bytes must not die.
    pub(super) fn bury_object(
        &mut self,
        bucket: BucketId,
        key: &str,
        object: &ObjectHead,
        kept: Option<&BlobRef>,
    ) -> Result<(), KvError> {
        self.forget_restore(bucket, key, object);
        match &object.content {
            Content::Inline(_) => Ok(()),
            Content::Blob(blob) if kept.is_some_and(|kept| kept.id == blob.id) => Ok(()),
            Content::Blob(blob) => self.bury_blob(blob, self.now),
            Content::Parts { upload, .. } => self.bury_upload(bucket, key, *upload),
        }
    }

    /// Queues the missing ranks of new data for repair.
    pub(super) fn note_missing(
        &mut self,
        at: Place<'_>,
        part: Option<(UploadId, u16)>,
        deadline: UnixMillis,
        data: &Data,
    ) {
        if let Data::Blob { blob, missing } = data {
            self.note_missing_ranks(at, part, deadline, blob, missing);
        }
    }

    /// Queues the missing ranks of a new blob for repair.
    pub(super) fn note_missing_ranks(
        &mut self,
        at: Place<'_>,
        part: Option<(UploadId, u16)>,
        deadline: UnixMillis,
        blob: &BlobRef,
        missing: &[u8],
    ) {
        if missing.is_empty() {
            return;
        }
        let intent = WriteIntent { bucket: at.bucket, key: at.key.to_owned(), part, deadline };
        let row = RepairRow { blob: blob.clone(), missing: missing.to_vec(), intent };
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
