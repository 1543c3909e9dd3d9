//! The promises of [`ShardStore`], case by case. Every form has to pass all of them.

use bytes::Bytes;
use proto::shards::{ShardEntry, ShardState};
use shardstore::{Error, MemoryStore, ShardStore, store::INVENTORY_MAX};
use types::{BlobId, ShardId};

use crate::support::{check, chunk, disk, intent, is_conflict, put, shard, write};

macro_rules! conformance {
    ($($case:ident)*) => {
        mod memory {
            $(#[tokio::test] async fn $case() {
                super::$case(&super::MemoryStore::default()).await;
            })*
        }
        mod rocks {
            $(#[tokio::test] async fn $case() {
                let (_dir, store) = super::disk();
                super::$case(&store).await;
            })*
        }
    };
}

conformance! {
    what_was_sealed_is_read_back
    chunks_may_come_in_many_calls
    only_sealed_shards_are_read
    a_bad_digest_stores_nothing
    repeats_succeed
    contradictions_are_conflicts_and_change_nothing
    an_empty_shard_is_a_shard
    confirming_marks_and_ignores_the_unknown
    deleting_forgets_and_ignores_the_unknown
    a_deleted_shard_can_be_written_again
    the_inventory_pages_in_order
    bounds_are_checked
    figures_follow_what_is_stored
    ranks_and_blobs_do_not_mix
    concurrent_writers_do_not_disturb_each_other
    closing_ends_the_service
}

async fn what_was_sealed_is_read_back(store: &dyn ShardStore) {
    // Both sides of the border between the LSM tree and the blob files.
    let lengths = [1 << 20, 1 << 20, 5000, 4097, 4096, 100, 1];
    write(store, shard(1, 0), &lengths).await;
    check(store, shard(1, 0), &lengths).await;
    let past = store.read(shard(1, 0), 7).await;
    assert_eq!(past, Err(Error::NotFound { shard: shard(1, 0), stripe: 7 }));
}

async fn chunks_may_come_in_many_calls(store: &dyn ShardStore) {
    let id = shard(1, 0);
    store.put(put(id, 0, &[100, 100], false)).await.expect("begins");
    store.put(put(id, 2, &[100], false)).await.expect("goes on");
    store.put(put(id, 3, &[9000], true)).await.expect("ends");
    check(store, id, &[100, 100, 100, 9000]).await;
    // A seal may also come without chunks.
    let id = shard(2, 0);
    store.put(put(id, 0, &[5000], false)).await.expect("begins");
    store.put(put(id, 1, &[], true)).await.expect("ends");
    check(store, id, &[5000]).await;
}

async fn only_sealed_shards_are_read(store: &dyn ShardStore) {
    let id = shard(1, 0);
    let missing = Err(Error::NotFound { shard: id, stripe: 0 });
    assert_eq!(store.read(id, 0).await, missing);
    store.put(put(id, 0, &[100], false)).await.expect("begins");
    assert_eq!(store.read(id, 0).await, missing);
    store.put(put(id, 1, &[100], true)).await.expect("ends");
    check(store, id, &[100, 100]).await;
}

async fn a_bad_digest_stores_nothing(store: &dyn ShardStore) {
    let id = shard(1, 0);
    let mut bad = put(id, 0, &[100, 5000], true);
    bad.chunks[1].bytes = Bytes::from_static(b"other bytes");
    assert!(matches!(store.put(bad).await, Err(Error::Corrupt { .. })));
    // Intact, but another stripe's and another shard's.
    let mut misplaced = put(id, 0, &[100, 100], true);
    misplaced.chunks.swap(0, 1);
    assert!(matches!(store.put(misplaced).await, Err(Error::Corrupt { .. })));
    let mut foreign = put(id, 0, &[100], true);
    foreign.chunks[0] = chunk(shard(2, 0), 0, 0, 100);
    assert!(matches!(store.put(foreign).await, Err(Error::Corrupt { .. })));
    assert_eq!(store.inventory(None, 10).await, Ok(vec![]));
}

async fn repeats_succeed(store: &dyn ShardStore) {
    let id = shard(1, 0);
    let first = put(id, 0, &[100, 5000], false);
    let last = put(id, 2, &[5000], true);
    for _ in 0..2 {
        store.put(first.clone()).await.expect("begins or repeats");
    }
    for _ in 0..2 {
        store.put(last.clone()).await.expect("ends or repeats");
    }
    store.put(first.clone()).await.expect("a late repeat after the seal");
    store.put(put(id, 0, &[100, 5000, 5000], true)).await.expect("all in one");
    store.put(put(id, 0, &[100], false)).await.expect("a part of it");
    check(store, id, &[100, 5000, 5000]).await;
    let entries = store.inventory(None, 10).await.expect("lists");
    assert_eq!((entries.len(), entries[0].bytes, entries[0].stripes), (1, 10_100, Some(3)));
    // What overlaps and goes on, before the seal.
    let id = shard(2, 0);
    store.put(put(id, 0, &[100, 100], false)).await.expect("begins");
    store.put(put(id, 1, &[100, 100], true)).await.expect("repeats one and adds one");
    check(store, id, &[100, 100, 100]).await;
}

async fn contradictions_are_conflicts_and_change_nothing(store: &dyn ShardStore) {
    let id = shard(1, 0);
    assert!(is_conflict(store.put(put(id, 1, &[100], false)).await), "a gap at the start");
    assert_eq!(store.inventory(None, 10).await, Ok(vec![]));
    store.put(put(id, 0, &[100, 5000], false)).await.expect("begins");
    let before = store.inventory(None, 10).await;

    assert!(is_conflict(store.put(put(id, 3, &[100], false)).await), "a gap");
    let mut other = put(id, 0, &[100], false);
    other.chunks[0] = chunk(id, 0, 1, 100);
    assert!(is_conflict(store.put(other).await), "other bytes");
    assert!(is_conflict(store.put(put(id, 0, &[100, 4999], false)).await), "another length");
    let mut foreign = put(id, 2, &[100], false);
    foreign.intent = intent("another key");
    assert!(is_conflict(store.put(foreign).await), "another intent");
    assert!(is_conflict(store.put(put(id, 0, &[100], true)).await), "a seal that cuts off");
    assert_eq!(store.inventory(None, 10).await, before);

    store.put(put(id, 2, &[], true)).await.expect("ends");
    assert!(is_conflict(store.put(put(id, 2, &[100], false)).await), "more after the seal");
    assert!(is_conflict(store.put(put(id, 2, &[100], true)).await), "another seal");
    assert!(is_conflict(store.put(put(id, 0, &[100], true)).await), "an earlier seal");
    check(store, id, &[100, 5000]).await;
}

async fn an_empty_shard_is_a_shard(store: &dyn ShardStore) {
    let id = shard(1, 0);
    write(store, id, &[]).await;
    write(store, id, &[]).await;
    let entries = store.inventory(None, 10).await.expect("lists");
    assert_eq!((entries[0].stripes, entries[0].bytes), (Some(0), 0));
    assert_eq!(store.read(id, 0).await, Err(Error::NotFound { shard: id, stripe: 0 }));
    store.delete(vec![id]).await.expect("deleted");
    assert_eq!(store.inventory(None, 10).await, Ok(vec![]));
}

async fn confirming_marks_and_ignores_the_unknown(store: &dyn ShardStore) {
    let (sealed, begun, unknown) = (shard(1, 0), shard(2, 0), shard(3, 0));
    write(store, sealed, &[5000]).await;
    store.put(put(begun, 0, &[100], false)).await.expect("begins");
    for _ in 0..2 {
        store.confirm(vec![sealed, unknown, begun]).await.expect("marks");
    }
    let entry = |shard, stripes, bytes| ShardEntry {
        shard,
        state: ShardState::Confirmed,
        intent: intent("key"),
        stripes,
        bytes,
    };
    let expected = vec![entry(sealed, Some(1), 5000), entry(begun, None, 100)];
    assert_eq!(store.inventory(None, 10).await, Ok(expected));
    // The mark stays when the shard is completed late.
    store.put(put(begun, 1, &[100], true)).await.expect("ends");
    let entries = store.inventory(Some(sealed), 10).await.expect("lists");
    assert_eq!(entries, [entry(begun, Some(2), 200)]);
}

async fn deleting_forgets_and_ignores_the_unknown(store: &dyn ShardStore) {
    let ids = [shard(1, 0), shard(2, 0), shard(3, 0)];
    write(store, ids[0], &[100, 5000]).await;
    write(store, ids[1], &[100]).await;
    store.put(put(ids[2], 0, &[5000], false)).await.expect("begins");
    store.confirm(vec![ids[0]]).await.expect("marks");
    for _ in 0..2 {
        store.delete(vec![ids[0], shard(9, 9), ids[2]]).await.expect("deletes");
    }
    assert_eq!(store.read(ids[0], 0).await, Err(Error::NotFound { shard: ids[0], stripe: 0 }));
    let left = store.inventory(None, 10).await.expect("lists");
    assert_eq!(left.iter().map(|entry| entry.shard).collect::<Vec<_>>(), [ids[1]]);
    check(store, ids[1], &[100]).await;
}

async fn a_deleted_shard_can_be_written_again(store: &dyn ShardStore) {
    let id = shard(1, 0);
    write(store, id, &[100, 5000]).await;
    store.confirm(vec![id]).await.expect("marks");
    store.delete(vec![id]).await.expect("deletes");
    assert!(is_conflict(store.put(put(id, 1, &[5000], true)).await), "nothing is left of it");
    let mut again = put(id, 0, &[], true);
    again.intent = intent("another key");
    again.chunks = vec![chunk(id, 0, 1, 6000)];
    store.put(again).await.expect("begins anew");
    assert_eq!(store.read(id, 0).await, Ok(chunk(id, 0, 1, 6000)));
    let entries = store.inventory(None, 10).await.expect("lists");
    assert_eq!((entries[0].state, entries[0].stripes), (ShardState::Pending, Some(1)));
}

async fn the_inventory_pages_in_order(store: &dyn ShardStore) {
    let mut ids: Vec<ShardId> =
        (0..20).flat_map(|blob| [3, 0, 255].map(|rank| shard(blob * 77, rank))).collect();
    for id in &ids {
        write(store, *id, &[10]).await;
    }
    ids.sort();
    for limit in [1, 7, 60, 1000] {
        let (mut seen, mut after) = (Vec::new(), None);
        loop {
            let page = store.inventory(after, limit).await.expect("lists");
            assert!(page.len() <= limit as usize);
            let Some(last) = page.last() else { break };
            after = Some(last.shard);
            seen.extend(page.iter().map(|entry| entry.shard));
        }
        assert_eq!(seen, ids, "limit {limit}");
    }
    assert_eq!(store.inventory(None, 0).await, Ok(vec![]));
    assert_eq!(store.inventory(None, u32::MAX).await.expect("lists").len(), ids.len());
    assert_eq!(INVENTORY_MAX, 10_000);
    // After a shard that is not there.
    let after = ShardId { blob: ids[0].blob, rank: 1 };
    let page = store.inventory(Some(after), 1).await.expect("lists");
    assert_eq!(page[0].shard, ids[1]);
}

async fn bounds_are_checked(store: &dyn ShardStore) {
    let id = shard(1, 0);
    let refused = |result| matches!(result, Err(Error::Invalid(_)));
    assert!(refused(store.put(put(id, 0, &[(1 << 20) + 1], true)).await), "a long chunk");
    for first in [u32::MAX, u32::MAX - 1] {
        let mut late = put(id, 0, &[1], true);
        late.first_stripe = first;
        assert!(refused(store.put(late).await), "too many stripes");
    }
    let mut long = put(id, 0, &[1], true);
    long.intent = intent(&"k".repeat(5000));
    assert!(refused(store.put(long).await), "a long key");
    let mut heavy = put(id, 0, &[1 << 20], true);
    heavy.chunks = vec![heavy.chunks[0].clone(); 65];
    assert!(refused(store.put(heavy).await), "a heavy call");
    let many = vec![id; 10_001];
    assert!(refused(store.confirm(many.clone()).await) && refused(store.delete(many).await));
    assert_eq!(store.inventory(None, 10).await, Ok(vec![]));
}

async fn figures_follow_what_is_stored(store: &dyn ShardStore) {
    let before = store.stat().await.expect("figures");
    assert!(before.writable && before.readable && before.capacity_bytes > before.used_bytes);
    write(store, shard(1, 0), &[1 << 20, 1 << 20]).await;
    let after = store.stat().await.expect("figures");
    assert!(after.used_bytes >= before.used_bytes + (2 << 20), "{before:?} {after:?}");
    store.sync().await.expect("syncs");
}

async fn ranks_and_blobs_do_not_mix(store: &dyn ShardStore) {
    for blob in 0..3 {
        for rank in [0, 1, 255] {
            write(store, shard(blob, rank), &[50, 5000]).await;
        }
    }
    store.delete(vec![shard(1, 1)]).await.expect("deletes");
    for blob in 0..3 {
        for rank in [0, 1, 255] {
            if (blob, rank) != (1, 1) {
                check(store, shard(blob, rank), &[50, 5000]).await;
            }
        }
    }
    let extremes = [[0; 16], [255; 16]];
    for blob in extremes {
        let id = ShardId { blob: BlobId::from_bytes(blob), rank: 254 };
        write(store, id, &[10]).await;
        check(store, id, &[10]).await;
    }
}

async fn concurrent_writers_do_not_disturb_each_other(store: &dyn ShardStore) {
    let one = |number: u64| async move {
        let id = shard(number, 0);
        store.put(put(id, 0, &[100, 6000], false)).await.expect("begins");
        store.put(put(id, 2, &[3], true)).await.expect("ends");
        if number.is_multiple_of(3) {
            store.delete(vec![id]).await.expect("deletes");
        } else {
            store.confirm(vec![id]).await.expect("marks");
        }
    };
    futures::future::join_all((0..60).map(one)).await;
    let left = store.inventory(None, 100).await.expect("lists");
    assert_eq!(left.len(), 40);
    for entry in left {
        assert_eq!((entry.state, entry.stripes), (ShardState::Confirmed, Some(3)));
        check(store, entry.shard, &[100, 6000, 3]).await;
    }
}

async fn closing_ends_the_service(store: &dyn ShardStore) {
    write(store, shard(1, 0), &[10]).await;
    store.close().await.expect("closes");
    store.close().await.expect("stays closed");
    let closed = |error: Error| matches!(error, Error::Unavailable(_));
    assert!(closed(store.read(shard(1, 0), 0).await.expect_err("closed")));
    assert!(closed(store.put(put(shard(1, 0), 0, &[10], true)).await.expect_err("closed")));
    assert!(closed(store.confirm(vec![]).await.expect_err("closed")));
    assert!(closed(store.delete(vec![]).await.expect_err("closed")));
    assert!(closed(store.inventory(None, 1).await.expect_err("closed")));
    assert!(closed(store.stat().await.expect_err("closed")));
    assert!(closed(store.sync().await.expect_err("closed")));
}
