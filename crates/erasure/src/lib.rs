//! Erasure coding: `k` data chunks become `k + m` chunks, any `k` of which give the
//! data back. Pure computation over byte slices; no I/O, no threads.
//!
//! Reading order: [`mod@codec`] (the [`Codec`] trait and the table of codes), [`error`],
//! [`reed_solomon`] (the code itself) and `matrix` (the algebra),
//! [`stripe`] (a stripe's bytes to chunks and their digests in one pass).

pub mod codec;
pub mod error;
mod matrix;
pub mod reed_solomon;
pub mod stripe;

pub use codec::{Codec, Target, codec};
pub use error::Error;
pub use stripe::{EncodedStripe, StripeBuffer, encode_and_digest, encode_stripe};
