//! The seam between those who need chunks and the code that makes them, and the table
//! of codes by the id that is stored with every blob.

use std::{
    collections::BTreeMap,
    fmt::Debug,
    sync::{Arc, LazyLock, PoisonError, RwLock},
};

use types::{CodecId, ErasurePolicy};

use crate::{Error, reed_solomon::ReedSolomon};

/// A chunk to be rebuilt.
#[derive(Debug)]
pub struct Target<'a> {
    /// Which chunk: `0..k` data, `k..n` coding.
    pub rank: usize,
    /// Where it goes; as long as the chunks that are present. Overwritten.
    pub bytes: &'a mut [u8],
}

/// A code with a fixed policy. The calls allocate nothing and keep nothing between them;
/// one instance serves all threads. On an error no output byte was written.
///
/// The chunks of one call have one length, which may be zero.
pub trait Codec: Debug + Send + Sync + 'static {
    /// What is stored with a blob so that this code is found again.
    fn id(&self) -> CodecId;

    /// Data and coding chunks a stripe.
    fn policy(&self) -> ErasurePolicy;

    /// Computes the `m` coding chunks of `k` data chunks.
    fn encode(&self, data: &[&[u8]], parity: &mut [&mut [u8]]) -> Result<(), Error>;

    /// Rebuilds the `targets`, and nothing else, from what is present: `chunks[rank]` is the
    /// chunk of that rank, `None` if it is lost or simply was not read. Any `k` suffice; of
    /// more, those of the lowest ranks are used. The caller has verified their digests: a
    /// wrong chunk gives wrong targets.
    fn reconstruct(
        &self,
        chunks: &[Option<&[u8]>],
        targets: &mut [Target<'_>],
    ) -> Result<(), Error>;

    /// Whether the `n` chunks belong together: the coding chunks are those of the data.
    fn verify(&self, chunks: &[&[u8]]) -> Result<bool, Error>;
}

type Instances = RwLock<BTreeMap<(CodecId, ErasurePolicy), Arc<dyn Codec>>>;

/// Every instance that was asked for. Bounded by the valid policies: fewer than 500 of
/// about 1 KiB.
static INSTANCES: LazyLock<Instances> = LazyLock::new(Instances::default);

/// The code with this id for this policy. Instances are made once and shared, because
/// making one solves for its matrix. `UnknownCodec` for an id of a newer version.
pub fn codec(id: CodecId, policy: ErasurePolicy) -> Result<Arc<dyn Codec>, Error> {
    if let Some(codec) = INSTANCES.read().unwrap_or_else(PoisonError::into_inner).get(&(id, policy))
    {
        return Ok(Arc::clone(codec));
    }
    let made: Arc<dyn Codec> = match id {
        CodecId::REED_SOLOMON_V1 => Arc::new(ReedSolomon::new(policy)),
        unknown => return Err(Error::UnknownCodec(unknown)),
    };
    let mut instances = INSTANCES.write().unwrap_or_else(PoisonError::into_inner);
    Ok(Arc::clone(instances.entry((id, policy)).or_insert(made)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instances_are_shared_and_unknown_ids_are_refused_with_their_numbers() {
        let policy = ErasurePolicy::new(4, 2).expect("valid");
        let first = codec(CodecId::REED_SOLOMON_V1, policy).expect("known");
        let second = codec(CodecId::REED_SOLOMON_V1, policy).expect("known");
        assert!(Arc::ptr_eq(&first, &second));
        assert_eq!((first.id(), first.policy()), (CodecId::REED_SOLOMON_V1, policy));

        let newer = CodecId { family: 1, version: 9 };
        let error = codec(newer, policy).expect_err("unknown");
        assert_eq!(error, Error::UnknownCodec(newer));
        assert!(error.to_string().contains("family 1 version 9"), "{error}");
    }
}
