//! `shardlake admin node`

#![allow(clippy::print_stdout, reason = "the command line's own voice")]

use admin::model::JoinSettings;
use clap::{Args, Subcommand};
use serde_json::json;

use super::{ask::Ask, table};

#[derive(Subcommand)]
pub(super) enum NodeCommand {
    /// Metadata and data nodes with zone, rack and feature level.
    List,
    /// Shows the configuration with which a new data node joins: it registers itself when it starts.
    Add(AddArgs),
    /// Empties all disks of a data node, then they are out.
    Drain {
        /// The node.
        node: u64,
    },
    /// Forgets a data node whose disks are out and empty.
    Remove {
        /// The node.
        node: u64,
    },
}

#[derive(Args)]
pub(super) struct AddArgs {
    /// How the others reach it, HOST:PORT.
    #[arg(long, default_value = "HOST:7000")]
    advertise: String,
    /// A folder of the new node for each disk. May be repeated.
    #[arg(long = "disk", default_value = "/srv/shardlake/disk-0")]
    disks: Vec<String>,
    /// Its failure domains.
    #[arg(long, default_value = "")]
    zone: String,
    #[arg(long, default_value = "")]
    rack: String,
}

pub(super) async fn run(ask: &Ask, command: NodeCommand) -> anyhow::Result<()> {
    match command {
        NodeCommand::Drain { node } => ask.change(&format!("nodes/{node}/drain"), &json!({})).await,
        NodeCommand::Remove { node } => {
            ask.change(&format!("nodes/{node}/remove"), &json!({})).await
        }
        NodeCommand::List => ask.print("nodes", super::TIMEOUT).await,
        NodeCommand::Add(args) => {
            let settings: JoinSettings = ask.read("join").await?;
            if ask.json {
                table::print_json(&json!({ "config": configuration(&settings, &args) }));
            } else {
                println!("{}", configuration(&settings, &args));
            }
            Ok(())
        }
    }
}

/// The file of the new node.
fn configuration(settings: &JoinSettings, args: &AddArgs) -> String {
    // A TOML array of basic strings is written as a JSON one.
    let list = |items: &[String]| json!(items).to_string();
    let text = |text: &str| json!(text).to_string();
    let port = args.advertise.rsplit(':').next().unwrap_or("7000");
    format!(
        "# On the new machine: shardlake data --config FILE with this file. The node registers itself;\n\
         # the cluster then moves the new disks' share of the data to them.\n\
         [cluster]\n\
         secret_file = \"/etc/shardlake/secret\" # a file with the secret of the other nodes, mode 0600\n\
         meta = {}\n\
         policy = {}\n\
         partitions = {}\n\
         domain = {}\n\
         \n\
         [node]\n\
         data = \"/var/lib/shardlake\"\n\
         listen = {}\n\
         advertise = {}\n\
         zone = {}\n\
         rack = {}\n\
         disks = {}\n\
         \n\
         # For its admin API: the root account, here or as SHARDLAKE_ROOT_ACCESS_KEY and _SECRET_KEY.\n\
         [admin]\n\
         listen = \"127.0.0.1:9001\"",
        list(&settings.meta),
        text(&settings.policy),
        settings.partitions,
        text(&settings.domain),
        text(&format!("0.0.0.0:{port}")),
        text(&args.advertise),
        text(&args.zone),
        text(&args.rack),
        list(&args.disks),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    /// What is shown must be a configuration that a data node takes.
    #[test]
    fn the_new_nodes_configuration_is_one() {
        let settings = JoinSettings {
            meta: vec!["1@10.0.0.1:7000".to_owned(), "2@10.0.0.2:7000".to_owned()],
            policy: "rs-4-2".to_owned(),
            partitions: 16,
            domain: "rack".to_owned(),
        };
        let args = AddArgs {
            advertise: "10.0.0.9:7001".to_owned(),
            disks: vec!["/srv/\"a\"".to_owned(), "/srv/b".to_owned()],
            zone: "z1".to_owned(),
            rack: "r\\9".to_owned(),
        };
        let dir = tempfile::tempdir().expect("a folder");
        let secret = dir.path().join("secret");
        std::fs::write(&secret, "0123456789abcdef0123456789abcdef").expect("written");
        let text = configuration(&settings, &args);
        let text = text.replace("/etc/shardlake/secret", secret.to_str().expect("UTF-8"));
        let file = dir.path().join("config.toml");
        std::fs::write(&file, text).expect("written");
        let config = Config::load(&file, &[]).expect("a configuration");
        config.check().expect("of good values");
        assert_eq!(config.meta().expect("two").len(), 2);
        assert_eq!(config.domain().expect("valid"), placement::Domain::Rack);
        assert_eq!(config.advertise().expect("said"), "10.0.0.9:7001");
        assert_eq!((config.node.zone.as_str(), config.node.rack.as_str()), ("z1", "r\\9"));
        assert_eq!(config.node.all_disks().expect("two")[0].0.to_str(), Some("/srv/\"a\""));
    }
}
