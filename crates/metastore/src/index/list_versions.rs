//! Listings of versions. `C` and `V` rows lie in the same order of keys, so that two walks
//! side by side give one order; a page costs a page, and a common prefix is left by one seek
//! of each walk, however many versions it hides.

use consensus::{KvError, KvRead};
use types::{BucketId, ObjectHead, VersionId};

use super::{
    list::{common_prefix, later, listed},
    versions,
};
use crate::{
    api::{
        IndexView,
        index::{ListedVersion, VersionEntry, VersionsAfter},
    },
    keys::{self, index},
    rows::{RowValue, VersionRow},
};

/// A version and where it stands.
struct Line {
    key: String,
    id: VersionId,
    row: VersionRow,
}

impl Line {
    fn of_head(row_key: &[u8], value: &[u8]) -> Result<Self, KvError> {
        let head = ObjectHead::decode(value)?;
        let key = index::key_of_head(row_key)?.to_owned();
        Ok(Self { key, id: head.version, row: VersionRow::Object(Box::new(head)) })
    }

    fn of_version(row_key: &[u8], value: &[u8]) -> Result<Self, KvError> {
        let (key, id) = index::of_version(row_key)?;
        Ok(Self { key, id, row: VersionRow::decode(value)? })
    }

    fn entry(self, latest: bool) -> VersionEntry {
        let Self { key, id, row } = self;
        let null = row.is_null();
        let what = match row {
            VersionRow::Object(head) => ListedVersion::Object(listed(key, &head)),
            VersionRow::Marker { modified, .. } => ListedVersion::Marker { key, modified },
        };
        VersionEntry::Version { id, null, latest, what }
    }
}

/// Lower bounds of the `C` rows and of the `V` rows; `None` is past everything.
type Bounds = (Option<Vec<u8>>, Option<Vec<u8>>);

/// Where a page begins.
struct Start {
    from: Bounds,
    /// The version that the page comes after, if it begins inside a key.
    inside: Option<(String, VersionId)>,
}

/// A page of versions and common prefixes.
pub(super) fn versions(
    rows: &dyn KvRead,
    bucket: BucketId,
    prefix: &str,
    delimiter: Option<&str>,
    after: Option<&VersionsAfter>,
    limit: usize,
) -> Result<IndexView, KvError> {
    let heads_end = keys::successor(&index::head(bucket, prefix));
    let others_end = keys::successor(&index::versions_under(bucket, prefix));
    let Start { from, inside } = start(rows, bucket, prefix, after)?;
    // The key that the walk is in, and its current version.
    let mut within = match &inside {
        Some((key, _)) => current_id(rows, bucket, key)?.map(|id| (key.clone(), id)),
        None => None,
    };
    let mut from = Some(from);
    let mut entries: Vec<VersionEntry> = Vec::new();
    let mut last: Option<VersionsAfter> = None;
    let mut next = None;
    // Each turn is one seek of both walks: it ends at the end, at a full page, or at a
    // common prefix.
    'seek: while let Some((heads, others)) = from.take() {
        let walk = |from: Option<Vec<u8>>, end: &Option<Vec<u8>>| {
            from.into_iter().flat_map({
                let end = end.clone();
                move |from| rows.scan(&from, end.as_deref())
            })
        };
        let mut heads = walk(heads, &heads_end)
            .map(|row| row.and_then(|(key, value)| Line::of_head(&key, &value)))
            .peekable();
        let mut others = walk(others, &others_end)
            .map(|row| row.and_then(|(key, value)| Line::of_version(&key, &value)))
            .peekable();
        loop {
            // The current object comes first among the versions of its key.
            let line = match (heads.peek(), others.peek()) {
                (Some(Ok(head)), Some(Ok(other))) if other.key < head.key => others.next(),
                (Some(_), _) => heads.next(),
                (None, _) => others.next(),
            };
            let Some(line) = line.transpose()? else { break 'seek };
            if inside.as_ref().is_some_and(|(key, id)| line.key == *key && line.id >= *id) {
                continue;
            }
            if entries.len() == limit {
                next = last;
                break 'seek;
            }
            if let Some(folded) = common_prefix(&line.key, prefix, delimiter) {
                from = Some((
                    keys::successor(&index::head(bucket, folded)),
                    keys::successor(&index::versions_under(bucket, folded)),
                ));
                last = Some(VersionsAfter::Prefix(folded.to_owned()));
                entries.push(VersionEntry::CommonPrefix(folded.to_owned()));
                continue 'seek;
            }
            let current = match within.take() {
                Some((key, id)) if key == line.key => id,
                _ => line.id,
            };
            within = Some((line.key.clone(), current));
            last = Some(VersionsAfter::Version(line.key.clone(), line.id));
            let latest = line.id == current;
            entries.push(line.entry(latest));
        }
    }
    Ok(IndexView::Versions { entries, next })
}

fn current_id(
    rows: &dyn KvRead,
    bucket: BucketId,
    key: &str,
) -> Result<Option<VersionId>, KvError> {
    if let Some(head) = versions::current(rows, bucket, key)? {
        return Ok(Some(head.version));
    }
    Ok(versions::latest_other(rows, bucket, key)?.map(|(id, _)| id))
}

fn start(
    rows: &dyn KvRead,
    bucket: BucketId,
    prefix: &str,
    after: Option<&VersionsAfter>,
) -> Result<Start, KvError> {
    let heads = index::head(bucket, prefix);
    let others = index::versions_under(bucket, prefix);
    let mut inside = None;
    let from = match after {
        None => (Some(heads), Some(others)),
        Some(VersionsAfter::Key(key)) => after_key(bucket, key, heads, others),
        Some(VersionsAfter::Version(key, id)) => {
            inside = Some((key.clone(), *id));
            after_version(bucket, key, *id, heads, others)
        }
        Some(VersionsAfter::Null(key)) => {
            let current = versions::current(rows, bucket, key)?.filter(|head| head.null);
            let id = match current {
                Some(head) => Some(head.version),
                None => versions::null_id(rows, bucket, key)?,
            };
            inside = id.map(|id| (key.clone(), id));
            match id {
                Some(id) => after_version(bucket, key, id, heads, others),
                None => after_key(bucket, key, heads, others),
            }
        }
        Some(VersionsAfter::Prefix(folded)) => (
            later(heads, keys::successor(&index::head(bucket, folded))),
            later(others, keys::successor(&index::versions_under(bucket, folded))),
        ),
    };
    Ok(Start { from, inside })
}

fn after_key(bucket: BucketId, key: &str, heads: Vec<u8>, others: Vec<u8>) -> Bounds {
    let mut next = index::head(bucket, key);
    next.push(0);
    let after = keys::successor(&index::versions_of(bucket, key));
    (later(heads, Some(next)), later(others, after))
}

/// The head of the key may be an older version than `id`, if that was removed meanwhile; the
/// walk drops it if it is not.
fn after_version(
    bucket: BucketId,
    key: &str,
    id: VersionId,
    heads: Vec<u8>,
    others: Vec<u8>,
) -> Bounds {
    let mut next = index::version(bucket, key, id);
    next.push(0);
    (later(heads, Some(index::head(bucket, key))), later(others, Some(next)))
}
