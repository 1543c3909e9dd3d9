//! Column families and keys of a node's RocksDB. Numbers in keys are big-endian, so that
//! RocksDB sorts them.
//!
//! ```text
//! raft_log   group u32 ‖ index u64                      -> a log entry (`record::entry`)
//! raft_meta  01 ‖ group u32 ‖ 'v' ‖ copy u8 (0, 1)      -> vote, stored twice
//!            01 ‖ group u32 ‖ 'c'                       -> last committed log id (a hint)
//!            01 ‖ group u32 ‖ 'p'                       -> last purged log id
//!            02 ‖ node u64                              -> the peer's instance, 16 bytes
//! sm         group u32 ‖ 0 u32                          -> the group's state row (`record::state`)
//!            group u32 ‖ incarnation u32 (>= 1) ‖ row   -> a row of the state machine
//! ```
//!
//! The incarnation is what a snapshot replaces: it is received under a new one and one
//! write makes that one current.

use types::{GroupId, NodeId};

/// Column family of the log entries.
pub(crate) const LOG: &str = "raft_log";
/// Column family of votes, log positions and peer identities.
pub(crate) const META: &str = "raft_meta";
/// Column family of the state machines' rows.
pub(crate) const ROWS: &str = "sm";

/// Bytes before a state machine's own key.
pub(crate) const ROW_PREFIX_BYTES: usize = 8;

const META_GROUP: u8 = 1;
const META_PEER: u8 = 2;

/// Key of a log entry.
pub(crate) fn log(group: GroupId, index: u64) -> [u8; 12] {
    let mut key = [0; 12];
    key[..4].copy_from_slice(&group.0.to_be_bytes());
    key[4..].copy_from_slice(&index.to_be_bytes());
    key
}

/// The index in a log key.
pub(crate) fn log_index(key: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(key.get(4..12)?.try_into().ok()?))
}

/// First key after every log entry of a group.
pub(crate) fn log_end(group: GroupId) -> Vec<u8> {
    after_group(group)
}

/// Key of one of the two copies of the vote.
pub(crate) fn vote(group: GroupId, copy: u8) -> Vec<u8> {
    let mut key = meta(group, b'v');
    key.push(copy);
    key
}

/// Key of the committed hint.
pub(crate) fn committed(group: GroupId) -> Vec<u8> {
    meta(group, b'c')
}

/// Key of the purged position.
pub(crate) fn purged(group: GroupId) -> Vec<u8> {
    meta(group, b'p')
}

/// Key of a peer's instance.
pub(crate) fn peer(node: NodeId) -> Vec<u8> {
    let mut key = vec![META_PEER];
    key.extend_from_slice(&node.0.to_be_bytes());
    key
}

/// The range of all peers' instances.
pub(crate) fn peers() -> (Vec<u8>, Vec<u8>) {
    (vec![META_PEER], vec![META_PEER + 1])
}

/// The node in a peer key.
pub(crate) fn peer_node(key: &[u8]) -> Option<NodeId> {
    Some(NodeId(u64::from_be_bytes(key.get(1..9)?.try_into().ok()?)))
}

/// Key of a group's state row.
pub(crate) fn state(group: GroupId) -> [u8; ROW_PREFIX_BYTES] {
    row_prefix(group, 0)
}

/// What every row of an incarnation begins with.
pub(crate) fn row_prefix(group: GroupId, incarnation: u32) -> [u8; ROW_PREFIX_BYTES] {
    let mut key = [0; ROW_PREFIX_BYTES];
    key[..4].copy_from_slice(&group.0.to_be_bytes());
    key[4..].copy_from_slice(&incarnation.to_be_bytes());
    key
}

/// First key after the rows that begin with `prefix`.
pub(crate) fn after_prefix(prefix: [u8; ROW_PREFIX_BYTES]) -> Vec<u8> {
    match u64::from_be_bytes(prefix).checked_add(1) {
        Some(next) => next.to_be_bytes().to_vec(),
        None => vec![0xff; ROW_PREFIX_BYTES + 1],
    }
}

/// First key after everything of a group, in `raft_log` and in `sm`.
pub(crate) fn after_group(group: GroupId) -> Vec<u8> {
    match group.0.checked_add(1) {
        Some(next) => next.to_be_bytes().to_vec(),
        // No key of the last group is this long and all ones: its incarnations and
        // indexes would have to be the largest number, which is never given out.
        None => vec![0xff; 12],
    }
}

fn meta(group: GroupId, what: u8) -> Vec<u8> {
    let mut key = vec![META_GROUP];
    key.extend_from_slice(&group.0.to_be_bytes());
    key.push(what);
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_sort_by_group_then_index() {
        assert!(log(GroupId(1), u64::MAX) < log(GroupId(2), 0));
        assert!(log(GroupId(1), 255) < log(GroupId(1), 256));
        assert!(log(GroupId(1), u64::MAX).as_slice() < log_end(GroupId(1)).as_slice());
        assert_eq!(log_index(&log(GroupId(7), 42)), Some(42));
    }

    #[test]
    fn prefixes_end_before_the_next_incarnation() {
        assert_eq!(after_prefix(row_prefix(GroupId(3), 4)), row_prefix(GroupId(3), 5));
        assert_eq!(after_prefix(row_prefix(GroupId(3), u32::MAX)), row_prefix(GroupId(4), 0));
        assert!(state(GroupId(3)) < row_prefix(GroupId(3), 1));
        assert!(row_prefix(GroupId(3), u32::MAX).as_slice() < after_group(GroupId(3)).as_slice());
    }

    #[test]
    fn peer_keys_round_trip() {
        let (from, to) = peers();
        let key = peer(NodeId(9));
        assert!(from <= key && key < to);
        assert_eq!(peer_node(&key), Some(NodeId(9)));
    }
}
