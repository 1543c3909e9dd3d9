//! The background workers of a process, and when they run.
//!
//! The metadata node that leads the root group runs all of them, so that each runs once
//! a cluster; two at a time (a leader that does not know yet that it lost) do no harm,
//! because every step can be repeated. Gateways run the shard repairer besides: their
//! readers are the ones that meet corrupt and missing chunks. Not being alone, they lean
//! on whole shards only (`repair::Settings::sole_repairer`).

use std::{sync::Arc, time::Duration};

use admin::model::{Place, Progress, Round, WorkerState, WorkerStatus};
use bytes::Bytes;
use metastore::MetaNode;
use objects::Objects;
use parking_lot::Mutex;
use placement::Domain;
use repair::{Obeyed, ShardRepairer, Workers};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use types::UnixMillis;

use super::clock;
use crate::{
    admin_source::WorkerList,
    config::{LifecycleSection, WorkersSection},
};

/// How often leadership is looked at.
const LOOK: Duration = Duration::from_millis(500);

/// Workers that run while a condition holds.
pub(crate) struct WorkersPart {
    running: Mutex<Option<Arc<Workers>>>,
    task: Mutex<Option<JoinHandle<()>>>,
}

/// Runs all workers while this node leads the root group, until `stop`, and shows them to whoever asks
/// the leader.
pub(crate) fn start(
    objects: Objects,
    section: &WorkersSection,
    lifecycle: &LifecycleSection,
    events: repair::events::Settings,
    domain: Domain,
    stop: CancellationToken,
    meta: &Arc<MetaNode>,
) -> Arc<WorkersPart> {
    let lifecycle_day_ms = lifecycle.day_ms();
    let settings = repair::Settings { lifecycle_day_ms, events, domain, ..settings(section) };
    let leader = meta.clone();
    let part = run(stop, move || leader.leads_root(), move || repair::start(&objects, &settings));
    let (shown, node) = (part.clone(), meta.node().0);
    meta.show_workers(move || encode(shown.list(), node));
    part
}

/// Runs the repairer that follows this process's readers, until `stop`.
pub(crate) fn start_repairer(
    objects: Objects,
    section: &WorkersSection,
    stop: CancellationToken,
) -> Arc<WorkersPart> {
    let settings = repair::Settings { sole_repairer: false, ..settings(section) };
    run(
        stop,
        || true,
        move || {
            let obeyed = Obeyed::new(objects.metadata().clone());
            let workers = Workers::obeying(settings.throttle_percent, obeyed);
            workers.spawn(ShardRepairer::new(objects.clone(), settings.clone()));
            workers
        },
    )
}

fn run(
    stop: CancellationToken,
    leads: impl Fn() -> bool + Send + 'static,
    make: impl Fn() -> Workers + Send + 'static,
) -> Arc<WorkersPart> {
    let part = Arc::new(WorkersPart { running: Mutex::new(None), task: Mutex::new(None) });
    let shared = part.clone();
    let task = tokio::spawn(async move {
        let mut ticks = tokio::time::interval(LOOK);
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            let running = shared.running.lock().is_some();
            match (leads(), running) {
                (true, false) => *shared.running.lock() = Some(Arc::new(make())),
                (false, true) => shared.end().await,
                _ => {}
            }
        }
        shared.end().await;
    });
    *part.task.lock() = Some(task);
    part
}

impl WorkersPart {
    async fn end(&self) {
        let workers = self.running.lock().take();
        if let Some(workers) = workers {
            workers.shutdown().await;
        }
    }

    /// Returns once the workers have stopped at a safe point.
    pub(crate) async fn finished(&self) {
        let task = self.task.lock().take();
        if let Some(task) = task
            && let Err(error) = task.await
        {
            tracing::error!(%error, "the workers did not stop cleanly");
        }
    }
}

impl WorkerList for WorkersPart {
    fn list(&self) -> Vec<WorkerStatus> {
        let running = self.running.lock().clone();
        let now = UnixMillis(clock().now_ms());
        let all = running.map_or_else(Vec::new, |workers| workers.list());
        all.into_iter().map(|worker| status(worker, now)).collect()
    }
}

fn status(worker: repair::WorkerStatus, now: UnixMillis) -> WorkerStatus {
    let state = match worker.state {
        repair::WorkerState::Working => WorkerState::Busy,
        repair::WorkerState::BackingOff => WorkerState::Failing,
        repair::WorkerState::Idle => WorkerState::Idle,
        repair::WorkerState::Cancelled => WorkerState::Cancelled,
    };
    // Bytes where a worker counts them, at the rate of the round so far.
    let (progress, rate) = match (&worker.progress.bytes, &worker.progress.round) {
        (Some(bytes), Some(round)) => {
            let (done, total, unit) = (bytes.done, Some(bytes.total), "bytes".to_owned());
            let ms = now.since(round.began).max(1);
            #[allow(clippy::cast_precision_loss, reason = "a rate for people to read")]
            let rate = done as f64 * 1000.0 / ms as f64;
            (Progress { done, total, unit }, rate)
        }
        _ => {
            let (done, total, unit) = (worker.done, None, "steps".to_owned());
            (Progress { done, total, unit }, worker.rate_per_s)
        }
    };
    WorkerStatus {
        name: worker.name.to_owned(),
        state,
        progress: Some(progress),
        rate: Some(rate),
        // An error that is over is only in the metrics and the log.
        detail: match worker.errors {
            0 => worker.detail,
            _ => worker.last_error.unwrap_or(worker.detail),
        },
        round: worker.progress.round.map(round),
        last_round: worker.progress.last_round.map(round),
        place: worker.progress.place.map(|place| Place { within: place.within, at: place.at }),
        eta_ms: worker.progress.eta_ms,
        last_failure: worker.progress.last_failure,
        throttle_percent: Some(worker.throttle_percent),
        node: None,
    }
}

/// The list as the leader passes it on: JSON, because the asker may be of another version.
fn encode(workers: Vec<WorkerStatus>, node: u64) -> Bytes {
    let of_node = |worker: WorkerStatus| WorkerStatus { node: Some(node), ..worker }.cut();
    let workers: Vec<_> = workers.into_iter().map(of_node).collect();
    serde_json::to_vec(&workers).expect("plain data").into()
}

/// Reads what the leader passed on.
pub(crate) fn decode(list: &[u8]) -> Result<Vec<WorkerStatus>, serde_json::Error> {
    serde_json::from_slice(list)
}

fn round(round: repair::progress::Round) -> Round {
    Round {
        began_ms: round.began.0,
        ended_ms: round.ended.map(|ended| ended.0),
        looked_at: round.looked_at,
        counts: round.counts.into_iter().map(|(name, count)| (name.into_owned(), count)).collect(),
    }
}

fn settings(section: &WorkersSection) -> repair::Settings {
    repair::Settings {
        garbage_grace_ms: section.gc_grace_s.saturating_mul(1000),
        orphan_grace_ms: section.orphan_grace_s.saturating_mul(1000),
        orphan_interval_ms: section.orphan_interval_s.saturating_mul(1000),
        down_grace_ms: section.down_grace_s.saturating_mul(1000),
        endangered_grace_ms: section.endangered_grace_s.saturating_mul(1000),
        // A write that began before a change commits within its deadline; an hour for clocks.
        reencode_settle_ms: section.write_deadline_s.saturating_add(3600).saturating_mul(1000),
        heal_bytes_per_s: section.heal_mib_per_s.saturating_mul(1 << 20),
        scrub_period_ms: section.scrub_period_s.saturating_mul(1000),
        scrub_inventory_ms: section.scrub_inventory_s.saturating_mul(1000),
        ..repair::Settings::default()
    }
}
