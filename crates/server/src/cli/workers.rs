//! `shardlake admin workers`: the list, once or again and again, and what can be said to a worker.

#![allow(clippy::print_stdout, reason = "the command line's own voice")]

use std::{
    io::{IsTerminal, stdout},
    time::Duration,
};

use admin::model::{WorkerState, WorkerStatus};
use clap::{Args, Subcommand};
use serde_json::json;

use super::{
    ask::{Ask, path_part},
    progress::{self, Bars},
    table,
};

/// How often the list is drawn again.
const REDRAW: Duration = Duration::from_secs(1);

#[derive(Args)]
pub(super) struct WorkersArgs {
    #[command(subcommand)]
    command: Option<WorkersCommand>,
    /// Draws again every second until it is interrupted.
    #[arg(long)]
    watch: bool,
}

#[derive(Subcommand)]
enum WorkersCommand {
    /// Makes a worker rest after each step, wherever it runs and will run.
    Throttle {
        /// The worker's name, as in the list.
        name: String,
        /// The rest in per cent of the time that the step took: 0 is full speed, 300 a quarter of it.
        percent: u32,
    },
    /// Holds a worker after its current step, also over restarts, until it is started.
    Cancel {
        /// The worker's name, as in the list.
        name: String,
    },
    /// Lets a cancelled worker go on where it was.
    Start {
        /// The worker's name, as in the list.
        name: String,
    },
}

pub(super) async fn run(ask: &Ask, args: WorkersArgs) -> anyhow::Result<()> {
    match args.command {
        None if args.watch => watch(ask).await,
        None if ask.json => ask.print("workers", super::TIMEOUT).await,
        None => {
            print(&ask.read::<Vec<WorkerStatus>>("workers").await?);
            Ok(())
        }
        Some(WorkersCommand::Throttle { name, percent }) => {
            let path = format!("workers/{}/throttle", path_part("NAME", &name)?);
            ask.change(&path, &json!({ "percent": percent })).await
        }
        Some(WorkersCommand::Cancel { name }) => {
            ask.change(&format!("workers/{}/cancel", path_part("NAME", &name)?), &json!({})).await
        }
        Some(WorkersCommand::Start { name }) => {
            ask.change(&format!("workers/{}/start", path_part("NAME", &name)?), &json!({})).await
        }
    }
}

/// Until it is interrupted, or the node no longer answers.
async fn watch(ask: &Ask) -> anyhow::Result<()> {
    let mut bars = (!ask.json && stdout().is_terminal()).then(Bars::default);
    loop {
        match &mut bars {
            Some(bars) => bars.draw(&ask.read::<Vec<WorkerStatus>>("workers").await?),
            None if ask.json => ask.print("workers", super::TIMEOUT).await?,
            None => {
                print(&ask.read::<Vec<WorkerStatus>>("workers").await?);
                println!();
            }
        }
        tokio::time::sleep(REDRAW).await;
    }
}

/// The list as a table.
pub(super) fn print(workers: &[WorkerStatus]) {
    let mut rows = table::new_table();
    rows.set_header([
        "worker", "state", "round", "left", "done", "rate", "throttle", "runs on", "detail",
    ]);
    for worker in workers {
        let share = progress::share(worker);
        rows.add_row([
            worker.name.clone(),
            state(worker.state).to_owned(),
            share.map_or_else(|| "-".to_owned(), progress::text_bar),
            worker.eta_ms.map_or_else(|| "-".to_owned(), progress::time),
            progress::done(worker),
            progress::rate(worker),
            worker
                .throttle_percent
                .map_or_else(|| "-".to_owned(), |percent| format!("{percent} %")),
            worker.node.map_or_else(|| "this process".to_owned(), |node| format!("node {node}")),
            worker.detail.clone(),
        ]);
    }
    println!("{rows}");
}

/// What operators call it.
pub(super) fn state(state: WorkerState) -> &'static str {
    match state {
        WorkerState::Idle => "idle",
        WorkerState::Busy => "working",
        WorkerState::Throttled => "throttled",
        WorkerState::Failing => "backing off",
        WorkerState::Cancelled => "cancelled",
    }
}
