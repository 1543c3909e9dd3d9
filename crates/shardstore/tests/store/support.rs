//! What the tests share: disks, shards and puts.

use std::{path::Path, sync::Arc};

use bytes::Bytes;
use platform::SystemClock;
use proto::shards::{Chunk, PutChunks};
use shardstore::{Error, RocksStore, Settings, ShardStore};
use tempfile::TempDir;
use types::{BlobId, BucketId, ChunkDigest, ClusterId, DiskUuid, ShardId, UnixMillis, WriteIntent};

pub(crate) const CLUSTER: [u8; 16] = [0xc1; 16];
pub(crate) const DISK: [u8; 16] = [0xd1; 16];

/// Settings for small disks: the build machine may itself be short of space.
pub(crate) fn settings() -> Settings {
    let settings = Settings::new(ClusterId::from_bytes(CLUSTER), DiskUuid::from_bytes(DISK));
    Settings { free_reserve_bytes: 1 << 20, ..settings }
}

pub(crate) fn open(dir: &Path) -> RocksStore {
    RocksStore::open(dir, settings(), Arc::new(SystemClock)).expect("opens")
}

/// A fresh disk; keep the folder as long as the store.
pub(crate) fn disk() -> (TempDir, RocksStore) {
    let dir = TempDir::new().expect("a folder");
    let store = open(dir.path());
    (dir, store)
}

pub(crate) fn shard(number: u64, rank: u8) -> ShardId {
    let mut blob = [0; 16];
    blob[..8].copy_from_slice(&number.to_be_bytes());
    ShardId { blob: BlobId::from_bytes(blob), rank }
}

pub(crate) fn intent(key: &str) -> WriteIntent {
    WriteIntent { bucket: BucketId(7), key: key.to_owned(), part: None, deadline: UnixMillis(9) }
}

/// Bytes that differ for every shard, stripe and seed, and do not compress.
pub(crate) fn content(shard: ShardId, stripe: u32, seed: u8, bytes: usize) -> Bytes {
    let mut hasher = blake3::Hasher::new();
    hasher.update(shard.blob.as_bytes());
    hasher.update(&[shard.rank, seed]);
    hasher.update(&stripe.to_le_bytes());
    let mut content = vec![0; bytes];
    hasher.finalize_xof().fill(&mut content);
    Bytes::from(content)
}

pub(crate) fn chunk(shard: ShardId, stripe: u32, seed: u8, bytes: usize) -> Chunk {
    let bytes = content(shard, stripe, seed, bytes);
    Chunk { digest: ChunkDigest::of(shard, stripe, &bytes), bytes }
}

/// Chunks of these lengths from stripe `first` on.
pub(crate) fn put(shard: ShardId, first: u32, lengths: &[usize], seal: bool) -> PutChunks {
    PutChunks {
        shard,
        intent: intent("key"),
        first_stripe: first,
        chunks: (first..).zip(lengths).map(|(s, bytes)| chunk(shard, s, 0, *bytes)).collect(),
        seal,
    }
}

/// Puts a whole shard and seals it.
pub(crate) async fn write(store: &dyn ShardStore, shard: ShardId, lengths: &[usize]) {
    store.put(put(shard, 0, lengths, true)).await.expect("is stored");
}

/// Reads a whole shard and compares every byte with what [`write`] stored.
pub(crate) async fn check(store: &dyn ShardStore, shard: ShardId, lengths: &[usize]) {
    for (stripe, bytes) in (0..).zip(lengths) {
        let read = store.read(shard, stripe).await.expect("is there");
        assert_eq!(read, chunk(shard, stripe, 0, *bytes), "{shard:?} {stripe}");
    }
}

pub(crate) fn is_conflict(result: Result<(), Error>) -> bool {
    matches!(result, Err(Error::Conflict { .. }))
}

/// Bytes of all files below a folder.
pub(crate) fn folder_bytes(dir: &Path) -> u64 {
    let mut bytes = 0;
    for entry in std::fs::read_dir(dir).expect("a folder") {
        let entry = entry.expect("an entry");
        // A file may go while we look: the database cleans up behind us.
        let Ok(meta) = entry.metadata() else { continue };
        bytes += if meta.is_dir() { folder_bytes(&entry.path()) } else { meta.len() };
    }
    bytes
}
