//! `shardlake admin upgrade`

use admin::model::UpgradeStatus;
use clap::Subcommand;
use serde_json::json;

use super::ask::Ask;
use crate::error::UserError;

#[derive(Subcommand)]
pub(super) enum UpgradeCommand {
    /// The level in use, what every node's software knows, and whether the next level can be used.
    Status,
    /// Uses the next level from now on, once every node's software knows it. There is no way back
    /// to software that does not.
    Finalise,
}

pub(super) async fn run(ask: &Ask, command: UpgradeCommand) -> anyhow::Result<()> {
    match command {
        UpgradeCommand::Status => ask.print("upgrade", super::TIMEOUT).await,
        UpgradeCommand::Finalise => {
            let status: UpgradeStatus = ask.read("upgrade").await?;
            let Some(level) = status.next else {
                let reason = status.reason.unwrap_or_else(|| "there is no next level".to_owned());
                return Err(UserError::new(reason).into());
            };
            ask.change("upgrade/finalise", &json!({ "level": level })).await
        }
    }
}
