//! Snapshots. The rows are on disk already, so taking one costs nothing: openraft is told
//! how far they have come. Content is only read when a follower needs it
//! ([`outgoing`]), from a point-in-time view; the follower writes it beside its own rows
//! under a new incarnation ([`incoming`]) and makes that one current in one synced write.
//!
//! On the wire a snapshot is a description (`wire::SnapshotHead`) and a sequence of frames:
//!
//! ```text
//! 0       kind u8: 1 content, 2 end
//! 1..33   BLAKE3 over kind ‖ number u64 LE (frames are counted from 0) ‖ body
//! 33..    body, at most 1 MiB
//! ```
//!
//! The bodies of the content frames, joined, are the rows in key order, each
//! `key length u32 LE ‖ value length u32 LE ‖ key ‖ value`; a row may span frames. The
//! end's body is `rows u64 LE ‖ BLAKE3 over the joined content`. A stream without its end is
//! not a snapshot.

pub(crate) mod frame;
pub(crate) mod incoming;
pub(crate) mod outgoing;

pub(crate) use incoming::Incoming;
pub(crate) use outgoing::Outgoing;

/// The content behind a snapshot, as openraft hands it around.
#[derive(Debug, Default)]
pub(crate) enum SnapshotData {
    /// No content: openraft notes a finished snapshot and drops the handle, or asks for a
    /// blank one to receive into, which our transport does not use.
    #[default]
    Noted,
    /// This node's rows at one point in time.
    Outgoing(Outgoing),
    /// Rows received from the leader, not current yet.
    Incoming(Incoming),
}
