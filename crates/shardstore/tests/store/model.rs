//! Random calls on the RocksDB form and on the reference model: equal answers, also
//! after the disk was closed and opened again.

use proptest::{
    collection::vec,
    prelude::*,
    sample::select,
    test_runner::{Config, TestCaseError, TestRunner},
};
use shardstore::{Error, MemoryStore, RocksStore, ShardStore};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use types::ShardId;

use crate::support::{chunk, intent, open, put, shard};

/// Shards that the calls of one sequence meet on.
const SHARDS: u64 = 3;

#[derive(Clone, Debug)]
enum Op {
    Put { shard: u64, first: u32, lengths: Vec<usize>, seed: u8, other_intent: bool, seal: bool },
    Confirm(Vec<u64>),
    Delete(Vec<u64>),
    Reopen,
    Reclaim,
}

/// From simple to complex: a failing sequence shrinks towards the first kinds.
fn op() -> impl Strategy<Value = Op> {
    let lengths = vec(select(vec![1usize, 100, 4096, 4097, 20_000, 0]), 0..4);
    let mostly_zero = prop_oneof![9 => Just(0u8), 1 => Just(1u8)];
    let rarely = prop_oneof![19 => Just(false), 1 => Just(true)];
    let some = vec(0..SHARDS, 1..3);
    prop_oneof![
        20 => (0..SHARDS, 0..5u32, lengths, mostly_zero, rarely, any::<bool>()).prop_map(
            |(shard, first, lengths, seed, other_intent, seal)| {
                Op::Put { shard, first, lengths, seed, other_intent, seal }
            }
        ),
        3 => some.clone().prop_map(Op::Confirm),
        3 => some.prop_map(Op::Delete),
        1 => Just(Op::Reopen),
        1 => Just(Op::Reclaim),
    ]
}

/// One disk for all sequences: each has blobs of its own, so nothing has to be emptied.
struct Disk {
    runtime: Runtime,
    dir: TempDir,
    store: Option<RocksStore>,
    sequence: u64,
}

impl Disk {
    fn store(&self) -> &RocksStore {
        self.store.as_ref().expect("open between calls")
    }

    fn run(&mut self, ops: Vec<Op>) -> Result<(), TestCaseError> {
        self.sequence += 1;
        let base = self.sequence * 1000;
        let ids = |numbers: &[u64]| numbers.iter().map(|n| shard(base + n, 1)).collect::<Vec<_>>();
        let model = MemoryStore::default();
        for op in ops {
            match op {
                Op::Put { shard: number, first, lengths, seed, other_intent, seal } => {
                    let id = shard(base + number, 1);
                    let mut call = put(id, first, &[], seal);
                    call.chunks = (first..)
                        .zip(&lengths)
                        .map(|(stripe, bytes)| chunk(id, stripe, seed, *bytes))
                        .collect();
                    if other_intent {
                        call.intent = intent("another key");
                    }
                    let expected = self.runtime.block_on(model.put(call.clone()));
                    let answer = self.runtime.block_on(self.store().put(call));
                    prop_assert_eq!(kind(answer), kind(expected));
                }
                Op::Confirm(numbers) => {
                    self.runtime.block_on(model.confirm(ids(&numbers))).expect("no faults");
                    let answer = self.runtime.block_on(self.store().confirm(ids(&numbers)));
                    prop_assert_eq!(answer, Ok(()));
                }
                Op::Delete(numbers) => {
                    self.runtime.block_on(model.delete(ids(&numbers))).expect("no faults");
                    let answer = self.runtime.block_on(self.store().delete(ids(&numbers)));
                    prop_assert_eq!(answer, Ok(()));
                }
                Op::Reopen => {
                    let store = self.store.take().expect("open between calls");
                    self.runtime.block_on(store.close()).expect("closes");
                    self.store = Some(open(self.dir.path()));
                }
                Op::Reclaim => {
                    self.runtime.block_on(self.store().reclaim()).expect("reclaims");
                }
            }
            self.compare(&model, base)?;
        }
        Ok(())
    }

    /// The inventory, and every chunk with one more than there are.
    fn compare(&self, model: &MemoryStore, base: u64) -> Result<(), TestCaseError> {
        let store = self.store();
        self.runtime.block_on(async {
            let expected = model.inventory(None, 100).await.expect("no faults");
            let after = Some(ShardId { rank: 255, ..shard(base - 1, 0) });
            prop_assert_eq!(&store.inventory(after, 100).await.expect("lists"), &expected);
            for number in 0..SHARDS {
                let id = shard(base + number, 1);
                for stripe in 0.. {
                    let expected = model.read(id, stripe).await;
                    let last = expected.is_err();
                    prop_assert_eq!(store.read(id, stripe).await, expected);
                    if last {
                        break;
                    }
                }
            }
            Ok(())
        })
    }
}

fn kind(result: Result<(), Error>) -> Option<proto::RpcErrorKind> {
    result.err().map(|error| error.kind())
}

#[test]
fn rocksdb_answers_as_the_model() {
    let dir = TempDir::new().expect("a folder");
    let store = Some(open(dir.path()));
    let runtime = Runtime::new().expect("a runtime");
    let disk = std::cell::RefCell::new(Disk { runtime, dir, store, sequence: 0 });
    let config = Config { cases: 150, failure_persistence: None, ..Config::default() };
    TestRunner::new(config)
        .run(&vec(op(), 1..20), |ops| disk.borrow_mut().run(ops))
        .unwrap_or_else(|error| panic!("{error}"));
}
