//! Buckets that are made and deleted while others put objects into them. `checker::buckets` says what
//! must hold.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use aws_sdk_s3::{Client, error::SdkError, primitives::ByteStream};
use rand::{Rng, rngs::StdRng};
use tokio::sync::watch;

use super::{Finished, clients, finished, last};
use crate::{
    checker::buckets::{self, BucketCall, BucketOperation},
    content::content,
    edn,
    history::{End, Recorded},
    site::{Got, Site, refused_with},
};

/// Buckets at a time.
const SLOTS: u64 = 3;
/// Operations on the buckets of a round; fresh names follow, so that no bucket has more objects than the
/// checker counts.
const ROUND_OPERATIONS: u64 = 150;
/// Objects that are put into a bucket, each once.
const OBJECTS_MAX: u32 = 60;

struct Buckets {
    site: Arc<Site>,
    operations: AtomicU64,
    /// Objects put so far into each of the buckets of a round, in turn.
    objects: [AtomicU64; 3],
}

fn length(object: u64) -> usize {
    if object.is_multiple_of(2) { 40 } else { 5000 }
}

/// Runs until the time is over, waits until all is healed, reads every object once more.
pub(crate) async fn run(
    site: Arc<Site>,
    count: usize,
    mut healed: watch::Receiver<bool>,
) -> anyhow::Result<Finished> {
    let operations = AtomicU64::new(0);
    let buckets = Arc::new(Buckets { site, operations, objects: Default::default() });
    buckets.site.prepared();
    let mut history = clients(count, |number| client(Arc::clone(&buckets), number)).await?;
    healed.wait_for(|healed| *healed).await?;
    let unanswered = buckets.read_again(&mut history).await;
    let verdict = buckets::check(&history);
    let text = edn::lines(&history.iter().map(entry).collect::<Vec<_>>());
    let writes = |call: &BucketCall| !matches!(call, BucketCall::Get(_));
    Ok(finished("buckets", &history, verdict, text, writes, unanswered))
}

async fn client(buckets: Arc<Buckets>, number: usize) -> Vec<BucketOperation> {
    let mut random = buckets.site.random("buckets", number);
    let mut process = buckets.site.process();
    let mut operations = Vec::new();
    while !buckets.site.over() {
        let round = buckets.operations.fetch_add(1, Ordering::Relaxed) / ROUND_OPERATIONS;
        let slot = random.random_range(0..SLOTS);
        let key = round * SLOTS + slot;
        let call = buckets.choose(key, &mut random);
        let gateway = buckets.site.gateway(&mut random);
        let operation = buckets.record(process, key, call, gateway).await;
        let unknown = operation.end == End::Info;
        operations.push(operation);
        if unknown {
            process = buckets.site.process();
        }
        buckets.site.think(unknown).await;
    }
    operations
}

impl Buckets {
    fn name(&self, key: u64) -> String {
        format!("bucket-{:016x}-{key}", self.site.seed)
    }

    fn choose(&self, key: u64, random: &mut StdRng) -> BucketCall {
        let slot = usize::try_from(key % SLOTS).expect("small");
        // The counter of a slot goes on over the rounds: an object has its number within a bucket by the
        // remainder, and a bucket sees fewer operations than there are numbers.
        let last = || self.objects[slot].load(Ordering::Relaxed) % u64::from(OBJECTS_MAX);
        let recent = |random: &mut StdRng| {
            let back = random.random_range(0..8);
            u32::try_from((last() + u64::from(OBJECTS_MAX) - back) % u64::from(OBJECTS_MAX))
                .expect("small")
        };
        match random.random_range(0..20) {
            0..3 => BucketCall::Create,
            3..6 => BucketCall::Delete,
            6..11 => {
                let object = self.objects[slot].fetch_add(1, Ordering::Relaxed) + 1;
                BucketCall::Put(u32::try_from(object % u64::from(OBJECTS_MAX)).expect("small"))
            }
            11..15 => BucketCall::Remove(recent(random)),
            _ => BucketCall::Get(recent(random)),
        }
    }

    async fn record(
        &self,
        process: u64,
        key: u64,
        call: BucketCall,
        gateway: &Client,
    ) -> BucketOperation {
        let invoked = self.site.now();
        let end = self.perform(&self.name(key), call, gateway).await;
        Recorded { process, key, call, invoked, ended: self.site.now(), end }
    }

    async fn perform(&self, bucket: &str, call: BucketCall, gateway: &Client) -> End<bool> {
        let name = |object: u32| format!("object-{object:02}");
        match call {
            BucketCall::Create => {
                let exists = ["BucketAlreadyOwnedByYou", "BucketAlreadyExists", "OperationAborted"];
                end(gateway.create_bucket().bucket(bucket).send().await, &exists)
            }
            BucketCall::Delete => {
                let refused = ["NoSuchBucket", "BucketNotEmpty", "OperationAborted"];
                end(gateway.delete_bucket().bucket(bucket).send().await, &refused)
            }
            BucketCall::Put(object) => {
                let body = content(object.into(), length(object.into()));
                let put = gateway.put_object().bucket(bucket).key(name(object));
                end(put.body(ByteStream::from(body)).send().await, &["NoSuchBucket"])
            }
            BucketCall::Remove(object) => {
                let remove = gateway.delete_object().bucket(bucket).key(name(object));
                end(remove.send().await, &["NoSuchBucket"])
            }
            BucketCall::Get(object) => {
                match self.site.get(gateway, bucket, &name(object), None, length).await {
                    Got::Value(value, _) if value == u64::from(object) => End::Ok(true),
                    Got::Value(value, _) => {
                        self.site.wrong(format!("{bucket}: object {object} holds {value}"));
                        End::Info
                    }
                    Got::Refused(code) if code == "NoSuchKey" => End::Ok(false),
                    // What is said of the bucket itself may be old.
                    Got::Refused(_) => End::Fail,
                    Got::Unknown => End::Info,
                }
            }
        }
    }

    /// Reads every object whose PUT was acknowledged or is in doubt.
    async fn read_again(&self, history: &mut Vec<BucketOperation>) -> Vec<String> {
        let put: std::collections::BTreeSet<(u64, u32)> = history
            .iter()
            .filter(|operation| operation.end != End::Fail)
            .filter_map(|operation| match operation.call {
                BucketCall::Put(object) => Some((operation.key, object)),
                _ => None,
            })
            .collect();
        let read = last(put, |(key, object)| async move {
            let gateway = &self.site.gateways[object as usize % self.site.gateways.len()];
            self.record(self.site.process(), key, BucketCall::Get(object), gateway).await
        });
        let read = read.await;
        let unknown = read.iter().filter(|last| last.end == End::Info);
        let unanswered =
            unknown.map(|last| format!("{:?} in {}", last.call, self.name(last.key))).collect();
        history.extend(read);
        unanswered
    }
}

/// Done, refused by one of these codes, or unknown.
fn end<T, E, R>(result: Result<T, SdkError<E, R>>, refusals: &[&str]) -> End<bool>
where
    E: aws_sdk_s3::error::ProvideErrorMetadata,
{
    match result {
        Ok(_) => End::Ok(true),
        Err(error) if refused_with(&error, refusals) => End::Fail,
        Err(_) => End::Info,
    }
}

fn entry(operation: &BucketOperation) -> edn::Entry {
    let key = operation.key;
    let (f, object) = match operation.call {
        BucketCall::Create => ("create", None),
        BucketCall::Delete => ("delete", None),
        BucketCall::Put(object) => ("put", Some(object)),
        BucketCall::Remove(object) => ("remove", Some(object)),
        BucketCall::Get(object) => ("get", Some(object)),
    };
    let object = object.map_or("nil".to_owned(), |object| object.to_string());
    let found = match (&operation.call, &operation.end) {
        (BucketCall::Get(_), End::Ok(there)) => format!("[{key} [{object} {there}]]"),
        _ => format!("[{key} {object}]"),
    };
    edn::Entry {
        process: operation.process.to_string(),
        f,
        invoked: operation.invoked,
        ended: operation.ended,
        kind: operation.end.kind(),
        asked: format!("[{key} {object}]"),
        found,
        error: None,
    }
}
