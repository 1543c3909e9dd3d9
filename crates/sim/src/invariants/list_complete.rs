//! A listing never misses an object that was acknowledged before it began and stayed, and never shows
//! one whose deletion was acknowledged before it began and that nobody wrote again.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    history::{Call, History, Key, Listing, Operation, Outcome},
    world::World,
};

/// Checks every listing.
pub fn check(world: &World) {
    for fault in faults(&world.history.lock()) {
        world.violate("list_complete", fault);
    }
}

fn faults(history: &History) -> Vec<String> {
    let mut keys: BTreeMap<Key, Vec<&Operation>> = BTreeMap::new();
    for operation in &history.operations {
        keys.entry(operation.key).or_default().push(operation);
    }
    let mut faults = Vec::new();
    for listing in &history.listings {
        let listed: BTreeSet<u64> = listing.keys.iter().copied().collect();
        for (key, operations) in &keys {
            if key.0 != listing.bucket {
                continue;
            }
            let is_listed = listed.contains(&key.1);
            if !is_listed && must_be_listed(listing, operations) {
                faults.push(format!("the listing at {} us misses {key:?}", listing.invoked));
            }
            if is_listed && must_not_be_listed(listing, operations) {
                faults.push(format!("the listing at {} us shows {key:?}", listing.invoked));
            }
        }
        let strange = listed.iter().find(|key| !keys.contains_key(&(listing.bucket, **key)));
        if let Some(key) = strange {
            faults.push(format!(
                "the listing at {} us shows {key}, which nobody wrote",
                listing.invoked
            ));
        }
    }
    faults
}

fn is_delete(operation: &Operation) -> bool {
    matches!(operation.call, Call::Delete | Call::DeleteIf(_))
        && matches!(operation.outcome, Outcome::Ok(_) | Outcome::Info)
}

fn is_write(operation: &Operation) -> bool {
    operation.call.written().is_some()
        && matches!(operation.outcome, Outcome::Ok(_) | Outcome::Info)
}

fn is_acknowledged(operation: &Operation) -> bool {
    matches!(operation.outcome, Outcome::Ok(_))
}

/// There is an acknowledged write before it, and every deletion was over before that write began or
/// began after the listing's end.
fn must_be_listed(listing: &Listing, operations: &[&Operation]) -> bool {
    operations.iter().any(|write| {
        is_write(write)
            && is_acknowledged(write)
            && write.ended < listing.invoked
            && operations
                .iter()
                .filter(|it| is_delete(it))
                .all(|delete| delete.ended < write.invoked || delete.invoked > listing.ended)
    })
}

/// Nothing was ever written before its end, or there is an acknowledged deletion before it and every
/// write was over before that began or began after the listing's end.
fn must_not_be_listed(listing: &Listing, operations: &[&Operation]) -> bool {
    let writes = || operations.iter().filter(|it| is_write(it));
    if writes().all(|write| write.invoked > listing.ended) {
        return true;
    }
    operations.iter().any(|delete| {
        is_delete(delete)
            && is_acknowledged(delete)
            && delete.ended < listing.invoked
            && writes().all(|write| write.ended < delete.invoked || write.invoked > listing.ended)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: Key = (0, 5);

    fn history(operations: &[(Call, u64, u64)], listed: &[u64]) -> History {
        let operation = |(call, invoked, ended): &(Call, u64, u64)| Operation {
            key: KEY,
            call: *call,
            invoked: *invoked,
            ended: *ended,
            outcome: if *ended == u64::MAX { Outcome::Info } else { Outcome::Ok(None) },
        };
        let listing = Listing { bucket: 0, invoked: 100, ended: 110, keys: listed.to_vec() };
        History { operations: operations.iter().map(operation).collect(), listings: vec![listing] }
    }

    #[test]
    fn what_was_there_all_along_must_be_listed() {
        let written = (Call::Write(1), 10, 20);
        assert!(faults(&history(&[written], &[5])).is_empty());
        assert_eq!(faults(&history(&[written], &[])).len(), 1);
        for delete in
            [(Call::Delete, 15, 30), (Call::Delete, 30, u64::MAX), (Call::Delete, 105, 120)]
        {
            assert!(faults(&history(&[written, delete], &[])).is_empty(), "{delete:?}");
            let gone = delete.2 < 100 && delete.1 > 20;
            assert_eq!(faults(&history(&[written, delete], &[5])).is_empty(), !gone, "{delete:?}");
        }
        assert!(!faults(&history(&[(Call::Delete, 1, 5), written], &[])).is_empty());
    }

    #[test]
    fn what_was_gone_must_not_be_listed() {
        let (written, deleted) = ((Call::Write(1), 10, 20), (Call::Delete, 30, 40));
        assert_eq!(faults(&history(&[written, deleted], &[5])).len(), 1);
        assert!(
            faults(&history(&[written, deleted, (Call::Write(2), 50, u64::MAX)], &[5])).is_empty()
        );
        assert!(faults(&history(&[(Call::Write(1), 10, u64::MAX), deleted], &[5])).is_empty());
        assert_eq!(faults(&history(&[(Call::Write(1), 200, 210)], &[5])).len(), 1);
        assert_eq!(faults(&history(&[written], &[5, 6])).len(), 1, "nobody wrote it");
    }
}
