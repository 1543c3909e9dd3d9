//! What repair needs of the object layer: chunks computed anew from the other ranks.

use proto::shards::Chunk;
use types::{BlobRef, ChunkDigest, ShardId};

use crate::{Error, Objects, fetch::StripeRead};

impl Objects {
    /// The chunks of these ranks (data or coding) of a stripe, computed from any `k` others
    /// without reading theirs, with their digests. `Unreadable` if fewer than `k` others
    /// can be read. Holds up to `n` chunks in memory.
    pub async fn rebuild_chunks(
        &self,
        blob: &BlobRef,
        stripe: u32,
        ranks: &[u8],
    ) -> Result<Vec<Chunk>, Error> {
        let group = self.group_of(blob)?;
        if let Some(rank) = ranks.iter().find(|rank| usize::from(**rank) >= blob.policy.n()) {
            return Err(Error::Internal(format!("{blob:?} has no rank {rank}")));
        }
        let wanted = ranks.iter().map(|rank| usize::from(*rank)).collect();
        let read = StripeRead { blob, group: &group, stripe, wanted, avoid: ranks, intent: None };
        let chunks = self.fetch(&read).await?;
        let with_digest = |(rank, bytes): (&u8, bytes::Bytes)| {
            let shard = ShardId { blob: blob.id, rank: *rank };
            Chunk { digest: ChunkDigest::of(shard, stripe, &bytes), bytes }
        };
        Ok(ranks.iter().zip(chunks).map(with_digest).collect())
    }
}
