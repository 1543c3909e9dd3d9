//! What placement knows of a disk: its id and the failure domains that it is in.

use std::fmt;

use types::{DiskId, NodeId};

/// A disk that may hold chunks, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DiskSite {
    /// The disk.
    pub id: DiskId,
    /// The node that serves it.
    pub node: NodeId,
    /// Its rack; empty if there is only one. Racks of different zones are different racks.
    pub rack: String,
    /// Its zone; empty if there is only one.
    pub zone: String,
}

impl DiskSite {
    /// The rack, told apart from one of the same name in another zone.
    pub(crate) fn rack_key(&self) -> (&str, &str) {
        (&self.zone, &self.rack)
    }
}

/// What no two chunks of a stripe may share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Domain {
    /// Only the disk: for one machine, or fewer nodes than chunks. Chunks are spread over
    /// nodes and racks as evenly as these allow.
    Disk,
    /// The node. Chunks are spread over racks as evenly as these allow.
    Node,
    /// The rack.
    Rack,
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Domain::Disk => "disk",
            Domain::Node => "node",
            Domain::Rack => "rack",
        })
    }
}
