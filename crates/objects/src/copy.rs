//! The bytes of a blob, read verified and written again as a new one: for another storage class,
//! or under another key.

use bytes::Bytes;
use md5::{Digest, Md5};
use types::{BlobRef, StorageClass, UploadId};

use crate::{
    Error, Objects,
    commit::Target,
    compute,
    hints::Reading,
    reader::Reader,
    source::Source,
    upload::{BlobUpload, StoredBlob},
};

/// What is computed over the content of a blob.
pub(crate) struct ContentHashes {
    pub(crate) md5: [u8; 16],
    pub(crate) blake3: blake3::Hash,
}

#[derive(Default)]
struct Hashing {
    md5: Md5,
    blake3: blake3::Hasher,
}

impl Hashing {
    async fn update(mut self, bytes: Bytes) -> Result<Self, Error> {
        compute::run(bytes.len() as u64, move || {
            self.md5.update(&bytes);
            self.blake3.update(&bytes);
            self
        })
        .await
    }

    fn end(self) -> ContentHashes {
        ContentHashes { md5: self.md5.finalize().into(), blake3: self.blake3.finalize() }
    }
}

impl Objects {
    /// Writes the content of `source` (of this part, if it is one) as a new blob of the class
    /// for `target`. It is durable and nothing references it yet.
    pub(crate) async fn copy_blob(
        &self,
        source: &BlobRef,
        part: Option<(UploadId, u16)>,
        reading: Reading,
        target: &Target,
        class: StorageClass,
    ) -> Result<(StoredBlob, ContentHashes), Error> {
        let mut reader = self.open_blob(source, part, Some(reading)).await?;
        let bytes = source.content_bytes();
        let mut upload = BlobUpload::begin(self, target.intent(), class, Some(bytes)).await?;
        let mut hashing = Hashing::default();
        while let Some(piece) = reader.next().await.transpose()? {
            hashing = hashing.update(piece.clone()).await?;
            upload.add(piece).await?;
        }
        drop(reader);
        let stored = upload.finish().await?;
        if stored.blob.content_bytes() != bytes {
            return Err(Error::Internal(format!("{source:?} was copied to {:?}", stored.blob)));
        }
        Ok((stored, hashing.end()))
    }

    /// Reads a blob to its end.
    pub(crate) async fn hash_blob(&self, blob: &BlobRef) -> Result<ContentHashes, Error> {
        let mut reader = self.open_blob(blob, None, None).await?;
        let mut hashing = Hashing::default();
        while let Some(piece) = reader.next().await.transpose()? {
            hashing = hashing.update(piece).await?;
        }
        Ok(hashing.end())
    }

    async fn open_blob(
        &self,
        blob: &BlobRef,
        part: Option<(UploadId, u16)>,
        reading: Option<Reading>,
    ) -> Result<Reader, Error> {
        let source = Source::blob(self, blob, 0, &(0..blob.content_bytes()), part)?;
        Reader::open(self.clone(), reading, vec![source]).await
    }
}
