//! A body that fails stores nothing, and neither does one that its client walks away from.

use async_trait::async_trait;
use bytes::Bytes;
use objects::{BodyDigests, BodyError, Error, ObjectBody, Settings};
use tokio::sync::mpsc;

use crate::support::{BUCKET, TestCluster, content, get, put_request};

/// A body that a test feeds. Dropping the sender ends it.
struct FedBody {
    frames: mpsc::Receiver<Result<Bytes, BodyError>>,
    hint: Option<u64>,
    finish: Result<(), BodyError>,
}

impl FedBody {
    fn new(hint: Option<u64>) -> (mpsc::Sender<Result<Bytes, BodyError>>, Self) {
        let (sender, frames) = mpsc::channel(1);
        (sender, Self { frames, hint, finish: Ok(()) })
    }
}

#[async_trait]
impl ObjectBody for FedBody {
    fn size_hint(&self) -> Option<u64> {
        self.hint
    }

    async fn next(&mut self) -> Option<Result<Bytes, BodyError>> {
        self.frames.recv().await
    }

    fn finish(&mut self) -> Result<BodyDigests, BodyError> {
        self.finish.clone()?;
        Ok(BodyDigests { md5: [0; 16], checksum: None })
    }
}

fn request(body: FedBody) -> objects::request::Put {
    objects::request::Put { body: Box::new(body), ..put_request("key", Bytes::new()) }
}

async fn check_nothing_stored(cluster: &TestCluster, objects: &objects::Objects) {
    objects.settle().await;
    assert_eq!(cluster.shard_count().await, 0);
    assert_eq!(get(objects, "key").await, Err(Error::NoSuchKey));
    assert_eq!(objects.write_buffer_bytes().0, 0, "buffers were given back");
}

#[tokio::test]
async fn a_body_that_breaks_off_stores_nothing() {
    for (size, hint) in [(10, None), (100_000, Some(200_000)), (9 << 20, None)] {
        let (cluster, objects) = TestCluster::six().await;
        let (sender, body) = FedBody::new(hint);
        let put = tokio::spawn({
            let objects = objects.clone();
            async move { objects.put(request(body)).await }
        });
        sender.send(Ok(content(1, size))).await.expect("it reads");
        let broken = BodyError::Incomplete("the client went away".into());
        sender.send(Err(broken.clone())).await.expect("it reads");
        assert_eq!(put.await.expect("no panic"), Err(Error::Body(broken)));
        check_nothing_stored(&cluster, &objects).await;
    }
}

#[tokio::test]
async fn a_body_that_fails_its_verification_stores_nothing() {
    for size in [10, 100_000, 4 << 20, 9 << 20] {
        let (cluster, objects) = TestCluster::six().await;
        let (sender, mut body) = FedBody::new(Some(size as u64));
        body.finish = Err(BodyError::Mismatch { algorithm: "Content-MD5" });
        let put = tokio::spawn({
            let objects = objects.clone();
            async move { objects.put(request(body)).await }
        });
        sender.send(Ok(content(1, size))).await.expect("it reads");
        drop(sender);
        let refused = put.await.expect("no panic");
        assert_eq!(refused, Err(Error::Body(BodyError::Mismatch { algorithm: "Content-MD5" })));
        check_nothing_stored(&cluster, &objects).await;
    }
}

#[tokio::test]
async fn more_than_declared_or_allowed_is_refused() {
    let settings = Settings { put_bytes_max: 1 << 20, ..Settings::default() };
    let (cluster, objects) = TestCluster::with_objects("rs-4-2", 6, settings).await;
    let declared = objects.put(put_request("key", content(1, (1 << 20) + 1))).await;
    assert_eq!(declared, Err(Error::Body(BodyError::TooLarge { limit_bytes: 1 << 20 })));
    for (hint, limit_bytes) in [(None, 1 << 20), (Some(50_000), 50_000)] {
        let (sender, body) = FedBody::new(hint);
        let put = tokio::spawn({
            let objects = objects.clone();
            async move { objects.put(request(body)).await }
        });
        sender.send(Ok(content(1, 40_000))).await.expect("it reads");
        sender.send(Ok(content(1, 1 << 20))).await.expect("it reads");
        let refused = put.await.expect("no panic");
        assert_eq!(refused, Err(Error::Body(BodyError::TooLarge { limit_bytes })));
        check_nothing_stored(&cluster, &objects).await;
    }
}

/// A body whose length is not known, in frames of odd lengths.
#[tokio::test]
async fn a_body_of_unknown_length() {
    for size in [0, 4096, 4097, 3 << 20, 8 << 20, (9 << 20) + 5] {
        let (_, objects) = TestCluster::six().await;
        let (sender, body) = FedBody::new(None);
        let bytes = content(1, size);
        let put = tokio::spawn({
            let objects = objects.clone();
            async move { objects.put(request(body)).await }
        });
        for frame in bytes.chunks(123_457) {
            sender.send(Ok(bytes.slice_ref(frame))).await.expect("it reads");
        }
        drop(sender);
        put.await.expect("no panic").expect("stored");
        assert_eq!(get(&objects, "key").await.expect("readable"), bytes);
    }
}

/// Stripes are on the disks already when the client disconnects: the server drops the future.
#[tokio::test]
async fn an_abandoned_put_leaves_nothing() {
    for size in [100, 100_000, 5 << 20, 13 << 20] {
        let (cluster, objects) = TestCluster::six().await;
        let (sender, body) = FedBody::new(None);
        let put = tokio::spawn({
            let objects = objects.clone();
            async move { objects.put(request(body)).await }
        });
        for frame in content(1, size).chunks(1 << 20) {
            sender.send(Ok(Bytes::copy_from_slice(frame))).await.expect("it reads");
        }
        if size > 8 << 20 {
            while cluster.shard_count().await < 6 {
                tokio::task::yield_now().await;
            }
        }
        put.abort();
        assert!(put.await.expect_err("aborted").is_cancelled());
        check_nothing_stored(&cluster, &objects).await;
        assert_eq!(objects.list(BUCKET, "", None, None, 10).await.expect("a page").entries, []);
    }
}
