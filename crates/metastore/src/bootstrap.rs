//! Giving a cluster its identity: once, whatever fails on the way.

use std::{sync::Arc, time::Duration};

use consensus::{ConsensusGroup, Error, KvError};
use types::{ClusterId, ErasurePolicy, FeatureLevel, Partition};

use crate::{
    api::{self, RootAnswer, RootCommand},
    root::query,
};

/// The pause between attempts.
const RETRY: Duration = Duration::from_millis(100);

/// Why a cluster cannot be bootstrapped. Everything that may pass is waited for.
#[derive(Debug, Clone, thiserror::Error)]
pub enum BootstrapError {
    /// It has another identity, policy or directory.
    #[error("the cluster cannot be bootstrapped: {0}")]
    Refused(String),
    /// The root group on this node has stopped.
    #[error("bootstrapping the cluster: {0}")]
    Stopped(Error),
}

/// Bootstraps the cluster unless that was done before; returns once this replica has
/// applied it. Each metadata node may call it at each start: the leader proposes, the
/// others wait. Cancel by dropping it.
pub async fn bootstrap(
    root: Arc<dyn ConsensusGroup>,
    cluster: ClusterId,
    policy: ErasurePolicy,
    partitions: Vec<Partition>,
) -> Result<(), BootstrapError> {
    let command = RootCommand::Bootstrap {
        cluster,
        policy,
        partitions: partitions.clone(),
        level: FeatureLevel::OURS,
    };
    let command = api::encode(&command);
    loop {
        if let Some(known) = applied(root.clone()).await? {
            let (known_cluster, known_policy, known_partitions) = known;
            if (known_cluster, known_policy) == (cluster, policy) && known_partitions == partitions
            {
                return Ok(());
            }
            return Err(BootstrapError::Refused(format!(
                "it is {known_cluster} with policy {known_policy} and {} partitions, not \
                 {cluster} with policy {policy} and {} partitions",
                known_partitions.len(),
                partitions.len()
            )));
        }
        match root.propose(command.clone()).await {
            Ok(answer) => match api::decode::<RootAnswer>(&answer) {
                // Applied: the next turn sees it.
                Ok(RootAnswer::Done) => continue,
                Ok(RootAnswer::Refused(reason)) => return Err(BootstrapError::Refused(reason)),
                Ok(other) => {
                    return Err(BootstrapError::Refused(format!("unexpected answer {other:?}")));
                }
                Err(error) => return Err(BootstrapError::Refused(error.to_string())),
            },
            Err(error @ (Error::Stopped { .. } | Error::Kv(_) | Error::Invalid { .. })) => {
                return Err(BootstrapError::Stopped(error));
            }
            Err(error) => tracing::debug!(%error, "bootstrap is waiting for a leader"),
        }
        tokio::time::sleep(RETRY).await;
    }
}

type Identity = (ClusterId, ErasurePolicy, Vec<Partition>);

async fn applied(root: Arc<dyn ConsensusGroup>) -> Result<Option<Identity>, BootstrapError> {
    let read = platform::off_thread(move || {
        let mut identity = None;
        root.view(&mut |rows| {
            if let Some(row) = query::cluster(rows)? {
                identity = Some((row.cluster, row.policy, query::partitions(rows)?));
            }
            Ok(())
        })
        .map(|()| identity)
    });
    match read.await {
        Ok(read) => read.map_err(BootstrapError::Stopped),
        Err(error) => Err(BootstrapError::Stopped(Error::Kv(KvError(error.to_string())))),
    }
}
