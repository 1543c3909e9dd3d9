//! A set of which elements are added by PUT and which is read by LIST (Jepsen's set-full).
//!
//! An element is *known* from the end of its PUT, or of the first listing that had it, on. A listing
//! that began later and has it not is wrong: the element is *lost* if no later listing has it either,
//! else the listing was *stale*. A listing names each element once, in order, and only what was asked for.

use std::{collections::BTreeMap, time::Duration};

use super::Verdict;
use crate::history::{End, Recorded, by_key};

/// What a client asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SetCall {
    /// PUT of a key that stands for the element.
    Add(u64),
    /// LIST of all of them.
    List,
}

/// An operation; a listing found these elements, in this order.
pub(crate) type SetOperation = Recorded<SetCall, Vec<u64>>;

/// Checks every set.
pub(crate) fn check(history: &[SetOperation]) -> Verdict {
    let mut verdict = Verdict::default();
    for (key, operations) in by_key(history) {
        verdict.judge(key, faults(key, &operations));
    }
    verdict
}

struct Listing<'a> {
    invoked: Duration,
    ended: Duration,
    elements: &'a [u64],
}

fn faults(key: u64, operations: &[&SetOperation]) -> Vec<String> {
    let mut faults = Vec::new();
    // When each was asked for, and from when on it is known.
    let mut asked: BTreeMap<u64, Duration> = BTreeMap::new();
    let mut known: BTreeMap<u64, Duration> = BTreeMap::new();
    let mut listings = Vec::new();
    for operation in operations {
        match (operation.call, &operation.end) {
            (SetCall::Add(element), end) => {
                if !matches!(end, End::Fail) {
                    asked.insert(element, operation.invoked);
                }
                if matches!(end, End::Ok(_)) {
                    known.insert(element, operation.ended);
                }
            }
            (SetCall::List, End::Ok(elements)) => listings.push(Listing {
                invoked: operation.invoked,
                ended: operation.ended,
                elements,
            }),
            (SetCall::List, End::Fail | End::Info) => {}
        }
    }
    listings.sort_by_key(|listing| listing.invoked);
    for listing in &listings {
        let at = listing.ended.as_secs_f64();
        if let Some(pair) = listing.elements.windows(2).find(|pair| pair[0] >= pair[1]) {
            let what = if pair[0] == pair[1] { "names twice" } else { "names out of order" };
            faults.push(format!("set {key}: the listing at {at:.3} s {what}: {pair:?}"));
        }
        for element in listing.elements {
            if asked.get(element).is_none_or(|invoked| *invoked > listing.ended) {
                faults.push(format!(
                    "set {key}: the listing at {at:.3} s has {element}, which was not added by then"
                ));
            }
            let known = known.entry(*element).or_insert(listing.ended);
            *known = (*known).min(listing.ended);
        }
    }
    for (element, since) in &known {
        let has = |listing: &&Listing<'_>| listing.elements.contains(element);
        let mut later = listings.iter().rev().filter(|listing| listing.invoked > *since);
        let Some(without) = later.find(|listing| !has(listing)) else { continue };
        let again = listings.iter().filter(has).any(|other| other.invoked > without.invoked);
        faults.push(format!(
            "set {key}: {element} is known since {:.3} s and is {} at {:.3} s",
            since.as_secs_f64(),
            if again { "not listed (stale)" } else { "lost" },
            without.invoked.as_secs_f64(),
        ));
    }
    faults
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn operation(call: SetCall, invoked: u64, ended: u64, end: End<Vec<u64>>) -> SetOperation {
        let (invoked, ended) = (Duration::from_secs(invoked), Duration::from_secs(ended));
        Recorded { process: 0, key: 7, call, invoked, ended, end }
    }

    fn add(element: u64, invoked: u64, ended: u64) -> SetOperation {
        operation(SetCall::Add(element), invoked, ended, End::Ok(Vec::new()))
    }

    fn list(invoked: u64, ended: u64, elements: &[u64]) -> SetOperation {
        operation(SetCall::List, invoked, ended, End::Ok(elements.to_vec()))
    }

    fn refused(history: &[SetOperation], word: &str) {
        let verdict = check(history);
        assert_eq!(verdict.violations, [7], "{history:?}");
        assert!(verdict.why.iter().any(|why| why.contains(word)), "{:?}", verdict.why);
    }

    #[test]
    fn what_was_added_before_must_be_there_and_what_is_under_way_may_be() {
        let history = [add(1, 0, 1), add(2, 0, 9), list(2, 3, &[1]), list(4, 5, &[1, 2])];
        assert!(check(&history).valid());
        refused(&[add(1, 0, 1), list(2, 3, &[])], "lost");
        refused(&[add(1, 0, 1), list(2, 3, &[]), list(4, 5, &[1])], "stale");
    }

    #[test]
    fn what_was_seen_once_must_be_seen_from_then_on() {
        let unknown = operation(SetCall::Add(1), 0, 1, End::Info);
        assert!(check(&[unknown.clone(), list(2, 3, &[]), list(4, 5, &[1])]).valid());
        refused(&[unknown.clone(), list(2, 3, &[1]), list(4, 5, &[])], "lost");
        // The two listings overlap: either may be the earlier.
        assert!(check(&[unknown, list(2, 5, &[1]), list(4, 6, &[])]).valid());
    }

    #[test]
    fn duplicates_disorder_and_inventions_are_refused() {
        refused(&[add(1, 0, 1), list(2, 3, &[1, 1])], "twice");
        refused(&[add(1, 0, 1), add(2, 0, 1), list(2, 3, &[2, 1])], "order");
        refused(&[list(2, 3, &[4])], "not added");
        refused(&[list(2, 3, &[4]), add(4, 5, 6)], "not added");
        refused(&[operation(SetCall::Add(1), 0, 1, End::Fail), list(2, 3, &[1])], "not added");
    }

    proptest! {
        /// A set that takes effect at one point inside every interval is right; with one element taken
        /// from one listing that must have it, or one put in twice, it is not.
        #[test]
        fn accepts_a_set_and_refuses_a_broken_one(
            steps in prop::collection::vec((any::<bool>(), 0u64..30, 0u64..30), 2..40),
            broken in any::<prop::sample::Index>(),
            lost in any::<bool>(),
        ) {
            let mut elements = Vec::new();
            let mut history = Vec::new();
            for (number, (adds, before, after)) in (1u64..).zip(steps) {
                let point = 100 + 10 * number;
                if adds {
                    elements.push(number);
                    history.push(add(number, point - before, point + after));
                } else {
                    history.push(list(point - before, point + after, &elements));
                }
            }
            prop_assert!(check(&history).valid(), "{:?}", check(&history));
            let full: Vec<usize> = (0..history.len())
                .filter(|at| matches!(&history[*at].end, End::Ok(found) if !found.is_empty()))
                .collect();
            if !full.is_empty() {
                let at = full[broken.index(full.len())];
                let invoked = history[at].invoked;
                let before = history.iter().filter(|o| o.ended < invoked).find_map(|o| match o.call {
                    SetCall::Add(element) => Some(element),
                    SetCall::List => None,
                });
                let End::Ok(found) = &mut history[at].end else { unreachable!("filtered") };
                match before {
                    Some(element) if lost => found.retain(|one| *one != element),
                    _ => found.insert(0, found[0]),
                }
                prop_assert!(!check(&history).valid());
            }
        }
    }
}
