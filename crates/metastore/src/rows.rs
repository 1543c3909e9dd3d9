//! What the rows of [`crate::keys`] hold: one version byte, then postcard.
//!
//! Row types differ from the types of [`crate::api`] where a row says less (its key says
//! the rest) or more. When a row type must change: freeze the present one as `mod v1`,
//! give the new one `impl From<v1::X>`, raise [`RowValue::VERSION`] and let `decode` walk
//! the chain; golden files hold every version readable for ever.

use bytes::Bytes;
use consensus::{KvError, KvRead, KvWrite};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use types::{
    Attributes, BlobRef, BucketSettings, Checksum, ChecksumAlgorithm, ChecksumKind, ClusterId,
    Disk, DiskId, Epoch, ErasurePolicy, FeatureLevel, Node, NodeId, ObjectHead, ObjectLock,
    Partition, PlacementGroup, StorageClasses, UnixMillis, UploadId, Version, VersionId,
};

use crate::api::{
    index::{Data, Event, Garbage, IndexAnswer, Part, RepairRow, Upload},
    root::{Bucket, MetaMembers},
};

/// A value that lies in a row.
pub trait RowValue: Serialize + Sized {
    /// Version 1 of the row. The same type while there is no version 2.
    type V1: DeserializeOwned + Into<Self>;
    /// The version that is written.
    const VERSION: u8 = 1;
    /// What an error calls the row.
    const NAME: &'static str;

    /// The bytes of the row.
    fn encode(&self) -> Vec<u8> {
        postcard::to_extend(self, vec![Self::VERSION])
            .expect("rows are plain data and a Vec grows as needed")
    }

    /// The row that these bytes are. Anything else means a corrupt store, or one that a
    /// newer version has written: the group must stop.
    fn decode(bytes: &[u8]) -> Result<Self, KvError> {
        let name = Self::NAME;
        let (version, rest) =
            bytes.split_first().ok_or_else(|| KvError(format!("{name} row is empty")))?;
        match version {
            1 => match postcard::take_from_bytes::<Self::V1>(rest) {
                Ok((row, [])) => Ok(row.into()),
                Ok(_) => Err(KvError(format!("{name} row has trailing bytes"))),
                Err(error) => Err(KvError(format!("{name} row: {error}"))),
            },
            version => Err(KvError(format!("{name} row of unknown version {version}"))),
        }
    }
}

macro_rules! row_value {
    ($($type:ty => $name:literal),* $(,)?) => {
        $(impl RowValue for $type {
            type V1 = Self;
            const NAME: &'static str = $name;
        })*
    };
}

row_value! {
    ObjectHead => "head",
    VersionRow => "version",
    VersionId => "null version",
    UploadRow => "upload",
    PartRow => "part",
    Gate => "gate",
    Garbage => "garbage",
    AppliedWrite => "applied write",
    Marker => "marker",
    RepairRow => "repair",
    Event => "event",
    UnixMillis => "time",
    u64 => "counter",
    ClusterRow => "cluster",
    Node => "node",
    NodeId => "node id",
    Disk => "disk",
    DiskId => "disk id",
    PlacementGroup => "placement group",
    Partition => "partition",
    BucketRow => "bucket",
    ConfigRow => "bucket configuration",
    CursorRow => "cursor",
    String => "bucket name",
    Epoch => "epoch",
    MetaMembers => "metadata members",
}

/// Reads a row.
pub fn get<T: RowValue>(rows: &dyn KvRead, key: &[u8]) -> Result<Option<T>, KvError> {
    rows.get(key)?.map(|value| T::decode(&value)).transpose()
}

/// Sets a row.
pub fn put<T: RowValue>(rows: &mut dyn KvWrite, key: &[u8], value: &T) {
    rows.put(key, &value.encode());
}

/// Whether any row's key starts with `prefix`: one seek.
pub fn any(rows: &dyn KvRead, prefix: &[u8]) -> Result<bool, KvError> {
    let end = crate::keys::successor(prefix);
    Ok(rows.scan(prefix, end.as_deref()).next().transpose()?.is_some())
}

/// A bucket's gate in a partition; no row means that it was never opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Gate {
    /// Keys may be written and read, as these settings say.
    Open(BucketSettings),
    /// The bucket is gone, for ever: ids are never reused.
    Sealed,
}

/// A version that is not the current object; its id is in the row's key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum VersionRow {
    /// An object that is no longer the current one.
    Object(Box<ObjectHead>),
    /// A delete marker, current or not.
    Marker {
        /// Whether its name is `null`.
        null: bool,
        /// When it was made.
        modified: UnixMillis,
    },
}

impl VersionRow {
    /// Whether its name is `null`.
    pub fn is_null(&self) -> bool {
        match self {
            Self::Object(head) => head.null,
            Self::Marker { null, .. } => *null,
        }
    }

    /// What clients call it.
    pub fn name(&self, id: VersionId) -> Version {
        if self.is_null() { Version::Null } else { Version::Id(id) }
    }

    /// The object, if it is one.
    pub fn object(&self) -> Option<&ObjectHead> {
        match self {
            Self::Object(head) => Some(head),
            Self::Marker { .. } => None,
        }
    }
}

/// A multipart upload in progress; id and key are in the row's key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UploadRow {
    /// When it began.
    pub initiated: UnixMillis,
    /// Attributes of the object to be.
    pub attributes: Attributes,
    /// The checksum algorithm and kind asked for.
    pub checksum: Option<(ChecksumAlgorithm, ChecksumKind)>,
}

impl UploadRow {
    /// The upload with its names.
    pub fn with(self, id: UploadId, key: String) -> Upload {
        Upload {
            id,
            key,
            initiated: self.initiated,
            attributes: self.attributes,
            checksum: self.checksum,
        }
    }
}

/// Where a part's bytes are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PartData {
    /// Here.
    Inline(Bytes),
    /// In a blob.
    Blob(BlobRef),
}

impl From<PartData> for Data {
    fn from(data: PartData) -> Self {
        match data {
            PartData::Inline(bytes) => Data::Inline(bytes),
            PartData::Blob(blob) => Data::Blob { blob, missing: Vec::new() },
        }
    }
}

/// A part; its number is in the row's key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartRow {
    /// Bytes.
    pub size: u64,
    /// MD5 of the bytes.
    pub md5: [u8; 16],
    /// Its checksum.
    pub checksum: Option<Checksum>,
    /// When it was applied.
    pub modified: UnixMillis,
    /// Where the bytes are.
    pub data: PartData,
}

impl PartRow {
    /// The part with its number.
    pub fn with(self, number: u16) -> Part {
        Part {
            number,
            size: self.size,
            md5: self.md5,
            checksum: self.checksum,
            modified: self.modified,
            data: self.data.into(),
        }
    }

    /// The blob of the part, if it is not inline.
    pub fn blob(&self) -> Option<&BlobRef> {
        match &self.data {
            PartData::Inline(_) => None,
            PartData::Blob(blob) => Some(blob),
        }
    }
}

/// A write that was applied and what it was answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppliedWrite {
    /// When.
    pub at: UnixMillis,
    /// The first answer.
    pub answer: FirstAnswer,
}

/// The first answer to a write.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FirstAnswer {
    /// The object that the command described was put, with this added. The repeated command
    /// says the rest, so that up to 4 KiB of inline bytes are not stored twice.
    Put(Made),
    /// As it was.
    Answer(IndexAnswer),
}

/// What the state machine adds to the version that a put describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Made {
    /// Which version it is; its time is the object's.
    pub version: VersionId,
    /// Whether its name is `null`.
    pub null: bool,
    /// What was asked for, or else the bucket's default.
    pub lock: ObjectLock,
}

/// The value of a row whose key says everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marker;

/// The cluster's identity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterRow {
    /// Its id.
    pub cluster: ClusterId,
    /// The policy that it was made with.
    pub policy: ErasurePolicy,
    /// What becomes of new blobs, by storage class.
    pub classes: StorageClasses,
    /// The formats and protocols that are in use.
    pub level: FeatureLevel,
}

/// A bucket; its name is in the row's key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BucketRow {
    /// Its identity.
    pub id: types::BucketId,
    /// When it was created.
    pub created: UnixMillis,
    /// Whether its deletion has begun.
    pub deleting: bool,
    /// What its gate was opened with.
    pub initial: BucketSettings,
}

impl BucketRow {
    /// The bucket with its name.
    pub fn with(self, name: String) -> Bucket {
        let Self { id, created, deleting, initial } = self;
        Bucket { id, name, created, deleting, initial }
    }
}

/// A document of a bucket's configuration; what it is is in the row's key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigRow(pub Bytes);

/// How far a background worker has come, in its own form; its name is in the row's key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CursorRow(pub Bytes);
