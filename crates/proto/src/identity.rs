//! Which cluster a node belongs to, and how it proves it.

use std::{fmt, sync::OnceLock};

use subtle::ConstantTimeEq;
use types::ClusterId;

use crate::{RpcError, RpcErrorKind};

/// The secret that all nodes of a cluster share. Never printed, compared in constant time.
#[derive(Clone)]
pub struct ClusterSecret(Vec<u8>);

/// A secret that is too short to protect anything, or too long for a header.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the cluster secret has {0} bytes; give it {min} to {max}",
    min = ClusterSecret::BYTES_MIN,
    max = ClusterSecret::BYTES_MAX
)]
pub struct InvalidSecret(pub usize);

impl ClusterSecret {
    /// The shortest secret, in bytes.
    pub const BYTES_MIN: usize = 16;
    /// The longest secret, in bytes: it travels in a header of every call.
    pub const BYTES_MAX: usize = 1024;

    /// The secret with these bytes.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Result<Self, InvalidSecret> {
        let bytes = bytes.into();
        if (Self::BYTES_MIN..=Self::BYTES_MAX).contains(&bytes.len()) {
            Ok(Self(bytes))
        } else {
            Err(InvalidSecret(bytes.len()))
        }
    }

    /// Whether these bytes are the secret. Takes the same time wherever they differ.
    pub fn matches(&self, bytes: &[u8]) -> bool {
        self.0.ct_eq(bytes).into()
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for ClusterSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClusterSecret(..)")
    }
}

/// What a node shows to its peers and asks of them. Shared by all channels and the
/// listener of a process; the cluster id is set once, when the node has learnt it.
#[derive(Debug)]
pub struct Identity {
    secret: ClusterSecret,
    cluster: OnceLock<ClusterId>,
}

impl Identity {
    /// The identity of a node of `cluster`; of a node that has yet to join, if `None`.
    pub fn new(secret: ClusterSecret, cluster: Option<ClusterId>) -> Self {
        let identity = Self { secret, cluster: OnceLock::new() };
        if let Some(cluster) = cluster {
            identity.cluster.set(cluster).expect("the lock was made a line above");
        }
        identity
    }

    /// Notes the cluster that the node has joined. Again is fine; another one is `Refused`.
    pub fn join(&self, cluster: ClusterId) -> Result<(), RpcError> {
        let known = *self.cluster.get_or_init(|| cluster);
        if known == cluster {
            return Ok(());
        }
        let message = format!("this node belongs to cluster {known}, not to {cluster}");
        Err(RpcError::new(RpcErrorKind::Refused, message))
    }

    /// The cluster, if the node knows it yet.
    pub fn cluster(&self) -> Option<ClusterId> {
        self.cluster.get().copied()
    }

    pub(crate) fn secret(&self) -> &ClusterSecret {
        &self.secret
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_have_bounds_and_stay_secret() {
        assert_eq!(ClusterSecret::new(vec![1; 15]).expect_err("short"), InvalidSecret(15));
        assert_eq!(ClusterSecret::new(vec![1; 1025]).expect_err("long"), InvalidSecret(1025));
        let secret = ClusterSecret::new("correct horse battery").expect("long enough");
        assert!(secret.matches(b"correct horse battery"));
        for other in ["", "correct horse batterz", "correct horse", "correct horse battery "] {
            assert!(!secret.matches(other.as_bytes()), "{other:?}");
        }
        let identity = Identity::new(secret, None);
        assert!(!format!("{identity:?}").contains("horse"));
    }

    #[test]
    fn a_node_joins_one_cluster() {
        let identity = Identity::new(ClusterSecret::new([7; 16]).expect("valid"), None);
        let (one, two) = (ClusterId::from_bytes([1; 16]), ClusterId::from_bytes([2; 16]));
        assert_eq!(identity.cluster(), None);
        identity.join(one).expect("first");
        identity.join(one).expect("again");
        assert_eq!(identity.join(two).expect_err("another").kind, RpcErrorKind::Refused);
        assert_eq!(identity.cluster(), Some(one));
    }
}
