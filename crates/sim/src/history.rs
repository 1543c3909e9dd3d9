//! What the clients asked for and were told.

use types::{BlobRef, DiskId};

/// A value that a client wrote; no two writes write the same.
pub type Value = u64;

/// What a client asked of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Call {
    /// GET.
    Read,
    /// PUT, or a multipart upload.
    Write(Value),
    /// PUT with `If-Match` on the entity tag of the first value.
    CompareAndSet(Value, Value),
    /// PUT with `If-None-Match: *`.
    Create(Value),
    /// DELETE.
    Delete,
    /// DELETE with `If-Match`.
    DeleteIf(Value),
}

impl Call {
    /// Whether it changes the key.
    pub fn writes(self) -> bool {
        self != Call::Read
    }

    /// The value that it writes.
    pub fn written(self) -> Option<Value> {
        match self {
            Call::Write(new) | Call::CompareAndSet(_, new) | Call::Create(new) => Some(new),
            Call::Read | Call::Delete | Call::DeleteIf(_) => None,
        }
    }
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It happened. Of a read: what was there.
    Ok(Option<Value>),
    /// It did not happen: there is an object that the condition excludes.
    Differs,
    /// It did not happen: there is no object to match.
    Absent,
    /// Nobody knows: it may have happened, or may yet.
    Info,
}

/// A key: the number of its bucket and its own.
pub type Key = (usize, u64);

/// An operation on a key. Times are in microseconds since the beginning.
#[derive(Clone, Copy, Debug)]
pub struct Operation {
    /// The key.
    pub key: Key,
    /// What was asked for.
    pub call: Call,
    /// When.
    pub invoked: u64,
    /// When it ended; never, if nobody knows how.
    pub ended: u64,
    /// How it ended.
    pub outcome: Outcome,
}

/// A listing of a whole bucket.
#[derive(Clone, Debug)]
pub struct Listing {
    /// Which bucket.
    pub bucket: usize,
    /// When it began.
    pub invoked: u64,
    /// When it ended.
    pub ended: u64,
    /// The keys in it.
    pub keys: Vec<u64>,
}

/// A blob that was acknowledged.
#[derive(Clone, Debug)]
pub struct Acknowledged {
    /// The blob.
    pub blob: BlobRef,
    /// The disks of its group as its gateway knew them.
    pub disks: Vec<DiskId>,
}

/// All of it.
#[derive(Debug, Default)]
pub struct History {
    /// In the order of their beginning.
    pub operations: Vec<Operation>,
    /// In the order of their end.
    pub listings: Vec<Listing>,
}

impl History {
    /// An operation begins; until it ends nobody knows how.
    pub fn begin(&mut self, key: Key, call: Call, now: u64) -> usize {
        let outcome = Outcome::Info;
        self.operations.push(Operation { key, call, invoked: now, ended: u64::MAX, outcome });
        self.operations.len() - 1
    }

    /// It ends.
    pub fn end(&mut self, operation: usize, outcome: Outcome, now: u64) {
        if outcome != Outcome::Info {
            self.operations[operation].ended = now;
            self.operations[operation].outcome = outcome;
        }
    }

    /// How many ended well.
    pub fn succeeded(&self) -> usize {
        self.operations.iter().filter(|it| it.outcome != Outcome::Info).count()
    }
}
