//! How many shards there are: every disk's inventory, counted now. Nothing keeps a counter that
//! could be wrong, so this is what tests and doubts are settled by.

use admin::model::{DiskShards, ShardCounts};
use cluster::{ShardError, Shards};
use futures::{StreamExt, stream};
use proto::shards::ShardState;
use types::DiskId;

/// Entries a page.
const PAGE: u32 = 10_000;
/// Disks that are counted at a time; each holds one page in memory.
const DISKS_AT_A_TIME: usize = 8;

/// Counts the shards of these disks. A disk that does not answer is in the answer with its error.
pub(crate) async fn count(shards: &dyn Shards, disks: Vec<DiskId>) -> ShardCounts {
    let counts = stream::iter(disks).map(|disk| async move {
        let (counted, error) = match count_disk(shards, disk, PAGE).await {
            Ok(counted) => (Some(counted), None),
            Err(error) => (None, Some(error.to_string())),
        };
        DiskShards {
            disk: disk.0,
            pending: counted.map(|(pending, _)| pending),
            confirmed: counted.map(|(_, confirmed)| confirmed),
            error,
        }
    });
    ShardCounts::of(counts.buffered(DISKS_AT_A_TIME).collect().await)
}

/// Pending and confirmed ones.
async fn count_disk(
    shards: &dyn Shards,
    disk: DiskId,
    page_entries: u32,
) -> Result<(u64, u64), ShardError> {
    let (mut pending, mut confirmed) = (0, 0);
    let mut after = None;
    loop {
        let page = shards.inventory(disk, after, page_entries).await?;
        // A page may be shorter than asked for; only an empty one is the end.
        let Some(last) = page.last() else { return Ok((pending, confirmed)) };
        after = Some(last.shard);
        for entry in &page {
            match entry.state {
                ShardState::Pending => pending += 1,
                ShardState::Confirmed => confirmed += 1,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use cluster::{DiskFault, MemoryCluster};
    use proto::shards::{Chunk, PutChunks};
    use types::{BlobId, BucketId, ChunkDigest, ErasurePolicy, ShardId, UnixMillis, WriteIntent};

    use super::*;

    async fn put(cluster: &MemoryCluster, disk: DiskId, number: u8, confirm: bool) {
        let shard = ShardId { blob: BlobId::from_bytes([number; 16]), rank: 0 };
        let bytes = Bytes::from(vec![number; 10]);
        let intent = WriteIntent {
            bucket: BucketId(1),
            key: "key".to_owned(),
            part: None,
            deadline: UnixMillis(1),
        };
        let chunks = vec![Chunk { digest: ChunkDigest::of(shard, 0, &bytes), bytes }];
        let call = PutChunks { shard, intent, first_stripe: 0, chunks, seal: true };
        cluster.put(disk, call).await.expect("stored");
        if confirm {
            cluster.confirm(disk, vec![shard]).await.expect("confirmed");
        }
    }

    #[tokio::test]
    async fn every_shard_is_counted_once_whatever_the_pages() {
        let cluster = MemoryCluster::new(ErasurePolicy::new(2, 1).expect("valid"), 3);
        let disks = cluster.disks();
        for number in 1..=7 {
            put(&cluster, disks[0], number, number > 2).await;
        }
        put(&cluster, disks[1], 1, false).await;
        for page in [1, 2, 3, 7, 100] {
            let counted = count_disk(&cluster, disks[0], page).await.expect("answers");
            assert_eq!(counted, (2, 5), "pages of {page}");
        }
        let counts = count(&cluster, disks.clone()).await;
        assert_eq!((counts.total, counts.pending, counts.confirmed), (8, 3, 5));
        assert!(counts.complete);
        assert_eq!(counts.disks[2].pending, Some(0));

        cluster.set_fault(disks[0], Some(DiskFault::Failed));
        let counts = count(&cluster, disks).await;
        assert_eq!((counts.total, counts.complete), (1, false));
        let failed = &counts.disks[0];
        assert_eq!((failed.pending, failed.confirmed), (None, None));
        assert!(failed.error.is_some());
    }
}
