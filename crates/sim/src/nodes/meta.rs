//! A metadata node. The one that leads the root group also runs the cluster's workers.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use consensus::{
    ApplyContext, ConsensusGroup, Halt, Host, HostSettings, KvWrite, PeerDirectory, RaftTimings,
    StateMachine,
};
use metastore::{
    Controller, ControllerSettings, IndexMachine, MetaNode, RootMachine, api::RootCommand, presplit,
};
use parking_lot::Mutex;
use placement::Domain;
use platform::Clock;
use proto::{Peers, Services, meta::MetaService, raft::RaftService};
use types::{FeatureLevel, GroupId, Location, NodeId, Role};

use super::{Ended, Network, late::Late, patiently, serve, workers};
use crate::{
    invariants::promises,
    transport::address,
    world::{RunningMeta, World},
};

/// How often leadership is looked at.
const LOOK: Duration = Duration::from_millis(500);

/// Runs the metadata node of a site.
pub async fn meta(world: Arc<World>, number: usize) -> Ended {
    let site = &world.metas[number];
    let clock: Arc<dyn Clock> = site.clock.clone();
    let raft_peers = Network::new(&world, BTreeMap::new());
    let defaults = RaftTimings::default();
    let settings = HostSettings {
        dir: PathBuf::from(&site.host),
        cluster: world.cluster(),
        node: site.node,
        instance: world.instance(&site.host),
        clock: clock.clone(),
        timings: RaftTimings {
            snapshot_every: world.scenario.snapshot_every,
            logs_to_keep: world.scenario.snapshot_every / 4,
            ..defaults
        },
        on_fatal: world.on_fatal(&site.host),
    };
    let directory = Arc::new(RaftPeers(raft_peers.peers.clone()));
    let host = Host::open_in_memory(settings, site.disk.clone(), directory)?;
    let voters: BTreeMap<NodeId, String> =
        world.metas.iter().map(|site| (site.node, address(&site.host))).collect();
    let mut groups: BTreeMap<GroupId, Arc<dyn ConsensusGroup>> = BTreeMap::new();
    for group in world.groups() {
        let machine: Arc<dyn StateMachine> =
            if group == GroupId::ROOT { Arc::new(RootMachine) } else { Arc::new(IndexMachine) };
        let witness =
            Witness { world: world.clone(), node: site.node, group, machine, at: Mutex::default() };
        let replica = host.start_group(group, Arc::new(witness)).await?;
        if number == 0 {
            host.initialize(group, voters.clone()).await?;
        }
        groups.insert(group, replica);
    }
    let node = Arc::new(MetaNode::new(site.node, groups, clock.clone()));
    *site.running.lock() = Some(RunningMeta { host: host.clone(), node: node.clone() });

    let local: Arc<dyn MetaService> =
        Arc::new(Late { world: world.clone(), service: node.clone() });
    let services = Services {
        raft: Some(host.clone() as Arc<dyn RaftService>),
        meta: Some(local.clone()),
        shards: None,
    };
    let serving = tokio::task::spawn_local(serve(raft_peers.identity.clone(), services));
    let controller = ControllerSettings::new(world.scenario.datas, Domain::Node);
    tokio::spawn(Controller::new(node.clone(), controller).run());

    let root = node.group(GroupId::ROOT).ok_or("the root group was started")?;
    let scenario = &world.scenario;
    metastore::bootstrap(root, world.cluster(), scenario.policy, presplit(scenario.partitions))
        .await?;
    let network = Network::new(&world, BTreeMap::from([(site.node, local)]));
    network.follow_map();
    let register = RootCommand::RegisterNode {
        id: Some(site.node),
        instance: world.instance(&site.host),
        role: Role::Meta,
        address: address(&site.host),
        location: Location::default(),
        level: FeatureLevel::OURS,
    };
    patiently(&network.metadata, register).await?;

    let objects = network.objects(clock);
    tokio::task::spawn_local(async move {
        let mut running: Option<repair::Workers> = None;
        loop {
            match (node.leads_root(), running.take()) {
                (true, None) => {
                    world.note(&format!("{} runs the workers", world.metas[number].host));
                    running = Some(repair::start(&objects, &workers(true)));
                }
                (true, some) => running = some,
                (false, Some(workers)) => workers.shutdown().await,
                (false, None) => {}
            }
            tokio::time::sleep(LOOK).await;
        }
    });
    serving.await?
}

struct RaftPeers(Arc<Peers>);

impl PeerDirectory for RaftPeers {
    fn connect(&self, _node: NodeId, address: &str) -> Arc<dyn RaftService> {
        Arc::new(self.0.raft(address))
    }
}

/// A state machine that tells the world what it was given and what it answered.
struct Witness {
    world: Arc<World>,
    node: NodeId,
    group: GroupId,
    machine: Arc<dyn StateMachine>,
    /// The entry that is being applied, and how many commands of it were.
    at: Mutex<(u64, u32)>,
}

impl StateMachine for Witness {
    fn apply(
        &self,
        rows: &mut dyn KvWrite,
        context: ApplyContext,
        command: &[u8],
    ) -> Result<bytes::Bytes, Halt> {
        let noticed = promises::notice(self.group, &*rows, command);
        let answer = self.machine.apply(rows, context, command);
        let number = {
            let mut at = self.at.lock();
            *at = if at.0 == context.index { (at.0, at.1 + 1) } else { (context.index, 0) };
            at.1
        };
        let mut hasher = blake3::Hasher::new();
        hasher.update(&context.now.0.to_le_bytes()).update(command);
        match &answer {
            Ok(answer) => hasher.update(b"ok").update(answer),
            Err(halt) => hasher.update(halt.0.as_bytes()),
        };
        let place = (self.group, context.index, number);
        let noted = self.world.applied.lock().note(place, *hasher.finalize().as_bytes());
        match noted {
            Ok(first) if first => {
                self.world.trace.quietly(hasher.finalize().as_bytes());
                if let Some(noticed) = noticed {
                    promises::applied(&self.world, &*rows, noticed);
                }
            }
            Ok(_) => {}
            Err(detail) => {
                self.world.violate("log_matching", format!("node {}: {detail}", self.node));
            }
        }
        answer
    }
}
