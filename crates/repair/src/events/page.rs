//! One page of a lane: events are read, and those that the target is to be told of are sent.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use futures::future::join_all;
use metastore::api::{IndexQuery, IndexView, index::Event};
use notification::{Message, Notification};
use objects::Objects;
use types::{BucketId, GroupId, UnixMillis};

use super::{
    documents::{self, Document},
    webhook::Webhook,
};
use crate::Error;

/// Events of a page. Bounds what a lane holds in memory, and what is sent again after a crash.
const PAGE: u32 = 200;

/// A page that is to be sent.
pub(super) struct Page {
    pub(super) objects: Objects,
    pub(super) webhooks: Arc<[Webhook]>,
    pub(super) retention_ms: u64,
    pub(super) group: GroupId,
    /// The number of the target; `None` in the lane of targets that nobody has configured.
    pub(super) target: Option<usize>,
    pub(super) cursor: Option<u64>,
    /// Events after the cursor that need not be sent again.
    pub(super) ahead: BTreeSet<u64>,
    /// Whether the target did not take all of the page before: then what is too old is given up
    /// unattempted, so that a target that is gone for good does not make rows pile up.
    pub(super) refused: bool,
}

/// How it went.
#[derive(Default)]
pub(super) struct Sent {
    /// Every event up to here is done with.
    pub(super) cursor: Option<u64>,
    /// Delivered events after it.
    pub(super) ahead: BTreeSet<u64>,
    /// Deliveries.
    pub(super) delivered: u64,
    /// Events that were given up.
    pub(super) dropped: u64,
    /// Why the page is not at its end.
    pub(super) failure: Option<String>,
    /// Whether the target was asked and did not take all; `None` if metadata did not answer.
    pub(super) refused: Option<bool>,
    /// Whether more events follow.
    pub(super) more: bool,
}

/// What is to be done about an event.
enum Plan {
    /// Nothing.
    Pass,
    /// The target is told.
    Send,
    /// It has to wait, for this reason.
    Wait(String),
    /// It is too old.
    Drop,
}

impl Page {
    pub(super) async fn send(mut self) -> Sent {
        match self.try_send().await {
            Ok(sent) => sent,
            Err(error) => Sent {
                cursor: self.cursor,
                ahead: std::mem::take(&mut self.ahead),
                failure: Some(error.to_string()),
                ..Sent::default()
            },
        }
    }

    async fn try_send(&mut self) -> Result<Sent, Error> {
        let query = IndexQuery::Events { after: self.cursor, limit: PAGE };
        let events = match self.objects.metadata().partition_query(self.group, query).await? {
            IndexView::Events(events) => events,
            other => return Err(Error::view(&other)),
        };
        // After the events: what was acknowledged before one of them is in its document.
        let documents = documents::of(&self.objects, &events).await?;
        let now = UnixMillis(self.objects.clock().now_ms());
        let plans: Vec<Plan> =
            events.iter().map(|event| self.plan(&documents, event, now)).collect();
        let (delivered, failure) = self.deliver(&documents, &events, &plans).await;

        let mut sent = Sent {
            cursor: self.cursor,
            delivered: delivered.len() as u64,
            refused: Some(failure.is_some()),
            failure,
            more: events.len() == PAGE as usize,
            ..Sent::default()
        };
        let mut unbroken = true;
        for (event, plan) in events.iter().zip(&plans) {
            let done = match plan {
                Plan::Pass => true,
                Plan::Drop => {
                    // Counted when it is passed for good: until then it is dropped every time.
                    sent.dropped += u64::from(unbroken);
                    true
                }
                Plan::Send => delivered.contains(&event.number),
                Plan::Wait(_) => false,
            };
            unbroken &= done;
            if unbroken {
                sent.cursor = Some(event.number);
            } else if delivered.contains(&event.number) || self.ahead.contains(&event.number) {
                sent.ahead.insert(event.number);
            }
        }
        Ok(sent)
    }

    fn plan(
        &self,
        documents: &BTreeMap<BucketId, Document>,
        event: &Event,
        now: UnixMillis,
    ) -> Plan {
        if self.ahead.contains(&event.number) {
            return Plan::Pass;
        }
        let plan = match (documents.get(&event.bucket), self.target) {
            (None | Some(Document::Nobody), _) => Plan::Pass,
            (Some(Document::Unreadable), _) => {
                Plan::Wait("a configuration was written by a newer version".to_owned())
            }
            (Some(Document::Known(notification)), Some(number)) => {
                let name = self.webhooks[number].target.name();
                match notification.targets(event).contains(name) {
                    true => Plan::Send,
                    false => Plan::Pass,
                }
            }
            (Some(Document::Known(notification)), None) => self.unknown(notification, event),
        };
        let asked = !matches!(plan, Plan::Pass);
        let old = event.at.plus(self.retention_ms) <= now;
        if asked && old && self.refused { Plan::Drop } else { plan }
    }

    /// The event waits if one of its targets is not configured.
    fn unknown(&self, notification: &Notification, event: &Event) -> Plan {
        let configured = |name: &str| self.webhooks.iter().any(|it| it.target.name() == name);
        let unknown = notification.targets(event).into_iter().find(|name| !configured(name));
        match unknown {
            None => Plan::Pass,
            Some(name) => Plan::Wait(format!(
                "bucket {} names the event target {name:?}, which is not configured: add \
                 [events.targets.{name}]",
                notification.bucket.name
            )),
        }
    }

    /// Sends what is planned: the events of a key one after the other, keys at the same time.
    /// After a failure no request is begun. The delivered events, and a failure.
    async fn deliver(
        &self,
        documents: &BTreeMap<BucketId, Document>,
        events: &[Event],
        plans: &[Plan],
    ) -> (BTreeSet<u64>, Option<String>) {
        let mut by_key: BTreeMap<(BucketId, &str), Vec<(&Event, &Plan)>> = BTreeMap::new();
        for (event, plan) in events.iter().zip(plans) {
            if !matches!(plan, Plan::Pass | Plan::Drop) {
                by_key.entry((event.bucket, &event.key)).or_default().push((event, plan));
            }
        }
        let stopped = AtomicBool::new(false);
        let chains =
            by_key.into_values().map(|chain| self.deliver_chain(documents, chain, &stopped));
        let mut delivered = BTreeSet::new();
        let mut failure = None;
        for (numbers, failed) in join_all(chains).await {
            delivered.extend(numbers);
            failure = failure.or(failed);
        }
        (delivered, failure)
    }

    /// The events of one key, up to the first that is not taken.
    async fn deliver_chain(
        &self,
        documents: &BTreeMap<BucketId, Document>,
        chain: Vec<(&Event, &Plan)>,
        stopped: &AtomicBool,
    ) -> (Vec<u64>, Option<String>) {
        let mut delivered = Vec::new();
        for (event, plan) in chain {
            let (bucket, webhook) = match (plan, self.target, documents.get(&event.bucket)) {
                (Plan::Send, Some(target), Some(Document::Known(notification))) => {
                    (&notification.bucket, &self.webhooks[target])
                }
                (Plan::Wait(reason), ..) => return (delivered, Some(reason.clone())),
                _ => continue,
            };
            let _turn = webhook.turn().await;
            if stopped.load(Ordering::Relaxed) {
                return (delivered, None);
            }
            // Made in its turn: there are as many messages in memory as requests under way.
            let message = Message::new(bucket, self.group, event);
            if let Err(reason) = webhook.send(&message).await {
                stopped.store(true, Ordering::Relaxed);
                return (delivered, Some(reason));
            }
            delivered.push(event.number);
        }
        (delivered, None)
    }
}
