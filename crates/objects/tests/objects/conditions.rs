//! Conditional writes: decided once, in the index, whoever asks through whichever gateway.

use futures::future::join_all;
use objects::{Error, Settings, request::Delete};
use types::{Condition, Match};

use crate::support::{BUCKET, TestCluster, content, delete_request, get, put, put_request};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_concurrent_creations_exactly_one_wins() {
    let (cluster, objects) = TestCluster::six().await;
    let other_gateway = cluster.objects(Settings::default());
    for size in [100, 50_000] {
        let key = format!("key-{size}");
        let creations = (0..16u64).map(|number| {
            let gateway = if number % 2 == 0 { &objects } else { &other_gateway }.clone();
            let mut request = put_request(&key, content(number, size));
            request.condition = Condition::Absent;
            tokio::spawn(async move { (number, gateway.put(request).await) })
        });
        let mut winners = Vec::new();
        for creation in join_all(creations).await {
            match creation.expect("no panic") {
                (number, Ok(_)) => winners.push(number),
                (_, refused) => assert_eq!(refused, Err(Error::PreconditionFailed)),
            }
        }
        assert_eq!(winners.len(), 1, "{winners:?}");
        assert_eq!(get(&objects, &key).await.expect("there"), content(winners[0], size));
    }
    objects.settle().await;
    other_gateway.settle().await;
    assert_eq!(cluster.shard_count().await, 6, "the losers left nothing");
}

#[tokio::test]
async fn if_match() {
    let (_, objects) = TestCluster::six().await;
    let head = put(&objects, "key", &content(1, 10)).await.expect("up");
    let conditional = |condition, key: &str| {
        let mut request = put_request(key, content(2, 10));
        request.condition = condition;
        objects.put(request)
    };
    let tag = |tag: &str| Condition::Match(Match { etag: Some(tag.into()), ..Match::default() });
    let other = tag(&"00".repeat(16));
    let refused = conditional(other.clone(), "key").await;
    assert_eq!(refused, Err(Error::PreconditionFailed));
    let missing = conditional(tag("*"), "nothing").await;
    assert_eq!(missing, Err(Error::NoSuchKey));
    let refused = objects.delete(Delete { condition: other, ..delete_request("key") }).await;
    assert_eq!(refused, Err(Error::PreconditionFailed));
    let missing = Delete { condition: tag("*"), ..delete_request("nothing") };
    assert_eq!(objects.delete(missing).await, Err(Error::NoSuchKey));
    let size = |size| Condition::Match(Match { size: Some(size), ..Match::default() });
    assert_eq!(conditional(size(11), "key").await, Err(Error::PreconditionFailed));
    conditional(size(10), "key").await.expect("it matches");
    assert_eq!(get(&objects, "key").await.expect("there"), content(2, 10));
    let now = objects.head(BUCKET, "key", None).await.expect("there");
    assert_ne!(now.etag, head.etag);
    conditional(tag(&now.etag.to_string()), "key").await.expect("it matches");
}
