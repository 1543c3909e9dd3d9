//! What an inventory configuration says, and the bytes in which it is stored.

use serde::{Deserialize, Serialize};
use types::UnixMillis;

/// An inventory of a bucket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Configuration {
    /// Unique in the bucket.
    pub id: String,
    /// A disabled one makes no reports, except on demand.
    pub enabled: bool,
    /// Which versions are listed.
    pub versions: Versions,
    /// Only keys that begin with it; `None` if the configuration has no filter.
    pub prefix: Option<String>,
    /// How often.
    pub frequency: Frequency,
    /// What else is told of an object; in the order in which they were given, each once.
    pub fields: Vec<Field>,
    /// Where the reports go.
    pub destination: Destination,
    /// The canonical id of the bucket's owner, who owns all its objects.
    pub owner: String,
    /// When it was put: the first report does not wait for a Sunday.
    pub made: UnixMillis,
}

/// Where reports go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Destination {
    /// The bucket's name.
    pub bucket: String,
    /// Its owner as the request said; shown as it was given.
    pub account: Option<String>,
    /// The keys of all files begin with it and a slash; `None` if it was not given.
    pub prefix: Option<String>,
    /// What the data files are.
    pub format: Format,
}

/// The format of data files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Format {
    /// Comma-separated values, compressed by gzip.
    Csv,
    /// Apache Parquet.
    Parquet,
}

/// Which versions a report lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Versions {
    /// The current object of each key.
    Current,
    /// All of them, delete markers as well.
    All,
}

/// How often reports are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Frequency {
    /// Every day.
    Daily,
    /// Every Sunday of UTC.
    Weekly,
}

/// What a report can tell of an object besides its key. The order is the one of AWS's columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names are AWS's")]
pub enum Field {
    Size,
    LastModifiedDate,
    ETag,
    StorageClass,
    IsMultipartUploaded,
    ReplicationStatus,
    EncryptionStatus,
    ObjectLockRetainUntilDate,
    ObjectLockMode,
    ObjectLockLegalHoldStatus,
    IntelligentTieringAccessTier,
    BucketKeyStatus,
    ChecksumAlgorithm,
    ObjectOwner,
}

impl Field {
    /// All of them, in the order of AWS's columns.
    pub const ALL: [Self; 14] = [
        Self::Size,
        Self::LastModifiedDate,
        Self::ETag,
        Self::StorageClass,
        Self::IsMultipartUploaded,
        Self::ReplicationStatus,
        Self::EncryptionStatus,
        Self::ObjectLockRetainUntilDate,
        Self::ObjectLockMode,
        Self::ObjectLockLegalHoldStatus,
        Self::IntelligentTieringAccessTier,
        Self::BucketKeyStatus,
        Self::ChecksumAlgorithm,
        Self::ObjectOwner,
    ];

    /// Fields of AWS that this system knows nothing true about: it has no ACLs and no event
    /// holds, does not look at accesses, and a lifecycle end is computed when it is asked for.
    pub const UNSUPPORTED: [&str; 5] = [
        "ObjectAccessControlList",
        "LifecycleExpirationDate",
        "IntelligentTieringReferenceDate",
        "ObjectLockEventHoldDuration",
        "ObjectLockEventHoldStatus",
    ];

    /// As AWS writes it: `LastModifiedDate`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Size => "Size",
            Self::LastModifiedDate => "LastModifiedDate",
            Self::ETag => "ETag",
            Self::StorageClass => "StorageClass",
            Self::IsMultipartUploaded => "IsMultipartUploaded",
            Self::ReplicationStatus => "ReplicationStatus",
            Self::EncryptionStatus => "EncryptionStatus",
            Self::ObjectLockRetainUntilDate => "ObjectLockRetainUntilDate",
            Self::ObjectLockMode => "ObjectLockMode",
            Self::ObjectLockLegalHoldStatus => "ObjectLockLegalHoldStatus",
            Self::IntelligentTieringAccessTier => "IntelligentTieringAccessTier",
            Self::BucketKeyStatus => "BucketKeyStatus",
            Self::ChecksumAlgorithm => "ChecksumAlgorithm",
            Self::ObjectOwner => "ObjectOwner",
        }
    }

    /// The field of this name.
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|field| field.name() == name)
    }
}

/// A stored configuration that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a stored inventory configuration cannot be read: {0}")]
pub struct Unreadable(String);

/// The version of the stored form.
const VERSION: u8 = 1;

impl Configuration {
    /// Configurations of one bucket at most. AWS: PutBucketInventoryConfiguration.
    pub const COUNT_MAX: usize = 1000;

    /// The stored form: one version byte, then postcard.
    pub fn encode(&self) -> Vec<u8> {
        postcard::to_extend(self, vec![VERSION])
            .expect("a configuration is plain data and a Vec grows as needed")
    }

    /// The configuration that these bytes are.
    pub fn decode(bytes: &[u8]) -> Result<Self, Unreadable> {
        match bytes.split_first() {
            Some((&VERSION, rest)) => match postcard::take_from_bytes(rest) {
                Ok((configuration, [])) => Ok(configuration),
                Ok(_) => Err(Unreadable("trailing bytes".to_owned())),
                Err(error) => Err(Unreadable(error.to_string())),
            },
            Some((version, _)) => Err(Unreadable(format!("unknown version {version}"))),
            None => Err(Unreadable("no bytes".to_owned())),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A configuration with the shortest of everything.
    pub(crate) fn example(format: Format) -> Configuration {
        Configuration {
            id: "i".to_owned(),
            enabled: true,
            versions: Versions::All,
            prefix: None,
            frequency: Frequency::Daily,
            fields: Vec::new(),
            destination: Destination {
                bucket: "dst".to_owned(),
                account: None,
                prefix: None,
                format,
            },
            owner: "o".to_owned(),
            made: UnixMillis(5),
        }
    }

    #[test]
    fn the_stored_form_is_fixed() {
        let configuration = Configuration {
            prefix: Some("p".to_owned()),
            frequency: Frequency::Weekly,
            fields: vec![Field::ETag, Field::Size, Field::ObjectOwner],
            destination: Destination {
                account: Some("1".to_owned()),
                prefix: Some(String::new()),
                ..example(Format::Parquet).destination
            },
            ..example(Format::Parquet)
        };
        let golden = [
            1, 1, b'i', 1, 1, 1, 1, b'p', 1, 3, 2, 0, 13, 3, b'd', b's', b't', 1, 1, b'1', 1, 0, 1,
            1, b'o', 5,
        ];
        assert_eq!(configuration.encode(), golden);
        assert_eq!(Configuration::decode(&golden), Ok(configuration));
        for bytes in [&[][..], &[2, 0], &[1, 0, 0], &golden[..9], &[&golden[..], &[0]].concat()] {
            assert!(Configuration::decode(bytes).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn names_come_back_in_the_order_of_columns() {
        assert!(Field::ALL.is_sorted());
        for field in Field::ALL {
            assert_eq!(Field::of(field.name()), Some(field));
            assert!(!Field::UNSUPPORTED.contains(&field.name()));
        }
        assert_eq!(Field::of("size"), None);
    }
}
