//! The search for a linearization, whatever the object is.
//!
//! It is Wing and Gong's with Lowe's memory: operations are linearized one by one; a configuration
//! (which operations are in, what the object holds) that was seen before is not searched again. An
//! `:info` operation has no end, so it may take effect at any later time or never. A search that exceeds
//! its bound is *unknown*, which fails a run as a violation does.
//!
//! Three things keep the search small, and none changes a verdict:
//!
//! * an operation that changes nothing and fits the state now is taken at once: it changes nothing for
//!   the others;
//! * of `:info` operations that would do the same, the one invoked first goes first;
//! * an `:info` operation that would change nothing never happened.

use std::{collections::HashSet, hash::Hash, time::Duration};

/// Configurations that one search may visit.
const CONFIGURATIONS_MAX: usize = 1_000_000;

/// An operation on some object.
pub(crate) trait Step {
    /// What the object holds.
    type State: Copy + Eq + Hash;
    /// What the operation does: equal for those that would do the same.
    type Does: Eq + Hash;

    /// When it was invoked and when it ended.
    fn interval(&self) -> (Duration, Duration);
    /// Whether it is `:info`.
    fn unknown(&self) -> bool;
    /// Whether it may change the object.
    fn changes(&self) -> bool;
    /// See [`Step::Does`].
    fn does(&self) -> Self::Does;
    /// The state after it; `None` if it cannot have met this state, with its outcome.
    fn step(&self, state: Self::State) -> Option<Self::State>;
}

/// Whether the operations are linearizable from the state at the beginning; `None` if the search was
/// given up. They must be in the order in which they were invoked.
pub(crate) fn linearizable<S: Step>(operations: &[S], start: S::State) -> Option<bool> {
    // All operations that must be in: the others may never have happened.
    let required = operations.iter().filter(|operation| !operation.unknown()).count();
    let words = operations.len().div_ceil(64);
    let mut search = Search { operations, seen: HashSet::new() };
    let mut stack =
        vec![Configuration { linearized: vec![0; words], state: start, required_in: 0 }];
    while let Some(configuration) = stack.pop() {
        if configuration.required_in == required {
            return Some(true);
        }
        if search.seen.len() >= CONFIGURATIONS_MAX {
            return None;
        }
        search.expand(&configuration, &mut stack);
    }
    Some(false)
}

struct Search<'a, S: Step> {
    operations: &'a [S],
    seen: HashSet<(Vec<u64>, S::State)>,
}

/// A configuration on the search's stack.
struct Configuration<T> {
    linearized: Vec<u64>,
    state: T,
    required_in: usize,
}

impl<S: Step> Search<'_, S> {
    /// Pushes the configurations that may come next.
    fn expand(&mut self, from: &Configuration<S::State>, stack: &mut Vec<Configuration<S::State>>) {
        let next = self.candidates(from);
        let quiet = next.iter().find(|(number, _)| !self.operations[*number].changes());
        let next = quiet.map_or(next.as_slice(), std::slice::from_ref);
        // The operation that began first is the likeliest next: it is pushed last.
        for &(number, state) in next.iter().rev() {
            let mut linearized = from.linearized.clone();
            linearized[number / 64] |= 1 << (number % 64);
            if self.seen.insert((linearized.clone(), state)) {
                let required = !self.operations[number].unknown();
                let required_in = from.required_in + usize::from(required);
                stack.push(Configuration { linearized, state, required_in });
            }
        }
    }

    /// Every operation that may come next, with the state after it: it is not in yet, and
    /// no operation that is not in ended before it began.
    fn candidates(&self, from: &Configuration<S::State>) -> Vec<(usize, S::State)> {
        let mut first_end = Duration::MAX;
        let mut tried: HashSet<S::Does> = HashSet::new();
        let mut found = Vec::new();
        for (number, operation) in self.operations.iter().enumerate() {
            if is_in(&from.linearized, number) {
                continue;
            }
            let (invoked, ended) = operation.interval();
            if invoked > first_end {
                break;
            }
            let unknown = operation.unknown();
            if !unknown {
                first_end = first_end.min(ended);
            } else if !tried.insert(operation.does()) {
                continue;
            }
            match operation.step(from.state) {
                Some(state) if !(unknown && state == from.state) => found.push((number, state)),
                _ => {}
            }
        }
        found
    }
}

fn is_in(linearized: &[u64], number: usize) -> bool {
    linearized[number / 64] & (1 << (number % 64)) != 0
}
