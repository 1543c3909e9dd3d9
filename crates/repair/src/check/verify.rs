//! Reading every byte of every disk against its digest, before the comparison: a shard that is not
//! what was written counts there as not readable.

use futures::{StreamExt, stream};
use types::{DiskId, DiskState, ShardId};

use super::{Context, Phase, judge::Tally, walk::is_named};

/// Bytes that a disk reads in one call: progress shows every so many.
const STEP_BYTES: u64 = 64 << 20;
/// Disks that are read at a time.
const DISKS_AT_A_TIME: usize = 4;
/// Bad shards that are kept in mind, of some 100 bytes each; beyond, the check is incomplete.
const BAD_MAX: usize = 1_000_000;

/// What one disk said.
#[derive(Default)]
struct Said {
    shards: u64,
    bytes: u64,
    bad: Vec<ShardId>,
    too_many: bool,
    error: Option<String>,
}

pub(super) async fn run(context: &mut Context, tally: &mut Tally) {
    context.phase(Phase::Verifying);
    let map = context.cluster.metadata.map();
    let disks: Vec<DiskId> = map
        .disks
        .values()
        .filter(|disk| disk.state != DiskState::Out || is_named(&map, disk.id))
        .map(|disk| disk.id)
        .collect();
    let bytes = disks.iter().filter_map(|disk| map.used_bytes.get(disk)).sum();
    context.progress.send_modify(|progress| progress.verify_bytes = bytes);
    let bad_max = BAD_MAX / disks.len().max(1);
    let said: Vec<(DiskId, Said)> = stream::iter(disks)
        .map(|disk| {
            let context = &*context;
            async move { (disk, read(context, disk, bad_max).await) }
        })
        .buffer_unordered(DISKS_AT_A_TIME)
        .collect()
        .await;
    for (disk, said) in said {
        tally.read.shards += said.shards;
        tally.read.bytes += said.bytes;
        tally.read.bad += said.bad.len() as u64;
        tally.too_many_bad |= said.too_many;
        context.bad.extend(said.bad.into_iter().map(|shard| (disk, shard)));
        if let Some(error) = said.error {
            context.silent.insert(disk, error);
        }
    }
}

async fn read(context: &Context, disk: DiskId, bad_max: usize) -> Said {
    let mut said = Said::default();
    let mut after = None;
    loop {
        match context.cluster.shards.verify(disk, after, STEP_BYTES).await {
            Ok(verified) => {
                said.shards += verified.shards;
                said.bytes += verified.bytes;
                let room = bad_max.saturating_sub(said.bad.len());
                said.too_many |= verified.bad.len() > room;
                said.bad.extend(verified.bad.iter().map(|entry| entry.shard).take(room));
                let bytes = verified.bytes;
                context.progress.send_modify(|progress| progress.verified_bytes += bytes);
                after = verified.next;
                if after.is_none() {
                    return said;
                }
            }
            Err(error) => return Said { error: Some(error.to_string()), ..said },
        }
    }
}
