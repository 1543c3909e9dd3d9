//! The workloads: clients that use a cluster in one way, record what they saw, and have it checked.
//!
//! Each client is a logical process that does one operation after the other, each through any gateway.
//! When the time is over and everything is healed, the last operations read all that was written: each
//! of them must be answered.

pub(crate) mod buckets;
pub(crate) mod multipart;
pub(crate) mod register;
pub(crate) mod set;
pub(crate) mod versions;

use std::{future::Future, time::Duration};

use futures::{StreamExt, future::try_join_all, stream};

use crate::{
    checker::Verdict,
    history::{End, History, Outcome, Recorded},
};

/// What came of a workload.
pub(crate) struct Finished {
    pub(crate) name: &'static str,
    pub(crate) verdict: Verdict,
    /// The history in Jepsen's form.
    pub(crate) edn: String,
    pub(crate) counts: Counts,
    /// When reads succeeded, in any order.
    pub(crate) reads: Vec<Duration>,
    /// When writes succeeded, in any order.
    pub(crate) writes: Vec<Duration>,
    /// Last operations that were not answered, though nothing was wrong any more.
    pub(crate) unanswered: Vec<String>,
}

/// How operations ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) ok: usize,
    pub(crate) fail: usize,
    pub(crate) info: usize,
}

impl Counts {
    /// All of them.
    pub(crate) fn all(self) -> usize {
        self.ok + self.fail + self.info
    }

    fn of(kinds: impl Iterator<Item = &'static str>) -> Self {
        let mut counts = Self::default();
        for kind in kinds {
            match kind {
                "ok" => counts.ok += 1,
                "fail" => counts.fail += 1,
                _ => counts.info += 1,
            }
        }
        counts
    }
}

/// What came of a workload with calls of its own; `writes` says of a call whether it writes.
fn finished<C, A>(
    name: &'static str,
    history: &[Recorded<C, A>],
    verdict: Verdict,
    edn: String,
    writes: impl Fn(&C) -> bool,
    unanswered: Vec<String>,
) -> Finished {
    let successes = |writing: bool| {
        let these = history.iter().filter(|operation| writes(&operation.call) == writing);
        these
            .filter(|operation| matches!(operation.end, End::Ok(_)))
            .map(|operation| operation.ended)
            .collect()
    };
    Finished {
        name,
        verdict,
        edn,
        counts: Counts::of(history.iter().map(|operation| operation.end.kind())),
        reads: successes(false),
        writes: successes(true),
        unanswered,
    }
}

/// What came of a workload on registers.
fn finished_registers(
    name: &'static str,
    history: &History,
    verdict: Verdict,
    unanswered: Vec<String>,
) -> Finished {
    let kind = |outcome: Outcome| match outcome {
        Outcome::Ok(_) => "ok",
        Outcome::Differs | Outcome::Absent | Outcome::Fail => "fail",
        Outcome::Info => "info",
    };
    Finished {
        name,
        verdict,
        edn: history.edn(),
        counts: Counts::of(history.0.iter().map(|operation| kind(operation.outcome))),
        reads: history.successes(false).collect(),
        writes: history.successes(true).collect(),
        unanswered,
    }
}

/// Runs so many clients and gathers what they recorded.
async fn clients<T, F>(count: usize, client: impl Fn(usize) -> F) -> anyhow::Result<Vec<T>>
where
    T: Send + 'static,
    F: Future<Output = Vec<T>> + Send + 'static,
{
    let tasks = (0..count).map(|number| tokio::spawn(client(number)));
    Ok(try_join_all(tasks).await?.into_iter().flatten().collect())
}

/// Last operations at a time.
const LAST_AT_ONCE: usize = 8;

/// Has the last operations done, a few at a time.
async fn last<I, T, F>(items: impl IntoIterator<Item = I>, operation: impl Fn(I) -> F) -> Vec<T>
where
    F: Future<Output = T>,
{
    stream::iter(items).map(operation).buffer_unordered(LAST_AT_ONCE).collect().await
}
