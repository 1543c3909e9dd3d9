//! What clients see when disks fail.

use aws_sdk_s3::error::ProvideErrorMetadata;
use cluster::memory::DiskFault;

use crate::support::{BUCKET, content, refused, server};

#[tokio::test]
async fn two_of_six_disks_lost_leave_reads_and_refuse_writes_with_the_reason() {
    let server = server().await;
    let bytes = content(2 << 20);
    server.put("old", &bytes).await;
    let disks = server.cluster.disks();
    server.cluster.set_fault(disks[0], Some(DiskFault::Failed));
    server.put("one lost", &bytes).await;
    server.cluster.set_fault(disks[3], Some(DiskFault::Failed));
    assert!(server.get("old").await == bytes);
    let put = || {
        let put = server.client.put_object().bucket(BUCKET).key("two lost");
        put.body(bytes.clone().into()).send()
    };
    let answer = put().await;
    let message = answer.as_ref().err().and_then(|error| error.message()).unwrap_or_default();
    assert!(!message.is_empty(), "{answer:?}");
    assert_eq!(refused(answer), (503, "ServiceUnavailable".into()));
    let head = server.client.head_object().bucket(BUCKET).key("two lost").send().await;
    assert_eq!(refused(head).0, 404, "never a weaker acknowledgement, nothing half-written");
    for disk in disks {
        server.cluster.set_fault(disk, None);
    }
    // The disks are trusted again after a while of their own clock; reads need no trust.
    assert!(server.get("one lost").await == bytes);
}

#[tokio::test]
async fn no_metadata_is_a_503() {
    let server = server().await;
    server.put("k", b"v").await;
    server.cluster.set_metadata_available(false);
    let get = server.client.get_object().bucket(BUCKET).key("k").send().await;
    assert_eq!(refused(get), (503, "ServiceUnavailable".into()));
    server.cluster.set_metadata_available(true);
    assert_eq!(server.get("k").await, b"v");
}
