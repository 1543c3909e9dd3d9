//! A register simulated step by step, to record histories from: clients whose operations
//! overlap, some of which give up. Either the condition is decided in the step that writes,
//! as an index partition does, or in a step before it, as a careless gateway would.

use std::time::Duration;

use rand::{Rng, SeedableRng, rngs::StdRng};

use super::State;
use crate::history::{Call, Operation, Outcome, Value};

/// When conditions are decided.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Decides {
    /// In one step with the write.
    WithTheWrite,
    /// In a step before the write: the planted race.
    BeforeTheWrite,
}

const CLIENTS: usize = 8;
const STEPS: u64 = 1000;
/// One operation in so many is given up by its client; it goes on all the same.
const GIVEN_UP_ONE_IN: u32 = 60;

/// What the register answers in a state, and its state then.
pub(super) fn answer(state: State, call: Call) -> (Outcome, State) {
    let done = Outcome::Ok(None);
    let matching = |old: Value, after: State| match state {
        None => (Outcome::Absent, state),
        Some(value) if value != old => (Outcome::Differs, state),
        Some(_) => (done, after),
    };
    match call {
        Call::Read => (Outcome::Ok(state), state),
        Call::Write(new) => (done, Some(new)),
        Call::CompareAndSet(old, new) => matching(old, Some(new)),
        Call::Create(_) if state.is_some() => (Outcome::Differs, state),
        Call::Create(new) => (done, Some(new)),
        Call::Delete => (done, None),
        Call::DeleteIf(old) => matching(old, None),
    }
}

/// An operation under way.
struct Pending {
    client: usize,
    call: Call,
    invoked: u64,
    /// The check has passed: what remains is to write.
    checked: bool,
    answer: Option<Outcome>,
    given_up: bool,
}

/// Records a history; the same seed gives the same one.
pub(super) fn history(decides: Decides, seed: u64) -> Vec<Operation> {
    let mut random = StdRng::seed_from_u64(seed);
    let mut state: State = None;
    let mut last_seen: [Value; CLIENTS] = [1; CLIENTS];
    let mut pending: Vec<Pending> = Vec::new();
    let mut history = Vec::new();
    for now in 1..=STEPS {
        let client = random.random_range(0..CLIENTS);
        if !pending.iter().any(|one| one.client == client && !one.given_up) {
            let call = choose(&mut random, now, last_seen[client]);
            let fresh = Pending {
                client,
                call,
                invoked: now,
                checked: false,
                answer: None,
                given_up: false,
            };
            pending.push(fresh);
            continue;
        }
        // Any operation makes a step, also one whose client is not there any more.
        let number = random.random_range(0..pending.len());
        let one = &mut pending[number];
        if one.answer.is_none() && !one.given_up && random.random_ratio(1, GIVEN_UP_ONE_IN) {
            one.given_up = true;
            history.push(recorded(one, now, Outcome::Info));
        } else if let Some(outcome) = one.answer {
            let one = pending.swap_remove(number);
            if !one.given_up {
                history.push(recorded(&one, now, outcome));
                last_seen[one.client] = known(one.call, outcome).unwrap_or(last_seen[one.client]);
            }
        } else {
            advance(decides, &mut state, one);
        }
    }
    // The run ends: whoever has no answer yet never hears.
    let unheard = pending.iter().filter(|one| !one.given_up);
    history.extend(unheard.map(|one| recorded(one, STEPS + 1, Outcome::Info)));
    history
}

fn choose(random: &mut StdRng, fresh: Value, seen: Value) -> Call {
    match random.random_range(0..10) {
        0..3 => Call::Read,
        3..7 => Call::CompareAndSet(seen, fresh),
        7 => Call::Create(fresh),
        8 => Call::DeleteIf(seen),
        _ if fresh.is_multiple_of(2) => Call::Write(fresh),
        _ => Call::Delete,
    }
}

/// The register's next step in an operation.
fn advance(decides: Decides, state: &mut State, one: &mut Pending) {
    let (outcome, after) = answer(*state, one.call);
    let refused = matches!(outcome, Outcome::Differs | Outcome::Absent);
    if one.checked {
        // What the check found is written, whatever is there by now.
        *state = match one.call {
            Call::Write(new) | Call::CompareAndSet(_, new) | Call::Create(new) => Some(new),
            Call::Delete | Call::DeleteIf(_) => None,
            Call::Read => *state,
        };
        one.answer = Some(Outcome::Ok(None));
    } else if decides == Decides::BeforeTheWrite && one.call.writes() && !refused {
        one.checked = true;
    } else {
        *state = after;
        one.answer = Some(outcome);
    }
}

/// The value that the client now knows of.
fn known(call: Call, outcome: Outcome) -> Option<Value> {
    match (call, outcome) {
        (Call::Read, Outcome::Ok(value)) => value,
        (Call::Write(new) | Call::CompareAndSet(_, new) | Call::Create(new), Outcome::Ok(_)) => {
            Some(new)
        }
        _ => None,
    }
}

fn recorded(one: &Pending, now: u64, outcome: Outcome) -> Operation {
    Operation {
        process: one.client as u64,
        key: 0,
        call: one.call,
        invoked: Duration::from_nanos(one.invoked),
        ended: Duration::from_nanos(now),
        outcome,
    }
}
