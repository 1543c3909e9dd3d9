//! Events: what the index partitions wrote down about changes of objects is sent to the webhooks
//! that the bucket's notification configuration names.
//!
//! Every partition keeps its events in rows, in the order in which they happened, until they are
//! delivered. A **lane** is the way of one partition's events to one target. It has a cursor:
//! every event up to it is delivered, not asked for, or given up. A row goes when the cursors of
//! all lanes of its partition have passed it. A target that does not answer stops its own lanes
//! only.
//!
//! **In order per key.** A lane takes a page of events at a time. Within it the events of one key
//! are sent one after the other, each once the one before was taken; different keys are sent at
//! the same time. The next page is read when this one has gone.
//!
//! **At least once.** Cursors move after the answer. After a crash, a change of the leader or an
//! answer that was lost, events are sent again, with the same id.
//!
//! Which targets an event has is decided when it is sent: the configuration is read after the
//! event, so it is never older. A bucket that is deleted by then has none. Events for a target
//! that nobody has configured wait in a lane of their own, as for one that does not answer.
//!
//! Each lane's step and the care of each partition is a future of its own; the worker only starts
//! them and takes note of their ends.

mod care;
mod documents;
mod lane;
mod page;
mod settings;
mod webhook;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use objects::Objects;
use tokio::time::Instant;
use types::GroupId;

use crate::{Error, Progress, Step, Worker, metrics};
use care::Cared;
use lane::Lane;
use page::Sent;
pub use settings::{InvalidTarget, Settings, Target};
use webhook::Webhook;

/// The worker's name, and how the names of its cursors begin.
const NAME: &str = "events";

/// What the lane of targets that nobody has configured is called.
const NOT_CONFIGURED: &str = "(not configured)";

/// What has ended.
enum Finished {
    Care(GroupId, Result<Cared, Error>),
    Page(GroupId, usize, Sent),
}

/// The lanes of a partition, in the order of the targets; the last one is that of events whose
/// target nobody has configured.
struct Partition {
    /// Whether the cursors have been read.
    loaded: bool,
    /// Whether its care is under way.
    cared_for: bool,
    /// Why it could not be looked after the last time.
    trouble: Option<String>,
    lanes: Vec<Lane>,
}

/// The worker that delivers events.
pub struct EventDeliverer {
    objects: Objects,
    settings: Settings,
    webhooks: Arc<[Webhook]>,
    partitions: BTreeMap<GroupId, Partition>,
    running: FuturesUnordered<BoxFuture<'static, Finished>>,
    /// Ended while the worker was waiting.
    finished: Vec<Finished>,
    next_look: Instant,
    delivered: u64,
    dropped: u64,
}

impl EventDeliverer {
    /// A worker over this object layer's metadata.
    pub fn new(objects: Objects, settings: &Settings) -> Self {
        Self {
            objects,
            webhooks: webhook::all(settings),
            settings: settings.clone(),
            partitions: BTreeMap::new(),
            running: FuturesUnordered::new(),
            finished: Vec::new(),
            next_look: Instant::now(),
            delivered: 0,
            dropped: 0,
        }
    }

    /// Looks after every partition that is not being looked after.
    fn look(&mut self) {
        let map = self.objects.metadata().map();
        for group in map.partitions.iter().map(|partition| partition.group) {
            let lanes = self.webhooks.len() + 1;
            let partition = self.partitions.entry(group).or_insert_with(|| Partition {
                loaded: false,
                cared_for: false,
                trouble: None,
                lanes: (0..lanes).map(|_| Lane::default()).collect(),
            });
            if partition.cared_for {
                continue;
            }
            partition.cared_for = true;
            let through = partition.lanes.iter().map(|lane| lane.cursor).min().flatten();
            let care = care::Care {
                objects: self.objects.clone(),
                webhooks: self.webhooks.clone(),
                group,
                load: !partition.loaded,
                through,
                save: lane::to_save(&partition.lanes, through),
            };
            self.running.push(async move { Finished::Care(group, care.take().await) }.boxed());
        }
    }

    fn take_note(&mut self, finished: Finished) {
        match finished {
            Finished::Care(group, result) => self.cared(group, result),
            Finished::Page(group, number, sent) => self.sent(group, number, sent),
        }
    }

    fn cared(&mut self, group: GroupId, result: Result<Cared, Error>) {
        let Some(partition) = self.partitions.get_mut(&group) else { return };
        partition.cared_for = false;
        let cared = match result {
            Ok(cared) => cared,
            Err(error) => {
                metrics::failed(NAME);
                if partition.trouble.is_none() {
                    tracing::warn!(%group, %error, "events of a partition cannot be looked after");
                }
                partition.trouble = Some(format!("partition {group}: {error}"));
                return;
            }
        };
        partition.trouble = None;
        if let Some(cursors) = cared.loaded {
            partition.loaded = true;
            for (lane, cursor) in partition.lanes.iter_mut().zip(cursors) {
                (lane.cursor, lane.saved) = (cursor, cursor);
            }
        }
        for (number, cursor) in cared.saved {
            partition.lanes[number].saved = Some(cursor);
        }
        if cared.rows {
            let now = Instant::now();
            let starts = |lane: &Lane| !lane.running && lane.due.is_none_or(|due| due <= now);
            let starting: Vec<usize> =
                (0..partition.lanes.len()).filter(|at| starts(&partition.lanes[*at])).collect();
            for number in starting {
                self.start(group, number);
            }
        }
    }

    /// Begins the next page of a lane.
    fn start(&mut self, group: GroupId, number: usize) {
        let Some(partition) = self.partitions.get_mut(&group) else { return };
        let lane = &mut partition.lanes[number];
        lane.running = true;
        let page = page::Page {
            objects: self.objects.clone(),
            webhooks: self.webhooks.clone(),
            retention_ms: self.settings.retention_ms,
            group,
            target: (number < self.webhooks.len()).then_some(number),
            cursor: lane.cursor,
            ahead: std::mem::take(&mut lane.ahead),
            refused: lane.refused,
        };
        self.running.push(async move { Finished::Page(group, number, page.send().await) }.boxed());
    }

    fn sent(&mut self, group: GroupId, number: usize, sent: Sent) {
        let target = self.webhooks.get(number).map_or(NOT_CONFIGURED, |it| it.target.name());
        self.delivered += sent.delivered;
        self.dropped += sent.dropped;
        metrics::done(NAME, "event_delivered", sent.delivered);
        metrics::done(NAME, "event_dropped", sent.dropped);
        let Some(partition) = self.partitions.get_mut(&group) else { return };
        let lane = &mut partition.lanes[number];
        if sent.dropped > 0 {
            let (count, reason) = (sent.dropped, lane.failure.as_deref().unwrap_or_default());
            tracing::warn!(target, %group, count, reason, "events were given up: they are too old");
        }
        if let Some(failure) = &sent.failure {
            metrics::failed(NAME);
            if lane.failures == 0 {
                tracing::warn!(target, %group, failure, "events are not taken; trying again");
            }
        }
        if lane.take_note(sent, &self.settings) {
            self.start(group, number);
        }
    }
}

impl EventDeliverer {
    /// The targets that do not take their events now, and why not.
    fn failing(&self) -> BTreeMap<&str, &str> {
        let mut failing = BTreeMap::new();
        for partition in self.partitions.values() {
            for (number, lane) in partition.lanes.iter().enumerate() {
                if let Some(failure) = &lane.failure {
                    let webhook = self.webhooks.get(number);
                    let name = webhook.map_or(NOT_CONFIGURED, |it| it.target.name());
                    failing.insert(name, failure.as_str());
                }
            }
        }
        failing
    }
}

#[async_trait]
impl Worker for EventDeliverer {
    fn name(&self) -> &'static str {
        NAME
    }

    /// Takes note of what has ended, and looks after the partitions when it is time. Never fails
    /// as a whole: one partition or target must not hold up the others.
    async fn work(&mut self) -> Result<Step, Error> {
        for finished in std::mem::take(&mut self.finished) {
            self.take_note(finished);
        }
        while let Some(Some(finished)) = self.running.next().now_or_never() {
            self.take_note(finished);
        }
        let now = Instant::now();
        if self.next_look <= now {
            self.look();
            self.next_look = now + Duration::from_millis(self.settings.interval_ms);
        }
        Ok(Step::Idle)
    }

    async fn wait_for_work(&mut self) {
        tokio::select! {
            Some(finished) = self.running.next(), if !self.running.is_empty() => {
                self.finished.push(finished);
            }
            () = tokio::time::sleep_until(self.next_look) => {}
        }
    }

    fn status(&self) -> (u64, String) {
        let mut detail = format!("{} delivered, {} given up", self.delivered, self.dropped);
        for (target, failure) in self.failing() {
            detail.push_str(&format!("; target {target}: {failure}"));
        }
        let trouble = self.partitions.values().find_map(|partition| partition.trouble.as_ref());
        if let Some(trouble) = trouble {
            detail.push_str(&format!("; {trouble}"));
        }
        (self.delivered, detail)
    }

    fn progress(&self) -> Progress {
        let failure = self.failing().into_iter().next();
        let last_failure = failure.map(|(target, failure)| format!("target {target}: {failure}"));
        Progress { last_failure, ..Progress::default() }
    }
}
