//! A log entry on disk: an envelope (see [`super`]) at its `raft_log` key around
//!
//! ```text
//! term ‖ leader ‖ index          varints
//! 0                              blank: a new leader's first entry
//! 1 ‖ now_ms ‖ n ‖ n x (len ‖ bytes)   a batch of commands
//! 2 ‖ voter sets ‖ addresses     a membership
//! ```
//!
//! Between replicas the same body travels inside an AppendEntries payload.

use bytes::Bytes;
use openraft::EntryPayload;
use serde::{Deserialize, Serialize};
use types::GroupId;

use super::{
    RecordError,
    body::{LogIdBody, MembershipBody},
};
use crate::{
    keys,
    raft_types::{Appended, Batch, Entry},
};

/// A log entry as it is stored and sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct EntryBody {
    id: LogIdBody,
    payload: PayloadBody,
}

/// Variants are numbered in this order for ever.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum PayloadBody {
    Blank,
    Commands { now_ms: u64, commands: Vec<Bytes> },
    Membership(MembershipBody),
}

impl From<&Entry> for EntryBody {
    fn from(entry: &Entry) -> Self {
        let payload = match &entry.payload {
            EntryPayload::Blank => PayloadBody::Blank,
            EntryPayload::Normal(batch) => {
                PayloadBody::Commands { now_ms: batch.now_ms, commands: batch.commands.clone() }
            }
            EntryPayload::Membership(membership) => PayloadBody::Membership(membership.into()),
        };
        Self { id: entry.log_id.into(), payload }
    }
}

impl From<EntryBody> for Entry {
    fn from(body: EntryBody) -> Self {
        let payload = match body.payload {
            PayloadBody::Blank => EntryPayload::Blank,
            PayloadBody::Commands { now_ms, commands } => {
                EntryPayload::Normal(Batch { now_ms, commands, appended: Appended::default() })
            }
            PayloadBody::Membership(membership) => EntryPayload::Membership(membership.into()),
        };
        Entry { log_id: body.id.into(), payload }
    }
}

/// The record of an entry of `group`.
pub(crate) fn encode(group: GroupId, entry: &Entry) -> Vec<u8> {
    super::seal(&keys::log(group, entry.log_id.index), &EntryBody::from(entry))
}

/// The entry in the record at `group` and `index`.
pub(crate) fn decode(group: GroupId, index: u64, record: &[u8]) -> Result<Entry, RecordError> {
    let body: EntryBody = super::open(&keys::log(group, index), record)?;
    if body.id.index != index {
        return Err(RecordError::Decode(format!("entry {} is at {index}", body.id.index)));
    }
    Ok(body.into())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use openraft::{BasicNode, CommittedLeaderId, LogId, Membership};

    use super::*;

    fn entry(payload: EntryPayload<crate::raft_types::TypeConfig>) -> Entry {
        Entry { log_id: LogId::new(CommittedLeaderId::new(3, 2), 300), payload }
    }

    fn check(payload: EntryPayload<crate::raft_types::TypeConfig>, golden: &str) {
        let record = encode(GroupId(7), &entry(payload));
        assert_eq!(hex::encode(&record), golden);
        let back = decode(GroupId(7), 300, &record).unwrap();
        assert_eq!(encode(GroupId(7), &back), record);
        assert!(decode(GroupId(7), 301, &record).is_err());
        assert!(decode(GroupId(8), 300, &record).is_err());
    }

    #[test]
    fn golden_blank() {
        check(EntryPayload::Blank, "01f4dfec500302ac0200");
    }

    #[test]
    fn golden_batch() {
        let batch = Batch {
            now_ms: 1_000,
            commands: vec![Bytes::from_static(b"one"), Bytes::new()],
            appended: Appended::default(),
        };
        check(EntryPayload::Normal(batch), "01dad49c2d0302ac0201e80702036f6e6500");
    }

    #[test]
    fn golden_membership() {
        let nodes: std::collections::BTreeMap<u64, BasicNode> =
            [(1, BasicNode::new("a:1")), (2, BasicNode::new("b:2"))].into();
        let membership = Membership::new(vec![BTreeSet::from([1]), BTreeSet::from([1, 2])], nodes);
        check(
            EntryPayload::Membership(membership),
            "01f316a79b0302ac0202020101020102020103613a310203623a32",
        );
    }
}
