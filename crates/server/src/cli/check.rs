//! `shardlake admin check`: starts the check, follows it, shows what came out. Exit status 1 if anything
//! is not as promised.

#![allow(clippy::print_stdout, reason = "the command line's own voice")]

use std::{
    io::{IsTerminal, stderr},
    time::Duration,
};

use admin::model::{CheckProgress, CheckState, CheckStatus};
use clap::{Args, Subcommand};
use indicatif::{BinaryBytes, ProgressBar, ProgressStyle};
use repair::check::Report;
use serde_json::{Value, json};

use super::{ask::Ask, table};
use crate::error::UserError;

/// How often the check is looked at.
const LOOK: Duration = Duration::from_millis(300);
/// Steps of the drawn bar.
const STEPS: u64 = 1000;

#[derive(Args)]
pub(super) struct CheckArgs {
    #[command(subcommand)]
    command: Option<CheckCommand>,
    /// Reads every byte of every disk too.
    #[arg(long)]
    verify: bool,
}

#[derive(Subcommand)]
enum CheckCommand {
    /// How far the check under way is, or what came of the last one that this process made.
    Status,
    /// Ends the check under way. It leaves nothing behind.
    Cancel,
}

pub(super) async fn run(ask: &Ask, args: CheckArgs) -> anyhow::Result<()> {
    match args.command {
        None => {
            let begun = ask.post("check", &json!({ "verify": args.verify })).await?;
            let begun: CheckStatus = serde_json::from_value(begun)?;
            let ended = follow(ask, begun.number).await?;
            conclude(ask, &ended)
        }
        Some(CheckCommand::Status) => conclude(ask, &ask.read("check").await?),
        Some(CheckCommand::Cancel) => ask.change("check/cancel", &json!({})).await,
    }
}

/// Waits for the end of a check, with a bar where there is a terminal.
async fn follow(ask: &Ask, number: u64) -> anyhow::Result<CheckStatus> {
    let bar = match stderr().is_terminal() {
        true => ProgressBar::new(STEPS).with_style(style()),
        false => ProgressBar::hidden(),
    };
    loop {
        let status: CheckStatus = ask.read("check").await?;
        if status.number != number {
            return Err(UserError::new(
                "the check is gone: the process that made it was restarted; run it again",
            )
            .into());
        }
        if status.state != CheckState::Running {
            bar.finish_and_clear();
            return Ok(status);
        }
        if let Some(progress) = &status.progress {
            bar.set_position(position(progress));
            bar.set_message(message(progress));
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn style() -> ProgressStyle {
    ProgressStyle::with_template("{bar:30} {percent:>3} % {wide_msg}")
        .expect("the template is fixed")
}

fn position(progress: &CheckProgress) -> u64 {
    let (done, total) = match progress.phase.as_str() {
        "verifying" => (progress.verified_bytes, progress.verify_bytes),
        _ => (progress.groups, progress.groups_total),
    };
    done.saturating_mul(STEPS).checked_div(total).unwrap_or(0).min(STEPS)
}

fn message(progress: &CheckProgress) -> String {
    match progress.phase.as_str() {
        "verifying" => format!("reading: {}", BinaryBytes(progress.verified_bytes)),
        "index" => format!("collecting references; {} blobs are judged", progress.blobs),
        "disks" => format!("comparing with the disks: {} shards", progress.shards),
        _ => "looking again at what seems wrong".to_owned(),
    }
}

/// Shows the outcome; an error if it is not a good one.
fn conclude(ask: &Ask, status: &CheckStatus) -> anyhow::Result<()> {
    if ask.json {
        table::print_json(&serde_json::to_value(status)?);
    }
    match status.state {
        CheckState::Done => {
            let report = status.report.clone().unwrap_or(Value::Null);
            let report: Report = serde_json::from_value(report).map_err(|error| {
                UserError::new(format!(
                    "the report is in a form that this version does not know ({error}): use the \
                     version of shardlake that runs there"
                ))
            })?;
            if !ask.json {
                print(&report);
            }
            match status.faults.as_slice() {
                [] => Ok(()),
                faults => anyhow::bail!("not as promised: {}", faults.join("; ")),
            }
        }
        CheckState::Failed => {
            anyhow::bail!("the check failed: {}", status.reason.as_deref().unwrap_or("no reason"))
        }
        CheckState::Cancelled => anyhow::bail!("the check was cancelled"),
        CheckState::Running => {
            if !ask.json {
                let progress = status.progress.as_ref();
                println!("under way: {}", progress.map(message).unwrap_or_default());
            }
            Ok(())
        }
        CheckState::None => {
            if !ask.json {
                println!("this process has made no check since it began");
            }
            Ok(())
        }
    }
}

fn print(report: &Report) {
    println!("Blobs by margin (how many more shards each can lose)");
    let mut rows = table::new_table();
    rows.set_header(["policy", "margin", "blobs", "bytes", ""]);
    for row in &report.margins {
        let note = match (row.full, row.margin) {
            (true, _) => "as promised",
            (false, margin) if margin < 0 => "NOT READABLE",
            _ => "LESS THAN PROMISED",
        };
        rows.add_row([
            row.policy.clone(),
            row.margin.to_string(),
            row.blobs.to_string(),
            BinaryBytes(row.bytes).to_string(),
            note.to_owned(),
        ]);
    }
    rows.add_row([
        "all".to_owned(),
        String::new(),
        report.blobs.to_string(),
        BinaryBytes(report.bytes).to_string(),
        format!("{} lost, {} unreadable now", report.lost, report.unreadable),
    ]);
    println!("{rows}\n");

    println!("What one more failure would make unreadable");
    let mut rows = table::new_table();
    rows.set_header(["failure of one", "of", "harmful", "worst", "blobs"]);
    for line in &report.one_more {
        rows.add_row([
            line.kind.clone(),
            line.units.to_string(),
            line.harmful.to_string(),
            line.worst.clone().unwrap_or_else(|| "-".to_owned()),
            match line.blobs {
                0 => "nothing".to_owned(),
                blobs => blobs.to_string(),
            },
        ]);
    }
    println!("{rows}\n");

    let placement = &report.placement;
    println!("Placement groups");
    pairs(&[
        ("all", placement.groups),
        ("all members serve", placement.whole),
        ("some do not", placement.short),
        ("too few to be read", placement.unreadable),
        ("a member is moving", placement.moving),
        ("a member is leaving", placement.leaving),
        ("break the placement rule", placement.violating),
    ]);
    for violation in &placement.violations {
        println!("  {violation}");
    }

    println!("\nShards");
    let shards = |name: &str, of: &repair::check::report::Shards| {
        let bytes = BinaryBytes(of.bytes);
        format!("{name}: {} ({bytes})", of.shards)
    };
    let ranks = &report.ranks;
    println!(
        "missing: {}, damaged: {}, on silent disks: {}, moving: {}",
        ranks.missing, ranks.damaged, ranks.silent, ranks.moving
    );
    println!("{}", shards("in a place where nobody reads them", &report.misplaced));
    println!("{}", shards("that nothing references", &report.unreferenced));
    println!("{}", shards("of writes under way", &report.in_flight));
    match &report.read {
        Some(read) => println!(
            "read whole: {} ({}), not what was written: {}",
            read.shards,
            BinaryBytes(read.bytes),
            read.bad
        ),
        None => println!("their bytes were not read: --verify does"),
    }

    println!("\nDisks");
    let mut rows = table::new_table();
    rows.set_header(["disk", "shards", "bytes", "error"]);
    for disk in &report.disks {
        rows.add_row([
            disk.disk.to_string(),
            disk.shards.to_string(),
            BinaryBytes(disk.bytes).to_string(),
            disk.error.clone().unwrap_or_else(|| "-".to_owned()),
        ]);
    }
    println!("{rows}");

    if !report.findings.is_empty() {
        println!("\nThe first {} blobs that are not as promised", report.findings.len());
        let mut rows = table::new_table();
        rows.set_header(["blob", "bucket", "key", "margin", "what"]);
        for finding in &report.findings {
            rows.add_row([
                finding.blob.to_string(),
                finding.bucket.to_string(),
                finding.key.clone(),
                finding.margin.to_string(),
                finding.what.clone(),
            ]);
        }
        println!("{rows}");
    }
}

fn pairs(rows: &[(&str, u64)]) {
    let mut table = table::new_table();
    for (name, count) in rows {
        table.add_row([(*name).to_owned(), count.to_string()]);
    }
    println!("{table}");
}
