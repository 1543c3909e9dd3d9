//! Deleting objects and versions. The bytes go later: the index queues them for collection in
//! the same entry that removes their version.

use metastore::api::{IndexAnswer, IndexCommand};

use crate::{
    Error, Objects,
    gate::unexpected,
    request::{Delete, Deleted},
};

impl Objects {
    /// Deletes the current object or a version. That there is none is no error, but
    /// `NoSuchKey` for [`types::Condition::Match`].
    pub async fn delete(&self, delete: Delete) -> Result<Deleted, Error> {
        let Delete { bucket, key, version, condition, bypass_governance, origin } = delete;
        let write = self.new_write_id();
        let command = |bucket| IndexCommand::DeleteObject {
            bucket,
            key: key.clone(),
            version,
            condition: condition.clone(),
            bypass_governance,
            origin: origin.clone(),
            write,
        };
        match self.index(&bucket, &key, command).await? {
            IndexAnswer::Deleted { existed, version, marker } => {
                Ok(Deleted { existed, version, marker })
            }
            IndexAnswer::NoSuchKey => Err(Error::NoSuchKey),
            IndexAnswer::NoSuchVersion => Err(Error::NoSuchVersion),
            IndexAnswer::ConditionFailed => Err(Error::PreconditionFailed),
            IndexAnswer::Locked => Err(Error::Locked),
            other => Err(unexpected("deleting an object", &other)),
        }
    }
}
