//! `shardlake admin meta`

use std::{collections::BTreeSet, time::Duration};

use admin::model::{MetaNodeState, MetaStatus};
use clap::Subcommand;
use serde_json::json;

use super::ask::Ask;
use crate::error::UserError;

/// How often progress is looked at.
const LOOK: Duration = Duration::from_millis(500);

#[derive(Subcommand)]
pub(super) enum MetaCommand {
    /// Every metadata node: whether it votes, leads and answers, and how far a change has come.
    List,
    /// Gives a vote to a metadata node that was started with a new id, an empty folder, and a
    /// cluster.meta that names others and itself. Shows how it catches up.
    Add {
        /// Its id (node.id of its configuration).
        id: u64,
        /// Its address, if you want it to be compared with what the node itself says.
        address: Option<String>,
        /// Does not wait until it votes everywhere.
        #[arg(long)]
        no_wait: bool,
    },
    /// Takes a metadata node out of the cluster, or takes back that it was being added. It then
    /// stops; neither its id nor its folder can be used again.
    Remove {
        /// Its id.
        id: u64,
        /// Also if fewer than three would stay, which survive no failure.
        #[arg(long)]
        force: bool,
        /// Does not wait until it has left every group.
        #[arg(long)]
        no_wait: bool,
    },
}

pub(super) async fn run(ask: &Ask, command: MetaCommand) -> anyhow::Result<()> {
    match command {
        MetaCommand::List => ask.print("meta", super::TIMEOUT).await,
        MetaCommand::Add { id, address, no_wait } => {
            let body = json!({ "address": address });
            let answer = ask.post(&format!("meta/{id}/add"), &body).await?;
            if no_wait {
                ask.show(&answer);
                return Ok(());
            }
            follow(ask, |meta| is(meta, id, MetaNodeState::Voter)).await?;
            ask.print("meta", super::TIMEOUT).await
        }
        MetaCommand::Remove { id, force, no_wait } => {
            let answer = ask.post(&format!("meta/{id}/remove"), &json!({ "force": force })).await?;
            if no_wait {
                ask.show(&answer);
                return Ok(());
            }
            follow(ask, |meta| meta.nodes.iter().all(|node| node.node != id)).await?;
            ask.print("meta", super::TIMEOUT).await
        }
    }
}

fn is(meta: &MetaStatus, id: u64, state: MetaNodeState) -> bool {
    meta.nodes.iter().any(|node| node.node == id && node.state == state)
}

/// Shows what changes until the change is done. A node that is asked may itself restart meanwhile.
async fn follow(ask: &Ask, done: impl Fn(&MetaStatus) -> bool) -> anyhow::Result<()> {
    /// Failed looks in a row before this gives up; the change goes on without us.
    const FAILURES_MAX: u32 = 60;
    let mut shown = BTreeSet::new();
    let mut failures = 0;
    loop {
        match ask.read::<MetaStatus>("meta").await {
            Ok(meta) if meta.change.is_none() && done(&meta) => return Ok(()),
            Ok(meta) if meta.change.is_none() => {
                return Err(UserError::new(
                    "another change came to its end instead: see `shardlake admin meta list`",
                )
                .into());
            }
            Ok(meta) => {
                failures = 0;
                for line in lines(&meta) {
                    if shown.insert(line.clone()) {
                        say(&line);
                    }
                }
            }
            Err(error) if failures >= FAILURES_MAX => return Err(error),
            Err(_) => failures += 1,
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn lines(meta: &MetaStatus) -> Vec<String> {
    let moving = |state| matches!(state, MetaNodeState::Joining | MetaNodeState::Leaving);
    let change = meta.change.as_deref().unwrap_or_default();
    meta.nodes
        .iter()
        .filter(|node| moving(node.state))
        .map(|node| match node.entries_behind {
            0 => format!("{change}: votes in {} groups", node.votes),
            behind => format!("{change}: votes in {} groups, {behind} entries behind", node.votes),
        })
        .collect()
}

#[allow(clippy::print_stderr, reason = "progress, beside the answer")]
fn say(line: &str) {
    eprintln!("{line}");
}
