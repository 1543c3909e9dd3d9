//! How far the scrub is, as the root group keeps it: one cursor for the round and the inventories,
//! and one for each disk.

use serde::{Deserialize, Serialize};
use types::{DiskId, PgId, ShardId, UnixMillis};

use crate::{heal::pass::Facts, progress::Rounds, saved};

/// The name of the cursor of the round.
pub(super) const NAME: &str = "scrub";

/// The name of a disk's.
pub(super) fn name_of(disk: DiskId) -> String {
    format!("{NAME}-{disk}")
}

/// The version of the stored forms.
const VERSION: u8 = 1;

/// The round, and the comparison of inventories.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
pub(super) struct Cursor {
    pub(super) rounds: Rounds,
    /// Whether somebody asked for the round that is under way.
    pub(super) is_fast: bool,
    /// The last request that was followed.
    pub(super) request: Option<UnixMillis>,
    /// When the last comparison of inventories began.
    pub(super) compared: Option<UnixMillis>,
    /// Where it is; `None` if it has ended.
    pub(super) at: Option<Position>,
}

/// How far the comparison is: first group by group, then disk by disk, because a disk may have
/// shards of groups that do not name it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Position {
    /// The first group that it is not done with, and how far it is there.
    Group(PgId, Option<Facts>),
    /// The first disk that it is not done with, and the last shard there that it is done with.
    Disk(DiskId, Option<ShardId>),
}

impl Position {
    /// Where every comparison begins.
    pub(super) const BEGINNING: Position = Position::Group(PgId(0), None);
}

/// How far a disk is verified.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
pub(super) struct DiskCursor {
    /// When the round began that this is about.
    pub(super) round: UnixMillis,
    pub(super) after: Option<ShardId>,
    pub(super) is_done: bool,
    /// Bytes of the shards that were read.
    pub(super) bytes: u64,
    /// Bad shards that could not be replaced yet.
    pub(super) stuck: Vec<ShardId>,
}

impl Cursor {
    pub(super) fn encode(&self) -> Vec<u8> {
        saved::encode(VERSION, self)
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        saved::decode(VERSION, bytes)
    }
}

impl DiskCursor {
    pub(super) fn encode(&self) -> Vec<u8> {
        saved::encode(VERSION, self)
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        saved::decode(VERSION, bytes)
    }
}

#[cfg(test)]
mod tests {
    use metastore::api::root::CURSOR_BYTES_MAX;
    use types::BlobId;

    use super::{super::STUCK_MAX, *};

    #[test]
    fn they_come_back_as_they_were_and_fit() {
        let shard = ShardId { blob: BlobId::from_bytes([0xff; 16]), rank: u8::MAX };
        let disk = DiskCursor {
            round: UnixMillis(u64::MAX),
            after: Some(shard),
            is_done: false,
            bytes: u64::MAX,
            stuck: vec![shard; STUCK_MAX],
        };
        assert!(disk.encode().len() <= CURSOR_BYTES_MAX);
        assert_eq!(DiskCursor::decode(&disk.encode()), Some(disk));
        for at in [Position::BEGINNING, Position::Disk(DiskId(3), Some(shard))] {
            let cursor = Cursor { is_fast: true, at: Some(at), ..Cursor::default() };
            assert_eq!(Cursor::decode(&cursor.encode()), Some(cursor));
        }
        assert_eq!(Cursor::decode(&[7]), None);
    }
}
