//! Tables of what is allowed and what is refused, and the golden bytes.

use super::*;

fn owned(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

fn rule(origins: &[&str], methods: &[&str], headers: &[&str]) -> CORSRule {
    CORSRule {
        allowed_headers: Some(owned(headers)),
        allowed_methods: owned(methods),
        allowed_origins: owned(origins),
        expose_headers: None,
        id: None,
        max_age_seconds: None,
    }
}

#[test]
fn patterns() {
    for (pattern, text, expected) in [
        ("*", "", true),
        ("*", "https://a", true),
        ("https://a", "https://a", true),
        ("https://a", "https://A", false),
        ("https://*.a", "https://b.a", true),
        ("https://*.a", "https://b.c.a", true),
        ("https://*.a", "https://.a", true),
        ("https://*.a", "https://a", false),
        ("https://*.a", "http://b.a", false),
        // What stands before and after the wildcard may not overlap.
        ("ab*ba", "aba", false),
        ("ab*ba", "abba", true),
        ("x-amz-*", "x-amz-date", true),
        ("", "", true),
        ("", "null", false),
    ] {
        assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
    }
}

#[test]
fn the_first_rule_that_allows_all_of_it() {
    let rules = CorsRules::of_input(vec![
        rule(&["http://a"], &["GET"], &[]),
        rule(&["http://a", "https://*.b"], &["PUT", "GET"], &["Content-Type", "X-Amz-*"]),
        rule(&["*"], &["GET"], &["*"]),
    ])
    .expect("valid");
    let header = |name: &str| vec![name.to_owned()];
    for (origin, method, headers, expected) in [
        ("http://a", "GET", vec![], Some(0)),
        ("http://a", "GET", header("content-type"), Some(1)),
        ("http://a", "GET", header("x-other"), Some(2)),
        ("http://a", "PUT", header("x-amz-date"), Some(1)),
        ("http://a", "PUT", owned(&["x-amz-date", "x-other"]), None),
        ("https://c.b", "PUT", vec![], Some(1)),
        ("https://c.b", "GET", vec![], Some(1)),
        ("http://z", "GET", vec![], Some(2)),
        ("http://z", "PUT", vec![], None),
        ("http://a", "DELETE", vec![], None),
        ("null", "GET", vec![], Some(2)),
    ] {
        let asked = Asked { origin, method, headers: &headers };
        let found = rules.find(&asked).map(|found| {
            rules.rules.iter().position(|rule| std::ptr::eq(rule, found)).expect("one of them")
        });
        assert_eq!(found, expected, "{asked:?}");
    }
}

#[test]
fn refusals_in_the_words_of_aws() {
    let refused = |rules: Vec<CORSRule>| {
        let error = CorsRules::of_input(rules).expect_err("refused");
        (error.code().as_str().to_owned(), error.message().unwrap_or_default().to_owned())
    };
    assert_eq!(refused(vec![]).0, "MalformedXML");
    assert_eq!(refused(vec![rule(&[], &["GET"], &[])]).0, "MalformedXML");
    assert_eq!(refused(vec![rule(&["*"], &[], &[])]).0, "MalformedXML");
    let many = vec![rule(&["*"], &["GET"], &[]); 101];
    assert!(CorsRules::of_input(many[..100].to_vec()).is_ok());
    let exposed = CORSRule { expose_headers: Some(owned(&["x-*"])), ..rule(&["*"], &["GET"], &[]) };
    for (rules, message) in [
        (many, "The number of CORS rules should not exceed allowed limit of 100 rules."),
        (
            vec![rule(&["*"], &["GET", "PATCH"], &[])],
            "Found unsupported HTTP method in CORS config. Unsupported method is PATCH",
        ),
        (
            vec![rule(&["*"], &["get"], &[])],
            "Found unsupported HTTP method in CORS config. Unsupported method is get",
        ),
        (
            vec![rule(&["http://*.*"], &["GET"], &[])],
            "AllowedOrigin \"http://*.*\" can not have more than one wildcard.",
        ),
        (
            vec![rule(&["*"], &["GET"], &["x-*-*"])],
            "AllowedHeader \"x-*-*\" can not have more than one wildcard.",
        ),
        (
            vec![exposed],
            "ExposeHeader \"x-*\" contains wildcard. We currently do not support wildcard for \
             ExposeHeader.",
        ),
    ] {
        assert_eq!(refused(rules), ("InvalidRequest".to_owned(), message.to_owned()));
    }
    let id = CORSRule { id: Some("x".repeat(256)), ..rule(&["*"], &["GET"], &[]) };
    assert_eq!(refused(vec![id]).0, "InvalidArgument");
}

/// Version 1. Rules of each released version are read for ever.
#[test]
fn golden_bytes() {
    let given = vec![CORSRule {
        allowed_headers: Some(owned(&["x-*"])),
        allowed_methods: owned(&["GET", "PUT"]),
        allowed_origins: owned(&["https://a"]),
        expose_headers: Some(owned(&["ETag"])),
        id: Some("i".to_owned()),
        max_age_seconds: Some(3000),
    }];
    let rules = CorsRules::of_input(given.clone()).expect("valid");
    let golden = [
        &[1, 1][..],
        &[1, 1, b'i'],
        &[1, 9],
        b"https://a",
        &[2, 3],
        b"GET",
        &[3],
        b"PUT",
        &[1, 3],
        b"x-*",
        &[1, 4],
        b"ETag",
        // Zigzag of 3000.
        &[1, 0xf0, 0x2e],
    ]
    .concat();
    assert_eq!(rules.encode(), golden);
    let read = CorsRules::decode(&golden).expect("readable");
    assert_eq!(read, rules);
    let shown = read.into_output();
    assert_eq!((&shown[0].id, &shown[0].max_age_seconds), (&given[0].id, &Some(3000)));
    assert_eq!(shown[0].allowed_headers, given[0].allowed_headers);
    for bad in [&[][..], &[2, 0], &golden[..golden.len() - 1], &[&golden[..], &[0]].concat()] {
        assert!(CorsRules::decode(bad).is_err(), "{bad:?}");
    }
}
