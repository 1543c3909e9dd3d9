//! Bucket gates: whether a bucket's keys may be touched in this partition, and by which rules.

use consensus::KvError;
use types::{BucketId, BucketSettings, Versioning};

use super::Apply;
use crate::{
    api::{IndexAnswer, IndexCommand, index::BucketChange},
    keys::index as keys,
    rows::{self, Gate},
};

/// The bucket whose gate must be open for the command.
pub(super) fn guarded_bucket(command: &IndexCommand) -> Option<BucketId> {
    use IndexCommand as C;
    match command {
        C::ConfigureBucket { bucket, .. }
        | C::PutObject { bucket, .. }
        | C::DeleteObject { bucket, .. }
        | C::UpdateObject { bucket, .. }
        | C::ReplaceBlob { bucket, .. }
        | C::CreateUpload { bucket, .. }
        | C::PutPart { bucket, .. }
        | C::CompleteUpload { bucket, .. }
        | C::AbortUpload { bucket, .. } => Some(*bucket),
        C::OpenBucket { .. }
        | C::SealBucket { .. }
        | C::Collected { .. }
        | C::ExpandGarbage { .. }
        | C::Repaired { .. }
        | C::EventsDelivered { .. }
        | C::Tick => None,
    }
}

impl Apply<'_> {
    fn gate(&self, bucket: BucketId) -> Result<Option<Gate>, KvError> {
        rows::get(self.rows, &keys::gate(bucket))
    }

    /// The settings behind an open gate, or what to answer if it is not open.
    pub(super) fn open_gate(
        &self,
        bucket: BucketId,
    ) -> Result<Result<BucketSettings, IndexAnswer>, KvError> {
        Ok(match self.gate(bucket)? {
            Some(Gate::Open(settings)) => Ok(settings),
            Some(Gate::Sealed) => Err(IndexAnswer::BucketSealed),
            None => Err(IndexAnswer::BucketNotOpen),
        })
    }

    pub(super) fn open_bucket(
        &mut self,
        bucket: BucketId,
        settings: BucketSettings,
    ) -> Result<IndexAnswer, KvError> {
        Ok(match self.gate(bucket)? {
            Some(Gate::Open(_)) => IndexAnswer::Done,
            Some(Gate::Sealed) => IndexAnswer::BucketSealed,
            None => {
                rows::put(self.rows, &keys::gate(bucket), &Gate::Open(settings));
                IndexAnswer::Done
            }
        })
    }

    pub(super) fn configure_bucket(
        &mut self,
        bucket: BucketId,
        mut settings: BucketSettings,
        change: BucketChange,
    ) -> Result<IndexAnswer, KvError> {
        let allowed = match change {
            BucketChange::Versioning(Versioning::Off) => false,
            BucketChange::Versioning(Versioning::Suspended) => settings.lock.is_none(),
            BucketChange::Versioning(Versioning::Enabled) => true,
            BucketChange::Lock(_) => settings.versioning == Versioning::Enabled,
            BucketChange::Events(_) => true,
        };
        if !allowed {
            return Ok(IndexAnswer::BucketState);
        }
        match change {
            BucketChange::Versioning(versioning) => settings.versioning = versioning,
            BucketChange::Lock(lock) => settings.lock = Some(lock),
            BucketChange::Events(events) => settings.events = events,
        }
        rows::put(self.rows, &keys::gate(bucket), &Gate::Open(settings));
        Ok(IndexAnswer::Done)
    }

    /// Three seeks decide whether the bucket is empty, however large it was.
    pub(super) fn seal_bucket(&mut self, bucket: BucketId) -> Result<IndexAnswer, KvError> {
        if self.gate(bucket)? == Some(Gate::Sealed) {
            return Ok(IndexAnswer::Done);
        }
        for prefix in [
            keys::head(bucket, ""),
            keys::versions_under(bucket, ""),
            keys::uploads_under(bucket, ""),
        ] {
            if rows::any(self.rows, &prefix)? {
                return Ok(IndexAnswer::NotEmpty);
            }
        }
        rows::put(self.rows, &keys::gate(bucket), &Gate::Sealed);
        Ok(IndexAnswer::Done)
    }
}
