//! The pieces of a multipart object. They lie in the part rows of the upload that made it,
//! under the numbers of their upload; offsets are sums of the sizes before.

use consensus::{KvError, KvRead};
use types::{BucketId, UploadId, VersionId};

use super::{uploads::made_by, versions};
use crate::{
    api::{
        IndexView,
        index::{ListedPart, Segment},
    },
    keys::{self, index},
    rows::{PartRow, RowValue},
};

/// A version that was made of the parts of an upload.
#[derive(Clone, Copy)]
pub(super) struct Assembled<'a> {
    pub(super) bucket: BucketId,
    pub(super) key: &'a str,
    pub(super) version: VersionId,
    pub(super) upload: UploadId,
}

impl Assembled<'_> {
    fn is_there(&self, rows: &dyn KvRead) -> Result<bool, KvError> {
        let object = versions::object_with_id(rows, self.bucket, self.key, self.version)?;
        Ok(object.is_some_and(|object| made_by(&object.head, self.upload)))
    }

    /// Offset, number and row of each part, in order.
    fn parts<'a>(
        &self,
        rows: &'a dyn KvRead,
    ) -> impl Iterator<Item = Result<(u64, u16, PartRow), KvError>> + use<'a> {
        let from = index::parts_of(self.bucket, self.key, self.upload);
        let to = keys::successor(&from);
        let mut next = 0u64;
        rows.scan(&from, to.as_deref()).map(move |row| {
            let (row_key, value) = row?;
            let part = PartRow::decode(&value)?;
            let offset = next;
            next = offset.saturating_add(part.size);
            Ok((offset, index::number_of_part(&row_key)?, part))
        })
    }
}

/// The pieces that the range `start..end` touches; ends with the last of them.
pub(super) fn segments(
    rows: &dyn KvRead,
    object: Assembled<'_>,
    start: u64,
    end: u64,
) -> Result<IndexView, KvError> {
    if !object.is_there(rows)? {
        return Ok(IndexView::NoSuchUpload);
    }
    let mut segments = Vec::new();
    for part in object.parts(rows) {
        let (offset, number, part) = part?;
        if offset >= end {
            break;
        }
        if offset.saturating_add(part.size) > start {
            let (size, data) = (part.size, part.data.into());
            segments.push(Segment { number, offset, size, data });
        }
    }
    Ok(IndexView::Segments(segments))
}

/// A page of the parts by their place in the object. Walks from the first part to the end of
/// the page: without the rows before a part nobody knows where it begins.
pub(super) fn page(
    rows: &dyn KvRead,
    object: Assembled<'_>,
    after: u16,
    limit: usize,
) -> Result<IndexView, KvError> {
    if !object.is_there(rows)? {
        return Ok(IndexView::NoSuchUpload);
    }
    let mut parts = Vec::new();
    let mut truncated = false;
    for (part, number) in object.parts(rows).zip(1..=u16::MAX) {
        let (offset, _, PartRow { size, checksum, .. }) = part?;
        if number <= after {
            continue;
        }
        if parts.len() == limit {
            truncated = true;
            break;
        }
        parts.push(ListedPart { number, offset, size, checksum });
    }
    Ok(IndexView::ObjectParts { parts, truncated })
}
