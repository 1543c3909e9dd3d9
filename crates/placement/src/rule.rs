//! How many members of one group a node and a rack may hold.

use std::collections::{BTreeMap, BTreeSet};

use types::{ErasurePolicy, NodeId};

use crate::{DiskSite, Domain, PlacementError};

/// The failure-domain rule for a set of disks.
///
/// | domain | a node | a rack |
/// |---|---|---|
/// | disk | 1 with `n` nodes or more, else at most `m` | as below |
/// | node | 1 | 1 with `n` racks or more, else at most `m` |
/// | rack | 1 | 1 |
///
/// "At most `m`" means that losing the whole node or rack loses no data. Where there are too
/// few of them for that (in particular one rack) the limit is the smallest number with which
/// a group can be formed at all; [`Rule::survives_rack`] and [`Rule::survives_node`] tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Members of a group that may be on one node.
    pub node_limit: usize,
    /// Members of a group that may be in one rack.
    pub rack_limit: usize,
    parity: usize,
}

impl Rule {
    /// The rule for these disks. `NotEnoughDomains` if not even one group can be formed.
    pub fn of(
        disks: &[DiskSite],
        policy: ErasurePolicy,
        domain: Domain,
    ) -> Result<Self, PlacementError> {
        let n = policy.n();
        let mut racks: BTreeMap<(&str, &str), BTreeMap<NodeId, usize>> = BTreeMap::new();
        for disk in disks {
            *racks.entry(disk.rack_key()).or_default().entry(disk.node).or_default() += 1;
        }
        let nodes: BTreeSet<NodeId> = disks.iter().map(|disk| disk.node).collect();
        let available = match domain {
            Domain::Disk => disks.len(),
            Domain::Node => nodes.len(),
            Domain::Rack => racks.len(),
        };
        if available < n {
            return Err(PlacementError::NotEnoughDomains { policy, domain, needed: n, available });
        }

        // How many chunks a group can place under the limits.
        let room = |node_limit: usize, rack_limit: usize| -> usize {
            let in_rack = |nodes: &BTreeMap<NodeId, usize>| -> usize {
                nodes.values().map(|disks| (*disks).min(node_limit)).sum()
            };
            racks.values().map(|nodes| in_rack(nodes).min(rack_limit)).sum()
        };
        // 1 if that suffices, else m, else the first above m that does. n always does.
        let limit = |suffices: &dyn Fn(usize) -> bool| -> usize {
            std::iter::once(1).chain(policy.m()..n).find(|limit| suffices(*limit)).unwrap_or(n)
        };
        let node_limit = match domain {
            Domain::Disk => limit(&|node_limit| room(node_limit, n) >= n),
            Domain::Node | Domain::Rack => 1,
        };
        let rack_limit = limit(&|rack_limit| room(node_limit, rack_limit) >= n);
        Ok(Self { node_limit, rack_limit, parity: policy.m() })
    }

    /// Whether every group survives the loss of any one node.
    pub fn survives_node(&self) -> bool {
        self.node_limit <= self.parity
    }

    /// Whether every group survives the loss of any one rack.
    pub fn survives_rack(&self) -> bool {
        self.rack_limit <= self.parity
    }
}
