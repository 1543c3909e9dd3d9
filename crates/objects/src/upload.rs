//! Cutting a body into stripes and getting them onto a placement group, or onto another
//! one if the first fails while the whole body so far is still in memory. Where the storage
//! class says so the body goes through [`zstd_frames`] first.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use erasure::{Codec, EncodedStripe, StripeBuffer};
use tokio::sync::Semaphore;
use types::{
    BlobId, BlobRef, ChunkDigest, CodecId, Compression, Encoding, ErasurePolicy, Layout, PgId,
    ShardId, StorageClass, WriteIntent,
};

use crate::{
    Error, Objects,
    buffer::{Buffer, Lease},
    choose::{Wanted, choose},
    compute, metrics,
    write::{BlobWriter, GroupFailed, STRIPES_MAX, Slot},
    zstd_frames,
};

/// Stripes that are kept until the commit, so that the blob can move to another group.
const KEPT_STRIPES_MAX: usize = 2;
/// Placement groups that one request tries.
const GROUPS_TRIED_MAX: usize = 3;
/// Where content is compressed, in frames: one that is being filled or compressed, what becomes
/// of it, and as much again for the tables of the compression.
const FRAMES_HELD: u64 = 3;
/// How long a request waits for its buffers before it answers 503.
const BUFFER_WAIT: Duration = Duration::from_secs(60);

/// A blob whose shards are durable on the write quorum and that nothing references yet.
/// Dropping it deletes the shards.
pub(crate) struct StoredBlob {
    pub(crate) blob: BlobRef,
    pub(crate) missing: Vec<u8>,
    pub(crate) writer: BlobWriter,
}

/// A stripe that is full, or the last one.
struct Ready {
    number: u32,
    buffer: StripeBuffer<Buffer>,
    slot: Slot,
}

/// A body on its way into a blob.
pub(crate) struct BlobUpload {
    objects: Objects,
    intent: WriteIntent,
    wanted: Wanted,
    codec: Arc<dyn Codec>,
    /// The most stored bytes in total, if known.
    hint: Option<u64>,
    /// Content bytes so far.
    content_bytes: u64,
    /// Stored bytes so far.
    size: u64,
    /// Where the content is compressed.
    frames: Option<zstd_frames::Writer>,
    stripes: u32,
    filling: Option<(StripeBuffer<Buffer>, Slot)>,
    /// Full, and not yet sent: only its successor tells whether it is the last.
    ready: Option<Ready>,
    /// All stripes so far; `None` once there were too many.
    kept: Option<Vec<Arc<EncodedStripe>>>,
    tried: Vec<PgId>,
    writer: BlobWriter,
    slots: Arc<Semaphore>,
    lease: Arc<Lease>,
}

impl BlobUpload {
    /// Takes the memory that the upload will need, and chooses a placement group of the
    /// class. `hint`: bytes of content, if known. The class's profile of this moment holds to
    /// the upload's end.
    pub(crate) async fn begin(
        objects: &Objects,
        intent: WriteIntent,
        class: StorageClass,
        hint: Option<u64>,
    ) -> Result<Self, Error> {
        let wanted = Wanted::new(&objects.metadata().map(), class);
        let policy = wanted.profile.policy;
        let codec = erasure::codec(CodecId::REED_SOLOMON_V1, policy).map_err(internal)?;
        let (hint, frames, frame_memory) = match wanted.profile.compression {
            Compression::None => (hint, None, 0),
            Compression::Zstd => {
                let frame = (Encoding::FRAME_BYTES as u64).min(hint.unwrap_or(u64::MAX));
                let stored = hint.map(zstd_frames::stored_bytes_max);
                (stored, Some(zstd_frames::Writer::default()), FRAMES_HELD * frame)
            }
        };
        let memory = memory_bytes(policy, hint) + frame_memory;
        let lease = Arc::new(objects.inner.write_budget.lease(memory, BUFFER_WAIT).await?);
        let slots = Arc::new(Semaphore::new(STRIPES_MAX));
        let writer = begin_writer(objects, wanted, &[], &intent, &slots, &lease)?;
        Ok(Self {
            objects: objects.clone(),
            intent,
            wanted,
            codec,
            hint,
            content_bytes: 0,
            size: 0,
            frames,
            stripes: 0,
            filling: None,
            ready: None,
            kept: Some(Vec::new()),
            tried: vec![writer.group()],
            writer,
            slots,
            lease,
        })
    }

    /// Takes the next bytes of the body; waits while the disks are behind.
    pub(crate) async fn add(&mut self, mut frame: Bytes) -> Result<(), Error> {
        self.content_bytes += frame.len() as u64;
        if self.frames.is_none() {
            return self.add_stored(frame).await;
        }
        while let Some(frames) = &mut self.frames
            && !frame.is_empty()
        {
            if let Some(full) = frames.fill(&mut frame) {
                self.add_frame(full).await?;
            }
        }
        Ok(())
    }

    /// Compresses the content of one frame.
    async fn add_frame(&mut self, content: Vec<u8>) -> Result<(), Error> {
        let content_bytes = content.len();
        let work = move || zstd_frames::compress(&content);
        let cost = content_bytes as u64 * compute::COMPRESSION_COST;
        let frame = compute::run(cost, work).await?;
        let frame = frame.map_err(|error| Error::Internal(error.to_string()))?;
        if let Some(frames) = &mut self.frames {
            frames.wrote(frame.len(), content_bytes);
        }
        self.add_stored(frame.into()).await
    }

    /// What is left of the content, and the table of the frames.
    async fn end_frames(&mut self) -> Result<(), Error> {
        if let Some(rest) = self.frames.as_mut().and_then(zstd_frames::Writer::rest) {
            self.add_frame(rest).await?;
        }
        match self.frames.take() {
            Some(frames) => self.add_stored(frames.table()).await,
            None => Ok(()),
        }
    }

    async fn add_stored(&mut self, mut frame: Bytes) -> Result<(), Error> {
        self.size += frame.len() as u64;
        let mut rest = frame.len() as u64;
        while !frame.is_empty() {
            let (mut buffer, slot) = match self.filling.take() {
                Some(filling) => filling,
                None => self.next_buffer(self.size - rest).await?,
            };
            buffer.fill(&mut frame);
            rest = frame.len() as u64;
            if buffer.is_full() {
                self.ready = Some(Ready { number: self.stripes, buffer, slot });
                self.stripes += 1;
            } else {
                self.filling = Some((buffer, slot));
            }
        }
        Ok(())
    }

    /// The buffer of the stripe that begins at byte `offset`. The stripe before it is not
    /// the last one, so it is sent.
    async fn next_buffer(&mut self, offset: u64) -> Result<(StripeBuffer<Buffer>, Slot), Error> {
        if let Some(ready) = self.ready.take() {
            self.dispatch(ready, false).await?;
        }
        let slot = self.writer.slot().await;
        if let Err(failed) = self.writer.check() {
            self.move_on(failed, false).await?;
        }
        let policy = self.codec.policy();
        let full = policy.k() * Layout::CHUNK_MAX;
        let data = match self.hint {
            Some(size) => usize::try_from(size - offset).unwrap_or(full).min(full),
            None => full,
        };
        let bytes = StripeBuffer::<Buffer>::bytes_needed(policy, data);
        let buffer = StripeBuffer::new(policy, self.objects.inner.pool.take(bytes));
        Ok((buffer, slot))
    }

    async fn dispatch(&mut self, ready: Ready, seal: bool) -> Result<(), Error> {
        let Ready { number, buffer, slot } = ready;
        let (codec, blob) = (Arc::clone(&self.codec), self.writer.blob());
        let encode = move || buffer.encode(&*codec, blob, number);
        let stripe_bytes = self.codec.policy().k() * Layout::CHUNK_MAX;
        let bytes =
            if seal { self.size - u64::from(number) * stripe_bytes as u64 } else { u64::MAX };
        let stripe = Arc::new(compute::run(bytes, encode).await?.map_err(internal)?);
        match &mut self.kept {
            Some(kept) if kept.len() < KEPT_STRIPES_MAX => kept.push(Arc::clone(&stripe)),
            _ => self.kept = None,
        }
        self.writer.send(number, &stripe, seal, Some(&slot));
        match self.writer.check() {
            Ok(()) => Ok(()),
            Err(failed) => self.move_on(failed, seal).await,
        }
    }

    /// The group failed: writes everything so far to another one, as a new blob. `sealed`:
    /// the stripes so far are all there are.
    async fn move_on(&mut self, mut failed: GroupFailed, sealed: bool) -> Result<(), Error> {
        while let Some(kept) = self.kept.clone()
            && self.tried.len() < GROUPS_TRIED_MAX
        {
            let begun = begin_writer(
                &self.objects,
                self.wanted,
                &self.tried,
                &self.intent,
                &self.slots,
                &self.lease,
            );
            // No other group: what became of this one is the better reason.
            let Ok(mut writer) = begun else { break };
            metrics::retried_in_another_group();
            self.tried.push(writer.group());
            for (number, stripe) in (0u32..).zip(&kept) {
                let stripe = redigest(Arc::clone(stripe), writer.blob(), number).await?;
                let last = number as usize + 1 == kept.len();
                writer.send(number, &stripe, sealed && last, None);
            }
            // The writer that failed is dropped here, which deletes what it wrote.
            self.writer = writer;
            match self.writer.check() {
                Ok(()) => return Ok(()),
                Err(again) => failed = again,
            }
        }
        Err(failed.into())
    }

    /// After the body's end and its verification: seals, and waits for the write quorum.
    pub(crate) async fn finish(mut self) -> Result<StoredBlob, Error> {
        let encoding = match self.frames {
            None => Encoding::Plain,
            Some(_) => Encoding::Zstd { content_bytes: self.content_bytes },
        };
        self.end_frames().await?;
        if let Some((buffer, slot)) = self.filling.take() {
            self.ready = Some(Ready { number: self.stripes, buffer, slot });
            self.stripes += 1;
        }
        let last = self.ready.take().expect("a blob has more than the inline bytes");
        self.dispatch(last, true).await?;
        let missing = loop {
            match self.writer.sealed().await {
                Ok(missing) => break missing,
                Err(failed) => self.move_on(failed, true).await?,
            }
        };
        if !missing.is_empty() {
            metrics::degraded_write();
        }
        let blob = BlobRef {
            id: self.writer.blob(),
            pg: self.writer.group(),
            policy: self.codec.policy(),
            codec: self.codec.id(),
            size: self.size,
            encoding,
        };
        Ok(StoredBlob { blob, missing, writer: self.writer })
    }
}

/// Memory of an upload at its peak: all its stripes, or as many as may be alive at once.
fn memory_bytes(policy: ErasurePolicy, hint: Option<u64>) -> u64 {
    let most = (STRIPES_MAX * policy.n() * Layout::CHUNK_MAX) as u64;
    hint.map_or(most, |size| Layout::new(policy, size).stored_bytes().min(most))
}

fn begin_writer(
    objects: &Objects,
    wanted: Wanted,
    tried: &[PgId],
    intent: &WriteIntent,
    slots: &Arc<Semaphore>,
    lease: &Arc<Lease>,
) -> Result<BlobWriter, Error> {
    let map = objects.metadata().map();
    let up = |disk| objects.shards().likely_up(disk);
    let group = choose(&map, wanted, up, tried, &mut rand::rng())?;
    Ok(BlobWriter::begin(objects, group, intent, slots, lease))
}

/// The same chunks under another blob id: only the digests change.
async fn redigest(
    stripe: Arc<EncodedStripe>,
    blob: BlobId,
    number: u32,
) -> Result<EncodedStripe, Error> {
    let bytes = stripe.chunks.iter().map(Bytes::len).sum::<usize>() as u64;
    compute::run(bytes, move || {
        let chunks = stripe.chunks.clone();
        let digest =
            |(rank, chunk): (u8, &Bytes)| ChunkDigest::of(ShardId { blob, rank }, number, chunk);
        let digests = (0u8..).zip(&chunks).map(digest).collect();
        EncodedStripe { chunks, digests }
    })
    .await
}

fn internal(error: erasure::Error) -> Error {
    Error::Internal(error.to_string())
}
