//! Websites: their configuration, and what a browser gets from their hosts.

use aws_sdk_s3::types::{
    Condition, ErrorDocument, IndexDocument, Protocol, Redirect, RedirectAllRequestsTo,
    RoutingRule, WebsiteConfiguration,
};
use gateway::Settings;

use crate::{
    raw::{self, Answer, percent, send},
    support::{BUCKET, Server, refused, server, server_of},
};

const HOST: &str = "bucket.web.example.com";

async fn publisher() -> Server {
    let s3 = s3::Settings {
        website_domain: Some("web.example.com".to_owned()),
        ..s3::Settings::default()
    };
    server_of(s3, Settings::default(), None).await
}

fn pages(rules: Vec<RoutingRule>) -> WebsiteConfiguration {
    let index = IndexDocument::builder().suffix("index.html").build().expect("a suffix");
    let error = ErrorDocument::builder().key("errors/404.html").build().expect("a key");
    let pages = WebsiteConfiguration::builder().index_document(index).error_document(error);
    let rules = (!rules.is_empty()).then_some(rules);
    pages.set_routing_rules(rules).build()
}

async fn publish(server: &Server, website: WebsiteConfiguration) {
    let put = server.client.put_bucket_website().bucket(BUCKET).website_configuration(website);
    put.send().await.expect("published");
}

async fn visit(server: &Server, method: &str, host: &str, target: &str, headers: &str) -> Answer {
    let request =
        format!("{method} {target} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n{headers}\r\n");
    send(server.address, request.as_bytes(), false).await
}

async fn get(server: &Server, target: &str) -> Answer {
    visit(server, "GET", HOST, target, "").await
}

fn location(answer: &Answer) -> (u16, Option<&str>) {
    (answer.status, answer.header("location"))
}

#[tokio::test]
async fn without_a_domain_there_are_no_websites() {
    let server = server().await;
    let put = server.client.put_bucket_website().bucket(BUCKET);
    let put = put.website_configuration(pages(vec![])).send().await;
    let error = format!("{:?}", put.as_ref().err());
    assert!(error.contains("gateway.website_domain"), "{error}");
    assert_eq!(refused(put), (501, "NotImplemented".into()));
    let get = server.client.get_bucket_website().bucket(BUCKET).send().await;
    assert_eq!(refused(get), (404, "NoSuchWebsiteConfiguration".into()));
}

#[tokio::test]
async fn configurations_are_kept_and_removed() {
    let server = publisher().await;
    let shown = || server.client.get_bucket_website().bucket(BUCKET).send();
    assert_eq!(refused(shown().await), (404, "NoSuchWebsiteConfiguration".into()));
    let rule = RoutingRule::builder()
        .condition(Condition::builder().http_error_code_returned_equals("404").build())
        .redirect(Redirect::builder().replace_key_with("x").http_redirect_code("302").build())
        .build();
    publish(&server, pages(vec![rule.clone()])).await;
    let there = shown().await.expect("there");
    assert_eq!(there.routing_rules(), [rule]);
    assert_eq!(there.index_document().map(IndexDocument::suffix), Some("index.html"));
    let bucket = format!("/{BUCKET}");
    let bad = "<WebsiteConfiguration><IndexDocument><Suffix>a/b</Suffix></IndexDocument>\
               </WebsiteConfiguration>";
    let bad = raw::call(server.address, "PUT", &bucket, "website=", &[], bad.as_bytes()).await;
    assert_eq!((bad.status, bad.code()), (400, "InvalidArgument".into()));
    server.put("index.html", b"home").await;
    assert_eq!(get(&server, "/").await.body, b"home");
    let delete = || server.client.delete_bucket_website().bucket(BUCKET).send();
    delete().await.expect("removed");
    delete().await.expect("removed again");
    let answer = get(&server, "/").await;
    assert_eq!(answer.status, 404, "no longer published");
    assert_eq!(answer.header("x-amz-error-code"), Some("NoSuchWebsiteConfiguration"));
}

#[tokio::test]
async fn pages_and_errors() {
    let server = publisher().await;
    publish(&server, pages(vec![])).await;
    let nowhere = visit(&server, "GET", "nowhere.web.example.com", "/", "").await;
    assert_eq!(nowhere.status, 404);
    assert!(nowhere.text().contains("<li>Code: NoSuchBucket</li>"), "{}", nowhere.text());
    assert!(nowhere.text().contains("<li>BucketName: nowhere</li>"), "{}", nowhere.text());
    // No error document yet.
    let missing = get(&server, "/no%3Cthing").await;
    assert_eq!((missing.status, missing.header("x-amz-error-code")), (404, Some("NoSuchKey")));
    assert_eq!(missing.header("content-type"), Some("text/html; charset=utf-8"));
    let text = missing.text();
    assert!(text.contains("<h1>404 Not Found</h1>"), "{text}");
    assert!(text.contains("<li>Key: no&lt;thing</li>"), "{text}");
    assert!(text.contains("An Error Occurred While Attempting to Retrieve"), "{text}");
    assert!(text.contains("<li>Key: errors/404.html</li>"), "{text}");
    let id = missing.header("x-amz-request-id").expect("an id");
    assert!(text.contains(&format!("<li>RequestId: {id}</li>")), "{text}");

    let put = server.client.put_object().bucket(BUCKET).key("errors/404.html");
    put.body(b"lost".to_vec().into()).content_type("text/html").send().await.expect("put");
    for (key, body) in [
        ("index.html", &b"home"[..]),
        ("docs/index.html", b"docs"),
        ("docs/ü b.txt", b"page"),
        ("folder/", b"a folder object"),
    ] {
        server.put(key, body).await;
    }
    for (target, status, body) in [
        ("/", 200, "home"),
        ("/?x=1&versionId=null&acl", 200, "home"),
        ("/docs/", 200, "docs"),
        ("/docs/index.html", 200, "docs"),
        ("/docs/%C3%BC%20b.txt", 200, "page"),
        ("/nothing", 404, "lost"),
        ("/nothing/", 404, "lost"),
        ("/folder/", 404, "lost"),
    ] {
        let answer = get(&server, target).await;
        assert_eq!((answer.status, answer.text().as_str()), (status, body), "{target}");
        let head = visit(&server, "HEAD", HOST, target, "").await;
        assert_eq!((head.status, head.body.len()), (status, 0), "{target}");
        let length = body.len().to_string();
        assert_eq!(head.header("content-length"), Some(length.as_str()), "{target}");
    }
    assert_eq!(get(&server, "/nothing").await.header("content-type"), Some("text/html"));
    // A folder without its slash.
    assert_eq!(location(&get(&server, "/docs").await), (302, Some("/docs/")));
    server.put("/other.example/index.html", b"no other host").await;
    let there = get(&server, "//other.example").await;
    assert_eq!(location(&there), (302, Some("/%2Fother.example/")));
    assert_eq!(get(&server, "/%2Fother.example/").await.body, b"no other host");
    assert_eq!(get(&server, "/%ff").await.status, 400);
    let long = get(&server, &format!("/{}", "x".repeat(1025))).await;
    assert_eq!(long.status, 400, "the error document does not hide what is wrong");
}

#[tokio::test]
async fn conditions_and_ranges_are_those_of_the_api() {
    let server = publisher().await;
    publish(&server, pages(vec![])).await;
    server.put("k", b"0123456789").await;
    let plain = get(&server, "/k").await;
    let etag = plain.header("etag").expect("a tag").to_owned();
    for (headers, status, body) in [
        ("range: bytes=2-3\r\n".to_owned(), 206, "23"),
        ("range: bytes=2-3,5-6\r\n".to_owned(), 200, "0123456789"),
        (format!("if-none-match: {etag}\r\n"), 304, ""),
        (format!("if-match: {etag}\r\n"), 200, "0123456789"),
    ] {
        let answer = visit(&server, "GET", HOST, "/k", &headers).await;
        assert_eq!((answer.status, answer.text().as_str()), (status, body), "{headers}");
    }
    for (headers, status, code) in [
        ("if-match: \"x\"\r\n", 412, "PreconditionFailed"),
        ("range: bytes=10-\r\n", 416, "InvalidRange"),
    ] {
        let answer = visit(&server, "GET", HOST, "/k", headers).await;
        assert_eq!(answer.status, status, "{headers}");
        assert_eq!(answer.header("x-amz-error-code"), Some(code), "{headers}");
    }
}

#[tokio::test]
async fn a_website_is_read_and_nothing_else() {
    let server = publisher().await;
    publish(&server, pages(vec![])).await;
    server.put("k", b"v").await;
    for method in ["PUT", "POST", "DELETE", "PATCH"] {
        let answer = visit(&server, method, HOST, "/k", "content-length: 0\r\n").await;
        assert_eq!((answer.status, answer.header("allow")), (405, Some("GET, HEAD")), "{method}");
        assert!(answer.text().contains("<li>Code: MethodNotAllowed</li>"), "{}", answer.text());
    }
    assert_eq!(server.get("k").await, b"v");
    // Only there: the API's hosts stay closed, and other buckets too.
    let path = format!("/{BUCKET}/k");
    for (host, target) in [
        ("127.0.0.1", path.as_str()),
        ("bucket.localhost", "/k"),
        ("web.example.com", path.as_str()),
    ] {
        let answer = visit(&server, "GET", host, target, "").await;
        assert_eq!((answer.status, answer.code()), (403, "AccessDenied".into()), "{host}");
    }
    server.client.create_bucket().bucket("private").send().await.expect("created");
    let put = server.client.put_object().bucket("private").key("k").body(b"v".to_vec().into());
    put.send().await.expect("put");
    let answer = visit(&server, "GET", "private.web.example.com", "/k", "").await;
    assert_eq!(answer.status, 404);
    for target in ["/../private/k", "/..%2fprivate%2fk", "//private/k", "/k/../../private/k"] {
        let answer = get(&server, target).await;
        assert_eq!(answer.status, 404, "{target}: {}", answer.text());
    }
}

#[tokio::test]
async fn redirections() {
    let server = publisher().await;
    let rule = |condition: Option<Condition>, redirect: Redirect| {
        RoutingRule::builder().set_condition(condition).redirect(redirect).build()
    };
    let prefix = |prefix: &str| Condition::builder().key_prefix_equals(prefix);
    let redirect = Redirect::builder;
    publish(
        &server,
        pages(vec![
            rule(
                Some(prefix("docs/").build()),
                redirect().replace_key_prefix_with("documents/").build(),
            ),
            rule(
                Some(prefix("images/").http_error_code_returned_equals("404").build()),
                redirect()
                    .host_name("other.example")
                    .protocol(Protocol::Https)
                    .http_redirect_code("307")
                    .replace_key_prefix_with("report-404/")
                    .build(),
            ),
            rule(Some(prefix("old").build()), redirect().replace_key_with("new").build()),
        ]),
    )
    .await;
    server.put("images/there", b"there").await;
    let moved = server.client.put_object().bucket(BUCKET).key("moved");
    let moved = moved.website_redirect_location("/to/here").body(b"x".to_vec().into());
    moved.send().await.expect("put");
    let to = format!("/documents/{}", percent("a b"));
    assert_eq!(location(&get(&server, "/docs/a%20b").await), (301, Some(to.as_str())));
    assert_eq!(location(&get(&server, "/oldest?x=1").await), (301, Some("/new")));
    assert_eq!(get(&server, "/images/there").await.body, b"there");
    let lost = get(&server, "/images/x").await;
    assert_eq!(location(&lost), (307, Some("https://other.example/report-404/x")));
    let moved = get(&server, "/moved").await;
    assert_eq!(location(&moved), (301, Some("/to/here")));
    assert!(moved.body.is_empty());
    let head = visit(&server, "HEAD", HOST, "/moved", "").await;
    assert_eq!(location(&head), (301, Some("/to/here")));

    let all = RedirectAllRequestsTo::builder().host_name("www.example.org");
    let all = all.build().expect("a host");
    publish(&server, WebsiteConfiguration::builder().redirect_all_requests_to(all).build()).await;
    let answer = get(&server, "/a%20b?x=1").await;
    assert_eq!(location(&answer), (301, Some("http://www.example.org/a%20b?x=1")));
}

#[tokio::test]
async fn other_pages_may_read_it_as_the_rules_say() {
    let server = publisher().await;
    publish(&server, pages(vec![])).await;
    let bucket = format!("/{BUCKET}");
    let rules = "<CORSConfiguration><CORSRule><AllowedOrigin>*</AllowedOrigin>\
                 <AllowedMethod>GET</AllowedMethod></CORSRule></CORSConfiguration>";
    let put = raw::call(server.address, "PUT", &bucket, "cors=", &[], rules.as_bytes()).await;
    assert_eq!(put.status, 200, "{}", put.text());
    let origin = "origin: http://a\r\n";
    let answer = visit(&server, "GET", HOST, "/none", origin).await;
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    let asks = format!("{origin}access-control-request-method: GET\r\n");
    let answer = visit(&server, "OPTIONS", HOST, "/none", &asks).await;
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (200, Some("*")));
}
