//! A metadata node that some commands reach late: they lay in a queue, or on the way, and whoever sent
//! them has given up. Those that say until when they hold, or on what they were planned, must be refused
//! then. All attempts of one command are late together, or the next attempt would make the first
//! harmless.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use metastore::api::{self, IndexCommand, RootCommand};
use proto::{
    RpcError, RpcErrorKind,
    meta::{Hello, MetaService},
};
use rand::Rng;
use types::{Epoch, GroupId, NodeId};

use crate::{
    scenario::stream,
    world::{Phase, World},
};

/// One in so many commands is late.
const LATE_OF: u32 = 5;

/// Commands that are late at a time at most.
const LATE_MAX: usize = 1000;

/// A metadata service behind the delay.
pub(super) struct Late {
    pub(super) world: Arc<World>,
    pub(super) service: Arc<dyn MetaService>,
}

impl Late {
    /// How long a command is kept back.
    fn delay(&self, group: GroupId, command: &[u8]) -> Option<Duration> {
        if !self.world.scenario.faults.late || !is_guarded(group, command) {
            return None;
        }
        let now = self.world.time.us();
        let hash = *blake3::hash(command).as_bytes();
        let mut late = self.world.late.lock();
        let until = match late.get(&hash).copied() {
            Some(until) => until,
            None if self.world.phase() != Phase::Chaos || late.len() >= LATE_MAX => return None,
            None => {
                let mut random = stream(self.world.scenario.seed, &format!("late {hash:?}"));
                if random.random_range(0..LATE_OF) > 0 {
                    return None;
                }
                let until = now + random.random_range(1_000_000..25_000_000);
                late.insert(hash, until);
                until
            }
        };
        (until > now).then(|| Duration::from_micros(until - now))
    }
}

/// Whether a command has a deadline, or the epoch that it was planned on.
fn is_guarded(group: GroupId, command: &[u8]) -> bool {
    if group == GroupId::ROOT {
        let command = api::decode(command);
        return matches!(command, Ok(RootCommand::MoveMember { .. } | RootCommand::EndMove { .. }));
    }
    matches!(
        api::decode(command),
        Ok(IndexCommand::PutObject { .. } | IndexCommand::PutPart { .. })
    )
}

#[async_trait]
impl MetaService for Late {
    async fn hello(&self, asker: NodeId) -> Result<Hello, RpcError> {
        self.service.hello(asker).await
    }

    async fn propose(
        &self,
        group: GroupId,
        epoch: Epoch,
        command: Bytes,
    ) -> Result<Bytes, RpcError> {
        let Some(delay) = self.delay(group, &command) else {
            return self.service.propose(group, epoch, command).await;
        };
        // It goes on when the caller has hung up.
        let service = self.service.clone();
        let proposed = tokio::spawn(async move {
            tokio::time::sleep(delay).await;
            service.propose(group, epoch, command).await
        });
        proposed
            .await
            .unwrap_or_else(|error| Err(RpcError::new(RpcErrorKind::Deadline, error.to_string())))
    }

    async fn query(&self, group: GroupId, epoch: Epoch, query: Bytes) -> Result<Bytes, RpcError> {
        self.service.query(group, epoch, query).await
    }

    async fn heartbeat(&self, report: Bytes) -> Result<Epoch, RpcError> {
        self.service.heartbeat(report).await
    }

    async fn status(&self) -> Result<Bytes, RpcError> {
        self.service.status().await
    }
}
