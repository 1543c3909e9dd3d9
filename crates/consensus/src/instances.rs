//! Who the peers are. A node's first call is remembered on disk before it is served; a
//! later call under the same node id from another data folder is refused, for a wiped
//! node that votes under its old id can elect two leaders.

use std::{collections::HashMap, sync::Arc};

use parking_lot::RwLock;
use proto::{RpcError, RpcErrorKind, raft::RaftAddress};
use types::{InstanceId, NodeId};

use crate::{
    error::StoreError,
    format::Owner,
    keys, record,
    store::{Op, Store, Writer},
};

/// The peers' data folders as first seen.
pub(crate) struct Instances {
    me: Owner,
    writer: Arc<Writer>,
    known: RwLock<HashMap<NodeId, InstanceId>>,
    /// One first contact at a time.
    recording: tokio::sync::Mutex<()>,
}

impl Instances {
    /// Reads what was remembered.
    pub(crate) fn open(me: Owner, store: &Store, writer: Arc<Writer>) -> Result<Self, StoreError> {
        let (from, to) = keys::peers();
        let mut known = HashMap::new();
        for row in store.engine().scan(keys::META, &from, &to) {
            let (key, value) = row?;
            let node = keys::peer_node(&key)
                .ok_or_else(|| StoreError("a peer key has the wrong length".into()))?;
            known.insert(node, record::open(&key, &value)?);
        }
        Ok(Self { me, writer, known: RwLock::new(known), recording: tokio::sync::Mutex::new(()) })
    }

    /// Whether a call is for this node, from the node that it always was.
    pub(crate) async fn check(&self, address: &RaftAddress) -> Result<(), RpcError> {
        let refused = |message: String| Err(RpcError::new(RpcErrorKind::Refused, message));
        if address.cluster != self.me.cluster {
            return refused(format!("this node belongs to cluster {}", self.me.cluster));
        }
        if address.to != self.me.node {
            return refused(format!("this is node {}, not {}", self.me.node, address.to));
        }
        if address.from == self.me.node {
            return refused(format!("another process calls itself node {}", self.me.node));
        }
        let known = self.known.read().get(&address.from).copied();
        let known = match known {
            Some(known) => known,
            None => self.record(address.from, address.from_instance).await?,
        };
        match known == address.from_instance {
            true => Ok(()),
            false => refused(format!(
                "node {} has another data folder than before: let it join under a new node id",
                address.from
            )),
        }
    }

    async fn record(&self, node: NodeId, instance: InstanceId) -> Result<InstanceId, RpcError> {
        let _one = self.recording.lock().await;
        if let Some(known) = self.known.read().get(&node) {
            return Ok(*known);
        }
        let key = keys::peer(node);
        let value = record::seal(&key, &instance).into();
        let done = self.writer.submit(vec![Op::Put { family: keys::META, key, value }]).await;
        done.map_err(|error| RpcError::new(RpcErrorKind::Failed, error.to_string()))?;
        self.known.write().insert(node, instance);
        Ok(instance)
    }
}
