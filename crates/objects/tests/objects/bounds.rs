//! Memory: however many requests come at once, their buffers stay under the budget.

use futures::{StreamExt, future::join_all};
use objects::{Settings, request::RangeRequest};

use crate::support::{BUCKET, TestCluster, content, get, get_range, put};

const MIB: u64 = 1 << 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_writes_at_once_stay_under_the_budget_and_all_succeed() {
    let settings = Settings { buffer_bytes_max: 32 * MIB, ..Settings::default() };
    let (_, objects) = TestCluster::with_objects("rs-4-2", 6, settings).await;
    let bytes = content(1, 6 << 20);
    let writes = (0..24).map(|number| {
        let (objects, bytes) = (objects.clone(), bytes.clone());
        tokio::spawn(async move { put(&objects, &format!("key-{number}"), &bytes).await })
    });
    for write in join_all(writes).await {
        write.expect("no panic").expect("it waits, it does not fail");
    }
    let (_, high_water) = objects.write_buffer_bytes();
    assert!(high_water <= 16 * MIB, "{high_water}");
    assert!(high_water >= 9 * MIB, "the budget is used: {high_water}");
    for number in 0..24 {
        assert_eq!(get(&objects, &format!("key-{number}")).await.expect("readable"), bytes);
    }
    let (_, high_water) = objects.read_buffer_bytes();
    assert!(high_water <= 16 * MIB, "{high_water}");
}

/// An upload larger than the whole budget must not wait for ever for what cannot come.
#[tokio::test]
async fn an_object_larger_than_the_budget_is_stored_alone() {
    let settings = Settings { buffer_bytes_max: 8 * MIB, ..Settings::default() };
    let (_, objects) = TestCluster::with_objects("rs-4-2", 6, settings).await;
    let bytes = content(1, 20 << 20);
    put(&objects, "key", &bytes).await.expect("one at a time");
    assert_eq!(get(&objects, "key").await.expect("readable"), bytes);
}

/// Readers that do not read hold their buffers; the next one is told to come back.
#[tokio::test(start_paused = true)]
async fn a_reader_waits_at_the_bound_and_then_answers_unavailable() {
    let settings = Settings { buffer_bytes_max: 16 * MIB, ..Settings::default() };
    let (_, objects) = TestCluster::with_objects("rs-4-2", 6, settings).await;
    put(&objects, "key", &content(1, 9 << 20)).await.expect("up");
    let head = objects.head(BUCKET, "key", None).await.expect("there");
    let first = objects.read(BUCKET, "key", head.clone(), None).await.expect("room");
    let refused = objects.read(BUCKET, "key", head.clone(), None).await.map(|_| ());
    assert!(matches!(refused, Err(objects::Error::Unavailable(_))), "{refused:?}");

    let waiting = tokio::spawn({
        let objects = objects.clone();
        async move { get_range(&objects, "key", Some(RangeRequest::FromTo(0, 9))).await }
    });
    drop(first);
    assert_eq!(waiting.await.expect("no panic").expect("room now"), content(1, 9 << 20)[..10]);

    // A copy reads while it writes: the two sides do not wait for each other's memory.
    let mut reader = objects.read(BUCKET, "key", head, None).await.expect("room");
    let first = reader.stream.next().await.expect("bytes").expect("readable");
    put(&objects, "copy", &first).await.expect("the write budget is its own");
}
