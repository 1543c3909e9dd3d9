//! Small histories, and histories of a register that is right by construction, then spoilt.

use proptest::prelude::*;

use super::*;

fn operation(call: Call, invoked: u64, ended: u64, outcome: Outcome) -> Operation {
    Operation { key: (0, 0), call, invoked, ended, outcome }
}

const OK: Outcome = Outcome::Ok(None);

fn check(operations: &[(Call, u64, u64, Outcome)]) -> bool {
    let operations: Vec<Operation> =
        operations.iter().map(|it| operation(it.0, it.1, it.2, it.3)).collect();
    linearizable(&operations).expect("they are few")
}

#[test]
fn small_histories() {
    let write = (Call::Write(1), 0, 10, OK);
    let read = |from, to, value| (Call::Read, from, to, Outcome::Ok(value));
    assert!(check(&[write, read(20, 30, Some(1))]));
    assert!(!check(&[write, read(20, 30, None)]), "a stale read");
    assert!(check(&[write, read(5, 30, None)]), "they overlap");
    assert!(!check(&[write, read(5, 8, Some(1)), read(9, 12, None)]), "it goes back");
    let unknown = (Call::Write(2), 11, u64::MAX, Outcome::Info);
    assert!(check(&[write, unknown, read(20, 30, Some(1)), read(40, 50, Some(2))]));
    assert!(!check(&[write, unknown, read(20, 30, Some(2)), read(40, 50, Some(1))]));
    assert!(!check(&[write, (Call::Create(3), 20, 30, OK)]), "created over an object");
    assert!(check(&[write, (Call::Create(3), 20, 30, Outcome::Differs)]));
    assert!(!check(&[(Call::Create(3), 20, 30, Outcome::Differs)]), "refused for nothing");
    let cas = |old, outcome| (Call::CompareAndSet(old, 9), 20, 30, outcome);
    assert!(check(&[write, cas(1, OK), read(40, 50, Some(9))]));
    assert!(!check(&[write, cas(2, OK)]));
    assert!(check(&[write, cas(2, Outcome::Differs)]));
    assert!(!check(&[write, cas(1, Outcome::Absent)]));
    assert!(!check(&[write, (Call::Delete, 20, 30, OK), read(40, 50, Some(1))]), "it came back");
}

/// A register's own order, with times that overlap around it.
fn real() -> impl Strategy<Value = Vec<Operation>> {
    let one = (0u8..6, 1u64..5, 0u64..40, 0u64..40, 0u8..8);
    prop::collection::vec(one, 1..24).prop_map(|steps| {
        let (mut state, mut history) = (None, Vec::new());
        for (number, (kind, old, before, after, unknown)) in (1u64..).zip(steps) {
            let at = number * 20;
            let value = 100 + number;
            let old = state.filter(|_| old > 2).unwrap_or(old);
            let call = match kind {
                0 => Call::Write(value),
                1 => Call::CompareAndSet(old, value),
                2 => Call::Create(value),
                3 => Call::Delete,
                4 => Call::DeleteIf(old),
                _ => Call::Read,
            };
            let outcome = match call {
                Call::Read => Outcome::Ok(state),
                Call::Create(_) if state.is_some() => Outcome::Differs,
                Call::CompareAndSet(old, _) | Call::DeleteIf(old) if state != Some(old) => {
                    if state.is_none() { Outcome::Absent } else { Outcome::Differs }
                }
                _ => OK,
            };
            if let Some(after) = step(state, &operation(call, 0, 0, outcome)) {
                state = after;
            }
            let (ended, outcome) = match unknown {
                0 => (u64::MAX, Outcome::Info),
                _ => (at + after, outcome),
            };
            history.push(operation(call, at.saturating_sub(before), ended, outcome));
        }
        history
    })
}

proptest! {
    #[test]
    fn a_real_register_is_linearizable(history in real()) {
        prop_assert_eq!(linearizable(&history), Some(true));
    }

    #[test]
    fn a_read_of_what_nobody_wrote_is_not(history in real(), at in 0usize..24) {
        let mut history = history;
        let at = at % history.len();
        history[at] = Operation { call: Call::Read, outcome: Outcome::Ok(Some(7777)), ended: history[at].invoked + 50, ..history[at] };
        prop_assert_eq!(linearizable(&history), Some(false));
    }
}
