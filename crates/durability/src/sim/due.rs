//! Events that have a time, in the order in which they come.

use std::cmp::Ordering;

use super::state::Member;

/// What waits for its time.
#[derive(Clone, Copy, Debug)]
pub(super) enum Event {
    /// A disk dies, unless it did before: `life` counts its lives.
    Fail {
        disk: usize,
        life: u32,
    },
    Detect {
        disk: usize,
    },
    Replace {
        disk: usize,
    },
    /// A repair ends, unless it was begun anew: `attempt` counts.
    Restored {
        member: Member,
        attempt: u32,
    },
    /// One reason less for a node not to answer.
    Answers {
        node: usize,
    },
}

/// An event and its time.
#[derive(Debug)]
pub(super) struct Due {
    pub(super) hours: f64,
    /// First come, first served at the same time.
    pub(super) number: u64,
    pub(super) event: Event,
}

impl Ord for Due {
    /// The heap gives the greatest first: the earliest.
    fn cmp(&self, other: &Self) -> Ordering {
        other.hours.total_cmp(&self.hours).then_with(|| other.number.cmp(&self.number))
    }
}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Due {}

#[cfg(test)]
mod tests {
    use std::collections::BinaryHeap;

    use super::*;

    #[test]
    fn events_come_in_the_order_of_time_then_of_scheduling() {
        let mut heap = BinaryHeap::new();
        for (hours, number) in [(2.0, 1), (1.0, 2), (1.0, 3), (0.5, 4)] {
            heap.push(Due { hours, number, event: Event::Answers { node: 0 } });
        }
        let order: Vec<u64> = std::iter::from_fn(|| heap.pop()).map(|due| due.number).collect();
        assert_eq!(order, [4, 2, 3, 1]);
    }
}
