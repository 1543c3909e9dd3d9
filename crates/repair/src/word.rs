//! The word of the index: which blobs are referenced, asked for many at a time. Whoever destroys
//! anything asks here first.

use std::collections::BTreeMap;

use metastore::api::{
    IndexAnswer, IndexCommand, IndexQuery, IndexView,
    index::{ASKED_MAX, Reference},
};
use objects::Objects;
use types::{BlobId, GroupId, UnixMillis, WriteIntent};

use crate::Error;

/// What the index says of these blobs, in their order. `Undecided` also for a key that no
/// partition of the map known here holds.
pub(crate) async fn ask(
    objects: &Objects,
    asked: &[(BlobId, WriteIntent)],
) -> Result<Vec<Reference>, Error> {
    let map = objects.metadata().map();
    let mut by_partition: BTreeMap<GroupId, Vec<usize>> = BTreeMap::new();
    for (place, (_, intent)) in asked.iter().enumerate() {
        if let Some(partition) = map.partition(intent.bucket, &intent.key) {
            by_partition.entry(partition.group).or_default().push(place);
        }
    }
    let mut answers = vec![Reference::Undecided; asked.len()];
    for (partition, places) in by_partition {
        for places in places.chunks(ASKED_MAX) {
            let of = |place: &usize| asked[*place].clone();
            let question: Vec<_> = places.iter().map(of).collect();
            for (place, answer) in places.iter().zip(ask_one(objects, partition, question).await?) {
                answers[*place] = answer;
            }
        }
    }
    Ok(answers)
}

/// The same for blobs of one partition. A partition without traffic does not notice that time
/// passes: if that is all that keeps it from deciding, it is told, and asked again.
async fn ask_one(
    objects: &Objects,
    partition: GroupId,
    asked: Vec<(BlobId, WriteIntent)>,
) -> Result<Vec<Reference>, Error> {
    let now = UnixMillis(objects.clock().now_ms());
    let answers = query(objects, partition, asked.clone()).await?;
    let waits = |(answer, (_, intent)): (&Reference, &(BlobId, WriteIntent))| {
        *answer == Reference::Undecided && intent.deadline < now
    };
    if !answers.iter().zip(&asked).any(waits) {
        return Ok(answers);
    }
    match objects.metadata().partition(partition, IndexCommand::Tick).await? {
        IndexAnswer::Done => query(objects, partition, asked).await,
        other => Err(Error::answer(&other)),
    }
}

async fn query(
    objects: &Objects,
    partition: GroupId,
    asked: Vec<(BlobId, WriteIntent)>,
) -> Result<Vec<Reference>, Error> {
    let count = asked.len();
    let query = IndexQuery::Blobs { asked };
    match objects.metadata().partition_query(partition, query).await? {
        IndexView::Blobs(answers) if answers.len() == count => Ok(answers),
        other => Err(Error::view(&other)),
    }
}
