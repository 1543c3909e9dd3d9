//! The clients: each is a logical process that does one operation after the other on a
//! few keys, each through any gateway, and records what it saw.
//!
//! A value is written as its eight bytes followed by filler that depends on it, so that
//! every read checks the content byte by byte; a read with other bytes ends the run.
//!
//! Every key of a round lies in a bucket of its own, because a bucket lies in one index
//! partition: so the keys have several leaders.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use aws_sdk_s3::{
    Client,
    config::{BehaviorVersion, Credentials, Region, retry::RetryConfig, timeout::TimeoutConfig},
    error::{ProvideErrorMetadata, SdkError},
    primitives::ByteStream,
};
use futures::future::try_join_all;
use indicatif::{ProgressBar, ProgressStyle};
use rand::{Rng, SeedableRng, rngs::StdRng};

use crate::history::{Call, History, Operation, Outcome, Value};

/// What the clients do.
pub(crate) struct Settings {
    pub(crate) endpoints: Vec<String>,
    pub(crate) access_key: String,
    pub(crate) secret_key: String,
    pub(crate) clients: usize,
    pub(crate) keys: u64,
    /// Operations on a set of keys, before fresh ones are used.
    pub(crate) round_operations: u64,
    /// The run ends after so many sets of keys ...
    pub(crate) rounds: u64,
    /// ... or after this time.
    pub(crate) length: Duration,
    /// An operation that takes longer is `:info`.
    pub(crate) operation_max: Duration,
    /// The lengths of values, in turn.
    pub(crate) value_bytes: Vec<usize>,
    /// The clients do as a gateway would that checks a condition first and writes then.
    pub(crate) planted_race: bool,
    pub(crate) seed: u64,
}

struct Shared {
    settings: Settings,
    /// One for each endpoint.
    gateways: Vec<Client>,
    began: Instant,
    /// Operations begun so far.
    operations: AtomicU64,
    values: AtomicU64,
    processes: AtomicU64,
}

impl Shared {
    fn bucket(&self, key: u64) -> String {
        format!("jepsen-{:016x}-{}", self.settings.seed, key % self.settings.keys)
    }

    /// The round of the next operation; `None` when the run is over.
    fn next_round(&self) -> Option<u64> {
        let round =
            self.operations.fetch_add(1, Ordering::Relaxed) / self.settings.round_operations;
        (round < self.settings.rounds && self.began.elapsed() < self.settings.length)
            .then_some(round)
    }

    fn content(&self, value: Value) -> Vec<u8> {
        let lengths = &self.settings.value_bytes;
        let turn = usize::try_from(value % lengths.len() as u64).expect("less than a length");
        content(value, lengths[turn])
    }
}

/// Runs the clients and gives their history, whose times count from `began`.
pub(crate) async fn run(settings: Settings, began: Instant) -> anyhow::Result<History> {
    let gateways: Vec<Client> =
        settings.endpoints.iter().map(|endpoint| client(&settings, endpoint)).collect();
    let shared = Arc::new(Shared {
        settings,
        gateways,
        began,
        operations: AtomicU64::new(0),
        values: AtomicU64::new(1),
        processes: AtomicU64::new(0),
    });
    for slot in 0..shared.settings.keys {
        shared.gateways[0].create_bucket().bucket(shared.bucket(slot)).send().await?;
    }
    let bar = tokio::spawn(progress(shared.clone()));
    let tasks =
        (0..shared.settings.clients).map(|number| tokio::spawn(run_client(shared.clone(), number)));
    let mut history = History::default();
    for operations in try_join_all(tasks).await? {
        history.0.extend(operations?);
    }
    bar.abort();
    history.0.sort_by_key(|operation| operation.invoked);
    Ok(history)
}

async fn progress(shared: Arc<Shared>) -> anyhow::Result<()> {
    let style = ProgressStyle::with_template("{bar:30} {percent} % {msg}")?;
    let bar = ProgressBar::new(1000).with_style(style);
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let operations = shared.operations.load(Ordering::Relaxed);
        let round = operations / shared.settings.round_operations;
        let by_rounds = round as f64 / shared.settings.rounds as f64;
        let by_time = shared.began.elapsed().div_duration_f64(shared.settings.length);
        bar.set_message(format!("round {round}, {operations} operations"));
        bar.set_position((by_rounds.max(by_time) * 1e3) as u64);
    }
}

fn client(settings: &Settings, endpoint: &str) -> Client {
    let timeouts = TimeoutConfig::builder().operation_timeout(settings.operation_max).build();
    let credentials =
        Credentials::new(&settings.access_key, &settings.secret_key, None, None, "jepsen");
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(endpoint)
        .region(Region::new("us-east-1"))
        .credentials_provider(credentials)
        .retry_config(RetryConfig::disabled())
        .timeout_config(timeouts)
        .force_path_style(true)
        .build();
    Client::from_conf(config)
}

async fn run_client(shared: Arc<Shared>, number: usize) -> anyhow::Result<Vec<Operation>> {
    let mut random = StdRng::seed_from_u64(shared.settings.seed ^ (number as u64) << 32);
    let mut process = shared.processes.fetch_add(1, Ordering::Relaxed);
    let mut last_seen: HashMap<u64, Seen> = HashMap::new();
    let mut operations = Vec::new();
    let mut slot = 0;
    while let Some(round) = shared.next_round() {
        // Half of the operations follow another on the same key, so that what they compare
        // with is often still there.
        if random.random() {
            slot = random.random_range(0..shared.settings.keys);
        }
        let key = round * shared.settings.keys + slot;
        let call = choose(&shared, &mut random, last_seen.get(&key));
        let register = Register {
            shared: &shared,
            gateway: &shared.gateways[random.random_range(0..shared.gateways.len())],
            bucket: shared.bucket(key),
            name: format!("register/{key}"),
        };
        let invoked = shared.began.elapsed();
        let (outcome, seen) = register.perform(call, last_seen.get(&key)).await?;
        let ended = shared.began.elapsed();
        operations.push(Operation { process, key, call, invoked, ended, outcome });
        if let Some(seen) = seen {
            last_seen.insert(key, seen);
        } else if outcome == Outcome::Info {
            process = shared.processes.fetch_add(1, Ordering::Relaxed);
            // A gateway that is down refuses at once: do not fill the history with that.
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    Ok(operations)
}

fn choose(shared: &Shared, random: &mut StdRng, seen: Option<&Seen>) -> Call {
    let fresh = || shared.values.fetch_add(1, Ordering::Relaxed);
    match (random.random_range(0..20), seen) {
        (0..6, _) => Call::Read,
        (6..8, _) => Call::Write(fresh()),
        (8..13, Some(seen)) => Call::CompareAndSet(seen.value, fresh()),
        (13..15, Some(seen)) => Call::DeleteIf(seen.value),
        (8..19, _) => Call::Create(fresh()),
        _ => Call::Delete,
    }
}

/// The value that a client last saw or wrote, and its entity tag.
struct Seen {
    value: Value,
    etag: String,
}

/// A condition as it is sent.
enum Condition {
    None,
    Absent,
    Match(String),
}

/// One key through one gateway.
struct Register<'a> {
    shared: &'a Shared,
    gateway: &'a Client,
    bucket: String,
    name: String,
}

impl Register<'_> {
    /// Does one operation. Besides the outcome: what the key was seen with.
    async fn perform(
        &self,
        call: Call,
        seen: Option<&Seen>,
    ) -> anyhow::Result<(Outcome, Option<Seen>)> {
        let condition = match call {
            Call::Read | Call::Write(_) | Call::Delete => Condition::None,
            Call::Create(_) => Condition::Absent,
            Call::CompareAndSet(..) | Call::DeleteIf(_) => {
                Condition::Match(seen.expect("it names a value that was seen").etag.clone())
            }
        };
        let condition = match self.planted_check(condition).await {
            Ok(condition) => condition,
            Err(outcome) => return Ok((outcome, None)),
        };
        match call {
            Call::Read => self.read().await,
            Call::Write(value) | Call::CompareAndSet(_, value) | Call::Create(value) => {
                Ok(self.put(value, condition).await)
            }
            Call::Delete | Call::DeleteIf(_) => Ok((self.delete(condition).await, None)),
        }
    }

    /// With `planted_race`: decides the condition here, and leaves none for the write.
    async fn planted_check(&self, condition: Condition) -> Result<Condition, Outcome> {
        if !self.shared.settings.planted_race || matches!(condition, Condition::None) {
            return Ok(condition);
        }
        let head = self.gateway.head_object().bucket(&self.bucket).key(&self.name);
        let found = match head.send().await {
            Ok(answer) => Some(answer.e_tag().unwrap_or_default().to_owned()),
            Err(error) if error.as_service_error().is_some_and(|e| e.is_not_found()) => None,
            Err(_) => return Err(Outcome::Fail),
        };
        match (condition, found) {
            (Condition::Absent, Some(_)) => Err(Outcome::Differs),
            (Condition::Match(_), None) => Err(Outcome::Absent),
            (Condition::Match(etag), Some(found)) if etag != found => Err(Outcome::Differs),
            _ => Ok(Condition::None),
        }
    }

    async fn put(&self, value: Value, condition: Condition) -> (Outcome, Option<Seen>) {
        let body = ByteStream::from(self.shared.content(value));
        let put = self.gateway.put_object().bucket(&self.bucket).key(&self.name).body(body);
        let put = match condition {
            Condition::None => put,
            Condition::Absent => put.if_none_match("*"),
            Condition::Match(etag) => put.if_match(etag),
        };
        match put.send().await {
            Ok(done) => {
                let seen = done.e_tag().map(|etag| Seen { value, etag: etag.to_owned() });
                (Outcome::Ok(None), seen)
            }
            Err(error) => (failure(&error), None),
        }
    }

    async fn delete(&self, condition: Condition) -> Outcome {
        let delete = self.gateway.delete_object().bucket(&self.bucket).key(&self.name);
        let delete = match condition {
            Condition::Match(etag) => delete.if_match(etag),
            Condition::None | Condition::Absent => delete,
        };
        match delete.send().await {
            Ok(_) => Outcome::Ok(None),
            Err(error) => failure(&error),
        }
    }

    async fn read(&self) -> anyhow::Result<(Outcome, Option<Seen>)> {
        match self.gateway.get_object().bucket(&self.bucket).key(&self.name).send().await {
            Ok(answer) => {
                let etag = answer.e_tag().unwrap_or_default().to_owned();
                // A body that breaks off says nothing; a whole one must be right.
                let Ok(body) = answer.body.collect().await else {
                    return Ok((Outcome::Info, None));
                };
                let bytes = body.into_bytes();
                let value = bytes
                    .first_chunk::<8>()
                    .map(|bytes| Value::from_le_bytes(*bytes))
                    .filter(|value| self.shared.content(*value) == bytes);
                let value =
                    value.ok_or_else(|| anyhow::anyhow!("{} has wrong bytes", self.name))?;
                Ok((Outcome::Ok(Some(value)), Some(Seen { value, etag })))
            }
            Err(error) if error.code() == Some("NoSuchKey") => Ok((Outcome::Ok(None), None)),
            Err(_) => Ok((Outcome::Info, None)),
        }
    }
}

/// Refusals by condition surely did nothing. Everything else is unknown, also a 503: the
/// harness takes no server's word for it.
fn failure<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>) -> Outcome {
    match error.code() {
        Some("PreconditionFailed") => Outcome::Differs,
        Some("NoSuchKey") => Outcome::Absent,
        Some("ConditionalRequestConflict") => Outcome::Fail,
        _ => Outcome::Info,
    }
}

/// Eight bytes of value, then filler that depends on it.
fn content(value: Value, length: usize) -> Vec<u8> {
    let mut bytes = value.to_le_bytes().to_vec();
    let mut word = value;
    while bytes.len() < length {
        word = word.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        bytes.extend_from_slice(&word.to_le_bytes());
    }
    bytes.truncate(length.max(8));
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_tells_values_apart_in_every_part() {
        let (one, two) = (content(1, 100), content(2, 100));
        assert_eq!((one.len(), two.len()), (100, 100));
        assert_ne!(one[..8], two[..8]);
        assert_ne!(one[50..], two[50..]);
        assert_eq!(content(1, 100), one);
    }
}
