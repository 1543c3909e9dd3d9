//! The code gives the data back after every loss that it promises to survive, agrees with the
//! library that defines it, and answers wrong shapes with their numbers.

use std::sync::Arc;

use erasure::{Codec, Error, Target};
use proptest::prelude::*;
use reed_solomon_erasure::galois_8;
use types::{CodecId, ErasurePolicy};

const POLICIES: [(u8, u8); 5] = [(4, 2), (6, 3), (8, 4), (1, 1), (2, 1)];

fn codec(k: u8, m: u8) -> Arc<dyn Codec> {
    let policy = ErasurePolicy::new(k, m).expect("valid");
    erasure::codec(CodecId::REED_SOLOMON_V1, policy).expect("known")
}

/// Bytes without a pattern that a code could be blind to.
fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2).wrapping_add(1);
    let step = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963);
        (state >> 56) as u8
    };
    (0..len).map(step).collect()
}

/// All `n` chunks of random data.
fn stripe(codec: &dyn Codec, len: usize, seed: u64) -> Vec<Vec<u8>> {
    let policy = codec.policy();
    let mut chunks: Vec<Vec<u8>> = (0..policy.k())
        .map(|rank| noise(seed.wrapping_add(rank as u64 * 0x9E37_79B9), len))
        .collect();
    let mut parity = vec![vec![0xEE; len]; policy.m()];
    let mut slices: Vec<&mut [u8]> = parity.iter_mut().map(Vec::as_mut_slice).collect();
    codec.encode(&slices_of(&chunks), &mut slices).expect("encodes");
    chunks.extend(parity);
    chunks
}

fn slices_of(chunks: &[Vec<u8>]) -> Vec<&[u8]> {
    chunks.iter().map(Vec::as_slice).collect()
}

/// Loses the chunks whose bit is set in `lost`, rebuilds those in `wanted`, compares.
#[track_caller]
fn check_rebuild(codec: &dyn Codec, chunks: &[Vec<u8>], lost: u32, wanted: u32) {
    let present: Vec<Option<&[u8]>> = chunks
        .iter()
        .enumerate()
        .map(|(rank, chunk)| (lost >> rank & 1 == 0).then_some(chunk.as_slice()))
        .collect();
    let ranks: Vec<usize> = (0..chunks.len()).filter(|rank| wanted >> rank & 1 == 1).collect();
    let mut rebuilt = vec![vec![0xEE; chunks[0].len()]; ranks.len()];
    let mut targets: Vec<Target<'_>> =
        ranks.iter().zip(&mut rebuilt).map(|(rank, bytes)| Target { rank: *rank, bytes }).collect();
    codec.reconstruct(&present, &mut targets).expect("enough chunks");
    for (rank, rebuilt) in ranks.iter().zip(&rebuilt) {
        assert!(*rebuilt == chunks[*rank], "rank {rank} lost {lost:b} wanted {wanted:b}");
    }
}

#[test]
fn every_pattern_of_up_to_m_losses_is_decoded() {
    for (k, m) in POLICIES {
        let codec = codec(k, m);
        let chunks = stripe(&*codec, 257, u64::from(k));
        let patterns = (0u32..1 << (k + m)).filter(|lost| lost.count_ones() <= m.into());
        let mut count = 0;
        for lost in patterns {
            check_rebuild(&*codec, &chunks, lost, lost);
            // One at a time as well: a degraded read asks for less than is lost.
            for rank in (0..k + m).filter(|rank| lost >> rank & 1 == 1) {
                check_rebuild(&*codec, &chunks, lost, 1 << rank);
            }
            count += 1;
        }
        let expected = match (k, m) {
            (4, 2) => 1 + 6 + 15,
            (6, 3) => 1 + 9 + 36 + 84,
            (8, 4) => 1 + 12 + 66 + 220 + 495,
            _ => 1 + u32::from(k + m),
        };
        assert_eq!(count, expected, "rs-{k}-{m}");
    }
}

#[test]
fn odd_lengths_agree_with_the_library_and_are_rebuilt() {
    for (k, m) in POLICIES {
        let codec = codec(k, m);
        let library = galois_8::ReedSolomon::new(k.into(), m.into()).expect("valid");
        for len in [0, 1, 2, 3, 63, 64, 65, 1000, 4095, 4096, 4097, 65_537] {
            let chunks = stripe(&*codec, len, 11);
            assert!(codec.verify(&slices_of(&chunks)).expect("right shape"), "{len}");
            // The first m are lost: as many data chunks as can be.
            let lost = (1 << m) - 1;
            check_rebuild(&*codec, &chunks, lost, lost);
            // The library refuses empty chunks.
            if len > 0 {
                let mut expected = vec![vec![0; len]; m.into()];
                library.encode_sep(&chunks[..k.into()], &mut expected).expect("encodes");
                assert!(chunks[k.into()..] == expected, "rs-{k}-{m} of {len}");
            }
        }
    }
}

#[test]
fn one_flipped_bit_fails_verification_wherever_it_is() {
    let codec = codec(4, 2);
    let chunks = stripe(&*codec, 20_000, 5);
    for rank in 0..6 {
        for at in [0, 4095, 4096, 19_999] {
            let mut wrong = chunks.clone();
            wrong[rank][at] ^= 0x10;
            assert!(!codec.verify(&slices_of(&wrong)).expect("right shape"), "{rank} {at}");
        }
    }
}

fn target(rank: usize, bytes: &mut [u8]) -> [Target<'_>; 1] {
    [Target { rank, bytes }]
}

#[test]
fn wrong_shapes_are_errors_with_their_numbers_and_write_nothing() {
    let codec = codec(4, 2);
    let chunks = stripe(&*codec, 10, 1);
    let all = slices_of(&chunks);

    let (mut p, mut q, mut short) = ([0xEE; 10], [0xEE; 10], [0xEE; 9]);
    let count = |what, expected, given| Err(Error::ChunkCount { what, expected, given });
    assert_eq!(codec.encode(&all[..3], &mut [&mut p, &mut q]), count("data chunks", 4, 3));
    assert_eq!(codec.encode(&all[..4], &mut [&mut p]), count("coding chunks", 2, 1));
    let length = Err(Error::ChunkLength { rank: 5, expected: 10, given: 9 });
    assert_eq!(codec.encode(&all[..4], &mut [&mut p, &mut short]), length);
    assert_eq!(
        codec.verify(&all[..5]),
        Err(Error::ChunkCount { what: "chunks", expected: 6, given: 5 })
    );

    let mut present: Vec<Option<&[u8]>> = all.iter().copied().map(Some).collect();
    let rank = Err(Error::Rank { rank: 6, chunks: 6 });
    assert_eq!(codec.reconstruct(&present, &mut target(6, &mut p)), rank);
    let length = Err(Error::ChunkLength { rank: 1, expected: 10, given: 9 });
    assert_eq!(codec.reconstruct(&present, &mut target(1, &mut short)), length);
    assert_eq!(codec.reconstruct(&present[..5], &mut target(1, &mut p)), count("chunks", 6, 5));
    present[0] = None;
    present[2] = None;
    present[5] = None;
    let few = Err(Error::NotEnoughChunks { needed: 4, present: 3 });
    assert_eq!(codec.reconstruct(&present, &mut target(0, &mut p)), few);

    assert_eq!((p, q, short), ([0xEE; 10], [0xEE; 10], [0xEE; 9]));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Any policy, any length, any losses up to m, any wish.
    #[test]
    fn any_policy_any_loss(
        (k, m) in (1u8..=20).prop_flat_map(|k| (Just(k), 1u8..=(32 - k).min(12))),
        len in 0usize..300,
        seed: u64,
        order: [u32; 32],
        wanted: u32,
    ) {
        let codec = codec(k, m);
        let chunks = stripe(&*codec, len, seed);
        let n = usize::from(k + m);
        let mut ranks: Vec<usize> = (0..n).collect();
        ranks.sort_by_key(|rank| order[*rank]);
        let lost = ranks[..m.into()].iter().fold(0u32, |bits, rank| bits | 1 << rank);
        check_rebuild(&*codec, &chunks, lost, wanted);
        prop_assert!(codec.verify(&slices_of(&chunks)).expect("right shape"));
    }
}
