//! Changing what is said about a version: tags, retention, legal hold, storage class, restore.
//! Its bytes stay.

use metastore::api::{
    IndexAnswer, IndexCommand,
    index::{ObjectUpdate, Origin},
};
use types::{ObjectHead, UnixMillis, Version};

use crate::{Error, Objects, gate::unexpected};

impl Objects {
    /// Changes a version, the current one if `None`; its new head. `NoSuchKey`,
    /// `NoSuchVersion`, `DeleteMarker`, `Locked`, `NoLock`; `PreconditionFailed` if the update is
    /// about another version; `NotArchived` and `RestoreInProgress` of a restore.
    pub async fn update(
        &self,
        bucket: &str,
        key: &str,
        version: Option<Version>,
        update: ObjectUpdate,
        origin: Origin,
    ) -> Result<ObjectHead, Error> {
        let write = self.new_write_id();
        let command = |bucket| IndexCommand::UpdateObject {
            bucket,
            key: key.to_owned(),
            version,
            update: update.clone(),
            origin: origin.clone(),
            write,
        };
        match self.index(bucket, key, command).await? {
            IndexAnswer::Object(head) => Ok(*head),
            IndexAnswer::NoSuchKey => Err(Error::NoSuchKey),
            IndexAnswer::NoSuchVersion => Err(Error::NoSuchVersion),
            IndexAnswer::DeleteMarker { version } => {
                let modified = match version {
                    Version::Id(id) => id.at,
                    Version::Null => UnixMillis::default(),
                };
                Err(Error::DeleteMarker { version, modified })
            }
            IndexAnswer::Locked => Err(Error::Locked),
            IndexAnswer::NoLock => Err(Error::NoLock),
            IndexAnswer::NotArchived => Err(Error::NotArchived),
            IndexAnswer::RestoreInProgress(restore) => Err(Error::RestoreInProgress(restore)),
            IndexAnswer::ConditionFailed => Err(Error::PreconditionFailed),
            other => Err(unexpected("changing an object", &other)),
        }
    }
}
