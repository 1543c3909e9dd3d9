//! The workers over a cluster in memory, step by step: no timers, no races.

mod checking;
mod collecting;
mod controlling;
mod delivering;
mod expiring;
mod healing;
mod interposed;
mod lake;
mod listing;
mod rebalancing;
mod receiver;
mod reencoding;
mod repairing;
mod running;
mod scrubbing;
mod silent;
mod sweeping;
mod transitions;
mod wandering;

#[path = "../../../objects/tests/objects/support.rs"]
mod support;

use repair::{Step, Worker};

/// Steps until the worker has nothing to do.
pub(crate) async fn drain(worker: &mut impl Worker) {
    for _ in 0..10_000 {
        if worker.work().await.expect("a step") == Step::Idle {
            return;
        }
    }
    panic!("the worker never comes to rest: {}", worker.status().1);
}
