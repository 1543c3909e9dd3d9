//! Cross-origin rules: kept, refused, and obeyed by preflights and answers.

use aws_sdk_s3::types::{CorsConfiguration, CorsRule};

use crate::{
    raw::{self, Answer, percent, send},
    support::{BUCKET, Server, refused, server},
};

fn rule(origins: &[&str], methods: &[&str], headers: &[&str]) -> CorsRule {
    let owned = |texts: &[&str]| Some(texts.iter().map(|text| (*text).to_owned()).collect());
    CorsRule::builder()
        .set_allowed_origins(owned(origins))
        .set_allowed_methods(owned(methods))
        .set_allowed_headers(owned(headers))
        .expose_headers("ETag")
        .max_age_seconds(600)
        .build()
        .expect("a rule")
}

async fn put(server: &Server, rules: Vec<CorsRule>) {
    let rules = CorsConfiguration::builder().set_cors_rules(Some(rules)).build();
    let rules = rules.expect("a configuration");
    let put = server.client.put_bucket_cors().bucket(BUCKET).cors_configuration(rules);
    put.send().await.expect("set");
}

async fn options(server: &Server, path: &str, headers: &str) -> Answer {
    let request =
        format!("OPTIONS {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n{headers}\r\n");
    send(server.address, request.as_bytes(), false).await
}

#[tokio::test]
async fn rules_are_kept_and_removed() {
    let server = server().await;
    let get = || server.client.get_bucket_cors().bucket(BUCKET).send();
    assert_eq!(refused(get().await), (404, "NoSuchCORSConfiguration".into()));
    let rules = vec![rule(&["*"], &["GET"], &[]), rule(&["http://a"], &["PUT"], &["x-*"])];
    put(&server, rules.clone()).await;
    let shown = get().await.expect("there");
    assert_eq!(shown.cors_rules()[1], rules[1]);
    assert_eq!(shown.cors_rules()[0].allowed_origins(), ["*"]);
    let delete = || server.client.delete_bucket_cors().bucket(BUCKET).send();
    delete().await.expect("removed");
    delete().await.expect("removed again");
    assert_eq!(refused(get().await), (404, "NoSuchCORSConfiguration".into()));
    let nowhere = server.client.get_bucket_cors().bucket("nowhere").send().await;
    assert_eq!(refused(nowhere), (404, "NoSuchBucket".into()));
}

#[tokio::test]
async fn documents_that_are_refused() {
    let server = server().await;
    let bucket = format!("/{BUCKET}");
    let put = async |body: &str| {
        raw::call(server.address, "PUT", &bucket, "cors=", &[], body.as_bytes()).await
    };
    let rule =
        "<CORSRule><AllowedOrigin>*</AllowedOrigin><AllowedMethod>GET</AllowedMethod></CORSRule>";
    let document = |rules: &str| format!("<CORSConfiguration>{rules}</CORSConfiguration>");
    assert_eq!(put(&document(rule)).await.status, 200);
    for (body, code, text) in [
        (document(""), "MalformedXML", ""),
        ("<CORSConfiguration>".to_owned(), "MalformedXML", ""),
        ("no XML".to_owned(), "MalformedXML", ""),
        (document(&rule.repeat(101)), "InvalidRequest", "allowed limit of 100 rules"),
        (document(&rule.replace("GET", "PATCH")), "InvalidRequest", "Unsupported method is PATCH"),
        (document(&rule.replace("*", "a*b*")), "InvalidRequest", "more than one wildcard"),
        (
            document(&rule.replace("<CORSRule>", &format!("<CORSRule>{}", " ".repeat(70_000)))),
            "MaxMessageLengthExceeded",
            "too big",
        ),
    ] {
        let answer = put(&body).await;
        assert_eq!((answer.status, answer.code()), (400, code.into()), "{}", answer.text());
        assert!(answer.text().contains(text), "{}", answer.text());
    }
    let wrong = [("content-md5", "AAAAAAAAAAAAAAAAAAAAAA==")];
    let body = document(rule);
    let answer = raw::call(server.address, "PUT", &bucket, "cors=", &wrong, body.as_bytes()).await;
    assert_eq!((answer.status, answer.code()), (400, "BadDigest".into()));
}

#[tokio::test]
async fn preflights() {
    let server = server().await;
    let path = format!("/{BUCKET}/{}", percent("ü"));
    let origin = "origin: https://app.example\r\n";
    let wants = |method: &str| format!("{origin}access-control-request-method: {method}\r\n");
    for (path, headers, status, code, text) in [
        (&path, String::new(), 400, "BadRequest", "Origin request header needed"),
        (&path, origin.to_owned(), 400, "BadRequest", "Access-Control-Request-Method: null"),
        (&path, wants("BREW"), 400, "BadRequest", "Access-Control-Request-Method: BREW"),
        (&path, wants("GET"), 403, "AccessForbidden", "CORS is not enabled for this bucket."),
        (&"/nowhere/k".to_owned(), wants("GET"), 403, "AccessForbidden", "Bucket not found"),
        (&"/".to_owned(), wants("GET"), 403, "AccessForbidden", "Bucket not found"),
    ] {
        let answer = options(&server, path, &headers).await;
        assert_eq!((answer.status, answer.code()), (status, code.into()), "{}", answer.text());
        assert!(answer.text().contains(text), "{}", answer.text());
    }
    put(
        &server,
        vec![
            rule(&["https://*.example"], &["PUT", "GET"], &["x-amz-*", "Content-Type"]),
            rule(&["*"], &["GET"], &[]),
        ],
    )
    .await;
    let headers = "access-control-request-headers: Content-Type,X-Amz-Date\r\n";
    let answer = options(&server, &path, &(wants("PUT") + headers)).await;
    assert_eq!((answer.status, answer.body.len()), (200, 0), "{}", answer.text());
    for (name, value) in [
        ("access-control-allow-origin", "https://app.example"),
        ("access-control-allow-credentials", "true"),
        ("access-control-allow-methods", "PUT, GET"),
        ("access-control-allow-headers", "content-type, x-amz-date"),
        ("access-control-expose-headers", "ETag"),
        ("access-control-max-age", "600"),
        ("vary", "Origin, Access-Control-Request-Headers, Access-Control-Request-Method"),
    ] {
        assert_eq!(answer.header(name), Some(value), "{name}");
    }
    assert!(answer.header("x-amz-request-id").is_some());
    let anybody = "origin: http://other\r\naccess-control-request-method: GET\r\n";
    let answer = options(&server, &path, anybody).await;
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    assert_eq!(answer.header("access-control-allow-credentials"), None);
    let headers = "access-control-request-headers: x-other\r\n";
    let answer = options(&server, &path, &(wants("PUT") + headers)).await;
    assert_eq!((answer.status, answer.code()), (403, "AccessForbidden".into()));
    assert!(answer.text().contains("This CORS request is not allowed"), "{}", answer.text());
    assert_eq!(answer.header("access-control-allow-origin"), None);
}

#[tokio::test]
async fn answers_that_pages_may_read() {
    let server = server().await;
    server.put("k", b"v").await;
    let rules = vec![rule(&["https://app.example"], &["GET", "HEAD"], &[])];
    put(&server, rules).await;
    let path = format!("/{BUCKET}/k");
    let from = |origin| [("origin", origin)];
    let get = |path: String, origin| async move {
        raw::call(server.address, "GET", &path, "", &from(origin), b"").await
    };
    let answer = get(path.clone(), "https://app.example").await;
    assert_eq!((answer.status, answer.body.as_slice()), (200, &b"v"[..]));
    assert_eq!(answer.header("access-control-allow-origin"), Some("https://app.example"));
    assert_eq!(answer.header("access-control-allow-methods"), Some("GET, HEAD"));
    assert_eq!(answer.header("access-control-expose-headers"), Some("ETag"));
    assert!(answer.header("vary").is_some_and(|vary| vary.starts_with("Origin")));
    // An error too: else the page could not tell what went wrong.
    let answer = get(format!("/{BUCKET}/none"), "https://app.example").await;
    assert_eq!(answer.status, 404);
    assert_eq!(answer.header("access-control-allow-origin"), Some("https://app.example"));
    let unsigned = format!(
        "GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\norigin: \
         https://app.example\r\n\r\n"
    );
    let answer = send(server.address, unsigned.as_bytes(), false).await;
    assert_eq!(answer.status, 403);
    assert_eq!(answer.header("access-control-allow-origin"), Some("https://app.example"));
    // Other origins, other methods and requests without an origin get nothing.
    let answer = get(path.clone(), "https://other.example").await;
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (200, None));
    let origin = from("https://app.example");
    let answer = raw::call(server.address, "PUT", &path, "", &origin, b"v").await;
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (200, None));
    let answer = raw::call(server.address, "GET", &path, "", &[], b"").await;
    assert_eq!((answer.status, answer.header("vary")), (200, None));
}
