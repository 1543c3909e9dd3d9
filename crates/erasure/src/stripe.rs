//! One stripe: its bytes become `n` chunks and their digests in one pass.
//!
//! ```text
//! buffer  |<------------ data, k x chunk ------------>|<- coding, m x chunk ->|
//!         | chunk 0 | chunk 1 | ... | chunk k-1  |0000| chunk k | ... chunk n-1|
//!                                    end of data ^ zeros
//! ```
//!
//! `chunk = ceil(data / k)` ([`types::Layout`]). The pass goes over tiles: the coding tile is
//! computed and all `n` tiles are hashed while they are still in the second-level cache, so
//! that every byte comes from memory once.

use bytes::{Buf, Bytes, BytesMut};
use types::{BlobId, ChunkDigest, ErasurePolicy, Layout, ShardId};

use crate::{Codec, Error};

/// Bytes of a chunk that are encoded and hashed at once: `n` of them fit a second-level cache
/// of 1 MiB for the policies in use, and BLAKE3 gets pieces that fill its vector lanes
/// (measured: tiles of 8 KiB cost 10 to 20 % of the pass).
const TILE: usize = 64 << 10;

const CHUNKS_MAX: usize = ErasurePolicy::CHUNKS_MAX;

/// The chunks of a stripe, ready to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodedStripe {
    /// `n` chunks in rank order, all of one length.
    pub chunks: Vec<Bytes>,
    /// Their digests, in rank order.
    pub digests: Vec<ChunkDigest>,
}

/// Computes the coding chunks of stripe number `stripe` of `blob` and the digests of all its
/// chunks. `digests` has `n` entries; lengths and counts as in [`Codec::encode`]. Allocates
/// nothing.
pub fn encode_and_digest(
    codec: &dyn Codec,
    blob: BlobId,
    stripe: u32,
    data: &[&[u8]],
    parity: &mut [&mut [u8]],
    digests: &mut [ChunkDigest],
) -> Result<(), Error> {
    let (k, m, n) = (codec.policy().k(), codec.policy().m(), codec.policy().n());
    check_shape(codec.policy(), data, parity, digests)?;
    let mut hashers: [blake3::Hasher; CHUNKS_MAX] = std::array::from_fn(|_| blake3::Hasher::new());
    let mut rest: [&mut [u8]; CHUNKS_MAX] = std::array::from_fn(|_| Default::default());
    for (rest, chunk) in rest.iter_mut().zip(parity.iter_mut()) {
        *rest = chunk;
    }
    let len = data[0].len();
    for start in (0..len).step_by(TILE) {
        let tile = start..len.min(start + TILE);
        let mut inputs: [&[u8]; CHUNKS_MAX] = [&[]; CHUNKS_MAX];
        for (input, chunk) in inputs.iter_mut().zip(data) {
            *input = &chunk[tile.clone()];
        }
        let mut outputs: [&mut [u8]; CHUNKS_MAX] = std::array::from_fn(|_| Default::default());
        for (output, rest) in outputs.iter_mut().zip(&mut rest[..m]) {
            (*output, *rest) = std::mem::take(rest).split_at_mut(tile.len());
        }
        codec.encode(&inputs[..k], &mut outputs[..m])?;
        for (hasher, input) in hashers[..k].iter_mut().zip(&inputs) {
            hasher.update(input);
        }
        for (hasher, output) in hashers[k..n].iter_mut().zip(&outputs) {
            hasher.update(output);
        }
    }
    for (rank, (digest, hasher)) in (0u8..).zip(digests.iter_mut().zip(hashers)) {
        *digest = ChunkDigest::finish(hasher, ShardId { blob, rank }, stripe);
    }
    Ok(())
}

/// Cuts the `data` of one stripe into chunks and encodes it. Chunks that are full are slices
/// of `data`; padded ones and the coding chunks are slices of `scratch`, whose content and
/// length are ignored: at most `n` chunks of it are used, and it grows if it has fewer.
pub fn encode_stripe(
    codec: &dyn Codec,
    blob: BlobId,
    stripe: u32,
    data: &Bytes,
    mut scratch: BytesMut,
) -> Result<EncodedStripe, Error> {
    let policy = codec.policy();
    let chunk = chunk_bytes(policy, data.len())?;
    // An empty stripe has only empty chunks, all of them full.
    let full = data.len().checked_div(chunk).unwrap_or(policy.k());
    let padded = policy.k() - full;
    scratch.clear();
    scratch.extend_from_slice(&data[full * chunk..]);
    scratch.resize(padded * chunk, 0);
    scratch.resize((padded + policy.m()) * chunk, 0);
    let mut coding = scratch.split_off(padded * chunk);
    let tail = scratch.freeze();

    let slice = |rank: usize| match rank.checked_sub(full) {
        None => data.slice(rank * chunk..(rank + 1) * chunk),
        Some(rank) => tail.slice(rank * chunk..(rank + 1) * chunk),
    };
    let mut chunks: Vec<Bytes> = (0..policy.k()).map(slice).collect();
    let digests = encode_slices(codec, blob, stripe, &chunks, &mut coding, chunk)?;
    let coding = coding.freeze();
    chunks.extend((0..policy.m()).map(|r| coding.slice(r * chunk..(r + 1) * chunk)));
    Ok(EncodedStripe { chunks, digests })
}

/// Collects the bytes of a stripe in a buffer in which they are also encoded: all chunks are
/// slices of it and nothing is copied after [`StripeBuffer::fill`].
///
/// The buffer `B` may come from a pool: it is dropped when the last chunk is, which may be
/// when the socket has taken it.
#[derive(Debug)]
pub struct StripeBuffer<B> {
    policy: ErasurePolicy,
    buffer: B,
    filled: usize,
}

impl<B: AsRef<[u8]> + AsMut<[u8]> + Send + 'static> StripeBuffer<B> {
    /// Bytes that a buffer needs for a stripe of `data_bytes` bytes; for a full stripe
    /// `n` MiB.
    pub fn bytes_needed(policy: ErasurePolicy, data_bytes: usize) -> usize {
        data_bytes.div_ceil(policy.k()) * policy.n()
    }

    /// An empty stripe over `buffer`, whose content is ignored and whose length decides how
    /// much data fits: [`StripeBuffer::limit`].
    pub fn new(policy: ErasurePolicy, buffer: B) -> Self {
        Self { policy, buffer, filled: 0 }
    }

    /// The most data bytes that it takes: a full stripe, or what the buffer has room for.
    pub fn limit(&self) -> usize {
        (self.buffer.as_ref().len() / self.policy.n()).min(Layout::CHUNK_MAX) * self.policy.k()
    }

    /// Data bytes so far.
    pub fn len(&self) -> usize {
        self.filled
    }

    /// Whether there is no data yet.
    pub fn is_empty(&self) -> bool {
        self.filled == 0
    }

    /// Whether [`StripeBuffer::fill`] would take nothing more.
    pub fn is_full(&self) -> bool {
        self.filled == self.limit()
    }

    /// Copies from the front of `source` what fits and advances it by that. What remains in
    /// `source` belongs to the next stripe.
    pub fn fill(&mut self, source: &mut Bytes) {
        let taken = source.len().min(self.limit() - self.filled);
        self.buffer.as_mut()[self.filled..self.filled + taken].copy_from_slice(&source[..taken]);
        source.advance(taken);
        self.filled += taken;
    }

    /// Pads, encodes and hashes. The chunks share the buffer and give it back when the last
    /// of them is dropped. The codec must be one of the buffer's policy.
    pub fn encode(
        mut self,
        codec: &dyn Codec,
        blob: BlobId,
        stripe: u32,
    ) -> Result<EncodedStripe, Error> {
        let policy = self.policy;
        let chunk = chunk_bytes(policy, self.filled)?;
        let needed = chunk * policy.n();
        let buffer = self.buffer.as_mut();
        if buffer.len() < needed {
            return Err(Error::BufferLength { needed, given: buffer.len() });
        }
        let (data, coding) = buffer[..needed].split_at_mut(chunk * policy.k());
        // The buffer may have been used before: what is not data must be zero.
        data[self.filled..].fill(0);
        let mut chunks: [&[u8]; CHUNKS_MAX] = [&[]; CHUNKS_MAX];
        for (rank, slot) in chunks[..policy.k()].iter_mut().enumerate() {
            *slot = &data[rank * chunk..(rank + 1) * chunk];
        }
        let digests = encode_slices(codec, blob, stripe, &chunks[..policy.k()], coding, chunk)?;
        let bytes = Bytes::from_owner(self.buffer);
        let slice = |rank| bytes.slice(rank * chunk..(rank + 1) * chunk);
        Ok(EncodedStripe { chunks: (0..policy.n()).map(slice).collect(), digests })
    }
}

/// Encodes `k` data chunks into the `m` coding chunks that lie one after the other in
/// `coding`; the digests of all.
fn encode_slices(
    codec: &dyn Codec,
    blob: BlobId,
    stripe: u32,
    data: &[impl AsRef<[u8]>],
    coding: &mut [u8],
    chunk: usize,
) -> Result<Vec<ChunkDigest>, Error> {
    let mut inputs: [&[u8]; CHUNKS_MAX] = [&[]; CHUNKS_MAX];
    for (input, data) in inputs.iter_mut().zip(data) {
        *input = data.as_ref();
    }
    let m = codec.policy().m();
    let mut outputs: [&mut [u8]; CHUNKS_MAX] = std::array::from_fn(|_| Default::default());
    let mut rest = coding;
    for output in &mut outputs[..m] {
        (*output, rest) = rest.split_at_mut(chunk);
    }
    let mut digests = vec![ChunkDigest([0; 32]); codec.policy().n()];
    let (inputs, outputs) = (&inputs[..data.len()], &mut outputs[..m]);
    encode_and_digest(codec, blob, stripe, inputs, outputs, &mut digests)?;
    Ok(digests)
}

/// Bytes of each chunk of a stripe of `data_bytes`.
fn chunk_bytes(policy: ErasurePolicy, data_bytes: usize) -> Result<usize, Error> {
    let limit = policy.k() * Layout::CHUNK_MAX;
    if data_bytes > limit {
        return Err(Error::StripeLength { limit, given: data_bytes });
    }
    Ok(data_bytes.div_ceil(policy.k()))
}

/// What [`Codec::encode`] would refuse, refused before a tile of it is done.
fn check_shape(
    policy: ErasurePolicy,
    data: &[&[u8]],
    parity: &[&mut [u8]],
    digests: &[ChunkDigest],
) -> Result<(), Error> {
    for (what, expected, given) in [
        ("data chunks", policy.k(), data.len()),
        ("coding chunks", policy.m(), parity.len()),
        ("digests", policy.n(), digests.len()),
    ] {
        if given != expected {
            return Err(Error::ChunkCount { what, expected, given });
        }
    }
    let expected = data[0].len();
    let coding = parity.iter().map(|chunk| chunk.len());
    let lengths = data.iter().map(|chunk| chunk.len()).chain(coding);
    match lengths.enumerate().find(|(_, given)| *given != expected) {
        Some((rank, given)) => Err(Error::ChunkLength { rank, expected, given }),
        None => Ok(()),
    }
}
