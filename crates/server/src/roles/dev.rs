//! `shardlake dev`: everything in one process over one folder, with no configuration.
//! One metadata replica, some data disks (folders), the S3 endpoint, the second port.
//! One failure here is a disk, since there is only one node.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use clap::Args;
use cluster::Metadata;
use metastore::ControllerSettings;
use placement::Domain;
use types::{
    ClusterId, ClusterMap, DiskClass, ErasurePolicy, Location, NodeId, Role, StorageClasses,
};
use uuid::Uuid;

use super::{
    clock,
    data_part::{DataPart, Registration},
    disk_adding::DiskAdding,
    gateway_part::{self, GatewayPart},
    meta_part::{Me, MetaPart, NoPeers},
    network, workers_part,
};
use crate::{
    added_disks::AddedDisks,
    admin_port,
    admin_source::Source,
    config::{
        GatewaySection, LifecycleSection, WorkersSection,
        events::EventsSection,
        restore::RestoreSection,
        storage_classes::{self, Overrides},
    },
    credentials::{Credentials, Source as CredentialsSource},
    error::UserError,
    identity::{Fixed, Identity},
    ready::Ready,
    shutdown,
};

/// The folder unless told otherwise.
pub(crate) const DATA_DEFAULT: &str = "data";

/// The one metadata node and the first data node share a process, not an id.
const META_NODE: NodeId = NodeId(1);

/// Index partitions of a new folder.
const PARTITIONS: u32 = 4;

/// `shardlake dev`
#[derive(Args)]
pub(crate) struct DevArgs {
    /// The folder of everything.
    #[arg(long, default_value = DATA_DEFAULT, env = "SHARDLAKE_DATA")]
    data: PathBuf,
    /// Where S3 listens.
    #[arg(long, default_value = "127.0.0.1:9000", env = "SHARDLAKE_LISTEN")]
    listen: SocketAddr,
    /// Where health, metrics, admin API and status page listen; the S3 port + 1 by default.
    #[arg(long, env = "SHARDLAKE_ADMIN_LISTEN")]
    admin_listen: Option<SocketAddr>,
    /// Data disks (folders `disk-0` ...); fixed when the folder is made; 6 by default.
    #[arg(long, env = "SHARDLAKE_DISKS")]
    disks: Option<u32>,
    /// Erasure policy; fixed when the folder is made; rs-4-2 by default.
    #[arg(long, env = "SHARDLAKE_POLICY")]
    policy: Option<String>,
    /// What becomes of new objects of a storage class, as `GLACIER=rs-3-3:cold:zstd`; what is left
    /// out keeps its default. All disks are hot. May be repeated.
    #[arg(long = "storage-class", value_name = "NAME=POLICY:DISKS:COMPRESSION")]
    storage_classes: Vec<String>,
    /// Domains under which BUCKET.DOMAIN names a bucket. May be repeated.
    #[arg(long = "domain")]
    domains: Vec<String>,
    /// The domain under which BUCKET.DOMAIN serves the website of a bucket that has one, to
    /// everybody; there are no websites without.
    #[arg(long, env = "SHARDLAKE_WEBSITE_DOMAIN")]
    website_domain: Option<String>,
    /// Deleted bytes stay so long, in seconds, for the reads that are under way.
    #[arg(long, env = "SHARDLAKE_GC_GRACE_S")]
    gc_grace_s: Option<u64>,
    /// How long a day of lifecycle rules is, in seconds: short ones try rules out.
    #[arg(long, env = "SHARDLAKE_LIFECYCLE_DAY_SECONDS")]
    lifecycle_day_seconds: Option<u64>,
    /// How long every restore of an archived object takes, in seconds: short ones try it out.
    #[arg(long, env = "SHARDLAKE_RESTORE_SECONDS")]
    restore_seconds: Option<u64>,
    /// A webhook that notifications of buckets can name. May be repeated.
    #[arg(long = "event-target", value_name = "NAME=URL")]
    event_targets: Vec<String>,
    /// Logs as JSON.
    #[arg(long, env = "SHARDLAKE_LOG_JSON")]
    log_json: bool,
    /// Log levels by module.
    #[arg(long, default_value = "warn,shardlake=info", env = "SHARDLAKE_LOG")]
    log: String,
    /// Writes one line of JSON with the endpoints and credentials here once it serves.
    #[arg(long)]
    ready_file: Option<PathBuf>,
}

/// Runs until a signal.
pub(crate) async fn run(args: DevArgs) -> anyhow::Result<()> {
    let stop = shutdown::on_signal()?;
    let workers_section = WorkersSection {
        gc_grace_s: args.gc_grace_s.unwrap_or(WorkersSection::default().gc_grace_s),
        ..WorkersSection::default()
    };
    workers_section.check("--")?;
    let lifecycle = args
        .lifecycle_day_seconds
        .map_or_else(LifecycleSection::default, |day_seconds| LifecycleSection { day_seconds });
    lifecycle.check("--lifecycle-day-seconds")?;
    let restore = args.restore_seconds.map_or_else(RestoreSection::default, RestoreSection::all);
    let overrides = storage_classes::of_flags(&args.storage_classes)?;
    let events = EventsSection::of_flags(&args.event_targets)?;
    let event_settings = events.settings()?;
    telemetry::init(telemetry::Settings { json: args.log_json, filter: args.log.clone() })
        .map_err(|error| UserError::new(format!("--log: {error}")))?;
    let metrics = telemetry::metrics::install();
    let listener = network::bind(args.listen, "--listen").await?;
    let admin_listener = network::bind(admin_address(&args), "--admin-listen").await?;
    let (identity, policy) = identity(&args, &overrides)?;
    let (credentials, credentials_source) =
        Credentials::for_folder(&args.data.join("credentials.json"))?;

    let me = Me { cluster: identity.cluster, node: META_NODE, instance: identity.instance };
    let meta = MetaPart::open(
        &args.data.join("meta"),
        me,
        identity.fixed.partitions,
        Some(BTreeMap::from([(META_NODE, String::from("in-process"))])),
        Arc::new(NoPeers),
    )
    .await?;
    meta.bootstrap(identity.cluster, policy, identity.fixed.partitions).await?;
    let disks = usize::try_from(identity.fixed.disks).expect("32 bits fit");
    let classes = overrides.clone();
    // All the disks of the first groups are announced: none needs to be waited for.
    let settle = Duration::ZERO;
    let settings = ControllerSettings::new(disks, Domain::Disk);
    meta.control(ControllerSettings { classes, settle, ..settings });

    let (metadata, shards, data_nodes) = network::in_process(META_NODE, meta.node.clone());
    let registration = Registration {
        id: None,
        instance: identity.instance,
        role: Role::Data,
        address: String::from("in-process"),
        location: Location::default(),
    };
    let added = AddedDisks::read(&args.data)?;
    let first =
        (0..identity.fixed.disks).map(|n| (args.data.join(format!("disk-{n}")), DiskClass::Hot));
    let folders: Vec<(PathBuf, DiskClass)> = first.chain(added.folders()).collect();
    let data = DataPart::open(&folders, identity.cluster, &registration, &metadata).await?;
    data_nodes.add_local(data.node, data.service.clone());
    data.report(metadata.clone(), stop.clone());
    let following = metadata.clone();
    tokio::spawn(async move { following.keep_map_fresh().await });

    let gateway_section = GatewaySection {
        domains: args.domains.clone(),
        website_domain: args.website_domain.clone().unwrap_or_default(),
        ..GatewaySection::default()
    };
    let objects = objects::Objects::new(
        metadata.clone(),
        shards.clone(),
        clock(),
        gateway_part::object_settings(&gateway_section, &workers_section),
    );
    let workers = workers_part::start(
        objects.clone(),
        &workers_section,
        &lifecycle,
        event_settings,
        stop.clone(),
        &meta.node,
        Domain::Disk,
    );
    // A signal ends the waiting; what follows then starts and stops in order.
    let classes = metastore::controller::storage_classes(policy, &overrides);
    stop.run_until_cancelled(wait_for_groups(&metadata, &classes)).await;
    let gateway = GatewayPart::start(
        listener,
        objects,
        &credentials,
        &gateway_section,
        s3::Settings {
            lifecycle_day_ms: lifecycle.day_ms(),
            restore_tiers: restore.tiers(),
            event_targets: events.names(),
            ..s3::Settings::default()
        },
        stop.clone(),
    )?;
    let below = Some(args.data.clone());
    let adding = DiskAdding::new(&data, &folders, added, identity.cluster, metadata.clone(), below);
    adding.follow_removals(stop.clone());
    let source = Arc::new(Source::new(metadata, shards, Domain::Disk).with_disks(adding));
    let (admin, admin_task) =
        admin_port::serve(admin_listener, source, metrics, Some(&credentials), stop.clone())?;
    Ready::new(Some(gateway.address), admin, Some(&credentials))
        .write(args.ready_file.as_deref())?;
    greet(
        &args.data,
        policy,
        folders.len(),
        gateway.address,
        admin,
        &credentials,
        credentials_source,
    );

    gateway.finished().await?;
    workers.finished().await;
    admin_task.await?;
    data.service.close().await?;
    meta.host.shutdown().await;
    Ok(())
}

/// The next port after S3's, on the same address; any free one if S3 takes any.
fn admin_address(args: &DevArgs) -> SocketAddr {
    args.admin_listen.unwrap_or_else(|| {
        let port = match args.listen.port() {
            0 => 0,
            port => port.checked_add(1).unwrap_or(9001),
        };
        SocketAddr::new(args.listen.ip(), port)
    })
}

/// The folder's identity, made on the first start. What was fixed then may be named
/// again, not changed.
fn identity(args: &DevArgs, overrides: &Overrides) -> Result<(Identity, ErasurePolicy), UserError> {
    let parse = |text: &str| -> Result<ErasurePolicy, UserError> {
        text.parse().map_err(|error| UserError::new(format!("--policy: {error}")))
    };
    if let Some(known) = Identity::read(&args.data, "dev")? {
        let changed = |flag: &str, is: &dyn std::fmt::Display| {
            UserError::new(format!(
                "{flag}: {} was made with {is}, which cannot be changed; leave the flag out, or \
                 name another folder with --data",
                args.data.display()
            ))
        };
        if args.disks.is_some_and(|disks| disks != known.fixed.disks) {
            return Err(changed("--disks", &known.fixed.disks));
        }
        let policy = parse(&known.fixed.policy)?;
        if let Some(text) = &args.policy
            && parse(text)? != policy
        {
            return Err(changed("--policy", &policy));
        }
        check_policies(overrides, known.fixed.disks)?;
        return Ok((known, policy));
    }
    let policy = parse(args.policy.as_deref().unwrap_or("rs-4-2"))?;
    let disks = args.disks.unwrap_or(6);
    if !(policy.n()..=64).contains(&usize::try_from(disks).unwrap_or(0)) {
        return Err(UserError::new(format!(
            "--disks: {policy} needs at least {} disks (and 64 are the most); choose a number \
             between, or another --policy",
            policy.n()
        )));
    }
    check_policies(overrides, disks)?;
    let fixed = Fixed { policy: policy.to_string(), partitions: PARTITIONS, disks };
    let new = Identity::new("dev", ClusterId(Uuid::new_v4()), Some(META_NODE), fixed);
    new.write(&args.data)?;
    Ok((new, policy))
}

/// Refuses policies of storage classes that the disks do not allow.
fn check_policies(overrides: &Overrides, disks: u32) -> Result<(), UserError> {
    for (class, said) in overrides {
        if let Some(policy) = said.policy
            && policy.n() > usize::try_from(disks).unwrap_or(usize::MAX)
        {
            return Err(UserError::new(format!(
                "--storage-class: {policy} for {class} needs {} disks and there are {disks}; \
                 choose a smaller policy, or a new folder with more --disks",
                policy.n()
            )));
        }
    }
    Ok(())
}

/// The first start, and one with other storage classes, makes placement groups; before that no
/// PUT to them can succeed.
async fn wait_for_groups(metadata: &cluster::MetadataClient, classes: &StorageClasses) {
    let settled = |map: &ClusterMap| {
        map.classes == *classes
            && classes.iter().all(|(_, profile)| !map.groups_for(profile).is_empty())
    };
    while !settled(&metadata.map()) {
        let _ = metadata.refresh_map().await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// What a person needs to go on. The generated secret is shown this one time.
#[allow(clippy::print_stdout, reason = "the command line's own voice")]
fn greet(
    data: &Path,
    policy: ErasurePolicy,
    disks: usize,
    s3: SocketAddr,
    admin: SocketAddr,
    credentials: &Credentials,
    source: CredentialsSource,
) {
    let Credentials { access_key, secret_key } = credentials;
    let kept = data.join("credentials.json");
    println!("Shardlake serves S3 at       http://{s3}");
    println!("status page, health, metrics http://{admin}");
    println!("data                         {} ({disks} disks, {policy})", data.display());
    match source {
        CredentialsSource::Generated => {
            println!("access key                   {access_key}");
            println!(
                "secret key                   {}   (shown once; kept in {})",
                secret_key.0,
                kept.display()
            );
        }
        CredentialsSource::Kept => {
            println!("credentials                  in {}", kept.display());
        }
        CredentialsSource::Environment => {
            println!("credentials                  from the environment");
        }
    }
    println!("\nPaste for the aws command line:");
    let secret = match source {
        CredentialsSource::Generated => secret_key.0.clone(),
        CredentialsSource::Kept => {
            format!("$(sed -n 's/.*\"secret_key\": *\"\\([^\"]*\\)\".*/\\1/p' {})", kept.display())
        }
        CredentialsSource::Environment => "$SHARDLAKE_ROOT_SECRET_KEY".into(),
    };
    println!("export AWS_ACCESS_KEY_ID={access_key} AWS_SECRET_ACCESS_KEY={secret}");
    println!("export AWS_ENDPOINT_URL=http://{s3} AWS_DEFAULT_REGION=us-east-1");
    println!("aws s3 mb s3://first && aws s3 cp README.md s3://first/ && aws s3 ls s3://first");
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    const NONE: Overrides = Overrides::new();

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        dev: DevArgs,
    }

    fn args(words: &[&str]) -> DevArgs {
        Line::parse_from([&["dev"], words].concat()).dev
    }

    #[test]
    fn the_second_port_follows_the_first() {
        assert_eq!(admin_address(&args(&["--listen", "127.0.0.1:9100"])).port(), 9101);
        assert_eq!(admin_address(&args(&["--listen", "127.0.0.1:0"])).port(), 0);
        let both = ["--listen", "127.0.0.1:1", "--admin-listen", "127.0.0.1:7"];
        assert_eq!(admin_address(&args(&both)).port(), 7);
    }

    #[test]
    fn a_storage_class_that_has_too_few_disks_is_refused() {
        let dir = tempfile::tempdir().expect("a folder");
        let data = dir.path().join("new");
        let args = args(&["--data", data.to_str().expect("UTF-8")]);
        let flags = |text: &str| storage_classes::of_flags(&[text.to_owned()]).expect("parses");
        let wide = flags("GLACIER=rs-8-4");
        let error = identity(&args, &wide).expect_err("too few").to_string();
        assert!(error.contains("rs-8-4 for GLACIER needs 12 disks and there are 6"), "{error}");
        assert!(!data.try_exists().expect("readable"), "nothing was written");
        identity(&args, &flags("GLACIER=rs-3-3")).expect("made");
        identity(&args, &wide).expect_err("also later");
    }

    #[test]
    fn what_was_fixed_stays() {
        let dir = tempfile::tempdir().expect("a folder");
        let data = dir.path().to_str().expect("UTF-8");
        let (made, policy) =
            identity(&args(&["--data", data, "--disks", "9", "--policy", "rs-6-3"]), &NONE)
                .expect("made");
        assert_eq!((made.fixed.disks, policy.n()), (9, 9));
        let (again, _) = identity(&args(&["--data", data]), &NONE).expect("kept");
        assert_eq!(again, made);
        for wrong in [["--disks", "12"], ["--policy", "rs-4-2"]] {
            let error = identity(&args(&[&["--data", data][..], &wrong[..]].concat()), &NONE)
                .expect_err("changed")
                .to_string();
            assert!(error.contains("cannot be changed"), "{error}");
        }
    }

    #[test]
    fn too_few_disks_are_refused_before_anything_is_written() {
        let dir = tempfile::tempdir().expect("a folder");
        let data = dir.path().join("new");
        let error =
            identity(&args(&["--data", data.to_str().expect("UTF-8"), "--disks", "5"]), &NONE)
                .expect_err("too few")
                .to_string();
        assert!(error.contains("at least 6"), "{error}");
        assert!(!data.try_exists().expect("readable"), "nothing was written");
    }
}
