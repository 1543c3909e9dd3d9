//! Moving one version to another storage class.

use metastore::api::index::{Origin, Reason};
use objects::{Error, Objects, Transition};
use types::{StorageClass, Version, VersionId};

/// A version that is to be moved.
pub(super) struct Move {
    pub(super) key: String,
    pub(super) id: VersionId,
    pub(super) null: bool,
    /// The class in which it was seen.
    pub(super) from: StorageClass,
    pub(super) to: StorageClass,
}

/// Moves the very version that was looked at; `Moved` if it is not there any more, or in another
/// class already. A lock is no hindrance: the content stays.
pub(super) async fn transition(
    objects: Objects,
    bucket: String,
    due: Move,
) -> Result<Transition, Error> {
    let Move { key, id, null, from, to } = due;
    let name = if null { Version::Null } else { Version::Id(id) };
    let head = match objects.head(&bucket, &key, Some(name)).await {
        Ok(head) if head.version == id && head.attributes.class == from => head,
        Ok(_) | Err(Error::NoSuchKey | Error::NoSuchVersion | Error::DeleteMarker { .. }) => {
            return Ok(Transition::Moved);
        }
        Err(error) => return Err(error),
    };
    let origin = Origin { reason: Reason::LifecycleTransition, ..Origin::default() };
    objects.transition(&bucket, &key, &head, to, origin).await
}
