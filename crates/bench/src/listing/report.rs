//! The tables: what a page costs at every size and how that grows, complete listings, and
//! how the buckets were filled.

#![allow(clippy::print_stdout, reason = "the program's output")]

use comfy_table::{Table, presets::UTF8_FULL_CONDENSED};

use super::{Listing, page::PageCost};

/// Prints what all servers came to.
pub(crate) fn print(listings: &[Listing]) {
    println!("{}", pages(listings));
    println!("{}", walks(listings));
    println!("{}", fills(listings));
    for listing in listings {
        if let Some(refused) = &listing.refused {
            println!("{}: versions were not measured: {refused}", listing.target);
        }
    }
}

fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED).set_header(header);
    table
}

fn pages(listings: &[Listing]) -> Table {
    let mut table = table(&[
        "server",
        "bucket",
        "page",
        "keys in bucket",
        "p50 ms",
        "p99 ms",
        "CPU ms/page",
        "p50 to smallest",
    ]);
    for listing in listings {
        // Sizes follow each other in the order of filling: here a kind's sizes stand together.
        let mut costs: Vec<&PageCost> = listing.pages.iter().collect();
        costs.sort_by_key(|cost| (cost.content as u8, cost.kind as u8, cost.keys));
        for cost in &costs {
            table.add_row([
                cost.target.clone(),
                cost.content.name(),
                cost.kind.name().into(),
                cost.keys.to_string(),
                format!("{:.2}", cost.p50_ms),
                format!("{:.2}", cost.p99_ms),
                optional(cost.cpu_ms),
                format!("{:.2}", growth(&costs, cost)),
            ]);
        }
    }
    table
}

/// The median over that of the same page in the smallest bucket.
fn growth(costs: &[&PageCost], cost: &PageCost) -> f64 {
    let same =
        costs.iter().filter(|other| (other.content, other.kind) == (cost.content, cost.kind));
    let smallest = same.min_by_key(|other| other.keys).map_or(cost.p50_ms, |other| other.p50_ms);
    cost.p50_ms / smallest
}

fn walks(listings: &[Listing]) -> Table {
    let mut table = table(&[
        "server",
        "bucket",
        "whole listing",
        "listers",
        "entries",
        "seconds",
        "entries/s",
        "CPU us/entry",
    ]);
    for walk in listings.iter().flat_map(|listing| &listing.walks) {
        table.add_row([
            walk.target.clone(),
            walk.content.name(),
            walk.kind.name().into(),
            walk.listers.to_string(),
            walk.entries.to_string(),
            format!("{:.1}", walk.seconds),
            format!("{:.0}", walk.entries as f64 / walk.seconds),
            optional(walk.cpu_us),
        ]);
    }
    table
}

fn fills(listings: &[Listing]) -> Table {
    let mut table = table(&["server", "bucket", "keys", "PUTs", "repeated", "seconds", "PUT/s"]);
    for fill in listings.iter().flat_map(|listing| &listing.fills) {
        table.add_row([
            fill.target.clone(),
            fill.content.name(),
            fill.keys.to_string(),
            fill.puts.to_string(),
            fill.repeated.to_string(),
            format!("{:.1}", fill.seconds),
            format!("{:.0}", fill.puts as f64 / fill.seconds),
        ]);
    }
    table
}

fn optional(value: Option<f64>) -> String {
    value.map_or("-".into(), |value| format!("{value:.2}"))
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Content, page::Kind},
        *,
    };

    #[test]
    fn growth_is_against_the_same_page_in_the_smallest_bucket() {
        let cost = |kind, keys, p50_ms| PageCost {
            target: "a".into(),
            content: Content::Plain,
            kind,
            keys,
            pages: 1,
            p50_ms,
            p99_ms: p50_ms,
            cpu_ms: None,
        };
        let (small, large) = (cost(Kind::First, 1000, 2.0), cost(Kind::First, 10_000, 3.0));
        let other = cost(Kind::Delimiter, 1000, 9.0);
        let costs = [&other, &large, &small];
        assert!((growth(&costs, &large) - 1.5).abs() < 1e-9);
        assert!((growth(&costs, &small) - 1.0).abs() < 1e-9);
    }
}
