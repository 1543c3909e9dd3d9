//! A disk that fails: no more writes, reads as long as it goes, until it is opened again.

use platform::SystemClock;
use proto::shards::PutChunks;
use tempfile::TempDir;
use types::{BlobId, BucketId, ChunkDigest, ClusterId, WriteIntent};

use super::*;

fn open(dir: &Path) -> RocksStore {
    let cluster = ClusterId::from_bytes([1; 16]);
    let mut settings = Settings::new(cluster, DiskUuid::from_bytes([2; 16]));
    settings.free_reserve_bytes = 0;
    RocksStore::open(dir, settings, Arc::new(SystemClock)).expect("opens")
}

fn put(number: u8) -> PutChunks {
    let shard = ShardId { blob: BlobId::from_bytes([number; 16]), rank: 0 };
    let bytes = bytes::Bytes::from(vec![number; 5000]);
    PutChunks {
        shard,
        intent: WriteIntent {
            bucket: BucketId(1),
            key: "key".to_owned(),
            part: None,
            deadline: UnixMillis(1),
        },
        first_stripe: 0,
        chunks: vec![Chunk { digest: ChunkDigest::of(shard, 0, &bytes), bytes }],
        seal: true,
    }
}

#[tokio::test]
async fn after_a_failure_nothing_is_written_until_it_is_opened_again() {
    let dir = TempDir::new().expect("a folder");
    let store = open(dir.path());
    let shard = put(1).shard;
    store.put(put(1)).await.expect("is stored");

    store.inner.fail("the first reason");
    store.inner.fail("the second reason");
    let failed = Err(Error::Failed("the first reason".to_owned()));
    assert_eq!(store.put(put(2)).await, failed);
    assert_eq!(store.put(put(1)).await, failed, "also what would be a repeat");
    assert_eq!(store.confirm(vec![shard]).await, failed);
    assert_eq!(store.delete(vec![shard]).await, failed);
    assert_eq!(store.sync().await, failed);
    assert_eq!(store.read(shard, 0).await.expect("is there").bytes.len(), 5000);
    assert_eq!(store.inventory(None, 10).await.expect("lists").len(), 1);
    let stat = store.stat().await.expect("figures");
    assert!(!stat.writable && stat.readable);
    store.close().await.expect("closes");

    let store = open(dir.path());
    store.put(put(2)).await.expect("is stored");
    assert_eq!(store.inventory(None, 10).await.expect("lists").len(), 2);
}

/// What RocksDB really says, so that a new release which says it differently is noticed.
#[test]
fn faults_are_told_apart() {
    let dir = TempDir::new().expect("a folder");
    let memory = Memory::new(1 << 20, 1 << 20);
    let absent = Database::open(&dir.path().join("absent"), false, &memory).err();
    assert!(matches!(absent, Some(Fault::Io(_))), "{absent:?}");

    drop(Database::open(dir.path(), true, &memory).expect("opens"));
    std::fs::write(dir.path().join("CURRENT"), "nonsense").expect("written");
    let damaged = Database::open(dir.path(), false, &memory).err();
    assert!(matches!(damaged, Some(Fault::Corrupt(_))), "{damaged:?}");

    assert_eq!(Error::from(Fault::NoSpace), Error::NoSpace);
    assert!(matches!(Error::from(Fault::Io(String::new())), Error::Failed(_)));
    assert!(matches!(Error::from(Fault::Corrupt(String::new())), Error::Damaged(_)));
}

/// Calls that meet in the queue share a commit, and each sees those before it.
#[tokio::test]
async fn a_group_is_one_commit() {
    let dir = TempDir::new().expect("a folder");
    let store = open(dir.path());
    let (mut calls, mut answers) = (Vec::new(), Vec::new());
    let mut add = |work| {
        let (answer, answered) = oneshot::channel();
        calls.push(Call { work, answer, _permit: None });
        answers.push(answered);
    };
    let shard = put(1).shard;
    let mut gap = put(1);
    gap.first_stripe = 2;
    gap.chunks.clear();
    add(Work::Put(put(1)));
    add(Work::Put(put(1)));
    add(Work::Put(gap));
    add(Work::Confirm(vec![shard]));
    add(Work::Put(put(2)));
    add(Work::Delete(vec![put(2).shard]));
    add(Work::Put(put(2)));
    let before = store.inner.books.lock().next_sequence;
    let results = writer::commit(&store.inner, &calls);
    let conflict = |result: &Result<(), Error>| matches!(result, Err(Error::Conflict { .. }));
    assert!(conflict(&results[2]));
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 6);
    let entries = store.inventory(None, 10).await.expect("lists");
    assert_eq!(entries.len(), 2);
    assert_eq!(entries[0].state, proto::shards::ShardState::Confirmed);
    assert_eq!(entries[1].state, proto::shards::ShardState::Pending);
    // The shard that was deleted and written again has a sequence of its own.
    assert_eq!(store.inner.books.lock().next_sequence, before + 3);
    assert_eq!(store.inner.books.lock().garbage_bytes(), 5000);
    for number in [1, 2] {
        let read = store.read(put(number).shard, 0).await.expect("is there");
        assert_eq!(read, put(number).chunks[0]);
    }
}
