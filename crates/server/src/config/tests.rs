//! What users write, and what they are told.

use metastore::ProfileOverride;
use types::{Compression, StorageClass};

use super::{storage_classes::of_flags, *};

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
    for (name, section) in [
        ("endangered_grace_s", WorkersSection { down_grace_s: 29, ..WorkersSection::default() }),
        ("heal_mib_per_s", WorkersSection { heal_mib_per_s: 0, ..WorkersSection::default() }),
        ("scrub_period_s", WorkersSection { scrub_period_s: 59, ..WorkersSection::default() }),
        ("scrub_inventory_s", WorkersSection { scrub_inventory_s: 0, ..WorkersSection::default() }),
    ] {
        let error = section.check("workers.").expect_err(name).to_string();
        assert!(error.contains(name), "{error}");
    }
    let short = WorkersSection { write_deadline_s: 0, ..WorkersSection::default() };
    assert!(short.check("workers.").expect_err("short").to_string().contains("write_deadline_s"));
}

#[test]
fn disks_have_a_class_by_the_list_that_names_them() {
    let text = "[node]\ndisks = [\"/a\", \"/b\"]\nwarm_disks = [\"/c\"]\ncold_disks = [\"/d\"]\n";
    let config = Config::parse(text, &[], &[]).expect("fine");
    let disks = config.node.all_disks().expect("fine");
    let shown: Vec<_> = disks.iter().map(|(path, class)| (path.to_str(), class.as_str())).collect();
    let expected = [("/a", "hot"), ("/b", "hot"), ("/c", "warm"), ("/d", "cold")];
    assert_eq!(shown, expected.map(|(path, class)| (Some(path), class)));

    let only = Config::parse("[node]\ncold_disks = [\"/a\"]\n", &[], &[]).expect("fine");
    assert_eq!(only.node.all_disks().expect("a node of cold disks").len(), 1);
    let twice = "[node]\ndisks = [\"/a\"]\ncold_disks = [\"/a\"]\n";
    let twice = Config::parse(twice, &[], &[]).expect("parses");
    assert!(twice.node.all_disks().expect_err("twice").to_string().contains("/a is named twice"));
    let none = Config::parse("", &[], &[]).expect("parses").node.all_disks();
    assert!(none.expect_err("none").to_string().contains("at least one"));
}

#[test]
fn storage_classes_are_read_from_all_three_places() {
    let text = "[storage_classes.GLACIER]\npolicy = \"rs-8-4\"\ndisks = \"warm\"\n";
    let variables = [
        (StorageClassesSection::key_of_variable("storage_classes.glacier.disks"), "cold".into()),
        (StorageClassesSection::key_of_variable("node.rack"), "r1".into()),
    ];
    let sets = ["storage_classes.STANDARD_IA.compression=none".to_owned()];
    let config = Config::parse(text, &variables, &sets).expect("fine");
    assert_eq!(config.node.rack, "r1");
    let glacier = ProfileOverride {
        policy: ErasurePolicy::new(8, 4).ok(),
        disks: Some(DiskClass::Cold),
        compression: None,
    };
    let ia = ProfileOverride { compression: Some(Compression::None), ..ProfileOverride::default() };
    let expected =
        BTreeMap::from([(StorageClass::Glacier, glacier), (StorageClass::StandardIa, ia)]);
    assert_eq!(config.storage_classes.overrides().expect("fine"), expected);
    let flags = ["GLACIER=rs-8-4:cold".to_owned(), "STANDARD_IA=::none".to_owned()];
    assert_eq!(of_flags(&flags).expect("fine"), expected);
}

#[test]
fn a_storage_class_that_is_wrong_is_said_where() {
    let refused = |text: &str| {
        let sets = [format!("storage_classes.{text}")];
        match Config::parse("", &[], &sets) {
            Ok(config) => config.storage_classes.overrides().expect_err(text).to_string(),
            Err(error) => error,
        }
    };
    for (text, says) in [
        (
            "GLACEIR.policy=rs-4-2",
            "\"GLACEIR\" is no storage class; those that exist are STANDARD,",
        ),
        ("GLACIER.policy=rs-0-4", "storage_classes.GLACIER.policy: erasure policy \"rs-0-4\""),
        (
            "GLACIER.disks=icy",
            "storage_classes.GLACIER.disks: \"icy\" is not one of hot, warm, cold",
        ),
        ("GLACIER.compression=lz4", "storage_classes.GLACIER.compression: \"lz4\" is not one of"),
        ("GLACIER.disk=cold", "unknown field"),
    ] {
        let error = refused(text);
        assert!(error.contains(says), "{text}: {error}");
    }
    for (flags, says) in [
        (&["GLACIER"][..], "write NAME="),
        (&["GLACIER=rs-4-2:cold:zstd:more"], "write NAME="),
        (&["OUTPOSTS=rs-4-2"], "those that exist are"),
        (&["GLACIER=rs-4-2:icy"], "is not one of hot"),
        (&["GLACIER=rs-4-2", "GLACIER=:cold"], "named twice"),
    ] {
        let flags: Vec<String> = flags.iter().map(|flag| (*flag).to_owned()).collect();
        let error = of_flags(&flags).expect_err("wrong").to_string();
        assert!(error.contains(says) && error.contains("--storage-class"), "{error}");
    }
}

/// Every key has a row in its section of docs/configuration.md, and every row is of a key.
#[test]
fn the_documentation_has_every_key() {
    let docs = include_str!("../../../../docs/configuration.md");
    let mut documented = Vec::new();
    let mut section = "";
    for line in docs.lines() {
        if let Some(heading) = line.strip_prefix("## `[") {
            section = heading.split(']').next().unwrap_or_default();
        } else if line.starts_with('#') {
            section = "";
        } else if let Some(row) = line.strip_prefix("| `")
            && !section.is_empty()
            && let Some((names, _)) = row.split_once(" | ")
        {
            let names = names.split(',').map(|name| name.trim().trim_matches('`'));
            documented.extend(names.map(|name| format!("{section}.{name}")));
        }
    }
    let mut config = serde_json::to_value(Config::default()).expect("plain data");
    let class = storage_classes::ClassSection::default();
    config["storage_classes"] = serde_json::json!({ "NAME": class });
    config["events"]["targets"] = serde_json::json!({ "NAME": events::TargetSection::default() });
    let mut keys = Vec::new();
    let mut open = vec![(String::new(), config)];
    while let Some((path, value)) = open.pop() {
        match value {
            serde_json::Value::Object(fields) => open
                .extend(fields.into_iter().map(|(name, value)| (format!("{path}.{name}"), value))),
            _ => keys.push(path.trim_start_matches('.').to_owned()),
        }
    }
    documented.sort();
    keys.sort();
    assert_eq!(documented, keys);
}

/// The table of what the classes begin with is that of [`types::StorageClasses::new`].
#[test]
fn the_documentation_has_every_storage_class_as_it_begins() {
    let docs = include_str!("../../../../docs/configuration.md");
    let policy = ErasurePolicy::new(4, 2).expect("valid");
    for (class, profile) in types::StorageClasses::new(policy).iter() {
        let chunks = match profile.policy == policy {
            true => "`cluster.policy`",
            false => "one coding chunk less",
        };
        let read = if class.is_archive() { "once it is restored" } else { "at once" };
        let (disks, compression) = (profile.disks, profile.compression.as_str());
        let row = format!("| `{class}` | {chunks} | {disks} | {compression} | {read} |");
        assert!(docs.lines().any(|line| line == row), "{row}");
    }
}
