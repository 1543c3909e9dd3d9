//! Versioning: what makes versions and delete markers, and how they are named, read, listed,
//! copied and removed.

use crate::{
    raw,
    support::{BUCKET, Server, server},
};

const VERSION: &str = "x-amz-version-id";
const MARKER: &str = "x-amz-delete-marker";

/// Well-formed and never given out.
const UNKNOWN: &str = "00000000000000010000000000000001";

async fn get(server: &Server, key: &str, version: &str) -> raw::Answer {
    server.call("GET", key, &format!("versionId={version}"), &[], "").await
}

/// Deletes; the answer's version and whether it says that it is a marker.
async fn delete(server: &Server, key: &str, query: &str) -> (Option<String>, Option<String>) {
    let answer = server.call("DELETE", key, query, &[], "").await;
    assert_eq!(answer.status, 204, "{key} {query}: {}", answer.text());
    let header = |name| answer.header(name).map(str::to_owned);
    (header(VERSION), header(MARKER))
}

#[tokio::test]
async fn the_state_of_a_bucket() {
    let server = server().await;
    let document = |inner: &str| {
        format!(
            "<VersioningConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">{inner}\
             </VersioningConfiguration>"
        )
    };
    let status = async || server.call("GET", "", "versioning=", &[], "").await.texts("Status");
    assert!(status().await.is_empty(), "never versioned");
    for (inner, headers, expected, code, after) in [
        ("", vec![], 400, "IllegalVersioningConfigurationException", None),
        ("<Status>enabled</Status>", vec![], 400, "MalformedXML", None),
        (
            "<Status>Enabled</Status><MfaDelete>Enabled</MfaDelete>",
            vec![],
            501,
            "NotImplemented",
            None,
        ),
        ("<Status>Enabled</Status>", vec![("x-amz-mfa", "1 2")], 501, "NotImplemented", None),
        ("<Status>Enabled</Status>", vec![], 200, "", Some("Enabled")),
        ("<Status>Suspended</Status>", vec![], 200, "", Some("Suspended")),
        (
            "<Status>Enabled</Status><MfaDelete>Disabled</MfaDelete>",
            vec![],
            200,
            "",
            Some("Enabled"),
        ),
    ] {
        let answer = server.call("PUT", "", "versioning=", &headers, &document(inner)).await;
        assert_eq!((answer.status, answer.code().as_str()), (expected, code), "{inner}");
        assert_eq!(status().await.first().map(String::as_str), after, "{inner}");
    }
    let nowhere = raw::call(server.address, "GET", "/nowhere", "versioning=", &[], b"").await;
    assert_eq!((nowhere.status, nowhere.code()), (404, "NoSuchBucket".into()));
}

#[tokio::test]
async fn never_versioned_buckets_name_no_versions() {
    let server = server().await;
    for (method, query) in
        [("PUT", ""), ("GET", ""), ("HEAD", ""), ("GET", "tagging="), ("DELETE", "")]
    {
        let answer = server.call(method, "k", query, &[], "").await;
        assert!(answer.status < 300, "{method}: {}", answer.text());
        assert_eq!((answer.header(VERSION), answer.header(MARKER)), (None, None), "{method}");
    }
    let gone = server.call("GET", "k", "", &[], "").await;
    assert_eq!((gone.status, gone.code(), gone.header(MARKER)), (404, "NoSuchKey".into(), None));
    server.put("k", b"x").await;
    assert_eq!(get(&server, "k", "null").await.text(), "x");
    let copy = [("x-amz-copy-source", "bucket/k")];
    let copy = server.call("PUT", "copy", "", &copy, "").await;
    assert_eq!((copy.status, copy.header(VERSION)), (200, None));
    assert_eq!(copy.header("x-amz-copy-source-version-id"), None);
    let listed = server.call("GET", "", "versions=", &[], "").await;
    assert_eq!(listed.texts("VersionId"), ["null", "null"]);
    assert_eq!(delete(&server, "k", "versionId=null").await.1, None);
    assert_eq!(server.call("HEAD", "k", "", &[], "").await.status, 404);
}

#[tokio::test]
async fn the_life_of_a_key() {
    let server = server().await;
    server.set_versioning("Enabled").await;
    let one = server.put_version("k", "one").await.expect("a version");
    let two = server.put_version("k", "two").await.expect("a version");
    assert_ne!(one, two);
    let current = server.call("GET", "k", "", &[], "").await;
    assert_eq!((current.text().as_str(), current.header(VERSION)), ("two", Some(two.as_str())));
    for (version, body) in [(&one, "one"), (&two, "two")] {
        let answer = get(&server, "k", version).await;
        assert_eq!((answer.text().as_str(), answer.header(VERSION)), (body, Some(&**version)));
        let head = server.call("HEAD", "k", &format!("versionId={version}"), &[], "").await;
        assert_eq!(head.header("content-length"), Some("3"));
        assert_eq!(head.header(VERSION), Some(version.as_str()));
    }

    // A delete marker hides the key, not its versions.
    let (marker, is_marker) = delete(&server, "k", "").await;
    let marker = marker.expect("a version");
    assert_eq!(is_marker.as_deref(), Some("true"));
    for (method, query, status, code) in [
        ("GET", String::new(), 404, "NoSuchKey"),
        ("HEAD", String::new(), 404, ""),
        ("GET", "tagging=".to_owned(), 404, "NoSuchKey"),
        ("GET", "attributes=".to_owned(), 404, "NoSuchKey"),
        ("GET", format!("attributes=&versionId={marker}"), 405, "MethodNotAllowed"),
        ("GET", format!("versionId={marker}"), 405, "MethodNotAllowed"),
        ("HEAD", format!("versionId={marker}"), 405, ""),
    ] {
        let attributes = [("x-amz-object-attributes", "ETag")];
        let answer = server.call(method, "k", &query, &attributes, "").await;
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{method} {query}");
        assert_eq!(answer.header(MARKER), Some("true"), "{method} {query}");
        assert_eq!(answer.header(VERSION), Some(marker.as_str()), "{method} {query}");
        let named = status == 405;
        assert_eq!(answer.header("allow"), named.then_some("DELETE"), "{method} {query}");
        assert_eq!(answer.header("last-modified").is_some(), named, "{method} {query}");
    }
    assert_eq!(get(&server, "k", &two).await.text(), "two");
    let listed = server.client.list_objects_v2().bucket(BUCKET).send().await.expect("listed");
    assert_eq!(listed.key_count(), Some(0));

    // Without the marker, and then without the current version, the one before is current.
    let undeleted = delete(&server, "k", &format!("versionId={marker}")).await;
    assert_eq!(undeleted, (Some(marker), Some("true".into())));
    assert_eq!(server.call("GET", "k", "", &[], "").await.text(), "two");
    let removed = delete(&server, "k", &format!("versionId={two}")).await;
    assert_eq!(removed, (Some(two.clone()), None));
    assert_eq!(server.call("GET", "k", "", &[], "").await.text(), "one");
    assert_eq!(get(&server, "k", &two).await.code(), "NoSuchVersion");
    let refused = server.client.delete_bucket().bucket(BUCKET).send().await;
    assert_eq!(crate::support::refused(refused), (409, "BucketNotEmpty".into()));
    delete(&server, "k", &format!("versionId={one}")).await;
    let gone = server.call("GET", "k", "", &[], "").await;
    assert_eq!((gone.status, gone.header(MARKER)), (404, None));
    server.client.delete_bucket().bucket(BUCKET).send().await.expect("it is empty");
}

#[tokio::test]
async fn null_versions() {
    let server = server().await;
    assert_eq!(server.put_version("k", "before").await, None);
    server.set_versioning("Enabled").await;
    let shown = async |version: &str| {
        let answer = get(&server, "k", version).await;
        (answer.text(), answer.header(VERSION).map(str::to_owned))
    };
    let null = |body: &str| (body.to_owned(), Some("null".to_owned()));
    assert_eq!(server.call("GET", "k", "", &[], "").await.header(VERSION), Some("null"));
    let two = server.put_version("k", "two").await.expect("a version");
    assert_eq!(shown("null").await, null("before"));

    // Suspended: writes make and replace the null version, and leave the others alone.
    server.set_versioning("Suspended").await;
    assert_eq!(server.put_version("k", "suspended").await, None, "AWS names none here");
    assert_eq!(shown("null").await, null("suspended"));
    assert_eq!(server.call("HEAD", "k", "", &[], "").await.header(VERSION), Some("null"));
    assert_eq!(shown(&two).await.0, "two");
    let marker = delete(&server, "k", "").await;
    assert_eq!(marker, (Some("null".into()), Some("true".into())));
    assert_eq!(get(&server, "k", "null").await.code(), "MethodNotAllowed");
    let listed = server.call("GET", "", "versions=", &[], "").await;
    assert_eq!(listed.texts("DeleteMarker").len(), 1);
    assert_eq!(listed.texts("VersionId"), ["null".to_owned(), two.clone()], "the null object went");
    let undeleted = delete(&server, "k", "versionId=null").await;
    assert_eq!(undeleted, (Some("null".into()), Some("true".into())));
    let current = server.call("GET", "k", "", &[], "").await;
    assert_eq!((current.text(), current.header(VERSION)), ("two".into(), Some(two.as_str())));
}

#[tokio::test]
async fn version_ids_that_name_nothing() {
    let server = server().await;
    server.set_versioning("Enabled").await;
    server.put_version("k", "x").await.expect("a version");
    let upper = UNKNOWN.replace('0', "A");
    let document = "<Tagging><TagSet/></Tagging>";
    for (method, query, body) in [
        ("GET", "", ""),
        ("HEAD", "", ""),
        ("DELETE", "", ""),
        ("GET", "tagging=&", ""),
        ("PUT", "tagging=&", document),
        ("DELETE", "tagging=&", ""),
    ] {
        let deletes = (method, query) == ("DELETE", "");
        for (version, status, code) in [
            ("", 400, "InvalidArgument"),
            ("abc", 400, "InvalidArgument"),
            (upper.as_str(), 400, "InvalidArgument"),
            (UNKNOWN, if deletes { 204 } else { 404 }, if deletes { "" } else { "NoSuchVersion" }),
        ] {
            let query = format!("{query}versionId={version}");
            let answer = server.call(method, "k", &query, &[], body).await;
            assert_eq!(answer.status, status, "{method} {query}: {}", answer.text());
            if method != "HEAD" {
                assert_eq!(answer.code(), code, "{method} {query}");
            }
            if status == 204 {
                assert_eq!(answer.header(VERSION), Some(version));
            }
        }
    }
    let attributes = [("x-amz-object-attributes", "ETag")];
    let query = format!("attributes=&versionId={UNKNOWN}");
    let answer = server.call("GET", "k", &query, &attributes, "").await;
    assert_eq!((answer.status, answer.code()), (404, "NoSuchVersion".into()));
    for (query, headers) in [
        ("versionId=null", vec![]),
        ("partNumber=1&uploadId=1&versionId=null", vec![]),
        ("versionId=null", vec![("x-amz-copy-source", "bucket/k")]),
    ] {
        let answer = server.call("PUT", "k", query, &headers, "x").await;
        assert_eq!((answer.status, answer.code()), (400, "InvalidArgument".into()), "{query}");
        assert!(answer.text().contains("does not accept a version-id"), "{}", answer.text());
    }
}

#[tokio::test]
async fn delete_lists_name_versions_and_markers() {
    let server = server().await;
    server.set_versioning("Enabled").await;
    let one = server.put_version("a", "1").await.expect("a version");
    let two = server.put_version("b", "2").await.expect("a version");
    let object = |key: &str, version: Option<&str>| {
        let version = version.map(|id| format!("<VersionId>{id}</VersionId>")).unwrap_or_default();
        format!("<Object><Key>{key}</Key>{version}</Object>")
    };
    let send = async |objects: &[String]| {
        let body = format!("<Delete>{}</Delete>", objects.concat());
        let answer = server.call("POST", "", "delete=", &[], &body).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer
    };
    // A marker, made once although listed twice; a version; one that is not there; nonsense.
    let list = [
        object("a", None),
        object("a", None),
        object("b", Some(&two)),
        object("b", Some(UNKNOWN)),
        object("c", Some("nonsense")),
    ];
    let answer = send(&list).await;
    let lines = answer.texts("Deleted");
    assert_eq!(lines.len(), 3, "{lines:?}");
    let marker = answer.texts("DeleteMarkerVersionId");
    assert_eq!(marker.len(), 1);
    let marker = marker[0].as_str();
    assert!(lines[0].contains("<Key>a</Key>"), "{lines:?}");
    assert!(lines[0].contains("<DeleteMarker>true</DeleteMarker>"), "{lines:?}");
    assert!(!lines[0].contains("<VersionId>"), "{lines:?}");
    for (line, version) in [(&lines[1], two.as_str()), (&lines[2], UNKNOWN)] {
        assert!(line.contains(&format!("<VersionId>{version}</VersionId>")), "{line}");
        assert!(!line.contains("Marker"), "{line}");
    }
    assert_eq!(answer.texts("Code"), ["InvalidArgument"]);
    assert!(answer.texts("Error")[0].contains("<VersionId>nonsense</VersionId>"));
    let hidden = server.call("GET", "a", "", &[], "").await;
    assert_eq!(hidden.header(VERSION), Some(marker));

    // The marker by its name: the object is there again.
    let lines = send(&[object("a", Some(marker))]).await.texts("Deleted");
    for name in ["VersionId", "DeleteMarkerVersionId"] {
        assert!(lines[0].contains(&format!("<{name}>{marker}</{name}>")), "{lines:?}");
    }
    assert_eq!(server.call("GET", "a", "", &[], "").await.header(VERSION), Some(one.as_str()));
    let quiet = "<Delete><Quiet>true</Quiet><Object><Key>a</Key></Object></Delete>";
    let answer = server.call("POST", "", "delete=", &[], quiet).await;
    assert_eq!((answer.status, answer.texts("Deleted").len()), (200, 0));
    assert_eq!(server.call("GET", "a", "", &[], "").await.status, 404);
}

/// Key, version, latest and marker of every line, over all pages.
async fn listing(
    server: &Server,
    query: &str,
    pages_max: usize,
) -> (Vec<[String; 4]>, Vec<String>) {
    let (mut lines, mut prefixes) = (Vec::new(), Vec::new());
    let mut markers = String::new();
    for _ in 0..pages_max {
        let mut pairs: Vec<String> = query.split('&').map(str::to_owned).collect();
        pairs.extend(markers.split('&').filter(|pair| !pair.is_empty()).map(str::to_owned));
        pairs.push("versions=".to_owned());
        pairs.sort();
        let answer = server.call("GET", "", &pairs.join("&"), &[], "").await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        // Both kinds, in the order in which they come.
        let text = answer.text().replace("DeleteMarker>", "Version>");
        for line in text.split("<Version>").skip(1) {
            let line = line.split_once("</Version>").map(|(line, _)| line).expect("its end");
            let field = |name: &str| {
                let (open, close) = (format!("<{name}>"), format!("</{name}>"));
                let rest = line.split_once(&open).map(|(_, rest)| rest).expect("the field");
                rest.split_once(&close).map(|(text, _)| text.to_owned()).expect("its end")
            };
            let [key, version, latest] = ["Key", "VersionId", "IsLatest"].map(field);
            let what = if line.contains("<ETag>") { "object" } else { "marker" };
            lines.push([key, version, latest, what.to_owned()]);
        }
        for prefix in answer.texts("CommonPrefixes") {
            prefixes.push(prefix.replace("<Prefix>", "").replace("</Prefix>", ""));
        }
        if answer.texts("IsTruncated") == ["false"] {
            return (lines, prefixes);
        }
        let key = answer.texts("NextKeyMarker").concat();
        markers = format!("key-marker={}", raw::percent(&key));
        if let Some(version) = answer.texts("NextVersionIdMarker").first() {
            markers.push_str(&format!("&version-id-marker={version}"));
        }
    }
    panic!("it never ends: {lines:?}");
}

#[tokio::test]
async fn versions_are_listed_in_pages() {
    let server = server().await;
    server.put("a", b"null").await;
    server.put("dir/y", b"null").await;
    server.set_versioning("Enabled").await;
    let mut expected = Vec::new();
    let line = |key: &str, version: &str, latest: bool, what: &str| {
        [key.to_owned(), version.to_owned(), latest.to_string(), what.to_owned()]
    };
    let a2 = server.put_version("a", "2").await.expect("a version");
    let a3 = server.put_version("a", "3").await.expect("a version");
    let (a4, _) = delete(&server, "a", "").await;
    expected.push(line("a", &a4.expect("a marker"), true, "marker"));
    expected.push(line("a", &a3, false, "object"));
    expected.push(line("a", &a2, false, "object"));
    expected.push(line("a", "null", false, "object"));
    let b = server.put_version("b", "1").await.expect("a version");
    expected.push(line("b", &b, true, "object"));
    let x = server.put_version("dir/x", "1").await.expect("a version");
    expected.push(line("dir/x", &x, true, "object"));
    expected.push(line("dir/y", "null", true, "object"));

    for size in [1, 2, 3, 1000] {
        let (lines, _) = listing(&server, &format!("max-keys={size}"), 10).await;
        assert_eq!(lines, expected, "pages of {size}");
        let query = format!("delimiter=%2F&max-keys={size}");
        let (lines, prefixes) = listing(&server, &query, 10).await;
        assert_eq!((lines.as_slice(), prefixes.as_slice()), (&expected[..5], &["dir/".into()][..]));
        let (lines, _) = listing(&server, &format!("max-keys={size}&prefix=dir%2F"), 10).await;
        assert_eq!(lines, expected[5..]);
    }
    // A null version may be named by its name too.
    let query = "key-marker=a&version-id-marker=null&versions=";
    let answer = server.call("GET", "", query, &[], "").await;
    assert_eq!(answer.texts("Key"), ["b", "dir/x", "dir/y"]);
    let empty = server.call("GET", "", "max-keys=0&versions=", &[], "").await;
    assert_eq!((empty.texts("Key").len(), empty.texts("IsTruncated")), (0, vec!["false".into()]));
    let encoded =
        server.call("GET", "", "encoding-type=url&prefix=dir%2F&versions=", &[], "").await;
    assert_eq!(encoded.texts("EncodingType"), ["url"]);
    for query in [
        "version-id-marker=null&versions=",
        "key-marker=a&version-id-marker=&versions=",
        "key-marker=a&version-id-marker=abc&versions=",
        "encoding-type=x&versions=",
        "max-keys=-1&versions=",
    ] {
        let answer = server.call("GET", "", query, &[], "").await;
        assert_eq!((answer.status, answer.code()), (400, "InvalidArgument".into()), "{query}");
    }
}

#[tokio::test]
async fn copies_of_versions() {
    let server = server().await;
    server.set_versioning("Enabled").await;
    let one = server.put_version("k", "one").await.expect("a version");
    let two = server.put_version("k", "two").await.expect("a version");
    let copy = async |source: &str, to: &str| {
        let source = [("x-amz-copy-source", source)];
        server.call("PUT", to, "", &source, "").await
    };
    for (source, from, body) in
        [("bucket/k".to_owned(), &two, "two"), (format!("bucket/k?versionId={one}"), &one, "one")]
    {
        let answer = copy(&source, "copy").await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.header("x-amz-copy-source-version-id"), Some(from.as_str()));
        let made = answer.header(VERSION).expect("a version").to_owned();
        let found = server.call("GET", "copy", "", &[], "").await;
        assert_eq!((found.text().as_str(), found.header(VERSION)), (body, Some(made.as_str())));
    }
    assert_eq!(copy("bucket/k", "k").await.code(), "InvalidRequest", "onto itself");
    let back = copy(&format!("bucket/k?versionId={one}"), "k").await;
    assert_eq!(back.status, 200, "an old version is brought back by copying it onto its key");
    assert_eq!(server.call("GET", "k", "", &[], "").await.text(), "one");

    let (marker, _) = delete(&server, "k", "").await;
    let marker = marker.expect("a version");
    let upload = server.client.create_multipart_upload().bucket(BUCKET).key("parts");
    let upload = upload.send().await.expect("created").upload_id().expect("an id").to_owned();
    for (source, status, code, hidden) in [
        ("bucket/k".to_owned(), 404, "NoSuchKey", Some("true")),
        (format!("bucket/k?versionId={marker}"), 400, "InvalidRequest", None),
        (format!("bucket/k?versionId={UNKNOWN}"), 404, "NoSuchVersion", None),
        ("bucket/k?versionId=abc".to_owned(), 400, "InvalidArgument", None),
        ("bucket/k?versionId=".to_owned(), 400, "InvalidArgument", None),
    ] {
        let part = format!("partNumber=1&uploadId={upload}");
        for query in ["", part.as_str()] {
            let source = [("x-amz-copy-source", source.as_str())];
            let answer = server.call("PUT", "parts", query, &source, "").await;
            assert_eq!((answer.status, answer.code().as_str()), (status, code), "{source:?}");
            assert_eq!(answer.header(MARKER), hidden, "{source:?}");
        }
    }
    let source = format!("bucket/k?versionId={two}");
    let source = [("x-amz-copy-source", source.as_str())];
    let query = format!("partNumber=1&uploadId={upload}");
    let part = server.call("PUT", "parts", &query, &source, "").await;
    assert_eq!(part.header("x-amz-copy-source-version-id"), Some(two.as_str()));
    let etag = part.texts("ETag").concat();
    let body = format!(
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part>\
         </CompleteMultipartUpload>"
    );
    let done = server.call("POST", "parts", &format!("uploadId={upload}"), &[], &body).await;
    let version = done.header(VERSION).expect("a version").to_owned();
    let found = server.call("GET", "parts", "", &[], "").await;
    assert_eq!((found.text().as_str(), found.header(VERSION)), ("two", Some(version.as_str())));
}

/// What the official client reads out of our answers.
#[tokio::test]
async fn the_official_client() {
    use aws_sdk_s3::types::{BucketVersioningStatus, Tag, Tagging, VersioningConfiguration};
    let server = server().await;
    let client = &server.client;
    let enabled = BucketVersioningStatus::Enabled;
    let configuration = VersioningConfiguration::builder().status(enabled.clone()).build();
    let put = client.put_bucket_versioning().bucket(BUCKET);
    put.versioning_configuration(configuration).send().await.expect("enabled");
    let found = client.get_bucket_versioning().bucket(BUCKET).send().await.expect("there");
    assert_eq!(found.status(), Some(&enabled));
    let put = client.put_object().bucket(BUCKET).key("k").tagging("a=1").body(vec![1].into());
    let version = put.send().await.expect("stored").version_id().expect("an id").to_owned();
    let tag = Tag::builder().key("b").value("2").build().expect("a tag");
    let tagging = Tagging::builder().tag_set(tag.clone()).build().expect("a set");
    let put = client.put_object_tagging().bucket(BUCKET).key("k").tagging(tagging);
    let put = put.version_id(&version).send().await.expect("tagged");
    assert_eq!(put.version_id(), Some(version.as_str()));
    let got = client.get_object_tagging().bucket(BUCKET).key("k").send().await.expect("there");
    assert_eq!((got.tag_set(), got.version_id()), (&[tag][..], Some(version.as_str())));
    let deleted = client.delete_object().bucket(BUCKET).key("k").send().await.expect("deleted");
    assert_eq!(deleted.delete_marker(), Some(true));
    let marker = deleted.version_id().expect("an id");
    let listed = client.list_object_versions().bucket(BUCKET).send().await.expect("listed");
    let shown = &listed.versions()[0];
    assert_eq!((shown.version_id(), shown.is_latest()), (Some(version.as_str()), Some(false)));
    assert_eq!((shown.size(), shown.e_tag().map(str::len)), (Some(1), Some(34)));
    let hidden = &listed.delete_markers()[0];
    assert_eq!((hidden.version_id(), hidden.is_latest()), (Some(marker), Some(true)));
    assert!(hidden.last_modified().is_some() && hidden.owner().is_some());
    let get = client.get_object().bucket(BUCKET).key("k").version_id(&version);
    let get = get.send().await.expect("there");
    assert_eq!((get.version_id(), get.tag_count()), (Some(version.as_str()), Some(1)));
}
