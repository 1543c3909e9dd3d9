//! A list of which each PUT to a versioned key appends a version, and which is read by listing the
//! versions (Elle's list-append of one key).
//!
//! All listings are prefixes of one list. It has each version once, only such as were asked for, and in
//! the order of the PUTs that did not overlap; a listing has what was acknowledged before it began, and
//! all that any listing had which ended before it began.

use std::{collections::BTreeMap, time::Duration};

use super::Verdict;
use crate::history::{End, Recorded, by_key};

/// What a client asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ListCall {
    /// PUT of a version with this value.
    Append(u64),
    /// The list of all versions.
    Read,
}

/// An operation; a read found these values, the oldest first.
pub(crate) type ListOperation = Recorded<ListCall, Vec<u64>>;

/// Checks every list.
pub(crate) fn check(history: &[ListOperation]) -> Verdict {
    let mut verdict = Verdict::default();
    for (key, operations) in by_key(history) {
        let faults = faults(&operations);
        verdict
            .judge(key, faults.into_iter().map(|fault| format!("list {key}: {fault}")).collect());
    }
    verdict
}

struct Append {
    invoked: Duration,
    ended: Option<Duration>,
}

fn faults(operations: &[&ListOperation]) -> Vec<String> {
    let mut faults = Vec::new();
    let mut appends: BTreeMap<u64, Append> = BTreeMap::new();
    let mut reads: Vec<(Duration, Duration, &[u64])> = Vec::new();
    for operation in operations {
        match (operation.call, &operation.end) {
            (ListCall::Append(_), End::Fail) | (ListCall::Read, End::Fail | End::Info) => {}
            (ListCall::Append(value), end) => {
                let ended = matches!(end, End::Ok(_)).then_some(operation.ended);
                appends.insert(value, Append { invoked: operation.invoked, ended });
            }
            (ListCall::Read, End::Ok(values)) => {
                reads.push((operation.invoked, operation.ended, values));
            }
        }
    }
    let Some((_, _, longest)) = reads.iter().max_by_key(|read| read.2.len()) else {
        return faults;
    };
    let places: BTreeMap<u64, usize> = longest.iter().copied().zip(0..).collect();
    if places.len() < longest.len() {
        faults.push(format!("a version is there twice: {longest:?}"));
    }
    for (_, ended, values) in &reads {
        let at = ended.as_secs_f64();
        if !longest.starts_with(values) {
            faults
                .push(format!("the read at {at:.3} s is no beginning of {longest:?}: {values:?}"));
        }
        for value in *values {
            if appends.get(value).is_none_or(|append| append.invoked > *ended) {
                faults.push(format!("the read at {at:.3} s has {value}, not appended by then"));
            }
        }
    }
    // Of all that a read must have, the longest is what counts: reads are beginnings of one list.
    for (invoked, ended, values) in &reads {
        let before =
            reads.iter().filter(|other| other.1 < *invoked).map(|other| other.2.len()).max();
        if before.is_some_and(|length| length > values.len()) {
            faults.push(format!(
                "the read at {:.3} s is older than one before it",
                ended.as_secs_f64()
            ));
        }
        for (value, append) in &appends {
            if append.ended.is_some_and(|ended| ended < *invoked) && !values.contains(value) {
                let at = ended.as_secs_f64();
                faults.push(format!("the read at {at:.3} s lacks {value}, acknowledged before it"));
            }
        }
    }
    faults.extend(out_of_order(longest, &appends));
    faults
}

/// Two neighbours of which the second was acknowledged before the first was asked for.
fn out_of_order(list: &[u64], appends: &BTreeMap<u64, Append>) -> Option<String> {
    // The earliest end of what lies behind, from the end of the list on.
    let mut earliest: Option<(Duration, u64)> = None;
    for value in list.iter().rev() {
        let Some(append) = appends.get(value) else { continue };
        if let Some((ended, other)) = earliest
            && ended < append.invoked
        {
            return Some(format!(
                "{other} was acknowledged before {value} was asked for, and lies behind it"
            ));
        }
        if let Some(ended) = append.ended
            && earliest.is_none_or(|(other, _)| ended < other)
        {
            earliest = Some((ended, *value));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn operation(call: ListCall, invoked: u64, ended: u64, end: End<Vec<u64>>) -> ListOperation {
        let (invoked, ended) = (Duration::from_secs(invoked), Duration::from_secs(ended));
        Recorded { process: 0, key: 7, call, invoked, ended, end }
    }

    fn append(value: u64, invoked: u64, ended: u64) -> ListOperation {
        operation(ListCall::Append(value), invoked, ended, End::Ok(Vec::new()))
    }

    fn read(invoked: u64, ended: u64, values: &[u64]) -> ListOperation {
        operation(ListCall::Read, invoked, ended, End::Ok(values.to_vec()))
    }

    fn refused(history: &[ListOperation], word: &str) {
        let verdict = check(history);
        assert_eq!(verdict.violations, [7], "{history:?}");
        assert!(verdict.why.iter().any(|why| why.contains(word)), "{:?}", verdict.why);
    }

    #[test]
    fn a_list_that_grows_is_right() {
        let history = [
            append(1, 0, 5),
            append(2, 0, 5),
            read(1, 2, &[2]),
            read(6, 7, &[2, 1]),
            append(3, 8, 9),
        ];
        assert!(check(&history).valid());
    }

    #[test]
    fn lost_stale_forked_doubled_and_invented_versions_are_refused() {
        refused(&[append(1, 0, 1), read(2, 3, &[])], "lacks 1");
        let unknown = operation(ListCall::Append(1), 0, 1, End::Info);
        assert!(check(&[unknown.clone(), read(2, 3, &[]), read(4, 5, &[1])]).valid());
        refused(&[unknown.clone(), read(2, 3, &[1]), read(4, 5, &[])], "older");
        refused(
            &[append(1, 0, 9), append(2, 0, 9), read(1, 2, &[1]), read(1, 2, &[2])],
            "beginning",
        );
        refused(&[append(1, 0, 1), read(2, 3, &[1, 1])], "twice");
        refused(&[read(2, 3, &[5])], "not appended");
        refused(
            &[operation(ListCall::Append(1), 0, 1, End::Fail), read(2, 3, &[1])],
            "not appended",
        );
    }

    #[test]
    fn the_order_of_appends_that_did_not_overlap_is_theirs() {
        refused(&[append(1, 0, 1), append(2, 2, 3), read(4, 5, &[2, 1])], "lies behind");
        // Also with another between them.
        let history = [append(1, 0, 1), append(2, 2, 3), append(3, 0, 9), read(10, 11, &[2, 3, 1])];
        refused(&history, "lies behind");
        assert!(check(&[append(1, 0, 3), append(2, 2, 3), read(4, 5, &[2, 1])]).valid());
    }

    proptest! {
        /// A list that takes effect at one point inside every interval is right. With one version taken
        /// from the beginning of one read, it is not.
        #[test]
        fn accepts_a_list_and_refuses_a_broken_one(
            steps in prop::collection::vec((any::<bool>(), 0u64..30, 0u64..30), 2..40),
            broken in any::<prop::sample::Index>(),
        ) {
            let mut values = Vec::new();
            let mut history = Vec::new();
            for (number, (appends, before, after)) in (1u64..).zip(steps) {
                let point = 100 + 10 * number;
                if appends {
                    values.push(number);
                    history.push(append(number, point - before, point + after));
                } else {
                    history.push(read(point - before, point + after, &values));
                }
            }
            // One that sees all of it, so that a version that is missing shows.
            history.push(read(9000, 9001, &values));
            prop_assert!(check(&history).valid(), "{:?}", check(&history));
            let full: Vec<usize> = (0..history.len())
                .filter(|at| matches!(&history[*at].end, End::Ok(found) if found.len() > 1))
                .collect();
            if !full.is_empty() {
                let at = full[broken.index(full.len())];
                let End::Ok(found) = &mut history[at].end else { unreachable!("filtered") };
                found.remove(0);
                prop_assert!(!check(&history).valid());
            }
        }
    }
}
