//! `shardlake admin scrub`

use admin::model::WorkerStatus;
use clap::Subcommand;
use serde_json::json;

use super::{ask::Ask, workers};
use crate::error::UserError;

/// What the worker is called.
const NAME: &str = "scrub";

#[derive(Subcommand)]
pub(super) enum ScrubCommand {
    /// Compares all inventories and reads every byte of every disk, beginning now, as fast as it goes.
    /// What is bad, missing or misplaced is repaired at once.
    Start,
    /// How far the round under way is, and what came of the last one.
    Status,
}

pub(super) async fn run(ask: &Ask, command: ScrubCommand) -> anyhow::Result<()> {
    match command {
        ScrubCommand::Start => ask.change("scrub/start", &json!({})).await,
        ScrubCommand::Status => {
            let mut all: Vec<WorkerStatus> = ask.read("workers").await?;
            all.retain(|worker| worker.name == NAME);
            let Some(scrub) = all.first() else {
                return Err(UserError::new(
                    "the leader does not run the scrub yet: it has just begun, or there is none; try \
                     again in a moment",
                )
                .into());
            };
            if ask.json {
                ask.show(&serde_json::to_value(scrub)?);
            } else {
                workers::print(&all);
                ask.show(&json!({ "round": scrub.round, "last round": scrub.last_round }));
            }
            Ok(())
        }
    }
}
