//! What the disks of a placement group hold, blob by blob: the inventories of all its holders laid
//! side by side, and what each rank's member lacks. Pure: pages in, findings out. A page is all
//! that is in memory.

use std::collections::BTreeMap;

use proto::shards::{ShardEntry, ShardState};
use types::{BlobId, DiskId, PgId, PlacementGroup, ShardId, WriteIntent};

/// The least shards of a page of an inventory with which a scan surely gets on: more than a disk
/// can have of one blob.
pub(crate) const PAGE_MIN: u32 = 64;

/// Where the inventory of a group's blobs behind `after` begins on every disk.
pub(crate) fn from(group: PgId, after: Option<BlobId>) -> Option<ShardId> {
    match after {
        Some(blob) => Some(ShardId { blob, rank: u8::MAX }),
        None => {
            let before = PgId(group.0.checked_sub(1)?);
            let mut last = [u8::MAX; 16];
            last[..4].copy_from_slice(&before.0.to_be_bytes());
            Some(ShardId { blob: BlobId::from_bytes(last), rank: u8::MAX })
        }
    }
}

/// The disks that may hold shards of a group, each once.
pub(crate) fn holders(group: &PlacementGroup) -> Vec<DiskId> {
    let mut all: Vec<DiskId> = group.disks.clone();
    all.extend(group.former.iter().map(|former| former.disk));
    all.sort_unstable();
    all.dedup();
    all
}

/// A page of one disk's inventory, from [`from`] on.
#[derive(Clone, Debug)]
pub(crate) struct Page {
    pub(crate) disk: DiskId,
    /// `None` if the disk did not answer.
    pub(crate) entries: Option<Vec<ShardEntry>>,
}

/// A shard on some disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Seen {
    pub(crate) disk: DiskId,
    pub(crate) rank: u8,
    /// Number of its chunks; `None` if it was never sealed.
    pub(crate) stripes: Option<u32>,
    pub(crate) bytes: u64,
    pub(crate) is_confirmed: bool,
}

/// One blob on the disks that answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Holding {
    pub(crate) blob: BlobId,
    /// What it was written for, as one of its shards says; a sealed one if there is one.
    pub(crate) intent: WriteIntent,
    /// Its shards, by disk and rank.
    pub(crate) seen: Vec<Seen>,
}

/// What pages of all holders say together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Merged {
    /// In order; every blob up to `next` that any of the disks has.
    pub(crate) holdings: Vec<Holding>,
    /// The blob behind which the next pages begin; `None` at the end of the group.
    pub(crate) next: Option<BlobId>,
}

/// Lays pages side by side, as far as all of them reach. `limit` is the number of shards (at least
/// [`PAGE_MIN`]) that was asked for: a shorter page is the last of its disk.
pub(crate) fn merge(group: PgId, pages: Vec<Page>, limit: u32) -> Merged {
    let mut blobs: BTreeMap<BlobId, Holding> = BTreeMap::new();
    // The first blob that some page may show only a part of.
    let mut cut: Option<BlobId> = None;
    for Page { disk, entries } in pages {
        let Some(entries) = entries else { continue };
        let is_cut = entries.len() >= limit as usize;
        if let Some(last) = entries.last().filter(|last| is_cut && last.shard.blob.group() == group)
        {
            cut = Some(cut.map_or(last.shard.blob, |cut| cut.min(last.shard.blob)));
        }
        for entry in entries.into_iter().filter(|entry| entry.shard.blob.group() == group) {
            let ShardEntry { shard, state, intent, stripes, bytes } = entry;
            let holding = blobs.entry(shard.blob).or_insert_with(|| Holding {
                blob: shard.blob,
                intent: intent.clone(),
                seen: Vec::new(),
            });
            if stripes.is_some() && holding.seen.iter().all(|seen| seen.stripes.is_none()) {
                holding.intent = intent;
            }
            let is_confirmed = state == ShardState::Confirmed;
            holding.seen.push(Seen { disk, rank: shard.rank, stripes, bytes, is_confirmed });
        }
    }
    if let Some(cut) = cut {
        blobs.split_off(&cut);
    }
    let mut holdings: Vec<Holding> = blobs.into_values().collect();
    for holding in &mut holdings {
        holding.seen.sort_unstable();
    }
    let next = cut.and_then(|_| holdings.last().map(|last| last.blob));
    debug_assert!(cut.is_none() || next.is_some(), "a page has more than the shards of one blob");
    Merged { holdings, next }
}

/// What the member of a rank has of a blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AtMember {
    /// A sealed shard of so many chunks.
    Sealed(u32),
    /// Nothing, or a beginning.
    Missing,
    /// It did not answer.
    Unknown,
}

/// One blob as its group wants it, and what is where else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Findings {
    /// By rank.
    pub(crate) members: Vec<AtMember>,
    /// Shards on disks that were the member of their rank before.
    pub(crate) former: Vec<Seen>,
    /// Shards on disks that have no business with their rank.
    pub(crate) strays: Vec<Seen>,
}

impl Findings {
    /// Compares; `silent` are the disks that did not answer.
    pub(crate) fn new(group: &PlacementGroup, holding: &Holding, silent: &[DiskId]) -> Self {
        let at_member = |disk: &DiskId| match silent.contains(disk) {
            true => AtMember::Unknown,
            false => AtMember::Missing,
        };
        let mut members: Vec<AtMember> = group.disks.iter().map(at_member).collect();
        let (mut former, mut strays) = (Vec::new(), Vec::new());
        for seen in &holding.seen {
            let rank = usize::from(seen.rank);
            if group.disks.get(rank) == Some(&seen.disk) {
                members[rank] = seen.stripes.map_or(AtMember::Missing, AtMember::Sealed);
            } else if group.holders(seen.rank).any(|holder| holder == seen.disk) {
                former.push(*seen);
            } else {
                strays.push(*seen);
            }
        }
        Self { members, former, strays }
    }

    /// Whether every member that answered has its shard, all of the same length, and nobody else
    /// has any: nothing is to be done, whatever the index says.
    pub(crate) fn is_clean(&self) -> bool {
        let mut stripes = None;
        let fits = |member: &AtMember| match member {
            AtMember::Sealed(own) => *stripes.get_or_insert(*own) == *own,
            AtMember::Missing => false,
            AtMember::Unknown => true,
        };
        self.former.is_empty() && self.strays.is_empty() && self.members.iter().all(fits)
    }
}

#[cfg(test)]
mod tests;
