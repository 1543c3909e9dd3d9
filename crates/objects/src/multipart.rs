//! Multipart uploads: begin, complete, give up, list; and the parts of what they made.
//! Storing a part is in `put.rs`, because its bytes go the way of an object's.

use std::collections::BTreeMap;

use md5::{Digest, Md5};
use metastore::api::{
    IndexAnswer, IndexCommand, IndexQuery, IndexView,
    index::{self, Origin, Part, Renamed, Upload},
};
use types::{Checksum, Condition, Content, ETag, ObjectHead, UnixMillis, UploadId};

use crate::{
    Error, Objects,
    gate::unexpected,
    request::{CompleteUpload, CreateUpload, ListedPart, PartsPage, UploadsPage},
};

/// The most parts of an upload, hence of one page of them.
/// AWS: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html>.
pub(crate) const PARTS_MAX: u32 = 10_000;

/// What becomes of an upload.
#[derive(Clone)]
pub(crate) struct Completion {
    pub(crate) condition: Condition,
    /// Number and MD5 of each part, in strictly ascending number.
    pub(crate) parts: Vec<(u16, [u8; 16])>,
    pub(crate) etag: ETag,
    pub(crate) checksum: Option<Checksum>,
    pub(crate) size: Option<u64>,
    pub(crate) renamed: Option<Renamed>,
    pub(crate) origin: Origin,
}

impl Objects {
    /// Begins a multipart upload.
    pub async fn create_upload(&self, create: CreateUpload) -> Result<UploadId, Error> {
        let (id, write) = (self.new_upload_id(), self.new_write_id());
        let command = |bucket| IndexCommand::CreateUpload {
            bucket,
            upload: Upload {
                id,
                key: create.key.clone(),
                initiated: UnixMillis::default(),
                attributes: create.attributes.clone(),
                checksum: create.checksum,
            },
            write,
        };
        match self.index(&create.bucket, &create.key, command).await? {
            IndexAnswer::Done => {
                self.inner.upload_classes.set(id, create.attributes.class);
                Ok(id)
            }
            IndexAnswer::NoLock => Err(Error::NoLock),
            other => Err(unexpected("beginning an upload", &other)),
        }
    }

    /// Makes the listed parts the object.
    pub async fn complete_upload(&self, complete: CompleteUpload) -> Result<ObjectHead, Error> {
        let CompleteUpload { bucket, key, upload, condition, parts, checksum, size, origin } =
            complete;
        self.check_part_checksums(&bucket, &key, upload, &parts).await?;
        let listed = parts
            .iter()
            .map(|part| {
                let md5 = part.md5.ok_or(Error::InvalidPart { number: part.number })?;
                Ok((part.number, md5))
            })
            .collect::<Result<Vec<_>, Error>>()?;
        let etag = multipart_etag(&listed)?;
        let parts = listed;
        let completion =
            Completion { condition, parts, etag, checksum, size, renamed: None, origin };
        self.propose_completion(&bucket, &key, upload, completion).await
    }

    /// `Replaced` if it is a renaming and the source is another object by now.
    pub(crate) async fn propose_completion(
        &self,
        bucket: &str,
        key: &str,
        upload: UploadId,
        completion: Completion,
    ) -> Result<ObjectHead, Error> {
        let write = self.new_write_id();
        let command = |bucket| {
            let Completion { condition, parts, etag, checksum, size, renamed, origin } =
                completion.clone();
            IndexCommand::CompleteUpload {
                bucket,
                key: key.to_owned(),
                upload,
                condition,
                parts,
                etag,
                checksum,
                size,
                renamed,
                origin,
                write,
            }
        };
        match self.index(bucket, key, command).await? {
            IndexAnswer::Object(head) => Ok(*head),
            IndexAnswer::NoSuchUpload => Err(Error::NoSuchUpload),
            IndexAnswer::NoSuchKey => Err(Error::NoSuchKey),
            IndexAnswer::ConditionFailed => Err(Error::PreconditionFailed),
            IndexAnswer::NoLock => Err(Error::NoLock),
            IndexAnswer::InvalidPart { number } => Err(Error::InvalidPart { number }),
            IndexAnswer::PartTooSmall { number, size } => Err(Error::PartTooSmall { number, size }),
            IndexAnswer::SizeMismatch { actual } => Err(Error::SizeMismatch { actual }),
            IndexAnswer::SourceChanged => Err(Error::Replaced),
            IndexAnswer::BucketState => Err(Error::BucketVersioned),
            other => Err(unexpected("completing an upload", &other)),
        }
    }

    /// Checksums that the client listed must be those of the stored parts. Deciding it
    /// before the completion is sound: a part that is replaced in between has another
    /// MD5, and the completion refuses it.
    async fn check_part_checksums(
        &self,
        bucket: &str,
        key: &str,
        upload: UploadId,
        listed: &[ListedPart],
    ) -> Result<(), Error> {
        if listed.iter().all(|part| part.checksum.is_none()) {
            return Ok(());
        }
        let stored = match self.parts(bucket, key, upload, 0, PARTS_MAX).await {
            Ok(page) => page.parts,
            // Perhaps a repeated completion, which the index recognises.
            Err(Error::NoSuchUpload) => return Ok(()),
            Err(error) => return Err(error),
        };
        let stored: BTreeMap<u16, &Part> = stored.iter().map(|part| (part.number, part)).collect();
        for part in listed.iter().filter(|part| part.checksum.is_some()) {
            let same = stored.get(&part.number).is_some_and(|row| row.checksum == part.checksum);
            if !same {
                return Err(Error::InvalidPart { number: part.number });
            }
        }
        Ok(())
    }

    /// Gives an upload up.
    pub async fn abort_upload(
        &self,
        bucket: &str,
        key: &str,
        upload: UploadId,
    ) -> Result<(), Error> {
        let write = self.new_write_id();
        let command =
            |bucket| IndexCommand::AbortUpload { bucket, key: key.to_owned(), upload, write };
        match self.index(bucket, key, command).await? {
            IndexAnswer::Done => Ok(()),
            IndexAnswer::NoSuchUpload => Err(Error::NoSuchUpload),
            other => Err(unexpected("giving an upload up", &other)),
        }
    }

    /// Uploads in progress.
    pub async fn uploads(
        &self,
        bucket: &str,
        prefix: &str,
        delimiter: Option<&str>,
        after: Option<(String, Option<UploadId>)>,
        limit: u32,
    ) -> Result<UploadsPage, Error> {
        let query = |bucket| IndexQuery::Uploads {
            bucket,
            prefix: prefix.to_owned(),
            delimiter: delimiter.map(str::to_owned),
            after: after.clone(),
            limit,
        };
        match self.query(bucket, prefix, query).await? {
            IndexView::Uploads { uploads, prefixes, next } => {
                Ok(UploadsPage { uploads, prefixes, next })
            }
            other => Err(unexpected("listing uploads", &other)),
        }
    }

    /// Parts of an upload in progress with numbers above `after`.
    pub async fn parts(
        &self,
        bucket: &str,
        key: &str,
        upload: UploadId,
        after: u16,
        limit: u32,
    ) -> Result<PartsPage, Error> {
        let query =
            |bucket| IndexQuery::Parts { bucket, key: key.to_owned(), upload, after, limit };
        match self.query(bucket, key, query).await? {
            IndexView::Parts { upload, parts, truncated } => {
                Ok(PartsPage { upload: *upload, parts, truncated })
            }
            IndexView::NoSuchUpload => Err(Error::NoSuchUpload),
            other => Err(unexpected("listing parts", &other)),
        }
    }

    /// Parts of the multipart object that [`Objects::head`] returned, numbered by their
    /// place, above `after`; and whether more follow. None for an object put in one piece.
    /// `Replaced` if that version is gone.
    pub async fn object_parts(
        &self,
        bucket: &str,
        key: &str,
        head: &ObjectHead,
        after: u16,
        limit: u32,
    ) -> Result<(Vec<index::ListedPart>, bool), Error> {
        let Content::Parts { upload, .. } = head.content else { return Ok((Vec::new(), false)) };
        let query = |bucket| IndexQuery::ObjectParts {
            bucket,
            key: key.to_owned(),
            version: head.version,
            upload,
            after,
            limit,
        };
        match self.query(bucket, key, query).await? {
            IndexView::ObjectParts { parts, truncated } => Ok((parts, truncated)),
            IndexView::NoSuchUpload => Err(Error::Replaced),
            other => Err(unexpected("listing the parts of an object", &other)),
        }
    }
}

/// The MD5 of the parts' MD5s, with their number.
pub(crate) fn multipart_etag(parts: &[(u16, [u8; 16])]) -> Result<ETag, Error> {
    let mut md5 = Md5::new();
    for (_, part) in parts {
        md5.update(part);
    }
    let parts = u16::try_from(parts.len())
        .map_err(|_| Error::InvalidPart { number: parts[usize::from(u16::MAX)].0 })?;
    Ok(ETag { md5: md5.finalize().into(), parts })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The value that `md5(md5(b"a") + md5(b"b"))` has, as any S3 client computes it.
    #[test]
    fn the_etag_is_the_md5_of_the_parts_md5s() {
        let md5 = |bytes: &[u8]| -> [u8; 16] { Md5::digest(bytes).into() };
        let both = [md5(b"a"), md5(b"b")].concat();
        let etag = multipart_etag(&[(1, md5(b"a")), (7, md5(b"b"))]).expect("few parts");
        assert_eq!(etag, ETag { md5: md5(&both), parts: 2 });
        assert!(etag.to_string().ends_with("-2"));
    }
}
