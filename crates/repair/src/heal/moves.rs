//! When the move of a rank has ended: nothing is waited for on the disk that it left.

use metastore::api::{RootAnswer, RootCommand, RootQuery, RootView};
use types::{Epoch, Former, PgId, PlacementGroup, ShardId};

use super::pass::Facts;
use crate::{Care, Error, scan};

/// Shards of one page in which a former disk is looked at for the last time.
const SHARDS_MAX: u32 = 1000;

/// Ends the moves of a group that nothing is waited for any more, after a pass that has come to its
/// end. How many.
///
/// A former disk that answers must hold nothing of its rank. One that does not (it may be gone
/// for good) is let go once the pass has found every referenced blob whole on the members; what
/// it brings back one day belongs nowhere, and is settled by the index's word.
pub(super) async fn end(care: &Care, group: &PlacementGroup, facts: &Facts) -> Result<u64, Error> {
    let mut ended = 0;
    for former in &group.former {
        let answers = care.mender.answers(former.disk);
        let is_early = platform::planted("end-move-early");
        let may_end = if answers { facts.is_empty(former) } else { facts.is_whole(group) };
        if !may_end && !is_early {
            continue;
        }
        // The epoch comes before the last look: whoever changes the group in between is noticed.
        let epoch = Epoch(facts.epoch.0 + ended);
        if epoch_of(care, group.id).await? != Some(epoch) {
            break;
        }
        if answers && !is_early && !holds_nothing(care, group.id, *former).await? {
            continue;
        }
        let Former { rank, disk } = *former;
        let end = RootCommand::EndMove { group: group.id, epoch, rank, disk };
        match care.objects.metadata().root(end).await? {
            RootAnswer::Done => ended += 1,
            RootAnswer::Refused(reason) => {
                tracing::debug!(group = %group.id, reason, "a move does not end yet");
                break;
            }
            other => return Err(Error::Unexpected(format!("{other:?}"))),
        }
    }
    Ok(ended)
}

async fn epoch_of(care: &Care, group: PgId) -> Result<Option<Epoch>, Error> {
    match care.objects.metadata().root_query(RootQuery::Map).await? {
        RootView::Map(map) => Ok(map.and_then(|map| map.groups.get(&group).map(|it| it.epoch))),
        other => Err(Error::Unexpected(format!("{other:?}"))),
    }
}

/// Whether there is no shard of the rank on a former disk now: a write that began before the move
/// may have come there after the pass.
async fn holds_nothing(care: &Care, group: PgId, former: Former) -> Result<bool, Error> {
    let mut after = scan::from(group, None);
    loop {
        let page = care.objects.shards().inventory(former.disk, after, SHARDS_MAX).await?;
        let is_of_group = |shard: &ShardId| shard.blob.group() == group;
        let mut shards = page.iter().map(|entry| entry.shard).filter(is_of_group);
        if shards.any(|shard| shard.rank == former.rank) {
            return Ok(false);
        }
        let is_cut = page.len() >= SHARDS_MAX as usize;
        match page.last() {
            Some(last) if is_cut && is_of_group(&last.shard) => after = Some(last.shard),
            _ => return Ok(true),
        }
    }
}
