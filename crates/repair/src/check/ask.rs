//! Questions to the index, many blobs at a time. Unlike the workers' it changes nothing, not even the
//! partition's clock.

use std::collections::BTreeMap;

use cluster::Metadata;
use metastore::api::{
    IndexQuery, IndexView,
    index::{ASKED_MAX, Reference, ReferencedBlob},
};
use types::{BlobId, GroupId, WriteIntent};

use crate::Error;

/// References of a page of the index.
const PAGE: u32 = 1000;

/// What the index says of these blobs, in their order. `Undecided` also for a key that no partition of
/// the known map holds.
pub(super) async fn about(
    metadata: &dyn Metadata,
    asked: &[(BlobId, WriteIntent)],
) -> Result<Vec<Reference>, Error> {
    let map = metadata.map();
    let mut by_partition: BTreeMap<GroupId, Vec<usize>> = BTreeMap::new();
    for (place, (_, intent)) in asked.iter().enumerate() {
        if let Some(partition) = map.partition(intent.bucket, &intent.key) {
            by_partition.entry(partition.group).or_default().push(place);
        }
    }
    let mut answers = vec![Reference::Undecided; asked.len()];
    for (partition, places) in by_partition {
        for places in places.chunks(ASKED_MAX) {
            let question = places.iter().map(|place| asked[*place].clone()).collect();
            let query = IndexQuery::Blobs { asked: question };
            match metadata.partition_query(partition, query).await? {
                IndexView::Blobs(said) if said.len() == places.len() => {
                    for (place, answer) in places.iter().zip(said) {
                        answers[*place] = answer;
                    }
                }
                other => return Err(Error::view(&other)),
            }
        }
    }
    Ok(answers)
}

/// A page of what a partition references, and where the next one begins.
pub(super) async fn referenced(
    metadata: &dyn Metadata,
    partition: GroupId,
    after: Option<bytes::Bytes>,
) -> Result<(Vec<ReferencedBlob>, Option<bytes::Bytes>), Error> {
    let query = IndexQuery::Referenced { after, limit: PAGE };
    match metadata.partition_query(partition, query).await? {
        IndexView::Referenced { blobs, next } => Ok((blobs, next)),
        other => Err(Error::view(&other)),
    }
}
