//! Per-key linearizability of a register with compare-and-set, create and delete. A refusal must have met
//! a state that its condition excludes.
//!
//! Values that no read returned and no condition named are one value, [`UNSEEN`]: this and what
//! [`search`] does keep the search small, and do not change a verdict. A property test compares it with
//! a checker that tries every order.

use std::{collections::HashSet, time::Duration};

use super::{
    Verdict,
    search::{self, Step},
};
use crate::history::{Call, History, Operation, Outcome, Value};

/// Checks every key.
pub(crate) fn check(history: &History) -> Verdict {
    let mut verdict = Verdict::default();
    for (key, operations) in history.keys() {
        match linearizable(&operations) {
            Some(true) => verdict.right += 1,
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
    search::linearizable(&relevant, None)
}

impl Step for Operation {
    type State = State;
    type Does = Call;

    fn interval(&self) -> (Duration, Duration) {
        (self.invoked, self.ended)
    }

    fn unknown(&self) -> bool {
        self.outcome == Outcome::Info
    }

    fn changes(&self) -> bool {
        Operation::changes(self)
    }

    fn does(&self) -> Call {
        self.call
    }

    fn step(&self, state: State) -> Option<State> {
        step(state, self)
    }
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
