//! Bucket names. A name is taken from creation until deletion is finished, so that two
//! buckets never share one, also while the first is being sealed. A bucket's configuration
//! lives as long as its name.

use bytes::Bytes;
use consensus::KvError;
use types::{BucketId, BucketSettings};

use super::{Apply, refused};
use crate::{
    api::{
        RootAnswer,
        root::{BUCKET_CONFIG_BYTES_MAX, CONFIG_NAME_BYTES_MAX, ConfigKind},
    },
    keys::{self, root},
    rows::{self, BucketRow, ClusterRow, ConfigRow},
};

impl Apply<'_> {
    fn bucket(&self, name: &str) -> Result<Option<BucketRow>, KvError> {
        rows::get(self.rows, &root::bucket(name))
    }

    fn bucket_by_id(&self, id: BucketId) -> Result<Option<(String, BucketRow)>, KvError> {
        let Some(name) = rows::get::<String>(self.rows, &root::bucket_name(id))? else {
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
        initial: BucketSettings,
    ) -> Result<RootAnswer, KvError> {
        if rows::get::<ClusterRow>(self.rows, root::CLUSTER)?.is_none() {
            return refused("the cluster has no identity yet");
        }
        if let Some(known) = self.bucket(name)? {
            return Ok(RootAnswer::Bucket(known.with(name.to_owned())));
        }
        if self.bucket_by_id(id)?.is_some() {
            return refused(format!("bucket id {id} is taken: choose another"));
        }
        let row = BucketRow { id, created: self.now, deleting: false, initial };
        rows::put(self.rows, &root::bucket(name), &row);
        rows::put(self.rows, &root::bucket_name(id), &name.to_owned());
        Ok(RootAnswer::Bucket(row.with(name.to_owned())))
    }

    pub(super) fn begin_delete_bucket(&mut self, name: &str) -> Result<RootAnswer, KvError> {
        let Some(mut row) = self.bucket(name)? else { return Ok(RootAnswer::NoSuchBucket) };
        if !row.deleting {
            row.deleting = true;
            rows::put(self.rows, &root::bucket(name), &row);
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
                self.rows.delete(&root::bucket(&name));
                self.rows.delete(&root::bucket_name(id));
                let from = root::configs_of(id);
                let to = keys::successor(&from);
                let configs = self.rows.scan(&from, to.as_deref());
                let configs = configs.collect::<Result<Vec<_>, KvError>>()?;
                for (key, _) in configs {
                    self.rows.delete(&key);
                }
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
            rows::put(self.rows, &root::bucket(&name), &row);
        }
        Ok(RootAnswer::Done)
    }

    pub(super) fn set_bucket_config(
        &mut self,
        id: BucketId,
        kind: ConfigKind,
        name: &str,
        value: Option<&Bytes>,
    ) -> Result<RootAnswer, KvError> {
        if name.len() > CONFIG_NAME_BYTES_MAX {
            return refused(format!(
                "the name of a bucket's configuration has at most {CONFIG_NAME_BYTES_MAX} bytes"
            ));
        }
        if value.is_some_and(|value| value.len() > BUCKET_CONFIG_BYTES_MAX) {
            return refused(format!(
                "a bucket's configuration has at most {BUCKET_CONFIG_BYTES_MAX} bytes"
            ));
        }
        if self.bucket_by_id(id)?.is_none_or(|(_, row)| row.deleting) {
            return Ok(RootAnswer::NoSuchBucket);
        }
        let row = root::config(id, kind, name);
        match value {
            Some(value) => rows::put(self.rows, &row, &ConfigRow(value.clone())),
            None => self.rows.delete(&row),
        }
        Ok(RootAnswer::Done)
    }
}
