//! Buckets that come and go under PUTs: no object is acknowledged in a bucket that is deleted as empty,
//! and none is there in a bucket that is made again.
//!
//! A bucket is linearizable together with its objects: it is absent, or holds a set of keys. What is
//! said of a bucket's own existence may be a few seconds old (the gateways' caches are), so a refusal
//! because of it says nothing here; what is *done*, and what is said of objects, counts.

use std::{collections::BTreeSet, time::Duration};

use super::{
    Verdict,
    search::{self, Step},
};
use crate::history::{End, Recorded, by_key};

/// What a client asked for. Objects are numbered from 0 within a bucket, and each is put once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum BucketCall {
    /// CreateBucket.
    Create,
    /// DeleteBucket, which needs it to be empty.
    Delete,
    /// PUT of an object.
    Put(u32),
    /// DELETE of an object.
    Remove(u32),
    /// GET of an object.
    Get(u32),
}

/// An operation; a GET found the object, or found that there is none.
pub(crate) type BucketOperation = Recorded<BucketCall, bool>;

/// A bucket, if there is one: the objects that are in it, a bit each.
type State = Option<u64>;

/// Checks every bucket.
pub(crate) fn check(history: &[BucketOperation]) -> Verdict {
    let mut verdict = Verdict::default();
    for (key, operations) in by_key(history) {
        let mut relevant: Vec<&BucketOperation> = operations
            .into_iter()
            // A failed operation did not happen; a read without an answer says nothing.
            .filter(|operation| match operation.end {
                End::Ok(_) => true,
                End::Fail => false,
                End::Info => operation.changes(),
            })
            .collect();
        leave_out_what_explains_nothing(&mut relevant);
        relevant.sort_by_key(|operation| operation.invoked);
        match search::linearizable(&relevant, None) {
            Some(true) => verdict.right += 1,
            Some(false) => {
                verdict.violations.push(key);
                verdict.explain([format!("bucket {key} and its objects are not linearizable")]);
            }
            None => verdict.unknown.push(key),
        }
    }
    verdict
}

/// Leaves out unanswered operations that no answer can need: each would double the search. A PUT whose object was
/// never seen only keeps the bucket from being deleted, and a DELETE of an object that was not put does
/// nothing.
fn leave_out_what_explains_nothing(operations: &mut Vec<&BucketOperation>) {
    let seen: BTreeSet<u32> = operations
        .iter()
        .filter_map(|operation| match (operation.call, &operation.end) {
            (BucketCall::Get(object), End::Ok(true)) => Some(object),
            _ => None,
        })
        .collect();
    operations.retain(|operation| match (operation.call, &operation.end) {
        (BucketCall::Put(object), End::Info) => seen.contains(&object),
        _ => true,
    });
    let put: BTreeSet<u32> = operations
        .iter()
        .filter_map(|operation| match operation.call {
            BucketCall::Put(object) => Some(object),
            _ => None,
        })
        .collect();
    operations.retain(|operation| match (operation.call, &operation.end) {
        (BucketCall::Remove(object), End::Info) => put.contains(&object),
        _ => true,
    });
}

impl Step for &BucketOperation {
    type State = State;
    type Does = BucketCall;

    fn interval(&self) -> (Duration, Duration) {
        (self.invoked, self.ended)
    }

    fn unknown(&self) -> bool {
        matches!(self.end, End::Info)
    }

    fn changes(&self) -> bool {
        !matches!(self.call, BucketCall::Get(_))
    }

    fn does(&self) -> BucketCall {
        self.call
    }

    fn step(&self, state: State) -> Option<State> {
        let bit = |object: u32| 1u64 << object;
        match (self.call, state) {
            (BucketCall::Create, None) => Some(Some(0)),
            // Two deletions at once may both have been the one that did it.
            (BucketCall::Delete, Some(0) | None) => Some(None),
            (BucketCall::Put(object), Some(objects)) => Some(Some(objects | bit(object))),
            (BucketCall::Remove(object), Some(objects)) => Some(Some(objects & !bit(object))),
            (BucketCall::Get(object), Some(objects)) => {
                let there = objects & bit(object) != 0;
                (self.end == End::Ok(there)).then_some(state)
            }
            // An object of a bucket that is gone is not there.
            (BucketCall::Get(_), None) => (self.end == End::Ok(false)).then_some(state),
            (BucketCall::Remove(_), None) => Some(state),
            (BucketCall::Create, Some(_))
            | (BucketCall::Delete, Some(_))
            | (BucketCall::Put(_), None) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn operation(call: BucketCall, invoked: u64, ended: u64, end: End<bool>) -> BucketOperation {
        let (invoked, ended) = (Duration::from_secs(invoked), Duration::from_secs(ended));
        Recorded { process: 0, key: 7, call, invoked, ended, end }
    }

    fn done(call: BucketCall, at: u64) -> BucketOperation {
        operation(call, at, at + 1, End::Ok(true))
    }

    use BucketCall::{Create, Delete, Get, Put, Remove};

    #[test]
    fn an_object_acknowledged_in_a_bucket_that_was_deleted_as_empty_is_refused() {
        let history = [done(Create, 0), done(Put(3), 2), done(Delete, 4)];
        assert_eq!(check(&history).violations, [7]);
        // Without the acknowledgement it is fine: the PUT may have come too late.
        let unknown = operation(Put(3), 2, 3, End::Info);
        assert!(check(&[done(Create, 0), unknown, done(Delete, 4)]).valid());
        // A second deletion does not excuse it.
        let history = [done(Create, 0), done(Put(3), 2), done(Delete, 4), done(Delete, 6)];
        assert_eq!(check(&history).violations, [7]);
        let history = [done(Create, 0), done(Put(3), 2), done(Remove(3), 4), done(Delete, 6)];
        assert!(check(&history).valid());
    }

    #[test]
    fn an_object_does_not_come_back_with_the_name_of_its_bucket() {
        let unknown = operation(Put(3), 0, 9, End::Info);
        let again =
            [done(Create, 0), unknown, done(Delete, 20), done(Create, 22), done(Get(3), 24)];
        // The PUT may still be under way and come into the new bucket ...
        assert!(check(&again).valid());
        // ... but not if it was seen and removed before.
        let seen = [
            done(Create, 0),
            operation(Put(3), 0, 9, End::Info),
            done(Get(3), 10),
            done(Remove(3), 12),
            done(Delete, 20),
            done(Create, 22),
            done(Get(3), 24),
        ];
        assert_eq!(check(&seen).violations, [7]);
    }

    #[test]
    fn a_refused_put_is_not_there_and_nothing_is_put_nowhere() {
        let refused = operation(Put(1), 2, 3, End::Fail);
        assert_eq!(check(&[done(Create, 0), refused, done(Get(1), 4)]).violations, [7]);
        assert_eq!(check(&[done(Put(1), 4)]).violations, [7]);
        assert_eq!(check(&[done(Create, 1), done(Create, 4)]).violations, [7]);
    }

    /// While nobody answers, a bucket collects operations of which each may have happened or not.
    #[test]
    fn many_unanswered_operations_do_not_exhaust_the_search() {
        let unanswered = |call, at| operation(call, at, 1000, End::Info);
        let mut history = vec![done(Create, 0)];
        for number in 0u32..40 {
            let at = 2 + u64::from(number);
            history.push(unanswered(Put(number), at));
            history.push(unanswered(Remove(number / 2), at));
            history.push(unanswered([Create, Delete][number as usize % 2], at));
        }
        history.push(operation(Get(16), 60, 61, End::Ok(false)));
        history.push(done(Delete, 70));
        assert!(check(&history).valid());
        // What was seen still has to be explained.
        history.push(done(Get(7), 80));
        assert!(check(&history).valid(), "made again, and put late");
        history.push(done(Get(41), 90));
        assert_eq!(check(&history).violations, [7], "nobody put it");
    }

    proptest! {
        /// A bucket that takes effect at one point inside every interval is right; with one GET's answer
        /// turned round, and nothing overlapping, it is not.
        #[test]
        fn accepts_a_bucket_and_refuses_a_wrong_answer(
            steps in prop::collection::vec((0u8..10, 0u32..6, 0u64..25, 0u64..25), 2..40),
            wrong in any::<prop::sample::Index>(),
            overlap in any::<bool>(),
        ) {
            let mut state: State = None;
            let mut history = Vec::new();
            for (number, (kind, object, before, after)) in (1u64..).zip(steps) {
                let call = match kind {
                    0 | 1 => Create,
                    2 => Delete,
                    3..6 => Put(object),
                    6 => Remove(object),
                    _ => Get(object),
                };
                let there = state.is_some_and(|objects| objects & (1 << object) != 0);
                let (before, after) = if overlap { (before, after) } else { (0, 1) };
                let point = 100 + 10 * number;
                let one = operation(call, point - before, point + after, End::Ok(there));
                // What cannot be is refused.
                match (&one).step(state) {
                    Some(next) => {
                        state = next;
                        history.push(one);
                    }
                    None => history.push(Recorded { end: End::Fail, ..one }),
                }
            }
            prop_assert!(check(&history).valid());
            let gets: Vec<usize> = (0..history.len())
                .filter(|at| matches!(history[*at].call, Get(_)))
                .collect();
            if !overlap && !gets.is_empty() {
                let end = &mut history[gets[wrong.index(gets.len())]].end;
                if let End::Ok(there) = end {
                    *there = !*there;
                }
                prop_assert!(!check(&history).valid());
            }
        }
    }
}
