//! From a bucket's name to its id, and what to do when an index partition says that the
//! id's gate is not open.
//!
//! The cached answer may be stale for [`crate::Settings::bucket_cache_ms`]; that is safe,
//! because ids are never reused and a deleted bucket's gate is sealed for ever: an
//! operation under a stale id is refused by the partition, never misdirected.

use std::collections::HashMap;

use metastore::api::{
    IndexAnswer, IndexCommand, IndexQuery, IndexView, RootQuery, RootView, root::Bucket,
};
use parking_lot::Mutex;
use types::{BucketId, UnixMillis};

use crate::{Error, Objects, error::metadata_error};

/// Names that a cache holds; at the bound the whole cache is dropped and filled anew.
const CACHED_MAX: usize = 10_000;

/// Times that an operation goes back to the root group about a closed gate.
pub(crate) const GATE_TRIES_MAX: usize = 3;

/// How long a command may be proposed again, in milliseconds from the first time. The index
/// knows a write id for 15 minutes after it was applied: a proposal that came later, from a
/// process that had stood still in between, would count as a write of its own. The rest of
/// the 15 minutes is for the difference between the clocks of gateway and index.
pub(crate) const PROPOSED_MS_MAX: u64 = 10 * 60 * 1000;

const _: () = assert!(PROPOSED_MS_MAX < metastore::index::REMEMBERED_MS);

/// Which id a name had lately.
#[derive(Default)]
pub(crate) struct BucketCache {
    entries: Mutex<HashMap<String, (Bucket, UnixMillis)>>,
}

impl BucketCache {
    fn get(&self, name: &str, now: UnixMillis) -> Option<Bucket> {
        let entries = self.entries.lock();
        entries.get(name).filter(|(_, until)| now < *until).map(|(bucket, _)| bucket.clone())
    }

    /// The id that a name had when it was last asked for, however long ago; `None` for a name
    /// that this process has not met, or not found.
    pub(crate) fn known(&self, name: &str) -> Option<BucketId> {
        self.entries.lock().get(name).map(|(bucket, _)| bucket.id)
    }

    fn set(&self, bucket: &Bucket, until: UnixMillis) {
        let mut entries = self.entries.lock();
        if entries.len() >= CACHED_MAX {
            entries.clear();
        }
        entries.insert(bucket.name.clone(), (bucket.clone(), until));
    }

    pub(crate) fn forget(&self, name: &str) {
        self.entries.lock().remove(name);
    }
}

/// A gate that is not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Closed {
    /// Not open yet.
    NotOpen,
    /// Sealed for ever.
    Sealed,
}

impl Closed {
    pub(crate) fn in_answer(answer: &IndexAnswer) -> Option<Self> {
        match answer {
            IndexAnswer::BucketNotOpen => Some(Self::NotOpen),
            IndexAnswer::BucketSealed => Some(Self::Sealed),
            _ => None,
        }
    }

    fn in_view(view: &IndexView) -> Option<Self> {
        match view {
            IndexView::BucketNotOpen => Some(Self::NotOpen),
            IndexView::BucketSealed => Some(Self::Sealed),
            _ => None,
        }
    }
}

impl Objects {
    /// What the root group says about a name now, also while the bucket is being deleted.
    pub(crate) async fn ask_root(&self, name: &str) -> Result<Option<Bucket>, Error> {
        let query = RootQuery::Bucket { name: name.to_owned() };
        match self.metadata().root_query(query).await.map_err(metadata_error)? {
            RootView::Bucket(bucket) => Ok(bucket),
            other => Err(Error::Internal(format!("root answered {other:?} about a bucket"))),
        }
    }

    /// The active bucket of a name: cached, or as the root group says now.
    pub(crate) async fn resolve(&self, name: &str) -> Result<Bucket, Error> {
        let now = UnixMillis(self.clock().now_ms());
        if let Some(bucket) = self.inner.buckets.get(name, now) {
            return Ok(bucket);
        }
        self.resolve_fresh(name).await
    }

    pub(crate) async fn resolve_fresh(&self, name: &str) -> Result<Bucket, Error> {
        match self.ask_root(name).await? {
            Some(bucket) if !bucket.deleting => {
                let until = UnixMillis(self.clock().now_ms()).plus(self.settings().bucket_cache_ms);
                self.inner.buckets.set(&bucket, until);
                Ok(bucket)
            }
            _ => {
                self.inner.buckets.forget(name);
                Err(Error::NoSuchBucket(name.to_owned()))
            }
        }
    }

    /// An operation on `bucket` met a closed gate: finds out what the name means now and
    /// opens the gate if a crash came between creation and opening. The bucket to go on
    /// with may have another id.
    pub(crate) async fn reopen(&self, bucket: &Bucket, closed: Closed) -> Result<Bucket, Error> {
        let now = self.resolve_fresh(&bucket.name).await?;
        if now.id != bucket.id {
            return Ok(now);
        }
        if closed == Closed::NotOpen && self.open_gate(&now).await? {
            return Ok(now);
        }
        // Sealed, yet active in the root group: a deletion was cancelled there after
        // another one had sealed it. Sealed means that it was empty, and is for ever.
        self.finish_delete(&now).await?;
        Err(Error::NoSuchBucket(bucket.name.clone()))
    }

    /// Opens a bucket's gate with the settings that it was created with; false if it is
    /// sealed. A gate that is open already keeps its own.
    pub(crate) async fn open_gate(&self, bucket: &Bucket) -> Result<bool, Error> {
        let command = IndexCommand::OpenBucket { bucket: bucket.id, settings: bucket.initial };
        match self.metadata().index(bucket.id, "", command).await.map_err(metadata_error)? {
            IndexAnswer::Done => Ok(true),
            IndexAnswer::BucketSealed => Ok(false),
            other => Err(unexpected("opening a bucket", &other)),
        }
    }

    /// When a command that is proposed now may be proposed no more.
    pub(crate) fn proposed_until(&self) -> UnixMillis {
        UnixMillis(self.clock().now_ms()).plus(PROPOSED_MS_MAX)
    }

    /// Proposes a command on a key, going back to the root group about a closed gate.
    /// `command` is made anew for each try, with the same write id: whatever of an earlier try
    /// is still under way must not be applied as a write of its own. One that is refused because
    /// it came too late is `Unavailable`: only a write that was applied more than 15 minutes ago and
    /// is repeated could be told so by mistake.
    pub(crate) async fn index(
        &self,
        bucket: &str,
        key: &str,
        command: impl Fn(BucketId) -> IndexCommand + Send + Sync,
    ) -> Result<IndexAnswer, Error> {
        let mut resolved = self.resolve(bucket).await?;
        let until = self.proposed_until();
        for _ in 0..GATE_TRIES_MAX {
            let proposed = self.metadata().index(resolved.id, key, command(resolved.id));
            let answer = proposed.await.map_err(metadata_error)?;
            if answer == IndexAnswer::DeadlinePassed {
                return Err(Error::Unavailable(
                    "the change came too late: try again; if that does not help, the clocks of this \
                     gateway and of the metadata nodes differ by minutes"
                        .into(),
                ));
            }
            let Some(closed) = Closed::in_answer(&answer) else { return Ok(answer) };
            resolved = self.reopen(&resolved, closed).await?;
            if UnixMillis(self.clock().now_ms()) > until {
                break;
            }
        }
        Err(gate_moves(bucket))
    }

    /// Asks about a key, going back to the root group about a closed gate.
    pub(crate) async fn query(
        &self,
        bucket: &str,
        key: &str,
        query: impl Fn(BucketId) -> IndexQuery + Send + Sync,
    ) -> Result<IndexView, Error> {
        let mut resolved = self.resolve(bucket).await?;
        for _ in 0..GATE_TRIES_MAX {
            let asked = self.metadata().index_query(resolved.id, key, query(resolved.id));
            let view = asked.await.map_err(metadata_error)?;
            let Some(closed) = Closed::in_view(&view) else { return Ok(view) };
            resolved = self.reopen(&resolved, closed).await?;
        }
        Err(gate_moves(bucket))
    }
}

pub(crate) fn gate_moves(bucket: &str) -> Error {
    Error::Unavailable(format!(
        "bucket {bucket:?} is being created and deleted at the same time: try again"
    ))
}

pub(crate) fn unexpected(doing: &str, answer: &impl std::fmt::Debug) -> Error {
    Error::Internal(format!("{doing}: metadata gave an answer that does not belong: {answer:?}"))
}
