//! openraft's own storage suite, run on our log and state machine.

use std::sync::Arc;

use bytes::Bytes;
use openraft::testing::{StoreBuilder, Suite};
use parking_lot::Mutex;
use types::GroupId;

use crate::{
    ApplyContext, Halt, KvWrite, StateMachine,
    log::LogStore,
    machine::Machine,
    raft_types::{StorageError, TypeConfig},
    rows::Rows,
    store::{Store, Writer},
};

struct Nothing;

impl StateMachine for Nothing {
    fn apply(&self, _: &mut dyn KvWrite, _: ApplyContext, _: &[u8]) -> Result<Bytes, Halt> {
        Ok(Bytes::new())
    }
}

struct Builder;

impl StoreBuilder<TypeConfig, LogStore, Machine, tempfile::TempDir> for Builder {
    async fn build(&self) -> Result<(tempfile::TempDir, LogStore, Machine), StorageError> {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), Arc::new(|_: &str| {})).unwrap();
        let writer = Arc::new(Writer::start(Arc::clone(&store)).unwrap());
        let rows = Arc::new(Rows::open(GroupId(3), Arc::clone(&store)).unwrap());
        let log = LogStore::new(GroupId(3), store, Arc::clone(&writer));
        let halted = Arc::new(Mutex::new(None));
        Ok((dir, log, Machine::new(rows, writer, Arc::new(Nothing), halted)))
    }
}

#[test]
fn openraft_storage_suite_passes() {
    Suite::test_all(Builder).unwrap();
}
