//! A group's state row in `sm`: an envelope (see [`super`]) around
//!
//! ```text
//! applied       0, or 1 ‖ term ‖ leader ‖ index
//! membership    at (like applied) ‖ voter sets ‖ addresses
//! incarnation   u32: which rows are current
//! clock_ms      u64: the time of the last command, which never goes back
//! ```
//!
//! It is written in the same batch as the rows that it describes, so the two cannot
//! disagree, however the process ends.

use serde::{Deserialize, Serialize};
use types::GroupId;

use super::{
    RecordError,
    body::{LogIdBody, StoredMembershipBody},
};
use crate::{
    keys,
    raft_types::{LogId, SnapshotMeta, StoredMembership},
};

/// Incarnation of a group that never received a snapshot.
pub(crate) const FIRST_INCARNATION: u32 = 1;

/// How far a group's rows have come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct State {
    /// Last entry applied.
    pub(crate) applied: Option<LogId>,
    /// Last membership applied.
    pub(crate) membership: StoredMembership,
    /// Which rows are current.
    pub(crate) incarnation: u32,
    /// Time of the last command.
    pub(crate) clock_ms: u64,
}

impl Default for State {
    fn default() -> Self {
        Self {
            applied: None,
            membership: StoredMembership::default(),
            incarnation: FIRST_INCARNATION,
            clock_ms: 0,
        }
    }
}

impl State {
    /// What openraft calls a snapshot of this state. The same state always has the same id.
    pub(crate) fn snapshot_meta(&self) -> SnapshotMeta {
        let snapshot_id = match &self.applied {
            Some(id) => format!("{}-{}-{}", id.leader_id.term, id.leader_id.node_id, id.index),
            None => "empty".into(),
        };
        SnapshotMeta {
            last_log_id: self.applied,
            last_membership: self.membership.clone(),
            snapshot_id,
        }
    }
}

#[derive(Serialize, Deserialize)]
struct StateBody {
    applied: Option<LogIdBody>,
    membership: StoredMembershipBody,
    incarnation: u32,
    clock_ms: u64,
}

/// The record of a group's state.
pub(crate) fn encode(group: GroupId, state: &State) -> Vec<u8> {
    let body = StateBody {
        applied: state.applied.map(Into::into),
        membership: (&state.membership).into(),
        incarnation: state.incarnation,
        clock_ms: state.clock_ms,
    };
    super::seal(&keys::state(group), &body)
}

/// The state in a group's record.
pub(crate) fn decode(group: GroupId, record: &[u8]) -> Result<State, RecordError> {
    let body: StateBody = super::open(&keys::state(group), record)?;
    Ok(State {
        applied: body.applied.map(Into::into),
        membership: body.membership.into(),
        incarnation: body.incarnation,
        clock_ms: body.clock_ms,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use openraft::{BasicNode, CommittedLeaderId};

    use super::*;
    use crate::raft_types::Membership;

    #[test]
    fn golden_state_row() {
        let nodes: BTreeMap<u64, BasicNode> = [(2, BasicNode::new("b:2"))].into();
        let at = LogId::new(CommittedLeaderId::new(1, 2), 5);
        let state = State {
            applied: Some(LogId::new(CommittedLeaderId::new(3, 2), 300)),
            membership: StoredMembership::new(
                Some(at),
                Membership::new(vec![BTreeSet::from([2])], nodes),
            ),
            incarnation: 4,
            clock_ms: 1_700_000_000_000,
        };
        let record = encode(GroupId(7), &state);
        assert_eq!(
            hex::encode(&record),
            "0101125e10010302ac0201010205010102010203623a320480d095ffbc31"
        );
        assert_eq!(decode(GroupId(7), &record), Ok(state));
        assert!(decode(GroupId(8), &record).is_err());
    }
}
