//! The bookkeeping of one request: whom to ask next, when to pause, and what is known
//! about its outcome. No I/O.

use std::{collections::BTreeSet, time::Duration};

use proto::{RpcError, RpcErrorKind};
use types::NodeId;

use super::MetadataSettings;
use crate::MetadataError;

/// What to do after a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Ask another node (or the same) at once.
    Node,
    /// Ask again after a pause.
    Pause(Duration),
    /// Fetch the cluster map, pause, and route again.
    Refresh,
    /// No further attempt can help.
    GiveUp,
}

pub(super) struct Attempts {
    nodes: Vec<NodeId>,
    /// Asked when they are named as leaders, or when none of `nodes` gives an answer.
    others: Vec<NodeId>,
    settings: MetadataSettings,
    /// The node after the one asked last.
    cursor: usize,
    /// A hint that nobody has followed yet.
    hint: Option<NodeId>,
    /// Attempts since the last pause.
    in_round: usize,
    pauses: u32,
    refused: BTreeSet<NodeId>,
    /// Nodes that gave no answer in this round: a hint at one of them is older than that.
    silent: BTreeSet<NodeId>,
    /// The first attempt that may have been applied.
    unknown: Option<String>,
    last: String,
    final_error: bool,
}

impl Attempts {
    pub(super) fn new(nodes: Vec<NodeId>, others: Vec<NodeId>, settings: MetadataSettings) -> Self {
        // Without a known leader requests begin anywhere, so that no node gets all of them.
        let cursor = if nodes.is_empty() { 0 } else { rand::random_range(0..nodes.len()) };
        Self {
            nodes,
            others,
            settings,
            cursor,
            hint: None,
            in_round: 0,
            pauses: 0,
            refused: BTreeSet::new(),
            silent: BTreeSet::new(),
            unknown: None,
            last: "there is no metadata node".to_owned(),
            final_error: false,
        }
    }

    /// The node to ask: a fresh hint, else the leader that others have found, else the next
    /// in turn. `None` if there are no nodes.
    pub(super) fn pick(&mut self, leader: Option<NodeId>) -> Option<NodeId> {
        let wish = self.hint.take().or(leader);
        if let Some(other) = wish.filter(|wish| self.others.contains(wish)) {
            return Some(other);
        }
        let at = match wish.and_then(|wish| self.nodes.iter().position(|node| *node == wish)) {
            Some(at) => at,
            None => self.cursor % self.nodes.len().max(1),
        };
        self.cursor = at + 1;
        self.nodes.get(at).copied()
    }

    /// Notes how an attempt ended.
    pub(super) fn failed(&mut self, node: NodeId, error: RpcError, changes: bool) -> Next {
        self.last = format!("{node}: {error}");
        self.in_round += 1;
        if matches!(error.kind, RpcErrorKind::Unreachable | RpcErrorKind::Deadline) {
            self.silent.insert(node);
        }
        match error.kind {
            RpcErrorKind::NotLeader { leader } => {
                self.hint =
                    leader.filter(|leader| *leader != node && !self.silent.contains(leader));
                // The leader itself has refused us: no other node will do better.
                self.final_error = self.hint.is_some_and(|hint| self.refused.contains(&hint));
                if self.final_error { Next::GiveUp } else { self.next_node() }
            }
            RpcErrorKind::StaleEpoch => Next::Refresh,
            RpcErrorKind::Unreachable | RpcErrorKind::NotFound => self.next_node(),
            RpcErrorKind::Busy => Next::Pause(self.pause()),
            RpcErrorKind::Deadline
            | RpcErrorKind::Failed
            | RpcErrorKind::Corrupt
            | RpcErrorKind::NoSpace => {
                if changes {
                    self.unknown.get_or_insert_with(|| self.last.clone());
                }
                self.next_node()
            }
            RpcErrorKind::Refused => {
                self.refused.insert(node);
                self.final_error = self.refused.len() >= self.nodes.len();
                if self.final_error { Next::GiveUp } else { self.next_node() }
            }
            RpcErrorKind::Invalid | RpcErrorKind::Conflict => {
                self.final_error = true;
                Next::GiveUp
            }
        }
    }

    /// Notes that the request could not even be routed.
    pub(super) fn no_route(&mut self, reason: &str) {
        self.last = reason.to_owned();
    }

    fn next_node(&mut self) -> Next {
        if self.in_round < self.nodes.len() { Next::Node } else { Next::Pause(self.pause()) }
    }

    /// Begins a new round: how long to wait before it.
    pub(super) fn pause(&mut self) -> Duration {
        self.in_round = 0;
        if self.nodes.iter().all(|node| self.silent.contains(node)) {
            self.nodes.append(&mut self.others);
        }
        self.silent.clear();
        let doubled = self.settings.pause_min.saturating_mul(1 << self.pauses.min(16));
        self.pauses += 1;
        let longest = doubled.min(self.settings.pause_max);
        longest.mul_f64(rand::random_range(0.5..=1.0))
    }

    /// What the caller is told when there is no answer.
    pub(super) fn over(self, changes: bool) -> MetadataError {
        match self.unknown {
            Some(unknown) if changes => MetadataError::Unknown(unknown),
            _ if self.final_error => MetadataError::Internal(self.last),
            _ => MetadataError::Unavailable(self.last),
        }
    }
}
