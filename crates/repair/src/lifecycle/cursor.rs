//! How far the walk of a day has come, as the root group keeps it.

use metastore::api::index::VersionsAfter;
use serde::{Deserialize, Serialize};
use types::UploadId;

use super::walk::Walk;
use crate::{progress::Rounds, saved};

/// Where a page of uploads begins.
pub(super) type AfterUpload = Option<(String, Option<UploadId>)>;

/// How far the walk has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Cursor {
    /// The day of the walk, counted from the epoch.
    pub(super) day: u64,
    /// Whether that walk has ended.
    pub(super) done: bool,
    /// The last bucket that was walked to its end.
    pub(super) last: String,
    /// The bucket being walked, and where.
    pub(super) at: Option<(String, Stage)>,
    /// The round of the day and the one before, so that another node shows them too.
    pub(super) rounds: Rounds,
}

/// What of a bucket is being walked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Stage {
    /// Its versions.
    Versions(Walk),
    /// Its uploads in progress.
    Uploads(AfterUpload),
}

impl Stage {
    /// The key after which it goes on; empty at the beginning.
    pub(super) fn key(&self) -> &str {
        match self {
            Self::Versions(walk) => walk.after.as_ref().map_or("", |after| match after {
                VersionsAfter::Key(key)
                | VersionsAfter::Version(key, _)
                | VersionsAfter::Null(key)
                | VersionsAfter::Prefix(key) => key,
            }),
            Self::Uploads(after) => after.as_ref().map_or("", |(key, _)| key),
        }
    }
}

/// The version of the stored form.
const VERSION: u8 = 1;

impl Default for Cursor {
    /// Before the first walk.
    fn default() -> Self {
        Self { day: 0, done: true, last: String::new(), at: None, rounds: Rounds::default() }
    }
}

impl Cursor {
    /// The beginning of a day's walk.
    pub(super) fn begin(day: u64) -> Self {
        Self { day, done: false, ..Self::default() }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        saved::encode(VERSION, self)
    }

    /// `None` for what another version wrote: the walk begins again, which does no harm.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        saved::decode(VERSION, bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_a_round() -> Rounds {
        let mut rounds = Rounds::default();
        rounds.begin(types::UnixMillis(7));
        rounds.count("expired", 2);
        rounds
    }

    #[test]
    fn it_comes_back_as_it_was() {
        for cursor in [
            Cursor::default(),
            Cursor { rounds: with_a_round(), ..Cursor::begin(7) },
            Cursor { at: Some(("b".into(), Stage::Versions(Walk::default()))), ..Cursor::begin(7) },
            Cursor { at: Some(("b".into(), Stage::Uploads(None))), ..Cursor::begin(7) },
        ] {
            assert_eq!(Cursor::decode(&cursor.encode()), Some(cursor));
        }
        assert_eq!(Cursor::decode(&[]), None);
        assert_eq!(Cursor::decode(&[9, 0, 0]), None);
    }
}
