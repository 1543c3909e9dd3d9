//! The clients: each is a logical process that does one operation after the other on a
//! few keys, each through any gateway, and records what it saw.
//!
//! Every key of a round lies in a bucket of its own, because a bucket lies in one index
//! partition: so the keys have several leaders.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use aws_sdk_s3::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
    primitives::ByteStream,
};
use indicatif::{ProgressBar, ProgressStyle};
use rand::{Rng, rngs::StdRng};
use tokio::sync::watch;

use super::{Finished, clients, finished_registers, last};
use crate::{
    checker::register,
    content::content,
    history::{Call, History, Operation, Outcome, Value},
    site::{Got, Site},
};

/// What the clients do.
pub(crate) struct Settings {
    pub(crate) clients: usize,
    pub(crate) keys: u64,
    /// Operations on a set of keys, before fresh ones are used.
    pub(crate) round_operations: u64,
    /// The run ends after so many sets of keys, if not before.
    pub(crate) rounds: u64,
    /// The lengths of values, in turn.
    pub(crate) value_bytes: Vec<usize>,
    /// The clients do as a gateway would that checks a condition first and writes then.
    pub(crate) planted_race: bool,
}

struct Shared {
    site: Arc<Site>,
    settings: Settings,
    /// Operations begun so far.
    operations: AtomicU64,
}

impl Shared {
    fn bucket(&self, key: u64) -> String {
        format!("jepsen-{:016x}-{}", self.site.seed, key % self.settings.keys)
    }

    /// The round of the next operation; `None` when the run is over.
    fn next_round(&self) -> Option<u64> {
        let round =
            self.operations.fetch_add(1, Ordering::Relaxed) / self.settings.round_operations;
        (round < self.settings.rounds && !self.site.over()).then_some(round)
    }

    fn length(&self, value: Value) -> usize {
        let lengths = &self.settings.value_bytes;
        let turn = usize::try_from(value % lengths.len() as u64).expect("less than a length");
        lengths[turn]
    }
}

/// Runs the clients and gives their history.
pub(crate) async fn run(site: Arc<Site>, settings: Settings) -> anyhow::Result<History> {
    let shared = started(site, settings).await?;
    let bar = tokio::spawn(progress(shared.clone()));
    let operations =
        clients(shared.settings.clients, |number| run_client(shared.clone(), number)).await?;
    bar.abort();
    Ok(sorted(operations))
}

/// Runs the clients until the time is over, waits until all is healed, and reads every key once more.
pub(crate) async fn run_and_finish(
    site: Arc<Site>,
    settings: Settings,
    mut healed: watch::Receiver<bool>,
) -> anyhow::Result<Finished> {
    let shared = started(site, settings).await?;
    let mut operations =
        clients(shared.settings.clients, |number| run_client(shared.clone(), number)).await?;
    healed.wait_for(|healed| *healed).await?;
    let keys: std::collections::BTreeSet<u64> =
        operations.iter().map(|operation| operation.key).collect();
    let read = last(keys, |key| {
        let shared = &shared;
        async move {
            let gateway = &shared.site.gateways[key as usize % shared.site.gateways.len()];
            let (process, invoked) = (shared.site.process(), shared.site.now());
            let (outcome, _) = Register::new(shared, key, gateway).read().await;
            let ended = shared.site.now();
            Operation { process, key, call: Call::Read, invoked, ended, outcome }
        }
    });
    let read = read.await;
    let unknown = read.iter().filter(|last| last.outcome == Outcome::Info);
    let unanswered = unknown.map(|last| format!("GET of register/{}", last.key)).collect();
    operations.extend(read);
    let history = sorted(operations);
    let verdict = register::check(&history);
    Ok(finished_registers("register", &history, verdict, unanswered))
}

async fn started(site: Arc<Site>, settings: Settings) -> anyhow::Result<Arc<Shared>> {
    let shared = Arc::new(Shared { site, settings, operations: AtomicU64::new(0) });
    for slot in 0..shared.settings.keys {
        shared.site.gateways[0].create_bucket().bucket(shared.bucket(slot)).send().await?;
    }
    shared.site.prepared();
    Ok(shared)
}

fn sorted(mut operations: Vec<Operation>) -> History {
    operations.sort_by_key(|operation| operation.invoked);
    History(operations)
}

async fn progress(shared: Arc<Shared>) -> anyhow::Result<()> {
    let style = ProgressStyle::with_template("{bar:30} {percent} % {msg}")?;
    let bar = ProgressBar::new(1000).with_style(style);
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let operations = shared.operations.load(Ordering::Relaxed);
        let round = operations / shared.settings.round_operations;
        let by_rounds = round as f64 / shared.settings.rounds as f64;
        bar.set_message(format!("round {round}, {operations} operations"));
        bar.set_position((by_rounds.max(shared.site.done()) * 1e3) as u64);
    }
}

async fn run_client(shared: Arc<Shared>, number: usize) -> Vec<Operation> {
    let mut random = shared.site.random("register", number);
    let mut process = shared.site.process();
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
        let register = Register::new(&shared, key, shared.site.gateway(&mut random));
        let invoked = shared.site.now();
        let (outcome, seen) = register.perform(call, last_seen.get(&key)).await;
        let ended = shared.site.now();
        operations.push(Operation { process, key, call, invoked, ended, outcome });
        if let Some(seen) = seen {
            last_seen.insert(key, seen);
        } else if outcome == Outcome::Info {
            process = shared.site.process();
        }
        shared.site.think(outcome == Outcome::Info).await;
    }
    operations
}

fn choose(shared: &Shared, random: &mut StdRng, seen: Option<&Seen>) -> Call {
    let fresh = || shared.site.fresh();
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

impl<'a> Register<'a> {
    fn new(shared: &'a Shared, key: u64, gateway: &'a Client) -> Self {
        Self { shared, gateway, bucket: shared.bucket(key), name: format!("register/{key}") }
    }

    /// Does one operation. Besides the outcome: what the key was seen with.
    async fn perform(&self, call: Call, seen: Option<&Seen>) -> (Outcome, Option<Seen>) {
        let condition = match call {
            Call::Read | Call::Write(_) | Call::Delete => Condition::None,
            Call::Create(_) => Condition::Absent,
            Call::CompareAndSet(..) | Call::DeleteIf(_) => {
                Condition::Match(seen.expect("it names a value that was seen").etag.clone())
            }
        };
        let condition = match self.planted_check(condition).await {
            Ok(condition) => condition,
            Err(outcome) => return (outcome, None),
        };
        match call {
            Call::Read => self.read().await,
            Call::Write(value) | Call::CompareAndSet(_, value) | Call::Create(value) => {
                self.put(value, condition).await
            }
            Call::Delete | Call::DeleteIf(_) => (self.delete(condition).await, None),
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
        let body = ByteStream::from(content(value, self.shared.length(value)));
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

    async fn read(&self) -> (Outcome, Option<Seen>) {
        let length = |value| self.shared.length(value);
        match self.shared.site.get(self.gateway, &self.bucket, &self.name, None, length).await {
            Got::Value(value, etag) => (Outcome::Ok(Some(value)), Some(Seen { value, etag })),
            Got::Refused(code) if code == "NoSuchKey" => (Outcome::Ok(None), None),
            Got::Refused(_) | Got::Unknown => (Outcome::Info, None),
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
