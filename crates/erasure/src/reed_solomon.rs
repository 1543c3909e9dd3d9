//! Reed-Solomon over GF(2^8), polynomial 0x11D, systematic Vandermonde matrix: codec family
//! 1, version 1. The field arithmetic (AVX2 and NEON kernels) and the matrix are those of
//! `reed-solomon-erasure`; what is here decides which products to form and in what order.
//! Its output may never change: blobs are stored with it.
//!
//! The library's own `reconstruct` is not used because it rebuilds all that is missing and
//! allocates; reading a range from a degraded stripe needs one or two chunks.

use reed_solomon_erasure::galois_8;
use types::{CodecId, ErasurePolicy};

use crate::{
    Codec, Error, Target,
    matrix::{Generator, Row},
};

/// Bytes of a chunk that are worked on at once: the tiles of an input and of four outputs stay
/// in a first-level cache of 32 KiB (measured: 10 % over whole chunks at 4+2), and the tile is
/// long enough to hide the call.
const TILE: usize = 4 << 10;

const CHUNKS_MAX: usize = ErasurePolicy::CHUNKS_MAX;

/// The code for one policy.
#[derive(Clone, Debug)]
pub struct ReedSolomon {
    policy: ErasurePolicy,
    generator: Generator,
}

impl ReedSolomon {
    /// Solves for the matrix of `policy`. Callers share instances: [`crate::codec()`].
    pub fn new(policy: ErasurePolicy) -> Self {
        Self { policy, generator: Generator::new(policy) }
    }
}

impl Codec for ReedSolomon {
    fn id(&self) -> CodecId {
        CodecId::REED_SOLOMON_V1
    }

    fn policy(&self) -> ErasurePolicy {
        self.policy
    }

    fn encode(&self, data: &[&[u8]], parity: &mut [&mut [u8]]) -> Result<(), Error> {
        check_count("data chunks", self.policy.k(), data.len())?;
        check_count("coding chunks", self.policy.m(), parity.len())?;
        let coding = parity.iter().map(|chunk| chunk.len());
        check_lengths(data.iter().map(|chunk| chunk.len()).chain(coding).enumerate())?;
        combine(data, self.generator.coding_rows(), parity, |chunk| chunk);
        Ok(())
    }

    fn reconstruct(
        &self,
        chunks: &[Option<&[u8]>],
        targets: &mut [Target<'_>],
    ) -> Result<(), Error> {
        let (k, n) = (self.policy.k(), self.policy.n());
        check_count("chunks", n, chunks.len())?;
        if targets.len() > n {
            return Err(Error::ChunkCount { what: "targets", expected: n, given: targets.len() });
        }
        if let Some(target) = targets.iter().find(|target| target.rank >= n) {
            return Err(Error::Rank { rank: target.rank, chunks: n });
        }
        let present = chunks.iter().flatten().count();
        if present < k {
            return Err(Error::NotEnoughChunks { needed: k, present });
        }
        let given = chunks.iter().enumerate().filter_map(|(r, c)| c.map(|c| (r, c.len())));
        check_lengths(given.chain(targets.iter().map(|t| (t.rank, t.bytes.len()))))?;

        let mut ranks = [0; CHUNKS_MAX];
        let mut sources: [&[u8]; CHUNKS_MAX] = [&[]; CHUNKS_MAX];
        let available = chunks.iter().enumerate().filter_map(|(r, c)| c.map(|c| (r, c)));
        for (i, (rank, chunk)) in available.take(k).enumerate() {
            (ranks[i], sources[i]) = (rank, chunk);
        }
        let rows = self.generator.rebuild_rows(&ranks[..k], targets.iter().map(|t| t.rank));
        combine(&sources[..k], &rows, targets, |target| target.bytes);
        Ok(())
    }

    fn verify(&self, chunks: &[&[u8]]) -> Result<bool, Error> {
        check_count("chunks", self.policy.n(), chunks.len())?;
        check_lengths(chunks.iter().map(|chunk| chunk.len()).enumerate())?;
        let (data, coding) = chunks.split_at(self.policy.k());
        let mut scratch = [0; TILE];
        for start in (0..chunks[0].len()).step_by(TILE) {
            let tile = start..chunks[0].len().min(start + TILE);
            let expected = &mut scratch[..tile.len()];
            for (row, coding) in self.generator.coding_rows().iter().zip(coding) {
                for (j, chunk) in data.iter().enumerate() {
                    add_product(row[j], &chunk[tile.clone()], expected, j == 0);
                }
                if *expected != coding[tile.clone()] {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }
}

/// Sets each output to the sum over `inputs` of its row's coefficient times the input,
/// tile by tile. All slices have one length: the callers checked it.
fn combine<T>(
    inputs: &[&[u8]],
    rows: &[Row],
    outputs: &mut [T],
    bytes: impl for<'a> Fn(&'a mut T) -> &'a mut [u8],
) {
    let len = inputs[0].len();
    for start in (0..len).step_by(TILE) {
        let tile = start..len.min(start + TILE);
        for (j, input) in inputs.iter().enumerate() {
            for (row, output) in rows.iter().zip(outputs.iter_mut()) {
                let output = &mut bytes(output)[tile.clone()];
                add_product(row[j], &input[tile.clone()], output, j == 0);
            }
        }
    }
}

/// Adds `coefficient x input` to `output`, or replaces it by that if it is the `first`.
fn add_product(coefficient: u8, input: &[u8], output: &mut [u8], first: bool) {
    match (coefficient, first) {
        (1, true) => output.copy_from_slice(input),
        (_, true) => galois_8::mul_slice(coefficient, input, output),
        (0, false) => {}
        (_, false) => galois_8::mul_slice_xor(coefficient, input, output),
    }
}

fn check_count(what: &'static str, expected: usize, given: usize) -> Result<(), Error> {
    if given == expected { Ok(()) } else { Err(Error::ChunkCount { what, expected, given }) }
}

/// Checks that all of (rank, bytes) have as many bytes as the first.
fn check_lengths(mut chunks: impl Iterator<Item = (usize, usize)>) -> Result<(), Error> {
    let Some((_, expected)) = chunks.next() else { return Ok(()) };
    match chunks.find(|(_, given)| *given != expected) {
        Some((rank, given)) => Err(Error::ChunkLength { rank, expected, given }),
        None => Ok(()),
    }
}
