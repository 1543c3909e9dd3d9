//! Whether a pending blob is referenced, for good: the sweepers of data nodes ask before they
//! confirm or remove its shards.

use consensus::{KvError, KvRead};
use types::{BlobId, BlobRef, BucketId, ObjectHead, UnixMillis, UploadId, VersionId, WriteIntent};

use super::{
    uploads::made_by,
    versions::{self, blob_of},
};
use crate::{
    api::{IndexView, index::Reference},
    keys::{self, index},
    rows::{self, PartRow, RowValue, UploadRow, VersionRow},
};

/// A reference is final as soon as it is there: the shards may be confirmed. Its absence is
/// final only once the clock is past the deadline, because the machine refuses the write
/// from then on.
pub(super) fn settled(
    rows: &dyn KvRead,
    blob: BlobId,
    intent: &WriteIntent,
) -> Result<Option<bool>, KvError> {
    Ok(match reference(rows, blob, intent)? {
        Reference::Referenced(_) => Some(true),
        Reference::Unreferenced => Some(false),
        Reference::Undecided => None,
    })
}

/// The same for many blobs, with what is known of them.
pub(super) fn blobs(
    rows: &dyn KvRead,
    asked: &[(BlobId, WriteIntent)],
) -> Result<IndexView, KvError> {
    let references = asked.iter().map(|(blob, intent)| reference(rows, *blob, intent));
    Ok(IndexView::Blobs(references.collect::<Result<_, _>>()?))
}

/// What the index says about one blob.
pub(super) fn reference(
    rows: &dyn KvRead,
    blob: BlobId,
    intent: &WriteIntent,
) -> Result<Reference, KvError> {
    let WriteIntent { bucket, key, part, deadline } = intent;
    let referenced = match part {
        None => by_an_object(rows, *bucket, key, blob, *deadline)?,
        Some((upload, number)) => by_a_part(rows, *bucket, key, blob, (*upload, *number))?,
    };
    let clock: UnixMillis = rows::get(rows, index::CLOCK)?.unwrap_or_default();
    Ok(match referenced {
        Some(blob) => Reference::Referenced(blob),
        None if clock > *deadline => Reference::Unreferenced,
        None => Reference::Undecided,
    })
}

/// The version that the write made is not later than its deadline, so the walk over the
/// others begins there.
fn by_an_object(
    rows: &dyn KvRead,
    bucket: BucketId,
    key: &str,
    blob: BlobId,
    deadline: UnixMillis,
) -> Result<Option<BlobRef>, KvError> {
    let it = |head: &ObjectHead| blob_of(head).filter(|found| found.id == blob).cloned();
    if let Some(found) = versions::current(rows, bucket, key)?.and_then(|head| it(&head)) {
        return Ok(Some(found));
    }
    let from = index::version(bucket, key, VersionId { at: deadline, number: u64::MAX });
    let to = keys::successor(&index::versions_of(bucket, key));
    for row in rows.scan(&from, to.as_deref()) {
        if let Some(found) = VersionRow::decode(&row?.1)?.object().and_then(it) {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// A part is referenced while its upload or a version made from it is there. That version
/// is not earlier than the part, so the walk over the others ends there.
fn by_a_part(
    rows: &dyn KvRead,
    bucket: BucketId,
    key: &str,
    blob: BlobId,
    (upload, number): (UploadId, u16),
) -> Result<Option<BlobRef>, KvError> {
    let row: Option<PartRow> = rows::get(rows, &index::part(bucket, key, upload, number))?;
    let Some(part) = row else { return Ok(None) };
    let Some(found) = part.blob().filter(|found| found.id == blob).cloned() else {
        return Ok(None);
    };
    let header: Option<UploadRow> = rows::get(rows, &index::upload(bucket, key, upload))?;
    let current = versions::current(rows, bucket, key)?;
    if header.is_some() || current.is_some_and(|head| made_by(&head, upload)) {
        return Ok(Some(found));
    }
    let from = index::versions_of(bucket, key);
    let earliest = VersionId { at: part.modified, number: 0 };
    let mut to = index::version(bucket, key, earliest);
    to.push(0);
    for row in rows.scan(&from, Some(&to)) {
        let row = VersionRow::decode(&row?.1)?;
        if row.object().is_some_and(|head| made_by(head, upload)) {
            return Ok(Some(found));
        }
    }
    Ok(None)
}
