//! Strays: shards on disks where nobody looks for them. A disk that was let go while it was silent
//! comes back with its old shards; a write that began before a move ended puts one on the disk that
//! its rank has left. The index's word settles them: what is referenced is made good on the member
//! first, then the stray goes.

use std::collections::BTreeSet;

use futures::{StreamExt, stream};
use metastore::api::index::Reference;
use proto::shards::ShardEntry;
use types::{ClusterMap, DiskId, ShardId};

use crate::{
    Care, Error,
    mend::{Lack, Mended},
    pace::Pace,
    word,
};

/// Strays that are mended at a time.
const AT_ONCE: usize = 8;

/// What became of the strays of a page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Settled {
    /// Strays of referenced blobs.
    pub(crate) misplaced: u64,
    /// Strays that are gone.
    pub(crate) deleted: u64,
    /// Shards that were written to their member before.
    pub(crate) written: u64,
    /// Strays of referenced blobs whose member cannot be mended now.
    pub(crate) stuck: u64,
    pub(crate) last_failure: Option<String>,
}

/// Whether a shard lies on a disk that is no holder of its rank, by this map. Not if the map does
/// not know its group: it may be older than the shard.
pub(crate) fn is_stray(map: &ClusterMap, disk: DiskId, shard: ShardId) -> bool {
    map.groups
        .get(&shard.blob.group())
        .is_some_and(|group| !group.holders(shard.rank).any(|holder| holder == disk))
}

/// Settles the strays among these shards of a disk.
pub(crate) async fn settle(
    care: &Care,
    disk: DiskId,
    entries: &[ShardEntry],
) -> Result<Settled, Error> {
    let map = care.objects.metadata().map();
    let strays: Vec<ShardEntry> =
        entries.iter().filter(|entry| is_stray(&map, disk, entry.shard)).cloned().collect();
    let mut settled = Settled::default();
    if strays.is_empty() {
        return Ok(settled);
    }
    let asked: Vec<_> =
        strays.iter().map(|entry| (entry.shard.blob, entry.intent.clone())).collect();
    let answers = word::ask(&care.objects, &asked).await?;
    let (mut mended, mut spare) = (Vec::new(), BTreeSet::new());
    let mut wanted = Vec::new();
    for (entry, answer) in strays.into_iter().zip(answers) {
        match answer {
            Reference::Referenced(blob) => wanted.push((entry, blob)),
            // Nobody reads here: there is no grace to be given.
            Reference::Unreferenced => drop(spare.insert(entry.shard)),
            Reference::Undecided => {}
        }
    }
    settled.misplaced = wanted.len() as u64;
    let mends = wanted.into_iter().map(|(entry, blob)| async move {
        let ShardEntry { shard, intent, .. } = &entry;
        let lack = Lack { blob: &blob, rank: shard.rank, intent, strays: &[disk] };
        let result = care.mender.mend(lack, &Pace::default()).await;
        (entry, result)
    });
    let results: Vec<(ShardEntry, Result<Mended, Error>)> =
        stream::iter(mends).buffer_unordered(AT_ONCE).collect().await;
    for (entry, result) in results {
        match result {
            Ok(good) => {
                settled.written += u64::from(good.is_new);
                mended.push((good, entry.intent));
                spare.insert(entry.shard);
            }
            Err(error) => {
                settled.stuck += 1;
                settled.last_failure = Some(error.to_string());
            }
        }
    }
    care.mender.settle(&mended).await?;
    // The disk may have become a holder in the meantime.
    let map = care.objects.metadata().map();
    let spare: Vec<ShardId> =
        spare.into_iter().filter(|shard| is_stray(&map, disk, *shard)).collect();
    if !spare.is_empty() {
        settled.deleted = spare.len() as u64;
        care.objects.shards().delete(disk, spare).await?;
    }
    Ok(settled)
}
