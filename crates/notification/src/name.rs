//! What AWS calls an event, and the patterns by which configurations choose events.
//!
//! AWS: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-how-to-event-types-and-destinations.html>.

use metastore::api::index::{Event, EventKind, Reason};

/// The name of an event that happens here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "the names say it")]
pub enum EventName {
    CreatedPut,
    CreatedPost,
    CreatedCopy,
    CreatedCompleteMultipartUpload,
    RemovedDelete,
    RemovedDeleteMarkerCreated,
    RestorePost,
    RestoreCompleted,
    RestoreDelete,
    TaggingPut,
    TaggingDelete,
    ExpirationDelete,
    ExpirationDeleteMarkerCreated,
    Transition,
}

/// Names of the model that stand for what never happens here: the beginning, and what it is about.
const NEVER: [(&str, &str); 6] = [
    ("s3:ReducedRedundancyLostObject", "no object is given up for lost"),
    ("s3:Replication:", "there is no replication"),
    ("s3:IntelligentTiering", "objects are not moved between access tiers"),
    ("s3:ObjectAcl:", "there are no access control lists"),
    ("s3:ObjectAnnotation:", "there are no annotations"),
    ("s3:ObjectRetention:", "changes of a retention are not written down as events"),
];

impl EventName {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::CreatedPut,
        Self::CreatedPost,
        Self::CreatedCopy,
        Self::CreatedCompleteMultipartUpload,
        Self::RemovedDelete,
        Self::RemovedDeleteMarkerCreated,
        Self::RestorePost,
        Self::RestoreCompleted,
        Self::RestoreDelete,
        Self::TaggingPut,
        Self::TaggingDelete,
        Self::ExpirationDelete,
        Self::ExpirationDeleteMarkerCreated,
        Self::Transition,
    ];

    /// As AWS writes it: `s3:ObjectCreated:Put`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CreatedPut => "s3:ObjectCreated:Put",
            Self::CreatedPost => "s3:ObjectCreated:Post",
            Self::CreatedCopy => "s3:ObjectCreated:Copy",
            Self::CreatedCompleteMultipartUpload => "s3:ObjectCreated:CompleteMultipartUpload",
            Self::RemovedDelete => "s3:ObjectRemoved:Delete",
            Self::RemovedDeleteMarkerCreated => "s3:ObjectRemoved:DeleteMarkerCreated",
            Self::RestorePost => "s3:ObjectRestore:Post",
            Self::RestoreCompleted => "s3:ObjectRestore:Completed",
            Self::RestoreDelete => "s3:ObjectRestore:Delete",
            Self::TaggingPut => "s3:ObjectTagging:Put",
            Self::TaggingDelete => "s3:ObjectTagging:Delete",
            Self::ExpirationDelete => "s3:LifecycleExpiration:Delete",
            Self::ExpirationDeleteMarkerCreated => "s3:LifecycleExpiration:DeleteMarkerCreated",
            Self::Transition => "s3:LifecycleTransition",
        }
    }

    /// The name of this event. What a lifecycle rule ends is not `ObjectRemoved`, as on AWS. A
    /// renaming is a copy at its destination and a removal at its source: AWS renames in directory
    /// buckets only, which have no notifications.
    pub fn of(event: &Event) -> Self {
        let expired = event.origin.reason == Reason::LifecycleExpiration;
        match event.kind {
            EventKind::Created => match event.origin.reason {
                Reason::PostObject => Self::CreatedPost,
                Reason::CopyObject | Reason::RenameObject => Self::CreatedCopy,
                Reason::CompleteMultipartUpload => Self::CreatedCompleteMultipartUpload,
                _ => Self::CreatedPut,
            },
            EventKind::Deleted if expired => Self::ExpirationDelete,
            EventKind::Deleted => Self::RemovedDelete,
            EventKind::MarkerCreated if expired => Self::ExpirationDeleteMarkerCreated,
            EventKind::MarkerCreated => Self::RemovedDeleteMarkerCreated,
            EventKind::TagsSet => Self::TaggingPut,
            EventKind::TagsRemoved => Self::TaggingDelete,
            EventKind::ClassChanged(_) => Self::Transition,
            EventKind::RestoreBegun => Self::RestorePost,
            EventKind::RestoreCompleted(_) => Self::RestoreCompleted,
            EventKind::RestoreExpired => Self::RestoreDelete,
        }
    }

    /// Whether a configuration that asks for `pattern` asks for this: its own name, or that of
    /// its family as `s3:ObjectCreated:*`.
    pub fn is_asked_by(self, pattern: &str) -> bool {
        match pattern.strip_suffix(":*") {
            None => pattern == self.as_str(),
            Some(family) => {
                let rest = self.as_str().strip_prefix(family);
                family.contains(':') && rest.is_some_and(|rest| rest.starts_with(':'))
            }
        }
    }
}

/// Whether some event is asked for by the pattern.
pub(crate) fn is_known(pattern: &str) -> bool {
    EventName::ALL.into_iter().any(|name| name.is_asked_by(pattern))
}

/// Why what the pattern asks for never happens here, if AWS has it.
pub(crate) fn never_happens(pattern: &str) -> Option<&'static str> {
    NEVER.iter().find(|(name, _)| pattern.starts_with(name)).map(|(_, why)| *why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for name in EventName::ALL {
            assert!(is_known(name.as_str()));
            assert!(EventName::ALL.iter().filter(|it| it.is_asked_by(name.as_str())).count() == 1);
        }
        let asked = |pattern| EventName::ALL.iter().filter(|it| it.is_asked_by(pattern)).count();
        for (pattern, count) in [
            ("s3:ObjectCreated:*", 4),
            ("s3:ObjectRemoved:*", 2),
            ("s3:ObjectRestore:*", 3),
            ("s3:ObjectTagging:*", 2),
            ("s3:LifecycleExpiration:*", 2),
            ("s3:LifecycleTransition", 1),
            ("s3:LifecycleTransition:*", 0),
            ("s3:*", 0),
            ("s3:Object:*", 0),
            ("s3:ObjectCreated", 0),
            ("s3:ObjectCreated:", 0),
            ("s3:ObjectCreated:P*", 0),
            ("s3:objectcreated:put", 0),
            ("*", 0),
            (":*", 0),
            ("", 0),
        ] {
            assert_eq!(asked(pattern), count, "{pattern}");
        }
        assert!(never_happens("s3:Replication:*").is_some());
        assert!(never_happens("s3:ObjectRestore:*").is_none());
    }
}
