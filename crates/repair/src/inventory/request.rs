//! Reports on demand. Any process may ask; the worker may run on another node. A document of the
//! bucket says which report is wanted, and a cursor that changes with each request tells the
//! worker to look for such documents: it need not ask about every bucket every few seconds.

use bytes::Bytes;
use cluster::Metadata;
use metastore::api::{
    RootAnswer, RootCommand, RootQuery, RootView,
    root::{Bucket, ConfigKind},
};

use crate::{Error, saved};

/// The cursor that changes with each request.
const BELL: &str = "inventory-requests";

/// Asks for a report now. The answer comes once the request is durable; the report is made soon
/// after by the worker, whether or not the configuration is enabled. Asking again before that
/// asks for nothing more. `at` tells requests apart: the present time.
pub async fn request(
    metadata: &dyn Metadata,
    bucket: &str,
    id: &str,
    at: types::UnixMillis,
) -> Result<(), Error> {
    let refused = |reason: &str| Error::Inventory {
        bucket: bucket.to_owned(),
        id: id.to_owned(),
        reason: reason.to_owned(),
    };
    let found =
        resolve(metadata, bucket).await?.ok_or_else(|| refused("there is no such bucket"))?;
    if !::inventory::check::is_id(id) || !exists(metadata, &found, id).await? {
        return Err(refused("the bucket has no inventory configuration of this id"));
    }
    let command = RootCommand::SetBucketConfig {
        id: found.id,
        kind: ConfigKind::InventoryRun,
        name: id.to_owned(),
        value: Some(Bytes::from(at.0.to_be_bytes().to_vec())),
    };
    match metadata.root(command).await? {
        RootAnswer::Done => {}
        RootAnswer::NoSuchBucket => return Err(refused("there is no such bucket")),
        other => return Err(Error::Unexpected(format!("{other:?}"))),
    }
    // After the document: whoever sees the bell changed sees the document.
    let ring = [found.id.0.to_be_bytes(), at.0.to_be_bytes()].concat();
    saved::write(metadata, BELL, ring).await
}

/// What the last request left.
pub(super) async fn bell(metadata: &dyn Metadata) -> Result<Option<Bytes>, Error> {
    saved::read(metadata, BELL).await
}

async fn resolve(metadata: &dyn Metadata, name: &str) -> Result<Option<Bucket>, Error> {
    match metadata.root_query(RootQuery::Bucket { name: name.to_owned() }).await? {
        RootView::Bucket(bucket) => Ok(bucket.filter(|bucket| !bucket.deleting)),
        other => Err(Error::Unexpected(format!("{other:?}"))),
    }
}

async fn exists(metadata: &dyn Metadata, bucket: &Bucket, id: &str) -> Result<bool, Error> {
    let mut after: Option<String> = None;
    loop {
        let query = RootQuery::BucketConfigs {
            id: bucket.id,
            kind: ConfigKind::Inventory,
            after: after.clone(),
            limit: 100,
        };
        let (configs, truncated) = match metadata.root_query(query).await? {
            RootView::BucketConfigs { configs, truncated } => (configs, truncated),
            other => return Err(Error::Unexpected(format!("{other:?}"))),
        };
        if configs.iter().any(|(known, _)| known == id) {
            return Ok(true);
        }
        match configs.last() {
            Some((last, _)) if truncated => after = Some(last.clone()),
            _ => return Ok(false),
        }
    }
}
