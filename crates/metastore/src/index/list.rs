//! Listings that cost one page, not one bucket: a line is one row read, and a common
//! prefix is left by a seek to the first key after it, however many keys it hides.

use consensus::{KvError, KvRead};
use types::{BucketId, ObjectHead, UploadId};

use crate::{
    api::{
        IndexView,
        index::{ListAfter, ListEntry, ListedObject},
    },
    keys::{self, index},
    rows::{RowValue, UploadRow},
};

/// The common prefix that `key` is folded into: everything up to and including the first
/// delimiter after the listing's prefix.
pub fn common_prefix<'a>(key: &'a str, prefix: &str, delimiter: Option<&str>) -> Option<&'a str> {
    let delimiter = delimiter.filter(|delimiter| !delimiter.is_empty())?;
    let rest = key.strip_prefix(prefix)?;
    let at = rest.find(delimiter)?;
    Some(&key[..prefix.len() + at + delimiter.len()])
}

/// The later of two lower bounds; `None` is past everything.
pub(super) fn later(from: Vec<u8>, bound: Option<Vec<u8>>) -> Option<Vec<u8>> {
    bound.map(|bound| from.max(bound))
}

/// An object as listings show it.
pub(super) fn listed(key: String, head: &ObjectHead) -> ListedObject {
    ListedObject {
        key,
        size: head.size,
        etag: head.etag,
        modified: head.modified,
        checksum: head.checksum.as_ref().map(|checksum| (checksum.algorithm, checksum.kind)),
        tags: head.attributes.tags.clone(),
        class: head.attributes.class,
        restore: head.restore,
        lock: head.attributes.lock,
    }
}

/// A page of objects and common prefixes. Versions and delete markers are no part of the walk.
pub(super) fn objects(
    rows: &dyn KvRead,
    bucket: BucketId,
    prefix: &str,
    delimiter: Option<&str>,
    after: Option<&ListAfter>,
    limit: usize,
) -> Result<IndexView, KvError> {
    let begin = index::head(bucket, prefix);
    let end = keys::successor(&begin);
    let mut from = match after {
        None => Some(begin),
        Some(ListAfter::Key(key)) => {
            let mut next = index::head(bucket, key);
            next.push(0);
            later(begin, Some(next))
        }
        Some(ListAfter::Prefix(folded)) => {
            later(begin, keys::successor(&index::head(bucket, folded)))
        }
    };
    let mut entries: Vec<ListEntry> = Vec::new();
    let mut next = None;
    // Each turn is one seek: it ends at the end, at a full page, or at a common prefix.
    'seek: while let Some(start) = from.take() {
        for row in rows.scan(&start, end.as_deref()) {
            let (row_key, value) = row?;
            if entries.len() == limit {
                next = entries.last().map(|line| match line {
                    ListEntry::Object(object) => ListAfter::Key(object.key.clone()),
                    ListEntry::CommonPrefix(folded) => ListAfter::Prefix(folded.clone()),
                });
                break 'seek;
            }
            let key = index::key_of_head(&row_key)?;
            if let Some(folded) = common_prefix(key, prefix, delimiter) {
                from = keys::successor(&index::head(bucket, folded));
                entries.push(ListEntry::CommonPrefix(folded.to_owned()));
                continue 'seek;
            }
            let head = ObjectHead::decode(&value)?;
            entries.push(ListEntry::Object(listed(key.to_owned(), &head)));
        }
    }
    Ok(IndexView::Page { entries, next })
}

/// A page of uploads in progress. Where it goes on is a (key, upload) pair; after a common
/// prefix it is (prefix, `None`), which means after everything under it: an upload whose key
/// is exactly the prefix was folded into it too.
pub(super) fn uploads(
    rows: &dyn KvRead,
    bucket: BucketId,
    prefix: &str,
    delimiter: Option<&str>,
    after: Option<&(String, Option<UploadId>)>,
    limit: usize,
) -> Result<IndexView, KvError> {
    let begin = index::uploads_under(bucket, prefix);
    let end = keys::successor(&begin);
    let mut from = match after {
        None => Some(begin),
        Some((key, Some(upload))) => {
            let mut next = index::upload(bucket, key, *upload);
            next.push(0);
            later(begin, Some(next))
        }
        Some((key, None)) if common_prefix(key, prefix, delimiter) == Some(key) => {
            later(begin, keys::successor(&index::uploads_under(bucket, key)))
        }
        Some((key, None)) => later(begin, keys::successor(&index::uploads_of(bucket, key))),
    };
    let mut uploads = Vec::new();
    let mut prefixes: Vec<String> = Vec::new();
    let mut last = None;
    let mut next = None;
    'seek: while let Some(start) = from.take() {
        for row in rows.scan(&start, end.as_deref()) {
            let (row_key, value) = row?;
            if uploads.len() + prefixes.len() == limit {
                next = last;
                break 'seek;
            }
            let (key, id) = index::of_upload(&row_key)?;
            if let Some(folded) = common_prefix(&key, prefix, delimiter) {
                from = keys::successor(&index::uploads_under(bucket, folded));
                last = Some((folded.to_owned(), None));
                prefixes.push(folded.to_owned());
                continue 'seek;
            }
            last = Some((key.clone(), Some(id)));
            uploads.push(UploadRow::decode(&value)?.with(id, key));
        }
    }
    Ok(IndexView::Uploads { uploads, prefixes, next })
}
