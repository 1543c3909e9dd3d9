//! Versions: each is read by its name, whatever was written over it, until it is removed by
//! its name.

use std::collections::BTreeMap;

use bytes::Bytes;
use metastore::api::index::{
    BucketChange, Garbage, ListedVersion, ObjectUpdate, Origin, VersionEntry, VersionsAfter,
};
use objects::{
    Error, Objects,
    request::{Deleted, RangeRequest},
};
use types::{Content, ObjectHead, Version, Versioning};

use crate::support::{
    BUCKET, TestCluster, blob_of, content, delete, delete_version, enable_versioning, get,
    get_version, put, put_multipart, read,
};

const PART: usize = 5 << 20;

async fn versions(objects: &Objects, prefix: &str) -> Vec<VersionEntry> {
    let page = objects.list_versions(BUCKET, prefix, None, None, 1000).await.expect("a page");
    assert_eq!(page.next, None);
    page.entries
}

/// Name, whether current, whether a delete marker.
fn line(entry: &VersionEntry) -> (Version, bool, bool) {
    match entry {
        VersionEntry::Version { id, null, latest, what } => {
            let name = if *null { Version::Null } else { Version::Id(*id) };
            (name, *latest, matches!(what, ListedVersion::Marker { .. }))
        }
        VersionEntry::CommonPrefix(prefix) => panic!("nobody asked for {prefix}"),
    }
}

/// Three versions of an inline, a blob and a multipart object, in turn.
async fn nine_versions(objects: &Objects) -> Vec<(ObjectHead, Bytes)> {
    let mut all: Vec<(ObjectHead, Bytes)> = Vec::new();
    for round in 0..3u64 {
        for (number, size) in [100, 100_000, PART + 1000].into_iter().enumerate() {
            let bytes = content(10 * round + number as u64, size);
            let head = match number {
                2 => {
                    let parts = [bytes.slice(..PART), bytes.slice(PART..)];
                    put_multipart(objects, "key", &parts).await
                }
                _ => put(objects, "key", &bytes).await.expect("up"),
            };
            let kind = match &head.content {
                Content::Inline(_) => 0,
                Content::Blob(_) => 1,
                Content::Parts { .. } => 2,
            };
            assert_eq!((kind, head.null), (number, false));
            assert!(all.iter().all(|(other, _)| other.version < head.version));
            all.push((head, bytes));
        }
    }
    all
}

#[tokio::test]
async fn every_version_of_every_kind_is_read_by_its_name() {
    let (cluster, objects) = TestCluster::six().await;
    enable_versioning(&objects).await;
    let all = nine_versions(&objects).await;
    assert_eq!(get(&objects, "key").await.expect("the last one"), all[8].1);
    let marker = delete(&objects, "key").await.expect("a marker");
    let Deleted { existed: true, version: Some(marker), marker: true } = marker else {
        panic!("{marker:?}")
    };
    let found = objects.head(BUCKET, "key", None).await;
    let Err(Error::DeleteMarker { version, modified }) = found else { panic!("{found:?}") };
    assert_eq!(version, marker);
    assert_eq!(objects.head(BUCKET, "key", Some(marker)).await, found);
    let update = ObjectUpdate::Tags(BTreeMap::from([("a".into(), "b".into())]));
    let refused =
        objects.update(BUCKET, "key", Some(marker), update.clone(), Origin::default()).await;
    assert_eq!(refused, Err(Error::DeleteMarker { version: marker, modified }));

    let listed = versions(&objects, "").await;
    let mut expected: Vec<_> = all.iter().map(|(head, _)| (head.name(), false, false)).collect();
    expected.push((marker, true, true));
    expected.reverse();
    assert_eq!(listed.iter().map(line).collect::<Vec<_>>(), expected);

    for (head, bytes) in &all {
        let name = head.name();
        assert_eq!(objects.head(BUCKET, "key", Some(name)).await.as_ref(), Ok(head));
        assert_eq!(get_version(&objects, "key", name).await.expect("readable"), bytes);
        // A few bytes across the border of the parts.
        let range = Some(RangeRequest::Last(1010));
        let tail = read(&objects, "key", head.clone(), range).await.expect("readable");
        assert_eq!(tail, bytes.slice(bytes.len().saturating_sub(1010)..));
        let parts = objects.object_parts(BUCKET, "key", head, 0, 10).await.expect("listed");
        let shape = parts.0.iter().map(|p| (p.number, p.offset, p.size)).collect::<Vec<_>>();
        match head.content {
            Content::Parts { .. } => {
                assert_eq!(shape, [(1, 0, PART as u64), (2, PART as u64, 1000)]);
                let first = objects.object_parts(BUCKET, "key", head, 0, 1).await.expect("listed");
                assert_eq!((first.0, first.1), (parts.0[..1].to_vec(), true));
            }
            _ => assert!(shape.is_empty()),
        }
        assert!(!parts.1);
        let tagged =
            objects.update(BUCKET, "key", Some(name), update.clone(), Origin::default()).await;
        let mut expected = head.clone();
        expected.attributes.tags.insert("a".into(), "b".into());
        assert_eq!(tagged, Ok(expected));
    }
    objects.settle().await;
    assert_eq!(cluster.garbage(), [], "nothing was replaced");
    assert_eq!(cluster.shard_count().await, 6 * 3 * 2, "a blob, and a part that is not inline");
}

#[tokio::test]
async fn a_version_goes_only_by_its_name() {
    let (cluster, objects) = TestCluster::six().await;
    enable_versioning(&objects).await;
    let all = nine_versions(&objects).await;
    let marker = delete(&objects, "key").await.expect("a marker").version.expect("named");
    let gone = delete_version(&objects, "key", marker).await;
    assert_eq!(gone, Ok(Deleted { existed: true, version: Some(marker), marker: true }));
    assert_eq!(get(&objects, "key").await.expect("current again"), all[8].1);

    // The current one, a multipart object: the one before is current.
    let (last, _) = &all[8];
    let name = last.name();
    let gone = delete_version(&objects, "key", name).await;
    assert_eq!(gone, Ok(Deleted { existed: true, version: Some(name), marker: false }));
    assert_eq!(get(&objects, "key").await.expect("current now"), all[7].1);
    assert_eq!(get_version(&objects, "key", name).await, Err(Error::NoSuchVersion));
    let replaced = read(&objects, "key", last.clone(), None).await;
    assert_eq!(replaced, Err(Error::Replaced));
    let replaced = objects.object_parts(BUCKET, "key", last, 0, 10).await;
    assert_eq!(replaced, Err(Error::Replaced));
    let again = delete_version(&objects, "key", name).await.expect("idempotent");
    assert!(!again.existed);
    let Content::Parts { upload, .. } = last.content else { panic!("a multipart object") };
    let of_upload =
        |garbage: &Garbage| matches!(garbage, Garbage::Upload { upload: of, .. } if *of == upload);
    assert!(cluster.garbage().iter().all(of_upload), "{:?}", cluster.garbage());
    assert_eq!(cluster.garbage().len(), 1);

    // A noncurrent one, a blob: exactly its bytes are garbage.
    let (old, _) = &all[1];
    assert!(delete_version(&objects, "key", old.name()).await.expect("deleted").existed);
    assert_eq!(cluster.garbage()[1..], [Garbage::Blob(blob_of(old))]);
    for (index, (head, bytes)) in all.iter().enumerate().filter(|(i, _)| ![1, 8].contains(i)) {
        let found = get_version(&objects, "key", head.name()).await;
        assert_eq!(found.as_ref(), Ok(bytes), "{index}");
    }
    // Versions that nobody sees keep the bucket.
    delete(&objects, "key").await.expect("a marker");
    let kept = objects.delete_bucket(BUCKET).await;
    assert_eq!(kept, Err(Error::BucketNotEmpty(BUCKET.into())));
    for entry in versions(&objects, "").await {
        delete_version(&objects, "key", line(&entry).0).await.expect("deleted");
    }
    assert_eq!(get(&objects, "key").await, Err(Error::NoSuchKey));
    objects.delete_bucket(BUCKET).await.expect("empty now");
}

/// The null version: made before versioning and while it is suspended; there is one.
#[tokio::test]
async fn while_suspended_the_null_version_is_replaced_and_the_others_stay() {
    let (cluster, objects) = TestCluster::six().await;
    let first = put(&objects, "key", &content(1, 100_000)).await.expect("up");
    assert_eq!(first.name(), Version::Null);
    enable_versioning(&objects).await;
    let kept = put(&objects, "key", &content(2, 100_000)).await.expect("up");
    let null = async || get_version(&objects, "key", Version::Null).await;
    assert_eq!(null().await.expect("kept"), content(1, 100_000));
    assert_eq!(cluster.garbage(), []);

    let suspend = BucketChange::Versioning(Versioning::Suspended);
    objects.configure_bucket(BUCKET, suspend).await.expect("no object lock");
    let second = put(&objects, "key", &content(3, 100_000)).await.expect("up");
    assert_eq!(second.name(), Version::Null);
    assert_eq!(null().await.expect("replaced"), content(3, 100_000));
    assert_eq!(cluster.garbage(), [Garbage::Blob(blob_of(&first))]);
    let third = put_multipart(&objects, "key", &[content(4, 100_000)]).await;
    assert_eq!(third.name(), Version::Null);
    assert_eq!(get(&objects, "key").await.expect("current"), content(4, 100_000));
    assert_eq!(cluster.garbage()[1..], [Garbage::Blob(blob_of(&second))]);

    let marker = delete(&objects, "key").await;
    let null_marker = Deleted { existed: true, version: Some(Version::Null), marker: true };
    assert_eq!(marker, Ok(null_marker));
    assert_eq!(cluster.garbage().len(), 3, "it took the place of the multipart object");
    let found = objects.head(BUCKET, "key", None).await;
    assert!(matches!(found, Err(Error::DeleteMarker { version: Version::Null, .. })), "{found:?}");
    assert_eq!(objects.head(BUCKET, "key", Some(Version::Null)).await, found);
    let lines: Vec<_> = versions(&objects, "").await.iter().map(line).collect();
    assert_eq!(lines, [(Version::Null, true, true), (kept.name(), false, false)]);
    assert_eq!(get_version(&objects, "key", kept.name()).await.expect("kept"), content(2, 100_000));

    assert_eq!(delete_version(&objects, "key", Version::Null).await, Ok(null_marker));
    assert_eq!(get(&objects, "key").await.expect("current again"), content(2, 100_000));
    assert_eq!(null().await, Err(Error::NoSuchVersion));
    assert_eq!(cluster.garbage().len(), 3);
}

/// Pages of one line put together are the page of all lines, prefixes among them.
#[tokio::test]
async fn a_listing_of_versions_goes_on_where_the_page_ended() {
    let (_, objects) = TestCluster::six().await;
    put(&objects, "b", &content(0, 10)).await.expect("up");
    enable_versioning(&objects).await;
    for (seed, key) in ["a", "b", "b", "d/1", "d/2", "d/2", "e"].into_iter().enumerate() {
        put(&objects, key, &content(seed as u64, 10)).await.expect("up");
    }
    delete(&objects, "b").await.expect("a marker");
    for (delimiter, lines) in [(None, 9), (Some("/"), 7)] {
        let list = async |after, limit| {
            let page = objects.list_versions(BUCKET, "", delimiter, after, limit).await;
            page.expect("a page")
        };
        let all = list(None, 1000).await;
        assert_eq!((all.entries.len(), all.next), (lines, None));
        let (mut entries, mut after) = (Vec::new(), None);
        loop {
            let page = list(after, 1).await;
            assert!(page.entries.len() <= 1);
            entries.extend(page.entries);
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(entries, all.entries, "{delimiter:?}");
        let rest = list(Some(VersionsAfter::Key("b".into())), 1000).await;
        assert_eq!(rest.entries, all.entries[5..]);
    }
    let under: Vec<_> = versions(&objects, "d/").await.iter().map(line).collect();
    assert_eq!(under.len(), 3);
    assert!(under[0].1 && under[1].1 && !under[2].1, "the latest of each key: {under:?}");
}
