//! Handing leadership over, so that a planned stop costs milliseconds and not an election
//! timeout. openraft 0.9 has no call for it: a leader that falls silent leaves its group
//! without one until the lease (`election_max`) and an election timer have passed.
//!
//! ```text
//! leader                               chosen voter            other voters
//!   | closes the gate: new proposals and reads wait
//!   | until what is under way is applied
//!   | and the chosen one has the whole log
//!   |--- stand, once --------------------------------------------> (groups of 4 and more)
//!   |--- stand -------------------------> |
//!   | <---------------- asks for votes -- | ----------------------->
//!   | votes, steps down                   | leads
//!   | opens the gate: who waited is told who leads
//! ```
//!
//! Voters within the lease of a living leader do not vote, whatever they are asked. The leader
//! itself does, once it has led for longer than the lease, or has heard of a higher term and has
//! stepped down; and so does a voter that has just stood for election. With three voters the leader
//! and the chosen one are a majority. In larger groups as many others are told to stand first as
//! are missing; they are too few to elect one of themselves, and the chosen one then stands twice,
//! so that its term is above theirs. Nothing here can harm safety: it only makes elections begin,
//! and those are openraft's.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use openraft::{BasicNode, RaftMetrics, ServerState};
use proto::{RpcError, RpcErrorKind, raft::RaftAddress};
use tokio::sync::RwLock;
use types::NodeId;

use crate::{
    ConsensusGroup, Error, PeerDirectory, RaftGroup, RaftTimings, format::Owner, metrics, wire,
};

/// How often voters are asked to take over before the leader gives up.
const ROUNDS_MAX: usize = 6;

type Metrics = RaftMetrics<u64, BasicNode>;

/// Open (shared) for whoever has an entry under way or confirms leadership, closed (alone) while
/// leadership is handed over: nobody votes for a candidate that lacks an entry. Once it is closed,
/// all that was proposed before is applied.
pub(crate) type Gate = Arc<RwLock<()>>;

/// How a replica speaks to its peers outside of openraft, and how long it waits for them.
pub(crate) struct Reach {
    me: Owner,
    directory: Arc<dyn PeerDirectory>,
    timings: RaftTimings,
}

impl Reach {
    pub(crate) fn new(me: Owner, directory: Arc<dyn PeerDirectory>, timings: RaftTimings) -> Self {
        Self { me, directory, timings }
    }

    /// How long a chosen voter has to become the leader: an election, with an fsync at every
    /// step. Shorter than any election timer.
    fn round(&self) -> Duration {
        self.timings.election_min / 2
    }
}

/// What a leader knows about the others.
struct Standing {
    term: u64,
    last: u64,
    applied: u64,
    voters: usize,
    /// The other voters, with their address and the last index known to be in their log.
    others: BTreeMap<NodeId, (String, u64)>,
}

impl Standing {
    /// `None` unless `node` leads.
    fn of(metrics: &Metrics, node: NodeId) -> Option<Self> {
        let replication = metrics.replication.as_ref()?;
        if metrics.state != ServerState::Leader || metrics.running_state.is_err() {
            return None;
        }
        let membership = metrics.membership_config.membership();
        let voters: Vec<u64> = membership.voter_ids().collect();
        let others = voters.iter().filter(|voter| **voter != node.0).filter_map(|voter| {
            let address = membership.get_node(voter)?.addr.clone();
            let matched = replication.get(voter).copied().flatten().map_or(0, |id| id.index);
            Some((NodeId(*voter), (address, matched)))
        });
        Some(Self {
            term: metrics.current_term,
            last: metrics.last_log_index.unwrap_or(0),
            applied: metrics.last_applied.map_or(0, |id| id.index),
            voters: voters.len(),
            others: others.collect(),
        })
    }

    /// The voters that have the whole log.
    fn fit(&self) -> Vec<NodeId> {
        let fit = self.others.iter().filter(|(_, (_, matched))| *matched >= self.last);
        fit.map(|(node, _)| *node).collect()
    }

    /// How many more must be able to vote, besides this leader and the chosen one.
    fn missing(&self) -> usize {
        (self.voters / 2 + 1).saturating_sub(2)
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

impl RaftGroup {
    /// Hands over to a voter that has the whole log.
    pub(crate) async fn give_way(&self) -> Result<(), Error> {
        let _one = self.giving_way.lock().await;
        let metrics = self.raft.metrics();
        let leading = Standing::of(&metrics.borrow(), self.node());
        let Some(first) = leading else { return Ok(()) };
        if first.voters == 1 {
            return Ok(());
        }
        let began = tokio::time::Instant::now();
        self.raft.runtime_config().elect(false);
        let outcome = match tokio::time::timeout(self.reach.round(), self.gate.write()).await {
            Ok(_closed) => self.let_go(first).await,
            // An entry waits for a quorum that is not there.
            Err(_) => Err(Error::NoQuorum { group: self.id() }),
        };
        self.raft.runtime_config().elect(!self.is_leaving());
        let (group, took) = (self.id(), began.elapsed());
        metrics::handover(group, outcome.is_ok(), took);
        match &outcome {
            Ok(to) => {
                tracing::info!(%group, %to, took_ms = millis(took), "leadership handed over");
            }
            Err(error) => tracing::warn!(%group, %error, "leadership could not be handed over"),
        }
        outcome.map(|_| ())
    }

    /// Asks until another replica leads.
    async fn let_go(&self, mut known: Standing) -> Result<NodeId, Error> {
        let term = known.term;
        let mut turn = 0;
        for round in 1..=ROUNDS_MAX {
            if let Some(standing) = self.settled(term).await {
                known = standing;
            }
            if !self.ask(&known, turn).await {
                turn += 1;
            }
            // Whoever stands has a higher term by now. A leader that hears of it steps down, and
            // then votes for the next that asks, lease or not.
            let _ = self.raft.trigger().heartbeat().await;
            if let Some(leader) = self.successor().await {
                return Ok(leader);
            }
            turn += usize::from(round % 2 == 0);
        }
        Err(Error::NoQuorum { group: self.id() })
    }

    /// Waits, not for long, until everything is applied and a voter has all of it. `None` once
    /// this replica does not lead in `term` any more.
    async fn settled(&self, term: u64) -> Option<Standing> {
        let node = self.node();
        let settled = |metrics: &Metrics| {
            Standing::of(metrics, node).is_none_or(|standing| {
                standing.term != term
                    || (standing.applied >= standing.last && !standing.fit().is_empty())
            })
        };
        self.see(self.reach.round(), settled).await;
        let standing = Standing::of(&self.raft.metrics().borrow(), node);
        standing.filter(|standing| standing.term == term)
    }

    /// The other replica that leads, once this one has heard of it; not long after it has stepped
    /// down it looks again whether somebody must be asked.
    async fn successor(&self) -> Option<NodeId> {
        let node = self.node().0;
        let other = |metrics: &Metrics| metrics.current_leader.filter(|leader| *leader != node);
        let ended = |metrics: &Metrics| metrics.running_state.is_err();
        let round = self.reach.round();
        self.see(round, |metrics| metrics.state != ServerState::Leader || ended(metrics)).await;
        self.see(round / 4, |metrics| other(metrics).is_some() || ended(metrics)).await;
        let leader = other(&self.raft.metrics().borrow());
        leader.map(NodeId)
    }

    /// Waits until `condition` holds, for `limit` at most.
    async fn see(&self, limit: Duration, condition: impl FnMut(&Metrics) -> bool) {
        let mut metrics = self.raft.metrics();
        let _ = tokio::time::timeout(limit, metrics.wait_for(condition)).await;
    }

    /// Tells whoever it takes to stand for election. False if nobody is fit to lead, or did not
    /// take the call.
    async fn ask(&self, standing: &Standing, turn: usize) -> bool {
        let mut fit = standing.fit();
        if fit.is_empty() {
            return false;
        }
        // Groups of a node go to different ones.
        let turn = usize::try_from(self.id().0).unwrap_or(0) + turn;
        let chosen = fit.remove(turn % fit.len());
        let others = standing.others.keys().filter(|node| **node != chosen);
        let helpers: Vec<NodeId> = others.copied().take(standing.missing()).collect();
        for helper in &helpers {
            if let Err(error) = self.call(standing, *helper, 1).await {
                tracing::debug!(group = %self.id(), to = %helper, %error, "does not stand");
            }
        }
        let times = if helpers.is_empty() { 1 } else { 2 };
        match self.call(standing, chosen, times).await {
            Ok(()) => true,
            Err(error) => {
                tracing::info!(group = %self.id(), to = %chosen, %error, "does not take over");
                false
            }
        }
    }

    async fn call(&self, standing: &Standing, to: NodeId, times: u8) -> Result<(), RpcError> {
        let Reach { me, directory, .. } = &self.reach;
        let (address, _) = &standing.others[&to];
        let envelope = RaftAddress {
            cluster: me.cluster,
            group: self.id(),
            from: me.node,
            from_instance: me.instance,
            to,
        };
        let payload = wire::encode(&wire::Election::Stand { times });
        let call = directory.connect(to, address);
        let answer = tokio::time::timeout(self.reach.round(), call.vote(envelope, payload)).await;
        let late = |_| RpcError::new(RpcErrorKind::Deadline, "the peer did not answer");
        answer.map_err(late)?.map(|_| ())
    }

    /// A leader asks this replica to take over from it, or to help.
    pub(crate) async fn stand(&self, asker: NodeId, times: u8) -> Result<(), RpcError> {
        let refused = |message: &str| Err(RpcError::new(RpcErrorKind::Refused, message));
        if self.is_leaving() {
            return refused("this node is stopping");
        }
        let leader = self.raft.metrics().borrow().current_leader;
        // A call that comes late must not unseat the next leader.
        if leader.is_some_and(|leader| leader != asker.0) {
            return refused("another replica leads by now");
        }
        for _ in 0..times.min(2) {
            let begun = self.raft.trigger().elect().await;
            begun.map_err(|fatal| RpcError::new(RpcErrorKind::Failed, fatal.to_string()))?;
        }
        Ok(())
    }
}
