//! How many bytes a member holds of a group: by the inventory of one disk that has them.

use cluster::Shards;
use types::{ClusterMap, DiskId, PlacementGroup};

use crate::{Error, health::is_up, scan};

/// Shards of a page.
const PAGE: u32 = 5000;

/// The bytes of one rank, as its disk lists them. `None` if no disk of the group answers.
pub(super) async fn shard_bytes(
    shards: &dyn Shards,
    map: &ClusterMap,
    group: &PlacementGroup,
) -> Result<Option<u64>, Error> {
    let Some((rank, disk)) = whole_rank(map, group) else { return Ok(None) };
    let mut after = scan::from(group.id, None);
    let mut bytes = 0;
    loop {
        let page = shards.inventory(disk, after, PAGE).await?;
        let is_full = page.len() == PAGE as usize;
        after = page.last().map(|entry| entry.shard);
        for entry in page {
            if entry.shard.blob.group() > group.id {
                return Ok(Some(bytes));
            }
            if entry.shard.rank == rank {
                bytes += entry.bytes;
            }
        }
        if !is_full {
            return Ok(Some(bytes));
        }
    }
}

/// A rank whose member has all its shards; any that answers, if there is none.
fn whole_rank(map: &ClusterMap, group: &PlacementGroup) -> Option<(u8, DiskId)> {
    let ranks = || (0u8..).zip(group.disks.iter().copied()).filter(|(_, disk)| is_up(map, *disk));
    let whole = |rank: u8| group.former.iter().all(|former| former.rank != rank);
    ranks().find(|(rank, _)| whole(*rank)).or_else(|| ranks().next())
}
