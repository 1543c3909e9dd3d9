//! Per-key linearizability of a register with compare-and-set, create and delete.
//!
//! The search is Wing and Gong's with Lowe's memory: operations are linearized one by
//! one; a configuration (which operations are in, what the register holds) that was seen
//! before is not searched again. An `:info` operation has no end, so it may take effect
//! at any later time or never. A refusal must have met a state that its condition excludes.
//! A key whose search exceeds its bound is *unknown*, which fails a run as a violation does.
//!
//! Four things keep the search small, and none changes a verdict (a property test compares
//! it with one that tries every order):
//!
//! * values that no read returned and no condition named are one value, [`UNSEEN`];
//! * a read or refusal that fits the state now is taken at once: it changes nothing for
//!   the others;
//! * of `:info` operations that would do the same, the one invoked first goes first;
//! * an `:info` operation that would change nothing never happened.

use std::{collections::HashSet, fmt, time::Duration};

use crate::history::{Call, History, Operation, Outcome, Value};

/// Configurations that one key's search may visit.
const CONFIGURATIONS_MAX: usize = 1_000_000;

/// What the checker found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// Keys with a linearizable history.
    pub(crate) linearizable: usize,
    /// Keys without one.
    pub(crate) violations: Vec<u64>,
    /// Keys whose search was given up.
    pub(crate) unknown: Vec<u64>,
}

impl Verdict {
    /// Whether the run passes.
    pub(crate) fn valid(&self) -> bool {
        self.violations.is_empty() && self.unknown.is_empty()
    }

    /// The verdict in Jepsen's form.
    pub(crate) fn edn(&self, seed: u64) -> String {
        let valid = match (self.violations.is_empty(), self.unknown.is_empty()) {
            (true, true) => "true",
            (true, false) => ":unknown",
            (false, _) => "false",
        };
        format!(
            "{{:valid? {valid}, :seed {seed}, :keys {}, :failures {:?}, :unknown {:?}}}\n",
            self.linearizable + self.violations.len() + self.unknown.len(),
            self.violations,
            self.unknown
        )
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} key histories linearizable, {} violations {:?}, {} unknown {:?}",
            self.linearizable,
            self.violations.len(),
            self.violations,
            self.unknown.len(),
            self.unknown
        )
    }
}

/// Checks every key.
pub(crate) fn check(history: &History) -> Verdict {
    let mut verdict = Verdict::default();
    for (key, operations) in history.keys() {
        match linearizable(&operations) {
            Some(true) => verdict.linearizable += 1,
            Some(false) => verdict.violations.push(key),
            None => verdict.unknown.push(key),
        }
    }
    verdict
}

/// What the register holds.
type State = Option<Value>;

/// Stands for every value that nobody saw; the clients write values from 1.
const UNSEEN: Value = 0;

/// Whether the operations on one key, which begins empty, are linearizable.
fn linearizable(operations: &[Operation]) -> Option<bool> {
    let named = named_values(operations);
    let shown = |value| if named.contains(&value) { value } else { UNSEEN };
    let mut relevant: Vec<Operation> = operations
        .iter()
        // A failed operation did not happen; a read without an answer says nothing.
        .filter(|operation| match operation.outcome {
            Outcome::Fail => false,
            Outcome::Info => operation.call.writes(),
            Outcome::Ok(_) | Outcome::Differs | Outcome::Absent => true,
        })
        .map(|operation| {
            let call = match operation.call {
                Call::Write(new) => Call::Write(shown(new)),
                Call::CompareAndSet(old, new) => Call::CompareAndSet(old, shown(new)),
                Call::Create(new) => Call::Create(shown(new)),
                call @ (Call::Read | Call::Delete | Call::DeleteIf(_)) => call,
            };
            Operation { call, ..*operation }
        })
        .collect();
    relevant.sort_by_key(|operation| operation.invoked);
    let mut search = Search {
        operations: &relevant,
        seen: HashSet::new(),
        // All operations that must be in: the others may never have happened.
        required: relevant.iter().filter(|o| o.outcome != Outcome::Info).count(),
    };
    search.run()
}

/// Values that a read returned or that a condition names.
fn named_values(operations: &[Operation]) -> HashSet<Value> {
    operations
        .iter()
        .filter_map(|operation| match (operation.call, operation.outcome) {
            (Call::Read, Outcome::Ok(value)) => value,
            (Call::CompareAndSet(old, _) | Call::DeleteIf(old), _) => Some(old),
            _ => None,
        })
        .collect()
}

struct Search<'a> {
    operations: &'a [Operation],
    seen: HashSet<(Vec<u64>, State)>,
    required: usize,
}

/// A configuration on the search's stack.
struct Configuration {
    linearized: Vec<u64>,
    state: State,
    required_in: usize,
}

impl Search<'_> {
    fn run(&mut self) -> Option<bool> {
        let words = self.operations.len().div_ceil(64);
        let start = Configuration { linearized: vec![0; words], state: None, required_in: 0 };
        let mut stack = vec![start];
        while let Some(configuration) = stack.pop() {
            if configuration.required_in == self.required {
                return Some(true);
            }
            if self.seen.len() >= CONFIGURATIONS_MAX {
                return None;
            }
            self.expand(&configuration, &mut stack);
        }
        Some(false)
    }

    /// Pushes the configurations that may come next.
    fn expand(&mut self, from: &Configuration, stack: &mut Vec<Configuration>) {
        let next = self.candidates(from);
        let quiet = next.iter().find(|(number, _)| !self.operations[*number].changes());
        let next = quiet.map_or(next.as_slice(), std::slice::from_ref);
        // The operation that began first is the likeliest next: it is pushed last.
        for &(number, state) in next.iter().rev() {
            let mut linearized = from.linearized.clone();
            linearized[number / 64] |= 1 << (number % 64);
            if self.seen.insert((linearized.clone(), state)) {
                let required = self.operations[number].outcome != Outcome::Info;
                let required_in = from.required_in + usize::from(required);
                stack.push(Configuration { linearized, state, required_in });
            }
        }
    }

    /// Every operation that may come next, with the state after it: it is not in yet, and
    /// no operation that is not in ended before it began.
    fn candidates(&self, from: &Configuration) -> Vec<(usize, State)> {
        let mut first_end = Duration::MAX;
        let mut tried: HashSet<Call> = HashSet::new();
        let mut found = Vec::new();
        for (number, operation) in self.operations.iter().enumerate() {
            if is_in(&from.linearized, number) {
                continue;
            }
            if operation.invoked > first_end {
                break;
            }
            let info = operation.outcome == Outcome::Info;
            if !info {
                first_end = first_end.min(operation.ended);
            } else if !tried.insert(operation.call) {
                continue;
            }
            match step(from.state, operation) {
                Some(state) if !(info && state == from.state) => found.push((number, state)),
                _ => {}
            }
        }
        found
    }
}

fn is_in(linearized: &[u64], number: usize) -> bool {
    linearized[number / 64] & (1 << (number % 64)) != 0
}

/// The state after an operation; `None` if it cannot have met this state, with this outcome.
fn step(state: State, operation: &Operation) -> Option<State> {
    let (fits, after) = match (operation.outcome, operation.call) {
        (Outcome::Ok(value), Call::Read) => (state == value, state),
        (Outcome::Ok(_) | Outcome::Info, call) => match call {
            Call::Read => (true, state),
            Call::Write(new) => (true, Some(new)),
            Call::CompareAndSet(old, new) => (state == Some(old), Some(new)),
            Call::Create(new) => (state.is_none(), Some(new)),
            Call::Delete => (true, None),
            Call::DeleteIf(old) => (state == Some(old), None),
        },
        (Outcome::Differs, Call::Create(_)) => (state.is_some(), state),
        (Outcome::Differs, Call::CompareAndSet(old, _) | Call::DeleteIf(old)) => {
            (state.is_some() && state != Some(old), state)
        }
        (Outcome::Absent, Call::CompareAndSet(..) | Call::DeleteIf(_)) => (state.is_none(), state),
        // Nothing excuses refusing what has no such condition.
        (Outcome::Differs | Outcome::Absent, _) => (false, state),
        (Outcome::Fail, _) => (true, state),
    };
    fits.then_some(after)
}

#[cfg(test)]
mod simulated;
#[cfg(test)]
mod tests;
