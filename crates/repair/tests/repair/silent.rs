//! Metadata whose root group does not answer until the test says so.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use async_trait::async_trait;
use cluster::{Metadata, MetadataError};
use metastore::api::{
    IndexAnswer, IndexCommand, IndexQuery, IndexView, RootAnswer, RootCommand, RootQuery, RootView,
};
use types::{BucketId, ClusterMap, GroupId};

use crate::support::TestCluster;

pub(crate) struct SilentRoot {
    cluster: Arc<TestCluster>,
    speaks: AtomicBool,
}

impl SilentRoot {
    pub(crate) fn new(cluster: Arc<TestCluster>) -> Self {
        Self { cluster, speaks: AtomicBool::new(false) }
    }

    pub(crate) fn speak(&self) {
        self.speaks.store(true, Ordering::SeqCst);
    }

    fn hear(&self) -> Result<(), MetadataError> {
        match self.speaks.load(Ordering::SeqCst) {
            true => Ok(()),
            false => Err(MetadataError::Unavailable("the root group is silent".to_owned())),
        }
    }
}

#[async_trait]
impl Metadata for SilentRoot {
    fn map(&self) -> Arc<ClusterMap> {
        self.cluster.map()
    }

    async fn root(&self, command: RootCommand) -> Result<RootAnswer, MetadataError> {
        self.hear()?;
        self.cluster.root(command).await
    }

    async fn root_query(&self, query: RootQuery) -> Result<RootView, MetadataError> {
        self.hear()?;
        self.cluster.root_query(query).await
    }

    async fn index(
        &self,
        bucket: BucketId,
        key: &str,
        command: IndexCommand,
    ) -> Result<IndexAnswer, MetadataError> {
        self.cluster.index(bucket, key, command).await
    }

    async fn index_query(
        &self,
        bucket: BucketId,
        key: &str,
        query: IndexQuery,
    ) -> Result<IndexView, MetadataError> {
        self.cluster.index_query(bucket, key, query).await
    }

    async fn partition(
        &self,
        group: GroupId,
        command: IndexCommand,
    ) -> Result<IndexAnswer, MetadataError> {
        self.cluster.partition(group, command).await
    }

    async fn partition_query(
        &self,
        group: GroupId,
        query: IndexQuery,
    ) -> Result<IndexView, MetadataError> {
        self.cluster.partition_query(group, query).await
    }
}
