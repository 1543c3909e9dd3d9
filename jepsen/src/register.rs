//! The clients: each is a logical process that does one operation after the other on a
//! few keys through its gateway, and records what it saw.
//!
//! A value is written as its eight bytes followed by filler that depends on it, so that
//! every read checks the content byte by byte; a read with other bytes ends the run.

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
    pub(crate) round: Duration,
    pub(crate) length: Duration,
    pub(crate) value_bytes: usize,
    pub(crate) seed: u64,
}

/// An operation that takes longer is `:info`.
const OPERATION_MAX: Duration = Duration::from_secs(5);

struct Shared {
    settings: Settings,
    bucket: String,
    began: Instant,
    values: AtomicU64,
    processes: AtomicU64,
}

/// Runs the clients and gives their history.
pub(crate) async fn run(settings: Settings) -> anyhow::Result<History> {
    let bucket = format!("jepsen-{:016x}", settings.seed);
    client(&settings, 0).create_bucket().bucket(&bucket).send().await?;
    let length = settings.length;
    let shared = Arc::new(Shared {
        settings,
        bucket,
        began: Instant::now(),
        values: AtomicU64::new(1),
        processes: AtomicU64::new(0),
    });
    let bar = tokio::spawn(progress(length));
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

async fn progress(length: Duration) -> anyhow::Result<()> {
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} s")?;
    let bar = ProgressBar::new(length.as_secs()).with_style(style);
    for _ in 0..length.as_secs() {
        tokio::time::sleep(Duration::from_secs(1)).await;
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(())
}

fn client(settings: &Settings, number: usize) -> Client {
    let timeouts = TimeoutConfig::builder().operation_timeout(OPERATION_MAX).build();
    let credentials =
        Credentials::new(&settings.access_key, &settings.secret_key, None, None, "jepsen");
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(&settings.endpoints[number % settings.endpoints.len()])
        .region(Region::new("us-east-1"))
        .credentials_provider(credentials)
        .retry_config(RetryConfig::disabled())
        .timeout_config(timeouts)
        .force_path_style(true)
        .build();
    Client::from_conf(config)
}

async fn run_client(shared: Arc<Shared>, number: usize) -> anyhow::Result<Vec<Operation>> {
    let client = client(&shared.settings, number);
    let mut random = StdRng::seed_from_u64(shared.settings.seed ^ (number as u64) << 32);
    let mut process = shared.processes.fetch_add(1, Ordering::Relaxed);
    let mut last_seen: HashMap<u64, (Value, String)> = HashMap::new();
    let mut operations = Vec::new();
    while shared.began.elapsed() < shared.settings.length {
        let round = shared.began.elapsed().as_secs() / shared.settings.round.as_secs();
        let key = round * shared.settings.keys + random.random_range(0..shared.settings.keys);
        let call = choose(&shared, &mut random, last_seen.get(&key));
        let etag = last_seen.get(&key).map(|(_, etag)| etag.clone());
        let invoked = shared.began.elapsed();
        let (outcome, seen) = perform(&shared, &client, key, call, etag).await?;
        let ended = shared.began.elapsed();
        operations.push(Operation { process, key, call, invoked, ended, outcome });
        match seen {
            Some(seen) => {
                last_seen.insert(key, seen);
            }
            None if outcome == Outcome::Info => {
                process = shared.processes.fetch_add(1, Ordering::Relaxed);
                // A gateway that is down refuses at once: do not fill the history with that.
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            None => {}
        }
    }
    Ok(operations)
}

fn choose(shared: &Shared, random: &mut StdRng, seen: Option<&(Value, String)>) -> Call {
    let fresh = || shared.values.fetch_add(1, Ordering::Relaxed);
    match (random.random_range(0..10), seen) {
        (0..4, _) => Call::Read,
        (4..6, _) => Call::Write(fresh()),
        (6..8, Some((value, _))) => Call::CompareAndSet(*value, fresh()),
        (6..9, _) => Call::Create(fresh()),
        _ => Call::Delete,
    }
}

/// Does one operation. Besides the outcome: the value and entity tag that the key was seen with.
async fn perform(
    shared: &Shared,
    client: &Client,
    key: u64,
    call: Call,
    etag: Option<String>,
) -> anyhow::Result<(Outcome, Option<(Value, String)>)> {
    let name = format!("register/{key}");
    let put = |value: Value| {
        client
            .put_object()
            .bucket(&shared.bucket)
            .key(&name)
            .body(ByteStream::from(content(value, shared.settings.value_bytes)))
    };
    let written = |value: Value, etag: Option<&str>| etag.map(|etag| (value, etag.to_owned()));
    match call {
        Call::Read => read(shared, client, &name).await,
        Call::Write(value) => Ok(match put(value).send().await {
            Ok(done) => (Outcome::Ok(None), written(value, done.e_tag())),
            Err(error) => (failure(&error), None),
        }),
        Call::CompareAndSet(_, value) => {
            Ok(match put(value).if_match(etag.unwrap_or_default()).send().await {
                Ok(done) => (Outcome::Ok(None), written(value, done.e_tag())),
                Err(error) => (failure(&error), None),
            })
        }
        Call::Create(value) => Ok(match put(value).if_none_match("*").send().await {
            Ok(done) => (Outcome::Ok(None), written(value, done.e_tag())),
            Err(error) => (failure(&error), None),
        }),
        Call::Delete => {
            let delete = client.delete_object().bucket(&shared.bucket).key(&name);
            Ok(match delete.send().await {
                Ok(_) => (Outcome::Ok(None), None),
                Err(error) => (failure(&error), None),
            })
        }
    }
}

async fn read(
    shared: &Shared,
    client: &Client,
    name: &str,
) -> anyhow::Result<(Outcome, Option<(Value, String)>)> {
    match client.get_object().bucket(&shared.bucket).key(name).send().await {
        Ok(answer) => {
            let etag = answer.e_tag().unwrap_or_default().to_owned();
            // A body that breaks off says nothing; a whole one must be right.
            let Ok(body) = answer.body.collect().await else { return Ok((Outcome::Info, None)) };
            let bytes = body.into_bytes();
            let value = bytes
                .first_chunk::<8>()
                .map(|bytes| Value::from_le_bytes(*bytes))
                .filter(|value| content(*value, shared.settings.value_bytes) == bytes);
            let value = value.ok_or_else(|| anyhow::anyhow!("{name} has wrong bytes"))?;
            Ok((Outcome::Ok(Some(value)), Some((value, etag))))
        }
        Err(error) if error.code() == Some("NoSuchKey") => Ok((Outcome::Ok(None), None)),
        Err(_) => Ok((Outcome::Info, None)),
    }
}

/// Refusals by condition surely did nothing. Everything else is unknown, also a 503: the
/// harness takes no server's word for it.
fn failure<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>) -> Outcome {
    match error.code() {
        Some("PreconditionFailed" | "NoSuchKey" | "ConditionalRequestConflict") => Outcome::Fail,
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
