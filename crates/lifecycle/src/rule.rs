//! What the rules of a bucket say, and the bytes in which they are stored.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use types::{StorageClass, UnixMillis};

/// The lifecycle configuration of a bucket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct Lifecycle {
    /// In the order in which they were given; at most [`Lifecycle::RULES_MAX`].
    pub rules: Vec<Rule>,
    /// Which objects are too small to be moved by rules that name no size.
    pub minimum: TransitionMinimum,
}

/// Which objects are too small to be moved to another storage class, where the rule's filter
/// names no size: its own sizes go before this. AWS: PutBucketLifecycleConfiguration,
/// `x-amz-transition-default-minimum-object-size`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
pub enum TransitionMinimum {
    /// Those under [`TransitionMinimum::BYTES`], whatever the class.
    #[default]
    AllClasses,
    /// Those under [`TransitionMinimum::BYTES`], but GLACIER and DEEP_ARCHIVE take any size.
    VariesByClass,
}

impl TransitionMinimum {
    /// Objects of fewer bytes are small.
    pub const BYTES: u64 = 128 * 1024;

    /// As the header says it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AllClasses => "all_storage_classes_128K",
            Self::VariesByClass => "varies_by_storage_class",
        }
    }

    /// The fewest bytes of an object that is moved to `class`.
    pub fn bytes(self, class: StorageClass) -> u64 {
        match self {
            Self::VariesByClass if class.is_archive() => 0,
            Self::AllClasses | Self::VariesByClass => Self::BYTES,
        }
    }
}

/// One rule. It says at least one of: expire, expire noncurrent, abort uploads, move current or
/// noncurrent versions to another storage class.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct Rule {
    /// Unique in the configuration; at most 255 characters.
    pub id: String,
    /// A disabled rule does nothing.
    pub enabled: bool,
    /// Whether the prefix was given in the rule itself, as older clients do, and not in a
    /// filter: it is shown as it was given.
    pub bare_prefix: bool,
    /// What it applies to.
    pub filter: Filter,
    /// When the current version ends: deleted, or hidden by a delete marker.
    pub expiration: Option<When>,
    /// Whether a delete marker with no version under it is removed.
    pub expired_markers: bool,
    /// When versions that are not current are removed.
    pub noncurrent: Option<NoncurrentExpiration>,
    /// Days after its beginning at which an upload that is still in progress is aborted.
    pub abort_uploads_days: Option<u32>,
    /// When the current version is moved to other storage classes; in the order of the classes,
    /// each at most once.
    pub transitions: Vec<Transition>,
    /// When versions that are not current are moved to other storage classes; likewise.
    pub noncurrent_transitions: Vec<NoncurrentTransition>,
}

/// What a rule applies to: all of this holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct Filter {
    /// The key begins with it.
    pub prefix: String,
    /// The version has all these tags.
    pub tags: BTreeMap<String, String>,
    /// It has more bytes than this.
    pub larger_than: Option<u64>,
    /// It has fewer bytes than this.
    pub smaller_than: Option<u64>,
}

/// When the current version is moved to a storage class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transition {
    /// The time. Days may be 0 here: at the next midnight.
    pub when: When,
    /// The class; neither STANDARD nor REDUCED_REDUNDANCY.
    pub to: StorageClass,
}

/// When versions that are not current are moved to a storage class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoncurrentTransition {
    /// Days after the next version was made; may be 0.
    pub days: u32,
    /// So many of the latest noncurrent versions are left alone whatever their age; at most 100.
    pub keep: u32,
    /// The class; neither STANDARD nor REDUCED_REDUNDANCY.
    pub to: StorageClass,
}

/// A time that a rule names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum When {
    /// So many days after the version was made; at least 1 where it expires.
    Days(u32),
    /// From this time on, a midnight of UTC, for versions however old.
    Date(UnixMillis),
}

/// When versions that are not current are removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoncurrentExpiration {
    /// Days after the next version was made; at least 1.
    pub days: u32,
    /// So many of the latest noncurrent versions are kept whatever their age; at most 100.
    pub keep: u32,
}

/// Stored rules that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("stored lifecycle rules cannot be read: {0}")]
pub struct Unreadable(String);

/// The version of the stored form.
const VERSION: u8 = 1;

impl Lifecycle {
    /// Rules of one bucket at most. AWS: PutBucketLifecycleConfiguration.
    pub const RULES_MAX: usize = 1000;

    /// The stored form: one version byte, then postcard.
    pub fn encode(&self) -> Vec<u8> {
        postcard::to_extend(self, vec![VERSION])
            .expect("rules are plain data and a Vec grows as needed")
    }

    /// The rules that these bytes are.
    pub fn decode(bytes: &[u8]) -> Result<Self, Unreadable> {
        match bytes.split_first() {
            Some((&VERSION, rest)) => match postcard::take_from_bytes(rest) {
                Ok((rules, [])) => Ok(rules),
                Ok(_) => Err(Unreadable("trailing bytes".to_owned())),
                Err(error) => Err(Unreadable(error.to_string())),
            },
            Some((version, _)) => Err(Unreadable(format!("unknown version {version}"))),
            None => Err(Unreadable("no bytes".to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stored_form_is_fixed() {
        let rule = Rule {
            id: "r".to_owned(),
            enabled: true,
            bare_prefix: false,
            filter: Filter {
                prefix: "p/".to_owned(),
                tags: BTreeMap::from([("k".to_owned(), "v".to_owned())]),
                larger_than: Some(5),
                smaller_than: None,
            },
            expiration: Some(When::Date(UnixMillis(86_400_000))),
            expired_markers: false,
            noncurrent: Some(NoncurrentExpiration { days: 3, keep: 2 }),
            abort_uploads_days: Some(7),
            transitions: vec![
                Transition { when: When::Days(30), to: StorageClass::StandardIa },
                Transition { when: When::Days(90), to: StorageClass::Glacier },
            ],
            noncurrent_transitions: vec![NoncurrentTransition {
                days: 4,
                keep: 1,
                to: StorageClass::DeepArchive,
            }],
        };
        let rules = Lifecycle { rules: vec![rule], minimum: TransitionMinimum::VariesByClass };
        let golden = [
            1, 1, 1, b'r', 1, 0, 2, b'p', b'/', 1, 1, b'k', 1, b'v', 1, 5, 0, 1, 1, 0x80, 0xb8,
            0x99, 0x29, 0, 1, 3, 2, 1, 7, 2, 0, 30, 2, 0, 90, 6, 1, 4, 1, 7, 1,
        ];
        assert_eq!(rules.encode(), golden);
        assert_eq!(Lifecycle::decode(&golden), Ok(rules));
        for bytes in [&[][..], &[2, 0, 0], &[1, 0, 0, 0], &golden[..9]] {
            assert!(Lifecycle::decode(bytes).is_err(), "{bytes:?}");
        }
    }
}
