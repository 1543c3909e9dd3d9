//! Carrying: a sealed shard goes to another disk as it is. Of a blob that the index does not
//! reference nobody can say which shards it should have (it may still commit, or readers that opened
//! it before it was deleted read on), but what is there must not stay on a disk that is to be let go.

use cluster::ShardError;
use proto::shards::PutChunks;
use types::{DiskId, ShardId, WriteIntent};

use super::{Mender, NAME};
use crate::{Error, metrics, pace::Pace};

/// A sealed shard that is to be carried.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parcel<'a> {
    pub(crate) shard: ShardId,
    /// Number of its chunks.
    pub(crate) stripes: u32,
    pub(crate) intent: &'a WriteIntent,
    pub(crate) from: DiskId,
    pub(crate) to: DiskId,
}

impl Mender {
    /// Makes the shard readable on `to`. On OK every chunk of it there has just been read and
    /// verified. The bytes that were written; none if it was there.
    pub(crate) async fn carry(&self, parcel: Parcel<'_>, pace: &Pace) -> Result<u64, Error> {
        let _turn = self.turn(parcel.shard.blob).lock().await;
        let Parcel { to: disk, shard, .. } = parcel;
        if !self.answers(disk) {
            let reason = "waiting until it answers again".to_owned();
            return Err(ShardError::Unavailable { disk, reason }.into());
        }
        if self.reads(parcel, disk).await? {
            return Ok(0);
        }
        let bytes = match self.send(parcel, pace).await {
            // A beginning lies there that does not go on with this shard, or cannot be read. It
            // may go if what would take its place is whole.
            Err(Error::Shard(ShardError::Failed { .. } | ShardError::Corrupt { .. }))
                if self.reads(parcel, parcel.from).await? =>
            {
                self.objects.shards().delete(disk, vec![shard]).await?;
                self.send(parcel, pace).await?
            }
            other => other?,
        };
        metrics::done(NAME, "readback_bytes", bytes);
        if self.reads(parcel, disk).await? {
            Ok(bytes)
        } else {
            Err(ShardError::Corrupt { disk, shard }.into())
        }
    }

    /// Whether all chunks of the shard can be read on a disk. An error says nothing about the shard.
    async fn reads(&self, parcel: Parcel<'_>, disk: DiskId) -> Result<bool, Error> {
        for stripe in 0..parcel.stripes {
            match self.objects.shards().read(disk, parcel.shard, stripe).await {
                Ok(_) => {}
                Err(
                    ShardError::NotFound { .. }
                    | ShardError::Corrupt { .. }
                    | ShardError::Failed { .. },
                ) => return Ok(false),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(true)
    }

    async fn send(&self, parcel: Parcel<'_>, pace: &Pace) -> Result<u64, Error> {
        let Parcel { shard, stripes, intent, from, to } = parcel;
        let mut sent = 0;
        for stripe in 0..stripes {
            let chunk = self.objects.shards().read(from, shard, stripe).await?;
            metrics::done(NAME, "read_bytes", chunk.bytes.len() as u64);
            let put = PutChunks {
                shard,
                intent: intent.clone(),
                first_stripe: stripe,
                chunks: vec![chunk],
                seal: stripe + 1 == stripes,
            };
            sent += self.put(to, put, pace).await?;
        }
        Ok(sent)
    }
}
