//! Moving the bytes of a version to where its storage class wants them: blob after blob, while
//! it is read.
//!
//! ```text
//! for each blob that is not encoded as the class's profile wants:
//!   read, verified -> a new blob, sealed -> read back, same BLAKE3? -> ReplaceBlob -> confirmed
//! then: ObjectUpdate::Class
//! ```
//!
//! A crash between two steps leaves a version that can be read, with some blobs here and some
//! there; a new blob that nothing references is swept. The same call again goes on with the
//! blobs that are left: those that were moved are as the profile wants them.

use metastore::api::{
    IndexAnswer, IndexCommand,
    index::{Data, ObjectUpdate, Origin},
};
use types::{BlobRef, Content, ObjectHead, StorageClass, UploadId};

use crate::{
    Error, Objects,
    choose::Wanted,
    commit::{StoredContent, joined, refusal},
    hints::Reading,
    metrics,
};

/// What came of a transition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transition {
    /// The version is in the class, and all its bytes are where that wants them.
    Done {
        /// Bytes of content that were written anew; 0 if all was in place.
        bytes: u64,
    },
    /// The version is gone, or somebody else changed it meanwhile: look at it again.
    Moved,
}

impl Objects {
    /// Moves a version, current or not, to a storage class: the one that `head` names, as
    /// [`Objects::head`] returned it. It can be read all the time. Repeat it after an error:
    /// what was done is not done again. An object in its row only changes its class.
    ///
    /// `Unavailable` if no placement group of the class can take the bytes now, `Unreadable` if
    /// they cannot be read.
    pub async fn transition(
        &self,
        bucket: &str,
        key: &str,
        head: &ObjectHead,
        to: StorageClass,
        origin: Origin,
    ) -> Result<Transition, Error> {
        let moved = self.place(bucket, key, head, to).await?;
        if moved == Transition::Moved || head.attributes.class == to {
            return Ok(moved);
        }
        let update = ObjectUpdate::Class { to, version: head.version };
        match self.update(bucket, key, Some(head.name()), update, origin).await {
            Ok(_) => Ok(moved),
            Err(
                Error::NoSuchKey
                | Error::NoSuchVersion
                | Error::DeleteMarker { .. }
                | Error::PreconditionFailed,
            ) => Ok(Transition::Moved),
            Err(error) => Err(error),
        }
    }

    /// Moves the bytes of a version to where the present profile of its own class wants them, as
    /// [`Objects::transition`] does: after the operator changed the profile.
    pub async fn reencode(
        &self,
        bucket: &str,
        key: &str,
        head: &ObjectHead,
    ) -> Result<Transition, Error> {
        self.place(bucket, key, head, head.attributes.class).await
    }

    /// Whether a new blob of the class would be encoded as this one is, and lie on such disks.
    fn is_in_place(&self, blob: &BlobRef, class: StorageClass) -> bool {
        let map = self.metadata().map();
        Wanted::new(&map, class).fits(&map, blob)
    }

    async fn place(
        &self,
        bucket: &str,
        key: &str,
        head: &ObjectHead,
        class: StorageClass,
    ) -> Result<Transition, Error> {
        let mut bytes = 0;
        for (blob, part) in match self.blobs_of(bucket, key, head).await {
            Err(Error::Replaced) => return Ok(Transition::Moved),
            blobs => blobs?,
        } {
            if self.is_in_place(&blob, class) {
                continue;
            }
            match self.replace_blob(bucket, key, head, (&blob, part), class).await {
                Ok(()) => {}
                Err(Error::Replaced) => return Ok(Transition::Moved),
                Err(error) => return Err(error),
            }
            metrics::transitioned(blob.content_bytes());
            bytes += blob.content_bytes();
        }
        Ok(Transition::Done { bytes })
    }

    /// The blobs of a version; `Replaced` if it is gone. At most one a part.
    async fn blobs_of(
        &self,
        bucket: &str,
        key: &str,
        head: &ObjectHead,
    ) -> Result<Vec<(BlobRef, Option<(UploadId, u16)>)>, Error> {
        Ok(match &head.content {
            Content::Inline(_) => Vec::new(),
            Content::Blob(blob) => vec![(blob.clone(), None)],
            Content::Parts { upload, .. } => {
                let segments =
                    self.segments(bucket, key, head.version, *upload, &(0..head.size)).await?;
                let blob = |segment: metastore::api::index::Segment| match segment.data {
                    Data::Inline(_) => None,
                    Data::Blob { blob, .. } => Some((blob, Some((*upload, segment.number)))),
                };
                segments.into_iter().filter_map(blob).collect()
            }
        })
    }

    /// Writes one blob anew, checks it, and puts it in the place of the old one. `Replaced` if
    /// the old one is not there any more; the new one is deleted then.
    async fn replace_blob(
        &self,
        bucket: &str,
        key: &str,
        head: &ObjectHead,
        (old, part): (&BlobRef, Option<(UploadId, u16)>),
        class: StorageClass,
    ) -> Result<(), Error> {
        let target = self.target(bucket, key.to_owned(), part).await?;
        let reading =
            Reading { bucket: target.bucket.id, key: key.to_owned(), made: head.version.at };
        let (stored, was) = self.copy_blob(old, part, reading, &target, class).await?;
        // What was acknowledged once is given up only for bytes that were seen to be the same.
        // On the way out of here the new blob is deleted.
        let is = self.hash_blob(&stored.blob).await?;
        if is.blake3 != was.blake3 {
            return Err(Error::Internal(format!(
                "blob {} of {key:?} reads back otherwise than blob {} that it was copied from",
                stored.blob.id, old.id
            )));
        }
        let (new, missing) = (stored.blob.clone(), stored.missing.clone());
        let (version, old, write) = (head.version, old.id, self.new_write_id());
        let deadline = target.deadline.min(self.proposed_until());
        let objects = self.clone();
        // In a task of its own, so that nothing tears the commit from what must follow it.
        let commit = async move {
            let command = |bucket| IndexCommand::ReplaceBlob {
                bucket,
                key: target.key.clone(),
                version,
                part,
                old,
                new: new.clone(),
                missing: missing.clone(),
                write,
                deadline,
            };
            let content = StoredContent::Blob(Box::new(stored));
            objects
                .commit_content(&target, content, command, |answer| match answer {
                    IndexAnswer::Done => Ok(()),
                    other => Err(refusal(&other)),
                })
                .await
        };
        joined(tokio::spawn(commit)).await
    }
}
