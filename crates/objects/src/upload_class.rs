//! The storage class of a multipart upload's parts: that of the object to be. Whoever sends a
//! part does not say it again, so it is looked up once an upload and gateway.

use std::collections::HashMap;

use metastore::api::{IndexQuery, IndexView};
use parking_lot::Mutex;
use types::{StorageClass, UploadId};

use crate::{Error, Objects, gate::unexpected};

/// Uploads that the cache holds; at the bound it is dropped and filled anew.
const CACHED_MAX: usize = 10_000;

/// Classes of uploads met lately. They never change, so an entry is never stale; of an upload
/// that is over it says nothing, as the index refuses its parts.
#[derive(Default)]
pub(crate) struct UploadClasses(Mutex<HashMap<UploadId, StorageClass>>);

impl UploadClasses {
    fn get(&self, upload: UploadId) -> Option<StorageClass> {
        self.0.lock().get(&upload).copied()
    }

    pub(crate) fn set(&self, upload: UploadId, class: StorageClass) {
        let mut classes = self.0.lock();
        if classes.len() >= CACHED_MAX {
            classes.clear();
        }
        classes.insert(upload, class);
    }
}

impl Objects {
    /// The class that the upload's parts are stored in; `NoSuchUpload`.
    pub(crate) async fn class_of_upload(
        &self,
        bucket: &str,
        key: &str,
        upload: UploadId,
    ) -> Result<StorageClass, Error> {
        if let Some(class) = self.inner.upload_classes.get(upload) {
            return Ok(class);
        }
        let query = |bucket| IndexQuery::Upload { bucket, key: key.to_owned(), upload };
        let class = match self.query(bucket, key, query).await? {
            IndexView::Upload(Some(upload)) => upload.attributes.class,
            IndexView::Upload(None) => return Err(Error::NoSuchUpload),
            other => return Err(unexpected("looking up an upload", &other)),
        };
        self.inner.upload_classes.set(upload, class);
        Ok(class)
    }
}
