//! The arrows between crates point down. This test reads `cargo metadata` and
//! fails on an edge that the table does not allow, so that a new edge is a
//! decision and not an accident (docs/architecture.md, "Crates").

use std::{collections::BTreeMap, process::Command};

use serde_json::Value;

/// Every crate with its layer; the order within a layer is the order in which its
/// crates may use each other (a later one may use an earlier one).
const LAYERS: &[(&str, &[&str])] = &[
    ("L0", &["pins", "types", "erasure", "placement"]),
    ("L1", &["platform", "telemetry", "proto", "consensus"]),
    ("L2", &["metastore", "shardstore", "cluster"]),
    ("L3", &["objects", "repair"]),
    ("L4", &["s3", "gateway", "admin"]),
    ("L5", &["shardlake-server", "bench"]),
    ("dev", &["harness", "jepsen", "shardlake-tests"]),
];

/// Only these crates may name these libraries: a change of the library stays inside.
const KEPT_INSIDE: &[(&str, &[&str])] = &[
    ("s3s", &["s3"]),
    ("tonic", &["proto"]),
    ("prost", &["proto"]),
    ("openraft", &["consensus"]),
    ("reed-solomon-erasure", &["erasure"]),
    ("rocksdb", &["consensus", "shardstore"]),
    ("axum", &["gateway", "admin"]),
];

fn position(name: &str) -> Option<usize> {
    LAYERS.iter().flat_map(|(_, crates)| crates.iter()).position(|listed| *listed == name)
}

/// Workspace crates with their normal and build dependencies.
fn dependencies() -> BTreeMap<String, Vec<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--no-deps", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let text = |value: &Value| value.as_str().expect("a string").to_owned();
    let packages = metadata["packages"].as_array().expect("packages");
    packages
        .iter()
        .map(|package| {
            let normal = package["dependencies"]
                .as_array()
                .expect("dependencies")
                .iter()
                .filter(|dependency| dependency["kind"] != "dev")
                .map(|dependency| text(&dependency["name"]))
                .collect();
            (text(&package["name"]), normal)
        })
        .collect()
}

#[test]
fn arrows_point_down() {
    let crates = dependencies();
    let mut wrong = Vec::new();
    for (name, dependencies) in &crates {
        let Some(own) = position(name) else {
            wrong.push(format!("{name} has no layer: add it to the table"));
            continue;
        };
        for dependency in dependencies.iter().filter(|other| crates.contains_key(*other)) {
            if position(dependency).is_none_or(|other| other >= own) {
                wrong.push(format!("{name} must not use {dependency}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn libraries_stay_inside() {
    let crates = dependencies();
    let mut wrong = Vec::new();
    for (library, allowed) in KEPT_INSIDE {
        for (name, dependencies) in &crates {
            if dependencies.iter().any(|other| other == library)
                && !allowed.contains(&name.as_str())
            {
                wrong.push(format!("{name} must not use {library}; only {allowed:?} may"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_crate_obeys_the_workspace_lints() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    for entry in std::fs::read_dir(root).expect("crates") {
        let manifest = entry.expect("an entry").path().join("Cargo.toml");
        let text = std::fs::read_to_string(&manifest).expect("a manifest");
        assert!(
            text.contains("[lints]\nworkspace = true"),
            "{} lacks `[lints] workspace = true`",
            manifest.display()
        );
    }
}
