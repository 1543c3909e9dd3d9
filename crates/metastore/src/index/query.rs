//! Answers to index queries from rows; pure functions.

use consensus::{KvError, KvRead};
use types::{BlobId, BlobRef, BucketId, Content, ObjectHead, UnixMillis, UploadId, WriteIntent};

use super::{list, uploads::made_by};
use crate::{
    api::{
        IndexQuery, IndexView,
        index::{Garbage, RepairRow, Segment, Upload},
    },
    keys::{self, index},
    rows::{self, Gate, PartRow, RowValue, UploadRow},
};

/// Lines of a page at most.
pub const PAGE_MAX: u32 = 1000;

/// Parts of a page at most.
pub const PARTS_PAGE_MAX: u32 = 10_000;

/// The answer to a query. Limits outside their bounds are moved to the nearest bound.
pub fn evaluate(rows: &dyn KvRead, query: &IndexQuery) -> Result<IndexView, KvError> {
    use IndexQuery as Q;
    if let Some(bucket) = guarded_bucket(query) {
        match rows::get::<Gate>(rows, &index::gate(bucket))? {
            Some(Gate::Open) => {}
            Some(Gate::Sealed) => return Ok(IndexView::BucketSealed),
            None => return Ok(IndexView::BucketNotOpen),
        }
    }
    match query {
        Q::Head { bucket, key } => Ok(IndexView::Object(head(rows, *bucket, key)?.map(Box::new))),
        Q::Segments { bucket, key, upload, start, end } => {
            segments(rows, *bucket, key, *upload, *start, *end)
        }
        Q::List { bucket, prefix, delimiter, after, limit } => {
            list::objects(rows, *bucket, prefix, delimiter.as_deref(), after.as_ref(), page(*limit))
        }
        Q::Upload { bucket, key, upload } => {
            Ok(IndexView::Upload(header(rows, *bucket, key, *upload)?.map(Box::new)))
        }
        Q::Uploads { bucket, prefix, delimiter, after, limit } => {
            list::uploads(rows, *bucket, prefix, delimiter.as_deref(), after.as_ref(), page(*limit))
        }
        Q::Parts { bucket, key, upload, after, limit } => {
            let limit = (*limit).clamp(1, PARTS_PAGE_MAX) as usize;
            parts(rows, *bucket, key, *upload, *after, limit)
        }
        Q::Settled { blob, intent } => settled(rows, *blob, intent),
        Q::Garbage { before, limit } => garbage(rows, *before, page(*limit)),
        Q::Repairs { after, limit } => repairs(rows, *after, page(*limit)),
    }
}

fn page(limit: u32) -> usize {
    limit.clamp(1, PAGE_MAX) as usize
}

/// The bucket whose gate must be open for the query. The questions of the background
/// workers go on after a bucket is sealed: its garbage outlives it.
fn guarded_bucket(query: &IndexQuery) -> Option<BucketId> {
    use IndexQuery as Q;
    match query {
        Q::Head { bucket, .. }
        | Q::Segments { bucket, .. }
        | Q::List { bucket, .. }
        | Q::Upload { bucket, .. }
        | Q::Uploads { bucket, .. }
        | Q::Parts { bucket, .. } => Some(*bucket),
        Q::Settled { .. } | Q::Garbage { .. } | Q::Repairs { .. } => None,
    }
}

fn head(rows: &dyn KvRead, bucket: BucketId, key: &str) -> Result<Option<ObjectHead>, KvError> {
    rows::get(rows, &index::head(bucket, key))
}

fn header(
    rows: &dyn KvRead,
    bucket: BucketId,
    key: &str,
    upload: UploadId,
) -> Result<Option<Upload>, KvError> {
    let row: Option<UploadRow> = rows::get(rows, &index::upload(bucket, key, upload))?;
    Ok(row.map(|row| row.with(upload, key.to_owned())))
}

/// Walks the part rows from the first: offsets are sums of the sizes before. Ends with the
/// last part that the range touches.
fn segments(
    rows: &dyn KvRead,
    bucket: BucketId,
    key: &str,
    upload: UploadId,
    start: u64,
    end: u64,
) -> Result<IndexView, KvError> {
    if !head(rows, bucket, key)?.is_some_and(|head| made_by(&head, upload)) {
        return Ok(IndexView::NoSuchUpload);
    }
    let from = index::parts_of(bucket, key, upload);
    let to = keys::successor(&from);
    let mut offset = 0u64;
    let mut segments = Vec::new();
    for row in rows.scan(&from, to.as_deref()) {
        if offset >= end {
            break;
        }
        let (row_key, value) = row?;
        let part = PartRow::decode(&value)?;
        let part_end = offset.saturating_add(part.size);
        if part_end > start {
            segments.push(Segment {
                number: index::number_of_part(&row_key)?,
                offset,
                size: part.size,
                data: part.data.into(),
            });
        }
        offset = part_end;
    }
    Ok(IndexView::Segments(segments))
}

fn parts(
    rows: &dyn KvRead,
    bucket: BucketId,
    key: &str,
    upload: UploadId,
    after: u16,
    limit: usize,
) -> Result<IndexView, KvError> {
    let Some(header) = header(rows, bucket, key, upload)? else {
        return Ok(IndexView::NoSuchUpload);
    };
    let mut parts = Vec::new();
    let mut truncated = false;
    if let Some(first) = after.checked_add(1) {
        let from = index::part(bucket, key, upload, first);
        let to = keys::successor(&index::parts_of(bucket, key, upload));
        for row in rows.scan(&from, to.as_deref()) {
            let (row_key, value) = row?;
            if parts.len() == limit {
                truncated = true;
                break;
            }
            parts.push(PartRow::decode(&value)?.with(index::number_of_part(&row_key)?));
        }
    }
    Ok(IndexView::Parts { upload: Box::new(header), parts, truncated })
}

/// A reference is final as soon as it is there: the shards may be confirmed. Its absence is
/// final only once the clock is past the deadline, because the machine refuses the write
/// from then on.
fn settled(rows: &dyn KvRead, blob: BlobId, intent: &WriteIntent) -> Result<IndexView, KvError> {
    let WriteIntent { bucket, key, part, deadline } = intent;
    let object = head(rows, *bucket, key)?;
    let referenced = match part {
        None => object.is_some_and(
            |head| matches!(&head.content, Content::Blob(BlobRef { id, .. }) if *id == blob),
        ),
        Some((upload, number)) => {
            let row: Option<PartRow> =
                rows::get(rows, &index::part(*bucket, key, *upload, *number))?;
            row.is_some_and(|row| row.blob().is_some_and(|found| found.id == blob))
                && (object.is_some_and(|head| made_by(&head, *upload))
                    || header(rows, *bucket, key, *upload)?.is_some())
        }
    };
    let clock: UnixMillis = rows::get(rows, index::CLOCK)?.unwrap_or_default();
    Ok(IndexView::Settled(match referenced {
        true => Some(true),
        false => (clock > *deadline).then_some(false),
    }))
}

fn garbage(rows: &dyn KvRead, before: UnixMillis, limit: usize) -> Result<IndexView, KvError> {
    let from = index::garbage_since(UnixMillis(0));
    let to = index::garbage_since(before);
    rows.scan(&from, Some(&to))
        .take(limit)
        .map(|row| {
            let (key, value) = row?;
            Ok((index::id_of_garbage(&key)?, Garbage::decode(&value)?))
        })
        .collect::<Result<_, KvError>>()
        .map(IndexView::Garbage)
}

fn repairs(rows: &dyn KvRead, after: Option<BlobId>, limit: usize) -> Result<IndexView, KvError> {
    let from = match after {
        None => b"R".to_vec(),
        Some(blob) => {
            let mut key = index::repair(blob);
            key.push(0);
            key
        }
    };
    rows.scan(&from, Some(b"S"))
        .take(limit)
        .map(|row| RepairRow::decode(&row?.1))
        .collect::<Result<_, KvError>>()
        .map(IndexView::Repairs)
}
