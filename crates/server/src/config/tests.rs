//! What users write, and what they are told.

use super::*;

fn pair(key: &str, text: &str) -> (String, String) {
    (key.into(), text.into())
}

#[test]
fn text_stays_text_whatever_it_looks_like() {
    let variables = [
        pair("node.rack", "1"),
        pair("node.zone", "true"),
        pair("node.id", "3"),
        pair("cluster.secret", "12345678901234567890123"),
        pair("cluster.meta", "[1@a:7000, 2@b:7000]"),
        pair("node.listen", "127.0.0.1:7001"),
        pair("log.json", "true"),
    ];
    let sets = ["root.access_key=0123".to_owned(), "gateway.buffer_mib=64".to_owned()];
    let config = Config::parse("", &variables, &sets).expect("fine");
    assert_eq!((config.node.rack.as_str(), config.node.zone.as_str()), ("1", "true"));
    assert_eq!(config.cluster.secret.0, "12345678901234567890123", "not a rounded number");
    assert_eq!((config.node.id, config.node.listen.port(), config.log.json), (3, 7001, true));
    assert_eq!(config.cluster.meta, ["1@a:7000", "2@b:7000"]);
    assert_eq!((config.root.access_key.as_str(), config.gateway.buffer_mib), ("0123", 64));
}

#[test]
fn flags_are_above_variables_above_the_file() {
    let text = "[node]\nrack = \"file\"\nzone = \"file\"\nid = 1\n";
    let variables = [pair("node.rack", "variable"), pair("node.zone", "\"variable\"")];
    let config = Config::parse(text, &variables, &["node.rack=flag".to_owned()]).expect("fine");
    assert_eq!(config.node.rack, "flag");
    assert_eq!(config.node.zone, "variable", "quotes are taken off");
    assert_eq!(config.node.id, 1);
}

#[test]
fn an_error_is_one_line_and_shows_no_secret() {
    for text in [
        "[cluster]\nsecret = 8675309867530986753\n",
        "[cluster]\nsecret = hunter8675309\n",
        "[root]\nsecret_key = 8675309.5\n",
        "[root]\nsecret_key = \"8675309\nregion=1\n",
    ] {
        let error = Config::parse(text, &[], &[]).expect_err(text);
        assert!(!error.contains("8675309"), "{error}");
        assert!(!error.contains('\n') && !error.is_empty(), "{error}");
    }
    let error = Config::parse("[node]\nracks = \"1\"\n", &[], &[]).expect_err("unknown");
    assert!(error.contains("racks"), "{error}");
    assert!(!error.contains('\n'), "{error}");
}

#[test]
fn a_node_that_listens_everywhere_must_say_where_it_is() {
    let at = |listen: &str| pair("node.listen", listen);
    let config = Config::parse("", &[at("0.0.0.0:7000")], &[]).expect("fine");
    let error = config.advertise().expect_err("nobody reaches it").to_string();
    assert!(error.contains("node.advertise"), "{error}");
    let both = [at("0.0.0.0:7000"), pair("node.advertise", "d1:7000")];
    let config = Config::parse("", &both, &[]).expect("fine");
    assert_eq!(config.advertise().expect("said"), "d1:7000");
    let config = Config::parse("", &[at("10.0.0.1:7000")], &[]).expect("fine");
    assert_eq!(config.advertise().expect("the listen address"), "10.0.0.1:7000");
}

#[test]
fn times_under_which_promises_would_break_are_refused() {
    WorkersSection::default().check("workers.").expect("the defaults are fine");
    let short = WorkersSection { gc_grace_s: 9, ..WorkersSection::default() };
    assert!(short.check("workers.").expect_err("short").to_string().contains("gc_grace_s"));
    let short = WorkersSection { write_deadline_s: 0, ..WorkersSection::default() };
    assert!(short.check("workers.").expect_err("short").to_string().contains("write_deadline_s"));
}
