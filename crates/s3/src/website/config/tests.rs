//! What is refused, what comes back, and the golden bytes.

use super::*;

fn redirect() -> dto::Redirect {
    dto::Redirect { host_name: Some("a.example".to_owned()), ..Default::default() }
}

fn pages(rules: Vec<dto::RoutingRule>) -> dto::WebsiteConfiguration {
    dto::WebsiteConfiguration {
        index_document: Some(dto::IndexDocument { suffix: "index.html".to_owned() }),
        routing_rules: (!rules.is_empty()).then_some(rules),
        ..Default::default()
    }
}

fn rule(prefix: Option<&str>, error: Option<&str>, redirect: dto::Redirect) -> dto::RoutingRule {
    dto::RoutingRule {
        condition: Some(dto::Condition {
            key_prefix_equals: prefix.map(str::to_owned),
            http_error_code_returned_equals: error.map(str::to_owned),
        }),
        redirect,
    }
}

fn all(protocol: Option<&'static str>) -> dto::WebsiteConfiguration {
    dto::WebsiteConfiguration {
        redirect_all_requests_to: Some(dto::RedirectAllRequestsTo {
            host_name: "a.example".to_owned(),
            protocol: protocol.map(dto::Protocol::from_static),
        }),
        ..Default::default()
    }
}

#[test]
fn refusals_in_the_words_of_aws() {
    let index = |suffix: &str| dto::WebsiteConfiguration {
        index_document: Some(dto::IndexDocument { suffix: suffix.to_owned() }),
        ..Default::default()
    };
    let text = |text: &str| Some(text.to_owned());
    let both = dto::WebsiteConfiguration {
        redirect_all_requests_to: all(None).redirect_all_requests_to,
        ..index("i")
    };
    let no_key = dto::WebsiteConfiguration {
        error_document: Some(dto::ErrorDocument { key: String::new() }),
        ..index("i")
    };
    let two = dto::Redirect {
        replace_key_with: text("a"),
        replace_key_prefix_with: text("b"),
        ..Default::default()
    };
    let code = |code| dto::Redirect { http_redirect_code: text(code), ..Default::default() };
    let host = |host| dto::Redirect { host_name: text(host), ..Default::default() };
    for (input, refusal, message) in [
        (both, "InvalidArgument", "RedirectAllRequestsTo cannot be provided in conjunction"),
        (all(Some("ftp")), "InvalidRequest", "Invalid protocol, protocol can be http or https."),
        (dto::WebsiteConfiguration::default(), "InvalidArgument", "A value for IndexDocument"),
        (index(""), "InvalidArgument", "The IndexDocument Suffix is not well formed"),
        (index("a/b"), "InvalidArgument", "The IndexDocument Suffix is not well formed"),
        (no_key, "MalformedXML", "The XML you provided"),
        (
            pages(vec![rule(Some("a"), None, redirect()); 51]),
            "InvalidRequest",
            "51 routing rules provided",
        ),
        (pages(vec![rule(None, None, redirect())]), "InvalidRequest", "Condition cannot be empty."),
        (
            pages(vec![rule(None, Some("200"), redirect())]),
            "InvalidRequest",
            "The provided HTTP error code (200) is not valid. Valid codes are 4XX or 5XX.",
        ),
        (pages(vec![rule(Some("a"), None, two)]), "InvalidRequest", "You can only define"),
        (
            pages(vec![rule(Some("a"), None, code("300"))]),
            "InvalidRequest",
            "The provided HTTP redirect code (300) is not valid. Valid codes are 3XX except 300.",
        ),
        (
            pages(vec![rule(Some("a"), None, host("a\r\nb: c"))]),
            "InvalidRequest",
            "The HostName of a redirection is not a host name.",
        ),
        (
            pages(vec![rule(Some("a"), None, dto::Redirect::default())]),
            "MalformedXML",
            "The XML you provided",
        ),
    ] {
        let error = Website::of_input(input).expect_err(message);
        assert_eq!(error.code().as_str(), refusal, "{message}");
        assert!(error.message().unwrap_or_default().starts_with(message), "{error:?}");
    }
}

#[test]
fn what_was_put_comes_back() {
    let given = pages(vec![
        rule(Some("docs/"), None, redirect()),
        dto::RoutingRule { condition: None, redirect: redirect() },
    ]);
    let shown = Website::of_input(given.clone()).expect("valid").into_output();
    assert_eq!(shown.index_document, given.index_document);
    assert_eq!(shown.routing_rules, given.routing_rules);
    let shown = Website::of_input(all(Some("https"))).expect("valid").into_output();
    assert_eq!(shown.redirect_all_requests_to, all(Some("https")).redirect_all_requests_to);
}

/// Version 1. Configurations of each released version are read for ever.
#[test]
fn golden_bytes() {
    let redirect = [&[1, 0, 1][..], b"h", &[1, 1]].concat();
    let pages = [
        &[1, 1, 1][..],
        b"i",
        &[1, 1],
        b"e",
        // Two rules: prefix, error, host, protocol, status, key.
        &[2],
        &[1, 2],
        b"a/",
        &[1, 0x94, 0x03, 0, 0, 1, 0xae, 0x02, 2, 2],
        b"b/",
        &[0, 0, 1, 1],
        b"h",
        &[1, 0, 0, 1, 1],
        b"k",
    ]
    .concat();
    let expected = Website::Pages {
        index: "i".to_owned(),
        error: Some("e".to_owned()),
        rules: vec![
            RoutingRule {
                prefix: Some("a/".to_owned()),
                error: Some(404),
                host: None,
                protocol: None,
                status: Some(302),
                key: NewKey::Prefix("b/".to_owned()),
            },
            RoutingRule {
                prefix: None,
                error: None,
                host: Some("h".to_owned()),
                protocol: Some(Protocol::Http),
                status: None,
                key: NewKey::Whole("k".to_owned()),
            },
        ],
    };
    assert_eq!(expected.encode(), pages);
    assert_eq!(Website::decode(&pages).expect("readable"), expected);
    let expected = Website::RedirectAll { host: "h".to_owned(), protocol: Some(Protocol::Https) };
    assert_eq!(expected.encode(), redirect);
    assert_eq!(Website::decode(&redirect).expect("readable"), expected);
    for bad in [&[][..], &[2, 0], &redirect[..3], &[&redirect[..], &[0]].concat()] {
        assert!(Website::decode(bad).is_err(), "{bad:?}");
    }
}
