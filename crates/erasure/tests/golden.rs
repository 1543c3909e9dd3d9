//! The coding chunks of a fixed input. They are stored with blobs: a change here makes every
//! blob unreadable that was written before. The expected bytes were computed apart from this
//! code, by schoolbook arithmetic over GF(2^8) with polynomial 0x11D and the Vandermonde matrix
//! `row^column` times the inverse of its upper square.

use std::fmt::Write as _;

use types::{CodecId, ErasurePolicy};

#[track_caller]
fn check(k: u8, m: u8, expected: &[&str]) {
    let policy = ErasurePolicy::new(k, m).expect("valid");
    let codec = erasure::codec(CodecId::REED_SOLOMON_V1, policy).expect("known");
    let chunk = |rank: usize| (0..16).map(move |i| ((rank * 31 + i * 7 + 3) % 256) as u8);
    let data: Vec<Vec<u8>> = (0..policy.k()).map(|rank| chunk(rank).collect()).collect();
    let data: Vec<&[u8]> = data.iter().map(Vec::as_slice).collect();
    let mut parity = vec![vec![0xEE; 16]; policy.m()];
    let mut slices: Vec<&mut [u8]> = parity.iter_mut().map(Vec::as_mut_slice).collect();
    codec.encode(&data, &mut slices).expect("encodes");
    let actual: Vec<String> = parity
        .iter()
        .map(|chunk| {
            chunk.iter().fold(String::new(), |mut hex, byte| {
                write!(hex, "{byte:02x}").expect("strings take everything");
                hex
            })
        })
        .collect();
    assert_eq!(actual, expected, "rs-{k}-{m}");
}

#[test]
fn rs_1_1() {
    check(1, 1, &["030a11181f262d343b424950575e656c"]);
}

#[test]
fn rs_2_1() {
    check(2, 1, &["414c53465de0effaf9040b2e1518babf"]);
}

#[test]
fn rs_4_2() {
    check(4, 2, &["876edd349b0a592057e6c2e6f4bd422b", "a665fc33ba561f78114de391d58684f3"]);
}

#[test]
fn rs_6_3() {
    check(
        6,
        3,
        &[
            "a0f4d3fad9cad5eccf0c0b5211081d14",
            "41dbf2d1f82d34172e532a69302f7c7f",
            "b285dd100ade937e88d908a47c8ef62d",
        ],
    );
}

#[test]
fn rs_8_4() {
    check(
        8,
        4,
        &[
            "7767301f0a8f8bcecbb453c47c1d1c10",
            "a9c511012bc8d40a94ae72cf5dd8219f",
            "78cea30a487b6e9e9a0c2d83be40bfea",
            "69d082a869a9b11345d20c599f31eb51",
        ],
    );
}
