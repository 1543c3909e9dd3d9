//! Answers to index queries from rows; pure functions.

use consensus::{KvError, KvRead};
use types::{BlobId, BucketId, BucketSettings, UnixMillis, UploadId, Version};

use super::{
    events, list, list_versions, parts, referenced, restores, settled,
    versions::{self, Found, Place},
};
use crate::{
    api::{
        IndexQuery, IndexView,
        index::{Garbage, GarbageId, RepairRow, Upload},
    },
    keys::{self, index},
    rows::{self, Gate, PartRow, RowValue, UploadRow, VersionRow},
};

/// Lines of a page at most.
pub const PAGE_MAX: u32 = 1000;

/// Parts of a page at most.
pub const PARTS_PAGE_MAX: u32 = 10_000;

/// The answer to a query. Limits outside their bounds are moved to the nearest bound.
pub fn evaluate(rows: &dyn KvRead, query: &IndexQuery) -> Result<IndexView, KvError> {
    use IndexQuery as Q;
    // Queries without a guarded bucket do not look at the settings.
    let settings = match guarded_bucket(query) {
        None => BucketSettings::default(),
        Some(bucket) => match rows::get::<Gate>(rows, &index::gate(bucket))? {
            Some(Gate::Open(settings)) => settings,
            Some(Gate::Sealed) => return Ok(IndexView::BucketSealed),
            None => return Ok(IndexView::BucketNotOpen),
        },
    };
    match query {
        Q::Settings { .. } => Ok(IndexView::Settings(settings)),
        Q::Head { bucket, key, version } => {
            head(rows, Place { bucket: *bucket, key, settings }, *version)
        }
        Q::Segments { bucket, key, version, upload, start, end } => {
            let object =
                parts::Assembled { bucket: *bucket, key, version: *version, upload: *upload };
            parts::segments(rows, object, *start, *end)
        }
        Q::ObjectParts { bucket, key, version, upload, after, limit } => {
            let object =
                parts::Assembled { bucket: *bucket, key, version: *version, upload: *upload };
            parts::page(rows, object, *after, parts_page(*limit))
        }
        Q::List { bucket, prefix, delimiter, after, limit } => {
            list::objects(rows, *bucket, prefix, delimiter.as_deref(), after.as_ref(), page(*limit))
        }
        Q::Versions { bucket, prefix, delimiter, after, limit } => list_versions::versions(
            rows,
            *bucket,
            prefix,
            delimiter.as_deref(),
            after.as_ref(),
            page(*limit),
        ),
        Q::Upload { bucket, key, upload } => {
            Ok(IndexView::Upload(header(rows, *bucket, key, *upload)?.map(Box::new)))
        }
        Q::Uploads { bucket, prefix, delimiter, after, limit } => {
            list::uploads(rows, *bucket, prefix, delimiter.as_deref(), after.as_ref(), page(*limit))
        }
        Q::Parts { bucket, key, upload, after, limit } => {
            upload_parts(rows, *bucket, key, *upload, *after, parts_page(*limit))
        }
        Q::Settled { blob, intent } => {
            Ok(IndexView::Settled(settled::settled(rows, *blob, intent)?))
        }
        Q::Blobs { asked } => settled::blobs(rows, asked),
        Q::Referenced { after, limit } => referenced::page(rows, after.as_deref(), page(*limit)),
        Q::Garbage { before, after, limit } => garbage(rows, *before, *after, page(*limit)),
        Q::Repairs { after, limit } => repairs(rows, *after, page(*limit)),
        Q::Events { after, limit } => events::events(rows, *after, page(*limit)),
        Q::Due { now } => restores::due(rows, *now),
    }
}

fn page(limit: u32) -> usize {
    limit.clamp(1, PAGE_MAX) as usize
}

fn parts_page(limit: u32) -> usize {
    limit.clamp(1, PARTS_PAGE_MAX) as usize
}

/// The bucket whose gate must be open for the query. The questions of the background
/// workers go on after a bucket is sealed: its garbage outlives it.
fn guarded_bucket(query: &IndexQuery) -> Option<BucketId> {
    use IndexQuery as Q;
    match query {
        Q::Settings { bucket }
        | Q::Head { bucket, .. }
        | Q::Segments { bucket, .. }
        | Q::List { bucket, .. }
        | Q::ObjectParts { bucket, .. }
        | Q::Versions { bucket, .. }
        | Q::Upload { bucket, .. }
        | Q::Uploads { bucket, .. }
        | Q::Parts { bucket, .. } => Some(*bucket),
        Q::Settled { .. }
        | Q::Blobs { .. }
        | Q::Referenced { .. }
        | Q::Garbage { .. }
        | Q::Repairs { .. }
        | Q::Events { .. }
        | Q::Due { .. } => None,
    }
}

fn head(rows: &dyn KvRead, at: Place<'_>, version: Option<Version>) -> Result<IndexView, KvError> {
    Ok(match versions::find(rows, at, version)? {
        None => IndexView::Object(None),
        Some(Found::Current(head)) => IndexView::Object(Some(head)),
        Some(Found::Version(id, row)) => {
            let version = row.name(id);
            match row {
                VersionRow::Object(head) => IndexView::Object(Some(head)),
                VersionRow::Marker { modified, .. } => IndexView::Marker { version, modified },
            }
        }
    })
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

/// The parts of an upload in progress.
fn upload_parts(
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

fn garbage(
    rows: &dyn KvRead,
    before: UnixMillis,
    after: Option<GarbageId>,
    limit: usize,
) -> Result<IndexView, KvError> {
    let from = match after {
        None => index::garbage_since(UnixMillis(0)),
        Some(row) => {
            let mut key = index::garbage(row);
            key.push(0);
            key
        }
    };
    let to = index::garbage_since(before);
    if from >= to {
        return Ok(IndexView::Garbage(Vec::new()));
    }
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
