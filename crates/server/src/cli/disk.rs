//! `shardlake admin disk`

use admin::model::AddDisk;
use clap::Subcommand;

use super::ask::Ask;

#[derive(Subcommand)]
pub(super) enum DiskCommand {
    /// Disks with class, fill and state.
    List,
    /// Opens a folder as a disk of a running data node, now and at each start. Ask that node itself
    /// (--endpoint). A `shardlake dev` needs no arguments.
    Add {
        /// The node, so that a wrong endpoint is noticed.
        node: Option<u64>,
        /// The folder on that node, as an absolute path: empty, or not there yet.
        path: Option<String>,
        /// What the disk is for: hot, warm or cold.
        #[arg(long)]
        class: Option<String>,
    },
}

pub(super) async fn run(ask: &Ask, command: DiskCommand) -> anyhow::Result<()> {
    match command {
        DiskCommand::List => ask.print("disks", super::TIMEOUT).await,
        DiskCommand::Add { node, path, class } => {
            let request = serde_json::to_value(AddDisk { node, path, class })?;
            ask.change_slowly("disks", &request).await
        }
    }
}
