//! What a check found.

use serde::{Deserialize, Serialize};
use types::{BlobId, BucketId, DiskId, UnixMillis};

/// Findings that are named one by one; beyond them only counts grow.
pub const FINDINGS_MAX: usize = 100;

/// What a check found. Counts of things are exact, except where [`Report::incomplete`] says
/// otherwise.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// When it began.
    pub began: UnixMillis,
    /// When it ended.
    pub ended: UnixMillis,
    /// Whether every byte was read.
    pub verified: bool,
    /// Blobs that the index references.
    pub blobs: u64,
    /// Bytes of those blobs, without coding.
    pub bytes: u64,
    /// The same by what they can still lose, safest last.
    pub margins: Vec<Margin>,
    /// Blobs of which fewer than `k` shards exist, whichever disks come back.
    pub lost: u64,
    /// Blobs that cannot be read until a disk that did not answer comes back.
    pub unreadable: u64,
    /// What is wrong with ranks of blobs.
    pub ranks: Ranks,
    /// Shards on disks that are neither the member nor a former one of their rank: copies that
    /// nobody reads.
    pub misplaced: Shards,
    /// Shards of blobs that nothing references, nor ever will: the collector's and the sweep's work.
    pub unreferenced: Shards,
    /// Shards of writes that may still be committed.
    pub in_flight: Shards,
    /// Bytes that were read and were right, and shards that were not.
    pub read: Option<Read>,
    /// The placement groups.
    pub placement: Placement,
    /// What one more failure would make unreadable, beyond what is.
    pub one_more: Vec<OneMore>,
    /// Every disk that placement groups name, or that answered.
    pub disks: Vec<DiskLine>,
    /// The first [`FINDINGS_MAX`] blobs that are not as promised.
    pub findings: Vec<Finding>,
    /// Why the check does not cover everything.
    pub incomplete: Vec<String>,
}

/// Blobs of one policy that can lose equally many disks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Margin {
    /// Their policy, as `rs-4-2`.
    pub policy: String,
    /// Readable ranks minus `k`; negative: they cannot be read.
    pub margin: i32,
    /// Whether this is all that the policy promises.
    pub full: bool,
    /// How many.
    pub blobs: u64,
    /// Their bytes, without coding.
    pub bytes: u64,
}

/// Ranks of referenced blobs that their members do not have as they should.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ranks {
    /// No disk that may have them does.
    pub missing: u64,
    /// There, but not whole, or not what was written.
    pub damaged: u64,
    /// On disks that did not answer.
    pub silent: u64,
    /// Readable, but only on a former disk: a move is under way.
    pub moving: u64,
}

/// How many shards, and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shards {
    /// How many.
    pub shards: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// What reading everything showed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Read {
    /// Shards that were read whole.
    pub shards: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Shards with a chunk that is not what was written, referenced or not.
    pub bad: u64,
}

/// The placement groups by health, and by the rule that they are placed by.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placement {
    /// All groups.
    pub groups: u64,
    /// All members serve.
    pub whole: u64,
    /// Some do not, and `k` or more do.
    pub short: u64,
    /// Fewer than `k` do.
    pub unreadable: u64,
    /// A member has changed and the former one is still on record.
    pub moving: u64,
    /// A member is to be emptied, or out for good.
    pub leaving: u64,
    /// Groups that break the rule.
    pub violating: u64,
    /// The first of these, in one sentence each.
    pub violations: Vec<String>,
}

/// What the failure of one more thing of a kind would do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OneMore {
    /// `disk`, `node`, `rack` or `zone`.
    pub kind: String,
    /// How many there are.
    pub units: u64,
    /// How many of them would take readable blobs away.
    pub harmful: u64,
    /// The one that would take most, by name.
    pub worst: Option<String>,
    /// How many blobs it would take.
    pub blobs: u64,
    /// Whether the cluster's failure domain promises that it takes none.
    pub promised: bool,
}

/// A disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskLine {
    /// The disk.
    pub disk: DiskId,
    /// Shards that its inventory listed.
    pub shards: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Why it was not read.
    pub error: Option<String>,
}

/// A blob that is not as promised.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// The blob.
    pub blob: BlobId,
    /// The bucket of the object that it belongs to.
    pub bucket: BucketId,
    /// The object's key.
    pub key: String,
    /// Readable ranks minus `k`.
    pub margin: i32,
    /// What is wrong, rank by rank.
    pub what: String,
}

impl Report {
    /// What is not as promised, one sentence each; nothing: every blob is as redundant as its policy
    /// says, and placed so that the failure domain may fail.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let mut say = |count: u64, what: &str| {
            if count > 0 {
                faults.push(format!("{count} {what}"));
            }
        };
        say(self.lost, "blobs are lost: fewer shards exist than are needed");
        say(self.unreadable, "blobs cannot be read until a silent disk is back");
        let short = self.margins.iter().filter(|row| !row.full && row.margin >= 0);
        say(
            short.map(|row| row.blobs).sum(),
            "blobs are readable with less redundancy than promised",
        );
        say(self.placement.unreadable, "placement groups have too few disks to be read");
        say(self.placement.violating, "placement groups break the placement rule");
        say(self.read.map_or(0, |read| read.bad), "shards are not what was written");
        for line in &self.one_more {
            if line.promised && line.harmful > 0 {
                faults.push(format!(
                    "one more {} ({}) would make {} blobs unreadable",
                    line.kind,
                    line.worst.as_deref().unwrap_or("-"),
                    line.blobs
                ));
            }
        }
        let silent = self.disks.iter().filter(|disk| disk.error.is_some()).count();
        if silent > 0 {
            faults.push(format!("{silent} disks did not answer"));
        }
        faults.extend(self.incomplete.iter().cloned());
        faults
    }
}
