//! A full disk is an answer, and deleting ends it.

use std::{
    io,
    path::Path,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use platform::SystemClock;
use shardstore::{
    Error, MemoryStore, RocksStore, Settings, ShardStore, memory::WriteFault, space::Space,
};
use tempfile::TempDir;

use crate::support::{check, put, settings, shard, write};

/// A disk with as much room as the test says.
struct Room(AtomicU64);

impl Space for Room {
    fn available_bytes(&self, _dir: &Path) -> io::Result<u64> {
        Ok(self.0.load(Ordering::SeqCst))
    }
}

#[tokio::test]
async fn puts_stop_at_the_reserve_and_all_else_goes_on() {
    let room = Arc::new(Room(AtomicU64::new(20 << 20)));
    let space: Arc<dyn Space> = Arc::<Room>::clone(&room);
    let dir = TempDir::new().expect("a folder");
    let settings = Settings { free_reserve_bytes: 4 << 20, space, ..settings() };
    let store = RocksStore::open(dir.path(), settings, Arc::new(SystemClock)).expect("opens");
    write(&store, shard(1, 0), &[100_000]).await;

    // Five MiB are written twice, and what is in the log only comes on top.
    room.0.store((4 << 20) + (10 << 20), Ordering::SeqCst);
    let full = store.put(put(shard(2, 0), 0, &[1 << 20; 5], true)).await;
    assert_eq!(full, Err(Error::NoSpace), "the log and the file do not both fit");
    write(&store, shard(3, 0), &[50_000]).await;

    room.0.store(4 << 20, Ordering::SeqCst);
    assert!(!store.stat().await.expect("figures").writable);
    let full = store.put(put(shard(4, 0), 0, &[1], true)).await;
    assert_eq!(full, Err(Error::NoSpace));
    check(&store, shard(1, 0), &[100_000]).await;
    store.put(put(shard(1, 0), 0, &[100_000], true)).await.expect("a repeat takes no room");
    store.confirm(vec![shard(1, 0)]).await.expect("marks");
    store.delete(vec![shard(3, 0)]).await.expect("deletes");

    room.0.store(20 << 20, Ordering::SeqCst);
    assert!(store.stat().await.expect("figures").writable);
    write(&store, shard(4, 0), &[100_000]).await;
    let left = store.inventory(None, 10).await.expect("lists");
    assert_eq!(left.len(), 2, "nothing is left of what was refused: {left:?}");
}

/// A small file system in memory, unmounted when dropped.
struct SmallDisk(TempDir);

impl SmallDisk {
    /// `None` where mounting is not allowed.
    fn mount(mebibytes: u32) -> Option<Self> {
        let dir = TempDir::new().expect("a folder");
        let size = format!("size={mebibytes}m");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "shardstore-test"])
            .arg(dir.path())
            .output();
        mounted.ok()?.status.success().then_some(Self(dir))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazy: a thread of the store may still hold a file.
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

/// Puts until the disk is full; how many there are.
async fn fill(store: &dyn ShardStore, first: u64) -> u64 {
    for number in first.. {
        match store.put(put(shard(number, 0), 0, &[500_000, 3000], true)).await {
            Ok(()) => assert!(number < 10_000, "it never gets full"),
            Err(Error::NoSpace) => return number,
            Err(error) => panic!("{error}"),
        }
    }
    unreachable!("the range has no end")
}

/// Where the machine does not let us mount, the seam's test above stands for this one,
/// and this one checks the same on the mock.
#[tokio::test]
async fn a_full_disk_takes_writes_again_after_deletes() {
    let Some(disk) = SmallDisk::mount(96) else {
        let store = MemoryStore::new(32 << 20, Arc::new(SystemClock));
        return fill_and_empty(&store, || async { Ok(0) }).await;
    };
    let settings = Settings { free_reserve_bytes: 32 << 20, ..settings() };
    let store = RocksStore::open(&disk.0.path().join("disk"), settings, Arc::new(SystemClock));
    let store = store.expect("opens");
    fill_and_empty(&store, || store.reclaim()).await;
    store.close().await.expect("closes");
}

async fn fill_and_empty<F>(store: &dyn ShardStore, reclaim: impl Fn() -> F)
where
    F: Future<Output = Result<u64, Error>>,
{
    let mut first = 0;
    for _ in 0..3 {
        let end = fill(store, first).await;
        assert!(end > first + 10, "{first}..{end}");
        for number in first..end {
            check(store, shard(number, 0), &[500_000, 3000]).await;
        }
        let all = (first..end).map(|number| shard(number, 0)).collect();
        store.delete(all).await.expect("deletes");
        reclaim().await.expect("reclaims");
        first = end;
    }
}

#[tokio::test]
async fn faults_of_the_mock_come_in_order() {
    let store = MemoryStore::default();
    store.fail_next_write(WriteFault::NoSpace);
    store.fail_next_write(WriteFault::Io);
    let call = || store.put(put(shard(1, 0), 0, &[10], true));
    assert_eq!(call().await, Err(Error::NoSpace));
    assert!(matches!(call().await, Err(Error::Failed(_))));
    assert!(matches!(call().await, Err(Error::Failed(_))), "a failed disk stays failed");
    assert!(!store.stat().await.expect("figures").writable);
    store.heal();
    call().await.expect("is stored");
    store.set_unavailable(true);
    assert!(matches!(store.read(shard(1, 0), 0).await, Err(Error::Unavailable(_))));
    store.heal();
    check(&store, shard(1, 0), &[10]).await;
    store.wipe();
    assert_eq!(store.inventory(None, 1).await, Ok(vec![]));
    assert_eq!(store.stat().await.expect("figures").used_bytes, 0);
}

/// Somebody else fills the file system beyond our reserve: RocksDB itself runs into it.
#[tokio::test]
async fn a_disk_filled_by_others_recovers_when_there_is_room() {
    let Some(disk) = SmallDisk::mount(128) else {
        let store = MemoryStore::default();
        store.fail_next_write(WriteFault::NoSpace);
        let full = store.put(put(shard(1, 0), 0, &[100], true)).await;
        return assert_eq!(full, Err(Error::NoSpace));
    };
    // The reserve does not help here: the seam believes that there is room.
    let room = Arc::new(Room(AtomicU64::new(1 << 40)));
    let space: Arc<dyn Space> = Arc::<Room>::clone(&room);
    let settings = Settings { free_reserve_bytes: 0, space, ..settings() };
    let store = RocksStore::open(&disk.0.path().join("disk"), settings, Arc::new(SystemClock));
    let store = store.expect("opens");
    write(&store, shard(0, 0), &[500_000]).await;
    let foreign = disk.0.path().join("foreign");
    let written = std::fs::write(&foreign, vec![1; 128 << 20]);
    assert!(written.is_err(), "it does not fit");
    let end = fill(&store, 1).await;
    // Now it sees the truth, so nothing is tried as long as it is full.
    room.0.store(0, Ordering::SeqCst);
    assert!(!store.stat().await.expect("figures").writable);
    for number in 1..end {
        check(&store, shard(number, 0), &[500_000, 3000]).await;
    }
    check(&store, shard(0, 0), &[500_000]).await;
    std::fs::remove_file(foreign).expect("removed");
    assert_eq!(store.delete(vec![shard(1, 0)]).await, Err(Error::NoSpace));
    room.0.store(1 << 40, Ordering::SeqCst);
    store.delete(vec![shard(1, 0)]).await.expect("deletes");
    assert!(store.stat().await.expect("figures").writable);
    for number in 2..end {
        check(&store, shard(number, 0), &[500_000, 3000]).await;
    }
    let gone = store.read(shard(1, 0), 0).await;
    assert_eq!(gone, Err(Error::NotFound { shard: shard(1, 0), stripe: 0 }));
    write(&store, shard(end, 0), &[500_000, 3000]).await;
    check(&store, shard(end, 0), &[500_000, 3000]).await;
    check(&store, shard(0, 0), &[500_000]).await;
    store.close().await.expect("closes");
}
