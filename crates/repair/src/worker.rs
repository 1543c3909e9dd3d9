//! What a background job is, and the registry that runs, throttles, lists and stops them.
//!
//! A registry of a cluster's process obeys what operators have said ([`crate::control`]): its
//! workers begin once that is known, and go by what changes later.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use parking_lot::Mutex;
use serde::Serialize;
use tokio::{
    sync::{Notify, watch},
    task::JoinHandle,
};

use crate::{
    Error, Progress,
    control::{LOOK, Obeyed},
    metrics,
};

/// The first rest after a failed step; it doubles with each further failure.
const BACK_OFF_MIN: Duration = Duration::from_secs(1);
/// The longest rest after a failed step.
const BACK_OFF_MAX: Duration = Duration::from_secs(300);

/// How long a step may go on when the process ends.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(5);

/// What a step says about the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// There is more to do now.
    More,
    /// Nothing to do until [`Worker::wait_for_work`] returns.
    Idle,
}

/// A background job, cut into steps.
#[async_trait]
pub trait Worker: Send + 'static {
    /// What it is called in lists, logs and metrics.
    fn name(&self) -> &'static str;

    /// Does one piece of work. Cancelled between steps; the end of the process may drop it at
    /// any await, as a crash may. An error is followed by a rest; the same work must be safe
    /// to try again.
    async fn work(&mut self) -> Result<Step, Error>;

    /// Returns when there may be work. May be dropped at any await and called again.
    async fn wait_for_work(&mut self);

    /// Things done since the process began, and one line about what it is at.
    fn status(&self) -> (u64, String);

    /// Its rest after each step at first, in per cent of the step's time, if others rest so long.
    /// A worker that paces itself needs none.
    fn rest_percent(&self, usual: u32) -> u32 {
        usual
    }

    /// How far its round is; nothing for a worker that has no rounds.
    fn progress(&self) -> Progress {
        Progress::default()
    }
}

/// What a worker is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum WorkerState {
    /// A step is under way, or its rest.
    Working,
    /// Waiting for work.
    Idle,
    /// Resting after an error.
    BackingOff,
    /// Held by an operator, until he lets it start again.
    Cancelled,
}

impl WorkerState {
    /// All of them.
    pub const ALL: [WorkerState; 4] =
        [Self::Working, Self::Idle, Self::BackingOff, Self::Cancelled];

    /// Its name in lists and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Working => "working",
            Self::Idle => "idle",
            Self::BackingOff => "backing_off",
            Self::Cancelled => "cancelled",
        }
    }
}

/// A line of the list of workers.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WorkerStatus {
    /// Its name.
    pub name: &'static str,
    /// What it is doing.
    pub state: WorkerState,
    /// Things done since the process began.
    pub done: u64,
    /// Things done a second of working time.
    pub rate_per_s: f64,
    /// One line about what it is at.
    pub detail: String,
    /// How far its round is, for machines.
    pub progress: Progress,
    /// Rest after each step, in per cent of its time.
    pub throttle_percent: u32,
    /// Failed steps in a row.
    pub errors: u32,
    /// The last failure, also after later successes.
    pub last_error: Option<String>,
}

/// What a worker is to do besides its work.
#[derive(Clone, Copy)]
struct Control {
    throttle_percent: u32,
    /// The throttle where no operator has said another.
    usual_percent: u32,
    /// What operators have said is not known yet.
    waits: bool,
    cancelled: bool,
    /// The process ends, or another worker has taken its place.
    ended: bool,
}

impl Control {
    fn stops(&self) -> bool {
        self.waits || self.cancelled || self.ended
    }
}

struct Entry {
    status: Arc<Mutex<WorkerStatus>>,
    control: watch::Sender<Control>,
    task: JoinHandle<()>,
}

/// The workers of this process. One worker a name.
pub struct Workers {
    entries: Arc<Entries>,
    throttle_percent: u32,
    obeying: Option<JoinHandle<()>>,
    /// Wakes the task that obeys: there is a worker that knows nothing yet.
    spawned: Arc<Notify>,
}

impl Workers {
    /// A registry without workers that only this process controls; new ones begin at once, with
    /// this throttle.
    pub fn new(throttle_percent: u32) -> Self {
        Self { entries: Arc::default(), throttle_percent, obeying: None, spawned: Arc::default() }
    }

    /// A registry whose workers do what operators say. They begin once that is known.
    pub fn obeying(throttle_percent: u32, obeyed: Obeyed) -> Self {
        let mut workers = Self::new(throttle_percent);
        let (entries, spawned) = (workers.entries.clone(), workers.spawned.clone());
        workers.obeying = Some(tokio::spawn(obey(entries, spawned, obeyed)));
        workers
    }

    /// Runs a worker until the registry is shut down. A worker of the same name is replaced: it
    /// ends after its step.
    pub fn spawn(&self, worker: impl Worker) {
        let name = worker.name();
        let waits = self.obeying.is_some();
        let throttle_percent = worker.rest_percent(self.throttle_percent);
        let status = Arc::new(Mutex::new(WorkerStatus {
            name,
            state: if waits { WorkerState::Idle } else { WorkerState::Working },
            done: 0,
            rate_per_s: 0.0,
            detail: String::new(),
            progress: Progress::default(),
            throttle_percent,
            errors: 0,
            last_error: None,
        }));
        let (control, controlled) = watch::channel(Control {
            throttle_percent,
            usual_percent: throttle_percent,
            waits,
            cancelled: false,
            ended: false,
        });
        let run = Run { status: Arc::clone(&status), control: controlled, working: Duration::ZERO };
        let task = tokio::spawn(run.run(Box::new(worker)));
        if let Some(replaced) = self.entries.lock().insert(name, Entry { status, control, task }) {
            replaced.control.send_modify(|control| control.ended = true);
        }
        self.spawned.notify_one();
    }

    /// All workers, by name.
    pub fn list(&self) -> Vec<WorkerStatus> {
        self.entries.lock().values().map(|entry| entry.status.lock().clone()).collect()
    }

    /// Sets a worker's rest after each step, in per cent of the step's time. False if there
    /// is no such worker.
    pub fn throttle(&self, name: &str, percent: u32) -> bool {
        control(&self.entries, name, |control| control.throttle_percent = percent)
    }

    /// Holds a worker after its current step. False if there is no such worker.
    pub fn cancel(&self, name: &str) -> bool {
        control(&self.entries, name, |control| control.cancelled = true)
    }

    /// Lets a worker that is held go on. False if there is no such worker.
    pub fn resume(&self, name: &str) -> bool {
        control(&self.entries, name, |control| control.cancelled = false)
    }

    /// Stops all workers; waits a little for their current steps, then drops those.
    pub async fn shutdown(&self) {
        if let Some(obeying) = &self.obeying {
            obeying.abort();
        }
        let entries = std::mem::take(&mut *self.entries.lock());
        for entry in entries.values() {
            entry.control.send_modify(|control| control.ended = true);
        }
        let until = tokio::time::Instant::now() + SHUTDOWN_GRACE;
        for (name, mut entry) in entries {
            match tokio::time::timeout_at(until, &mut entry.task).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::error!(worker = name, %error, "a worker has failed"),
                Err(_) => entry.task.abort(),
            }
            metrics::gone(name);
        }
    }
}

impl Drop for Workers {
    /// The workers end with their registry: each sees that its control is gone.
    fn drop(&mut self) {
        if let Some(obeying) = &self.obeying {
            obeying.abort();
        }
    }
}

type Entries = Mutex<BTreeMap<&'static str, Entry>>;

fn control(entries: &Entries, name: &str, change: impl FnOnce(&mut Control)) -> bool {
    let entries = entries.lock();
    let Some(entry) = entries.get(name) else { return false };
    entry.control.send_modify(change);
    // A worker that waits for work shows it too.
    let mut status = entry.status.lock();
    status.throttle_percent = entry.control.borrow().throttle_percent;
    metrics::state(&status);
    true
}

/// Passes on to the workers what operators say, for as long as the registry is there.
async fn obey(entries: Arc<Entries>, spawned: Arc<Notify>, mut obeyed: Obeyed) {
    loop {
        let names: Vec<&'static str> = entries.lock().keys().copied().collect();
        match obeyed.look(&names).await {
            Ok(said) => {
                for (name, wish) in said {
                    control(&entries, name, |control| {
                        control.throttle_percent =
                            wish.throttle_percent.unwrap_or(control.usual_percent);
                        control.cancelled = wish.cancelled;
                        control.waits = false;
                    });
                }
            }
            // The workers could do little now either.
            Err(error) => tracing::debug!(%error, "what operators say to workers is not known"),
        }
        let _ = tokio::time::timeout(LOOK, spawned.notified()).await;
    }
}

/// The life of one worker.
struct Run {
    status: Arc<Mutex<WorkerStatus>>,
    control: watch::Receiver<Control>,
    working: Duration,
}

impl Run {
    async fn run(mut self, mut worker: Box<dyn Worker>) {
        while self.may_go_on().await {
            self.set(WorkerState::Working);
            let began = Instant::now();
            let result = worker.work().await;
            let took = began.elapsed();
            self.note(&*worker, &result, took);
            match result {
                Ok(Step::More) => self.rest(took).await,
                Ok(Step::Idle) => {
                    self.set(WorkerState::Idle);
                    tokio::select! {
                        () = worker.wait_for_work() => {}
                        () = stopped(&mut self.control) => {}
                    }
                }
                Err(_) => self.back_off().await,
            }
        }
        self.set(WorkerState::Cancelled);
    }

    /// False at the end. Waits while the worker is held, or what operators have said is not known.
    async fn may_go_on(&mut self) -> bool {
        loop {
            let now = *self.control.borrow_and_update();
            if now.ended || !now.stops() {
                return !now.ended;
            }
            if !now.waits {
                self.set(WorkerState::Cancelled);
            }
            if self.control.changed().await.is_err() {
                // The registry is gone.
                return false;
            }
        }
    }

    fn set(&self, state: WorkerState) {
        let mut status = self.status.lock();
        status.state = state;
        status.throttle_percent = self.control.borrow().throttle_percent;
        metrics::state(&status);
    }

    fn note(&mut self, worker: &dyn Worker, result: &Result<Step, Error>, took: Duration) {
        self.working += took;
        let (done, detail) = worker.status();
        let progress = worker.progress();
        metrics::progress(worker.name(), &progress);
        let mut status = self.status.lock();
        status.done = done;
        status.detail = detail;
        status.progress = progress;
        #[allow(clippy::cast_precision_loss, reason = "a rate for people to read")]
        let rate = done as f64 / self.working.as_secs_f64().max(1e-3);
        status.rate_per_s = rate;
        match result {
            Ok(_) => status.errors = 0,
            Err(error) => {
                status.errors = status.errors.saturating_add(1);
                status.last_error = Some(error.to_string());
                metrics::failed(status.name);
                tracing::warn!(worker = status.name, %error, "a worker's step failed");
            }
        }
    }

    async fn rest(&mut self, took: Duration) {
        let percent = self.control.borrow().throttle_percent;
        let rest = took.saturating_mul(percent) / 100;
        if rest.is_zero() {
            tokio::task::yield_now().await;
            return;
        }
        tokio::select! {
            () = tokio::time::sleep(rest) => {}
            () = stopped(&mut self.control) => {}
        }
    }

    async fn back_off(&mut self) {
        self.set(WorkerState::BackingOff);
        let failures = self.status.lock().errors.saturating_sub(1).min(16);
        let rest = BACK_OFF_MIN.saturating_mul(1 << failures).min(BACK_OFF_MAX);
        tokio::select! {
            () = tokio::time::sleep(rest) => {}
            () = stopped(&mut self.control) => {}
        }
    }
}

/// Returns when the worker is held or ended, or its registry is gone.
async fn stopped(control: &mut watch::Receiver<Control>) {
    let _ = control.wait_for(Control::stops).await;
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::*;

    /// Does what the test says, step by step.
    struct Scripted {
        steps: mpsc::Receiver<Result<Step, Error>>,
        ran: mpsc::Sender<()>,
        done: u64,
    }

    #[async_trait]
    impl Worker for Scripted {
        fn name(&self) -> &'static str {
            "scripted"
        }

        async fn work(&mut self) -> Result<Step, Error> {
            let step = self.steps.recv().await.unwrap_or(Ok(Step::Idle));
            self.done += 1;
            let _ = self.ran.send(()).await;
            step
        }

        async fn wait_for_work(&mut self) {
            std::future::pending().await
        }

        fn status(&self) -> (u64, String) {
            (self.done, format!("step {}", self.done))
        }

        fn progress(&self) -> Progress {
            Progress { eta_ms: Some(self.done), ..Progress::default() }
        }
    }

    fn scripted() -> (mpsc::Sender<Result<Step, Error>>, mpsc::Receiver<()>, Scripted) {
        let (script, steps) = mpsc::channel(8);
        let (ran, seen) = mpsc::channel(8);
        (script, seen, Scripted { steps, ran, done: 0 })
    }

    async fn until(workers: &Workers, condition: impl Fn(&WorkerStatus) -> bool) -> WorkerStatus {
        loop {
            let status = workers.list().remove(0);
            if condition(&status) {
                return status;
            }
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_worker_is_listed_backs_off_and_is_cancelled() {
        let workers = Workers::new(0);
        let (script, mut seen, worker) = scripted();
        workers.spawn(worker);
        script.send(Ok(Step::More)).await.expect("it runs");
        seen.recv().await.expect("it ran");
        let status = until(&workers, |status| status.done == 1).await;
        assert_eq!((status.name, status.detail.as_str()), ("scripted", "step 1"));
        assert_eq!(status.progress.eta_ms, Some(1));

        let began = tokio::time::Instant::now();
        for failures in 1..=3 {
            script.send(Err(Error::Unexpected("no".into()))).await.expect("it runs");
            seen.recv().await.expect("it ran");
            let resting = |status: &WorkerStatus| status.state == WorkerState::BackingOff;
            until(&workers, |status| status.errors == failures && resting(status)).await;
        }
        script.send(Ok(Step::More)).await.expect("it runs");
        seen.recv().await.expect("it ran again");
        let rested = began.elapsed();
        assert!(rested >= 7 * BACK_OFF_MIN && rested < 8 * BACK_OFF_MIN, "{rested:?}: 1 + 2 + 4");
        until(&workers, |status| status.errors == 0).await;
        let status = workers.list().remove(0);
        assert!(status.last_error.is_some_and(|error| error.contains("no")));

        assert!(workers.throttle("scripted", 300));
        assert!(!workers.throttle("nobody", 300));
        script.send(Ok(Step::Idle)).await.expect("it runs");
        let status = until(&workers, |status| status.state == WorkerState::Idle).await;
        assert_eq!(status.throttle_percent, 300);
        assert!(workers.cancel("scripted"));
        until(&workers, |status| status.state == WorkerState::Cancelled).await;
        script.send(Ok(Step::Idle)).await.expect("it runs");
        assert!(workers.resume("scripted"));
        let status = until(&workers, |status| status.state == WorkerState::Idle).await;
        assert_eq!((status.done, status.throttle_percent), (7, 300), "it goes on where it was");
        workers.shutdown().await;
        assert!(workers.list().is_empty());
    }
}
