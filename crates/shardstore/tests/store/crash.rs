//! kill -9 in the middle of writing: what was acknowledged is there afterwards.
//!
//! The test starts itself as a child process that writes until it is killed, and tells
//! by lines on its standard output what was acknowledged.

use std::{
    collections::BTreeSet,
    env,
    hash::{BuildHasher, Hasher, RandomState},
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
};

use shardstore::{Error, ShardStore};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::support::{check, open, put, shard, write};

const DIR: &str = "SHARDSTORE_TEST_CRASH_DIR";
const FIRST: &str = "SHARDSTORE_TEST_CRASH_FIRST";
/// Shards of a child at the most: it ends by itself if nobody kills it.
const SHARDS: u64 = 5000;
const WRITERS: u64 = 4;
const ROUNDS: u64 = 6;

fn lengths(number: u64) -> Vec<usize> {
    [vec![100], vec![5000, 70], vec![60_000; 3], vec![4096, 4097]][(number % 4) as usize].clone()
}

#[test]
fn what_was_acknowledged_survives_kill_9() {
    if let Ok(dir) = env::var(DIR) {
        let first = env::var(FIRST).expect("set with it").parse().expect("a number");
        return child(Path::new(&dir), first);
    }
    let dir = TempDir::new().expect("a folder");
    let runtime = Runtime::new().expect("a runtime");
    let (mut present, mut deleted) = (BTreeSet::new(), BTreeSet::new());
    for round in 0..ROUNDS {
        let kill_after = RandomState::new().build_hasher().finish() % 300 + 1;
        let acknowledged = present.len() + deleted.len();
        kill_child(dir.path(), round * SHARDS, kill_after, &mut present, &mut deleted);
        assert!(present.len() + deleted.len() > acknowledged, "the child did something");

        let store = open(dir.path());
        runtime.block_on(async {
            for number in &present {
                check(&store, shard(*number, 0), &lengths(*number)).await;
            }
            for number in &deleted {
                let missing = Error::NotFound { shard: shard(*number, 0), stripe: 0 };
                assert_eq!(store.read(shard(*number, 0), 0).await, Err(missing), "{number}");
            }
            store.close().await.expect("closes");
        });
    }
}

/// Runs a child until it acknowledged `kill_after` calls, and some that were on the way.
fn kill_child(
    dir: &Path,
    first: u64,
    kill_after: u64,
    present: &mut BTreeSet<u64>,
    deleted: &mut BTreeSet<u64>,
) {
    let mut child = Command::new(env::current_exe().expect("its path"))
        .args(["crash::what_was_acknowledged_survives_kill_9", "--exact", "--nocapture"])
        .env(DIR, dir)
        .env(FIRST, first.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("starts");
    let output = BufReader::new(child.stdout.take().expect("piped"));
    let mut lines = 0;
    for line in output.lines() {
        let line = line.expect("text");
        match line.split_once(' ') {
            Some(("written", number)) => {
                present.insert(number.parse().expect("a number"));
                lines += 1;
            }
            // Whether it is still there is open until it is acknowledged.
            Some(("deleting", number)) => {
                present.remove(&number.parse().expect("a number"));
            }
            Some(("deleted", number)) => {
                deleted.insert(number.parse().expect("a number"));
                lines += 1;
            }
            _ => {}
        }
        if lines == kill_after {
            child.kill().expect("is killed");
        }
    }
    let status = child.wait().expect("ended");
    assert!(!status.success(), "it was killed in the middle");
}

fn child(dir: &Path, first: u64) {
    let store = Arc::new(open(dir));
    // Ends the line that the test runner began.
    say("");
    Runtime::new().expect("a runtime").block_on(async {
        let writers = (0..WRITERS).map(|writer| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                for number in (first + writer..first + SHARDS).step_by(WRITERS as usize) {
                    one(&*store, number).await;
                }
            })
        });
        for writer in writers.collect::<Vec<_>>() {
            writer.await.expect("writes");
        }
    });
}

async fn one(store: &dyn ShardStore, number: u64) {
    let (id, lengths) = (shard(number, 0), lengths(number));
    store.put(put(id, 0, &lengths[..1], false)).await.expect("begins");
    write(store, id, &lengths).await;
    say(&format!("written {number}"));
    store.confirm(vec![id]).await.expect("marks");
    if number.is_multiple_of(5) {
        say(&format!("deleting {number}"));
        store.delete(vec![id]).await.expect("deletes");
        say(&format!("deleted {number}"));
    }
}

/// A line in one write, so that lines of several threads do not mix.
fn say(line: &str) {
    let mut output = std::io::stdout().lock();
    output.write_all(format!("{line}\n").as_bytes()).expect("the parent reads");
    output.flush().expect("the parent reads");
}
