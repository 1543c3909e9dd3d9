//! Storage classes: each is stored as its profile says, and read as if it were not.

use std::sync::{Arc, atomic::Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use cluster::Metadata;
use objects::{
    BodyDigests, BodyError, Error, ObjectBody, Settings,
    body::MemoryBody,
    request::{Put, PutPart, RangeRequest},
};
use types::{
    Attributes, Compression, Content, DiskClass, DiskId, Encoding, ObjectHead, StorageClass,
    StorageProfile, UploadId,
};

use crate::support::{
    BUCKET, TestCluster, blob_of, complete_request, content, create_upload_in, get, get_range,
    mixed_content, put, put_in, put_multipart_in, put_parts, put_request, read,
};

const MIB: usize = 1 << 20;
const FRAME: usize = Encoding::FRAME_BYTES;

#[tokio::test]
async fn each_class_is_stored_as_its_profile_says() {
    let (cluster, objects) = TestCluster::six().await;
    let bytes = mixed_content(1, 3 * MIB);
    for class in StorageClass::ALL {
        let key = class.as_str();
        let blob = blob_of(&put_in(&objects, key, class, &bytes).await.expect("up"));
        let profile = cluster.map().classes.profile(class);
        assert_eq!(blob.policy, profile.policy, "{class}");
        match profile.compression {
            Compression::None => assert_eq!(blob.encoding, Encoding::Plain),
            Compression::Zstd => {
                let content_bytes = bytes.len() as u64;
                assert_eq!(blob.encoding, Encoding::Zstd { content_bytes });
                assert!(blob.size < content_bytes * 3 / 4, "{}", blob.size);
            }
        }
        // The cluster has only hot disks: they stand in for all.
        assert_eq!(cluster.map().groups[&blob.pg].class, DiskClass::Hot);
        assert_eq!(get(&objects, key).await.expect("readable"), bytes);
        let small = put_in(&objects, "small", class, &content(1, 10)).await.expect("up");
        assert_eq!(small.content, Content::Inline(content(1, 10)));
        assert_eq!(small.attributes.class, class);
    }
    let policy = cluster.map().policy;
    cluster.add_group(policy, DiskClass::Cold);
    for (class, disks) in [
        (StorageClass::Glacier, DiskClass::Cold),
        (StorageClass::StandardIa, DiskClass::Hot),
        (StorageClass::Standard, DiskClass::Hot),
    ] {
        let blob = blob_of(&put_in(&objects, "key", class, &bytes).await.expect("up"));
        assert_eq!(cluster.map().groups[&blob.pg].class, disks, "{class}");
    }
}

#[tokio::test]
async fn a_class_without_groups_is_refused_with_what_to_do() {
    let (cluster, objects) = TestCluster::six().await;
    let profile = StorageProfile {
        policy: "rs-8-3".parse().expect("valid"),
        disks: DiskClass::Warm,
        compression: Compression::None,
    };
    cluster.set_profile(StorageClass::OnezoneIa, profile);
    let refused = put_in(&objects, "key", StorageClass::OnezoneIa, &content(1, 10_000)).await;
    let Err(Error::Unavailable(reason)) = refused else { panic!("{refused:?}") };
    for word in ["ONEZONE_IA", "rs-8-3", "11 data disks of class warm", "profile"] {
        assert!(reason.contains(word), "{reason}");
    }
    put(&objects, "key", &content(1, 10_000)).await.expect("the others are not concerned");
}

/// Every border of frames, stripes and the object, and random ranges, against plain slices.
#[tokio::test]
async fn ranges_of_a_compressed_object_are_those_of_its_content() {
    let (_, objects) = TestCluster::six().await;
    for (seed, size) in [
        (1, 4097),
        (2, 100_000),
        (3, FRAME - 1),
        (4, FRAME),
        (5, FRAME + 1),
        (6, 4 * MIB),
        (7, 11 * MIB + 12_345),
    ] {
        let bytes = mixed_content(seed, size);
        let head = put_in(&objects, "key", StorageClass::StandardIa, &bytes).await.expect("up");
        assert_eq!(head.size, size as u64);
        assert!(get(&objects, "key").await.expect("readable") == bytes, "{size}");
        let mut places: Vec<usize> = [0, 1, FRAME, 2 * FRAME, 4 * MIB, 10 * MIB, size]
            .iter()
            .flat_map(|at| [at.saturating_sub(1), *at, at + 1])
            .chain((0..4).map(|n| (seed as usize * 7_919 + n * 2_654_435) % size))
            .filter(|at| *at < size)
            .collect();
        places.sort_unstable();
        places.dedup();
        for (index, from) in places.iter().enumerate() {
            for to in &places[index..] {
                let range = RangeRequest::FromTo(*from as u64, *to as u64);
                let part = read(&objects, "key", head.clone(), Some(range)).await;
                assert!(part.expect("readable") == bytes[*from..=*to], "{from}..={to} of {size}");
            }
        }
        let last = get_range(&objects, "key", Some(RangeRequest::Last(5))).await;
        assert_eq!(last.expect("readable"), bytes[size - 5..]);
        let beyond = get_range(&objects, "key", Some(RangeRequest::From(size as u64))).await;
        assert_eq!(beyond, Err(Error::InvalidRange { size: size as u64 }));
    }
}

#[tokio::test]
async fn a_range_reads_only_its_frames() {
    let (cluster, objects) = TestCluster::six().await;
    // It does not get smaller, so that frames and chunks are about as long.
    let bytes = content(1, 40 * MIB);
    let head = put_in(&objects, "key", StorageClass::StandardIa, &bytes).await.expect("up");
    assert!(blob_of(&head).size > bytes.len() as u64);
    let reads =
        || -> u64 { cluster.disks.values().map(|disk| disk.reads.load(Ordering::SeqCst)).sum() };
    let before = reads();
    let range = RangeRequest::FromTo(20 * MIB as u64, 20 * MIB as u64 + 9);
    let part = read(&objects, "key", head, Some(range)).await.expect("readable");
    assert_eq!(part, bytes[20 * MIB..20 * MIB + 10]);
    // One chunk of the table, and the two that a frame touches.
    assert!(reads() - before <= 3, "{}", reads() - before);
}

#[tokio::test]
async fn compressed_objects_survive_lost_disks() {
    let (cluster, objects) = TestCluster::six().await;
    let (small, large) = (mixed_content(1, 300_000), mixed_content(2, 9 * MIB));
    let parts = [mixed_content(3, 5 * MIB), mixed_content(4, 6 * MIB), content(5, 100)];
    put_in(&objects, "small", StorageClass::Glacier, &small).await.expect("up");
    put_in(&objects, "large", StorageClass::StandardIa, &large).await.expect("up");
    put_multipart_in(&objects, "parts", StorageClass::GlacierIr, &parts).await;
    put_in(&objects, "thin", StorageClass::OnezoneIa, &large).await.expect("up");
    let disks: Vec<DiskId> = cluster.disks.keys().copied().collect();
    for (index, first) in disks.iter().enumerate() {
        cluster.take_down(*first);
        assert!(get(&objects, "thin").await.expect("one may be lost") == large);
        for second in &disks[index + 1..] {
            cluster.take_down(*second);
            assert!(get(&objects, "small").await.expect("readable") == small);
            assert!(get(&objects, "large").await.expect("readable") == large);
            assert!(get(&objects, "parts").await.expect("readable") == parts.concat());
            cluster.bring_up(*second);
        }
        cluster.bring_up(*first);
    }
}

/// Whoever sends a part does not say the class, and may send it to another gateway.
#[tokio::test]
async fn parts_are_stored_in_the_class_of_their_upload() {
    let (cluster, objects) = TestCluster::six().await;
    let other = cluster.objects(Settings::default());
    let parts = [mixed_content(1, 5 * MIB), mixed_content(2, 5 * MIB)];
    let upload = create_upload_in(&objects, "key", StorageClass::OnezoneIa).await.expect("up");
    let listed = put_parts(&other, "key", upload, &parts).await;
    let stored = objects.parts(BUCKET, "key", upload, 0, 10).await.expect("in progress").parts;
    for part in stored {
        let metastore::api::index::Data::Blob { blob, .. } = part.data else { panic!("a blob") };
        assert_eq!(blob.policy.to_string(), "rs-4-1");
        assert_eq!(blob.encoding, Encoding::Zstd { content_bytes: 5 << 20 });
    }
    objects.complete_upload(complete_request("key", upload, listed)).await.expect("complete");
    let whole: Bytes = parts.concat().into();
    assert!(get(&objects, "key").await.expect("readable") == whole);
    let from = 5 * MIB - 100;
    let range = RangeRequest::FromTo(from as u64, from as u64 + 199);
    let border = get_range(&objects, "key", Some(range)).await.expect("readable");
    assert_eq!(border, whole[from..from + 200]);

    let body = Box::new(MemoryBody::new(content(1, 10_000)));
    let upload = UploadId(Default::default());
    let put = PutPart { bucket: BUCKET.into(), key: "key".into(), upload, number: 1, body };
    assert_eq!(other.put_part(put).await, Err(Error::NoSuchUpload));
    other.settle().await;
}

/// A body in the middle of which the operator changes the profile of its class.
struct Changing {
    cluster: Arc<TestCluster>,
    frames: Vec<Bytes>,
}

#[async_trait]
impl ObjectBody for Changing {
    fn size_hint(&self) -> Option<u64> {
        None
    }

    async fn next(&mut self) -> Option<Result<Bytes, BodyError>> {
        if self.frames.len() == 1 {
            let policy = "rs-2-1".parse().expect("valid");
            let (disks, compression) = (DiskClass::Hot, Compression::None);
            let profile = StorageProfile { policy, disks, compression };
            self.cluster.set_profile(StorageClass::StandardIa, profile);
            self.cluster.add_group(policy, DiskClass::Hot);
            // The group fails, so the blob begins again in another one.
            self.cluster.take_down(self.cluster.disk(0).0);
            self.cluster.take_down(self.cluster.disk(1).0);
        }
        self.frames.pop().map(Ok)
    }

    fn finish(&mut self) -> Result<BodyDigests, BodyError> {
        Ok(BodyDigests { md5: [0; 16], checksum: None })
    }
}

#[tokio::test]
async fn an_upload_ends_under_the_profile_that_it_began_with() {
    let (cluster, objects) = TestCluster::with_objects("rs-4-2", 18, Settings::default()).await;
    let frames = vec![mixed_content(1, 3 * MIB), mixed_content(2, 3 * MIB)];
    let whole: Bytes = frames.iter().rev().flatten().copied().collect();
    let class = StorageClass::StandardIa;
    let put = Put {
        attributes: Attributes { class, ..Attributes::default() },
        body: Box::new(Changing { cluster: cluster.clone(), frames }),
        ..put_request("key", Bytes::new())
    };
    let blob = blob_of(&objects.put(put).await.expect("there are groups without these disks"));
    assert_eq!(blob.policy.to_string(), "rs-4-2");
    assert_eq!(blob.encoding, Encoding::Zstd { content_bytes: 6 << 20 });
    assert!(get(&objects, "key").await.expect("readable") == whole);
    cluster.bring_up(cluster.disk(0).0);
    cluster.bring_up(cluster.disk(1).0);
    let blob = blob_of(&put_in(&objects, "next", class, &whole).await.expect("up"));
    assert_eq!((blob.policy.to_string().as_str(), blob.encoding), ("rs-2-1", Encoding::Plain));
}

/// A reference that does not fit its bytes is an error, whatever they are: never a panic, never
/// memory without bound.
#[tokio::test]
async fn a_blob_that_is_not_what_its_reference_says_is_an_error() {
    let (_, objects) = TestCluster::six().await;
    let bytes = mixed_content(1, 5 * MIB);
    let zstd = put_in(&objects, "zstd", StorageClass::Glacier, &bytes).await.expect("up");
    let plain = put(&objects, "plain", &bytes).await.expect("up");
    let lie = |head: &ObjectHead, content_bytes: u64| {
        let mut head = head.clone();
        let Content::Blob(blob) = &mut head.content else { panic!("a blob") };
        blob.encoding = Encoding::Zstd { content_bytes };
        head.size = content_bytes;
        head
    };
    let (frame, size) = (FRAME as u64, bytes.len() as u64);
    for head in [
        lie(&plain, size),
        lie(&plain, frame),
        lie(&plain, 1),
        lie(&zstd, size + 1),
        lie(&zstd, size - 1),
        lie(&zstd, size - frame),
        lie(&zstd, 10_000),
        lie(&zstd, u64::MAX / 2),
    ] {
        let size = head.size;
        let error = read(&objects, "key", head, None).await.expect_err("no such content");
        assert!(matches!(error, Error::Internal(_)), "{error} at {size}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn compressing_and_decompressing_stay_under_the_budget() {
    let settings = Settings { buffer_bytes_max: 40 << 20, ..Settings::default() };
    let (_, objects) = TestCluster::with_objects("rs-4-2", 6, settings).await;
    let bytes = mixed_content(1, 6 * MIB);
    let write = |number: u32| {
        let (objects, bytes) = (objects.clone(), bytes.clone());
        tokio::spawn(async move {
            let key = format!("key-{number}");
            put_in(&objects, &key, StorageClass::StandardIa, &bytes).await.expect("it waits");
            assert!(get(&objects, &key).await.expect("it waits") == bytes);
        })
    };
    for task in (0..12).map(write).collect::<Vec<_>>() {
        task.await.expect("no panic");
    }
    for (in_use, high_water) in [objects.write_buffer_bytes(), objects.read_buffer_bytes()] {
        assert_eq!(in_use, 0);
        assert!((1..=20 << 20).contains(&high_water), "{high_water}");
    }
}
