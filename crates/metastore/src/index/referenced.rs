//! All blobs that a partition references, for those who compare them with what the disks have.
//! Three kinds of rows hold them: heads (C), parts (P) and other versions (V).

use bytes::Bytes;
use consensus::{KvError, KvRead};
use types::{BlobRef, ObjectHead, UnixMillis, UploadId, WriteIntent};

use super::{settled, versions::blob_of};
use crate::{
    api::{
        IndexView,
        index::{Reference, ReferencedBlob},
    },
    keys::index,
    rows::{PartRow, RowValue, VersionRow},
};

/// Rows that one page looks at: most heads of small objects have their bytes in the row.
const ROWS_MAX: usize = 10_000;

/// A page: at most `limit` blobs, and fewer where few rows have one.
pub(super) fn page(
    rows: &dyn KvRead,
    after: Option<&[u8]>,
    limit: usize,
) -> Result<IndexView, KvError> {
    let mut blobs = Vec::new();
    let mut looked_at = 0;
    let mut last = after.map(<[u8]>::to_vec);
    for kind in [b'C', b'P', b'V'] {
        if last.as_ref().and_then(|last| last.first()).is_some_and(|at| *at > kind) {
            continue;
        }
        let mut from = vec![kind];
        if let Some(last) = last.as_ref().filter(|last| last.first() == Some(&kind)) {
            from.clone_from(last);
            from.push(0);
        }
        for row in rows.scan(&from, Some(&[kind + 1])) {
            let (key, value) = row?;
            blobs.extend(blob(rows, kind, &key, &value)?);
            looked_at += 1;
            last = Some(key.to_vec());
            if blobs.len() >= limit || looked_at >= ROWS_MAX {
                return Ok(IndexView::Referenced { blobs, next: last.map(Bytes::from) });
            }
        }
    }
    Ok(IndexView::Referenced { blobs, next: None })
}

fn blob(
    rows: &dyn KvRead,
    kind: u8,
    key: &[u8],
    value: &[u8],
) -> Result<Option<ReferencedBlob>, KvError> {
    let bucket = index::bucket_of(key)?;
    let found = |blob: &BlobRef, key: String, part: Option<(UploadId, u16)>, made: UnixMillis| {
        let intent = WriteIntent { bucket, key, part, deadline: made };
        ReferencedBlob { blob: blob.clone(), intent }
    };
    Ok(match kind {
        b'C' => {
            let head = ObjectHead::decode(value)?;
            let name = index::key_of_head(key)?.to_owned();
            blob_of(&head).map(|blob| found(blob, name, None, head.version.at))
        }
        b'P' => {
            let (name, upload, number) = index::of_part(key)?;
            let part = PartRow::decode(value)?;
            let Some(blob) = part.blob() else { return Ok(None) };
            let one = found(blob, name, Some((upload, number)), part.modified);
            // The parts of an upload that was given up stay until the collector comes.
            let reference = settled::reference(rows, one.blob.id, &one.intent)?;
            matches!(reference, Reference::Referenced(_)).then_some(one)
        }
        _ => {
            let (name, id) = index::of_version(key)?;
            let row = VersionRow::decode(value)?;
            row.object().and_then(blob_of).map(|blob| found(blob, name, None, id.at))
        }
    })
}
