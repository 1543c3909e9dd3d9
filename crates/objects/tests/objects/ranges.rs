//! Any range of any object is the slice of its bytes.

use std::sync::{Arc, atomic::Ordering};

use objects::{Error, Objects, request::RangeRequest};
use proptest::prelude::*;
use tokio::sync::OnceCell;

use crate::support::{TestCluster, content, get_range, put};

const MIB: u64 = 1 << 20;

/// One cluster for all cases of the property, with objects of these sizes.
const SIZES: [u64; 6] = [1, 4096, 4097, MIB + 3, 4 * MIB + 1, 9 * MIB];

async fn shared() -> &'static (Arc<TestCluster>, Objects) {
    static SHARED: OnceCell<(Arc<TestCluster>, Objects)> = OnceCell::const_new();
    SHARED
        .get_or_init(|| async {
            let (cluster, objects) = TestCluster::six().await;
            for size in SIZES {
                let bytes = content(size, size as usize);
                put(&objects, &size.to_string(), &bytes).await.expect("all disks are up");
            }
            (cluster, objects)
        })
        .await
}

fn request() -> impl Strategy<Value = RangeRequest> {
    let offset = prop_oneof![0..10 * MIB, (0..40u64).prop_map(|n| n * MIB / 4), 0..5000u64];
    prop_oneof![
        (offset.clone(), 0..6 * MIB).prop_map(|(from, len)| RangeRequest::FromTo(from, from + len)),
        (offset.clone(), 0..3u64).prop_map(|(from, len)| RangeRequest::FromTo(from, from + len)),
        offset.clone().prop_map(RangeRequest::From),
        offset.prop_map(RangeRequest::Last),
    ]
}

fn expected(range: RangeRequest, size: u64) -> Option<std::ops::Range<usize>> {
    let (start, end) = match range {
        RangeRequest::FromTo(from, to) => (from, size.min(to + 1)),
        RangeRequest::From(from) => (from, size),
        RangeRequest::Last(bytes) => (size.saturating_sub(bytes), size),
    };
    (start < end).then_some(start as usize..end as usize)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn ranges_are_slices(which in 0..SIZES.len(), range in request()) {
        static RUNTIME: std::sync::LazyLock<tokio::runtime::Runtime> =
            std::sync::LazyLock::new(|| tokio::runtime::Runtime::new().expect("threads"));
        let size = SIZES[which];
        RUNTIME.block_on(async {
            let (_, objects) = shared().await;
            let bytes = get_range(objects, &size.to_string(), Some(range)).await;
            match expected(range, size) {
                Some(slice) => {
                    let whole = content(size, size as usize);
                    prop_assert_eq!(bytes.expect("readable"), whole.slice(slice));
                }
                None => prop_assert_eq!(bytes, Err(Error::InvalidRange { size })),
            }
            Ok(())
        })?;
    }
}

#[tokio::test]
async fn a_range_inside_one_chunk_reads_that_chunk_only() {
    let (cluster, objects) = TestCluster::six().await;
    let bytes = content(1, 9 << 20);
    put(&objects, "key", &bytes).await.expect("up");
    let reads = || cluster.disks.values().map(|d| d.reads.load(Ordering::SeqCst)).sum::<u64>();
    for (range, chunks) in [
        (RangeRequest::FromTo(5 * MIB + 1, 5 * MIB + 100), 1),
        (RangeRequest::FromTo(MIB - 1, MIB), 2),
        (RangeRequest::FromTo(4 * MIB - 1, 4 * MIB), 2),
        (RangeRequest::FromTo(0, 4 * MIB - 1), 4),
        (RangeRequest::Last(1), 1),
    ] {
        let before = reads();
        get_range(&objects, "key", Some(range)).await.expect("readable");
        assert_eq!(reads() - before, chunks, "{range:?}");
    }
}
