//! Lines become objects: collected per source bucket and target, written when enough have
//! come together or some time has passed.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use metastore::api::index::Origin;
use objects::{Objects, body::MemoryBody, request::Put};
use time::OffsetDateTime;
use tokio::sync::{mpsc, oneshot};
use types::{Attributes, Condition};

use super::Setting;

/// Lines that wait to be sorted into batches. Beyond it lines are dropped and counted.
const QUEUE_MAX: usize = 16_384;

/// A batch of so many bytes is written at once.
const BATCH_BYTES: usize = 4 << 20;

/// All batches together. Beyond it the largest is written first, whoever waits.
const TOTAL_BYTES_MAX: usize = 64 << 20;

/// Lines that were not delivered. Counter.
const DROPPED: &str = "shardlake_s3_access_log_dropped_lines_total";

/// Takes lines from requests and delivers them. Cheap to clone.
#[derive(Clone)]
pub(crate) struct AccessLogs {
    queue: mpsc::Sender<Message>,
    dropped: Arc<AtomicU64>,
}

enum Message {
    Line(Entry),
    /// Write everything now, then say so.
    Flush(oneshot::Sender<()>),
}

struct Entry {
    source: String,
    setting: Arc<Setting>,
    at: OffsetDateTime,
    line: String,
}

/// What is delivered together: day only where the layout separates days.
type BatchKey = (String, Arc<Setting>, Option<time::Date>);

struct Batch {
    first: OffsetDateTime,
    lines: String,
}

struct Writer {
    objects: Objects,
    account: String,
    region: String,
    dropped: Arc<AtomicU64>,
    batches: BTreeMap<BatchKey, Batch>,
    bytes: usize,
}

impl AccessLogs {
    /// Starts the writer, which delivers at the latest every `interval`.
    pub(crate) fn start(
        objects: Objects,
        account: String,
        region: String,
        interval: Duration,
    ) -> Self {
        let (queue, messages) = mpsc::channel(QUEUE_MAX);
        let dropped = Arc::new(AtomicU64::new(0));
        let writer = Writer {
            objects,
            account,
            region,
            dropped: dropped.clone(),
            batches: BTreeMap::new(),
            bytes: 0,
        };
        tokio::spawn(writer.run(messages, interval));
        Self { queue, dropped }
    }

    /// Hands a line over; never waits.
    pub(crate) fn log(
        &self,
        source: &str,
        setting: Arc<Setting>,
        at: OffsetDateTime,
        line: String,
    ) {
        let entry = Entry { source: source.to_owned(), setting, at, line };
        if self.queue.try_send(Message::Line(entry)).is_err() {
            note_dropped(&self.dropped, 1);
        }
    }

    /// Returns when all lines that were handed over are delivered, or given up.
    pub(crate) async fn flush(&self) {
        let (done, flushed) = oneshot::channel();
        if self.queue.send(Message::Flush(done)).await.is_ok() {
            let _ = flushed.await;
        }
    }
}

fn note_dropped(dropped: &AtomicU64, lines: u64) {
    metrics::counter!(DROPPED).increment(lines);
    if dropped.fetch_add(lines, Ordering::Relaxed) == 0 {
        tracing::warn!("access log lines are being dropped: see {DROPPED}");
    }
}

impl Writer {
    async fn run(mut self, mut messages: mpsc::Receiver<Message>, interval: Duration) {
        let mut ticks = tokio::time::interval(interval);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                message = messages.recv() => match message {
                    Some(Message::Line(entry)) => self.add(entry).await,
                    Some(Message::Flush(done)) => {
                        self.deliver_all().await;
                        // Nobody may wait any more.
                        let _ = done.send(());
                    }
                    None => break,
                },
                _ = ticks.tick() => self.deliver_all().await,
            }
        }
        self.deliver_all().await;
    }

    async fn add(&mut self, entry: Entry) {
        let Entry { source, setting, at, line } = entry;
        let day = (setting.layout == super::Layout::ByEvent).then(|| at.date());
        let key = (source, setting, day);
        self.bytes += line.len();
        let batch = self
            .batches
            .entry(key.clone())
            .or_insert_with(|| Batch { first: at, lines: String::new() });
        batch.lines.push_str(&line);
        if batch.lines.len() >= BATCH_BYTES {
            self.deliver(key).await;
        } else if self.bytes > TOTAL_BYTES_MAX {
            let largest = self.batches.iter().max_by_key(|(_, batch)| batch.lines.len());
            if let Some(key) = largest.map(|(key, _)| key.clone()) {
                self.deliver(key).await;
            }
        }
    }

    async fn deliver_all(&mut self) {
        while let Some(key) = self.batches.keys().next().cloned() {
            self.deliver(key).await;
        }
    }

    async fn deliver(&mut self, key: BatchKey) {
        let Some(batch) = self.batches.remove(&key) else { return };
        self.bytes -= batch.lines.len();
        let (source, setting, _) = &key;
        let lines = batch.lines.bytes().filter(|byte| *byte == b'\n').count() as u64;
        let unique = hex::encode_upper(rand::random::<[u8; 8]>());
        let now = self.now();
        let put = Put {
            bucket: setting.bucket.clone(),
            key: setting.key(&self.account, &self.region, source, batch.first, now, &unique),
            condition: Condition::None,
            attributes: Attributes {
                system: [("content-type".to_owned(), "text/plain".to_owned())].into(),
                ..Attributes::default()
            },
            origin: Origin::default(),
            body: Box::new(MemoryBody::new(batch.lines)),
        };
        if let Err(error) = self.objects.put(put).await {
            tracing::warn!(source, target = setting.bucket, %error, lines, "an access log is lost");
            note_dropped(&self.dropped, lines);
        }
    }

    fn now(&self) -> OffsetDateTime {
        let now = i128::from(self.objects.clock().now_ms()) * 1_000_000;
        OffsetDateTime::from_unix_timestamp_nanos(now).unwrap_or(OffsetDateTime::UNIX_EPOCH)
    }
}
