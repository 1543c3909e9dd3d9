//! Ending one version.

use metastore::api::index::{Origin, Reason};
use objects::{Error, Objects, request::Delete};
use types::{Condition, Match, Version, VersionId};

/// A version that is to end.
pub(super) struct Removal {
    pub(super) key: String,
    pub(super) id: VersionId,
    pub(super) null: bool,
    pub(super) end: End,
}

/// How a version ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// As by a DELETE without a version.
    Expire,
    /// For good.
    Remove,
}

/// How a removal went.
pub(super) enum Removed {
    Done(End),
    Locked,
    /// Not there any more, or another version is: the next walk looks again.
    Moved,
}

/// Ends the very version that was looked at.
pub(super) async fn remove(
    objects: Objects,
    bucket: String,
    removal: Removal,
) -> Result<Removed, Error> {
    let exactly = Condition::Match(Match { version: Some(removal.id), ..Match::default() });
    let (version, condition) = match removal.end {
        End::Expire => (None, exactly),
        // Another null version may have taken the place of the one that was looked at.
        End::Remove if removal.null => (Some(Version::Null), exactly),
        // An id is never used twice.
        End::Remove => (Some(Version::Id(removal.id)), Condition::None),
    };
    let origin = Origin { reason: Reason::LifecycleExpiration, ..Origin::default() };
    let delete =
        Delete { bucket, key: removal.key, version, condition, bypass_governance: false, origin };
    match objects.delete(delete).await {
        Ok(_) => Ok(Removed::Done(removal.end)),
        Err(Error::Locked) => Ok(Removed::Locked),
        Err(
            Error::PreconditionFailed
            | Error::NoSuchKey
            | Error::NoSuchVersion
            | Error::DeleteMarker { .. },
        ) => Ok(Removed::Moved),
        Err(error) => Err(error),
    }
}
