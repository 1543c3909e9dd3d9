//! What a step of the walk has found to do.

use types::StorageClass;

use super::{
    removal::{End, Removal},
    transition::Move,
    walk::Seen,
};

/// A page is cut after so many transitions, and once they have so many bytes together, so that a
/// step ends soon to be throttled, cancelled and shown; one object, however large, is not cut.
const STEP_TRANSITIONS_MAX: usize = 64;
const STEP_BYTES_MAX: u64 = 256 << 20;

/// What is due on a page, in the order in which it is done.
#[derive(Default)]
pub(super) struct Due {
    pub(super) removals: Vec<Removal>,
    pub(super) moves: Vec<Move>,
    moves_bytes: u64,
    /// Those that are to be hidden by a delete marker once they were moved.
    pub(super) hidings: Vec<Removal>,
}

impl Due {
    /// Whether the page is to be cut here.
    pub(super) fn is_enough(&self) -> bool {
        self.moves.len() >= STEP_TRANSITIONS_MAX || self.moves_bytes >= STEP_BYTES_MAX
    }

    /// Adds what is due for a version.
    pub(super) fn add(&mut self, seen: &Seen<'_>, end: Option<End>, to: Option<StorageClass>) {
        let (key, id, null) = (seen.key, seen.id, seen.null);
        if let Some(end) = end {
            let list = if to.is_some() { &mut self.hidings } else { &mut self.removals };
            list.push(Removal { key: key.to_owned(), id, null, end });
        }
        if let Some((from, to)) = seen.class.zip(to) {
            self.moves.push(Move { key: key.to_owned(), id, null, from, to });
            self.moves_bytes = self.moves_bytes.saturating_add(seen.size);
        }
    }
}
