//! Giving an object another key. AWS has it for directory buckets:
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/API_RenameObject.html>.
//!
//! The bytes are copied, and one entry makes the new object and removes the old one. They are
//! copied because every shard says which key it was written for: the sweep of pending shards,
//! read repair and the repair of missing ranks ask the index about that key.

use std::collections::BTreeMap;

use bytes::Bytes;
use md5::{Digest, Md5};
use metastore::api::index::{Data, Renamed, Segment};
use types::{BucketId, Condition, Content, ObjectHead, UnixMillis, UploadId, Versioning};

use crate::{
    Error, Objects,
    commit::{NewObject, NewPart, StoredContent, joined},
    hints::Reading,
    multipart::{Completion, PARTS_MAX, multipart_etag},
    request::{CreateUpload, Rename},
};

/// How often a renaming begins anew because its source was replaced while it was copied.
const TRIES_MAX: usize = 3;

impl Objects {
    /// Makes the object of one key that of another, in one step for everybody who looks, with its
    /// attributes, its entity tag and its checksum. An object that the other key has goes.
    /// An archived object that was restored is to be restored again.
    /// To its own key: nothing but the conditions.
    ///
    /// `NoSuchKey`, `PreconditionFailed` (of either condition), `BucketVersioned`, `Archived`;
    /// `Unavailable` if the source keeps being replaced, or if the keys lie in two index
    /// partitions. While an object of parts is copied its upload is seen among those in progress.
    pub async fn rename(&self, rename: Rename) -> Result<ObjectHead, Error> {
        for _ in 0..TRIES_MAX {
            match self.rename_once(&rename).await {
                Err(Error::Replaced) => {}
                result => return result,
            }
        }
        Err(Error::Unavailable(format!(
            "{:?} was replaced {TRIES_MAX} times while it was renamed: try again",
            rename.from
        )))
    }

    /// `Replaced` if the source is another object by now.
    async fn rename_once(&self, rename: &Rename) -> Result<ObjectHead, Error> {
        let Rename { bucket, from, to, .. } = rename;
        if self.bucket_settings(bucket).await?.versioning != Versioning::Off {
            return Err(Error::BucketVersioned);
        }
        let id = self.resolve(bucket).await?.id;
        self.check_one_partition(id, from, to)?;
        let head = self.head(bucket, from, None).await?;
        // Decided for good: the entry asks for this very version.
        if !holds(&rename.source_condition, &head) {
            return Err(Error::PreconditionFailed);
        }
        if !head.is_readable(UnixMillis(self.clock().now_ms())) {
            return Err(Error::Archived);
        }
        if from == to {
            let agreed = holds(&rename.condition, &head);
            return if agreed { Ok(head) } else { Err(Error::PreconditionFailed) };
        }
        let reading = Reading { bucket: id, key: from.clone(), made: head.version.at };
        match &head.content {
            Content::Parts { upload, .. } => {
                self.rename_parts(rename, &head, *upload, reading).await
            }
            Content::Inline(_) | Content::Blob(_) => {
                self.rename_single(rename, head, reading).await
            }
        }
    }

    /// One entry can change both keys only if one partition holds them.
    fn check_one_partition(&self, bucket: BucketId, from: &str, to: &str) -> Result<(), Error> {
        let map = self.metadata().map();
        let group = |key| map.partition(bucket, key).map(|partition| partition.group);
        if group(from) == group(to) {
            return Ok(());
        }
        Err(Error::Unavailable(format!(
            "{from:?} and {to:?} lie in different index partitions: copy the object and delete it \
             instead"
        )))
    }

    async fn rename_single(
        &self,
        rename: &Rename,
        head: ObjectHead,
        reading: Reading,
    ) -> Result<ObjectHead, Error> {
        let target = self.target(&rename.bucket, rename.to.clone(), None).await?;
        let content = match &head.content {
            Content::Blob(blob) => {
                let class = head.attributes.class;
                let (stored, _) = self.copy_blob(blob, None, reading, &target, class).await?;
                StoredContent::Blob(Box::new(stored))
            }
            Content::Inline(bytes) => StoredContent::Inline(bytes.clone()),
            Content::Parts { .. } => {
                return Err(Error::Internal("an object of parts has no single content".into()));
            }
        };
        let new = NewObject {
            size: head.size,
            etag: head.etag,
            checksum: head.checksum,
            attributes: head.attributes,
            condition: rename.condition.clone(),
            renamed: Some(Renamed { from: rename.from.clone(), version: head.version }),
            origin: rename.origin.clone(),
        };
        let objects = self.clone();
        let commit = async move { objects.commit_object(&target, new, content).await };
        joined(tokio::spawn(commit)).await
    }

    async fn rename_parts(
        &self,
        rename: &Rename,
        head: &ObjectHead,
        from_upload: UploadId,
        reading: Reading,
    ) -> Result<ObjectHead, Error> {
        let Rename { bucket, from, to, .. } = rename;
        let create = CreateUpload {
            bucket: bucket.clone(),
            key: to.clone(),
            attributes: head.attributes.clone(),
            checksum: head.checksum.as_ref().map(|checksum| (checksum.algorithm, checksum.kind)),
        };
        let upload = self.create_upload(create).await?;
        let mut copy = Copy {
            objects: self.clone(),
            bucket: bucket.clone(),
            key: to.clone(),
            upload,
            completed: false,
        };
        let (listed, _) = self.object_parts(bucket, from, head, 0, PARTS_MAX).await?;
        let segments =
            self.segments(bucket, from, head.version, from_upload, &(0..head.size)).await?;
        let at: BTreeMap<u64, &Segment> =
            segments.iter().map(|segment| (segment.offset, segment)).collect();
        let mut parts = Vec::with_capacity(listed.len());
        for part in listed {
            // An empty part, which only the last one can be, is in no segment.
            let data = match at.get(&part.offset) {
                Some(segment) if part.size > 0 => segment.data.clone(),
                _ => Data::Inline(Bytes::new()),
            };
            let number = at.get(&part.offset).map_or(part.number, |segment| segment.number);
            let source = (data, (from_upload, number));
            let checksum = part.checksum;
            let new = |md5| NewPart { size: part.size, md5, checksum };
            let md5 = copy.part(source, part.number, reading.clone(), head, new).await?;
            parts.push((part.number, md5));
        }
        let etag = multipart_etag(&parts)?;
        if etag != head.etag {
            return Err(Error::Internal(format!(
                "the parts of {from:?} make the entity tag {etag} and not {}",
                head.etag
            )));
        }
        let completion = Completion {
            condition: rename.condition.clone(),
            parts,
            etag,
            checksum: head.checksum.clone(),
            size: Some(head.size),
            renamed: Some(Renamed { from: from.clone(), version: head.version }),
            origin: rename.origin.clone(),
        };
        let renamed = self.propose_completion(bucket, to, upload, completion).await?;
        copy.completed = true;
        Ok(renamed)
    }
}

/// Whether a condition holds of an object that is there.
fn holds(condition: &Condition, head: &ObjectHead) -> bool {
    match condition {
        Condition::None => true,
        Condition::Absent => false,
        Condition::Match(wanted) => wanted.holds(head),
    }
}

/// The upload that copies an object of parts. It is given up unless it is completed.
struct Copy {
    objects: Objects,
    bucket: String,
    key: String,
    upload: UploadId,
    completed: bool,
}

impl Copy {
    /// Copies a part and returns its MD5.
    async fn part(
        &self,
        (data, from): (Data, (UploadId, u16)),
        number: u16,
        reading: Reading,
        head: &ObjectHead,
        new: impl FnOnce([u8; 16]) -> NewPart,
    ) -> Result<[u8; 16], Error> {
        let part = (self.upload, number);
        let target = self.objects.target(&self.bucket, self.key.clone(), Some(part)).await?;
        let (content, md5) = match data {
            Data::Inline(bytes) => {
                let md5 = Md5::digest(&bytes).into();
                (StoredContent::Inline(bytes), md5)
            }
            Data::Blob { blob, .. } => {
                let class = head.attributes.class;
                let copied =
                    self.objects.copy_blob(&blob, Some(from), reading, &target, class).await?;
                (StoredContent::Blob(Box::new(copied.0)), copied.1.md5)
            }
        };
        let (objects, new) = (self.objects.clone(), new(md5));
        let commit = async move { objects.commit_part(&target, part, &new, content).await };
        joined(tokio::spawn(commit)).await?;
        Ok(md5)
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        if self.completed {
            return;
        }
        let (bucket, key, upload) = (self.bucket.clone(), self.key.clone(), self.upload);
        let objects = self.objects.clone();
        self.objects.inner.background.spawn("abort", async move {
            if let Err(error) = objects.abort_upload(&bucket, &key, upload).await {
                tracing::debug!(%key, %error, "the upload of a renaming is left");
            }
        });
    }
}
