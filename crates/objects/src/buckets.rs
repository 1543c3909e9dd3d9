//! Creating, deleting, configuring, finding and listing buckets.
//!
//! A bucket lives in two places: its name in the root group, its gate in the index
//! partition of its id. Both verbs go through them in an order that a crash between any
//! two steps leaves repeatable:
//!
//! ```text
//! create: root CreateBucket -> index OpenBucket
//! delete: root BeginDelete  -> index SealBucket -> root FinishDelete
//!                                    NotEmpty   -> root CancelDelete
//! ```
//!
//! The gate holds what decides writes, versioning and object lock: `bucket_settings` and
//! `configure_bucket` go there. All other configuration is in `bucket_config`.

use metastore::api::{
    IndexAnswer, IndexCommand, IndexQuery, IndexView, RootAnswer, RootCommand, RootQuery, RootView,
    index::BucketChange, root::Bucket,
};
use types::{BucketId, BucketSettings};

use crate::{
    Error, Objects,
    error::metadata_error,
    gate::{GATE_TRIES_MAX, gate_moves, unexpected},
};

/// How an attempt to delete went.
enum Deletion {
    Done,
    NotEmpty,
}

impl Objects {
    /// Creates a bucket whose gate begins with these settings. `BucketExists` if the name is
    /// taken.
    pub async fn create_bucket(
        &self,
        name: &str,
        initial: BucketSettings,
    ) -> Result<Bucket, Error> {
        for _ in 0..GATE_TRIES_MAX {
            let id = BucketId(rand::random());
            let bucket = match self.create_in_root(name, id, initial).await? {
                bucket if bucket.id == id => bucket,
                // A deletion that crashed half-way still holds the name: bring it to an end.
                other if other.deleting => match self.delete_steps(&other).await? {
                    Deletion::Done => continue,
                    Deletion::NotEmpty => return Err(Error::BucketExists(name.to_owned())),
                },
                _ => return Err(Error::BucketExists(name.to_owned())),
            };
            if self.open_gate(&bucket).await? {
                self.inner.buckets.forget(name);
                return Ok(bucket);
            }
            // Deleted by somebody else between the two steps: the name is free again.
        }
        Err(gate_moves(name))
    }

    async fn create_in_root(
        &self,
        name: &str,
        id: BucketId,
        initial: BucketSettings,
    ) -> Result<Bucket, Error> {
        let command = RootCommand::CreateBucket { name: name.to_owned(), id, initial };
        match self.metadata().root(command).await.map_err(metadata_error)? {
            RootAnswer::Bucket(bucket) => Ok(bucket),
            RootAnswer::Refused(reason) => Err(Error::Unavailable(reason)),
            other => Err(unexpected("creating a bucket", &other)),
        }
    }

    /// Deletes an empty bucket.
    pub async fn delete_bucket(&self, name: &str) -> Result<(), Error> {
        self.inner.buckets.forget(name);
        let bucket = self.ask_root(name).await?;
        let Some(bucket) = bucket else { return Err(Error::NoSuchBucket(name.to_owned())) };
        match self.finish_delete(&bucket).await? {
            true => Ok(()),
            false => Err(Error::BucketNotEmpty(name.to_owned())),
        }
    }

    /// Deletes this very bucket; false if it is not empty.
    pub(crate) async fn finish_delete(&self, bucket: &Bucket) -> Result<bool, Error> {
        for _ in 0..GATE_TRIES_MAX {
            let command = RootCommand::BeginDeleteBucket { name: bucket.name.clone() };
            match self.metadata().root(command).await.map_err(metadata_error)? {
                RootAnswer::Bucket(begun) if begun.id == bucket.id => {}
                // Another deletion was quicker, and perhaps the name is in use again. Then
                // this call has marked a bucket that it does not mean: take that back.
                RootAnswer::Bucket(other) => {
                    self.cancel_delete(other.id).await?;
                    return Err(Error::NoSuchBucket(bucket.name.clone()));
                }
                RootAnswer::NoSuchBucket => {
                    return Err(Error::NoSuchBucket(bucket.name.clone()));
                }
                other => return Err(unexpected("deleting a bucket", &other)),
            }
            match self.delete_steps(bucket).await? {
                Deletion::NotEmpty => return Ok(false),
                Deletion::Done => {
                    // A deletion that met an object may have cancelled ours after we had
                    // sealed the gate: then the name is still there, and we go again.
                    let gone = self.ask_root(&bucket.name).await?.is_none_or(|b| b.id != bucket.id);
                    if gone {
                        self.inner.buckets.forget(&bucket.name);
                        return Ok(true);
                    }
                }
            }
        }
        Err(gate_moves(&bucket.name))
    }

    /// The steps after the beginning, for a bucket that is being deleted.
    async fn delete_steps(&self, bucket: &Bucket) -> Result<Deletion, Error> {
        let seal = IndexCommand::SealBucket { bucket: bucket.id };
        match self.metadata().index(bucket.id, "", seal).await.map_err(metadata_error)? {
            IndexAnswer::Done | IndexAnswer::BucketSealed => {}
            IndexAnswer::NotEmpty => {
                self.cancel_delete(bucket.id).await?;
                return Ok(Deletion::NotEmpty);
            }
            other => return Err(unexpected("sealing a bucket", &other)),
        }
        let finish = RootCommand::FinishDeleteBucket { id: bucket.id };
        match self.metadata().root(finish).await.map_err(metadata_error)? {
            // Refused: a concurrent deletion cancelled it; the caller looks and goes again.
            RootAnswer::Done | RootAnswer::NoSuchBucket | RootAnswer::Refused(_) => {
                Ok(Deletion::Done)
            }
            other => Err(unexpected("deleting a bucket", &other)),
        }
    }

    async fn cancel_delete(&self, id: BucketId) -> Result<(), Error> {
        let cancel = RootCommand::CancelDeleteBucket { id };
        match self.metadata().root(cancel).await.map_err(metadata_error)? {
            RootAnswer::Done | RootAnswer::NoSuchBucket | RootAnswer::Refused(_) => Ok(()),
            RootAnswer::Bucket(_) => Ok(()),
            other => Err(unexpected("keeping a bucket", &other)),
        }
    }

    /// Versioning and object lock of a bucket, as its gate says now.
    pub async fn bucket_settings(&self, name: &str) -> Result<BucketSettings, Error> {
        match self.query(name, "", |bucket| IndexQuery::Settings { bucket }).await? {
            IndexView::Settings(settings) => Ok(settings),
            other => Err(unexpected("asking for a bucket's settings", &other)),
        }
    }

    /// Changes versioning or object lock. It holds for every write that is acknowledged
    /// after this was. `BucketState` if the present settings do not allow it.
    pub async fn configure_bucket(&self, name: &str, change: BucketChange) -> Result<(), Error> {
        let write = self.new_write_id();
        let command = |bucket| IndexCommand::ConfigureBucket { bucket, change, write };
        match self.index(name, "", command).await? {
            IndexAnswer::Done => Ok(()),
            IndexAnswer::BucketState => Err(Error::BucketState),
            other => Err(unexpected("configuring a bucket", &other)),
        }
    }

    /// The bucket of this name, as the root group says now.
    pub async fn bucket(&self, name: &str) -> Result<Bucket, Error> {
        self.resolve_fresh(name).await
    }

    /// Buckets in name order, at most `limit`, and whether more follow.
    pub async fn buckets(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: u32,
    ) -> Result<(Vec<Bucket>, bool), Error> {
        let query = RootQuery::Buckets {
            prefix: prefix.to_owned(),
            after: after.map(str::to_owned),
            limit,
        };
        match self.metadata().root_query(query).await.map_err(metadata_error)? {
            RootView::Buckets { buckets, truncated } => Ok((buckets, truncated)),
            other => Err(unexpected("listing buckets", &other)),
        }
    }
}
