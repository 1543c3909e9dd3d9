//! A stripe's chunks hold its data, carry the digests of the format, share the buffers that
//! they came from, and are the same whichever way they were made.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use bytes::{Bytes, BytesMut};
use erasure::{Codec, EncodedStripe, Error, StripeBuffer, encode_stripe};
use proptest::prelude::*;
use types::{BlobId, ChunkDigest, CodecId, ErasurePolicy, Layout, ShardId};

fn blob() -> BlobId {
    BlobId::from_bytes([9; 16])
}

fn codec(k: u8, m: u8) -> Arc<dyn Codec> {
    let policy = ErasurePolicy::new(k, m).expect("valid");
    erasure::codec(CodecId::REED_SOLOMON_V1, policy).expect("known")
}

fn data(len: usize) -> Bytes {
    (0..len).map(|i| (i * 7 + i / 251) as u8).collect::<Vec<u8>>().into()
}

/// What the format says the stripe must be, and nothing about how it was made.
#[track_caller]
fn check(codec: &dyn Codec, data: &[u8], stripe: u32, encoded: &EncodedStripe) {
    let policy = codec.policy();
    let layout = Layout::new(policy, data.len() as u64);
    assert_eq!(encoded.chunks.len(), policy.n());
    assert_eq!(encoded.digests.len(), policy.n());
    assert!(encoded.chunks.iter().all(|chunk| chunk.len() == layout.chunk_bytes(0)));
    let joined = encoded.chunks[..policy.k()].concat();
    assert!(joined[..data.len()] == *data && joined[data.len()..].iter().all(|byte| *byte == 0));
    let slices: Vec<&[u8]> = encoded.chunks.iter().map(|chunk| &chunk[..]).collect();
    assert!(codec.verify(&slices).expect("right shape"));
    for (rank, (chunk, digest)) in (0u8..).zip(encoded.chunks.iter().zip(&encoded.digests)) {
        assert_eq!(*digest, ChunkDigest::of(ShardId { blob: blob(), rank }, stripe, chunk));
    }
}

fn dirty(len: usize) -> BytesMut {
    BytesMut::from(&vec![0xEE; len][..])
}

#[test]
fn lengths_at_the_borders_both_ways() {
    for (k, m) in [(4, 2), (8, 4), (1, 1), (2, 1)] {
        let codec = codec(k, m);
        let policy = codec.policy();
        let full = policy.k() * Layout::CHUNK_MAX;
        for len in [0, 1, 3, 4, 5, 1000, 262_144, 262_145, full - 1, full] {
            let data = data(len);
            let scratch = encode_stripe(&*codec, blob(), 3, &data, dirty(len / 2)).expect("fits");
            check(&*codec, &data, 3, &scratch);

            let needed = StripeBuffer::<Vec<u8>>::bytes_needed(policy, len);
            let mut buffer = StripeBuffer::new(policy, vec![0xEE; needed]);
            assert!(buffer.limit() >= len);
            let mut source = data.clone();
            buffer.fill(&mut source);
            assert_eq!((source.len(), buffer.len()), (0, len));
            assert_eq!(buffer.encode(&*codec, blob(), 3).expect("fits"), scratch);
        }
    }
}

#[test]
fn full_chunks_are_slices_of_the_callers_buffers() {
    let codec = codec(4, 2);
    let data = data(4 * 1000 - 1);
    let encoded = encode_stripe(&*codec, blob(), 0, &data, BytesMut::new()).expect("fits");
    for rank in 0..3 {
        assert_eq!(encoded.chunks[rank].as_ptr(), data[rank * 1000..].as_ptr(), "{rank}");
    }
    assert_ne!(encoded.chunks[3].as_ptr(), data[3000..].as_ptr(), "it is padded");

    let scratch = BytesMut::with_capacity(3000);
    let place = scratch.as_ptr();
    let encoded = encode_stripe(&*codec, blob(), 0, &data, scratch).expect("fits");
    assert_eq!(encoded.chunks[3].as_ptr(), place, "padding and coding use the scratch");
}

/// A buffer of a pool that counts what comes back.
struct Pooled(Vec<u8>, Arc<AtomicUsize>);

impl AsRef<[u8]> for Pooled {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl AsMut<[u8]> for Pooled {
    fn as_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

impl Drop for Pooled {
    fn drop(&mut self) {
        self.1.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn a_pooled_buffer_comes_back_with_the_last_chunk() {
    let codec = codec(4, 2);
    let returned = Arc::new(AtomicUsize::new(0));
    let pooled = Pooled(vec![0; 6 * 512], Arc::clone(&returned));
    let place = pooled.0.as_ptr();
    let mut buffer = StripeBuffer::new(codec.policy(), pooled);
    assert_eq!(buffer.limit(), 4 * 512);

    let mut source = data(5000);
    buffer.fill(&mut source);
    assert!(buffer.is_full());
    assert_eq!(source.len(), 5000 - 2048, "the rest is the next stripe's");

    let mut encoded = buffer.encode(&*codec, blob(), 0).expect("fits");
    check(&*codec, &data(5000)[..2048], 0, &encoded);
    assert_eq!(encoded.chunks[0].as_ptr(), place);
    let last = encoded.chunks.pop().expect("n chunks");
    drop(encoded);
    assert_eq!(returned.load(Ordering::SeqCst), 0);
    drop(last);
    assert_eq!(returned.load(Ordering::SeqCst), 1);
}

#[test]
fn too_much_data_and_wrong_shapes_are_refused() {
    let codec = codec(1, 1);
    let limit = Layout::CHUNK_MAX;
    let long = Bytes::from(vec![0; limit + 1]);
    let refused = encode_stripe(&*codec, blob(), 0, &long, BytesMut::new());
    assert_eq!(refused, Err(Error::StripeLength { limit, given: limit + 1 }));

    let mut digests = [ChunkDigest([0; 32]); 2];
    let mut parity = [0; 3];
    let refused = erasure::encode_and_digest(
        &*codec,
        blob(),
        0,
        &[b"four"],
        &mut [&mut parity],
        &mut digests,
    );
    assert_eq!(refused, Err(Error::ChunkLength { rank: 1, expected: 4, given: 3 }));
    let refused = erasure::encode_and_digest(
        &*codec,
        blob(),
        0,
        &[b"abc"],
        &mut [&mut parity],
        &mut digests[1..],
    );
    assert_eq!(refused, Err(Error::ChunkCount { what: "digests", expected: 2, given: 1 }));

    let other = ErasurePolicy::new(2, 1).expect("valid");
    let mut buffer = StripeBuffer::new(other, vec![0; 3]);
    buffer.fill(&mut Bytes::from_static(b"ab"));
    let refused = buffer.encode(&*codec, blob(), 0);
    assert_eq!(refused, Err(Error::ChunkCount { what: "data chunks", expected: 1, given: 2 }));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// However the frames of the body fall, the stripe is the same.
    #[test]
    fn frames_do_not_matter(
        frames in prop::collection::vec(0usize..5000, 0..12),
        stripe: u32,
        (k, m) in prop_oneof![Just((4, 2)), Just((6, 3)), Just((2, 1))],
    ) {
        let codec = codec(k, m);
        let all = data(frames.iter().sum());
        let needed = StripeBuffer::<Vec<u8>>::bytes_needed(codec.policy(), all.len());
        let mut buffer = StripeBuffer::new(codec.policy(), vec![0xEE; needed]);
        let mut rest = all.clone();
        for frame in frames {
            let mut frame = rest.split_to(frame);
            buffer.fill(&mut frame);
            prop_assert!(frame.is_empty());
        }
        check(&*codec, &all, stripe, &buffer.encode(&*codec, blob(), stripe).expect("fits"));
    }
}
