//! Bits that flip on the disk, and a log that was cut short: an error or the right
//! bytes, never wrong ones, never a shard that quietly went.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use platform::SystemClock;
use shardstore::{Error, MemoryStore, OpenError, RocksStore, ShardStore};
use tempfile::TempDir;

use crate::support::{check, chunk, disk, open, put, settings, shard, write};

const SHARDS: u64 = 24;

fn lengths(number: u64) -> Vec<usize> {
    if number.is_multiple_of(2) { vec![300, 50] } else { vec![20_000, 5000, 40] }
}

/// A closed disk. With `in_tables` everything is in tables and blob files, else it is
/// in the log.
async fn filled(in_tables: bool) -> TempDir {
    let (dir, store) = disk();
    for number in 0..SHARDS {
        write(&store, shard(number, 0), &lengths(number)).await;
    }
    store.close().await.expect("closes");
    if in_tables {
        // Opening reads the log into tables.
        open(dir.path()).close().await.expect("closes");
    }
    dir
}

fn files(dir: &Path, extension: &str) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(dir.join("db"))
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .filter(|path| fs::metadata(path).expect("there").len() > 0)
        .collect();
    files.sort();
    files
}

fn copy(from: &Path) -> TempDir {
    let to = TempDir::new().expect("a folder");
    fs::create_dir(to.path().join("db")).expect("a folder");
    fs::copy(from.join("format.json"), to.path().join("format.json")).expect("copied");
    for entry in fs::read_dir(from.join("db")).expect("a folder") {
        let entry = entry.expect("an entry");
        fs::copy(entry.path(), to.path().join("db").join(entry.file_name())).expect("copied");
    }
    to
}

fn flip(path: &Path, bit: usize) {
    let mut bytes = fs::read(path).expect("there");
    bytes[bit / 8] ^= 1 << (bit % 8);
    fs::write(path, bytes).expect("written");
}

#[derive(Debug, Default)]
struct Seen {
    refused: usize,
    corrupt: usize,
}

/// Opens a damaged disk and reads everything.
async fn look(dir: &Path, seen: &mut Seen) {
    let store = match RocksStore::open(dir, settings(), Arc::new(SystemClock)) {
        Ok(store) => store,
        Err(OpenError::Damaged { .. } | OpenError::Failed { .. }) => {
            seen.refused += 1;
            return;
        }
        Err(error) => panic!("{error}"),
    };
    for number in 0..SHARDS {
        let id = shard(number, 0);
        for (stripe, bytes) in (0..).zip(lengths(number)) {
            match store.read(id, stripe).await {
                Ok(read) => assert_eq!(read, chunk(id, stripe, 0, bytes)),
                Err(Error::Corrupt { .. }) => seen.corrupt += 1,
                Err(error) => panic!("{error}"),
            }
        }
    }
    // A damaged shard can be deleted and written anew, which is how repair works.
    let ids: Vec<_> = (0..SHARDS).map(|number| shard(number, 0)).collect();
    if store.delete(ids).await.is_ok() {
        write(&store, shard(0, 0), &lengths(1)).await;
        check(&store, shard(0, 0), &lengths(1)).await;
    }
    store.close().await.expect("closes");
}

async fn flip_everywhere(extension: &str, flips: usize) -> Seen {
    let original = filled(true).await;
    let mut seen = Seen::default();
    for path in files(original.path(), extension) {
        let bits = fs::metadata(&path).expect("there").len() as usize * 8;
        for flip_number in 0..flips {
            let dir = copy(original.path());
            let name = path.file_name().expect("a file");
            flip(&dir.path().join("db").join(name), bits * flip_number / flips + 3);
            look(dir.path(), &mut seen).await;
        }
    }
    seen
}

#[tokio::test]
async fn a_bit_flip_in_a_blob_file_is_corrupt() {
    let seen = flip_everywhere("blob", 12).await;
    assert!(seen.corrupt >= 6, "{seen:?}");
}

#[tokio::test]
async fn a_bit_flip_in_a_table_is_corrupt_or_refused() {
    let seen = flip_everywhere("sst", 6).await;
    assert!(seen.corrupt + seen.refused >= 6, "{seen:?}");
}

#[tokio::test]
async fn a_bit_flip_in_the_log_is_refused() {
    let original = filled(false).await;
    let log = files(original.path(), "log").pop().expect("one");
    let bits = fs::metadata(&log).expect("there").len() as usize * 8;
    let mut seen = Seen::default();
    for bit in [bits / 10, bits / 3, bits / 2] {
        let dir = copy(original.path());
        flip(&dir.path().join("db").join(log.file_name().expect("a file")), bit);
        look(dir.path(), &mut seen).await;
    }
    assert_eq!(seen.refused, 3, "damage in the middle must not pass for the end of the log");
}

#[tokio::test]
async fn a_torn_tail_of_the_log_is_what_a_crash_leaves() {
    let (dir, store) = disk();
    write(&store, shard(0, 0), &lengths(0)).await;
    let sealed = fs::metadata(&files(dir.path(), "log")[0]).expect("there").len();
    store.put(put(shard(1, 0), 0, &lengths(1), false)).await.expect("is accepted");
    let log = files(dir.path(), "log").pop().expect("one");
    let whole = fs::metadata(&log).expect("there").len();
    store.close().await.expect("closes");
    assert!(whole > sealed);
    for length in [sealed, sealed + 1, sealed + 100, (sealed + whole) / 2, whole - 1] {
        let torn = copy(dir.path());
        let path = torn.path().join("db").join(log.file_name().expect("a file"));
        let file = fs::OpenOptions::new().write(true).open(path).expect("there");
        file.set_len(length).expect("cut");
        let store = open(torn.path());
        check(&store, shard(0, 0), &lengths(0)).await;
        let entries = store.inventory(None, 10).await.expect("lists");
        assert_eq!(entries.len(), 1, "half a batch is no batch");
        // A sequence that was given to the lost shard may be given again.
        write(&store, shard(1, 0), &lengths(1)).await;
        check(&store, shard(1, 0), &lengths(1)).await;
        store.close().await.expect("closes");
    }
}

/// The disk writes the pages of an unsynced write in any order.
#[tokio::test]
async fn a_hole_in_the_tail_of_the_log_is_what_a_power_cut_leaves() {
    let (dir, store) = disk();
    write(&store, shard(0, 0), &lengths(1)).await;
    let sealed = fs::metadata(&files(dir.path(), "log")[0]).expect("there").len();
    for number in 1..4 {
        store.put(put(shard(number, 0), 0, &lengths(1), false)).await.expect("is accepted");
    }
    let crashed = copy(dir.path());
    store.close().await.expect("closes");
    let log = files(crashed.path(), "log").pop().expect("one");
    let whole = fs::metadata(&log).expect("there").len();
    let mut lost = 0;
    for at in (sealed..whole).step_by(4096) {
        let torn = copy(crashed.path());
        let path = torn.path().join("db").join(log.file_name().expect("a file"));
        let mut bytes = fs::read(&path).expect("there");
        let from = at as usize;
        let upto = (from + 4096).min(bytes.len());
        bytes[from..upto].fill(0);
        fs::write(&path, bytes).expect("written");
        let store = open(torn.path());
        check(&store, shard(0, 0), &lengths(1)).await;
        lost += 4 - store.inventory(None, 10).await.expect("lists").len();
        write(&store, shard(5, 0), &lengths(1)).await;
        store.close().await.expect("closes");
    }
    assert!(lost > 3, "holes were cut: {lost}");
}

/// What an orderly end left behind was durable, to the last byte.
#[tokio::test]
async fn damage_of_the_last_commit_is_refused_after_an_orderly_end() {
    let (dir, store) = disk();
    write(&store, shard(0, 0), &lengths(1)).await;
    let begin = fs::metadata(&files(dir.path(), "log")[0]).expect("there").len();
    write(&store, shard(1, 0), &lengths(1)).await;
    let end = fs::metadata(&files(dir.path(), "log")[0]).expect("there").len();
    store.close().await.expect("closes");
    let log = files(dir.path(), "log").pop().expect("one");
    for at in [begin + 50, begin + 10_000] {
        assert!(at < end);
        let damaged = copy(dir.path());
        flip(&damaged.path().join("db").join(log.file_name().expect("a file")), at as usize * 8);
        let opened = RocksStore::open(damaged.path(), settings(), Arc::new(SystemClock));
        assert!(matches!(opened, Err(OpenError::Damaged { .. })), "byte {at}");
    }
}

#[tokio::test]
async fn the_mock_finds_its_own_damage() {
    let store = MemoryStore::default();
    write(&store, shard(0, 0), &[100, 100]).await;
    assert!(store.flip_bit(shard(0, 0), 1, 805));
    assert!(!store.flip_bit(shard(0, 0), 2, 0), "no such chunk");
    assert!(store.read(shard(0, 0), 0).await.is_ok());
    assert!(matches!(store.read(shard(0, 0), 1).await, Err(Error::Corrupt { .. })));
}
