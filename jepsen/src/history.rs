//! What the clients saw, in Jepsen's terms: each operation is invoked by a process and
//! ends `:ok` (it happened), `:fail` (it surely did not) or `:info` (nobody knows). A
//! refusal by condition is a `:fail` that also says what the server found.

use std::{collections::BTreeMap, time::Duration};

use crate::edn;

/// A value that a client wrote; no two writes write the same.
pub(crate) type Value = u64;

/// What a client asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Call {
    /// GET.
    Read,
    /// PUT.
    Write(Value),
    /// PUT with `If-Match` on the entity tag of the first value.
    CompareAndSet(Value, Value),
    /// PUT with `If-None-Match: *`.
    Create(Value),
    /// DELETE.
    Delete,
    /// DELETE with `If-Match` on the entity tag of the value.
    DeleteIf(Value),
}

impl Call {
    /// Whether it changes the key.
    pub(crate) fn writes(self) -> bool {
        self != Call::Read
    }
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It happened. For a read: what was there; `None` for no object.
    Ok(Option<Value>),
    /// 412: it did not happen, because an object was there that the condition excludes.
    Differs,
    /// 404: it did not happen, because there was no object to match.
    Absent,
    /// It surely did not happen, and the answer says nothing about the object.
    Fail,
    /// A time-out, a reset, a 5xx: it may have happened, or may yet.
    Info,
}

/// One operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Operation {
    /// The client's logical process; a new one after each `:info`.
    pub(crate) process: u64,
    /// The key.
    pub(crate) key: u64,
    /// What was asked for.
    pub(crate) call: Call,
    /// When, since the beginning.
    pub(crate) invoked: Duration,
    /// When it ended.
    pub(crate) ended: Duration,
    /// How it ended.
    pub(crate) outcome: Outcome,
}

impl Operation {
    /// Whether it may have changed the key: a read and a refusal surely did not.
    pub(crate) fn changes(&self) -> bool {
        self.call.writes() && matches!(self.outcome, Outcome::Ok(_) | Outcome::Info)
    }
}

/// All operations of a run.
#[derive(Debug, Default)]
pub(crate) struct History(pub(crate) Vec<Operation>);

impl History {
    /// The operations of each key, in the order of the keys.
    pub(crate) fn keys(&self) -> BTreeMap<u64, Vec<Operation>> {
        let mut keys: BTreeMap<u64, Vec<Operation>> = BTreeMap::new();
        for operation in &self.0 {
            keys.entry(operation.key).or_default().push(*operation);
        }
        keys
    }

    /// The longest time in which no read (or no write) succeeded, in seconds.
    pub(crate) fn longest_gap_s(&self, writes: bool) -> f64 {
        let mut ends: Vec<Duration> = self.successes(writes).collect();
        ends.sort_unstable();
        ends.windows(2).map(|pair| (pair[1] - pair[0]).as_secs_f64()).fold(0.0, f64::max)
    }

    /// When reads (or writes) succeeded.
    pub(crate) fn successes(&self, writes: bool) -> impl Iterator<Item = Duration> {
        self.0
            .iter()
            .filter(move |operation| operation.call.writes() == writes)
            .filter(|operation| matches!(operation.outcome, Outcome::Ok(_)))
            .map(|operation| operation.ended)
    }

    /// Independent `[key value]` tuples: what Knossos and Elle read.
    pub(crate) fn edn(&self) -> String {
        let entries: Vec<edn::Entry> = self.0.iter().map(Operation::edn).collect();
        edn::lines(&entries)
    }
}

impl Operation {
    fn edn(&self) -> edn::Entry {
        let kind = match self.outcome {
            Outcome::Ok(_) => "ok",
            Outcome::Differs | Outcome::Absent | Outcome::Fail => "fail",
            Outcome::Info => "info",
        };
        let error = match self.outcome {
            Outcome::Differs => Some("differs"),
            Outcome::Absent => Some("absent"),
            Outcome::Ok(_) | Outcome::Fail | Outcome::Info => None,
        };
        let (f, asked) = edn_call(self, false);
        let (_, found) = edn_call(self, true);
        edn::Entry {
            process: self.process.to_string(),
            f,
            invoked: self.invoked,
            ended: self.ended,
            kind,
            asked: format!("[{} {asked}]", self.key),
            found: format!("[{} {found}]", self.key),
            error,
        }
    }
}

/// An operation of a workload that has calls and answers of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Recorded<C, A> {
    /// The client's logical process; a new one after each `:info`.
    pub(crate) process: u64,
    /// What it is about: a set, a list, a bucket.
    pub(crate) key: u64,
    /// What was asked for.
    pub(crate) call: C,
    /// When, since the beginning.
    pub(crate) invoked: Duration,
    /// When it ended.
    pub(crate) ended: Duration,
    /// How it ended.
    pub(crate) end: End<A>,
}

/// How it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum End<A> {
    /// It happened; what was found.
    Ok(A),
    /// It surely did not happen.
    Fail,
    /// A time-out, a reset, a 5xx: it may have happened, or may yet.
    Info,
}

impl<A> End<A> {
    /// Jepsen's word for it.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            End::Ok(_) => "ok",
            End::Fail => "fail",
            End::Info => "info",
        }
    }
}

/// The operations of each key, in the order of the keys.
pub(crate) fn by_key<C, A>(history: &[Recorded<C, A>]) -> BTreeMap<u64, Vec<&Recorded<C, A>>> {
    let mut keys: BTreeMap<u64, Vec<&Recorded<C, A>>> = BTreeMap::new();
    for operation in history {
        keys.entry(operation.key).or_default().push(operation);
    }
    keys
}

fn edn_call(operation: &Operation, completion: bool) -> (&'static str, String) {
    match (operation.call, operation.outcome) {
        (Call::Read, Outcome::Ok(Some(value))) if completion => ("read", value.to_string()),
        (Call::Read, _) => ("read", "nil".into()),
        (Call::Write(value), _) => ("write", value.to_string()),
        (Call::CompareAndSet(old, new), _) => ("cas", format!("[{old} {new}]")),
        (Call::Create(value), _) => ("cas", format!("[nil {value}]")),
        (Call::Delete, _) => ("write", "nil".into()),
        (Call::DeleteIf(old), _) => ("cas", format!("[{old} nil]")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edn_lines() {
        let operation = Operation {
            process: 3,
            key: 7,
            call: Call::CompareAndSet(1, 9),
            invoked: Duration::from_nanos(10),
            ended: Duration::from_nanos(20),
            outcome: Outcome::Ok(None),
        };
        let read = Operation { call: Call::Read, outcome: Outcome::Ok(Some(9)), ..operation };
        let refused = Operation { call: Call::DeleteIf(4), outcome: Outcome::Absent, ..operation };
        let history = History(vec![operation]);
        assert_eq!(
            history.edn(),
            "{:index 0, :time 10, :type :invoke, :process 3, :f :cas, :value [7 [1 9]]}\n\
             {:index 1, :time 20, :type :ok, :process 3, :f :cas, :value [7 [1 9]]}\n"
        );
        assert!(
            History(vec![read]).edn().ends_with(":type :ok, :process 3, :f :read, :value [7 9]}\n")
        );
        assert!(
            History(vec![refused]).edn().ends_with(
                ":type :fail, :process 3, :f :cas, :value [7 [4 nil]], :error :absent}\n"
            )
        );
    }
}
