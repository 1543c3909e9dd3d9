//! Identifiers. Each is a newtype, so that a disk can never be passed for a
//! node or a placement group.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! number_id {
    ($(#[$doc:meta])* $name:ident($inner:ty), $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default)]
        #[serde(transparent)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{}"), self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}

number_id!(
    /// A node of the cluster. Allocated once by the root group, never reused:
    /// a wiped node comes back under a new id.
    NodeId(u64), "n"
);
number_id!(
    /// A disk of a data node. Allocated once by the root group, never reused.
    DiskId(u32), "d"
);
number_id!(
    /// A placement group: an ordered set of `n` disks.
    PgId(u32), "pg"
);
number_id!(
    /// A Raft group. Group 0 is the root group.
    GroupId(u32), "g"
);
number_id!(
    /// The version of a descriptor (partition, placement group, cluster map).
    /// It only grows; a request that carries an older one is refused.
    Epoch(u64), "e"
);
number_id!(
    /// A bucket's random 64-bit identity. A bucket that is deleted and made
    /// again under the same name has another one.
    BucketId(u64), "b"
);

impl GroupId {
    /// The root group.
    pub const ROOT: GroupId = GroupId(0);
}

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// The 16 bytes in the order in which they sort.
            pub fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }

            /// The id with these 16 bytes.
            pub fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(Uuid::from_bytes(bytes))
            }

            /// Reads the hyphenated or the simple hexadecimal form.
            pub fn parse(text: &str) -> Option<Self> {
                Uuid::try_parse(text).ok().map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0.simple())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0.simple())
            }
        }
    };
}

uuid_id!(
    /// The cluster: every file, disk and internal request carries it.
    ClusterId
);
uuid_id!(
    /// The random identity of a node's data folder, made when it is formatted.
    InstanceId
);
uuid_id!(
    /// What a disk calls itself in its format file, before and after it has a [`DiskId`].
    DiskUuid
);
uuid_id!(
    /// The bytes of one object version or part, see [`BlobId::new`].
    BlobId
);
uuid_id!(
    /// One multipart upload. Version 7: uploads of one key list in the order of their start.
    UploadId
);
uuid_id!(
    /// One attempt to change metadata. A retry carries the same id and gets the same answer.
    WriteId
);

impl BlobId {
    /// The id of a blob of this group that is made at this time. The group comes first, so that a
    /// disk lists the shards of one group together; within a group, ids made later sort later.
    ///
    /// ```text
    /// group 4 B | milliseconds 6 B | random 6 B
    /// ```
    pub fn new(group: PgId, at: UnixMillis, random: [u8; 6]) -> Self {
        let mut bytes = [0; 16];
        bytes[..4].copy_from_slice(&group.0.to_be_bytes());
        bytes[4..10].copy_from_slice(&at.0.to_be_bytes()[2..]);
        bytes[10..].copy_from_slice(&random);
        Self::from_bytes(bytes)
    }

    /// The placement group that the blob was made for.
    pub fn group(&self) -> PgId {
        let bytes = self.as_bytes().first_chunk().expect("an id has 16 bytes");
        PgId(u32::from_be_bytes(*bytes))
    }
}

/// Milliseconds since the Unix epoch, UTC.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default,
)]
#[serde(transparent)]
pub struct UnixMillis(pub u64);

impl UnixMillis {
    /// This time and `millis` later; stays at the end of time instead of wrapping.
    pub fn plus(self, millis: u64) -> Self {
        Self(self.0.saturating_add(millis))
    }

    /// Milliseconds from `earlier` to this time; zero if it is not earlier.
    pub fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blobs_sort_by_group_then_by_time() {
        let id = |group, at, random| BlobId::new(PgId(group), UnixMillis(at), [random; 6]);
        let sorted = [id(1, 5, 9), id(1, 6, 0), id(1, 6, 1), id(2, 0, 0), id(256, 0, 0)];
        assert!(sorted.is_sorted());
        assert_eq!(sorted.map(|id| id.group().0), [1, 1, 1, 2, 256]);
        assert_eq!(id(1, 0x0203_0405_0607, 8).to_string(), "00000001020304050607080808080808");
    }
}
