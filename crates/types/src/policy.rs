//! Erasure policies: how many data and coding chunks a stripe has.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// Which code turned data chunks into coding chunks, and in which version.
/// Stored with every blob, so that a better code never makes old blobs unreadable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct CodecId {
    /// The family; 1 is Reed-Solomon over GF(2^8), polynomial 0x11D, systematic
    /// Vandermonde matrix (as `reed-solomon-erasure`'s `galois_8`).
    pub family: u8,
    /// The version within the family.
    pub version: u8,
}

impl CodecId {
    /// Reed-Solomon over GF(2^8), version 1: the only code so far.
    pub const REED_SOLOMON_V1: CodecId = CodecId { family: 1, version: 1 };
}

/// `k` data chunks and `m` coding chunks a stripe; any `m` of the `n = k + m` may be lost.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ErasurePolicy {
    k: u8,
    m: u8,
}

/// A policy that the code cannot do or that a user wrote wrongly.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "erasure policy {0:?} is not valid: write rs-K-M with 1 <= K, 1 <= M and K + M <= 32, as rs-4-2"
)]
pub struct InvalidPolicy(pub String);

impl ErasurePolicy {
    /// The most chunks a stripe may have.
    pub const CHUNKS_MAX: usize = 32;

    /// A policy of `k` data and `m` coding chunks; both at least 1, together at most 32.
    pub fn new(k: u8, m: u8) -> Result<Self, InvalidPolicy> {
        if k >= 1 && m >= 1 && usize::from(k) + usize::from(m) <= Self::CHUNKS_MAX {
            Ok(Self { k, m })
        } else {
            Err(InvalidPolicy(format!("rs-{k}-{m}")))
        }
    }

    /// Data chunks a stripe.
    pub fn k(self) -> usize {
        usize::from(self.k)
    }

    /// Coding chunks a stripe: the losses that it survives.
    pub fn m(self) -> usize {
        usize::from(self.m)
    }

    /// All chunks a stripe.
    pub fn n(self) -> usize {
        self.k() + self.m()
    }

    /// How many shards must be durable before a write is acknowledged: `n - 1`,
    /// but `n` where `n - 1` would not survive one more loss (`m = 1`).
    pub fn write_quorum(self) -> usize {
        if self.m >= 2 { self.n() - 1 } else { self.n() }
    }
}

impl fmt::Display for ErasurePolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rs-{}-{}", self.k, self.m)
    }
}

impl fmt::Debug for ErasurePolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for ErasurePolicy {
    type Err = InvalidPolicy;

    fn from_str(text: &str) -> Result<Self, InvalidPolicy> {
        let invalid = || InvalidPolicy(text.to_owned());
        let (k, m) =
            text.strip_prefix("rs-").and_then(|rest| rest.split_once('-')).ok_or_else(invalid)?;
        Self::new(k.parse().map_err(|_| invalid())?, m.parse().map_err(|_| invalid())?)
            .map_err(|_| invalid())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_form_round_trips_and_bad_forms_are_refused() {
        for text in ["rs-4-2", "rs-6-3", "rs-8-4", "rs-1-1"] {
            assert_eq!(text.parse::<ErasurePolicy>().expect("valid").to_string(), text);
        }
        for text in ["", "rs-4", "rs-0-2", "rs-4-0", "rs-30-3", "4+2", "rs-4-2-1", "rs--4-2"] {
            assert!(text.parse::<ErasurePolicy>().is_err(), "{text}");
        }
    }

    #[test]
    fn quorum_always_survives_one_more_loss() {
        for k in 1..=28 {
            for m in 1..=4 {
                let policy = ErasurePolicy::new(k, m).expect("in range");
                assert!(policy.write_quorum() > policy.k(), "{policy}");
            }
        }
    }
}
