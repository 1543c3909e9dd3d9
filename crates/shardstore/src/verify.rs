//! What every store checks of a request before it looks at what it holds.

use proto::shards::PutChunks;
use types::{ChunkDigest, Layout, ShardId};

use crate::{
    Error,
    store::{KEY_BYTES_MAX, PUT_BYTES_MAX, SHARDS_MAX},
};

/// Checks the bounds and every digest of a put.
pub(crate) fn put(put: &PutChunks) -> Result<(), Error> {
    if put.intent.key.len() > KEY_BYTES_MAX {
        return Err(Error::Invalid(format!(
            "the object key has {} bytes; at most {KEY_BYTES_MAX} are allowed",
            put.intent.key.len()
        )));
    }
    // One less than fits, so that counting to the end does not overflow.
    let stripes = u32::try_from(put.chunks.len()).ok();
    if stripes.and_then(|n| put.first_stripe.checked_add(n)).is_none_or(|end| end == u32::MAX) {
        return Err(Error::Invalid("a shard has fewer than 2^32 - 1 stripes".to_owned()));
    }
    let mut total = 0usize;
    for (stripe, chunk) in (put.first_stripe..).zip(&put.chunks) {
        if chunk.bytes.len() > Layout::CHUNK_MAX {
            return Err(Error::Invalid(format!(
                "chunk {stripe} has {} bytes; at most {} are allowed",
                chunk.bytes.len(),
                Layout::CHUNK_MAX
            )));
        }
        total = total.saturating_add(chunk.bytes.len());
        if total > PUT_BYTES_MAX {
            return Err(Error::Invalid(format!(
                "a call may carry at most {PUT_BYTES_MAX} bytes of chunks: send fewer at a time"
            )));
        }
    }
    for (stripe, chunk) in (put.first_stripe..).zip(&put.chunks) {
        if ChunkDigest::of(put.shard, stripe, &chunk.bytes) != chunk.digest {
            return Err(Error::Corrupt {
                shard: put.shard,
                what: format!("chunk {stripe}, as it was received,"),
            });
        }
    }
    Ok(())
}

/// Checks the bound of a list of shards.
pub(crate) fn shards(shards: &[ShardId]) -> Result<(), Error> {
    if shards.len() > SHARDS_MAX {
        return Err(Error::Invalid(format!(
            "a call may name at most {SHARDS_MAX} shards: send fewer at a time"
        )));
    }
    Ok(())
}
