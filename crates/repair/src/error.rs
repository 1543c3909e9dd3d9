//! Why a step of a worker did not succeed. The worker backs off and tries again; the
//! registry logs it and shows it in the worker's status.

use cluster::{MetadataError, ShardError};
use metastore::api::{IndexAnswer, IndexView};

/// A failed step; what it had done stays done.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// An index partition did not answer.
    #[error(transparent)]
    Metadata(#[from] MetadataError),
    /// A disk did not do what it was asked.
    #[error(transparent)]
    Shard(#[from] ShardError),
    /// Chunks could not be read or computed.
    #[error(transparent)]
    Objects(#[from] objects::Error),
    /// Damage is spread over so many shards that replacing one needs good stripes of other
    /// damaged ones, and this process is not the only repairer. The blob stays readable.
    #[error("only {whole} other shards are whole, and {needed} are needed to replace one safely")]
    TooFewWhole {
        /// Other shards of the blob that are intact in every stripe.
        whole: usize,
        /// As many as a stripe has data chunks.
        needed: usize,
    },
    /// A report of an inventory could not be made.
    #[error("inventory {id} of {bucket}: {reason}")]
    Inventory {
        /// The bucket that was to be listed.
        bucket: String,
        /// The configuration.
        id: String,
        /// Why, in one sentence.
        reason: String,
    },
    /// A row of an inventory could not be encoded.
    #[error(transparent)]
    InventoryFile(#[from] ::inventory::WriteError),
    /// An index partition gave an answer that does not belong to the question.
    #[error("metadata gave an answer that does not belong: {0}")]
    Unexpected(String),
}

impl Error {
    pub(crate) fn answer(answer: &IndexAnswer) -> Self {
        Self::Unexpected(format!("{answer:?}"))
    }

    pub(crate) fn view(view: &IndexView) -> Self {
        Self::Unexpected(format!("{view:?}"))
    }
}
