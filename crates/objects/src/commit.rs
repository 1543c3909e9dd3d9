//! The entry that makes stored bytes an object or a part: proposed until it is known what became
//! of it, and what becomes of the shards then.

use bytes::Bytes;
use metastore::api::{
    IndexAnswer, IndexCommand,
    index::{Data, Origin, Part, Renamed},
    root::Bucket,
};
use types::{
    Attributes, BlobRef, BucketId, Checksum, Condition, ETag, ObjectHead, UnixMillis, UploadId,
    WriteIntent,
};

use crate::{
    Error, Objects,
    error::metadata_error,
    gate::{Closed, GATE_TRIES_MAX, gate_moves, unexpected},
    hints::RepairHint,
    upload::StoredBlob,
    write::BlobWriter,
};

/// Bytes that are durable (or inline) and not yet referenced.
pub(crate) enum StoredContent {
    Inline(Bytes),
    Blob(Box<StoredBlob>),
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
pub(crate) struct Target {
    pub(crate) bucket: Bucket,
    pub(crate) key: String,
    pub(crate) part: Option<(UploadId, u16)>,
    pub(crate) deadline: UnixMillis,
}

impl Target {
    pub(crate) fn intent(&self) -> WriteIntent {
        WriteIntent {
            bucket: self.bucket.id,
            key: self.key.clone(),
            part: self.part,
            deadline: self.deadline,
        }
    }
}

/// What is to be said about bytes that become an object.
pub(crate) struct NewObject {
    pub(crate) size: u64,
    pub(crate) etag: ETag,
    pub(crate) checksum: Option<Checksum>,
    pub(crate) attributes: Attributes,
    pub(crate) condition: Condition,
    pub(crate) renamed: Option<Renamed>,
    pub(crate) origin: Origin,
}

/// What is to be said about bytes that become a part.
pub(crate) struct NewPart {
    pub(crate) size: u64,
    pub(crate) md5: [u8; 16],
    pub(crate) checksum: Option<Checksum>,
}

impl Objects {
    /// A write to the key that begins now.
    pub(crate) async fn target(
        &self,
        bucket: &str,
        key: String,
        part: Option<(UploadId, u16)>,
    ) -> Result<Target, Error> {
        let bucket = self.resolve(bucket).await?;
        let now = UnixMillis(self.clock().now_ms());
        Ok(Target { bucket, key, part, deadline: now.plus(self.settings().write_deadline_ms) })
    }

    /// Makes the bytes the object of the target's key. `Replaced` if it is a renaming and the
    /// source is another object by now.
    pub(crate) async fn commit_object(
        &self,
        target: &Target,
        new: NewObject,
        content: StoredContent,
    ) -> Result<ObjectHead, Error> {
        let (data, write) = (content.data(), self.new_write_id());
        let deadline = target.deadline.min(self.proposed_until());
        let command = |bucket| IndexCommand::PutObject {
            bucket,
            key: target.key.clone(),
            condition: new.condition.clone(),
            size: new.size,
            etag: new.etag,
            attributes: new.attributes.clone(),
            checksum: new.checksum.clone(),
            data: data.clone(),
            renamed: new.renamed.clone(),
            origin: new.origin.clone(),
            write,
            deadline,
        };
        self.commit_content(target, content, command, |answer| match answer {
            IndexAnswer::Object(head) => Ok(*head),
            other => Err(refusal(&other)),
        })
        .await
    }

    /// Makes the bytes a part of an upload.
    pub(crate) async fn commit_part(
        &self,
        target: &Target,
        (upload, number): (UploadId, u16),
        new: &NewPart,
        content: StoredContent,
    ) -> Result<(), Error> {
        let (data, write) = (content.data(), self.new_write_id());
        let deadline = target.deadline.min(self.proposed_until());
        let command = |bucket| IndexCommand::PutPart {
            bucket,
            key: target.key.clone(),
            upload,
            part: Part {
                number,
                size: new.size,
                md5: new.md5,
                checksum: new.checksum.clone(),
                modified: UnixMillis::default(),
                data: data.clone(),
            },
            write,
            deadline,
        };
        self.commit_content(target, content, command, |answer| match answer {
            IndexAnswer::Done => Ok(()),
            other => Err(refusal(&other)),
        })
        .await
    }

    /// Proposes the entry that references `content`, and settles what becomes of its shards:
    /// confirmed if it was accepted, deleted if it was surely refused, left to the sweep if
    /// nobody knows. `command` has the same write id and the same deadline each time: a late
    /// duplicate of a proposal must not count as a write of its own, neither while the index
    /// remembers the id nor later, when the bytes may be garbage already.
    pub(crate) async fn commit_content<T>(
        &self,
        target: &Target,
        content: StoredContent,
        command: impl Fn(BucketId) -> IndexCommand,
        accept: impl FnOnce(IndexAnswer) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let (mut writer, stored) = match content {
            StoredContent::Inline(_) => (None, None),
            StoredContent::Blob(stored) => {
                (Some(stored.writer), Some((stored.blob, stored.missing)))
            }
        };
        if UnixMillis(self.clock().now_ms()) > target.deadline {
            // Nothing was proposed, so nothing can have been applied.
            abandon(writer);
            return Err(refusal(&IndexAnswer::DeadlinePassed));
        }
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
            if answer == IndexAnswer::DeadlinePassed {
                // Perhaps to a repeated proposal whose first one was applied and is forgotten by now:
                // the sweep asks the index, which knows.
                return Err(refusal(&answer));
            }
            let Some(closed) = Closed::in_answer(&answer) else {
                let result = accept(answer);
                match (&result, writer) {
                    (Ok(_), Some(writer)) => {
                        if let Some((blob, missing)) = &stored {
                            self.hint_moved(blob, missing, &writer, target);
                        }
                        writer.committed();
                    }
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

impl Objects {
    /// The group has changed while the blob was written: it may lack the ranks that moved, besides
    /// those that the index knows to be `missing`. If the hint is lost, the next comparison of the group's inventories finds them.
    fn hint_moved(&self, blob: &BlobRef, missing: &[u8], writer: &BlobWriter, target: &Target) {
        for rank in writer.moved().into_iter().filter(|rank| !missing.contains(rank)) {
            self.hint(RepairHint { blob: blob.clone(), rank, intent: target.intent() });
        }
    }
}

fn abandon(writer: Option<BlobWriter>) {
    if let Some(writer) = writer {
        writer.abandon();
    }
}

/// What the index said instead of accepting a write.
pub(crate) fn refusal(answer: &IndexAnswer) -> Error {
    match answer {
        IndexAnswer::NoSuchKey => Error::NoSuchKey,
        IndexAnswer::ConditionFailed => Error::PreconditionFailed,
        IndexAnswer::NoSuchUpload => Error::NoSuchUpload,
        IndexAnswer::NoLock => Error::NoLock,
        IndexAnswer::Moved | IndexAnswer::SourceChanged => Error::Replaced,
        IndexAnswer::BucketState => Error::BucketVersioned,
        IndexAnswer::DeadlinePassed => Error::Unavailable(
            "the upload took longer than a write may take, or the metadata nodes' clocks are \
             minutes ahead of this gateway's: try again"
                .into(),
        ),
        other => unexpected("storing an object", other),
    }
}

pub(crate) async fn joined<T>(task: tokio::task::JoinHandle<Result<T, Error>>) -> Result<T, Error> {
    match task.await {
        Ok(result) => result,
        Err(error) => Err(Error::Internal(format!("a commit ended without an answer: {error}"))),
    }
}
