//! The notification configurations of the buckets that a page of events is about.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt, TryStreamExt, stream};
use metastore::api::{RootQuery, RootView, index::Event, root::ConfigKind};
use notification::Notification;
use objects::Objects;
use types::BucketId;

use crate::Error;

/// Questions to the root group under way at a time.
const QUESTIONS_MAX: usize = 8;

/// What a bucket's configuration says.
pub(super) enum Document {
    /// It has none, or the bucket is gone.
    Nobody,
    /// It can be obeyed.
    Known(Notification),
    /// A newer version wrote it: what it is about has to wait for that version.
    Unreadable,
}

/// The documents of these events' buckets, read now: after the events.
pub(super) async fn of(
    objects: &Objects,
    events: &[Event],
) -> Result<BTreeMap<BucketId, Document>, Error> {
    let buckets: BTreeSet<BucketId> = events.iter().map(|event| event.bucket).collect();
    let asked = buckets.into_iter().map(|id| async move { Ok((id, one(objects, id).await?)) });
    stream::iter(asked).buffer_unordered(QUESTIONS_MAX).try_collect().await
}

async fn one(objects: &Objects, id: BucketId) -> Result<Document, Error> {
    let query =
        RootQuery::BucketConfigs { id, kind: ConfigKind::Notification, after: None, limit: 1 };
    let configs = match objects.metadata().root_query(query).await? {
        RootView::BucketConfigs { configs, .. } => configs,
        other => return Err(Error::Unexpected(format!("{other:?}"))),
    };
    Ok(match configs.first().map(|(_, stored)| Notification::decode(stored)) {
        None => Document::Nobody,
        Some(Ok(notification)) => Document::Known(notification),
        Some(Err(error)) => {
            tracing::error!(bucket = %id, %error, "events of a bucket have to wait");
            Document::Unreadable
        }
    })
}
