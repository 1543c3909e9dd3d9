//! The operations.

use std::sync::Arc;

use cluster::{Metadata, Shards};
use metastore::api::{index::ListAfter, root::Bucket};
use platform::Clock;
use types::{Condition, ObjectHead, UploadId};

use crate::{
    Error,
    request::{
        CompleteUpload, CreateUpload, ObjectReader, Page, PartDone, PartsPage, Put, PutPart,
        RangeRequest, UploadsPage,
    },
};

/// Bounds of the object layer.
#[derive(Clone, Debug)]
pub struct Settings {
    /// A write must commit within this time of its beginning, in milliseconds.
    pub write_deadline_ms: u64,
    /// Bytes of stripe buffers that all requests together may hold.
    pub buffer_bytes_max: u64,
    /// The longest object or part of one PUT: 5 GiB as on AWS.
    pub put_bytes_max: u64,
    /// How long a gateway may trust its cached answer to "which id has this bucket name".
    pub bucket_cache_ms: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            write_deadline_ms: 6 * 3600 * 1000,
            buffer_bytes_max: 512 << 20,
            put_bytes_max: 5 << 30,
            bucket_cache_ms: 5000,
        }
    }
}

/// The object layer. Cheap to clone; all clones share caches and buffers.
#[derive(Clone)]
pub struct Objects {
    #[allow(dead_code)]
    metadata: Arc<dyn Metadata>,
    #[allow(dead_code)]
    shards: Arc<dyn Shards>,
    #[allow(dead_code)]
    clock: Arc<dyn Clock>,
    #[allow(dead_code)]
    settings: Settings,
}

#[allow(unused_variables, clippy::todo)]
impl Objects {
    /// The object layer over these.
    pub fn new(
        metadata: Arc<dyn Metadata>,
        shards: Arc<dyn Shards>,
        clock: Arc<dyn Clock>,
        settings: Settings,
    ) -> Self {
        Self { metadata, shards, clock, settings }
    }

    /// Creates a bucket. `BucketExists` if the name is taken.
    pub async fn create_bucket(&self, name: &str) -> Result<Bucket, Error> {
        todo!()
    }

    /// Deletes an empty bucket.
    pub async fn delete_bucket(&self, name: &str) -> Result<(), Error> {
        todo!()
    }

    /// The bucket of this name.
    pub async fn bucket(&self, name: &str) -> Result<Bucket, Error> {
        todo!()
    }

    /// Buckets in name order, at most `limit`, and whether more follow.
    pub async fn buckets(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: u32,
    ) -> Result<(Vec<Bucket>, bool), Error> {
        todo!()
    }

    /// Stores an object. On OK it is durable: `write_quorum` shards and a Raft majority
    /// have fsynced.
    pub async fn put(&self, put: Put) -> Result<ObjectHead, Error> {
        todo!()
    }

    /// The object's head.
    pub async fn head(&self, bucket: &str, key: &str) -> Result<ObjectHead, Error> {
        todo!()
    }

    /// Opens an object that [`Objects::head`] returned, so that the protocol layer can
    /// evaluate conditions in between. If the object was replaced since, the bytes are
    /// still those of `head`, or `Replaced` for a multipart object: begin again.
    pub async fn read(
        &self,
        bucket: &str,
        key: &str,
        head: ObjectHead,
        range: Option<RangeRequest>,
    ) -> Result<ObjectReader, Error> {
        todo!()
    }

    /// Deletes an object; whether there was one.
    pub async fn delete(
        &self,
        bucket: &str,
        key: &str,
        condition: Condition,
    ) -> Result<bool, Error> {
        todo!()
    }

    /// A page of a bucket.
    pub async fn list(
        &self,
        bucket: &str,
        prefix: &str,
        delimiter: Option<&str>,
        after: Option<ListAfter>,
        limit: u32,
    ) -> Result<Page, Error> {
        todo!()
    }

    /// Begins a multipart upload.
    pub async fn create_upload(&self, create: CreateUpload) -> Result<UploadId, Error> {
        todo!()
    }

    /// Stores a part.
    pub async fn put_part(&self, put: PutPart) -> Result<PartDone, Error> {
        todo!()
    }

    /// Makes the listed parts the object.
    pub async fn complete_upload(&self, complete: CompleteUpload) -> Result<ObjectHead, Error> {
        todo!()
    }

    /// Gives an upload up.
    pub async fn abort_upload(
        &self,
        bucket: &str,
        key: &str,
        upload: UploadId,
    ) -> Result<(), Error> {
        todo!()
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
        todo!()
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
        todo!()
    }
}
