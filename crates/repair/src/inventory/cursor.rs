//! How far the pass of a day has come, and the report under way, as the root group keeps them.

use serde::{Deserialize, Serialize};
use types::UnixMillis;

use crate::saved;

/// How far the pass has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Cursor {
    /// The day of the pass before, counted from the epoch.
    pub(super) before: u64,
    /// The day of the pass.
    pub(super) day: u64,
    /// Whether it has ended.
    pub(super) done: bool,
    /// The bucket that it has come to.
    pub(super) bucket: String,
    /// The last configuration of it that was looked at.
    pub(super) id: String,
    /// The report under way.
    pub(super) run: Option<Run>,
}

/// A report under way. Begun again, it lists its bucket from the beginning and overwrites what
/// it wrote before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Run {
    /// The bucket that is listed.
    pub(super) bucket: String,
    /// Its configuration.
    pub(super) id: String,
    /// When the report was begun for the first time: part of its files' keys.
    pub(super) at: UnixMillis,
    /// Whether it was asked for.
    pub(super) on_demand: bool,
    /// Data files that may have been written: a second try may need fewer.
    pub(super) files: u32,
}

/// The version of the stored form.
const VERSION: u8 = 1;

impl Default for Cursor {
    /// Before the first pass.
    fn default() -> Self {
        Self { before: 0, day: 0, done: true, bucket: String::new(), id: String::new(), run: None }
    }
}

impl Cursor {
    /// The beginning of a day's pass.
    pub(super) fn next_pass(&self, day: u64) -> Self {
        Self { before: self.day, day, done: false, ..Self::default() }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        saved::encode(VERSION, self)
    }

    /// `None` for what another version wrote: the day's reports are made once more.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        saved::decode(VERSION, bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_comes_back_as_it_was() {
        let run = Run {
            bucket: "b".into(),
            id: "i".into(),
            at: UnixMillis(5),
            on_demand: true,
            files: 2,
        };
        let pass = Cursor { day: 7, ..Cursor::default() }.next_pass(9);
        assert_eq!((pass.before, pass.day, pass.done), (7, 9, false));
        for cursor in [Cursor::default(), pass.clone(), Cursor { run: Some(run), ..pass }] {
            assert_eq!(Cursor::decode(&cursor.encode()), Some(cursor));
        }
        let golden = [1, 7, 9, 0, 1, b'b', 1, b'i', 0];
        let cursor = Cursor { bucket: "b".into(), id: "i".into(), ..Cursor::default() };
        let cursor = Cursor { before: 7, day: 9, done: false, ..cursor };
        assert_eq!(cursor.encode(), golden);
        assert_eq!(Cursor::decode(&[]), None);
        assert_eq!(Cursor::decode(&[9, 0, 0]), None);
    }
}
