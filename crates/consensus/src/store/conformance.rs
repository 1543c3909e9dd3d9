//! Every engine answers as the model does; and what a crash of the simulated disk leaves is what
//! was synced and a beginning of the rest.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::{
    engine::{Engine, Reader},
    *,
};

type Model = BTreeMap<(&'static str, Vec<u8>), Bytes>;

#[derive(Clone, Debug)]
enum Step {
    Write(Vec<Op>),
    Commit(Vec<Op>),
    Look(&'static str, Vec<u8>, Vec<u8>),
    /// What was written after a snapshot is not in it.
    Snapshot(Vec<Op>),
}

fn family() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![keys::LOG, keys::META, keys::ROWS])
}

fn key() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop::sample::select(vec![0, 1, 0xff]), 0..4)
}

fn op() -> impl Strategy<Value = Op> {
    let value = prop::collection::vec(any::<u8>(), 0..4);
    prop_oneof![
        6 => (family(), key(), value).prop_map(|(family, key, value)| Op::Put { family, key, value: value.into() }),
        2 => (family(), key()).prop_map(|(family, key)| Op::Delete { family, key }),
        1 => (family(), key(), key()).prop_map(|(family, a, b)| {
            // RocksDB refuses a range whose end is before its beginning; nobody asks for one.
            Op::DeleteRange { family, from: a.clone().min(b.clone()), to: a.max(b) }
        }),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let ops = || prop::collection::vec(op(), 0..6);
    prop_oneof![
        3 => ops().prop_map(Step::Write),
        2 => ops().prop_map(Step::Commit),
        3 => (family(), key(), key()).prop_map(|(family, a, b)| Step::Look(family, a, b)),
        1 => ops().prop_map(Step::Snapshot),
    ]
}

fn apply(model: &mut Model, ops: &[Op]) {
    for op in ops.iter().cloned() {
        match op {
            Op::Put { family, key, value } => {
                model.insert((family, key), value);
            }
            Op::Delete { family, key } => {
                model.remove(&(family, key));
            }
            Op::DeleteRange { family, from, to } => {
                model.retain(|(name, key), _| *name != family || *key < from || *key >= to);
            }
        }
    }
}

fn pairs(model: &Model, family: &str, from: &[u8], to: &[u8]) -> Vec<(Bytes, Bytes)> {
    let within = |key: &[u8]| from <= key && key < to;
    let pairs = model.iter().filter(|((name, key), _)| *name == family && within(key));
    pairs.map(|((_, key), value)| (Bytes::copy_from_slice(key), value.clone())).collect()
}

fn look(reader: &dyn Reader, model: &Model, family: &'static str, from: &[u8], to: &[u8]) {
    let key = (family, from.to_vec());
    assert_eq!(reader.get(family, from).unwrap(), model.get(&key).cloned());
    let found: Vec<_> = reader.scan(family, from, to).map(Result::unwrap).collect();
    assert_eq!(found, if from < to { pairs(model, family, from, to) } else { Vec::new() });
}

const ALL: [u8; 5] = [0xff; 5];

fn same(reader: &dyn Reader, model: &Model) {
    for family in [keys::LOG, keys::META, keys::ROWS] {
        look(reader, model, family, &[], &ALL);
    }
}

fn check(engine: &dyn Engine, steps: &[Step]) {
    let mut model = Model::new();
    for step in steps {
        match step {
            Step::Write(ops) => {
                engine.write(ops.clone()).unwrap();
                apply(&mut model, ops);
            }
            Step::Commit(ops) => {
                engine.commit(ops.clone()).unwrap();
                apply(&mut model, ops);
            }
            Step::Look(family, from, to) if from < to => {
                look(engine, &model, family, from, to);
                let last = engine.last(family, from, to).unwrap();
                assert_eq!(last, pairs(&model, family, from, to).pop());
            }
            Step::Look(family, from, _) => look(engine, &model, family, from, &ALL),
            Step::Snapshot(ops) => {
                let (snapshot, before) = (engine.snapshot(), model.clone());
                engine.write(ops.clone()).unwrap();
                apply(&mut model, ops);
                same(&*snapshot, &before);
            }
        }
    }
    same(engine, &model);
    engine.close().unwrap();
    // For the next case.
    let clear = |family| Op::DeleteRange { family, from: Vec::new(), to: ALL.to_vec() };
    engine.write([keys::LOG, keys::META, keys::ROWS].map(clear).into()).unwrap();
}

/// One database for all cases.
fn rocks() -> &'static Rocks {
    static ROCKS: std::sync::LazyLock<(tempfile::TempDir, Rocks)> =
        std::sync::LazyLock::new(|| {
            let dir = tempfile::tempdir().unwrap();
            let rocks = Rocks::open(dir.path()).unwrap();
            (dir, rocks)
        });
    &ROCKS.1
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn engines_behave_like_the_model(steps in prop::collection::vec(step(), 1..30)) {
        check(&MemoryDisk::default(), &steps);
        check(rocks(), &steps);
    }

    #[test]
    fn a_crash_keeps_what_was_synced_and_a_beginning_of_the_rest(
        batches in prop::collection::vec((prop::collection::vec(op(), 0..4), any::<bool>()), 1..20),
        kept in 0usize..20,
    ) {
        let disk = MemoryDisk::default();
        let mut models = vec![Model::new()];
        let mut synced = 0;
        for (number, (ops, sync)) in batches.iter().enumerate() {
            let mut model = models[number].clone();
            apply(&mut model, ops);
            models.push(model);
            if *sync {
                disk.commit(ops.clone()).unwrap();
                synced = number + 1;
            } else {
                disk.write(ops.clone()).unwrap();
            }
        }
        prop_assert_eq!(disk.unsynced(), batches.len() - synced);
        disk.crash(kept);
        same(&disk, &models[(synced + kept).min(batches.len())]);
        prop_assert_eq!(disk.unsynced(), 0);
        disk.crash(0);
        same(&disk, &models[(synced + kept).min(batches.len())]);
    }
}

/// A sync covers what was written before it began, not what came while it ran.
#[tokio::test(start_paused = true)]
async fn a_slow_sync_covers_what_was_written_before_it() {
    let disk = MemoryDisk::default();
    let put = |key: &[u8]| {
        vec![Op::Put { family: keys::META, key: key.to_vec(), value: Bytes::from_static(b"v") }]
    };
    disk.set_sync_delay(std::time::Duration::from_millis(5));
    let commit = disk.commit_slowly(put(b"a"));
    let mut commit = std::pin::pin!(commit);
    assert!(futures::poll!(&mut commit).is_pending());
    disk.write(put(b"b")).unwrap();
    commit.await.unwrap();
    disk.crash(0);
    assert!(disk.get(keys::META, b"a").unwrap().is_some());
    assert!(disk.get(keys::META, b"b").unwrap().is_none());

    disk.fail_syncs(1);
    assert!(disk.commit_slowly(put(b"c")).await.is_err());
    disk.crash(0);
    assert!(disk.get(keys::META, b"c").unwrap().is_none());
}
