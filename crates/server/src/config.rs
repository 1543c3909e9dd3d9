//! Configuration of the cluster roles: one TOML file, every key of which can be
//! overridden by an environment variable `SHARDLAKE_SECTION__KEY` and by a flag
//! `--set section.key=value`. Unknown keys are refused.
//!
//! `docs/configuration.md` describes every key; a test keeps the two in step.

pub(crate) mod events;
pub(crate) mod restore;
pub(crate) mod storage_classes;

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf};

use figment::{
    Figment,
    providers::{Env, Format, Serialized, Toml},
    value::Value,
};
use placement::Domain;
use serde::{Deserialize, Serialize};
use types::{DiskClass, ErasurePolicy, NodeId};

use self::{
    events::EventsSection, restore::RestoreSection, storage_classes::StorageClassesSection,
};
use crate::{credentials::Credentials, error::UserError, secret::Secret};

/// The whole file.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    /// What all nodes of a cluster agree on.
    pub(crate) cluster: ClusterSection,
    /// This node.
    pub(crate) node: NodeSection,
    /// The S3 endpoint (gateway role).
    pub(crate) gateway: GatewaySection,
    /// Health, metrics, admin API and status page (every role).
    pub(crate) admin: AdminSection,
    /// The root account (gateway role; the others need it only for the admin API).
    pub(crate) root: RootSection,
    /// Logging.
    pub(crate) log: LogSection,
    /// Background work (metadata role).
    pub(crate) workers: WorkersSection,
    /// Lifecycle rules (metadata and gateway roles).
    pub(crate) lifecycle: LifecycleSection,
    /// How long restores of archived objects take (gateway role).
    pub(crate) restore: RestoreSection,
    /// What becomes of objects by their storage class (metadata role).
    pub(crate) storage_classes: StorageClassesSection,
    /// Where events go (metadata and gateway roles).
    pub(crate) events: EventsSection,
}

/// `[cluster]`: the same on all nodes.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ClusterSection {
    /// A label for people.
    pub(crate) name: String,
    /// The shared secret of the cluster's nodes, at least 16 bytes.
    pub(crate) secret: Secret,
    /// A file that holds the secret instead; surrounding white space is ignored.
    pub(crate) secret_file: Option<PathBuf>,
    /// Erasure policy of new blobs, `rs-K-M`.
    pub(crate) policy: String,
    /// Index partitions; fixed when the cluster is made.
    pub(crate) partitions: u32,
    /// Placement groups are made once so many disks have registered.
    pub(crate) initial_disks: u32,
    /// What one failure may take: `disk`, `node` or `rack`.
    pub(crate) domain: String,
    /// Every metadata node as `id@host:port`.
    pub(crate) meta: Vec<String>,
}

impl Default for ClusterSection {
    fn default() -> Self {
        Self {
            name: "shardlake".into(),
            secret: Secret::default(),
            secret_file: None,
            policy: "rs-4-2".into(),
            partitions: 16,
            initial_disks: 6,
            domain: "node".into(),
            meta: Vec::new(),
        }
    }
}

/// `[node]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct NodeSection {
    /// Id of a metadata node, as in `cluster.meta`. Data nodes are given theirs.
    pub(crate) id: u64,
    /// Folder of the node's own state.
    pub(crate) data: PathBuf,
    /// Where the internal service listens.
    pub(crate) listen: SocketAddr,
    /// How other nodes reach it, `host:port`; the listen address if empty.
    pub(crate) advertise: String,
    /// Failure domain, widest.
    pub(crate) zone: String,
    /// Failure domain within the zone.
    pub(crate) rack: String,
    /// One folder a disk (data role): fast ones.
    pub(crate) disks: Vec<PathBuf>,
    /// Disks of class `warm`.
    pub(crate) warm_disks: Vec<PathBuf>,
    /// Disks of class `cold`.
    pub(crate) cold_disks: Vec<PathBuf>,
}

impl NodeSection {
    /// The folders of all disks with their class. Refuses none, and one that is named twice.
    pub(crate) fn all_disks(&self) -> Result<Vec<(PathBuf, DiskClass)>, UserError> {
        let lists = [
            (&self.disks, DiskClass::Hot),
            (&self.warm_disks, DiskClass::Warm),
            (&self.cold_disks, DiskClass::Cold),
        ];
        let mut all: Vec<(PathBuf, DiskClass)> = Vec::new();
        for (folder, class) in
            lists.iter().flat_map(|(list, class)| list.iter().map(|f| (f, *class)))
        {
            if all.iter().any(|(known, _)| known == folder) {
                return Err(UserError::new(format!(
                    "node.disks, warm_disks, cold_disks: {} is named twice",
                    folder.display()
                )));
            }
            all.push((folder.clone(), class));
        }
        if all.is_empty() {
            return Err(UserError::new(
                "node.disks: name at least one folder (or one of warm_disks or cold_disks)",
            ));
        }
        Ok(all)
    }
}

impl Default for NodeSection {
    fn default() -> Self {
        Self {
            id: 0,
            data: PathBuf::from("data"),
            listen: SocketAddr::from(([127, 0, 0, 1], 7000)),
            advertise: String::new(),
            zone: String::new(),
            rack: String::new(),
            disks: Vec::new(),
            warm_disks: Vec::new(),
            cold_disks: Vec::new(),
        }
    }
}

/// `[gateway]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct GatewaySection {
    /// Where S3 listens.
    pub(crate) listen: SocketAddr,
    /// Domains under which `BUCKET.DOMAIN` names a bucket; `localhost` always works.
    pub(crate) domains: Vec<String>,
    /// The domain under which `BUCKET.DOMAIN` serves the website of a bucket that has one, to
    /// everybody. Empty: there are no websites.
    pub(crate) website_domain: String,
    /// How long lines of server access logs are collected at most before they are delivered.
    pub(crate) access_log_seconds: u64,
    /// The region that the endpoint says it is.
    pub(crate) region: String,
    /// Stripe buffers that all requests together may hold, in MiB.
    pub(crate) buffer_mib: u64,
}

impl Default for GatewaySection {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 9000)),
            domains: Vec::new(),
            website_domain: String::new(),
            access_log_seconds: 300,
            region: "us-east-1".into(),
            buffer_mib: 512,
        }
    }
}

/// `[admin]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct AdminSection {
    /// Where the second port listens.
    pub(crate) listen: SocketAddr,
}

impl Default for AdminSection {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 9001)) }
    }
}

/// `[root]`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RootSection {
    /// Access key id.
    pub(crate) access_key: String,
    /// Secret access key.
    pub(crate) secret_key: Secret,
}

/// `[log]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct LogSection {
    /// One JSON object a line instead of text.
    pub(crate) json: bool,
    /// Levels by module, as `info` or `objects=debug,warn`.
    pub(crate) filter: String,
}

impl Default for LogSection {
    fn default() -> Self {
        Self { json: false, filter: "info,openraft=warn".into() }
    }
}

/// `[workers]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct WorkersSection {
    /// Deleted bytes stay so long for the reads that are under way, in seconds.
    pub(crate) gc_grace_s: u64,
    /// A shard that was never committed is swept so long after its write's deadline, in seconds.
    pub(crate) orphan_grace_s: u64,
    /// How often the orphan sweep walks all inventories, in seconds.
    pub(crate) orphan_interval_s: u64,
    /// A disk that has not answered for so long has lost its ranks, in seconds.
    pub(crate) down_grace_s: u64,
    /// The same for groups that can lose one more disk at most, in seconds.
    pub(crate) endangered_grace_s: u64,
    /// Bytes that healing writes to each disk while the data is in no danger, in MiB/s.
    pub(crate) heal_mib_per_s: u64,
    /// In which time the scrub reads every byte, in seconds.
    pub(crate) scrub_period_s: u64,
    /// How often the scrub compares the inventories of every group, in seconds.
    pub(crate) scrub_inventory_s: u64,
    /// A write must commit within this time of its beginning, in seconds.
    pub(crate) write_deadline_s: u64,
}

impl WorkersSection {
    /// The shortest grace of deleted bytes. A shard that comes late, up to 5 s after its
    /// commit, is confirmed without asking the index: it must not outlive the collection.
    const GC_GRACE_S_MIN: u64 = 10;
    /// The shortest period of the scrub: a shorter one would only be a full load.
    const SCRUB_S_MIN: u64 = 60;
    /// The shortest time for a write.
    const WRITE_DEADLINE_S_MIN: u64 = 60;

    /// Refuses times under which the promises would not hold. `prefix` goes before the
    /// names in the message.
    pub(crate) fn check(&self, prefix: &str) -> Result<(), UserError> {
        if self.gc_grace_s < Self::GC_GRACE_S_MIN {
            let min = Self::GC_GRACE_S_MIN;
            return Err(UserError::new(format!(
                "{prefix}gc_grace_s: choose {min} seconds or more"
            )));
        }
        if self.write_deadline_s < Self::WRITE_DEADLINE_S_MIN {
            let min = Self::WRITE_DEADLINE_S_MIN;
            let text = format!("{prefix}write_deadline_s: choose {min} seconds or more");
            return Err(UserError::new(text));
        }
        if self.heal_mib_per_s == 0 {
            return Err(UserError::new(format!(
                "{prefix}heal_mib_per_s: choose 1 or more; `shardlake admin workers cancel heal` holds \
                 healing"
            )));
        }
        if self.endangered_grace_s > self.down_grace_s {
            return Err(UserError::new(format!(
                "{prefix}endangered_grace_s: choose {prefix}down_grace_s ({}) or less: what is in danger \
                 does not wait longer than the rest",
                self.down_grace_s
            )));
        }
        for (name, seconds) in
            [("scrub_period_s", self.scrub_period_s), ("scrub_inventory_s", self.scrub_inventory_s)]
        {
            if seconds < Self::SCRUB_S_MIN {
                let min = Self::SCRUB_S_MIN;
                return Err(UserError::new(format!(
                    "{prefix}{name}: choose {min} seconds or more"
                )));
            }
        }
        Ok(())
    }
}

impl Default for WorkersSection {
    fn default() -> Self {
        Self {
            gc_grace_s: 3600,
            orphan_grace_s: 24 * 3600,
            orphan_interval_s: 6 * 3600,
            down_grace_s: 15 * 60,
            endangered_grace_s: 30,
            heal_mib_per_s: 30,
            scrub_period_s: 14 * 24 * 3600,
            scrub_inventory_s: 24 * 3600,
            write_deadline_s: 6 * 3600,
        }
    }
}

/// `[lifecycle]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct LifecycleSection {
    /// How long a day of lifecycle rules is, in seconds; the same on all nodes.
    pub(crate) day_seconds: u64,
}

impl LifecycleSection {
    /// Refuses a day without length. `name` is what the message calls it.
    pub(crate) fn check(&self, name: &str) -> Result<(), UserError> {
        match self.day_seconds {
            0 => Err(UserError::new(format!("{name}: a day has 1 second or more"))),
            _ => Ok(()),
        }
    }

    /// A day in milliseconds.
    pub(crate) fn day_ms(&self) -> u64 {
        self.day_seconds.saturating_mul(1000)
    }
}

impl Default for LifecycleSection {
    fn default() -> Self {
        Self { day_seconds: 24 * 3600 }
    }
}

impl Config {
    /// The file, then `SHARDLAKE_SECTION__KEY` variables, then `section.key=value` flags.
    pub(crate) fn load(file: &std::path::Path, sets: &[String]) -> Result<Self, UserError> {
        let shown = file.display();
        let text = std::fs::read_to_string(file)
            .map_err(|error| UserError::new(format!("config file {shown}: {error}")))?;
        let variables = Env::prefixed("SHARDLAKE_")
            .filter(|key| key.as_str().contains("__"))
            .split("__")
            .iter()
            .map(|(key, text)| (StorageClassesSection::key_of_variable(key.as_str()), text))
            .collect::<Vec<_>>();
        let mut config = Self::parse(&text, &variables, sets)
            .map_err(|error| UserError::new(format!("config file {shown}: {error}")))?;
        config.take_root_from_environment();
        config.take_secret_from_file()?;
        Ok(config)
    }

    /// The text of a file under variables (`section.key` and text) under flags.
    fn parse(text: &str, variables: &[(String, String)], sets: &[String]) -> Result<Self, String> {
        let defaults = Value::serialize(Config::default()).map_err(|error| error.to_string())?;
        let is_text = |key: &str| matches!(defaults.find_ref(key), Some(Value::String(..)));
        let mut figment =
            Figment::from(Serialized::defaults(Config::default())).merge(Toml::string(text));
        for (key, text) in variables {
            let value = match is_text(key) && !text.starts_with('"') {
                true => text.as_str().into(),
                false => text.parse::<Value>().unwrap_or_else(|never| match never {}),
            };
            figment = figment.merge((key.as_str(), value));
        }
        for set in sets {
            let (key, text) = set
                .split_once('=')
                .ok_or_else(|| format!("--set {set:?}: write section.key=value"))?;
            let value = match is_text(key) && !text.starts_with('"') {
                true => text.into(),
                false => toml_value(text),
            };
            figment = figment.merge((key, value));
        }
        // What follows the first line shows the file's own text, which may be a secret.
        let first_line = |text: String| text.lines().next().unwrap_or_default().to_owned();
        figment.extract().map_err(|error| first_line(error.to_string()))
    }

    /// The two variables that `shardlake dev` documents work for every role. An empty one
    /// is none: container files pass on what is not set as empty.
    fn take_root_from_environment(&mut self) {
        let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        if let Some(key) = variable("SHARDLAKE_ROOT_ACCESS_KEY") {
            self.root.access_key = key;
        }
        if let Some(key) = variable("SHARDLAKE_ROOT_SECRET_KEY") {
            self.root.secret_key = Secret(key);
        }
    }

    fn take_secret_from_file(&mut self) -> Result<(), UserError> {
        if let Some(path) = &self.cluster.secret_file {
            let text = std::fs::read_to_string(path).map_err(|error| {
                UserError::new(format!("cluster.secret_file {}: {error}", path.display()))
            })?;
            self.cluster.secret = Secret(text.trim().to_owned());
        }
        if self.cluster.secret.0.len() < 16 {
            return Err(UserError::new(
                "cluster.secret: give every node of the cluster the same random secret of at \
                 least 16 bytes (for example from `openssl rand -hex 32`)",
            ));
        }
        Ok(())
    }

    /// Refuses values that this role does not use but that would be wrong on another.
    pub(crate) fn check(&self) -> Result<(), UserError> {
        self.policy()?;
        self.domain()?;
        self.workers.check("workers.")?;
        self.lifecycle.check("lifecycle.day_seconds")?;
        self.storage_classes.overrides()?;
        self.events.check()?;
        self.meta().map(|_| ())
    }

    /// `cluster.policy`.
    pub(crate) fn policy(&self) -> Result<ErasurePolicy, UserError> {
        self.cluster
            .policy
            .parse()
            .map_err(|error| UserError::new(format!("cluster.policy: {error}")))
    }

    /// `cluster.domain`.
    pub(crate) fn domain(&self) -> Result<Domain, UserError> {
        match self.cluster.domain.as_str() {
            "disk" => Ok(Domain::Disk),
            "node" => Ok(Domain::Node),
            "rack" => Ok(Domain::Rack),
            other => Err(UserError::new(format!(
                "cluster.domain: {other:?} is not one of disk, node, rack"
            ))),
        }
    }

    /// `cluster.meta` as ids and addresses.
    pub(crate) fn meta(&self) -> Result<BTreeMap<NodeId, String>, UserError> {
        let mut nodes = BTreeMap::new();
        for entry in &self.cluster.meta {
            let wrong = || {
                UserError::new(format!(
                    "cluster.meta: {entry:?} is not of the form id@host:port with an id of 1 to 1000"
                ))
            };
            let (id, address) = entry.split_once('@').ok_or_else(wrong)?;
            let id = id.parse().ok().filter(|id| (1..=1000).contains(id)).ok_or_else(wrong)?;
            if !address.contains(':') {
                return Err(wrong());
            }
            if nodes.insert(NodeId(id), address.to_owned()).is_some() {
                return Err(UserError::new(format!("cluster.meta: id {id} is listed twice")));
            }
        }
        if nodes.is_empty() {
            return Err(UserError::new("cluster.meta: list every metadata node as id@host:port"));
        }
        Ok(nodes)
    }

    /// The root account, if it is configured.
    pub(crate) fn credentials(&self) -> Result<Option<Credentials>, UserError> {
        if self.root.access_key.is_empty() && self.root.secret_key.0.is_empty() {
            return Ok(None);
        }
        Credentials::new(&self.root.access_key, &self.root.secret_key.0).map(Some)
    }

    /// `node.advertise`, or the listen address. One that means every address of a machine
    /// is refused: whoever dials it reaches himself.
    pub(crate) fn advertise(&self) -> Result<String, UserError> {
        if !self.node.advertise.is_empty() {
            return Ok(self.node.advertise.clone());
        }
        if self.node.listen.ip().is_unspecified() {
            return Err(UserError::new(format!(
                "node.advertise: say as host:port how other nodes reach this one, for it listens \
                 on every address ({})",
                self.node.listen
            )));
        }
        Ok(self.node.listen.to_string())
    }
}

/// A flag's value as TOML if it is some (numbers, booleans, arrays), else as text.
fn toml_value(text: &str) -> figment::value::Value {
    let parsed = toml::from_str::<BTreeMap<String, figment::value::Value>>(&format!("v = {text}"));
    match parsed {
        Ok(mut table) => table.remove("v").unwrap_or_else(|| text.into()),
        Err(_) => text.into(),
    }
}

#[cfg(test)]
mod tests;
