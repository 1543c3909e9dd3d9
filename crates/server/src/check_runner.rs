//! The check of placement and redundancy, as this process was asked for it: one at a time, in the
//! background, its outcome kept until the next one.

use std::sync::Arc;

use admin::{
    Refused,
    model::{CheckProgress, CheckState, CheckStatus},
};
use parking_lot::Mutex;
use placement::Domain;
use repair::check::{Cluster, Phase, Progress, Report, Settings};
use tokio::{sync::watch, task::JoinHandle};

/// The checks of this process.
pub(crate) struct CheckRunner {
    cluster: Cluster,
    domain: Domain,
    last: Mutex<Option<Run>>,
}

/// A check that was begun.
struct Run {
    number: u64,
    verify: bool,
    progress: watch::Receiver<Progress>,
    outcome: Arc<Mutex<Option<Result<Report, String>>>>,
    task: JoinHandle<()>,
    cancelled: bool,
}

impl CheckRunner {
    pub(crate) fn new(cluster: Cluster, domain: Domain) -> Self {
        Self { cluster, domain, last: Mutex::default() }
    }

    pub(crate) fn status(&self) -> CheckStatus {
        self.last.lock().as_ref().map_or_else(CheckStatus::none, Run::status)
    }

    pub(crate) fn start(&self, verify: bool) -> Result<CheckStatus, Refused> {
        let mut last = self.last.lock();
        if last.as_ref().is_some_and(Run::is_under_way) {
            return Err(Refused::Conflict(
                "a check is under way: `shardlake admin check status` shows it, `shardlake admin \
                 check cancel` ends it"
                    .to_owned(),
            ));
        }
        let settings = Settings::new(self.domain, verify);
        let (progress, check) = repair::check::check(self.cluster.clone(), settings);
        let outcome = Arc::new(Mutex::new(None));
        let kept = outcome.clone();
        let task = tokio::spawn(async move {
            let result = check.await.map_err(|error| error.to_string());
            *kept.lock() = Some(result);
        });
        let number = last.as_ref().map_or(0, |run| run.number) + 1;
        let run = Run { number, verify, progress, outcome, task, cancelled: false };
        let status = run.status();
        *last = Some(run);
        Ok(status)
    }

    pub(crate) fn cancel(&self) -> Result<CheckStatus, Refused> {
        match self.last.lock().as_mut().filter(|run| run.is_under_way()) {
            Some(run) => {
                run.task.abort();
                run.cancelled = true;
                Ok(run.status())
            }
            None => Err(Refused::Conflict("no check is under way".to_owned())),
        }
    }
}

impl Run {
    fn is_under_way(&self) -> bool {
        !self.cancelled && self.outcome.lock().is_none() && !self.task.is_finished()
    }

    fn status(&self) -> CheckStatus {
        let outcome = self.outcome.lock();
        let state = match &*outcome {
            Some(Ok(_)) => CheckState::Done,
            Some(Err(_)) => CheckState::Failed,
            None if self.cancelled => CheckState::Cancelled,
            // It ended without an outcome: a defect.
            None if self.task.is_finished() => CheckState::Failed,
            None => CheckState::Running,
        };
        let report = outcome.as_ref().and_then(|outcome| outcome.as_ref().ok());
        let reason = match (&*outcome, state) {
            (Some(Err(reason)), _) => Some(reason.clone()),
            (None, CheckState::Failed) => Some("the check broke off: see the log".to_owned()),
            _ => None,
        };
        CheckStatus {
            state,
            number: self.number,
            verify: self.verify,
            progress: Some(shown(&self.progress.borrow())),
            reason,
            faults: report.map(Report::faults).unwrap_or_default(),
            report: report.map(|report| serde_json::to_value(report).expect("plain data")),
        }
    }
}

fn shown(progress: &Progress) -> CheckProgress {
    CheckProgress {
        phase: match progress.phase {
            Phase::Verifying => "verifying",
            Phase::Index => "index",
            Phase::Disks => "disks",
            Phase::Rechecking => "rechecking",
        }
        .to_owned(),
        blobs: progress.blobs,
        shards: progress.shards,
        verified_bytes: progress.verified_bytes,
        verify_bytes: progress.verify_bytes,
        groups: progress.groups,
        groups_total: progress.groups_total,
    }
}

#[cfg(test)]
mod tests {
    use cluster::MemoryCluster;
    use types::ErasurePolicy;

    use super::*;

    fn runner() -> (Arc<MemoryCluster>, CheckRunner) {
        let policy = ErasurePolicy::new(2, 1).expect("valid");
        let memory = Arc::new(MemoryCluster::new(policy, 3));
        let (metadata, shards, clock) = (memory.clone(), memory.clone(), memory.clock());
        (memory, CheckRunner::new(Cluster { metadata, shards, clock }, Domain::Node))
    }

    async fn ended(runner: &CheckRunner) -> CheckStatus {
        loop {
            let status = runner.status();
            if status.state != CheckState::Running {
                return status;
            }
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn one_check_at_a_time_and_its_outcome_is_kept() {
        let (memory, runner) = runner();
        assert_eq!(runner.status(), CheckStatus::none());
        assert!(matches!(runner.cancel(), Err(Refused::Conflict(_))));
        let status = runner.start(true).expect("the first");
        assert_eq!((status.number, status.verify), (1, true));
        assert!(matches!(runner.start(false), Err(Refused::Conflict(_))), "it has not run yet");
        let done = ended(&runner).await;
        assert_eq!((done.state, done.faults.len()), (CheckState::Done, 0), "{done:?}");
        let report = done.report.expect("done");
        let read: Report = serde_json::from_value(report).expect("the command line reads it");
        assert_eq!(read.placement.whole, read.placement.groups);

        memory.set_metadata_available(false);
        runner.start(false).expect("the first one is over");
        let failed = ended(&runner).await;
        assert_eq!((failed.state, failed.number), (CheckState::Failed, 2));
        assert!(failed.reason.is_some() && failed.report.is_none());

        runner.start(false).expect("the second one is over");
        let cancelled = runner.cancel().expect("it is under way");
        assert_eq!((cancelled.state, cancelled.number), (CheckState::Cancelled, 3));
        assert!(matches!(runner.cancel(), Err(Refused::Conflict(_))));
        runner.start(false).expect("a cancelled one is over");
    }
}
