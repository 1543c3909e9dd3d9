//! Every key is a linearizable register with compare-and-set, create and delete: there is an order of
//! its operations that agrees with time and in which each has the outcome that its client was told.
//!
//! The search is Wing and Gong's with Lowe's memory of configurations, as in the checker of
//! `jepsen/`, which explains what keeps it small: values that nobody saw are one value; what changes
//! nothing is taken at once; of unknown operations that would do the same, the first goes first.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    history::{Call, Key, Operation, Outcome, Value},
    world::World,
};

/// Configurations that one key's search may visit. A key that needs more fails the run: what is not
/// known is not right.
const CONFIGURATIONS_MAX: usize = 400_000;

/// Stands for every value that nobody saw; clients write values from 1.
const UNSEEN: Value = 0;

/// Checks every key.
pub fn check(world: &World) {
    let mut keys: BTreeMap<Key, Vec<Operation>> = BTreeMap::new();
    for operation in &world.history.lock().operations {
        keys.entry(operation.key).or_default().push(*operation);
    }
    for (key, operations) in keys {
        match linearizable(&operations) {
            Some(true) => {}
            Some(false) => {
                world.violate("linearizable", format!("key {key:?}:{}", shown(&operations)));
            }
            None => world.violate("linearizable", format!("key {key:?} needs too long a search")),
        }
    }
}

fn shown(operations: &[Operation]) -> String {
    let line = |it: &Operation| {
        let ended = if it.ended == u64::MAX { "?".into() } else { it.ended.to_string() };
        format!("\n    {:>11}..{ended:<11} {:?} -> {:?}", it.invoked, it.call, it.outcome)
    };
    operations.iter().map(line).collect()
}

type State = Option<Value>;

/// Whether there is such an order; the key begins empty.
fn linearizable(operations: &[Operation]) -> Option<bool> {
    let named: BTreeSet<Value> = operations.iter().filter_map(named).collect();
    let seen = |value| if named.contains(&value) { value } else { UNSEEN };
    let relevant = operations.iter().filter(|it| it.call.writes() || it.outcome != Outcome::Info);
    let mut relevant: Vec<Operation> = relevant
        .map(|operation| {
            let call = match operation.call {
                Call::Write(new) => Call::Write(seen(new)),
                Call::CompareAndSet(old, new) => Call::CompareAndSet(old, seen(new)),
                Call::Create(new) => Call::Create(seen(new)),
                call => call,
            };
            Operation { call, ..*operation }
        })
        .collect();
    relevant.sort_by_key(|operation| operation.invoked);
    search(&relevant)
}

/// A value that an operation saw or asked for.
fn named(operation: &Operation) -> Option<Value> {
    match (operation.call, operation.outcome) {
        (Call::Read, Outcome::Ok(value)) => value,
        (Call::CompareAndSet(old, _) | Call::DeleteIf(old), _) => Some(old),
        _ => None,
    }
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Configuration {
    linearized: Vec<u64>,
    state: State,
}

fn search(operations: &[Operation]) -> Option<bool> {
    let required = operations.iter().filter(|it| it.outcome != Outcome::Info).count();
    let start = Configuration { linearized: vec![0; operations.len().div_ceil(64)], state: None };
    let mut visited = BTreeSet::from([start.clone()]);
    let mut stack = vec![(start, 0)];
    while let Some((configuration, in_it)) = stack.pop() {
        if in_it == required {
            return Some(true);
        }
        if visited.len() >= CONFIGURATIONS_MAX {
            return None;
        }
        let next = candidates(operations, &configuration);
        let quiet = next.iter().position(|(number, _)| changes_nothing(&operations[*number]));
        let next = quiet.map_or(&next[..], |at| &next[at..=at]);
        // The operation that began first is the likeliest next: it is pushed last.
        for &(number, state) in next.iter().rev() {
            let mut linearized = configuration.linearized.clone();
            linearized[number / 64] |= 1 << (number % 64);
            let after = Configuration { linearized, state };
            if visited.insert(after.clone()) {
                let more = usize::from(operations[number].outcome != Outcome::Info);
                stack.push((after, in_it + more));
            }
        }
    }
    Some(false)
}

/// A read or a refusal: whatever the state is, it stays.
fn changes_nothing(operation: &Operation) -> bool {
    operation.call == Call::Read || matches!(operation.outcome, Outcome::Differs | Outcome::Absent)
}

/// What may come next, with the state after it: it is not in yet, and nothing that is not in ended
/// before it began.
fn candidates(operations: &[Operation], from: &Configuration) -> Vec<(usize, State)> {
    let (mut first_end, mut tried, mut found) = (u64::MAX, Vec::<Call>::new(), Vec::new());
    for (number, operation) in operations.iter().enumerate() {
        if from.linearized[number / 64] & (1 << (number % 64)) != 0 {
            continue;
        }
        if operation.invoked > first_end {
            break;
        }
        let info = operation.outcome == Outcome::Info;
        if info {
            if tried.contains(&operation.call) {
                continue;
            }
            tried.push(operation.call);
        } else {
            first_end = first_end.min(operation.ended);
        }
        match step(from.state, operation) {
            // An unknown operation that would change nothing never happened.
            Some(state) if !(info && state == from.state) => found.push((number, state)),
            _ => {}
        }
    }
    found
}

/// The state after an operation; `None` if it cannot have met this state with this outcome.
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
    };
    fits.then_some(after)
}

#[cfg(test)]
mod tests;
