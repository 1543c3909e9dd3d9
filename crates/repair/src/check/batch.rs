//! The references to the blobs of a range of ids, as many as memory allows.

use std::collections::{BTreeMap, BTreeSet};

use types::{BlobId, BlobRef, GroupId, WriteIntent};

use super::{Context, ask};
use crate::Error;

/// What a reference takes besides its key, about: the two structures and their place in the tree.
const REFERENCE_BYTES: usize = 256;

/// A referenced blob, and what the disks were found to have of it.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) blob: BlobRef,
    pub(super) intent: WriteIntent,
    pub(super) found: Found,
}

/// Which ranks of a blob were found where: one bit a rank, of at most 32.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// Whole on the member.
    pub(super) member: u32,
    /// Whole on a former disk.
    pub(super) former: u32,
    /// On a disk that may have it, but not whole or not right.
    pub(super) damaged: u32,
}

/// The blobs of a range.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) blobs: BTreeMap<BlobId, Known>,
    bytes: usize,
    /// The first blob behind the range; `None`: there is none.
    pub(super) to: Option<BlobId>,
}

impl Batch {
    fn add(&mut self, known: Known, bytes_max: usize) {
        let id = known.blob.id;
        if self.to.is_some_and(|to| id >= to) {
            return;
        }
        let bytes = bytes_of(&known);
        if self.blobs.insert(id, known).is_none() {
            self.bytes += bytes;
        }
        // One blob is always kept, so that every range gets on.
        while self.bytes > bytes_max && self.blobs.len() > 1 {
            self.halve();
        }
    }

    /// Leaves the upper half to the next range.
    fn halve(&mut self) {
        let middle = self.blobs.keys().nth(self.blobs.len().div_ceil(2)).copied();
        let middle = middle.expect("two blobs or more have an upper half");
        let dropped = self.blobs.split_off(&middle);
        self.bytes -= dropped.values().map(bytes_of).sum::<usize>();
        self.to = Some(middle);
    }
}

fn bytes_of(known: &Known) -> usize {
    REFERENCE_BYTES + known.intent.key.len()
}

/// All references to blobs from `from` on that fit. A blob that a row names twice, or that a version
/// has which changed its row meanwhile, is there once.
pub(super) async fn gather(context: &Context, from: Option<BlobId>) -> Result<Batch, Error> {
    let metadata = &*context.cluster.metadata;
    let partitions: BTreeSet<GroupId> =
        metadata.map().partitions.iter().map(|partition| partition.group).collect();
    let mut batch = Batch::default();
    for partition in partitions {
        let mut after = None;
        loop {
            let (blobs, next) = ask::referenced(metadata, partition, after).await?;
            for found in blobs {
                if from.is_some_and(|from| found.blob.id < from) {
                    continue;
                }
                let known =
                    Known { blob: found.blob, intent: found.intent, found: Found::default() };
                batch.add(known, context.settings.memory_bytes_max);
            }
            after = next;
            if after.is_none() {
                break;
            }
        }
    }
    Ok(batch)
}
