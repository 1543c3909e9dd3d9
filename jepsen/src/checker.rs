//! Per-key linearizability of a register with compare-and-set, create and delete.
//!
//! The search is Wing and Gong's with Lowe's memory: operations are linearized one by
//! one; a configuration (which operations are in, what the register holds) that was seen
//! before is not searched again. An `:info` operation has no end, so it may take effect
//! at any later time or never; one that wrote a value which nobody saw and nobody set from
//! is left out, because a linearization with it is one without it. A key whose search exceeds its bound is *unknown*, which
//! fails a run as a violation does.

use std::{
    collections::{BTreeMap, HashSet},
    fmt,
    time::Duration,
};

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
    let mut keys: BTreeMap<u64, Vec<Operation>> = BTreeMap::new();
    for operation in &history.0 {
        keys.entry(operation.key).or_default().push(*operation);
    }
    let mut verdict = Verdict::default();
    for (key, operations) in keys {
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

/// Whether the operations on one key, which begins empty, are linearizable.
fn linearizable(operations: &[Operation]) -> Option<bool> {
    let seen = seen_values(operations);
    // A failed operation did not happen; a read without an answer says nothing.
    let mut relevant: Vec<Operation> = operations
        .iter()
        .copied()
        .filter(|operation| match operation.outcome {
            Outcome::Fail => false,
            Outcome::Ok(_) => true,
            Outcome::Info => match operation.call {
                Call::Read => false,
                Call::Delete => true,
                Call::Write(new) | Call::CompareAndSet(_, new) | Call::Create(new) => {
                    seen.contains(&new)
                }
            },
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

/// Values that a read returned or that a compare-and-set which may have happened set from.
fn seen_values(operations: &[Operation]) -> HashSet<Value> {
    operations
        .iter()
        .filter_map(|operation| match (operation.call, operation.outcome) {
            (Call::Read, Outcome::Ok(value)) => value,
            (Call::CompareAndSet(old, _), outcome) if outcome != Outcome::Fail => Some(old),
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

    /// Every operation that may come next: it is not in yet, and no operation that is not
    /// in ended before it began.
    fn expand(&mut self, from: &Configuration, stack: &mut Vec<Configuration>) {
        let mut first_end = Duration::MAX;
        let candidates_from = stack.len();
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
            }
            let Some(state) = step(from.state, operation) else { continue };
            let mut linearized = from.linearized.clone();
            linearized[number / 64] |= 1 << (number % 64);
            if self.seen.insert((linearized.clone(), state)) {
                let required_in = from.required_in + usize::from(!info);
                stack.push(Configuration { linearized, state, required_in });
            }
        }
        // The operation that began first is the likeliest next: search it first.
        stack[candidates_from..].reverse();
    }
}

fn is_in(linearized: &[u64], number: usize) -> bool {
    linearized[number / 64] & (1 << (number % 64)) != 0
}

/// The state after an operation that took effect; `None` if it cannot have, with this outcome.
fn step(state: State, operation: &Operation) -> Option<State> {
    match (operation.call, operation.outcome) {
        (Call::Read, Outcome::Ok(value)) => (state == value).then_some(state),
        (Call::Read, _) => Some(state),
        (Call::Write(value), _) => Some(Some(value)),
        (Call::CompareAndSet(old, new), _) => (state == Some(old)).then_some(Some(new)),
        (Call::Create(value), _) => state.is_none().then_some(Some(value)),
        (Call::Delete, _) => Some(None),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn operation(call: Call, invoked: u64, ended: u64, outcome: Outcome) -> Operation {
        Operation {
            process: 0,
            key: 0,
            call,
            invoked: Duration::from_nanos(invoked),
            ended: Duration::from_nanos(ended),
            outcome,
        }
    }

    const DONE: Outcome = Outcome::Ok(None);

    #[test]
    fn a_stale_read_is_a_violation() {
        let history = [
            operation(Call::Write(1), 0, 1, DONE),
            operation(Call::Write(2), 2, 3, DONE),
            operation(Call::Read, 4, 5, Outcome::Ok(Some(1))),
        ];
        assert_eq!(linearizable(&history), Some(false));
        // Concurrent with the second write it is fine.
        let mut overlapping = history;
        overlapping[1].ended = Duration::from_nanos(6);
        assert_eq!(linearizable(&overlapping), Some(true));
    }

    #[test]
    fn a_lost_write_is_a_violation() {
        let history =
            [operation(Call::Write(1), 0, 1, DONE), operation(Call::Read, 2, 3, Outcome::Ok(None))];
        assert_eq!(linearizable(&history), Some(false));
    }

    #[test]
    fn two_creates_cannot_both_win() {
        let both =
            [operation(Call::Create(1), 0, 10, DONE), operation(Call::Create(2), 0, 10, DONE)];
        assert_eq!(linearizable(&both), Some(false));
        let with_delete = [both[0], both[1], operation(Call::Delete, 0, 10, DONE)];
        assert_eq!(linearizable(&with_delete), Some(true));
    }

    #[test]
    fn an_unknown_write_may_come_late_or_never() {
        let unknown = operation(Call::Write(1), 0, 1, Outcome::Info);
        let nothing = operation(Call::Read, 5, 6, Outcome::Ok(None));
        let late = operation(Call::Read, 7, 8, Outcome::Ok(Some(1)));
        assert_eq!(linearizable(&[unknown, nothing]), Some(true));
        assert_eq!(linearizable(&[unknown, nothing, late]), Some(true));
        let gone_again = operation(Call::Read, 9, 10, Outcome::Ok(None));
        assert_eq!(linearizable(&[unknown, nothing, late, gone_again]), Some(false));
    }

    /// The values below are of clients that gave up: only one of them was seen.
    #[test]
    fn unknown_writes_that_nobody_saw_cost_nothing() {
        let mut history: Vec<Operation> =
            (1..=60).map(|value| operation(Call::Write(value), 0, 1, Outcome::Info)).collect();
        history.push(operation(Call::Read, 5, 6, Outcome::Ok(Some(7))));
        history.push(operation(Call::Read, 7, 8, Outcome::Ok(None)));
        assert_eq!(linearizable(&history), Some(false));
        history.pop();
        assert_eq!(linearizable(&history), Some(true));
    }

    #[test]
    fn a_failed_write_must_not_be_seen() {
        let failed = operation(Call::Write(1), 0, 1, Outcome::Fail);
        let seen = operation(Call::Read, 2, 3, Outcome::Ok(Some(1)));
        assert_eq!(linearizable(&[failed, seen]), Some(false));
    }

    #[test]
    fn a_compare_and_set_needs_its_value() {
        let write = operation(Call::Write(1), 0, 1, DONE);
        assert_eq!(
            linearizable(&[write, operation(Call::CompareAndSet(1, 2), 2, 3, DONE)]),
            Some(true)
        );
        assert_eq!(
            linearizable(&[write, operation(Call::CompareAndSet(9, 2), 2, 3, DONE)]),
            Some(false)
        );
    }

    /// Histories made by running a real register one operation at a time inside each
    /// operation's interval are linearizable; with one read's answer changed to a value
    /// that was never written they are not.
    #[derive(Clone, Debug)]
    struct Step {
        kind: u8,
        before: u64,
        after: u64,
    }

    fn recorded(steps: &[Step]) -> Vec<Operation> {
        let mut state = None;
        let mut history = Vec::new();
        for (next, step) in (1u64..).zip(steps) {
            let point = 1000 + 10 * next;
            let call = match step.kind % 5 {
                0 => Call::Read,
                1 => Call::Write(next),
                2 if state.is_some() => Call::CompareAndSet(state.unwrap_or(0), next),
                3 if state.is_none() => Call::Create(next),
                4 => Call::Delete,
                _ => Call::Read,
            };
            let outcome = if call == Call::Read { Outcome::Ok(state) } else { DONE };
            state = match call {
                Call::Read => state,
                Call::Write(new) | Call::CompareAndSet(_, new) | Call::Create(new) => Some(new),
                Call::Delete => None,
            };
            history.push(operation(call, point - step.before, point + step.after, outcome));
        }
        history
    }

    proptest! {
        #[test]
        fn accepts_what_a_register_did_and_refuses_what_it_did_not(
            steps in prop::collection::vec((0u8..5, 0u64..40, 0u64..40), 1..25),
            wrong in any::<prop::sample::Index>(),
        ) {
            let steps: Vec<Step> = steps
                .into_iter()
                .map(|(kind, before, after)| Step { kind, before, after })
                .collect();
            let mut history = recorded(&steps);
            prop_assert_eq!(linearizable(&history), Some(true));
            let reads: Vec<usize> =
                (0..history.len()).filter(|n| history[*n].call == Call::Read).collect();
            if !reads.is_empty() {
                history[reads[wrong.index(reads.len())]].outcome = Outcome::Ok(Some(9999));
                prop_assert_eq!(linearizable(&history), Some(false));
            }
        }
    }
}
