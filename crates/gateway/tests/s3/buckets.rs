//! Buckets.

use aws_sdk_s3::types::{BucketLocationConstraint, CreateBucketConfiguration};

use crate::{
    raw,
    support::{BUCKET, refused, server},
};

#[tokio::test]
async fn the_life_of_a_bucket() {
    let server = server().await;
    let client = &server.client;
    assert_eq!(
        refused(client.create_bucket().bucket(BUCKET).send().await),
        (409, "BucketAlreadyOwnedByYou".into())
    );
    let head = client.head_bucket().bucket(BUCKET).send().await.expect("it is there");
    assert_eq!(head.bucket_region(), Some("us-east-1"));
    let location = client.get_bucket_location().bucket(BUCKET).send().await.expect("it is there");
    assert!(location.location_constraint().is_none_or(|region| region.as_str().is_empty()));
    server.put("k", b"v").await;
    assert_eq!(
        refused(client.delete_bucket().bucket(BUCKET).send().await),
        (409, "BucketNotEmpty".into())
    );
    client.delete_object().bucket(BUCKET).key("k").send().await.expect("deleted");
    client.delete_bucket().bucket(BUCKET).send().await.expect("it is empty");
    assert_eq!(
        refused(client.delete_bucket().bucket(BUCKET).send().await),
        (404, "NoSuchBucket".into())
    );
    assert_eq!(refused(client.head_bucket().bucket(BUCKET).send().await).0, 404);
    let put = client.put_object().bucket(BUCKET).key("k").body(vec![1].into());
    assert_eq!(refused(put.send().await), (404, "NoSuchBucket".into()));
    assert_eq!(
        refused(client.list_objects_v2().bucket(BUCKET).max_keys(0).send().await),
        (404, "NoSuchBucket".into())
    );
}

#[tokio::test]
async fn bad_names_and_foreign_regions_are_refused() {
    let server = server().await;
    for name in ["ab", "Upper", "under_score", "192.168.1.1", "a..b", "-start", &"x".repeat(64)] {
        let answer = raw::call(server.address, "PUT", &format!("/{name}"), "", &[], b"").await;
        assert_eq!((answer.status, answer.code()), (400, "InvalidBucketName".into()), "{name}");
    }
    let elsewhere = CreateBucketConfiguration::builder()
        .location_constraint(BucketLocationConstraint::EuWest1)
        .build();
    let create = server.client.create_bucket().bucket("elsewhere");
    assert_eq!(
        refused(create.create_bucket_configuration(elsewhere).send().await),
        (400, "InvalidLocationConstraint".into())
    );
}

#[tokio::test]
async fn buckets_are_listed_in_pages() {
    let server = server().await;
    for name in ["logs-1", "logs-2", "logs-3", "other"] {
        server.client.create_bucket().bucket(name).send().await.expect("created");
    }
    let all = server.client.list_buckets().send().await.expect("listed");
    let names: Vec<_> = all.buckets().iter().filter_map(|bucket| bucket.name()).collect();
    assert_eq!(names, [BUCKET, "logs-1", "logs-2", "logs-3", "other"]);
    assert!(all.owner().and_then(|owner| owner.id()).is_some());
    let mut seen = Vec::new();
    let mut token = None;
    loop {
        let page = server.client.list_buckets().prefix("logs-").max_buckets(2);
        let page = page.set_continuation_token(token).send().await.expect("listed");
        seen.extend(page.buckets().iter().filter_map(|b| b.name().map(str::to_owned)));
        token = page.continuation_token().map(str::to_owned);
        if token.is_none() {
            break;
        }
    }
    assert_eq!(seen, ["logs-1", "logs-2", "logs-3"]);
    let bad = server.client.list_buckets().continuation_token("nonsense!").send().await;
    assert_eq!(refused(bad), (400, "InvalidArgument".into()));
}
