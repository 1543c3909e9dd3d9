//! A step over one disk: it reads some of its own chunks, and what is bad is replaced at once.

use std::collections::BTreeMap;

use futures::{StreamExt, stream};
use metastore::api::index::Reference;
use proto::shards::{ShardEntry, Verified};
use types::{BlobId, BlobRef, DiskId, ShardId};

use crate::{
    Care, Error,
    mend::{Lack, Mended},
    pace::Pace,
    word,
};

/// Bad shards of one disk that are replaced at a time.
const MENDS_AT_ONCE: usize = 8;

/// A bad shard, and whether it was counted.
#[derive(Clone, Debug)]
pub(super) struct Bad {
    pub(super) entry: ShardEntry,
    pub(super) is_counted: bool,
}

/// What became of some bad shards.
#[derive(Clone, Debug, Default)]
pub(super) struct Treated {
    /// Those that are bad indeed, and were not counted before.
    pub(super) bad: u64,
    /// Those that were replaced.
    pub(super) repaired: u64,
    /// Those that could not be, or of which the index does not know yet.
    pub(super) stuck: Vec<Bad>,
    pub(super) last_failure: Option<String>,
}

/// What one step found.
pub(super) struct Stepped {
    pub(super) verified: Verified,
    pub(super) treated: Treated,
}

/// Lets a disk read on, and replaces what is bad. The error is the disk's, or the index's.
pub(super) async fn step(
    care: &Care,
    disk: DiskId,
    after: Option<ShardId>,
    bytes_max: u64,
    pace: &Pace,
) -> Result<Stepped, Error> {
    let mut verified = care.objects.shards().verify(disk, after, bytes_max).await?;
    let bad = std::mem::take(&mut verified.bad);
    let bad = bad.into_iter().map(|entry| Bad { entry, is_counted: false }).collect();
    let treated = treat(care, disk, bad, pace).await?;
    Ok(Stepped { verified, treated })
}

/// Replaces bad shards of a disk, by the index's word.
pub(super) async fn treat(
    care: &Care,
    disk: DiskId,
    bad: Vec<Bad>,
    pace: &Pace,
) -> Result<Treated, Error> {
    let mut treated = Treated::default();
    if bad.is_empty() {
        return Ok(treated);
    }
    let asked: Vec<_> =
        bad.iter().map(|bad| (bad.entry.shard.blob, bad.entry.intent.clone())).collect();
    let answers = word::ask(&care.objects, &asked).await?;
    let mut referenced = Vec::new();
    for (bad, answer) in bad.into_iter().zip(answers) {
        match answer {
            Reference::Referenced(blob) => referenced.push((bad, blob)),
            // The collector comes for it.
            Reference::Unreferenced => {}
            // It does not wait for the deadline of the write: what it took need not be waited for.
            Reference::Undecided => {
                if !matches!(look_up(care, disk, bad.entry.shard).await, Ok(None)) {
                    treated.stuck.push(bad);
                }
            }
        }
    }
    let mends = referenced.into_iter().map(|(bad, blob)| async move {
        let mended = mend(care, &bad.entry, &blob, pace).await;
        (bad, mended)
    });
    let results: Vec<(Bad, Result<Mended, Error>)> =
        stream::iter(mends).buffer_unordered(MENDS_AT_ONCE).collect().await;
    let (mut good, mut spare) = (Vec::new(), BTreeMap::<BlobId, ShardId>::new());
    for (mut bad, result) in results {
        let shard = bad.entry.shard;
        match result {
            Ok(mended) => {
                // A shard that is good after all was just being written, or somebody else was first.
                let was_bad = mended.is_new || mended.disk != disk;
                treated.bad += u64::from(was_bad && !bad.is_counted);
                treated.repaired += u64::from(was_bad);
                good.push((mended, bad.entry.intent.clone()));
                if mended.disk != disk {
                    spare.insert(shard.blob, shard);
                }
            }
            Err(error) => {
                tracing::debug!(%disk, ?shard, %error, "a bad shard cannot be replaced now");
                treated.bad += u64::from(!bad.is_counted);
                treated.last_failure = Some(error.to_string());
                bad.is_counted = true;
                treated.stuck.push(bad);
            }
        }
    }
    care.mender.settle(&good).await?;
    // Bad copies on a disk that is not the member: that has a good one now.
    let map = care.objects.metadata().map();
    let is_member = |shard: &ShardId| {
        let group = map.groups.get(&shard.blob.group());
        group.is_none_or(|group| group.disks.get(usize::from(shard.rank)) == Some(&disk))
    };
    let spare: Vec<ShardId> = spare.into_values().filter(|shard| !is_member(shard)).collect();
    if !spare.is_empty()
        && let Err(error) = care.objects.shards().delete(disk, spare).await
    {
        tracing::debug!(%disk, %error, "a bad copy stays");
    }
    Ok(treated)
}

async fn mend(
    care: &Care,
    entry: &ShardEntry,
    blob: &BlobRef,
    pace: &Pace,
) -> Result<Mended, Error> {
    let lack = Lack { blob, rank: entry.shard.rank, intent: &entry.intent, strays: &[] };
    care.mender.mend(lack, pace).await
}

/// The entry of a shard in the inventory of its disk; `None` if it is gone.
pub(super) async fn look_up(
    care: &Care,
    disk: DiskId,
    shard: ShardId,
) -> Result<Option<ShardEntry>, Error> {
    let before = match shard.rank.checked_sub(1) {
        Some(rank) => Some(ShardId { rank, ..shard }),
        None => u128::from_be_bytes(*shard.blob.as_bytes())
            .checked_sub(1)
            .map(|blob| ShardId { blob: BlobId::from_bytes(blob.to_be_bytes()), rank: u8::MAX }),
    };
    let page = care.objects.shards().inventory(disk, before, 1).await?;
    Ok(page.into_iter().next().filter(|entry| entry.shard == shard))
}
