//! `shardlake admin inventory`

use clap::Subcommand;
use serde_json::json;

use super::ask::{Ask, path_part};

#[derive(Subcommand)]
pub(super) enum InventoryCommand {
    /// Asks for a report now, also of a disabled configuration. It is made soon after.
    Run {
        /// The bucket.
        bucket: String,
        /// The id of its inventory configuration.
        id: String,
    },
}

pub(super) async fn run(ask: &Ask, command: InventoryCommand) -> anyhow::Result<()> {
    let InventoryCommand::Run { bucket, id } = command;
    let (bucket, id) = (path_part("BUCKET", &bucket)?, path_part("ID", &id)?);
    ask.change(&format!("inventory/{bucket}/{id}/run"), &json!({})).await
}
