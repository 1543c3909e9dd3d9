//! The table: a row a phase and server, and against the first server its ratio.

#![allow(clippy::print_stdout, reason = "the program's output")]

use comfy_table::{Table, presets::UTF8_FULL_CONDENSED};

use crate::{phase::Outcome, plan::size_text};

/// Prints all outcomes. Outcomes of one phase follow each other; the ratio is the first
/// server's requests a second over this one's.
pub(crate) fn print(outcomes: &[Outcome]) {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED).set_header([
        "operation",
        "size",
        "at once",
        "server",
        "req/s",
        "MiB/s",
        "p50 ms",
        "p99 ms",
        "CPU s/GiB",
        "CPU ms/req",
        "first/this",
    ]);
    let mut first: Option<&Outcome> = None;
    for outcome in outcomes {
        let same_phase = |other: &&Outcome| other.phase.to_string() == outcome.phase.to_string();
        let base = *first.filter(same_phase).get_or_insert(outcome);
        first = Some(base);
        let optional = |value: Option<f64>| value.map_or("-".into(), |value| format!("{value:.2}"));
        table.add_row([
            format!("{:?}", outcome.phase.operation),
            size_text(outcome.phase.object_bytes),
            outcome.phase.concurrency.to_string(),
            outcome.target.clone(),
            format!("{:.0}", outcome.requests_per_s),
            format!("{:.1}", outcome.mib_per_s),
            format!("{:.2}", outcome.p50_ms),
            format!("{:.2}", outcome.p99_ms),
            optional(outcome.cpu_s_per_gib),
            optional(outcome.cpu_ms_per_request),
            format!("{:.2}", base.requests_per_s / outcome.requests_per_s),
        ]);
    }
    println!("{table}");
}
