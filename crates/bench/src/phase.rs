//! Doing one phase: so many tasks, each one request after the other, until the bound.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use aws_sdk_s3::{Client, primitives::ByteStream};
use bytes::Bytes;
use futures::future::try_join_all;
use rand::{RngCore, SeedableRng, rngs::StdRng};
use serde::Serialize;

use crate::{
    cpu,
    plan::{Operation, Phase},
    stats::Latencies,
    target::Target,
};

/// What a phase came to.
#[derive(Debug, Serialize)]
pub(crate) struct Outcome {
    /// The server's name.
    pub(crate) target: String,
    /// What was done.
    pub(crate) phase: Phase,
    /// Requests that succeeded; a failed one ends the run.
    pub(crate) requests: usize,
    /// Requests a second.
    pub(crate) requests_per_s: f64,
    /// MiB of objects a second (listings: 0).
    pub(crate) mib_per_s: f64,
    /// Median latency in milliseconds.
    pub p50_ms: f64,
    /// 99th percentile in milliseconds.
    pub p99_ms: f64,
    /// CPU seconds of the server processes a GiB of objects; `None` if their ids are not known.
    pub(crate) cpu_s_per_gib: Option<f64>,
    /// CPU milliseconds of the server processes a request.
    pub(crate) cpu_ms_per_request: Option<f64>,
}

/// Shared by the tasks of a phase.
struct Run {
    client: Client,
    bucket: String,
    phase: Phase,
    body: Bytes,
    next: AtomicU64,
    requests_max: u64,
    began: Instant,
    known: u64,
}

/// Runs a phase on a target.
pub(crate) async fn run(target: &Target, phase: &Phase) -> anyhow::Result<Outcome> {
    let requests_max = match phase.operation {
        Operation::List => 10_000,
        _ => (phase.bytes_max / phase.object_bytes).max(phase.concurrency as u64),
    };
    let known = target.stored(phase.object_bytes);
    anyhow::ensure!(
        phase.operation == Operation::Put || known > 0,
        "nothing to read at {} bytes",
        phase.object_bytes
    );
    let run = Arc::new(Run {
        client: target.client.clone(),
        bucket: target.bucket.clone(),
        body: body(phase),
        phase: phase.clone(),
        next: AtomicU64::new(0),
        requests_max,
        known,
        began: Instant::now(),
    });
    let cpu_before = cpu::seconds(&target.pids());
    let tasks = (0..phase.concurrency).map(|_| tokio::spawn(Arc::clone(&run).task()));
    let mut latencies = Vec::new();
    for task in try_join_all(tasks).await? {
        latencies.extend(task?);
    }
    let seconds = run.began.elapsed().as_secs_f64();
    let cpu_seconds = cpu::seconds(&target.pids()) - cpu_before;
    if phase.operation == Operation::Put {
        target.note_stored(phase.object_bytes, latencies.len() as u64);
    }
    Ok(outcome(target, phase, Latencies::new(latencies), seconds, cpu_seconds))
}

fn outcome(
    target: &Target,
    phase: &Phase,
    latencies: Latencies,
    seconds: f64,
    cpu_seconds: f64,
) -> Outcome {
    let requests = latencies.count() as f64;
    let bytes = match phase.operation {
        Operation::List => 0.0,
        _ => requests * phase.object_bytes as f64,
    };
    let known = !target.pids().is_empty();
    Outcome {
        target: target.name.clone(),
        phase: phase.clone(),
        requests: latencies.count(),
        requests_per_s: requests / seconds,
        mib_per_s: bytes / f64::from(1 << 20) / seconds,
        p50_ms: latencies.percentile_ms(50),
        p99_ms: latencies.percentile_ms(99),
        cpu_s_per_gib: (known && bytes > 0.0).then(|| cpu_seconds / (bytes / f64::from(1 << 30))),
        cpu_ms_per_request: known.then(|| cpu_seconds * 1e3 / requests.max(1.0)),
    }
}

/// Random bytes, so that neither side can compress or deduplicate them.
fn body(phase: &Phase) -> Bytes {
    if phase.operation != Operation::Put {
        return Bytes::new();
    }
    let mut bytes = vec![0; usize::try_from(phase.object_bytes).expect("fits memory")];
    StdRng::seed_from_u64(phase.object_bytes).fill_bytes(&mut bytes);
    Bytes::from(bytes)
}

impl Run {
    async fn task(self: Arc<Self>) -> anyhow::Result<Vec<Duration>> {
        let mut latencies = Vec::new();
        while self.began.elapsed() < self.phase.time_max {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            if number >= self.requests_max {
                break;
            }
            let began = Instant::now();
            match self.phase.operation {
                Operation::Put => self.put(number).await?,
                Operation::Get => self.get(number).await?,
                Operation::List => self.list().await?,
            }
            latencies.push(began.elapsed());
        }
        Ok(latencies)
    }

    fn key(&self, number: u64) -> String {
        format!("{}/{number:08}", self.phase.object_bytes)
    }

    async fn put(&self, number: u64) -> anyhow::Result<()> {
        self.client
            .put_object()
            .bucket(&self.bucket)
            .key(self.key(number))
            .body(ByteStream::from(self.body.clone()))
            .send()
            .await?;
        Ok(())
    }

    /// Objects are read in a scattered order; every byte is received and counted.
    async fn get(&self, number: u64) -> anyhow::Result<()> {
        let key = self.key(number.wrapping_mul(0x9E37_79B9_7F4A_7C15) % self.known);
        let answer = self.client.get_object().bucket(&self.bucket).key(key).send().await?;
        let mut body = answer.body;
        let mut received = 0u64;
        while let Some(bytes) = body.try_next().await? {
            received += bytes.len() as u64;
        }
        anyhow::ensure!(received == self.phase.object_bytes, "got {received} bytes");
        Ok(())
    }

    /// One page of up to 1,000 keys.
    async fn list(&self) -> anyhow::Result<()> {
        let prefix = format!("{}/", self.phase.object_bytes);
        let page = self.client.list_objects_v2().bucket(&self.bucket).prefix(prefix).send().await?;
        anyhow::ensure!(page.key_count().unwrap_or(0) > 0, "an empty page");
        Ok(())
    }
}
