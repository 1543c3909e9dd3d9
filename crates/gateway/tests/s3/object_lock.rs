//! Object lock: who may delete and change what, and how requests say so. The cluster's clock
//! stands at 2027-01-15T08:00:00Z until a test moves it.

use crate::{
    raw,
    support::{Server, server},
};

const BUCKET: &str = "locked";
const HOUR_MS: u64 = 3600 * 1000;

const MODE: &str = "x-amz-object-lock-mode";
const UNTIL: &str = "x-amz-object-lock-retain-until-date";
const HOLD: &str = "x-amz-object-lock-legal-hold";
const BYPASS: (&str, &str) = ("x-amz-bypass-governance-retention", "true");

/// A request for a key of the bucket with object lock.
async fn call(
    server: &Server,
    method: &str,
    key: &str,
    query: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> raw::Answer {
    let path = if key.is_empty() { format!("/{BUCKET}") } else { format!("/{BUCKET}/{key}") };
    raw::call(server.address, method, &path, query, headers, body.as_bytes()).await
}

async fn locked() -> Server {
    let server = server().await;
    let headers = [("x-amz-bucket-object-lock-enabled", "true")];
    let made = call(&server, "PUT", "", "", &headers, "").await;
    assert_eq!(made.status, 200, "{}", made.text());
    server
}

/// Puts an object; its version.
async fn put(server: &Server, key: &str, headers: &[(&str, &str)]) -> String {
    let answer = call(server, "PUT", key, "", headers, "x").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.header("x-amz-version-id").expect("lock comes with versions").to_owned()
}

fn retention(mode: &str, until: &str) -> String {
    let date = format!("2027-01-15T{until}:00Z");
    format!("<Retention><Mode>{mode}</Mode><RetainUntilDate>{date}</RetainUntilDate></Retention>")
}

#[tokio::test]
async fn the_configuration_of_a_bucket() {
    let server = locked().await;
    let get = async || call(&server, "GET", "", "object-lock=", &[], "").await;
    assert_eq!(get().await.texts("ObjectLockEnabled"), ["Enabled"]);
    assert!(get().await.texts("Rule").is_empty());
    let versioning = call(&server, "GET", "", "versioning=", &[], "").await;
    assert_eq!(versioning.texts("Status"), ["Enabled"]);
    let rule = |inner: &str| {
        format!(
            "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule>\
             <DefaultRetention>{inner}</DefaultRetention></Rule></ObjectLockConfiguration>"
        )
    };
    let kept = "<Mode>GOVERNANCE</Mode><Days>2</Days>";
    for (inner, status, code) in [
        (kept, 200, ""),
        ("<Mode>GOVERNANCE</Mode>", 400, "MalformedXML"),
        ("<Days>1</Days>", 400, "MalformedXML"),
        ("<Mode>GOVERNANCE</Mode><Days>1</Days><Years>1</Years>", 400, "MalformedXML"),
        ("<Mode>governance</Mode><Days>1</Days>", 400, "MalformedXML"),
        ("<Mode>GOVERNANCE</Mode><Days>0</Days>", 400, "InvalidArgument"),
        ("<Mode>GOVERNANCE</Mode><Years>101</Years>", 400, "InvalidArgument"),
    ] {
        let answer = call(&server, "PUT", "", "object-lock=", &[], &rule(inner)).await;
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{inner}");
        let found = get().await.texts("DefaultRetention").concat();
        assert!(found.contains("GOVERNANCE") && found.contains("<Days>2</Days>"), "{found}");
    }
    let suspend = "<VersioningConfiguration><Status>Suspended</Status></VersioningConfiguration>";
    let answer = call(&server, "PUT", "", "versioning=", &[], suspend).await;
    assert_eq!((answer.status, answer.code()), (409, "InvalidBucketState".into()));

    // A bucket without object lock gets it once it is versioned.
    let plain = server.call("GET", "", "object-lock=", &[], "").await;
    let absent = (404, "ObjectLockConfigurationNotFoundError".to_owned());
    assert_eq!((plain.status, plain.code()), absent);
    let refused = server.call("PUT", "", "object-lock=", &[], &rule(kept)).await;
    assert_eq!((refused.status, refused.code()), (409, "InvalidBucketState".into()));
    server.set_versioning("Enabled").await;
    assert_eq!(server.call("PUT", "", "object-lock=", &[], &rule(kept)).await.status, 200);
    let off = "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled>\
               </ObjectLockConfiguration>";
    assert_eq!(server.call("PUT", "", "object-lock=", &[], off).await.status, 200);
    assert!(server.call("GET", "", "object-lock=", &[], "").await.texts("Rule").is_empty());
    let wrong = [("content-md5", "AAAAAAAAAAAAAAAAAAAAAA==")];
    let wrong = server.call("PUT", "", "object-lock=", &wrong, off).await;
    assert_eq!((wrong.status, wrong.code()), (400, "BadDigest".into()));
}

#[tokio::test]
async fn buckets_without_lock_take_none() {
    let server = server().await;
    server.set_versioning("Enabled").await;
    server.put("k", b"x").await;
    let date = "2027-01-15T09:00:00Z";
    let hold = "<LegalHold><Status>ON</Status></LegalHold>";
    let retention = retention("GOVERNANCE", "09:00");
    for (method, query, headers, body) in [
        ("PUT", "", vec![(HOLD, "ON")], ""),
        ("PUT", "", vec![(HOLD, "OFF")], ""),
        ("PUT", "", vec![(MODE, "GOVERNANCE"), (UNTIL, date)], ""),
        ("PUT", "", vec![(HOLD, "ON"), ("x-amz-copy-source", "bucket/k")], ""),
        ("POST", "uploads=", vec![(HOLD, "ON")], ""),
        ("PUT", "retention=", vec![], retention.as_str()),
        ("PUT", "legal-hold=", vec![], hold),
        ("GET", "retention=", vec![], ""),
        ("GET", "legal-hold=", vec![], ""),
    ] {
        let answer = server.call(method, "new", query, &headers, body).await;
        assert_eq!((answer.status, answer.code()), (400, "InvalidRequest".into()), "{query}");
        assert!(answer.text().contains("Bucket is missing Object Lock Configuration"), "{query}");
    }
    assert_eq!(server.call("HEAD", "new", "", &[], "").await.status, 404);
    for value in ["true", "false"] {
        let bypass = [(BYPASS.0, value)];
        let answer = server.call("DELETE", "k", "", &bypass, "").await;
        assert_eq!((answer.status, answer.code()), (400, "InvalidArgument".into()), "{value}");
    }
    assert_eq!(server.get("k").await, b"x");
}

#[tokio::test]
async fn locks_in_requests_and_answers() {
    let server = locked().await;
    for (key, sent) in [
        ("none", vec![]),
        ("hold", vec![(HOLD, "ON")]),
        ("off", vec![(HOLD, "OFF")]),
        ("governed", vec![(MODE, "GOVERNANCE"), (UNTIL, "2027-01-15T09:00:00.123Z")]),
        ("both", vec![(MODE, "COMPLIANCE"), (UNTIL, "2027-01-15T09:00:00.000Z"), (HOLD, "ON")]),
    ] {
        put(&server, key, &sent).await;
        let value = |name| sent.iter().find(|(sent, _)| *sent == name).map(|(_, value)| *value);
        for method in ["GET", "HEAD"] {
            let answer = call(&server, method, key, "", &[], "").await;
            for name in [MODE, UNTIL, HOLD] {
                assert_eq!(answer.header(name), value(name), "{method} {key} {name}");
            }
        }
        for (query, expected, element) in [
            ("retention=", value(MODE), "Mode"),
            ("retention=", value(UNTIL), "RetainUntilDate"),
            ("legal-hold=", value(HOLD), "Status"),
        ] {
            let answer = call(&server, "GET", key, query, &[], "").await;
            match expected {
                Some(expected) => assert_eq!(answer.texts(element), [expected], "{key} {query}"),
                None => {
                    let found = (answer.status, answer.code());
                    assert_eq!(found, (404, "NoSuchObjectLockConfiguration".into()), "{key}");
                }
            }
        }
    }
    for headers in [
        vec![(MODE, "GOVERNANCE")],
        vec![(UNTIL, "2027-01-15T09:00:00Z")],
        vec![(MODE, "WORM"), (UNTIL, "2027-01-15T09:00:00Z")],
        vec![(MODE, "GOVERNANCE"), (UNTIL, "2027-01-15T08:00:00Z")],
        vec![(HOLD, "MAYBE")],
    ] {
        let answer = call(&server, "PUT", "none", "", &headers, "y").await;
        assert_eq!((answer.status, answer.code()), (400, "InvalidArgument".into()), "{headers:?}");
    }
    for (query, body, code) in [
        ("retention=", retention("WORM", "09:00"), "MalformedXML"),
        ("retention=", "<Retention><Mode>GOVERNANCE</Mode></Retention>".into(), "MalformedXML"),
        ("retention=", retention("GOVERNANCE", "07:59"), "InvalidArgument"),
        ("legal-hold=", "<LegalHold><Status>on</Status></LegalHold>".into(), "MalformedXML"),
        ("legal-hold=", "<LegalHold></LegalHold>".into(), "MalformedXML"),
    ] {
        let answer = call(&server, "PUT", "none", query, &[], &body).await;
        assert_eq!((answer.status, answer.code().as_str()), (400, code), "{body}");
    }
    let hold = "<LegalHold><Status>OFF</Status></LegalHold>";
    let none = call(&server, "PUT", "absent", "legal-hold=", &[], hold).await;
    assert_eq!((none.status, none.code()), (404, "NoSuchKey".into()));
    // A lock is not copied; a copy brings its own.
    let copy = [("x-amz-copy-source", "locked/both"), (HOLD, "OFF")];
    put(&server, "copy", &copy).await;
    let copy = call(&server, "HEAD", "copy", "", &[], "").await;
    assert_eq!((copy.header(MODE), copy.header(HOLD)), (None, Some("OFF")));
}

#[tokio::test]
async fn what_may_be_deleted() {
    let server = locked().await;
    let hour = "2027-01-15T09:00:00Z";
    let governed = [(MODE, "GOVERNANCE"), (UNTIL, hour)];
    let complied = [(MODE, "COMPLIANCE"), (UNTIL, hour)];
    let held = [(HOLD, "ON")];
    for (headers, plain, bypassed, later) in [
        (&[][..], 204, 204, 204),
        (&governed, 403, 204, 204),
        (&complied, 403, 403, 204),
        (&held, 403, 403, 403),
    ] {
        for (bypass, after, expected) in
            [(false, false, plain), (true, false, bypassed), (false, true, later)]
        {
            let server = locked().await;
            let version = put(&server, "k", headers).await;
            if after {
                server.cluster.clock().advance(HOUR_MS);
            }
            let sent: &[_] = if bypass { &[BYPASS] } else { &[] };
            let query = format!("versionId={version}");
            let case = format!("{headers:?} bypass {bypass} after {after}");
            let answer = call(&server, "DELETE", "k", &query, sent, "").await;
            assert_eq!(answer.status, expected, "{case}: {}", answer.text());
            if expected == 403 {
                assert_eq!(answer.code(), "AccessDenied", "{case}");
                assert!(answer.text().contains("protected by object lock"), "{case}");
            }
            let list = format!(
                "<Delete><Object><Key>k</Key><VersionId>{version}</VersionId></Object></Delete>"
            );
            let answer = call(&server, "POST", "", "delete=", sent, &list).await;
            let codes = answer.texts("Code");
            assert_eq!(codes.as_slice() == ["AccessDenied"], expected == 403, "{case} {codes:?}");
            let there = call(&server, "GET", "k", &query, &[], "").await.status;
            assert_eq!(there == 200, expected == 403, "{case}");
        }
    }
    // A lock is of the version: markers and new versions come on top.
    let version = put(&server, "k", &complied).await;
    put(&server, "k", &[]).await;
    let marker = call(&server, "DELETE", "k", "", &[], "").await;
    assert_eq!((marker.status, marker.header("x-amz-delete-marker")), (204, Some("true")));
    let marker = marker.header("x-amz-version-id").expect("a version").to_owned();
    let query = format!("retention=&versionId={marker}");
    assert_eq!(call(&server, "GET", "k", &query, &[], "").await.status, 405);
    let query = format!("versionId={version}");
    assert_eq!(call(&server, "GET", "k", &query, &[], "").await.status, 200);
    let removed = call(&server, "DELETE", "k", &format!("versionId={marker}"), &[], "").await;
    assert_eq!(removed.status, 204, "markers are not locked");
    // A legal hold goes when it is taken off.
    let version = put(&server, "held", &held).await;
    let off = "<LegalHold><Status>OFF</Status></LegalHold>";
    let query = format!("legal-hold=&versionId={version}");
    assert_eq!(call(&server, "PUT", "held", &query, &[], off).await.status, 200);
    let shown = call(&server, "GET", "held", &query, &[], "").await;
    assert_eq!(shown.texts("Status"), ["OFF"]);
    let query = format!("versionId={version}");
    assert_eq!(call(&server, "DELETE", "held", &query, &[], "").await.status, 204);
}

#[tokio::test]
async fn how_a_retention_may_change() {
    let server = locked().await;
    let empty = "<Retention></Retention>".to_owned();
    let (governance, compliance) = ("GOVERNANCE", "COMPLIANCE");
    for (at, mode, to, plain, bypassed) in [
        (0, governance, retention(governance, "11:00"), 200, 200),
        (0, governance, retention(governance, "09:00"), 403, 200),
        (0, governance, retention(compliance, "11:00"), 403, 200),
        (0, governance, empty.clone(), 403, 200),
        (0, compliance, retention(compliance, "11:00"), 200, 200),
        (0, compliance, retention(compliance, "09:00"), 403, 403),
        (0, compliance, retention(governance, "11:00"), 403, 403),
        (0, compliance, empty.clone(), 403, 403),
        // Once it has ended, anything goes.
        (3, compliance, retention(governance, "23:00"), 200, 200),
        (3, compliance, empty, 200, 200),
    ] {
        for (headers, expected) in [(&[][..], plain), (&[BYPASS][..], bypassed)] {
            let server = locked().await;
            let held = [(MODE, mode), (UNTIL, "2027-01-15T10:00:00Z")];
            let version = put(&server, "k", &held).await;
            server.cluster.clock().advance(at * HOUR_MS);
            let query = format!("retention=&versionId={version}");
            let answer = call(&server, "PUT", "k", &query, headers, &to).await;
            assert_eq!(answer.status, expected, "{mode} -> {to} {headers:?}: {}", answer.text());
            let found = call(&server, "GET", "k", &query, &[], "").await.texts("Mode");
            let still = [mode.to_owned()];
            if expected == 403 {
                assert_eq!(answer.code(), "AccessDenied");
                assert_eq!(found, still, "{to}");
            } else if to == "<Retention></Retention>" {
                assert!(found.is_empty(), "{to}: {found:?}");
            } else {
                assert!(to.contains(&format!("<Mode>{}</Mode>", found.concat())), "{to}");
            }
        }
    }
    drop(server);
}

#[tokio::test]
async fn the_default_of_a_bucket() {
    let server = locked().await;
    let rule = "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule>\
                <DefaultRetention><Mode>COMPLIANCE</Mode><Days>1</Days></DefaultRetention></Rule>\
                </ObjectLockConfiguration>";
    put(&server, "before", &[]).await;
    assert_eq!(call(&server, "PUT", "", "object-lock=", &[], rule).await.status, 200);
    put(&server, "plain", &[]).await;
    put(&server, "own", &[(MODE, "GOVERNANCE"), (UNTIL, "2027-01-15T09:00:00.000Z")]).await;
    put(&server, "copy", &[("x-amz-copy-source", "locked/own")]).await;
    let upload = call(&server, "POST", "parts", "uploads=", &[], "").await;
    let upload = upload.texts("UploadId").concat();
    let query = format!("partNumber=1&uploadId={upload}");
    let part = call(&server, "PUT", "parts", &query, &[], "x").await;
    let etag = part.header("etag").expect("a tag");
    let body = format!(
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part>\
         </CompleteMultipartUpload>"
    );
    let done = call(&server, "POST", "parts", &format!("uploadId={upload}"), &[], &body).await;
    assert_eq!(done.status, 200, "{}", done.text());
    for (key, mode, until) in [
        ("before", None, None),
        ("plain", Some("COMPLIANCE"), Some("2027-01-16T08")),
        ("own", Some("GOVERNANCE"), Some("2027-01-15T09")),
        ("copy", Some("COMPLIANCE"), Some("2027-01-16T08")),
        ("parts", Some("COMPLIANCE"), Some("2027-01-16T08")),
    ] {
        let head = call(&server, "HEAD", key, "", &[], "").await;
        assert_eq!(head.header(MODE), mode, "{key}");
        assert_eq!(head.header(UNTIL).map(|date| &date[..13]), until, "{key}");
    }
}

/// What the official client sends, and reads out of our answers.
#[tokio::test]
async fn the_official_client() {
    use aws_sdk_s3::{
        primitives::DateTime,
        types::{
            DefaultRetention, ObjectLockConfiguration, ObjectLockEnabled, ObjectLockLegalHold,
            ObjectLockLegalHoldStatus, ObjectLockMode, ObjectLockRetention,
            ObjectLockRetentionMode, ObjectLockRule,
        },
    };
    let server = server().await;
    let client = &server.client;
    let create = client.create_bucket().bucket(BUCKET).object_lock_enabled_for_bucket(true);
    create.send().await.expect("created");
    let default = DefaultRetention::builder().mode(ObjectLockRetentionMode::Compliance).years(1);
    let rule = ObjectLockRule::builder().default_retention(default.build()).build();
    let configuration = ObjectLockConfiguration::builder()
        .object_lock_enabled(ObjectLockEnabled::Enabled)
        .rule(rule.clone())
        .build();
    let put = client.put_object_lock_configuration().bucket(BUCKET);
    put.object_lock_configuration(configuration.clone()).send().await.expect("set");
    let found = client.get_object_lock_configuration().bucket(BUCKET).send().await.expect("there");
    assert_eq!(found.object_lock_configuration(), Some(&configuration));
    let until = DateTime::from_secs(1_800_000_000 + 3600);
    let put = client.put_object().bucket(BUCKET).key("k").body(vec![1].into());
    let put = put.object_lock_mode(ObjectLockMode::Governance);
    let put = put.object_lock_retain_until_date(until).send().await.expect("stored");
    let version = put.version_id().expect("an id");
    let hold = ObjectLockLegalHold::builder().status(ObjectLockLegalHoldStatus::On).build();
    let put = client.put_object_legal_hold().bucket(BUCKET).key("k").legal_hold(hold.clone());
    put.send().await.expect("held");
    let found = client.get_object_legal_hold().bucket(BUCKET).key("k").send().await;
    assert_eq!(found.expect("there").legal_hold(), Some(&hold));
    let later = DateTime::from_secs(1_800_000_000 + 7200);
    let retention = ObjectLockRetention::builder()
        .mode(ObjectLockRetentionMode::Governance)
        .retain_until_date(later)
        .build();
    let put = client.put_object_retention().bucket(BUCKET).key("k").version_id(version);
    put.retention(retention.clone()).send().await.expect("extended");
    let found = client.get_object_retention().bucket(BUCKET).key("k").send().await;
    assert_eq!(found.expect("there").retention(), Some(&retention));
    let head = client.head_object().bucket(BUCKET).key("k").send().await.expect("there");
    assert_eq!(head.object_lock_mode(), Some(&ObjectLockMode::Governance));
    assert_eq!(head.object_lock_retain_until_date(), Some(&later));
    assert_eq!(head.object_lock_legal_hold_status(), Some(&ObjectLockLegalHoldStatus::On));
}
