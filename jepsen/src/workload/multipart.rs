//! Multipart uploads that are completed against concurrent PUTs of the same key: the object is always one
//! of them, and whole. Every key is a register; completing an upload writes its value.
//!
//! A completion without an answer is asked for once more, as clients do: the two are one write, which must
//! not happen again when another came between.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use aws_sdk_s3::{
    Client,
    error::ProvideErrorMetadata,
    primitives::ByteStream,
    types::{CompletedMultipartUpload, CompletedPart},
};
use rand::Rng;
use tokio::sync::watch;

use super::{Finished, clients, finished_registers, last};
use crate::{
    checker::register,
    content::content,
    history::{Call, History, Operation, Outcome, Value},
    site::{Got, Site, refused_with},
};

/// Keys at a time, each in a bucket of its own.
const SLOTS: u64 = 3;
/// Operations on the keys of a round; fresh ones follow.
const ROUND_OPERATIONS: u64 = 150;
/// The least length of a part that is not the last.
const PART_BYTES: usize = 5 << 20;
/// One upload in so many has two parts: 5 MiB is much for a small machine's load.
const LARGE_ONE_IN: u64 = 12;

struct Keys {
    site: Arc<Site>,
    operations: AtomicU64,
}

/// A value's length says how it was written: by PUT, in one part, in two.
fn length(value: Value) -> usize {
    match value % LARGE_ONE_IN {
        0 => PART_BYTES + 3000,
        rest if rest.is_multiple_of(2) => 20_000,
        rest => 100 * usize::try_from(rest).expect("small").pow(2),
    }
}

fn parts(value: Value) -> Option<Vec<Vec<u8>>> {
    let whole = content(value, length(value));
    match value % LARGE_ONE_IN {
        0 => Some(whole.chunks(PART_BYTES).map(<[u8]>::to_vec).collect()),
        rest => rest.is_multiple_of(2).then(|| vec![whole]),
    }
}

/// Runs until the time is over, waits until all is healed, reads everything once more.
pub(crate) async fn run(
    site: Arc<Site>,
    count: usize,
    mut healed: watch::Receiver<bool>,
) -> anyhow::Result<Finished> {
    let keys = Arc::new(Keys { site, operations: AtomicU64::new(0) });
    for slot in 0..SLOTS {
        keys.site.gateways[0].create_bucket().bucket(keys.bucket(slot)).send().await?;
    }
    keys.site.prepared();
    let mut operations = clients(count, |number| client(Arc::clone(&keys), number)).await?;
    healed.wait_for(|healed| *healed).await?;
    let rounds = keys.operations.load(Ordering::Relaxed).div_ceil(ROUND_OPERATIONS);
    let read = last(0..rounds * SLOTS, |key| {
        let keys = &keys;
        async move {
            let gateway = &keys.site.gateways[key as usize % keys.site.gateways.len()];
            keys.record(keys.site.process(), key, Call::Read, gateway).await
        }
    });
    let read = read.await;
    let unknown = read.iter().filter(|last| last.outcome == Outcome::Info);
    let unanswered = unknown
        .map(|last| format!("GET of {}/{}", keys.bucket(last.key), name(last.key)))
        .collect();
    operations.extend(read);
    operations.sort_by_key(|operation| operation.invoked);
    let history = History(operations);
    let verdict = register::check(&history);
    Ok(finished_registers("multipart", &history, verdict, unanswered))
}

async fn client(keys: Arc<Keys>, number: usize) -> Vec<Operation> {
    let mut random = keys.site.random("multipart", number);
    let mut process = keys.site.process();
    let mut operations = Vec::new();
    while !keys.site.over() {
        let round = keys.operations.fetch_add(1, Ordering::Relaxed) / ROUND_OPERATIONS;
        let key = round * SLOTS + random.random_range(0..SLOTS);
        let call = match random.random_range(0..10) {
            0..4 => Call::Read,
            4..9 => Call::Write(keys.site.fresh()),
            _ => Call::Delete,
        };
        let gateway = keys.site.gateway(&mut random);
        let operation = keys.record(process, key, call, gateway).await;
        let unknown = operation.outcome == Outcome::Info;
        operations.push(operation);
        if unknown {
            process = keys.site.process();
        }
        keys.site.think(unknown).await;
    }
    operations
}

fn name(key: u64) -> String {
    format!("multipart/{key:08}")
}

impl Keys {
    fn bucket(&self, key: u64) -> String {
        format!("multipart-{:016x}-{}", self.site.seed, key % SLOTS)
    }

    async fn record(&self, process: u64, key: u64, call: Call, gateway: &Client) -> Operation {
        let bucket = self.bucket(key);
        let name = name(key);
        let begun = self.site.now();
        let (invoked, outcome) = match call {
            Call::Write(value) => match parts(value) {
                Some(parts) => self.upload(&bucket, &name, parts, gateway).await,
                None => {
                    let body = ByteStream::from(content(value, length(value)));
                    let put = gateway.put_object().bucket(&bucket).key(&name).body(body);
                    (begun, put.send().await.map_or(Outcome::Info, |_| Outcome::Ok(None)))
                }
            },
            Call::Delete => {
                let delete = gateway.delete_object().bucket(&bucket).key(&name);
                (begun, delete.send().await.map_or(Outcome::Info, |_| Outcome::Ok(None)))
            }
            _ => match self.site.get(gateway, &bucket, &name, None, length).await {
                Got::Value(value, _) => (begun, Outcome::Ok(Some(value))),
                Got::Refused(code) if code == "NoSuchKey" => (begun, Outcome::Ok(None)),
                Got::Refused(_) | Got::Unknown => (begun, Outcome::Info),
            },
        };
        Operation { process, key, call, invoked, ended: self.site.now(), outcome }
    }

    /// Uploads all parts and completes. The write begins with the completion: what failed before surely
    /// wrote nothing.
    async fn upload(
        &self,
        bucket: &str,
        name: &str,
        parts: Vec<Vec<u8>>,
        gateway: &Client,
    ) -> (std::time::Duration, Outcome) {
        let Some((id, completed)) = send_parts(bucket, name, parts, gateway).await else {
            return (self.site.now(), Outcome::Fail);
        };
        let invoked = self.site.now();
        let upload = CompletedMultipartUpload::builder().set_parts(Some(completed)).build();
        for again in [false, true] {
            let complete = gateway.complete_multipart_upload().bucket(bucket).key(name);
            let complete = complete.upload_id(&id).multipart_upload(upload.clone());
            match complete.send().await {
                Ok(_) => return (invoked, Outcome::Ok(None)),
                // The first may have happened, and its upload be forgotten.
                Err(error) if again && refused_with(&error, &["NoSuchUpload"]) => break,
                Err(error) if refused_with(&error, &["NoSuchUpload", "InvalidPart"]) => {
                    let code = error.code().unwrap_or_default();
                    self.site.wrong(format!(
                        "{bucket}/{name}: {code} for the upload {id}, acknowledged"
                    ));
                }
                Err(_) => {}
            }
        }
        (invoked, Outcome::Info)
    }
}

async fn send_parts(
    bucket: &str,
    name: &str,
    parts: Vec<Vec<u8>>,
    gateway: &Client,
) -> Option<(String, Vec<CompletedPart>)> {
    let create = gateway.create_multipart_upload().bucket(bucket).key(name);
    let id = create.send().await.ok()?.upload_id()?.to_owned();
    let mut completed = Vec::new();
    for (number, part) in (1..).zip(parts) {
        let upload = gateway.upload_part().bucket(bucket).key(name).upload_id(&id);
        let sent = upload.part_number(number).body(ByteStream::from(part)).send().await.ok()?;
        let part = CompletedPart::builder().part_number(number);
        completed.push(part.set_e_tag(sent.e_tag().map(str::to_owned)).build());
    }
    Some((id, completed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_make_up_the_content_and_all_but_the_last_are_large_enough() {
        let large = parts(LARGE_ONE_IN).expect("an upload");
        assert_eq!(large.len(), 2);
        assert!(large[0].len() >= PART_BYTES);
        for value in 1..=2 * LARGE_ONE_IN {
            let whole = content(value, length(value));
            assert_eq!(crate::content::value(&whole, length), Some(value));
            assert!(parts(value).is_none_or(|parts| parts.concat() == whole));
        }
        assert!(parts(1).is_none() && parts(2).is_some());
    }
}
