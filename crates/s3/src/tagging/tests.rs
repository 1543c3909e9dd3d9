//! Tags in headers, documents and the root group.

use super::*;

fn tags(pairs: &[(&str, &str)]) -> Tags {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn document(pairs: &[(&str, &str)]) -> TagSet {
    let tag = |text: &str| Some(text.to_owned());
    pairs.iter().map(|(key, value)| Tag { key: tag(key), value: tag(value) }).collect()
}

#[test]
fn tags_of_headers() {
    for (sent, expected) in [
        ("", tags(&[])),
        ("a=b", tags(&[("a", "b")])),
        ("foo=bar&bar", tags(&[("foo", "bar"), ("bar", "")])),
        ("a%20b+c=%C3%BC%2B%3D", tags(&[("a b c", "ü+=")])),
        ("a=&b=1&", tags(&[("a", ""), ("b", "1")])),
    ] {
        assert_eq!(of_header(sent).expect("valid"), expected, "{sent:?}");
    }
    let eleven: Vec<String> = (0..11).map(|i| format!("k{i}=v")).collect();
    for (sent, code) in [
        ("a=b=c", "InvalidArgument"),
        ("a=1&a=2", "InvalidArgument"),
        ("a=%zz", "InvalidArgument"),
        ("a=%2", "InvalidArgument"),
        ("a=%FF", "InvalidArgument"),
        ("=v", "InvalidTag"),
        ("a%5B=1", "InvalidTag"),
        ("aws:x=1", "InvalidTag"),
        (&eleven.join("&"), "BadRequest"),
    ] {
        assert_eq!(of_header(sent).expect_err("refused").code().as_str(), code, "{sent:?}");
    }
    assert_eq!(of_header(&eleven[..10].join("&")).expect("ten are fine").len(), 10);
}

#[test]
fn tags_of_documents() {
    let (key, value) = ("ü".repeat(128), "v".repeat(256));
    let longest = [(key.as_str(), value.as_str())];
    assert_eq!(of_document(document(&longest), 10, "Object").expect("valid"), tags(&longest));
    let all = [("a_.:/=+-@ z", "東京 2024")];
    assert_eq!(of_document(document(&all), 10, "Object").expect("valid"), tags(&all));
    for (sent, message) in [
        (vec![("", "v")], "TagKey"),
        (vec![(&*format!("{key}x"), "v")], "TagKey"),
        // Each takes two UTF-16 code units.
        (vec![(&*"𝒳".repeat(65), "v")], "TagKey"),
        (vec![("a\tb", "v")], "TagKey"),
        (vec![("k", &*format!("{value}x"))], "TagValue"),
        (vec![("k", "a;b")], "TagValue"),
        (vec![("AWS:k", "v")], "System tags"),
        (vec![("k", "1"), ("k", "2")], "multiple Tags"),
    ] {
        let error = of_document(document(&sent), 10, "Object").expect_err("refused");
        assert_eq!(error.code(), &S3ErrorCode::InvalidTag, "{sent:?}");
        assert!(error.message().unwrap_or_default().contains(message), "{sent:?}");
    }
    let nameless = vec![Tag { key: None, value: Some("v".to_owned()) }];
    let error = of_document(nameless, 10, "Object").expect_err("refused");
    assert_eq!(error.code(), &S3ErrorCode::MalformedXML);
    let many: Vec<String> = (0..51).map(|i| format!("k{i}")).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|key| (key.as_str(), "")).collect();
    assert_eq!(of_document(document(&many[..50]), 50, "Bucket").expect("fifty").len(), 50);
    let error = of_document(document(&many), 50, "Bucket").expect_err("refused");
    assert_eq!(error.code().as_str(), "BadRequest");
}

/// Every released version of this form is read for ever.
#[test]
fn the_stored_form_is_golden() {
    let stored = tags(&[("env", "prod"), ("team", "ü"), ("x", "")]);
    let golden = hex::decode("010303656e760470726f64047465616d02c3bc017800").expect("hexadecimal");
    assert_eq!(encode(&stored), golden);
    assert_eq!(decode(&golden).expect("ours"), stored);
    let newer = [&[2], &golden[1..]].concat();
    let longer = [golden.as_slice(), &[0]].concat();
    for bad in [&[][..], &newer, &longer, &golden[..5]] {
        assert_eq!(decode(bad).expect_err("unreadable").code(), &S3ErrorCode::InternalError);
    }
}
