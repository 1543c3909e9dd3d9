//! How far healing is, as the root group keeps it.

use metastore::api::root::CURSOR_BYTES_MAX;
use serde::{Deserialize, Serialize};
use types::PgId;

use super::pass::Facts;
use crate::{progress::Rounds, saved};

/// What the next run goes on with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
pub(super) struct Cursor {
    /// Passes that have begun, the most endangered group first.
    pub(super) passes: Vec<(PgId, Facts)>,
    /// Groups that somebody found to need it.
    pub(super) due: Vec<PgId>,
    pub(super) rounds: Rounds,
    /// Bytes written in the round under way.
    pub(super) written: u64,
}

/// The version of the stored form.
const VERSION: u8 = 1;

impl Cursor {
    /// Fits into what the root group takes. What is left out begins again (a pass), or is found
    /// again by the next comparison of inventories (a group that is due).
    pub(super) fn encode(mut self) -> Vec<u8> {
        loop {
            let bytes = saved::encode(VERSION, &self);
            if bytes.len() <= CURSOR_BYTES_MAX {
                return bytes;
            }
            if self.due.len() > self.passes.len() {
                self.due.truncate(self.due.len() / 2);
            } else {
                self.passes.truncate(self.passes.len() / 2);
            }
        }
    }

    /// `None` for what another version wrote: all passes begin again, which does no harm.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        saved::decode(VERSION, bytes)
    }
}

#[cfg(test)]
mod tests {
    use types::{BlobId, DiskId, Epoch, Former, UnixMillis};

    use super::*;

    fn cursor(passes: u32, due: u32) -> Cursor {
        let facts = |group: u32| Facts {
            epoch: Epoch(9),
            after: Some(BlobId::new(PgId(group), UnixMillis(7), [3; 6])),
            is_complete: false,
            silent: vec![DiskId(1), DiskId(1000)],
            not_whole: 5,
            left: vec![(Former { rank: 2, disk: DiskId(8) }, 4)],
            stuck: 1,
            bytes: 1 << 40,
        };
        Cursor {
            passes: (0..passes).map(|group| (PgId(group), facts(group))).collect(),
            due: (0..due).map(PgId).collect(),
            rounds: Rounds::default(),
            written: 12,
        }
    }

    #[test]
    fn it_comes_back_as_it_was_as_far_as_it_fits() {
        let small = cursor(8, 100);
        assert_eq!(Cursor::decode(&small.clone().encode()), Some(small));
        let bytes = cursor(1000, 100_000).encode();
        assert!(bytes.len() <= CURSOR_BYTES_MAX);
        let large = Cursor::decode(&bytes).expect("it is whole");
        assert!(large.passes.len() > 20 && large.passes[0].0 == PgId(0));
        assert_eq!(Cursor::decode(&[9, 0, 0]), None);
    }
}
