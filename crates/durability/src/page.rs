//! docs/durability.md: prose with places for the tables.

use placement::PlacementError;

use crate::{simulated, table::Table, tables};

/// The page without its tables. A line `{{name}}` stands for one.
const PROSE: &str = include_str!("page.md");

/// How much the simulator may work for the page.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// Cycles of a sampled line, and years of a plain one.
    pub cycles: usize,
    /// Trials of vanishing nodes.
    pub trials: usize,
}

/// The parts of the page that hold without the simulator: the prose between its tables, with the
/// tables of the formula filled in.
pub fn parts_without_simulation() -> Result<Vec<String>, PlacementError> {
    Ok(with_formula()?.split("{{").map(|part| after_name(part).to_owned()).collect())
}

/// The whole page.
pub fn page(effort: Effort) -> Result<String, PlacementError> {
    let mut page = with_formula()?;
    for (name, table) in [
        ("agreement", simulated::agreement(effort.cycles)?),
        ("bursts", simulated::bursts(effort.cycles)?),
        ("lifetimes", simulated::lifetimes(effort.cycles as f64)?),
        ("vanishing", simulated::vanishing(effort.trials)?),
    ] {
        page = fill(&page, name, &table);
    }
    let page = page
        .replace("{{cycles}}", &effort.cycles.to_string())
        .replace("{{trials}}", &effort.trials.to_string());
    assert!(!page.contains("{{"), "every table of the page is filled in");
    Ok(page)
}

fn with_formula() -> Result<String, PlacementError> {
    let mut page = PROSE.replace("{{seed}}", &tables::SEED.to_string());
    for (name, table) in [
        ("by_repair_time", tables::by_repair_time()),
        ("by_scatter", tables::by_scatter()),
        ("by_cluster", tables::by_cluster()?),
        ("by_vanishing", tables::by_vanishing()),
        ("by_acknowledged", tables::by_acknowledged()),
    ] {
        page = fill(&page, name, &table);
    }
    Ok(page)
}

fn fill(page: &str, name: &str, table: &Table) -> String {
    let place = format!("{{{{{name}}}}}\n");
    assert!(page.contains(&place), "the page has a place for {name}");
    page.replace(&place, &table.to_string())
}

/// What follows the rest of a place's name, if the part begins with one.
fn after_name(part: &str) -> &str {
    part.split_once("}}").map_or(part, |(_, after)| after)
}
