//! Bucket names. A name is taken from creation until deletion is finished, so that two
//! buckets never share one, also while the first is being sealed.

use consensus::KvError;
use types::BucketId;

use super::{Apply, refused};
use crate::{
    api::RootAnswer,
    keys::root as keys,
    rows::{self, BucketRow, ClusterRow},
};

impl Apply<'_> {
    fn bucket(&self, name: &str) -> Result<Option<BucketRow>, KvError> {
        rows::get(self.rows, &keys::bucket(name))
    }

    fn bucket_by_id(&self, id: BucketId) -> Result<Option<(String, BucketRow)>, KvError> {
        let Some(name) = rows::get::<String>(self.rows, &keys::bucket_name(id))? else {
            return Ok(None);
        };
        let row = self.bucket(&name)?.ok_or_else(|| {
            KvError(format!("bucket {id} is named {name}, but that name has no row"))
        })?;
        Ok(Some((name, row)))
    }

    pub(super) fn create_bucket(
        &mut self,
        name: &str,
        id: BucketId,
    ) -> Result<RootAnswer, KvError> {
        if rows::get::<ClusterRow>(self.rows, keys::CLUSTER)?.is_none() {
            return refused("the cluster has no identity yet");
        }
        if let Some(known) = self.bucket(name)? {
            return Ok(RootAnswer::Bucket(known.with(name.to_owned())));
        }
        if self.bucket_by_id(id)?.is_some() {
            return refused(format!("bucket id {id} is taken: choose another"));
        }
        let row = BucketRow { id, created: self.now, deleting: false };
        rows::put(self.rows, &keys::bucket(name), &row);
        rows::put(self.rows, &keys::bucket_name(id), &name.to_owned());
        Ok(RootAnswer::Bucket(row.with(name.to_owned())))
    }

    pub(super) fn begin_delete_bucket(&mut self, name: &str) -> Result<RootAnswer, KvError> {
        let Some(mut row) = self.bucket(name)? else { return Ok(RootAnswer::NoSuchBucket) };
        if !row.deleting {
            row.deleting = true;
            rows::put(self.rows, &keys::bucket(name), &row);
        }
        Ok(RootAnswer::Bucket(row.with(name.to_owned())))
    }

    pub(super) fn finish_delete_bucket(&mut self, id: BucketId) -> Result<RootAnswer, KvError> {
        match self.bucket_by_id(id)? {
            None => Ok(RootAnswer::Done),
            Some((_, row)) if !row.deleting => {
                refused(format!("the deletion of bucket {id} has not begun"))
            }
            Some((name, _)) => {
                self.rows.delete(&keys::bucket(&name));
                self.rows.delete(&keys::bucket_name(id));
                Ok(RootAnswer::Done)
            }
        }
    }

    pub(super) fn cancel_delete_bucket(&mut self, id: BucketId) -> Result<RootAnswer, KvError> {
        let Some((name, mut row)) = self.bucket_by_id(id)? else {
            return Ok(RootAnswer::NoSuchBucket);
        };
        if row.deleting {
            row.deleting = false;
            rows::put(self.rows, &keys::bucket(&name), &row);
        }
        Ok(RootAnswer::Done)
    }
}
