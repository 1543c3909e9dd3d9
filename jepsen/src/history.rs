//! What the clients saw, in Jepsen's terms: each operation is invoked by a process and
//! ends `:ok` (it happened), `:fail` (it surely did not) or `:info` (nobody knows). A
//! refusal by condition is a `:fail` that also says what the server found.

use std::{collections::BTreeMap, fmt::Write, time::Duration};

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
        let mut ends: Vec<Duration> = self
            .0
            .iter()
            .filter(|operation| operation.call.writes() == writes)
            .filter(|operation| matches!(operation.outcome, Outcome::Ok(_)))
            .map(|operation| operation.ended)
            .collect();
        ends.sort_unstable();
        ends.windows(2).map(|pair| (pair[1] - pair[0]).as_secs_f64()).fold(0.0, f64::max)
    }

    /// One map a line, invocations and completions in the order of time, with independent
    /// `[key value]` tuples: what Knossos and Elle read.
    pub(crate) fn edn(&self) -> String {
        let mut events: Vec<(Duration, bool, &Operation)> = Vec::new();
        for operation in &self.0 {
            events.push((operation.invoked, false, operation));
            events.push((operation.ended, true, operation));
        }
        events.sort_by_key(|(time, completion, _)| (*time, *completion));
        let mut text = String::new();
        for (index, (time, completion, operation)) in events.into_iter().enumerate() {
            let kind = match (completion, operation.outcome) {
                (false, _) => "invoke",
                (true, Outcome::Ok(_)) => "ok",
                (true, Outcome::Differs | Outcome::Absent | Outcome::Fail) => "fail",
                (true, Outcome::Info) => "info",
            };
            let error = match operation.outcome {
                Outcome::Differs if completion => ", :error :differs",
                Outcome::Absent if completion => ", :error :absent",
                _ => "",
            };
            let (f, value) = edn_call(operation, completion);
            writeln!(
                text,
                "{{:index {index}, :time {}, :type :{kind}, :process {}, :f :{f}, \
                 :value [{} {value}]{error}}}",
                time.as_nanos(),
                operation.process,
                operation.key,
            )
            .expect("writing to a String");
        }
        text
    }
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
