//! Storing objects and parts: body -> stripes -> shards -> one metadata entry.
//!
//! Up to [`INLINE_BYTES_MAX`] the bytes travel in the entry itself. The seal, hence the
//! durability of the shards, waits for the body's own verification; the entry waits for the
//! write quorum of seals; the answer waits for the entry.

use std::time::Instant;

use bytes::Bytes;
use metastore::api::{
    IndexAnswer, IndexCommand,
    index::{Data, Origin, Part},
    root::Bucket,
};
use types::{
    Attributes, BucketId, Condition, ETag, INLINE_BYTES_MAX, ObjectHead, UnixMillis, UploadId,
    WriteIntent,
};

use crate::{
    BodyDigests, BodyError, Error, ObjectBody, Objects,
    error::metadata_error,
    gate::{Closed, GATE_TRIES_MAX, gate_moves, unexpected},
    metrics,
    request::{PartDone, Put, PutPart},
    upload::{BlobUpload, StoredBlob},
};

/// Bytes that are durable (or inline) and not yet referenced.
struct Stored {
    size: u64,
    digests: BodyDigests,
    content: StoredContent,
}

enum StoredContent {
    Inline(Bytes),
    Blob(StoredBlob),
}

impl StoredContent {
    fn data(&self) -> Data {
        match self {
            Self::Inline(bytes) => Data::Inline(bytes.clone()),
            Self::Blob(stored) => {
                Data::Blob { blob: stored.blob.clone(), missing: stored.missing.clone() }
            }
        }
    }
}

/// Who the bytes are for.
#[derive(Clone)]
struct Target {
    bucket: Bucket,
    key: String,
    part: Option<(UploadId, u16)>,
    deadline: UnixMillis,
}

impl Objects {
    /// Stores an object. On OK it is durable: `write_quorum` shards and a Raft majority
    /// have fsynced. Dropping the future before that leaves nothing behind, or the whole
    /// object if the commit was under way.
    pub async fn put(&self, put: Put) -> Result<ObjectHead, Error> {
        let began = Instant::now();
        let Put { bucket, key, condition, attributes, origin, mut body } = put;
        let target = self.target(&bucket, key, None).await?;
        let stored = self.store(&target, &mut *body).await?;
        drop(body);
        let size = stored.size;
        let objects = self.clone();
        // In a task of its own: a client that goes away now cannot tear the commit from
        // what must follow it.
        let commit =
            async move { objects.commit(target, condition, attributes, origin, stored).await };
        let head = joined(tokio::spawn(commit)).await?;
        metrics::put_done(size, began);
        Ok(head)
    }

    /// Stores a part.
    pub async fn put_part(&self, put: PutPart) -> Result<PartDone, Error> {
        let began = Instant::now();
        let PutPart { bucket, key, upload, number, mut body } = put;
        let target = self.target(&bucket, key, Some((upload, number))).await?;
        let stored = self.store(&target, &mut *body).await?;
        drop(body);
        let size = stored.size;
        let objects = self.clone();
        let commit = async move { objects.commit_part(target, upload, number, stored).await };
        let done = joined(tokio::spawn(commit)).await?;
        metrics::put_done(size, began);
        Ok(done)
    }

    async fn target(
        &self,
        bucket: &str,
        key: String,
        part: Option<(UploadId, u16)>,
    ) -> Result<Target, Error> {
        let bucket = self.resolve(bucket).await?;
        let now = UnixMillis(self.clock().now_ms());
        Ok(Target { bucket, key, part, deadline: now.plus(self.settings().write_deadline_ms) })
    }

    /// Reads the body to its end, verifies it, and makes its bytes durable.
    async fn store(&self, target: &Target, body: &mut dyn ObjectBody) -> Result<Stored, Error> {
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
        let intent = WriteIntent {
            bucket: target.bucket.id,
            key: target.key.clone(),
            part: target.part,
            deadline: target.deadline,
        };
        let mut upload = BlobUpload::begin(self, intent, source.hint).await?;
        upload.add(Bytes::from(first)).await?;
        while let Some(frame) = source.next().await? {
            upload.add(frame).await?;
        }
        let digests = source.body.finish()?;
        let size = source.taken;
        let blob = upload.finish().await?;
        Ok(Stored { size, digests, content: StoredContent::Blob(blob) })
    }

    async fn commit(
        &self,
        target: Target,
        condition: Condition,
        attributes: Attributes,
        origin: Origin,
        stored: Stored,
    ) -> Result<ObjectHead, Error> {
        let Stored { size, digests, content } = stored;
        let (data, write) = (content.data(), self.new_write_id());
        let deadline = target.deadline.min(self.proposed_until());
        let command = |bucket| IndexCommand::PutObject {
            bucket,
            key: target.key.clone(),
            condition: condition.clone(),
            size,
            etag: ETag { md5: digests.md5, parts: 0 },
            attributes: attributes.clone(),
            checksum: digests.checksum.clone(),
            data: data.clone(),
            renamed: None,
            origin: origin.clone(),
            write,
            deadline,
        };
        self.commit_content(&target, content, command, |answer| match answer {
            IndexAnswer::Object(head) => Ok(*head),
            other => Err(refusal(&other)),
        })
        .await
    }

    async fn commit_part(
        &self,
        target: Target,
        upload: UploadId,
        number: u16,
        stored: Stored,
    ) -> Result<PartDone, Error> {
        let Stored { size, digests, content } = stored;
        let (data, write) = (content.data(), self.new_write_id());
        let deadline = target.deadline.min(self.proposed_until());
        let command = |bucket| IndexCommand::PutPart {
            bucket,
            key: target.key.clone(),
            upload,
            part: Part {
                number,
                size,
                md5: digests.md5,
                checksum: digests.checksum.clone(),
                modified: UnixMillis::default(),
                data: data.clone(),
            },
            write,
            deadline,
        };
        let done = PartDone {
            etag: ETag { md5: digests.md5, parts: 0 },
            checksum: digests.checksum.clone(),
        };
        self.commit_content(&target, content, command, |answer| match answer {
            IndexAnswer::Done => Ok(done),
            other => Err(refusal(&other)),
        })
        .await
    }

    /// Proposes the entry that references `content`, and settles what becomes of its shards:
    /// confirmed if it was accepted, deleted if it was surely refused, left to the sweep if
    /// nobody knows. `command` has the same write id and the same deadline each time: a late
    /// duplicate of a proposal must not count as a write of its own, neither while the index
    /// remembers the id nor later, when the bytes may be garbage already.
    async fn commit_content<T>(
        &self,
        target: &Target,
        content: StoredContent,
        command: impl Fn(BucketId) -> IndexCommand,
        accept: impl FnOnce(IndexAnswer) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let mut writer = match content {
            StoredContent::Inline(_) => None,
            StoredContent::Blob(stored) => Some(stored.writer),
        };
        let mut bucket = target.bucket.clone();
        for _ in 0..GATE_TRIES_MAX {
            if let Some(writer) = &mut writer {
                writer.proposing();
            }
            let proposed = self.metadata().index(bucket.id, &target.key, command(bucket.id)).await;
            let answer = match proposed.map_err(metadata_error) {
                Ok(answer) => answer,
                Err(error) => {
                    if matches!(error, Error::Unavailable(_)) {
                        abandon(writer);
                    } else {
                        tracing::warn!(key = %target.key, %error, "the outcome of a write is unknown");
                    }
                    return Err(error);
                }
            };
            let Some(closed) = Closed::in_answer(&answer) else {
                let result = accept(answer);
                match (&result, writer) {
                    (Ok(_), Some(writer)) => writer.committed(),
                    // An answer that does not belong proves nothing about the shards.
                    (Err(Error::Internal(_)), _) => {}
                    (_, writer) => abandon(writer),
                }
                return result;
            };
            match self.reopen(&bucket, closed).await {
                Ok(now) if now.id == bucket.id => {}
                Ok(now) if writer.is_none() => bucket = now,
                // The shards say which bucket they are for: they cannot change it.
                Ok(_) => {
                    abandon(writer);
                    return Err(Error::Unavailable(format!(
                        "bucket {:?} was deleted and created again during the upload: try again",
                        bucket.name
                    )));
                }
                Err(error) => {
                    abandon(writer);
                    return Err(error);
                }
            }
        }
        abandon(writer);
        Err(gate_moves(&bucket.name))
    }
}

fn abandon(writer: Option<crate::write::BlobWriter>) {
    if let Some(writer) = writer {
        writer.abandon();
    }
}

/// What the index said instead of accepting a write.
fn refusal(answer: &IndexAnswer) -> Error {
    match answer {
        IndexAnswer::NoSuchKey => Error::NoSuchKey,
        IndexAnswer::ConditionFailed => Error::PreconditionFailed,
        IndexAnswer::NoSuchUpload => Error::NoSuchUpload,
        IndexAnswer::NoLock => Error::NoLock,
        IndexAnswer::DeadlinePassed => Error::Unavailable(
            "the upload took longer than a write may take, or the metadata nodes' clocks are \
             minutes ahead of this gateway's: try again"
                .into(),
        ),
        other => unexpected("storing an object", other),
    }
}

async fn joined<T>(task: tokio::task::JoinHandle<Result<T, Error>>) -> Result<T, Error> {
    match task.await {
        Ok(result) => result,
        Err(error) => Err(Error::Internal(format!("a commit ended without an answer: {error}"))),
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
