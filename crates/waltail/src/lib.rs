//! Whether what is wrong with a RocksDB write-ahead log is the torn tail of a power cut, which was
//! never acknowledged, or damage of what was.
//!
//! RocksDB cannot tell. `TolerateCorruptedTailRecords` takes every wrong checksum for damage, also
//! that of a batch of which the disk had written the second page and not yet the first: a power cut
//! would cost the disk. `PointInTime` takes all damage for the end of the log, and silently
//! forgets what was acknowledged behind it.
//!
//! So every batch of a group commit begins with a [`Mark`]: the sequence number up to which the log
//! is known to be on the disk. If RocksDB refuses a log, [`judge`] reads on behind the first place
//! that cannot be read. A mark there that covers what cannot be read proves damage. Without one, the
//! bytes were not synced when the power failed, or they are those of the last commit before it.
//!
//! The format of the log is RocksDB's, see its `doc/log_format.txt`: blocks of 32 KiB, fragments with
//! a masked CRC-32C, a length and a type.

mod fragments;
mod judge;
mod mark;

pub use judge::{Verdict, judge};
pub use mark::Mark;
