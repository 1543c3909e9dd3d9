//! Bucket gates: whether a bucket's keys may be touched in this partition.

use consensus::KvError;
use types::BucketId;

use super::Apply;
use crate::{
    api::{IndexAnswer, IndexCommand},
    keys::index as keys,
    rows::{self, Gate},
};

/// The bucket whose gate must be open for the command.
pub(super) fn guarded_bucket(command: &IndexCommand) -> Option<BucketId> {
    use IndexCommand as C;
    match command {
        C::PutObject { bucket, .. }
        | C::DeleteObject { bucket, .. }
        | C::CreateUpload { bucket, .. }
        | C::PutPart { bucket, .. }
        | C::CompleteUpload { bucket, .. }
        | C::AbortUpload { bucket, .. } => Some(*bucket),
        C::OpenBucket { .. }
        | C::SealBucket { .. }
        | C::Collected { .. }
        | C::ExpandGarbage { .. }
        | C::Repaired { .. }
        | C::Tick => None,
    }
}

impl Apply<'_> {
    fn gate(&self, bucket: BucketId) -> Result<Option<Gate>, KvError> {
        rows::get(self.rows, &keys::gate(bucket))
    }

    /// What to answer if the gate is not open.
    pub(super) fn closed_gate(&self, bucket: BucketId) -> Result<Option<IndexAnswer>, KvError> {
        Ok(match self.gate(bucket)? {
            Some(Gate::Open) => None,
            Some(Gate::Sealed) => Some(IndexAnswer::BucketSealed),
            None => Some(IndexAnswer::BucketNotOpen),
        })
    }

    pub(super) fn open_bucket(&mut self, bucket: BucketId) -> Result<IndexAnswer, KvError> {
        Ok(match self.gate(bucket)? {
            Some(Gate::Open) => IndexAnswer::Done,
            Some(Gate::Sealed) => IndexAnswer::BucketSealed,
            None => {
                rows::put(self.rows, &keys::gate(bucket), &Gate::Open);
                IndexAnswer::Done
            }
        })
    }

    /// Two seeks decide whether the bucket is empty, however large it was.
    pub(super) fn seal_bucket(&mut self, bucket: BucketId) -> Result<IndexAnswer, KvError> {
        if self.gate(bucket)? == Some(Gate::Sealed) {
            return Ok(IndexAnswer::Done);
        }
        if rows::any(self.rows, &keys::head(bucket, ""))?
            || rows::any(self.rows, &keys::uploads_under(bucket, ""))?
        {
            return Ok(IndexAnswer::NotEmpty);
        }
        rows::put(self.rows, &keys::gate(bucket), &Gate::Sealed);
        Ok(IndexAnswer::Done)
    }
}
