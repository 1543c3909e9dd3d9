//! docs/durability.md is what `durasim` prints.

use durability::page::{Effort, page, parts_without_simulation};

const REGENERATE: &str = "docs/durability.md is out of date: cargo run --release \
    --ignore-rust-version -p durability --bin durasim > docs/durability.md";

/// The text and the tables of the formula, in their order. The tables of the simulator would take
/// minutes; what is between the parts are those.
#[test]
fn the_page_has_the_formulas_tables_as_they_are_computed_now() {
    let page = include_str!("../../../docs/durability.md");
    let mut rest = page;
    let parts = parts_without_simulation().expect("the clusters have groups");
    let (last, parts) = parts.split_last().expect("there is text");
    for part in parts {
        let at = rest.find(part).unwrap_or_else(|| panic!("{REGENERATE}; first missing:\n{part}"));
        rest = &rest[at + part.len()..];
    }
    assert!(page.starts_with(&parts[0]) && rest.ends_with(last), "{REGENERATE}");
}

#[test]
fn every_place_is_filled_in_and_a_page_is_the_same_twice() {
    let effort = Effort { cycles: 100, trials: 100 };
    let first = page(effort).expect("the clusters have groups");
    assert!(first.contains("| rs-8-4 on 15 nodes"), "{first}");
    assert_eq!(first, page(effort).expect("the clusters have groups"));
}
