//! Listing a bucket and its versions, and the head of a single object.

use metastore::api::{
    IndexQuery, IndexView,
    index::{ListAfter, VersionsAfter},
};
use types::{ObjectHead, Version};

use crate::{
    Error, Objects,
    gate::unexpected,
    request::{Page, VersionsPage},
};

impl Objects {
    /// The head of the current object, or of a version. `NoSuchKey` or `NoSuchVersion` if
    /// there is none, `DeleteMarker` if it is one, also the current one.
    pub async fn head(
        &self,
        bucket: &str,
        key: &str,
        version: Option<Version>,
    ) -> Result<ObjectHead, Error> {
        let query = |bucket| IndexQuery::Head { bucket, key: key.to_owned(), version };
        match self.query(bucket, key, query).await? {
            IndexView::Object(Some(head)) => Ok(*head),
            IndexView::Object(None) if version.is_some() => Err(Error::NoSuchVersion),
            IndexView::Object(None) => Err(Error::NoSuchKey),
            IndexView::Marker { version, modified } => {
                Err(Error::DeleteMarker { version, modified })
            }
            other => Err(unexpected("looking up an object", &other)),
        }
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
        let query = |bucket| IndexQuery::List {
            bucket,
            prefix: prefix.to_owned(),
            delimiter: delimiter.map(str::to_owned),
            after: after.clone(),
            limit,
        };
        match self.query(bucket, prefix, query).await? {
            IndexView::Page { entries, next } => Ok(Page { entries, next }),
            other => Err(unexpected("listing a bucket", &other)),
        }
    }

    /// A page of a bucket's versions.
    pub async fn list_versions(
        &self,
        bucket: &str,
        prefix: &str,
        delimiter: Option<&str>,
        after: Option<VersionsAfter>,
        limit: u32,
    ) -> Result<VersionsPage, Error> {
        let query = |bucket| IndexQuery::Versions {
            bucket,
            prefix: prefix.to_owned(),
            delimiter: delimiter.map(str::to_owned),
            after: after.clone(),
            limit,
        };
        match self.query(bucket, prefix, query).await? {
            IndexView::Versions { entries, next } => Ok(VersionsPage { entries, next }),
            other => Err(unexpected("listing versions", &other)),
        }
    }
}
