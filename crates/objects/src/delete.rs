//! Deleting objects. The bytes go later: the index queues them for collection in the same
//! entry that removes the key.

use metastore::api::{IndexAnswer, IndexCommand};
use types::Condition;

use crate::{Error, Objects, gate::unexpected};

impl Objects {
    /// Deletes an object; whether there was one.
    pub async fn delete(
        &self,
        bucket: &str,
        key: &str,
        condition: Condition,
    ) -> Result<bool, Error> {
        let write = self.new_write_id();
        let command = |bucket| IndexCommand::DeleteObject {
            bucket,
            key: key.to_owned(),
            condition: condition.clone(),
            write,
        };
        match self.index(bucket, key, command).await? {
            IndexAnswer::Deleted { existed } => Ok(existed),
            IndexAnswer::NoSuchKey => Err(Error::NoSuchKey),
            IndexAnswer::ConditionFailed => Err(Error::PreconditionFailed),
            other => Err(unexpected("deleting an object", &other)),
        }
    }
}
