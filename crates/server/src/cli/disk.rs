//! `shardlake admin disk`

#![allow(clippy::print_stderr, reason = "the command line's own voice")]

use std::time::Duration;

use admin::model::{AddDisk, AddedDisk, DiskHealth};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::ask::Ask;
use crate::error::UserError;

/// How long a disk that was added may take until the cluster has heard of it, and how often that is
/// looked at. It reports every second.
const UP_WITHIN: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(300);

#[derive(Subcommand)]
pub(super) enum DiskCommand {
    /// Disks with class, fill and state.
    List,
    /// Opens a folder as a disk of a running data node, now and at each start. Ask that node itself
    /// (--endpoint). A `shardlake dev` needs no arguments.
    Add(AddArgs),
    /// Empties a disk: its shards move to others, then it is out.
    Drain {
        /// The disk.
        disk: u32,
    },
    /// Lets a disk that is being emptied, or is out, take part again.
    Undrain {
        /// The disk.
        disk: u32,
    },
    /// Forgets a disk that is out and empty.
    Remove {
        /// The disk.
        disk: u32,
    },
    /// Puts another disk in the place of one, dead or alive, in every placement group.
    Replace {
        /// The disk that goes.
        old: u32,
        /// The disk that takes its place. Without it, --path is added first (a `shardlake dev`
        /// needs no path).
        new: Option<u32>,
        /// The folder of the new disk on the node that is asked, as an absolute path.
        #[arg(long, conflicts_with = "new")]
        path: Option<String>,
    },
}

#[derive(Args)]
pub(super) struct AddArgs {
    /// The node, so that a wrong endpoint is noticed.
    node: Option<u64>,
    /// The folder on that node, as an absolute path: empty, or not there yet.
    path: Option<String>,
    /// What the disk is for: hot, warm or cold.
    #[arg(long)]
    class: Option<String>,
}

pub(super) async fn run(ask: &Ask, command: DiskCommand) -> anyhow::Result<()> {
    let nothing = json!({});
    match command {
        DiskCommand::List => ask.print("disks", super::TIMEOUT).await,
        DiskCommand::Add(AddArgs { node, path, class }) => {
            ask.show(&add(ask, AddDisk { node, path, class }).await?);
            Ok(())
        }
        DiskCommand::Drain { disk } => ask.change(&format!("disks/{disk}/drain"), &nothing).await,
        DiskCommand::Undrain { disk } => {
            ask.change(&format!("disks/{disk}/undrain"), &nothing).await
        }
        DiskCommand::Remove { disk } => ask.change(&format!("disks/{disk}/remove"), &nothing).await,
        DiskCommand::Replace { old, new: Some(new), .. } => replace(ask, old, new).await,
        DiskCommand::Replace { old, new: None, path } => {
            let new = add_for(ask, old, path).await?;
            let done = replace(ask, old, new).await;
            if done.is_err() {
                eprintln!("shardlake: disk {new} was added and stays; disk {old} was not replaced");
            }
            done
        }
    }
}

async fn add(ask: &Ask, request: AddDisk) -> anyhow::Result<Value> {
    ask.post_slowly("disks", &serde_json::to_value(request)?).await
}

async fn replace(ask: &Ask, old: u32, new: u32) -> anyhow::Result<()> {
    ask.change(&format!("disks/{old}/replace"), &json!({ "with": new })).await
}

/// Adds a disk of the same class for the place of another, and waits until the cluster has heard that
/// it serves.
async fn add_for(ask: &Ask, old: u32, path: Option<String>) -> anyhow::Result<u32> {
    let disks: Vec<DiskHealth> = ask.read("disks").await?;
    let Some(known) = disks.iter().find(|disk| disk.id == old) else {
        let reason = format!("there is no disk {old}: look at the list of disks");
        return Err(UserError::new(reason).into());
    };
    let request = AddDisk { node: None, path, class: Some(known.class.clone()) };
    let added: AddedDisk = serde_json::from_value(add(ask, request).await?)?;
    let up = async {
        loop {
            let disks: Vec<DiskHealth> = ask.read("disks").await?;
            if disks.iter().any(|disk| disk.id == added.disk && disk.up) {
                return anyhow::Ok(());
            }
            tokio::time::sleep(LOOK).await;
        }
    };
    tokio::time::timeout(UP_WITHIN, up).await.map_err(|_| {
        UserError::new(format!(
            "disk {} was added, but the cluster has not heard that it serves: look at its node, then \
             `shardlake admin disk replace {old} {0}`",
            added.disk
        ))
    })??;
    Ok(added.disk)
}
