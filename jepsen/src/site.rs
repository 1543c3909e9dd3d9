//! The cluster as its clients have it: the gateways, the clock of the run, and what they saw that is wrong
//! whatever the history.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use aws_sdk_s3::{
    Client,
    config::{BehaviorVersion, Credentials, Region, retry::RetryConfig, timeout::TimeoutConfig},
    error::{ProvideErrorMetadata, SdkError},
};
use rand::{Rng, SeedableRng, rngs::StdRng};

use crate::{content, history::Value};

/// Wrong answers that are kept word for word; one is enough to fail the run.
const WRONG_MAX: usize = 100;
/// How long a client of a gateway that does not answer waits before it goes on: a gateway that is
/// down refuses at once, and the history should not fill with that.
const AFTER_UNKNOWN: Duration = Duration::from_millis(100);

/// Where a cluster is, and how to be let in.
#[derive(Clone)]
pub(crate) struct Access {
    pub(crate) endpoints: Vec<String>,
    pub(crate) access_key: String,
    pub(crate) secret_key: String,
}

impl Access {
    /// A client for each gateway, that does not repeat a request and gives up after a while.
    pub(crate) fn clients(&self, operation_max: Duration) -> Vec<Client> {
        self.endpoints.iter().map(|endpoint| self.client(endpoint, operation_max)).collect()
    }

    fn client(&self, endpoint: &str, operation_max: Duration) -> Client {
        let timeouts = TimeoutConfig::builder().operation_timeout(operation_max).build();
        let credentials =
            Credentials::new(&self.access_key, &self.secret_key, None, None, "jepsen");
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
}

/// A run's cluster.
pub(crate) struct Site {
    /// One for each gateway.
    pub(crate) gateways: Vec<Client>,
    pub(crate) seed: u64,
    began: Instant,
    length: Duration,
    /// How long each client waits between two operations.
    think: Duration,
    processes: AtomicU64,
    values: AtomicU64,
    prepared: AtomicUsize,
    stopped: AtomicBool,
    wrong: Mutex<Vec<String>>,
}

/// What a GET found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Got {
    /// A whole value and its entity tag.
    Value(Value, String),
    /// The code of a refusal, as `NoSuchKey`.
    Refused(String),
    /// No answer, or not all of it, or not a value.
    Unknown,
}

impl Site {
    pub(crate) fn new(
        access: &Access,
        operation_max: Duration,
        seed: u64,
        began: Instant,
        length: Duration,
        think: Duration,
    ) -> Self {
        Self {
            gateways: access.clients(operation_max),
            seed,
            began,
            length,
            think,
            processes: AtomicU64::new(0),
            values: AtomicU64::new(1),
            prepared: AtomicUsize::new(0),
            stopped: AtomicBool::new(false),
            wrong: Mutex::new(Vec::new()),
        }
    }

    /// Since the beginning of the run.
    pub(crate) fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// Whether no new operation may begin.
    pub(crate) fn over(&self) -> bool {
        self.stopped.load(Ordering::Relaxed) || self.now() >= self.length
    }

    /// No new operation may begin from now on.
    pub(crate) fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    /// A workload has made what it needs: faults may come.
    pub(crate) fn prepared(&self) {
        self.prepared.fetch_add(1, Ordering::Relaxed);
    }

    /// Waits until so many workloads are prepared, or the run is over.
    pub(crate) async fn all_prepared(&self, workloads: usize) {
        while self.prepared.load(Ordering::Relaxed) < workloads && !self.over() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// What of the run is done, from 0 to 1.
    pub(crate) fn done(&self) -> f64 {
        self.now().div_duration_f64(self.length).min(1.0)
    }

    /// A new logical process: after an `:info` the old one may still be at it.
    pub(crate) fn process(&self) -> u64 {
        self.processes.fetch_add(1, Ordering::Relaxed)
    }

    /// A value that nobody wrote before.
    pub(crate) fn fresh(&self) -> Value {
        self.values.fetch_add(1, Ordering::Relaxed)
    }

    /// Choices of a client, which follow from the seed, the workload's name and the number.
    pub(crate) fn random(&self, workload: &str, number: usize) -> StdRng {
        let name =
            workload.bytes().fold(7u64, |hash, byte| hash * 31 % (1 << 40) + u64::from(byte));
        StdRng::seed_from_u64(self.seed ^ name << 20 ^ number as u64)
    }

    /// Any gateway.
    pub(crate) fn gateway(&self, random: &mut impl Rng) -> &Client {
        &self.gateways[random.random_range(0..self.gateways.len())]
    }

    /// Between two operations; `unknown` says that the last had no answer.
    pub(crate) async fn think(&self, unknown: bool) {
        let pause = if unknown { self.think.max(AFTER_UNKNOWN) } else { self.think };
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
    }

    /// Something was answered that no history excuses.
    pub(crate) fn wrong(&self, what: String) {
        let mut wrong = self.wrong.lock().expect("no panic while it is held");
        if wrong.len() < WRONG_MAX {
            wrong.push(what);
        }
    }

    /// All that was answered wrongly.
    pub(crate) fn all_wrong(&self) -> Vec<String> {
        self.wrong.lock().expect("no panic while it is held").clone()
    }

    /// Reads an object, or a version of it, and checks every byte. `length` gives a value's length.
    pub(crate) async fn get(
        &self,
        gateway: &Client,
        bucket: &str,
        key: &str,
        version: Option<&str>,
        length: impl Fn(Value) -> usize,
    ) -> Got {
        let request = gateway.get_object().bucket(bucket).key(key);
        let answer = match request.set_version_id(version.map(str::to_owned)).send().await {
            Ok(answer) => answer,
            Err(error) => return error.code().map_or(Got::Unknown, refused),
        };
        let etag = answer.e_tag().unwrap_or_default().to_owned();
        // A body that breaks off says nothing; a whole one must be right.
        let Ok(body) = answer.body.collect().await else { return Got::Unknown };
        let bytes = body.into_bytes();
        match content::value(&bytes, length) {
            Some(value) => Got::Value(value, etag),
            None => {
                let start = &bytes[..bytes.len().min(8)];
                self.wrong(format!(
                    "{bucket}/{key} {} at {:.3} s: {} bytes that begin with {start:02x?} are nothing \
                     that was written",
                    version.unwrap_or_default(),
                    self.now().as_secs_f64(),
                    bytes.len(),
                ));
                Got::Unknown
            }
        }
    }
}

/// A code that says what the server found is a refusal; one that says that it could not is not.
fn refused(code: &str) -> Got {
    const FOUND: [&str; 4] = ["NoSuchKey", "NoSuchBucket", "NoSuchVersion", "MethodNotAllowed"];
    if FOUND.contains(&code) { Got::Refused(code.to_owned()) } else { Got::Unknown }
}

/// Whether a refusal says by this code that nothing was done.
pub(crate) fn refused_with<E: ProvideErrorMetadata, R>(
    error: &SdkError<E, R>,
    codes: &[&str],
) -> bool {
    error.code().is_some_and(|code| codes.contains(&code))
}
