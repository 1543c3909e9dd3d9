//! Listings, V1 and V2.

use crate::{
    raw,
    support::{BUCKET, Server, refused, server},
};

const KEYS: [&str; 8] = ["a", "b/1", "b/2", "b/c/3", "b0", "c/", "c/x", "d"];

async fn filled() -> Server {
    let server = server().await;
    for key in KEYS {
        server.put(key, key.as_bytes()).await;
    }
    server
}

/// All pages as `(keys, prefixes)`, in pages of `size`.
async fn v2(server: &Server, prefix: &str, delimiter: Option<&str>, size: i32) -> Vec<String> {
    let mut lines = Vec::new();
    let mut token = None;
    for _ in 0..20 {
        let page = server.client.list_objects_v2().bucket(BUCKET).prefix(prefix).max_keys(size);
        let page = page.set_delimiter(delimiter.map(str::to_owned));
        let page = page.set_continuation_token(token).send().await.expect("listed");
        let count = page.contents().len() + page.common_prefixes().len();
        assert_eq!(page.key_count(), Some(count as i32));
        assert!(count <= size as usize);
        lines.extend(page.contents().iter().filter_map(|object| object.key().map(str::to_owned)));
        lines.extend(page.common_prefixes().iter().filter_map(|p| p.prefix().map(str::to_owned)));
        token = page.next_continuation_token().map(str::to_owned);
        assert_eq!(page.is_truncated(), Some(token.is_some()));
        if token.is_none() {
            lines.sort();
            return lines;
        }
    }
    panic!("the listing does not end");
}

async fn v1(server: &Server, delimiter: Option<&str>, size: i32) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut marker = None;
    for _ in 0..20 {
        let page = server.client.list_objects().bucket(BUCKET).max_keys(size);
        let page = page.set_delimiter(delimiter.map(str::to_owned)).set_marker(marker);
        let page = page.send().await.expect("listed");
        let keys: Vec<_> =
            page.contents().iter().filter_map(|object| object.key().map(str::to_owned)).collect();
        let last = keys.last().cloned();
        lines.extend(keys);
        lines.extend(page.common_prefixes().iter().filter_map(|p| p.prefix().map(str::to_owned)));
        if page.is_truncated() != Some(true) {
            lines.sort();
            return lines;
        }
        assert_eq!(page.next_marker().is_some(), delimiter.is_some());
        marker = page.next_marker().map(str::to_owned).or(last);
    }
    panic!("the listing does not end");
}

#[tokio::test]
async fn pages_of_every_size_show_everything_once() {
    let server = filled().await;
    for size in [1, 2, 3, 1000] {
        assert_eq!(v2(&server, "", None, size).await, KEYS, "{size}");
        assert_eq!(v1(&server, None, size).await, KEYS, "{size}");
        let rolled = ["a", "b/", "b0", "c/", "d"];
        assert_eq!(v2(&server, "", Some("/"), size).await, rolled, "{size}");
        assert_eq!(v1(&server, Some("/"), size).await, rolled, "{size}");
        assert_eq!(v2(&server, "b/", Some("/"), size).await, ["b/1", "b/2", "b/c/"], "{size}");
        assert_eq!(v2(&server, "c/", Some("/"), size).await, ["c/", "c/x"], "{size}");
        assert_eq!(v2(&server, "none", None, size).await, Vec::<String>::new());
    }
}

#[tokio::test]
async fn parameters() {
    let server = filled().await;
    let list = || server.client.list_objects_v2().bucket(BUCKET);
    let none = list().max_keys(0).send().await.expect("listed");
    assert_eq!((none.key_count(), none.is_truncated()), (Some(0), Some(false)));
    assert_eq!(list().max_keys(5000).send().await.expect("listed").max_keys(), Some(1000));
    assert_eq!(refused(list().max_keys(-1).send().await), (400, "InvalidArgument".into()));
    let token = list().continuation_token("garbage").send().await;
    assert_eq!(refused(token), (400, "InvalidArgument".into()));
    let after = list().start_after("b/c/3").send().await.expect("listed");
    let keys: Vec<_> = after.contents().iter().filter_map(|object| object.key()).collect();
    assert_eq!(keys, ["b0", "c/", "c/x", "d"]);
    let owned = list().fetch_owner(true).send().await.expect("listed");
    assert!(owned.contents()[0].owner().is_some());
    assert!(list().send().await.expect("listed").contents()[0].owner().is_none());
    let path = format!("/{BUCKET}");
    let encoded = raw::call(
        server.address,
        "GET",
        &path,
        "delimiter=%2F&encoding-type=url&list-type=2&prefix=b%2F",
        &[],
        b"",
    )
    .await;
    assert!(encoded.text().contains("<EncodingType>url</EncodingType>"), "{}", encoded.text());
}
