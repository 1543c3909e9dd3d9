//! A second look at what seems wrong, before it is said. The index is asked whether the blob is still
//! there, the disks by the newest map whether they have it now, one shard at a time.

use std::{sync::Arc, time::Duration};

use cluster::{ShardError, Shards};
use futures::{StreamExt, stream};
use metastore::api::index::Reference;
use proto::shards::ShardEntry;
use types::{BlobRef, ClusterMap, DiskId, ShardId, UnixMillis, WriteIntent};

use super::{
    Context, ask,
    batch::Known,
    before,
    judge::{self, Rank, Tally},
    walk::{Walk, is_whole},
};
use crate::Error;

/// Blobs that are looked at together.
const AT_A_TIME: usize = 16;
/// Blobs that the index is asked about together.
const ASKED: usize = 1000;
/// A write is acknowledged before its last shard is there: a blob that was made so lately is looked at
/// once more, so much later. A shard that comes late does so within 5 s.
const YOUNG_MS: u64 = 60 * 1000;
const LATER: Duration = Duration::from_secs(6);
/// Times that a blob is looked at in a row.
const LOOKS: u32 = 2;

/// A blob to be looked at again.
type Suspect = (BlobRef, WriteIntent);

/// Puts every blob of a range into the sums; those that seem wrong after a second look.
pub(super) async fn settle(
    context: &mut Context,
    walk: Walk,
    tally: &mut Tally,
) -> Result<(), Error> {
    let map = context.cluster.metadata.map();
    let mut suspects: Vec<Suspect> = walk.late.into_values().collect();
    for Known { blob, intent, found } in walk.batch.blobs.into_values() {
        let ranks = judge::ranks(&map, &context.silent, &blob, found);
        // A disk that did not answer twice will not the third time: nothing to ask.
        if ranks.iter().any(|rank| matches!(rank, Rank::Missing | Rank::Damaged)) {
            suspects.push((blob, intent));
        } else {
            tally.blob(&map, &blob, &intent, &ranks);
        }
    }
    let young = look_again(context, suspects, tally, false).await?;
    if !young.is_empty() {
        tokio::time::sleep(LATER).await;
        look_again(context, young, tally, true).await?;
    }
    Ok(())
}

/// The verdict on each of these, but for young ones that still seem wrong, unless this is the last
/// look: those are returned.
async fn look_again(
    context: &Context,
    suspects: Vec<Suspect>,
    tally: &mut Tally,
    last_look: bool,
) -> Result<Vec<Suspect>, Error> {
    let mut young = Vec::new();
    for suspects in suspects.chunks(ASKED) {
        let asked: Vec<_> =
            suspects.iter().map(|(blob, intent)| (blob.id, intent.clone())).collect();
        let answers = ask::about(&*context.cluster.metadata, &asked).await?;
        // As the index says now: the same blob, perhaps of another group.
        let there = suspects.iter().zip(answers).filter_map(|((_, intent), answer)| match answer {
            Reference::Referenced(blob) => Some((blob, intent.clone())),
            Reference::Unreferenced | Reference::Undecided => None,
        });
        let looks = stream::iter(there.collect::<Vec<_>>()).map(|(blob, intent)| async move {
            let (map, ranks) = look(context, &blob).await;
            (blob, intent, map, ranks)
        });
        let looked: Vec<_> = looks.buffered(AT_A_TIME).collect().await;
        for (blob, intent, map, ranks) in looked {
            let whole = ranks.iter().all(|rank| rank.disk().is_some());
            if !whole && !last_look && is_young(&intent, context.now()) {
                young.push((blob, intent));
            } else {
                tally.blob(&map, &blob, &intent, &ranks);
            }
        }
    }
    Ok(young)
}

/// The time at which a reference was made is what the index gives as its deadline.
fn is_young(intent: &WriteIntent, now: UnixMillis) -> bool {
    now.since(intent.deadline) < YOUNG_MS
}

/// Every rank of a blob, asked of its disks, and the map by which it was. What is not there is looked
/// for once more: it may have been copied to the member, and deleted elsewhere, between the two.
async fn look(context: &Context, blob: &BlobRef) -> (Arc<ClusterMap>, Vec<Rank>) {
    let mut looks = 1;
    loop {
        let map = context.cluster.metadata.map();
        let ranks = look_once(context, &map, blob).await;
        if looks == LOOKS || ranks.iter().all(|rank| rank.disk().is_some()) {
            return (map, ranks);
        }
        looks += 1;
    }
}

async fn look_once(context: &Context, map: &ClusterMap, blob: &BlobRef) -> Vec<Rank> {
    let Some(group) = map.groups.get(&blob.pg) else {
        return vec![Rank::Missing; blob.policy.n()];
    };
    let n = u8::try_from(blob.policy.n()).expect("a policy has at most 32 chunks");
    let mut ranks = Vec::with_capacity(blob.policy.n());
    for rank in 0..n {
        let shard = ShardId { blob: blob.id, rank };
        let mut verdict = Rank::Missing;
        for (place, disk) in group.holders(rank).enumerate() {
            // One that did not answer for its whole inventory would not for this shard either.
            if context.silent.contains_key(&disk) {
                if verdict == Rank::Missing {
                    verdict = Rank::Silent;
                }
                continue;
            }
            match on_disk(context, disk, blob, shard).await {
                Ok(Some(true)) => {
                    verdict = if place == 0 { Rank::Home(disk) } else { Rank::Moving(disk) };
                    break;
                }
                Ok(Some(false)) => verdict = Rank::Damaged,
                Ok(None) => {}
                Err(_) if verdict == Rank::Missing => verdict = Rank::Silent,
                Err(_) => {}
            }
        }
        ranks.push(verdict);
    }
    ranks
}

/// Whether a disk has a shard, and whether it is whole and right.
async fn on_disk(
    context: &Context,
    disk: DiskId,
    blob: &BlobRef,
    shard: ShardId,
) -> Result<Option<bool>, ShardError> {
    let shards = &*context.cluster.shards;
    let Some(entry) = entry(shards, disk, shard).await? else { return Ok(None) };
    if !is_whole(blob, &entry) {
        return Ok(Some(false));
    }
    if !context.settings.verify {
        return Ok(Some(true));
    }
    // The one byte makes it stop after the first shard, which is this one.
    let verified = shards.verify(disk, before(shard), 1).await?;
    Ok(Some(!verified.bad.iter().any(|bad| bad.shard == shard)))
}

/// A disk's inventory of one shard.
async fn entry(
    shards: &dyn Shards,
    disk: DiskId,
    shard: ShardId,
) -> Result<Option<ShardEntry>, ShardError> {
    let page = shards.inventory(disk, before(shard), 1).await?;
    Ok(page.into_iter().next().filter(|entry| entry.shard == shard))
}

/// Shards that are still on a disk that does not hold their rank, and that the index still
/// references.
pub(super) async fn misplaced(context: &Context, tally: &mut Tally) -> Result<(), Error> {
    let first = std::mem::take(&mut tally.misplaced_first);
    for first in first.chunks(ASKED) {
        let entries: Vec<_> = stream::iter(first.to_vec())
            .map(|(disk, shard)| async move {
                let entry = entry(&*context.cluster.shards, disk, shard).await;
                // A disk that has fallen silent is a finding of its own.
                (disk, entry.ok().flatten())
            })
            .buffered(AT_A_TIME)
            .collect()
            .await;
        let entries: Vec<_> =
            entries.into_iter().filter_map(|(disk, entry)| Some((disk, entry?))).collect();
        let asked: Vec<_> =
            entries.iter().map(|(_, entry)| (entry.shard.blob, entry.intent.clone())).collect();
        let answers = ask::about(&*context.cluster.metadata, &asked).await?;
        let map = context.cluster.metadata.map();
        for ((disk, entry), answer) in entries.into_iter().zip(answers) {
            let Reference::Referenced(blob) = answer else { continue };
            let group = map.groups.get(&blob.pg);
            let holds = group
                .is_some_and(|group| group.holders(entry.shard.rank).any(|holder| holder == disk));
            if !holds {
                tally.misplaced.add(entry.bytes);
            }
        }
    }
    Ok(())
}
