//! What the checker must accept and what it must refuse: single cases, histories of a real
//! register, every order tried, and a gateway that checks first and writes then.

use proptest::prelude::*;

use super::{
    simulated::{self, Decides},
    *,
};

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
    let both = [operation(Call::Create(1), 0, 10, DONE), operation(Call::Create(2), 0, 10, DONE)];
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

#[test]
fn a_delete_with_a_condition_needs_its_value() {
    let write = operation(Call::Write(1), 0, 1, DONE);
    let matching = operation(Call::DeleteIf(1), 2, 3, DONE);
    let gone = operation(Call::Read, 4, 5, Outcome::Ok(None));
    assert_eq!(linearizable(&[write, matching, gone]), Some(true));
    assert_eq!(linearizable(&[write, operation(Call::DeleteIf(9), 2, 3, DONE)]), Some(false));
    assert_eq!(linearizable(&[operation(Call::DeleteIf(1), 2, 3, DONE)]), Some(false));
}

/// Each refusal against an absent key, the value that its condition names, and another.
#[test]
fn a_refusal_needs_a_state_that_its_condition_excludes() {
    use Outcome::{Absent, Differs};
    let another = operation(Call::Write(2), 0, 1, DONE);
    let named = operation(Call::Write(1), 0, 1, DONE);
    for (call, outcome, on_absent, on_named, on_another) in [
        (Call::Create(5), Differs, false, true, true),
        (Call::Create(5), Absent, false, false, false),
        (Call::CompareAndSet(1, 5), Differs, false, false, true),
        (Call::CompareAndSet(1, 5), Absent, true, false, false),
        (Call::DeleteIf(1), Differs, false, false, true),
        (Call::DeleteIf(1), Absent, true, false, false),
        // Without a condition there is no excuse.
        (Call::Delete, Absent, false, false, false),
        (Call::Write(5), Differs, false, false, false),
    ] {
        let refused = operation(call, 2, 3, outcome);
        assert_eq!(linearizable(&[refused]), Some(on_absent), "{refused:?}");
        assert_eq!(linearizable(&[named, refused]), Some(on_named), "{refused:?}");
        assert_eq!(linearizable(&[another, refused]), Some(on_another), "{refused:?}");
    }
}

/// A value that nobody read still refuses others: its write must not be left out.
#[test]
fn an_unknown_write_that_nobody_saw_may_refuse_others() {
    let unknown = operation(Call::Write(1), 0, 1, Outcome::Info);
    let refused = operation(Call::Create(2), 2, 3, Outcome::Differs);
    let nothing = operation(Call::Read, 4, 5, Outcome::Ok(None));
    assert_eq!(linearizable(&[unknown, refused]), Some(true));
    assert_eq!(linearizable(&[unknown, refused, nothing]), Some(false));
    let deleted = operation(Call::Delete, 0, 1, Outcome::Info);
    assert_eq!(linearizable(&[unknown, refused, nothing, deleted]), Some(true));
}

/// One operation of a real register, which runs it at one point inside its interval.
#[derive(Clone, Debug)]
struct Step {
    kind: u8,
    before: u64,
    after: u64,
}

fn recorded(steps: &[Step]) -> Vec<Operation> {
    let mut state: State = None;
    let mut history = Vec::new();
    for (next, step) in (1u64..).zip(steps) {
        let point = 1000 + 10 * next;
        // What a condition names: the value that is there, or one that never was.
        let old = state.filter(|_| step.kind.is_multiple_of(2)).unwrap_or(next + 1000);
        let call = match step.kind / 2 % 6 {
            0 => Call::Read,
            1 => Call::Write(next),
            2 => Call::CompareAndSet(old, next),
            3 => Call::Create(next),
            4 => Call::DeleteIf(old),
            _ => Call::Delete,
        };
        let (outcome, after) = simulated::answer(state, call);
        state = after;
        history.push(operation(call, point - step.before, point + step.after, outcome));
    }
    history
}

fn steps(count: std::ops::Range<usize>) -> impl Strategy<Value = Vec<Step>> {
    let step = (0u8..12, 0u64..40, 0u64..40).prop_map(|(kind, before, after)| Step {
        kind,
        before,
        after,
    });
    prop::collection::vec(step, count)
}

/// The checker without any of its savings: every order is tried.
fn exhaustive(operations: &[Operation], state: State) -> bool {
    let must = |operation: &Operation| !matches!(operation.outcome, Outcome::Info | Outcome::Fail);
    if !operations.iter().any(must) {
        return true;
    }
    let first_end = operations.iter().filter(|o| must(o)).map(|o| o.ended).min();
    (0..operations.len()).any(|number| {
        let operation = operations[number];
        if operation.outcome == Outcome::Fail || Some(operation.invoked) > first_end {
            return false;
        }
        let Some(state) = step(state, &operation) else { return false };
        let mut others = operations.to_vec();
        others.remove(number);
        exhaustive(&others, state)
    })
}

fn any_outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        (0u64..8).prop_map(|value| Outcome::Ok(Some(value).filter(|value| *value > 0))),
        Just(Outcome::Differs),
        Just(Outcome::Absent),
        Just(Outcome::Fail),
        Just(Outcome::Info),
        Just(Outcome::Info),
    ]
}

proptest! {
    /// One read's answer is changed to a value that was never written.
    #[test]
    fn accepts_what_a_register_did_and_refuses_what_it_did_not(
        steps in steps(1..25),
        wrong in any::<prop::sample::Index>(),
    ) {
        let mut history = recorded(&steps);
        prop_assert_eq!(linearizable(&history), Some(true));
        let reads: Vec<usize> =
            (0..history.len()).filter(|n| history[*n].call == Call::Read).collect();
        if !reads.is_empty() {
            history[reads[wrong.index(reads.len())]].outcome = Outcome::Ok(Some(9999));
            prop_assert_eq!(linearizable(&history), Some(false));
        }
    }

    /// Some outcomes are exchanged, so that about half of the histories are wrong.
    #[test]
    fn agrees_with_trying_every_order(
        steps in steps(1..7),
        exchanged in prop::collection::vec((any::<prop::sample::Index>(), any_outcome()), 0..3),
    ) {
        let mut history = recorded(&steps);
        for (number, outcome) in exchanged {
            let number = number.index(history.len());
            history[number].outcome = outcome;
        }
        prop_assert_eq!(linearizable(&history), Some(exhaustive(&history, None)), "{:?}", history);
    }
}

/// The planted bug: a gateway that reads, compares, and then puts without a condition.
#[test]
fn a_gateway_that_checks_first_and_writes_then_is_caught() {
    const RUNS: u64 = 100;
    let mut caught = 0;
    for seed in 0..RUNS {
        let sound = simulated::history(Decides::WithTheWrite, seed);
        assert_eq!(linearizable(&sound), Some(true), "seed {seed}");
        let racy = simulated::history(Decides::BeforeTheWrite, seed);
        caught += u64::from(linearizable(&racy) == Some(false));
    }
    assert!(caught >= RUNS * 9 / 10, "only {caught} of {RUNS} racy histories were refused");
}
