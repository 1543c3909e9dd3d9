//! Where a website sends a request instead of answering it. Pure.

use super::config::{NewKey, Protocol, RoutingRule};
use crate::text;

/// The scheme of a redirection to another host that names none: websites are plain HTTP here
/// as on AWS.
const SCHEME: Protocol = Protocol::Http;

/// The first rule about a request for `key`: before it is tried (`error` is `None`), or after
/// it failed with that status.
pub(crate) fn find<'a>(
    rules: &'a [RoutingRule],
    key: &str,
    error: Option<u16>,
) -> Option<&'a RoutingRule> {
    rules.iter().find(|rule| {
        rule.error == error && rule.prefix.as_ref().is_none_or(|prefix| key.starts_with(prefix))
    })
}

/// The `Location` of a rule that was found for `key`. On the same host and without a protocol
/// it begins with a slash, so that it is also right behind a proxy that ends TLS.
pub(crate) fn location(rule: &RoutingRule, key: &str, host: &str) -> String {
    // A replacement stands as it was written: `#!/` and `resize?key=` are in use. The rest
    // of the key is a path.
    let path = match &rule.key {
        NewKey::Same => text::url_encode(key),
        NewKey::Whole(new) => visible(new),
        NewKey::Prefix(new) => {
            let prefix = rule.prefix.as_deref().unwrap_or_default();
            let rest = key.strip_prefix(prefix).unwrap_or(key);
            visible(new) + &text::url_encode(rest)
        }
    };
    match (&rule.host, rule.protocol) {
        (None, None) => on_same_host(&path),
        (to, protocol) => {
            let scheme = protocol.unwrap_or(SCHEME).as_str();
            format!("{scheme}://{}/{path}", to.as_deref().unwrap_or(host))
        }
    }
}

/// The `Location` of this path of the same host. With a slash of its own it would name
/// another host.
pub(crate) fn on_same_host(path: &str) -> String {
    match path.strip_prefix('/') {
        Some(rest) => format!("/%2F{rest}"),
        None => format!("/{path}"),
    }
}

/// The `Location` of a request for `target` (path and query as they came) on another host.
pub(crate) fn elsewhere(host: &str, protocol: Option<Protocol>, target: &str) -> String {
    format!("{}://{host}{target}", protocol.unwrap_or(SCHEME).as_str())
}

/// What a header cannot carry is percent-encoded, all else left alone.
pub(crate) fn visible(text: &str) -> String {
    let mut written = String::with_capacity(text.len());
    for byte in text.bytes() {
        // Browsers take a backslash for a slash.
        if byte.is_ascii_graphic() && byte != b'\\' {
            written.push(char::from(byte));
        } else {
            written.push('%');
            written.push_str(&hex::encode_upper([byte]));
        }
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(prefix: Option<&str>, error: Option<u16>, key: NewKey) -> RoutingRule {
        let prefix = prefix.map(str::to_owned);
        RoutingRule { prefix, error, host: None, protocol: None, status: None, key }
    }

    #[test]
    fn the_first_rule_that_fits() {
        let rules = [
            rule(Some("docs/"), Some(404), NewKey::Same),
            rule(Some("docs/"), None, NewKey::Same),
            rule(None, Some(404), NewKey::Same),
            rule(None, Some(403), NewKey::Same),
        ];
        for (key, error, expected) in [
            ("docs/a", None, Some(1)),
            ("docs/a", Some(404), Some(0)),
            ("docs/a", Some(403), Some(3)),
            ("a", None, None),
            ("a", Some(404), Some(2)),
            ("a", Some(500), None),
            ("", Some(404), Some(2)),
        ] {
            let found = find(&rules, key, error)
                .map(|found| rules.iter().position(|rule| std::ptr::eq(rule, found)));
            assert_eq!(found.flatten(), expected, "{key} {error:?}");
        }
        let always = [rule(None, None, NewKey::Same)];
        assert!(find(&always, "", None).is_some());
    }

    #[test]
    fn locations() {
        let to = |text: &str| text.to_owned();
        for (prefix, new, key, expected) in [
            (Some("docs/"), NewKey::Prefix(to("documents/")), "docs/a b", "/documents/a%20b"),
            (Some("docs/"), NewKey::Prefix(to("")), "docs/a", "/a"),
            (None, NewKey::Prefix(to("#!/")), "a?b", "/#!/a%3Fb"),
            (None, NewKey::Prefix(to("resize?key=")), "a/b", "/resize?key=a/b"),
            (Some("x"), NewKey::Whole(to("error.html")), "x/y", "/error.html"),
            (Some("x"), NewKey::Whole(to("a\r\nb: ü")), "x", "/a%0D%0Ab:%20%C3%BC"),
            (Some("x"), NewKey::Same, "x/ü", "/x/%C3%BC"),
            (Some("x"), NewKey::Whole(to("a\\b")), "x", "/a%5Cb"),
        ] {
            let mut rule = rule(prefix, None, new);
            assert_eq!(location(&rule, key, "b.web:80"), expected);
            rule.protocol = Some(Protocol::Https);
            assert_eq!(location(&rule, key, "b.web:80"), format!("https://b.web:80{expected}"));
            rule.host = Some(to("other"));
            assert_eq!(location(&rule, key, "b.web:80"), format!("https://other{expected}"));
            rule.protocol = None;
            assert_eq!(location(&rule, key, "b.web:80"), format!("http://other{expected}"));
        }
        let same = rule(None, Some(404), NewKey::Same);
        assert_eq!(location(&same, "/other.example/", "b.web"), "/%2Fother.example/");
        assert_eq!(location(&same, "\\other.example", "b.web"), "/%5Cother.example");
        assert_eq!(elsewhere("h", None, "/a?b=c"), "http://h/a?b=c");
        assert_eq!(elsewhere("h", Some(Protocol::Https), "/"), "https://h/");
    }
}
