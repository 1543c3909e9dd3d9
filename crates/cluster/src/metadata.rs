//! Metadata as its users see it: typed, routed, retried.

use std::sync::Arc;

use async_trait::async_trait;
use metastore::api::{
    IndexAnswer, IndexCommand, IndexQuery, IndexView, RootAnswer, RootCommand, RootQuery, RootView,
};
use types::{BucketId, ClusterMap, GroupId};

/// Why metadata did not answer. Refusals of the state machine are answers, not errors.
#[derive(Debug, Clone, thiserror::Error)]
pub enum MetadataError {
    /// No leader answered in time; a command was surely not applied. Answer 503.
    #[error("metadata is not available: {0}")]
    Unavailable(String),
    /// A command may have been applied or not, also after retries with its write id. Answer 500.
    #[error("the outcome of a metadata change is not known: {0}")]
    Unknown(String),
    /// Something that must not happen: an undecodable answer, a refused identity.
    #[error("metadata: {0}")]
    Internal(String),
}

/// The metadata of the cluster, linearizable.
#[async_trait]
pub trait Metadata: Send + Sync + 'static {
    /// The newest known cluster map; may be stale, never torn.
    fn map(&self) -> Arc<ClusterMap>;

    /// Changes the root group.
    async fn root(&self, command: RootCommand) -> Result<RootAnswer, MetadataError>;

    /// Asks the root group.
    async fn root_query(&self, query: RootQuery) -> Result<RootView, MetadataError>;

    /// Changes the partition that holds (bucket, key). Retried under the command's write
    /// id while the outcome is unknown and the deadline allows.
    async fn index(
        &self,
        bucket: BucketId,
        key: &str,
        command: IndexCommand,
    ) -> Result<IndexAnswer, MetadataError>;

    /// Asks the partition that holds (bucket, key).
    async fn index_query(
        &self,
        bucket: BucketId,
        key: &str,
        query: IndexQuery,
    ) -> Result<IndexView, MetadataError>;

    /// Changes a partition named by its group: for workers that walk all partitions.
    async fn partition(
        &self,
        group: GroupId,
        command: IndexCommand,
    ) -> Result<IndexAnswer, MetadataError>;

    /// Asks a partition named by its group.
    async fn partition_query(
        &self,
        group: GroupId,
        query: IndexQuery,
    ) -> Result<IndexView, MetadataError>;
}
