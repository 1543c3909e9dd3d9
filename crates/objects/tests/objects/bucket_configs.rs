//! Documents of a bucket's configuration, and how old a cached one may be.

use bytes::Bytes;
use metastore::api::root::ConfigKind;
use objects::{Error, Settings};
use types::BucketSettings;

use crate::support::{BUCKET, TestCluster};

const CORS: ConfigKind = ConfigKind::Cors;

fn document(text: &'static str) -> Option<Bytes> {
    Some(Bytes::from_static(text.as_bytes()))
}

#[tokio::test]
async fn documents_are_kept_apart_by_bucket_and_kind() {
    let (_, objects) = TestCluster::six().await;
    objects.create_bucket("other", BucketSettings::default()).await.expect("free");
    objects.set_bucket_config(BUCKET, CORS, document("one")).await.expect("set");
    objects.set_bucket_config("other", CORS, document("two")).await.expect("set");
    objects.set_bucket_config(BUCKET, ConfigKind::Website, document("")).await.expect("set");
    for (bucket, kind, expected) in [
        (BUCKET, CORS, document("one")),
        ("other", CORS, document("two")),
        (BUCKET, ConfigKind::Website, document("")),
        ("other", ConfigKind::Website, None),
        (BUCKET, ConfigKind::Tagging, None),
    ] {
        assert_eq!(objects.bucket_config(bucket, kind).await, Ok(expected.clone()), "{kind:?}");
        assert_eq!(objects.bucket_config_cached(bucket, kind).await, Ok(expected), "{kind:?}");
    }
    objects.set_bucket_config(BUCKET, CORS, None).await.expect("removed");
    assert_eq!(objects.bucket_config(BUCKET, CORS).await, Ok(None));
    assert_eq!(objects.bucket_config("other", CORS).await, Ok(document("two")));

    let missing = || Error::NoSuchBucket("nothing".into());
    assert_eq!(objects.bucket_config("nothing", CORS).await, Err(missing()));
    assert_eq!(objects.bucket_config_cached("nothing", CORS).await, Err(missing()));
    let refused = objects.set_bucket_config("nothing", CORS, document("x")).await;
    assert_eq!(refused, Err(missing()));
    // A bucket made again under the name has none of the documents of the one before.
    objects.delete_bucket("other").await.expect("empty");
    objects.create_bucket("other", BucketSettings::default()).await.expect("free");
    assert_eq!(objects.bucket_config("other", CORS).await, Ok(None));
    assert_eq!(objects.bucket_config_cached("other", CORS).await, Ok(None));
}

/// Each gateway sees its own changes at once, and those of others when its answer has aged.
#[tokio::test]
async fn a_cached_document_is_a_few_seconds_old_at_most() {
    let (cluster, objects) = TestCluster::six().await;
    let other = cluster.objects(Settings::default());
    let mut before = None;
    for value in [document("one"), document("two"), None] {
        assert_eq!(other.bucket_config_cached(BUCKET, CORS).await, Ok(before.clone()));
        objects.set_bucket_config(BUCKET, CORS, value.clone()).await.expect("set");
        assert_eq!(objects.bucket_config_cached(BUCKET, CORS).await, Ok(value.clone()));
        assert_eq!(other.bucket_config(BUCKET, CORS).await, Ok(value.clone()), "not cached");
        cluster.clock.advance(Settings::default().bucket_cache_ms - 1);
        let old = other.bucket_config_cached(BUCKET, CORS).await;
        assert_eq!(old, Ok(before), "absence is cached like presence");
        cluster.clock.advance(1);
        assert_eq!(other.bucket_config_cached(BUCKET, CORS).await, Ok(value.clone()));
        before = value;
    }
}

/// Who asks for a known bucket's document makes nobody look for other names.
#[tokio::test]
async fn a_name_that_was_not_met_has_no_known_documents() {
    let (cluster, objects) = TestCluster::six().await;
    objects.set_bucket_config(BUCKET, CORS, document("one")).await.expect("set");
    assert_eq!(objects.bucket_config_known(BUCKET, CORS).await, Ok(document("one")));
    let other = cluster.objects(Settings::default());
    assert_eq!(other.bucket_config_known(BUCKET, CORS).await, Ok(None));
    other.bucket(BUCKET).await.expect("there");
    cluster.clock.advance(10 * Settings::default().bucket_cache_ms);
    assert_eq!(other.bucket_config_known(BUCKET, CORS).await, Ok(document("one")));
    objects.delete_bucket(BUCKET).await.expect("empty");
    assert_eq!(objects.bucket_config_known(BUCKET, CORS).await, Ok(None));
}

#[tokio::test]
async fn a_document_that_is_too_large_is_refused() {
    let (_, objects) = TestCluster::six().await;
    let limit_bytes = metastore::api::root::BUCKET_CONFIG_BYTES_MAX;
    let fits = Some(Bytes::from(vec![1; limit_bytes]));
    objects.set_bucket_config(BUCKET, CORS, fits.clone()).await.expect("it fits");
    let more = Some(Bytes::from(vec![1; limit_bytes + 1]));
    let refused = objects.set_bucket_config(BUCKET, CORS, more).await;
    assert_eq!(refused, Err(Error::ConfigTooLarge { limit_bytes }));
    assert_eq!(objects.bucket_config(BUCKET, CORS).await, Ok(fits));
}
