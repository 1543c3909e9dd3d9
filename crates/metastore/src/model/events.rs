//! What becomes an event.

use types::{ETag, ObjectHead, StorageClass, Version, Versioning};

use super::{IndexModel, Key};
use crate::api::index::{Event, EventKind, Origin};

/// Which version of a key.
pub(super) enum About {
    Current,
    Version(Version),
}

/// What an event says about its version.
pub(super) type Subject = (Version, u64, Option<ETag>, StorageClass);

pub(super) fn of_object(head: &ObjectHead) -> Subject {
    (head.name(), head.size, Some(head.etag), head.attributes.class)
}

impl IndexModel {
    /// What there is to say about a version that is there.
    pub(super) fn subject(&self, at: &Key, about: About) -> Option<Subject> {
        let stored = self.versions.get(at).and_then(|versions| match about {
            About::Current => versions.last(),
            About::Version(name) => versions.iter().find(|stored| stored.name == name),
        })?;
        match &stored.object {
            Some(head) => Some(of_object(head)),
            None => Some((stored.name, 0, None, StorageClass::Standard)),
        }
    }

    /// Writes an event down, if the bucket has them.
    pub(super) fn happened(
        &mut self,
        at: &Key,
        kind: EventKind,
        subject: Option<Subject>,
        origin: &Origin,
    ) {
        let settings = self.settings(at.0);
        let Some((name, size, etag, class)) = subject.filter(|_| settings.events) else { return };
        let version = match settings.versioning {
            Versioning::Off => None,
            Versioning::Enabled | Versioning::Suspended => Some(name),
        };
        let (number, now) = (self.events_made, self.now);
        let (bucket, key, origin) = (at.0, at.1.clone(), origin.clone());
        let event =
            Event { number, at: now, bucket, key, kind, version, size, etag, class, origin };
        self.events.push(event);
        self.events_made += 1;
    }
}
