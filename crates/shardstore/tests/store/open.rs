//! What is opened as a disk and what is refused, and what stays over a restart.

use std::{fs, sync::Arc};

use platform::SystemClock;
use shardstore::{
    OpenError, RocksStore, Settings, ShardStore,
    format::{Format, FormatError},
};
use tempfile::TempDir;
use types::{ClusterId, DiskId, DiskUuid};

use crate::support::{CLUSTER, DISK, check, disk, open, put, settings, shard, write};

fn refused(dir: &TempDir, settings: Settings) -> FormatError {
    match RocksStore::open(dir.path(), settings, Arc::new(SystemClock)) {
        Err(OpenError::Format(error)) => error,
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("it opens"),
    }
}

#[tokio::test]
async fn a_disk_keeps_its_shards_and_its_names() {
    let (dir, store) = disk();
    assert_eq!(store.disk_uuid(), DiskUuid::from_bytes(DISK));
    assert_eq!(store.disk_id(), None);
    store.set_disk_id(DiskId(5)).expect("takes the id");
    store.set_disk_id(DiskId(5)).expect("has the id");
    assert!(matches!(store.set_disk_id(DiskId(6)), Err(FormatError::OtherDisk { .. })));
    write(&store, shard(1, 0), &[100, 10_000]).await;
    store.put(put(shard(2, 0), 0, &[10_000], false)).await.expect("begins");
    store.close().await.expect("closes");

    let format = Format::read(dir.path()).expect("good").expect("there");
    assert_eq!(format.cluster, ClusterId::from_bytes(CLUSTER));
    assert_eq!(format.disk_id, Some(DiskId(5)));
    let store = open(dir.path());
    assert_eq!(store.disk_id(), Some(DiskId(5)));
    check(&store, shard(1, 0), &[100, 10_000]).await;
    store.put(put(shard(2, 0), 1, &[100], true)).await.expect("goes on where it was");
    check(&store, shard(2, 0), &[10_000, 100]).await;
}

#[tokio::test]
async fn a_disk_is_opened_once() {
    let (dir, store) = disk();
    assert!(matches!(refused(&dir, settings()), FormatError::Locked(_)));
    store.close().await.expect("closes");
    let again = open(dir.path());
    again.close().await.expect("closes");
}

#[tokio::test]
async fn foreign_and_other_disks_are_refused() {
    let (dir, store) = disk();
    store.set_disk_id(DiskId(5)).expect("takes the id");
    store.close().await.expect("closes");
    let foreign = Settings { cluster: ClusterId::from_bytes([9; 16]), ..settings() };
    assert!(matches!(refused(&dir, foreign), FormatError::ForeignCluster { .. }));
    let other = Settings { expected_disk_uuid: Some(DiskUuid::from_bytes([9; 16])), ..settings() };
    assert!(matches!(refused(&dir, other), FormatError::OtherDisk { .. }));
    let other = Settings { disk_id: Some(DiskId(9)), ..settings() };
    assert!(matches!(refused(&dir, other), FormatError::OtherDisk { .. }));
    // After all that it is still itself.
    open(dir.path()).close().await.expect("closes");
}

#[tokio::test]
async fn an_empty_folder_is_not_taken_for_an_expected_disk() {
    let dir = TempDir::new().expect("a folder");
    let other = Settings { expected_disk_uuid: Some(DiskUuid::from_bytes([9; 16])), ..settings() };
    assert!(matches!(refused(&dir, other), FormatError::OtherDisk { .. }));
    assert_eq!(fs::read_dir(dir.path()).expect("a folder").count(), 0, "nothing was written");
}

#[tokio::test]
async fn folders_of_others_and_halves_of_disks_are_refused() {
    let dir = TempDir::new().expect("a folder");
    fs::write(dir.path().join("thesis.tex"), "x").expect("written");
    assert!(matches!(refused(&dir, settings()), FormatError::NotEmpty(_)));

    let (dir, store) = disk();
    store.close().await.expect("closes");
    let format = dir.path().join("format.json");
    let content = fs::read(&format).expect("there");
    fs::remove_file(&format).expect("removed");
    assert!(matches!(refused(&dir, settings()), FormatError::FormatMissing(_)));
    fs::write(&format, content).expect("written");
    fs::rename(dir.path().join("db"), dir.path().join("elsewhere")).expect("renamed");
    assert!(matches!(refused(&dir, settings()), FormatError::DatabaseMissing(_)));
}

#[tokio::test]
async fn an_interrupted_first_start_is_started_again() {
    let (dir, store) = disk();
    store.close().await.expect("closes");
    // As if the power had gone just before the rename that ends the first start.
    let [done, begun] = ["format.json", "format.json.new"].map(|name| dir.path().join(name));
    fs::rename(done, begun).expect("renamed");
    let store = open(dir.path());
    write(&store, shard(1, 0), &[10]).await;
    store.close().await.expect("closes");
    let store = open(dir.path());
    check(&store, shard(1, 0), &[10]).await;
}
