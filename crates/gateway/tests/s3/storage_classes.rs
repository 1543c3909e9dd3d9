//! Storage classes over HTTP: named, shown, refused; archives and their restores; renaming; the
//! tags of a new bucket.

use std::time::Duration;

use gateway::Settings;
use s3::RestoreTiers;

use crate::{
    raw,
    support::{BUCKET, Server, server, server_of},
};

const CLASS: &str = "x-amz-storage-class";
const COPY: &str = "x-amz-copy-source";

const RESTORE: &str = "<RestoreRequest><Days>2</Days></RestoreRequest>";

async fn put(server: &Server, key: &str, class: &str) {
    let answer = server.call("PUT", key, "", &[(CLASS, class)], "bytes").await;
    assert_eq!(answer.status, 200, "{class}: {}", answer.text());
}

/// A server whose restores are done at once.
async fn quick() -> Server {
    let restore_tiers = RestoreTiers { standard: Duration::ZERO, ..RestoreTiers::default() };
    let settings = s3::Settings { restore_tiers, ..s3::Settings::default() };
    server_of(settings, Settings::default(), None).await
}

#[tokio::test]
async fn a_class_is_shown_wherever_an_object_is() {
    let server = server().await;
    put(&server, "cold", "GLACIER_IR").await;
    put(&server, "plain", "STANDARD").await;
    for method in ["GET", "HEAD"] {
        let cold = server.call(method, "cold", "", &[], "").await;
        assert_eq!((cold.status, cold.header(CLASS)), (200, Some("GLACIER_IR")), "{method}");
        let plain = server.call(method, "plain", "", &[], "").await;
        assert_eq!((plain.status, plain.header(CLASS)), (200, None), "{method}");
    }
    for query in ["", "list-type=2", "versions="] {
        let listed = server.call("GET", "", query, &[], "").await;
        assert_eq!(listed.texts("StorageClass"), ["GLACIER_IR", "STANDARD"], "{query}");
    }
    let asked = [("x-amz-object-attributes", "StorageClass")];
    let shown = server.call("GET", "cold", "attributes=", &asked, "").await;
    assert_eq!(shown.texts("StorageClass"), ["GLACIER_IR"]);
    let begun = server.call("POST", "m", "uploads=", &[(CLASS, "STANDARD_IA")], "").await;
    let upload = begun.texts("UploadId")[0].clone();
    let uploads = server.call("GET", "", "uploads=", &[], "").await;
    assert_eq!(uploads.texts("StorageClass"), ["STANDARD_IA"]);
    let parts = server.call("GET", "m", &format!("uploadId={upload}"), &[], "").await;
    assert_eq!(parts.texts("StorageClass"), ["STANDARD_IA"]);
}

#[tokio::test]
async fn classes_that_are_not_here_are_refused_and_nothing_is_kept() {
    let server = server().await;
    for class in ["OUTPOSTS", "SNOW", "EXPRESS_ONEZONE", "FSX_OPENZFS", "glacier"] {
        for (method, query) in [("PUT", ""), ("POST", "uploads=")] {
            let answer = server.call(method, "k", query, &[(CLASS, class)], "").await;
            assert_eq!((answer.status, answer.code()), (400, "InvalidStorageClass".into()));
            assert_eq!(answer.texts("StorageClassRequested"), [class]);
            assert_eq!(answer.header("x-shardlake-error-elements"), None);
        }
    }
    assert_eq!(server.call("HEAD", "k", "", &[], "").await.status, 404);
}

#[tokio::test]
async fn copies_are_standard_unless_they_say_otherwise() {
    let server = server().await;
    put(&server, "k", "STANDARD_IA").await;
    let source = format!("{BUCKET}/k");
    let class = async |key: &str| {
        server.call("HEAD", key, "", &[], "").await.header(CLASS).map(str::to_owned)
    };
    assert_eq!(server.call("PUT", "copy", "", &[(COPY, &source)], "").await.status, 200);
    assert_eq!(class("copy").await, None);
    let onto_itself = [(COPY, source.as_str()), (CLASS, "ONEZONE_IA")];
    assert_eq!(server.call("PUT", "k", "", &onto_itself, "").await.status, 200);
    assert_eq!(class("k").await.as_deref(), Some("ONEZONE_IA"));
    let bad = [(COPY, source.as_str()), (CLASS, "SNOW")];
    assert_eq!(server.call("PUT", "k", "", &bad, "").await.code(), "InvalidStorageClass");
}

#[tokio::test]
async fn archives_are_read_only_while_they_are_restored() {
    let server = quick().await;
    put(&server, "k", "GLACIER").await;
    let source = format!("{BUCKET}/k");
    let read = server.call("GET", "k", "", &[], "").await;
    assert_eq!((read.status, read.code()), (403, "InvalidObjectState".into()));
    assert_eq!(read.texts("StorageClass"), ["GLACIER"]);
    let copied = server.call("PUT", "copy", "", &[(COPY, &source)], "").await;
    assert_eq!((copied.status, copied.code()), (403, "InvalidObjectState".into()));
    let begun = server.call("POST", "m", "uploads=", &[], "").await;
    let part = format!("partNumber=1&uploadId={}", begun.texts("UploadId")[0]);
    let copied = server.call("PUT", "m", &part, &[(COPY, &source)], "").await;
    assert_eq!((copied.status, copied.code()), (403, "InvalidObjectState".into()));
    let head = server.call("HEAD", "k", "", &[], "").await;
    assert_eq!((head.status, head.header("x-amz-restore")), (200, None));

    let restored = server.call("POST", "k", "restore=", &[], RESTORE).await;
    assert_eq!(restored.status, 202, "{}", restored.text());
    let read = server.call("GET", "k", "", &[], "").await;
    assert_eq!((read.status, read.text()), (200, "bytes".to_owned()));
    let until = read.header("x-amz-restore").expect("a restore").to_owned();
    let date = until.strip_prefix("ongoing-request=\"false\", expiry-date=\"").expect("done");
    assert!(date.ends_with(" 00:00:00 GMT\""), "{date}");
    assert_eq!(read.header(CLASS), Some("GLACIER"), "it stays archived");
    let optional = [("x-amz-optional-object-attributes", "RestoreStatus")];
    for query in ["", "list-type=2", "versions="] {
        let listed = server.call("GET", "", query, &optional, "").await;
        assert_eq!(listed.texts("IsRestoreInProgress"), ["false"], "{query}");
        assert_eq!(listed.texts("RestoreExpiryDate").len(), 1, "{query}");
        let listed = server.call("GET", "", query, &[], "").await;
        assert!(listed.texts("RestoreStatus").is_empty(), "{query}: it was not asked for");
    }
    assert_eq!(server.call("PUT", "copy", "", &[(COPY, &source)], "").await.status, 200);

    let longer = RESTORE.replace('2', "9");
    assert_eq!(server.call("POST", "k", "restore=", &[], &longer).await.status, 200);
    let moved = server.call("HEAD", "k", "", &[], "").await;
    assert_ne!(moved.header("x-amz-restore"), Some(until.as_str()), "its end was moved");
}

#[tokio::test]
async fn what_a_restore_may_be() {
    let server = server().await;
    for class in ["STANDARD", "GLACIER_IR", "GLACIER", "DEEP_ARCHIVE"] {
        put(&server, class, class).await;
    }
    let tier = |tier: &str| {
        format!(
            "<RestoreRequest><Days>1</Days><GlacierJobParameters><Tier>{tier}</Tier>\
             </GlacierJobParameters></RestoreRequest>"
        )
    };
    let select = "<RestoreRequest><Type>SELECT</Type></RestoreRequest>".to_owned();
    let misspelt = "<RestoreRequest><Day>1</Day></RestoreRequest>".to_owned();
    for (key, body, status, code) in [
        ("STANDARD", RESTORE.to_owned(), 403, "InvalidObjectState"),
        ("GLACIER_IR", RESTORE.to_owned(), 403, "InvalidObjectState"),
        ("DEEP_ARCHIVE", tier("Expedited"), 400, "InvalidArgument"),
        ("GLACIER", tier("Fast"), 400, "MalformedXML"),
        ("GLACIER", String::new(), 400, "MalformedXML"),
        ("GLACIER", misspelt, 400, "MalformedXML"),
        ("GLACIER", RESTORE.replace('2', "0"), 400, "InvalidArgument"),
        ("GLACIER", select, 501, "NotImplemented"),
        ("nothing", RESTORE.to_owned(), 404, "NoSuchKey"),
        ("GLACIER", tier("Bulk"), 202, ""),
        ("GLACIER", tier("Bulk"), 409, "RestoreAlreadyInProgress"),
        // A faster one takes its place.
        ("GLACIER", tier("Expedited"), 202, ""),
        ("DEEP_ARCHIVE", tier("Standard"), 202, ""),
    ] {
        let answer = server.call("POST", key, "restore=", &[], &body).await;
        let found = (answer.status, if status == 202 { String::new() } else { answer.code() });
        assert_eq!(found, (status, code.to_owned()), "{key} {body}: {}", answer.text());
    }
    let head = server.call("HEAD", "GLACIER", "", &[], "").await;
    assert_eq!(head.header("x-amz-restore"), Some("ongoing-request=\"true\""));
    assert_eq!(server.call("GET", "GLACIER", "", &[], "").await.status, 403);
}

#[tokio::test]
async fn rules_with_transitions_are_kept_as_they_are() {
    let server = server().await;
    let rules = |days: u32| {
        format!(
            "<LifecycleConfiguration><Rule><ID>r</ID><Filter/><Status>Enabled</Status>\
             <Transition><Days>{days}</Days><StorageClass>STANDARD_IA</StorageClass></Transition>\
             <Transition><Days>90</Days><StorageClass>GLACIER</StorageClass></Transition>\
             <NoncurrentVersionTransition><NoncurrentDays>0</NoncurrentDays>\
             <NewerNoncurrentVersions>3</NewerNoncurrentVersions>\
             <StorageClass>DEEP_ARCHIVE</StorageClass></NoncurrentVersionTransition>\
             </Rule></LifecycleConfiguration>"
        )
    };
    const MINIMUM: &str = "x-amz-transition-default-minimum-object-size";
    for minimum in ["varies_by_storage_class", "all_storage_classes_128K"] {
        let done = server.call("PUT", "", "lifecycle=", &[(MINIMUM, minimum)], &rules(30)).await;
        assert_eq!((done.status, done.header(MINIMUM)), (200, Some(minimum)));
        let shown = server.call("GET", "", "lifecycle=", &[], "").await;
        assert_eq!(shown.header(MINIMUM), Some(minimum));
        assert_eq!(shown.texts("Days"), ["30", "90"]);
        assert_eq!(shown.texts("NoncurrentDays"), ["0"]);
        assert_eq!(shown.texts("NewerNoncurrentVersions"), ["3"]);
    }
    let early = server.call("PUT", "", "lifecycle=", &[], &rules(29)).await;
    assert_eq!((early.status, early.code()), (400, "InvalidArgument".into()));
    let bad = server.call("PUT", "", "lifecycle=", &[(MINIMUM, "none")], &rules(30)).await;
    assert_eq!((bad.status, bad.code()), (400, "InvalidArgument".into()));
}

#[tokio::test]
async fn objects_are_renamed() {
    const SOURCE: &str = "x-amz-rename-source";
    let server = server().await;
    server.put("a b", b"one").await;
    server.put("taken", b"two").await;
    let etag = server.call("HEAD", "a b".replace(' ', "%20").as_str(), "", &[], "").await;
    let etag = etag.header("etag").expect("a tag").to_owned();
    let source = format!("/{BUCKET}/a%20b");
    let rename = async |to: &str, headers: &[(&str, &str)]| {
        let answer = server.call("PUT", to, "renameObject=", headers, "").await;
        (answer.status, if answer.status == 200 { String::new() } else { answer.code() })
    };
    let from = (SOURCE, source.as_str());
    for (headers, status, code) in [
        (&[(SOURCE, "/other/a")][..], 400, "InvalidRequest"),
        (&[(SOURCE, "nothing")], 400, "InvalidArgument"),
        (&[(SOURCE, "bucket/nothing")], 404, "NoSuchKey"),
        (&[from, ("if-none-match", "*")], 412, "PreconditionFailed"),
        (&[from, ("if-match", "\"x\"")], 412, "PreconditionFailed"),
        (&[from, ("x-amz-rename-source-if-match", "\"x\"")], 412, "PreconditionFailed"),
        (&[from, ("x-amz-rename-source-if-none-match", &etag)], 412, "PreconditionFailed"),
    ] {
        assert_eq!(rename("taken", headers).await, (status, code.to_owned()), "{headers:?}");
    }
    assert_eq!(server.get("taken").await, b"two", "nothing was done");
    let named =
        [from, ("x-amz-rename-source-if-match", etag.as_str()), ("x-amz-client-token", "t")];
    assert_eq!(rename("taken", &named).await.0, 200);
    assert_eq!(server.get("taken").await, b"one");
    let gone = server.call("HEAD", "a%20b", "", &[], "").await;
    assert_eq!(gone.status, 404);
    // The answer was lost and the client asks again.
    assert_eq!(rename("taken", &named).await.0, 200);
    assert_eq!(rename("other", &named).await.1, "IdempotencyParameterMismatch");

    server.set_versioning("Enabled").await;
    let source = format!("{BUCKET}/taken");
    assert_eq!(rename("x", &[(SOURCE, &source)]).await, (501, "NotImplemented".to_owned()));
}

#[tokio::test]
async fn a_bucket_is_made_with_its_tags() {
    let server = server().await;
    let create = async |path: &str, tag: &str| {
        let body = format!(
            "<CreateBucketConfiguration><Tags><Tag><Key>{tag}</Key><Value>v</Value></Tag></Tags>\
             </CreateBucketConfiguration>"
        );
        raw::call(server.address, "PUT", path, "", &[], body.as_bytes()).await
    };
    assert_eq!(create("/tagged", "k").await.status, 200);
    let tags = raw::call(server.address, "GET", "/tagged", "tagging=", &[], b"").await;
    assert_eq!((tags.texts("Key"), tags.texts("Value")), (vec!["k".into()], vec!["v".into()]));
    assert_eq!(create("/bad", "aws:k").await.code(), "InvalidTag");
    let nothing = raw::call(server.address, "HEAD", "/bad", "", &[], b"").await;
    assert_eq!(nothing.status, 404);
}

#[tokio::test]
async fn refusals_of_methods_say_what_was_asked_for() {
    let server = server().await;
    server.set_versioning("Enabled").await;
    let marker = server.call("DELETE", "k", "", &[], "").await;
    let version = marker.header("x-amz-version-id").expect("a marker").to_owned();
    let query = format!("versionId={version}");
    let refused = server.call("GET", "k", &query, &[], "").await;
    assert_eq!((refused.status, refused.code()), (405, "MethodNotAllowed".into()));
    assert_eq!(refused.texts("Method"), ["GET"]);
    assert_eq!(refused.texts("ResourceType"), ["DeleteMarker"]);
    let ask = format!(
        "OPTIONS /{BUCKET}/k HTTP/1.1\r\nhost: x\r\nconnection: close\r\norigin: http://a\r\n\
         access-control-request-method: PUT\r\n\r\n"
    );
    let refused = raw::send(server.address, ask.as_bytes(), false).await;
    assert_eq!((refused.status, refused.code()), (403, "AccessForbidden".into()));
    assert_eq!(refused.texts("Method"), ["PUT"]);
    assert_eq!(refused.texts("ResourceType"), ["OBJECT"]);
}
