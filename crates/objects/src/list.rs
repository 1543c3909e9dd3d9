//! Listing a bucket, and the head of a single object.

use metastore::api::{IndexQuery, IndexView, index::ListAfter};
use types::ObjectHead;

use crate::{Error, Objects, gate::unexpected, request::Page};

impl Objects {
    /// The object's head.
    pub async fn head(&self, bucket: &str, key: &str) -> Result<ObjectHead, Error> {
        let query = |bucket| IndexQuery::Head { bucket, key: key.to_owned() };
        match self.query(bucket, key, query).await? {
            IndexView::Object(Some(head)) => Ok(*head),
            IndexView::Object(None) => Err(Error::NoSuchKey),
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
}
