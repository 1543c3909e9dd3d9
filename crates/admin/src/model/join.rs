//! What a new node must know to join.

use serde::{Deserialize, Serialize};

/// The part of a new node's configuration that the cluster decides, but for the secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinSettings {
    /// Every metadata node as `id@host:port`.
    pub meta: Vec<String>,
    /// The erasure policy that the cluster was made with.
    pub policy: String,
    /// Index partitions.
    pub partitions: usize,
    /// What one failure may take: `disk`, `node` or `rack`.
    pub domain: String,
}
