//! Golden bytes and every refusal of the format file.

use tempfile::TempDir;

use super::*;

fn format() -> Format {
    Format {
        cluster: ClusterId::from_bytes([0xaa; 16]),
        disk_uuid: DiskUuid::from_bytes([0xbb; 16]),
        disk_id: Some(DiskId(3)),
    }
}

/// The file of version 1, for ever.
const GOLDEN: &str = r#"{
  "magic": "shardlake-disk",
  "version": 1,
  "cluster": "aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa",
  "disk_uuid": "bbbbbbbb-bbbb-bbbb-bbbb-bbbbbbbbbbbb",
  "disk_id": 3
}
"#;

fn folder(files: &[(&str, &str)]) -> TempDir {
    let dir = TempDir::new().expect("a folder");
    for (name, content) in files {
        match *content {
            "/" => fs::create_dir(dir.path().join(name)).expect("a folder"),
            content => fs::write(dir.path().join(name), content).expect("a file"),
        }
    }
    dir
}

fn read(files: &[(&str, &str)]) -> Result<Option<Format>, FormatError> {
    Format::read(folder(files).path())
}

#[test]
fn golden() {
    assert_eq!(String::from_utf8(format().render()).expect("text"), GOLDEN);
    assert_eq!(read(&[(FORMAT_FILE, GOLDEN)]).expect("good"), Some(format()));
    let unregistered = GOLDEN.replace("\"disk_id\": 3", "\"disk_id\": null");
    let read = read(&[(FORMAT_FILE, &unregistered)]).expect("good").expect("there");
    assert_eq!(read, Format { disk_id: None, ..format() });
}

#[test]
fn it_is_written_in_two_steps() {
    let dir = folder(&[]);
    format().begin(dir.path()).expect("written");
    assert_eq!(Format::read(dir.path()).expect("may start again"), None);
    Format::finish(dir.path()).expect("renamed");
    assert_eq!(Format::read(dir.path()).expect("good"), Some(format()));
    let other = Format { disk_id: Some(DiskId(4)), ..format() };
    other.replace(dir.path()).expect("replaced");
    assert_eq!(Format::read(dir.path()).expect("good"), Some(other));
}

#[test]
fn unused_folders_are_told_from_used_ones() {
    assert_eq!(read(&[]).expect("empty"), None);
    assert_eq!(Format::read(Path::new("does-not-exist")).expect("missing"), None);
    assert_eq!(read(&[("lost+found", "/")]).expect("a fresh volume"), None);
    assert_eq!(read(&[(FORMAT_FILE_NEW, "{"), (DB_DIR, "/")]).expect("interrupted"), None);
    assert!(matches!(read(&[("holiday.jpg", "x")]), Err(FormatError::NotEmpty(_))));
    assert!(matches!(read(&[(DB_DIR, "/")]), Err(FormatError::FormatMissing(_))));
    let mixed = read(&[(DB_DIR, "/"), ("holiday.jpg", "x")]);
    assert!(matches!(mixed, Err(FormatError::FormatMissing(_))));
}

#[test]
fn broken_and_newer_files_are_refused() {
    for broken in ["", "{", "[]", "{\"magic\":\"shardlake-disk\"}"] {
        let error = read(&[(FORMAT_FILE, broken)]).expect_err(broken);
        assert!(matches!(error, FormatError::Unreadable { .. }), "{error}");
    }
    let foreign = GOLDEN.replace("shardlake-disk", "other");
    assert!(matches!(read(&[(FORMAT_FILE, &foreign)]), Err(FormatError::Unreadable { .. })));
    let newer = r#"{ "magic": "shardlake-disk", "version": 2, "volumes": [] }"#;
    assert!(matches!(read(&[(FORMAT_FILE, newer)]), Err(FormatError::Newer { version: 2, .. })));
}

#[test]
fn foreign_and_mixed_up_disks_are_refused() {
    let dir = Path::new("disk-0");
    let (cluster, uuid) = (format().cluster, format().disk_uuid);
    let check = |cluster, uuid, id| format().check(dir, cluster, uuid, id);
    check(cluster, None, None).expect("nothing expected");
    check(cluster, Some(uuid), Some(DiskId(3))).expect("as expected");
    let error = check(ClusterId::from_bytes([1; 16]), None, None).expect_err("foreign");
    assert!(matches!(error, FormatError::ForeignCluster { .. }));
    let other_uuid = check(cluster, Some(DiskUuid::from_bytes([1; 16])), None);
    let other_id = check(cluster, None, Some(DiskId(4)));
    for error in [other_uuid.expect_err("uuid"), other_id.expect_err("id")] {
        assert!(matches!(error, FormatError::OtherDisk { .. }), "{error}");
    }
    let unregistered = Format { disk_id: None, ..format() };
    unregistered.check(dir, cluster, None, Some(DiskId(4))).expect("may take the id");
}

#[test]
fn a_folder_is_locked_once() {
    let dir = folder(&[]);
    let lock = Lock::take(dir.path()).expect("free");
    assert!(matches!(Lock::take(dir.path()), Err(FormatError::Locked(_))));
    drop(lock);
    Lock::take(dir.path()).expect("free again");
}
