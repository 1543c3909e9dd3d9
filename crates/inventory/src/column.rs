//! What a report has of an object: columns, their names in both formats, and their values.

use types::{
    ChecksumAlgorithm, ETag, ObjectLock, RetentionMode, StorageClass, UnixMillis, Version,
};

use crate::{Configuration, Field, Versions};

/// A version of a key, as the index lists it.
#[derive(Clone, Debug)]
pub struct Entry<'a> {
    /// The key.
    pub key: &'a str,
    /// What clients call the version.
    pub version: Version,
    /// Whether it is the current one.
    pub latest: bool,
    /// When it was made.
    pub modified: UnixMillis,
    /// `None` for a delete marker.
    pub object: Option<Object>,
}

/// What only an object has.
#[derive(Clone, Debug)]
pub struct Object {
    /// Bytes.
    pub size: u64,
    /// Entity tag.
    pub etag: ETag,
    /// Storage class.
    pub class: StorageClass,
    /// Algorithm of the stored checksum.
    pub checksum: Option<ChecksumAlgorithm>,
    /// What keeps it from being deleted.
    pub lock: ObjectLock,
}

/// A column of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are AWS's")]
pub enum Column {
    Bucket,
    Key,
    VersionId,
    IsLatest,
    IsDeleteMarker,
    Optional(Field),
}

/// What the values of a column are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// UTF-8.
    Text,
    /// Yes or no.
    Bool,
    /// A number from 0.
    Number,
    /// Milliseconds since the epoch.
    Time,
}

/// A value; the kind is its column's.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the kinds say it")]
pub enum Value {
    Text(String),
    Bool(bool),
    Number(i64),
    Time(UnixMillis),
}

impl Column {
    /// The columns of a configuration's reports, in AWS's order whatever the order of its fields.
    pub fn of(configuration: &Configuration) -> Vec<Self> {
        let mut columns = vec![Self::Bucket, Self::Key];
        if configuration.versions == Versions::All {
            columns.extend([Self::VersionId, Self::IsLatest, Self::IsDeleteMarker]);
        }
        let asked = |field: &Field| configuration.fields.contains(field);
        columns.extend(Field::ALL.into_iter().filter(asked).map(Self::Optional));
        columns
    }

    /// As a CSV report's schema calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bucket => "Bucket",
            Self::Key => "Key",
            Self::VersionId => "VersionId",
            Self::IsLatest => "IsLatest",
            Self::IsDeleteMarker => "IsDeleteMarker",
            Self::Optional(field) => field.name(),
        }
    }

    /// As a Parquet report calls it: `last_modified_date`, `e_tag`.
    pub fn snake_name(self) -> String {
        let mut snake = String::new();
        for (at, letter) in self.name().char_indices() {
            if letter.is_ascii_uppercase() && at > 0 {
                snake.push('_');
            }
            snake.push(letter.to_ascii_lowercase());
        }
        snake
    }

    /// What its values are.
    pub fn kind(self) -> Kind {
        match self {
            Self::IsLatest | Self::IsDeleteMarker => Kind::Bool,
            Self::Optional(Field::IsMultipartUploaded) => Kind::Bool,
            Self::Optional(Field::Size) => Kind::Number,
            Self::Optional(Field::LastModifiedDate | Field::ObjectLockRetainUntilDate) => {
                Kind::Time
            }
            _ => Kind::Text,
        }
    }

    /// Whether every version has a value.
    pub fn is_required(self) -> bool {
        matches!(self, Self::Bucket | Self::Key)
    }

    /// The value of this column for a version of `bucket`; `None` where AWS leaves it empty.
    pub fn value(
        self,
        bucket: &str,
        configuration: &Configuration,
        entry: &Entry<'_>,
    ) -> Option<Value> {
        match self {
            Self::Bucket => text(bucket),
            Self::Key => text(entry.key),
            // A null version has no id in a report.
            Self::VersionId => match entry.version {
                Version::Null => None,
                Version::Id(id) => text(&id.to_string()),
            },
            Self::IsLatest => Some(Value::Bool(entry.latest)),
            Self::IsDeleteMarker => Some(Value::Bool(entry.object.is_none())),
            Self::Optional(Field::LastModifiedDate) => Some(Value::Time(entry.modified)),
            Self::Optional(Field::ObjectOwner) => text(&configuration.owner),
            Self::Optional(field) => of_object(field, entry.object.as_ref()?),
        }
    }
}

fn text(text: &str) -> Option<Value> {
    Some(Value::Text(text.to_owned()))
}

fn of_object(field: Field, object: &Object) -> Option<Value> {
    match field {
        Field::Size => i64::try_from(object.size).ok().map(Value::Number),
        Field::ETag => text(&object.etag.to_string()),
        Field::StorageClass => text(object.class.as_str()),
        Field::IsMultipartUploaded => Some(Value::Bool(object.etag.parts > 0)),
        // AWS leaves it empty where nothing is replicated, as here.
        Field::ReplicationStatus => None,
        // AWS's word for what no server-side encryption has touched.
        Field::EncryptionStatus => text("NOT-SSE"),
        // There are no bucket keys where there is no key management: never a lie.
        Field::BucketKeyStatus => text("DISABLED"),
        Field::ObjectLockRetainUntilDate => object.lock.retention.map(|it| Value::Time(it.until)),
        Field::ObjectLockMode => object.lock.retention.and_then(|it| {
            text(match it.mode {
                RetentionMode::Governance => "GOVERNANCE",
                RetentionMode::Compliance => "COMPLIANCE",
            })
        }),
        Field::ObjectLockLegalHoldStatus => {
            text(if object.lock.legal_hold == Some(true) { "ON" } else { "OFF" })
        }
        // The class has one tier here, the one of frequent access.
        Field::IntelligentTieringAccessTier => match object.class {
            StorageClass::IntelligentTiering => text("FREQUENT"),
            _ => None,
        },
        Field::ChecksumAlgorithm => object.checksum.and_then(|it| text(checksum_name(it))),
        // They are known for delete markers, too.
        Field::LastModifiedDate | Field::ObjectOwner => None,
    }
}

fn checksum_name(algorithm: ChecksumAlgorithm) -> &'static str {
    match algorithm {
        ChecksumAlgorithm::Crc32 => "CRC32",
        ChecksumAlgorithm::Crc32c => "CRC32C",
        ChecksumAlgorithm::Crc64Nvme => "CRC64NVME",
        ChecksumAlgorithm::Sha1 => "SHA1",
        ChecksumAlgorithm::Sha256 => "SHA256",
        ChecksumAlgorithm::Sha512 => "SHA512",
        ChecksumAlgorithm::Md5 => "MD5",
        ChecksumAlgorithm::XxHash64 => "XXHASH64",
        ChecksumAlgorithm::XxHash3 => "XXHASH3",
        ChecksumAlgorithm::XxHash128 => "XXHASH128",
    }
}
