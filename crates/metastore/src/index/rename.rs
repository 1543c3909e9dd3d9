//! Renaming: a put or a completion that removes another key's object in the same entry. Only
//! where nothing was ever versioned, so that a key is its object and no version is left behind.
//! The bytes are not shared: the destination brings its own, and those of the source die.
//! AWS: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_RenameObject.html>.

use consensus::KvError;
use types::{ObjectHead, Versioning};

use super::{
    Apply,
    events::Subject,
    versions::{self, Place, blob_of},
};
use crate::{
    api::{
        IndexAnswer,
        index::{EventKind, Origin, Reason, Renamed},
    },
    keys::index,
};

/// A key that goes, and its object.
pub(super) struct Source<'a> {
    key: &'a str,
    head: ObjectHead,
}

impl Source<'_> {
    /// Gives the destination what can have been said about the source since the proposer read it:
    /// its tags. Its class goes with the bytes, which the destination brings; a lock it cannot have.
    pub(super) fn hand_over(&self, destination: &mut ObjectHead) {
        destination.attributes.tags.clone_from(&self.head.attributes.tags);
    }
}

impl Apply<'_> {
    /// What is to be renamed to `to`, or why it cannot be. Nothing is changed.
    pub(super) fn source<'r>(
        &self,
        to: Place<'_>,
        renamed: Option<&'r Renamed>,
    ) -> Result<Result<Option<Source<'r>>, IndexAnswer>, KvError> {
        let Some(Renamed { from, version }) = renamed else { return Ok(Ok(None)) };
        if to.settings.versioning != Versioning::Off {
            return Ok(Err(IndexAnswer::BucketState));
        }
        Ok(match versions::current(self.rows, to.bucket, from)? {
            None => Err(IndexAnswer::NoSuchKey),
            // An object cannot take its own place; the service refuses that earlier.
            Some(head) if head.version != *version || from == to.key => {
                Err(IndexAnswer::SourceChanged)
            }
            Some(head) => Ok(Some(Source { key: from, head })),
        })
    }

    /// Removes the source, after its destination was set.
    pub(super) fn remove_source(
        &mut self,
        to: Place<'_>,
        source: &Source<'_>,
        destination: &ObjectHead,
        origin: &Origin,
    ) -> Result<(), KvError> {
        self.bury_object(to.bucket, source.key, &source.head, blob_of(destination))?;
        self.rows.delete(&index::head(to.bucket, source.key));
        let at = Place { key: source.key, ..to };
        let origin = Origin { reason: Reason::RenameObject, ..origin.clone() };
        self.note_event(at, EventKind::Deleted, &Subject::object(&source.head), &origin)
    }
}
