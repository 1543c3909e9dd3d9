//! Storing objects and parts: body -> stripes -> shards -> one metadata entry.
//!
//! Up to [`INLINE_BYTES_MAX`] the bytes travel in the entry itself. The seal, hence the
//! durability of the shards, waits for the body's own verification; the entry waits for the
//! write quorum of seals; the answer waits for the entry.

use std::time::Instant;

use bytes::Bytes;
use types::{Condition, ETag, INLINE_BYTES_MAX, ObjectHead, StorageClass};

use crate::{
    BodyDigests, BodyError, Error, ObjectBody, Objects,
    commit::{NewObject, NewPart, StoredContent, Target, joined},
    metrics,
    request::{PartDone, Put, PutPart},
    upload::BlobUpload,
};

/// A body that was read to its end.
struct Stored {
    size: u64,
    digests: BodyDigests,
    content: StoredContent,
}

impl Objects {
    /// Stores an object. On OK it is durable: `write_quorum` shards and a Raft majority
    /// have fsynced. Dropping the future before that leaves nothing behind, or the whole
    /// object if the commit was under way.
    pub async fn put(&self, put: Put) -> Result<ObjectHead, Error> {
        let began = Instant::now();
        let Put { bucket, key, condition, attributes, origin, mut body } = put;
        let condition = match condition {
            Condition::None => Condition::None,
            asked if platform::planted("condition-on-gateway") => {
                self.decided_here(&bucket, &key, &asked).await?
            }
            asked => asked,
        };
        let target = self.target(&bucket, key, None).await?;
        let stored = self.store(&target, Some(attributes.class), &mut *body).await?;
        drop(body);
        let Stored { size, digests, content } = stored;
        let etag = ETag { md5: digests.md5, parts: 0 };
        let checksum = digests.checksum;
        let new = NewObject { size, etag, checksum, attributes, condition, renamed: None, origin };
        let objects = self.clone();
        // In a task of its own: a client that goes away now cannot tear the commit from
        // what must follow it.
        let commit = async move { objects.commit_object(&target, new, content).await };
        let head = joined(tokio::spawn(commit)).await?;
        metrics::put_done(size, began);
        Ok(head)
    }

    /// A bug to plant: the condition is decided by what is there now, and the entry has none.
    async fn decided_here(
        &self,
        bucket: &str,
        key: &str,
        asked: &Condition,
    ) -> Result<Condition, Error> {
        let current = match self.head(bucket, key, None).await {
            Ok(head) => Some(head),
            Err(Error::NoSuchKey | Error::DeleteMarker { .. }) => None,
            Err(error) => return Err(error),
        };
        match (asked, current) {
            (Condition::Match(_), None) => Err(Error::NoSuchKey),
            (Condition::Match(asked), Some(head)) if !asked.holds(&head) => {
                Err(Error::PreconditionFailed)
            }
            (Condition::Absent, Some(_)) => Err(Error::PreconditionFailed),
            _ => Ok(Condition::None),
        }
    }

    /// Stores a part.
    pub async fn put_part(&self, put: PutPart) -> Result<PartDone, Error> {
        let began = Instant::now();
        let PutPart { bucket, key, upload, number, mut body } = put;
        let part = (upload, number);
        let target = self.target(&bucket, key, Some(part)).await?;
        let stored = self.store(&target, None, &mut *body).await?;
        drop(body);
        let Stored { size, digests, content } = stored;
        let BodyDigests { md5, checksum } = digests;
        let done = PartDone { etag: ETag { md5, parts: 0 }, checksum: checksum.clone() };
        let objects = self.clone();
        let commit = async move {
            let new = NewPart { size, md5, checksum };
            objects.commit_part(&target, part, &new, content).await
        };
        joined(tokio::spawn(commit)).await?;
        metrics::put_done(size, began);
        Ok(done)
    }

    /// Reads the body to its end, verifies it, and makes its bytes durable, as the class says;
    /// `None`: that of the upload.
    async fn store(
        &self,
        target: &Target,
        class: Option<StorageClass>,
        body: &mut dyn ObjectBody,
    ) -> Result<Stored, Error> {
        let limit = self.settings().put_bytes_max;
        let mut source = Source::new(body, limit)?;
        let mut first = Vec::new();
        while first.len() <= INLINE_BYTES_MAX {
            match source.next().await? {
                // A copy of the little that is needed; the rest stays in its frame.
                Some(mut frame) if first.len() + frame.len() > INLINE_BYTES_MAX => {
                    let head = frame.split_to(INLINE_BYTES_MAX + 1 - first.len());
                    first.extend_from_slice(&head);
                    source.rest = frame;
                }
                Some(frame) => first.extend_from_slice(&frame),
                None => {
                    let digests = source.body.finish()?;
                    let size = first.len() as u64;
                    let content = StoredContent::Inline(Bytes::from(first));
                    return Ok(Stored { size, digests, content });
                }
            }
        }
        let class = match (class, target.part) {
            (None, Some((upload, _))) => {
                self.class_of_upload(&target.bucket.name, &target.key, upload).await?
            }
            (class, _) => class.unwrap_or_default(),
        };
        let mut upload = BlobUpload::begin(self, target.intent(), class, source.hint).await?;
        upload.add(Bytes::from(first)).await?;
        while let Some(frame) = source.next().await? {
            upload.add(frame).await?;
        }
        let digests = source.body.finish()?;
        let size = source.taken;
        let blob = upload.finish().await?;
        Ok(Stored { size, digests, content: StoredContent::Blob(Box::new(blob)) })
    }
}

/// A body, counted.
struct Source<'a> {
    body: &'a mut dyn ObjectBody,
    hint: Option<u64>,
    limit: u64,
    taken: u64,
    /// What was read from the body and not yet taken.
    rest: Bytes,
}

impl<'a> Source<'a> {
    fn new(body: &'a mut dyn ObjectBody, limit: u64) -> Result<Self, Error> {
        let hint = body.size_hint();
        if hint.is_some_and(|size| size > limit) {
            return Err(BodyError::TooLarge { limit_bytes: limit }.into());
        }
        Ok(Self { body, hint, limit, taken: 0, rest: Bytes::new() })
    }

    async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        if !self.rest.is_empty() {
            return Ok(Some(std::mem::take(&mut self.rest)));
        }
        let Some(frame) = self.body.next().await else { return Ok(None) };
        let frame = frame?;
        self.taken += frame.len() as u64;
        // Buffers were sized by what the body said of itself.
        let limit_bytes = self.hint.unwrap_or(self.limit);
        if self.taken > limit_bytes {
            return Err(BodyError::TooLarge { limit_bytes }.into());
        }
        Ok(Some(frame))
    }
}
