//! Inventories: once a day a pass over the inventory configurations of all buckets makes the
//! reports that are due; besides, those that somebody asked for ([`request`]).
//!
//! The root group keeps how far the pass has come and which report is under way. A report that
//! was cut off is begun again under the same time: its files have the same keys. A report that
//! fails for good (its destination is gone, say) is given up and shown as the worker's last
//! error; the next ones go on.

mod cursor;
mod report;
mod request;

use std::time::Duration;

use ::inventory::{Configuration, is_due};
use ::lifecycle::Calendar;
use async_trait::async_trait;
use bytes::Bytes;
use cursor::{Cursor, Run};
use metastore::api::root::ConfigKind;
use objects::Objects;
use report::{Running, Stepped};
pub use request::request;
use types::UnixMillis;

use crate::{Error, Settings, Step, Worker, metrics, saved};

/// The worker's name, also of its cursor.
const NAME: &str = "inventory";

/// Buckets of one page.
const BUCKETS_PAGE: u32 = 1000;
/// Configurations of one page; the most that the root group gives.
const CONFIGURATIONS_PAGE: u32 = 100;

/// A report that failed so often is given up until the next time.
const TRIES_MAX: u32 = 5;

/// The worker that makes the reports.
pub struct InventoryWorker {
    objects: Objects,
    calendar: Calendar,
    interval_ms: u64,
    /// `None` until it has been read.
    cursor: Option<Cursor>,
    /// The report under way; `None` also before it is begun again.
    running: Option<Running>,
    /// Failures of that report.
    tries: u32,
    /// The bell at the last search that found no request any more.
    answered: Option<Option<Bytes>>,
    rows: u64,
    reports: u64,
    given_up: u64,
}

impl InventoryWorker {
    /// A worker over this object layer.
    pub fn new(objects: Objects, settings: &Settings) -> Self {
        Self {
            objects,
            calendar: Calendar::with_day_ms(settings.lifecycle_day_ms),
            interval_ms: settings.inventory_interval_ms,
            cursor: None,
            running: None,
            tries: 0,
            answered: None,
            rows: 0,
            reports: 0,
            given_up: 0,
        }
    }

    fn now(&self) -> UnixMillis {
        UnixMillis(self.objects.clock().now_ms())
    }

    async fn load(&self) -> Result<Cursor, Error> {
        let saved = saved::read(&**self.objects.metadata(), NAME).await?;
        Ok(saved.and_then(|it| Cursor::decode(&it)).unwrap_or_default())
    }

    async fn save(&mut self, cursor: Cursor) -> Result<(), Error> {
        // If the outcome is not known, it is read again.
        self.cursor = None;
        saved::write(&**self.objects.metadata(), NAME, cursor.encode()).await?;
        self.cursor = Some(cursor);
        Ok(())
    }

    /// The bucket's documents of a kind after an id; none if the bucket is gone.
    async fn documents(
        &self,
        bucket: &str,
        kind: ConfigKind,
        after: &str,
    ) -> Result<Vec<(String, Bytes)>, Error> {
        let after = Some(after).filter(|after| !after.is_empty());
        let page =
            self.objects.named_bucket_configs(bucket, kind, after, CONFIGURATIONS_PAGE).await;
        match page {
            Ok((documents, _)) => Ok(documents),
            Err(objects::Error::NoSuchBucket(_)) => Ok(Vec::new()),
            Err(error) => Err(error.into()),
        }
    }

    /// The first bucket after `bucket` that has documents of a kind, and a page of those.
    async fn next_bucket(
        &self,
        bucket: &str,
        kind: ConfigKind,
    ) -> Result<Option<(String, Vec<(String, Bytes)>)>, Error> {
        let mut after = Some(bucket.to_owned()).filter(|name| !name.is_empty());
        loop {
            let (buckets, more) = self.objects.buckets("", after.as_deref(), BUCKETS_PAGE).await?;
            for bucket in &buckets {
                let documents = self.documents(&bucket.name, kind, "").await?;
                if !documents.is_empty() {
                    return Ok(Some((bucket.name.clone(), documents)));
                }
            }
            match buckets.last() {
                Some(last) if more => after = Some(last.name.clone()),
                _ => return Ok(None),
            }
        }
    }

    /// A report that somebody asked for.
    async fn requested(&mut self) -> Result<Option<Run>, Error> {
        let bell = request::bell(&**self.objects.metadata()).await?;
        if self.answered.as_ref() == Some(&bell) {
            return Ok(None);
        }
        let found = self.next_bucket("", ConfigKind::InventoryRun).await?;
        let first = found.and_then(|(bucket, ids)| Some((bucket, ids.into_iter().next()?.0)));
        let Some((bucket, id)) = first else {
            self.answered = Some(bell);
            return Ok(None);
        };
        Ok(Some(Run { bucket, id, at: self.now(), on_demand: true, files: 0 }))
    }

    /// Goes on with the pass up to the next report that is due.
    async fn pass(&mut self, cursor: Cursor) -> Result<Step, Error> {
        let mut cursor = cursor;
        let rest = match cursor.bucket.as_str() {
            "" => Vec::new(),
            bucket => self.documents(bucket, ConfigKind::Inventory, &cursor.id).await?,
        };
        let documents = if rest.is_empty() {
            match self.next_bucket(&cursor.bucket, ConfigKind::Inventory).await? {
                Some((bucket, documents)) => {
                    cursor.bucket = bucket;
                    documents
                }
                None => {
                    self.save(Cursor { done: true, ..cursor }).await?;
                    return Ok(Step::More);
                }
            }
        } else {
            rest
        };
        for (id, bytes) in documents {
            cursor.id = id;
            let due = match Configuration::decode(&bytes) {
                Ok(it) => is_due(&it, self.calendar, cursor.before, cursor.day),
                Err(error) => {
                    let (bucket, id) = (&cursor.bucket, &cursor.id);
                    tracing::error!(bucket, id, %error, "an inventory is left out");
                    false
                }
            };
            if due {
                let (bucket, id) = (cursor.bucket.clone(), cursor.id.clone());
                let run = Run { bucket, id, at: self.now(), on_demand: false, files: 0 };
                cursor.run = Some(run);
                break;
            }
        }
        self.save(cursor).await?;
        Ok(Step::More)
    }

    /// Begins the report, for the first time or again. `None` if it is wanted no more.
    async fn begin(&self, run: &Run) -> Result<Option<Running>, Error> {
        let (bucket, id) = (&run.bucket, &run.id);
        let stored = match self.objects.named_bucket_config(bucket, ConfigKind::Inventory, id).await
        {
            Ok(stored) => stored,
            Err(objects::Error::NoSuchBucket(_)) => None,
            Err(error) => return Err(error.into()),
        };
        // A request is served by a listing that begins after it is taken away, not before.
        if run.on_demand {
            let kind = ConfigKind::InventoryRun;
            match self.objects.set_named_bucket_config(bucket, kind, id, None).await {
                Ok(()) | Err(objects::Error::NoSuchBucket(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let Some(stored) = stored else { return Ok(None) };
        let configuration =
            Configuration::decode(&stored).map_err(|error| Error::Unexpected(error.to_string()))?;
        // Asked of the root group: another bucket may have the name by now.
        self.objects.bucket(&configuration.destination.bucket).await?;
        Running::begin(&self.objects, run.clone(), configuration).map(Some)
    }

    /// A page of the report under way; whether it has come to its end.
    async fn go_on(&mut self, run: &Run) -> Result<Stepped, Error> {
        let mut running = match self.running.take().filter(|running| running.is_of(run)) {
            Some(running) => running,
            None => match self.begin(run).await? {
                Some(running) => running,
                None => return Ok(Stepped::Done),
            },
        };
        let before = running.rows;
        // Dropped if it fails: then it is begun again.
        let progress = running.step(run.files).await?;
        self.rows += running.rows - before;
        if let Stepped::Done = progress {
            self.reports += 1;
            metrics::done(NAME, "inventory_delivered", 1);
        }
        self.running = Some(running);
        Ok(progress)
    }

    async fn report(&mut self, cursor: Cursor, run: Run) -> Result<Step, Error> {
        let failure = match self.go_on(&run).await {
            Ok(Stepped::More) => return Ok(Step::More),
            Ok(Stepped::Files(files)) => {
                self.save(Cursor { run: Some(Run { files, ..run }), ..cursor }).await?;
                return Ok(Step::More);
            }
            Ok(Stepped::Done) => None,
            Err(error) => {
                self.tries += 1;
                let reason = error.to_string();
                let lasting = is_lasting(&error) || self.tries >= TRIES_MAX;
                let (bucket, id) = (run.bucket, run.id);
                let error = Error::Inventory { bucket, id, reason };
                if !lasting {
                    return Err(error);
                }
                self.given_up += 1;
                Some(error)
            }
        };
        self.running = None;
        self.tries = 0;
        self.save(Cursor { run: None, ..cursor }).await?;
        failure.map_or(Ok(Step::More), Err)
    }
}

/// Whether another try cannot help.
fn is_lasting(error: &Error) -> bool {
    matches!(
        error,
        Error::Objects(objects::Error::NoSuchBucket(_))
            | Error::InventoryFile(_)
            | Error::Unexpected(_)
    )
}

#[async_trait]
impl Worker for InventoryWorker {
    fn name(&self) -> &'static str {
        NAME
    }

    /// A page of one report, or the search for the next one.
    async fn work(&mut self) -> Result<Step, Error> {
        let cursor = match self.cursor.clone() {
            Some(cursor) => cursor,
            None => {
                let cursor = self.load().await?;
                self.cursor = Some(cursor.clone());
                cursor
            }
        };
        if let Some(run) = cursor.run.clone() {
            return self.report(cursor, run).await;
        }
        if let Some(run) = self.requested().await? {
            self.save(Cursor { run: Some(run), ..cursor }).await?;
            return Ok(Step::More);
        }
        let today = self.now().0 / self.calendar.day_ms();
        match cursor.done {
            false => self.pass(cursor).await,
            true if cursor.day < today => {
                self.save(cursor.next_pass(today)).await?;
                Ok(Step::More)
            }
            true => Ok(Step::Idle),
        }
    }

    async fn wait_for_work(&mut self) {
        let day = self.calendar.day_ms();
        let rest = day - self.now().0 % day;
        tokio::time::sleep(Duration::from_millis(rest.min(self.interval_ms))).await;
    }

    fn status(&self) -> (u64, String) {
        let run = self.cursor.as_ref().and_then(|cursor| cursor.run.as_ref());
        let place = match (run, &self.running) {
            (Some(Run { bucket, id, .. }), Some(running)) => {
                format!("inventory {id} of {bucket}, {} rows", running.rows)
            }
            (Some(Run { bucket, id, .. }), None) => format!("beginning inventory {id} of {bucket}"),
            (None, _) => "nothing is due".to_owned(),
        };
        let Self { reports, given_up, .. } = self;
        (self.rows, format!("{place}: {reports} reports delivered, {given_up} given up"))
    }
}
