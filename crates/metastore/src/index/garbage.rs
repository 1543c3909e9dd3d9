//! Bytes without a reference, on their way out: bytes first, row last.

use consensus::KvError;
use types::{BlobRef, BucketId, UnixMillis, UploadId};

use super::{Apply, EXPAND_MAX, next_number};
use crate::{
    api::{
        IndexAnswer,
        index::{Garbage, GarbageId},
    },
    keys::{self, index},
    rows::{self, PartRow, RowValue},
};

impl Apply<'_> {
    /// Makes a blob garbage; nobody needs to repair it any more.
    pub(super) fn bury_blob(&mut self, blob: &BlobRef, since: UnixMillis) -> Result<(), KvError> {
        let repair = index::repair(blob.id);
        if self.rows.get(&repair)?.is_some() {
            self.rows.delete(&repair);
        }
        self.add_garbage(since, &Garbage::Blob(blob.clone()))
    }

    /// Makes all part rows of an upload garbage with a single row, however many there are.
    pub(super) fn bury_upload(
        &mut self,
        bucket: BucketId,
        key: &str,
        upload: UploadId,
    ) -> Result<(), KvError> {
        self.add_garbage(self.now, &Garbage::Upload { bucket, key: key.to_owned(), upload })
    }

    fn add_garbage(&mut self, since: UnixMillis, garbage: &Garbage) -> Result<(), KvError> {
        let number = next_number(self.rows, index::NEXT_GARBAGE, &mut self.next_garbage)?;
        if platform::planted("lost-garbage") {
            return Ok(());
        }
        rows::put(self.rows, &index::garbage(GarbageId { since, number }), garbage);
        Ok(())
    }

    /// Removes rows of kind blob. A row of kind upload stays: only expanding it ends it,
    /// or its part rows would be forgotten.
    pub(super) fn collected(&mut self, ids: &[GarbageId]) -> Result<IndexAnswer, KvError> {
        for id in ids {
            let key = index::garbage(*id);
            if let Some(Garbage::Blob(_)) = rows::get(self.rows, &key)? {
                self.rows.delete(&key);
            }
        }
        Ok(IndexAnswer::Done)
    }

    /// The new rows are as old as the row that they come from.
    pub(super) fn expand_garbage(&mut self, id: GarbageId) -> Result<IndexAnswer, KvError> {
        let row_key = index::garbage(id);
        let Some(Garbage::Upload { bucket, key, upload }) = rows::get(self.rows, &row_key)? else {
            return Ok(IndexAnswer::Done);
        };
        let from = index::parts_of(bucket, &key, upload);
        let to = keys::successor(&from);
        let parts: Vec<_> = self
            .rows
            .scan(&from, to.as_deref())
            .take(EXPAND_MAX + 1)
            .collect::<Result<_, KvError>>()?;
        for (part_key, value) in parts.iter().take(EXPAND_MAX) {
            if let Some(blob) = PartRow::decode(value)?.blob() {
                self.bury_blob(blob, id.since)?;
            }
            self.rows.delete(part_key);
        }
        if parts.len() <= EXPAND_MAX {
            self.rows.delete(&row_key);
        }
        Ok(IndexAnswer::Done)
    }
}
