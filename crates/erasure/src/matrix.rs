//! The two matrices of a systematic code: the generator, which makes `n` chunks of `k`,
//! and for a set of chunks that are present the rows that make the lost ones of them.
//! Everything lives on the stack: `n` is at most 32.

use reed_solomon_erasure::galois_8;
use types::ErasurePolicy;

/// Coefficients of one output chunk, one an input; only the first `k` count.
pub(crate) type Row = [u8; ErasurePolicy::CHUNKS_MAX];

const ZERO: Row = [0; ErasurePolicy::CHUNKS_MAX];

/// `n` rows of `k` coefficients; the first `k` rows are the identity.
#[derive(Clone, Debug)]
pub(crate) struct Generator {
    k: usize,
    rows: [Row; ErasurePolicy::CHUNKS_MAX],
}

impl Generator {
    /// The generator of `reed-solomon-erasure`'s `galois_8` code. The library does not show
    /// its matrix, so it is read off: chunk `j` of the data is 1 at byte `j` and 0 elsewhere,
    /// so byte `j` of a coding chunk is that chunk's coefficient `j`.
    pub(crate) fn new(policy: ErasurePolicy) -> Self {
        let (k, m) = (policy.k(), policy.m());
        let mut rows = [ZERO; ErasurePolicy::CHUNKS_MAX];
        for (j, row) in rows.iter_mut().enumerate().take(k) {
            row[j] = 1;
        }
        let identity: Vec<Vec<u8>> = rows[..k].iter().map(|row| row[..k].to_vec()).collect();
        let mut coding = vec![vec![0; k]; m];
        galois_8::ReedSolomon::new(k, m)
            .and_then(|code| code.encode_sep(&identity, &mut coding))
            .expect("k and m are at least 1 and k + m at most 32: ErasurePolicy checked it");
        for (row, coefficients) in rows[k..].iter_mut().zip(&coding) {
            row[..k].copy_from_slice(coefficients);
        }
        Self { k, rows }
    }

    /// The coefficients of the coding chunks, in rank order.
    pub(crate) fn coding_rows(&self) -> &[Row] {
        &self.rows[self.k..]
    }

    /// The coefficients that make each of the chunks `targets` from the `k` chunks of the
    /// ranks `sources`, which are distinct: row `i` is for target `i`.
    pub(crate) fn rebuild_rows(
        &self,
        sources: &[usize],
        targets: impl Iterator<Item = usize>,
    ) -> [Row; ErasurePolicy::CHUNKS_MAX] {
        let inverse = self.inverse(sources);
        let mut rows = [ZERO; ErasurePolicy::CHUNKS_MAX];
        for (row, target) in rows.iter_mut().zip(targets) {
            // targets = G_target x data, and data = inverse x sources.
            for (j, coefficient) in self.rows[target][..self.k].iter().enumerate() {
                add_scaled(row, &inverse[j], *coefficient);
            }
        }
        rows
    }

    /// The inverse of the square matrix of the rows `sources`, by Gauss and Jordan.
    fn inverse(&self, sources: &[usize]) -> [Row; ErasurePolicy::CHUNKS_MAX] {
        assert_eq!(sources.len(), self.k, "as many sources as data chunks");
        let mut left = [ZERO; ErasurePolicy::CHUNKS_MAX];
        let mut right = [ZERO; ErasurePolicy::CHUNKS_MAX];
        for (i, source) in sources.iter().enumerate() {
            left[i] = self.rows[*source];
            right[i][i] = 1;
        }
        for column in 0..self.k {
            let pivot = (column..self.k)
                .find(|row| left[*row][column] != 0)
                .expect("any k distinct rows of the generator are independent: it is MDS");
            left.swap(column, pivot);
            right.swap(column, pivot);
            let scale = galois_8::div(1, left[column][column]);
            for matrix in [&mut left, &mut right] {
                for value in &mut matrix[column] {
                    *value = galois_8::mul(*value, scale);
                }
            }
            let (left_row, right_row) = (left[column], right[column]);
            for row in (0..self.k).filter(|row| *row != column) {
                // Addition is its own inverse in this field.
                let factor = left[row][column];
                add_scaled(&mut left[row], &left_row, factor);
                add_scaled(&mut right[row], &right_row, factor);
            }
        }
        right
    }
}

fn add_scaled(row: &mut Row, other: &Row, factor: u8) {
    for (value, other) in row.iter_mut().zip(other) {
        *value ^= galois_8::mul(*other, factor);
    }
}
