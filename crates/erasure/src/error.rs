//! Why a call on a codec was refused. Each variant carries the numbers; nothing was
//! written to any output.

use types::CodecId;

/// A refused call. All of these are mistakes of the caller or data of a newer version,
/// never a matter of what the bytes say.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The blob was written with a code that this version does not have.
    #[error(
        "erasure code family {} version {} is not known to this version, which knows family {} \
         version {}: upgrade this node",
        .0.family, .0.version,
        CodecId::REED_SOLOMON_V1.family, CodecId::REED_SOLOMON_V1.version
    )]
    UnknownCodec(CodecId),
    /// The number of slices does not fit the policy.
    #[error("{given} {what} were given where the policy has {expected}")]
    ChunkCount {
        /// Which slices.
        what: &'static str,
        /// How many the policy has.
        expected: usize,
        /// How many were given.
        given: usize,
    },
    /// The chunks of one stripe have one length.
    #[error("chunk {rank} has {given} bytes where the stripe's first chunk has {expected}")]
    ChunkLength {
        /// Rank of the odd one.
        rank: usize,
        /// Bytes of the first chunk that was given.
        expected: usize,
        /// Bytes of the odd one.
        given: usize,
    },
    /// A target outside the stripe.
    #[error("rank {rank} was asked for where the stripe has ranks 0 to {}", .chunks - 1)]
    Rank {
        /// What was asked for.
        rank: usize,
        /// `n` of the policy.
        chunks: usize,
    },
    /// More chunks are missing than the code can replace.
    #[error("{present} chunks are present where {needed} are needed")]
    NotEnoughChunks {
        /// `k` of the policy.
        needed: usize,
        /// How many were given.
        present: usize,
    },
    /// A stripe with more data than a full stripe holds.
    #[error("a stripe of {given} bytes was given where a full one has {limit}")]
    StripeLength {
        /// Data bytes of a full stripe.
        limit: usize,
        /// Data bytes that were given.
        given: usize,
    },
    /// The buffer cannot hold the chunks.
    #[error("a buffer of {given} bytes was given where the chunks need {needed}")]
    BufferLength {
        /// Bytes that the chunks need.
        needed: usize,
        /// Bytes of the buffer.
        given: usize,
    },
}
